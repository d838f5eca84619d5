"""The chapter's numbers on a table whose answers are known, and the keys of its prose on the real record."""

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from privacy_for_free.attacks.power import members_needed
from privacy_for_free.book.chapters import no_free_lunch as lunch
from privacy_for_free.lab.store import largest

NETWORK, IMAGES = "network", "synthetic_set"
COLUMNS = ["release", "init", "epsilon", "attacked", "attack", "canary", "in_initialisation", "advantage"]
ROWS = [  # the best of several attacks on one release comes second
    ("full", "", math.inf, NETWORK, "lira_online", "mislabelled", "all", 0.80),
    ("full", "", math.inf, NETWORK, "lira_offline", "mislabelled", "all", 0.90),
    ("full", "", math.inf, NETWORK, "threshold", "mislabelled", "all", 0.99),  # no LiRA
    ("full", "", math.inf, NETWORK, "lira_online", "ordinary", "all", 0.30),
    ("random_subset", "real", math.inf, NETWORK, "lira_online", "ordinary", "all", 0.05),
    ("random_subset", "real", math.inf, IMAGES, "nearest", "ordinary", "yes", 0.97),
    ("dm", "noise", math.inf, NETWORK, "lira_online", "mislabelled", "all", 0.04),
    ("dm", "noise", math.inf, NETWORK, "lira_online", "ordinary", "all", 0.01),
    ("dm", "canaries", math.inf, NETWORK, "lira_online", "mislabelled", "yes", 0.07),
    ("dm", "canaries", math.inf, IMAGES, "nearest", "mislabelled", "yes", 0.10),
    ("dm", "canaries", math.inf, IMAGES, "tracing", "mislabelled", "yes", 0.20),
    ("dm", "canaries", math.inf, IMAGES, "tracing", "mislabelled", "no", 0.05),
    ("dp_sgd", "", 2.0, NETWORK, "lira_online", "mislabelled", "all", 0.02),
    ("dp_sgd", "", 2.0, NETWORK, "lira_online", "ordinary", "all", 0.00),
]
STUDY = lunch.Study(0.003, 0.001, 0.8, 0.05)


@pytest.fixture(scope="module")
def view():
    table = pd.DataFrame(ROWS, columns=COLUMNS)
    table["init"] = table.init.where(table.init != "")
    table = table.assign(
        advantage_low=table.advantage - 0.03, advantage_high=table.advantage + 0.03, auc=0.5, shadows=64,
        tpr_bootstrap_low=0.0, tpr_bootstrap_high=0.02, nonmember_accuracy=0.5 + table.advantage / 10,
    )  # fmt: skip
    table["tpr_at_fpr_1e-3"] = 0.01
    return lunch.load({"mnist": SimpleNamespace(table=table, provenance=lambda: "made here")})


def test_the_best_attack_of_each_kind_is_drawn(view):
    assert view.provenance == "made here"
    assert view.releases == [
        "all of the half",
        "random subset",
        "DM, from noise",
        "DM, from canaries",
        "DP-SGD, ε = 2",
    ]
    assert lunch.advantage(view.networks, lunch.FULL, "mislabelled") == pytest.approx((90, 87, 93))
    started = lunch.advantage(view.images, lunch.FROM_CANARIES, "mislabelled", lunch.STARTED)
    assert started == pytest.approx((20, 17, 23))
    assert math.isnan(lunch.advantage(view.images, lunch.FULL, "mislabelled").value)


def test_names_of_releases():
    assert lunch.release_name("full", "", math.inf) == "all of the half"
    assert lunch.release_name("dp_sgd", "", math.inf) == "DP-SGD, no noise"
    assert lunch.release_name("dp_sgd", "", 0.5) == "DP-SGD, ε = 0.5"


def test_numbers_are_those_of_the_table(view):
    numbers = lunch.numbers(view, STUDY)
    assert numbers["data"] == "MNIST"
    assert numbers["shadows"] == 64
    assert numbers["full.mislabelled.network"] == pytest.approx(90)
    assert numbers["full.mislabelled.network.interval"] == "90.0 [87.0,\u00a093.0]"
    assert numbers["subset.ordinary.started.images"] == pytest.approx(97)
    assert numbers["subset.accuracy"] == pytest.approx(50.5)
    assert numbers["canaries.started.images"] == pytest.approx(20)
    assert numbers["canaries.others.images"] == pytest.approx(5)
    # 15 points, and two independent errors of 3 each
    assert numbers["canaries.started_over_others"] == "+15.0 [+10.8,\u00a0+19.2]"
    assert numbers["noise.mislabelled_over_ordinary"] == "+3.0 [-1.2,\u00a0+7.2]"
    assert numbers["dp_sgd.epsilon_2.accuracy"] == pytest.approx(50)
    assert math.isnan(numbers["dp_sgd.epsilon_8.accuracy"])  # not in the table


def test_numbers_of_the_study(view):
    numbers = lunch.numbers(view, STUDY)
    assert numbers["study.members"] == members_needed(0.003, 0.001, 0.8, 0.05)
    assert numbers["study.members.normal"] < numbers["study.members"]
    assert numbers["study.tpr_of_1000"] == pytest.approx(0.55, abs=0.005)
    assert (numbers["study.tpr"], numbers["study.power"]) == pytest.approx((0.3, 80))


@pytest.mark.parametrize("bad", [{"tpr": 0.0005}, {"power": 1.0}, {"level": 0.0}])
def test_studies_that_cannot_be(bad):
    with pytest.raises(ValueError, match="allowed are"):
        lunch.Study(**{"tpr": 0.003, "fpr": 0.001, "power": 0.8, "level": 0.05} | bad)


def test_verdicts_are_decided_by_margins(view):
    verdicts = lunch.verdicts(view)
    assert verdicts["verdict.subset_accuracy"] == pytest.approx(0.4)
    assert verdicts["verdict.odd_ones.full"].value == pytest.approx(60)
    assert verdicts["verdict.odd_ones.noise"].low < 0 < verdicts["verdict.odd_ones.noise"].high
    assert verdicts["verdict.canaries"].low > 0


def test_tables(view):
    grid = lunch.table_networks(view)
    assert grid.loc[("all of the half", "all"), "mislabelled"] == "0.500; 1.0 [0.0,\u00a02.0]"
    assert grid.loc[("DM, from canaries", "started from"), "ordinary"] == ""
    bounds = lunch.table_bounds()
    assert bounds.shape[1] == 3
    assert list(bounds.columns) == ["0.002", "0.01", "0.02"]


def test_figures(view):
    power = lunch.figure_power(STUDY)
    left, right = power.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "TPR 0.2 %",
        "TPR 0.3 %",
        "TPR 0.6 %",
    ]
    assert len(right.get_lines()) == 2
    canaries = lunch.figure_canaries(view)
    networks, images = canaries.axes
    assert [label.get_text() for label in networks.get_yticklabels()] == view.releases
    shown = {bars.get_label(): bars.lines[0].get_xdata().tolist() for bars in images.containers}
    assert shown["ordinary, started from"] == pytest.approx([97])
    assert shown["mislabelled, started from"] == pytest.approx([20])
    assert shown["mislabelled"] == []
    trade = lunch.figure_trade(view)
    places = {bars.get_label(): bars.lines[0].get_xydata()[0].tolist() for bars in trade.axes[0].containers}
    assert places["all of the half"] == pytest.approx([90, 59])
    assert set(places) == {"all of the half", "DM, from noise", "DP-SGD, ε = 2"}
    for figure in (power, canaries, trade):
        plt.close(figure)


def test_the_prose_uses_every_number(glue_keys):
    view = lunch.load({"fashion_mnist": largest("canaries", "fashion_mnist", None)})
    numbers = lunch.numbers(view, STUDY)
    assert {*numbers, *lunch.verdicts(view)} == glue_keys("no_free_lunch")
    assert all(not (isinstance(value, float) and math.isnan(value)) for value in numbers.values())
