"""The chapter's numbers on a table whose answers are known, and the keys of its prose on the real record."""

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from privacy_for_free.book import published
from privacy_for_free.book.chapters import price_of_a_guarantee as price
from privacy_for_free.experiments.private_release import EXPERIMENT
from privacy_for_free.lab.store import largest

COLUMNS = ["mechanism", "epsilon", "init", "ipc", "seed", "test_accuracy", "seconds", "epsilon_replace_one"]
RELEASES = [
    ("linear", 1.0, "noise", 10, 0, 0.50, 1.0, 2.1),
    ("linear", math.inf, "noise", 10, 0, 0.51, 1.0, None),
    ("linear", 1.0, "noise", 50, 0, 0.52, 1.0, 2.1),
    ("one_release", 1.0, "noise", 10, 0, 0.70, 30.0, 2.1),
    ("one_release", 1.0, "noise", 10, 1, 0.72, 50.0, 2.1),
    ("one_release", 1.0, "noise", 50, 0, 0.90, 70.0, 2.1),
    ("ndpdc", 1.0, "noise", 10, 0, 0.60, 20.0, 1.5),
    ("ndpdc", 1.0, "noise", 10, 1, 0.62, 20.0, 1.6),
    ("dp_merf", 1.0, "noise", 10, 0, 0.39, 5.0, 2.1),
    ("dp_merf", 1.0, "noise", 10, 1, 0.41, 5.0, 2.1),
    ("dp_sgd", 1.0, "", 6000, 0, 0.79, 9.0, 1.2),
    ("dp_sgd", 1.0, "", 6000, 1, 0.81, 9.0, 1.2),
    ("dm", math.inf, "real", 10, 0, 0.73, 40.0, None),
    ("dm", math.inf, "real", 10, 1, 0.75, 40.0, None),
    ("dm", math.inf, "noise", 10, 0, 0.65, 40.0, None),
    ("full", math.inf, "", 6000, 0, 0.95, 0.0, None),
]
AUDITS = [  # mechanism, epsilon, broken, epsilon_audited
    ("linear", 1.0, "", 0.2),
    ("linear", 4.0, "", 2.5),
    ("linear", 1.0, "a hundredth of the noise", 3.0),
    ("linear", 4.0, "the same noise in every run", 3.5),
]


@pytest.fixture(scope="module")
def view():
    releases = pd.DataFrame(RELEASES, columns=COLUMNS).assign(kind="accuracy", train_seconds=2.0)
    audits = pd.DataFrame(AUDITS, columns=["mechanism", "epsilon", "broken", "epsilon_audited"])
    table = pd.concat([releases, audits.assign(kind="audit", runs=64)], ignore_index=True)
    table = table.reindex(columns=EXPERIMENT.column_names)
    return price.load({"mnist": SimpleNamespace(table=table, provenance=lambda: "made here")}, "mnist")


def test_what_is_loaded(view):
    assert view.provenance == "made here"
    assert view.sizes == [10, 50]
    assert view.epsilons.tolist() == [1.0, math.inf]
    assert (len(view.proved), len(view.broken)) == (2, 2)
    assert len(view.rows("dp_sgd", ipc=10)) == 2  # a network stands beside every number of images
    assert len(view.rows("one_release", ipc=10)) == 2


def test_a_chapter_on_another_data_set_draws_the_recorded_one(view):
    record = SimpleNamespace(table=view.releases.drop(columns="dataset"), provenance=str)
    assert price.load({"mnist": record}, "cifar10").dataset == "mnist"


def test_numbers_are_those_of_the_table(view):
    numbers = price.numbers(view)
    assert numbers["one_release.epsilon_1"] == pytest.approx(71)
    assert numbers["one_release.epsilon_1.many"] == pytest.approx(90)
    assert numbers["one_release.over_ndpdc"] == pytest.approx(10)
    assert numbers["one_release.epsilon_1.half_interval"] == pytest.approx(
        12.706, abs=1e-3
    )  # t of one degree
    assert numbers["dm.real"] == pytest.approx(74)
    assert numbers["dp_sgd.epsilon_1"] == pytest.approx(80)
    assert numbers["linear.no_noise"] == pytest.approx(51)
    assert math.isnan(numbers["linear.epsilon_half"])  # not in the table
    assert (numbers["one_release.seconds"], numbers["dp_sgd.seconds"]) == (40, 9)
    assert (numbers["ndpdc.replace_one"], numbers["dp_sgd.replace_one"]) == (1.5, 1.2)
    assert (numbers["seeds"], numbers["ipc.few"], numbers["ipc.many"], numbers["data"]) == (
        1,
        10,
        50,
        "MNIST",
    )


def test_audits_are_counted(view):
    numbers = price.numbers(view)
    assert (numbers["audits.broken"], numbers["audits.caught"], numbers["audits.runs"]) == (2, 1, 64)
    assert (numbers["audits.proved"], numbers["audits.confirmed"]) == (4, 2.5)
    assert numbers["audits.highest_bound"] == 3.5


def test_differences_have_welchs_interval(view):
    ahead = price.ahead(view, "one_release", "ndpdc")
    assert ahead.value == pytest.approx(10)
    assert ahead.half == pytest.approx(4.302653 * math.sqrt(2), rel=1e-6)  # errors of 1 each, two degrees
    assert price.ahead(view, "one_release", "dm real").value == pytest.approx(-3)
    assert math.isnan(price.ahead(view, "one_release", "random_subset real").value)


def test_verdicts_are_decided_by_margins(view):
    margins = price.verdicts(view)
    assert [margin.value for margin in margins["verdict.poor"]] == pytest.approx([31, 21])
    assert margins["verdict.expensive"].tolist() == [-35, -15]
    assert margins["verdict.little_loss"].value == pytest.approx(-3 + 5)
    assert margins["verdict.network"].value == pytest.approx(-9)


def test_tables(view):
    bill = price.table_bill(view)
    assert bill.loc["one release"].tolist() == ["40", "2", "71.0 ± 12.7", "2.10"]
    assert bill.loc["all images"].tolist() == ["0", "2", "95.0", ""]
    assert bill.loc["DM, from real images", "ε, one image exchanged"] == ""
    grid = price.table_accuracy(view)
    assert grid.loc[("linear DM, noisy mean", "10")].tolist() == ["50.0", "51.0"]
    assert grid.loc[("DP-SGD (a network)", "all"), "1"] == "80.0 ± 12.7"
    audits = price.table_audits(view)
    assert audits.loc["linear DM, noisy mean", ("4", "as it should be")] == "2.50"
    assert audits.loc["linear DM, noisy mean", ("1", "a hundredth of the noise")] == "3.00"


def test_published_noise_is_worth_what_was_published():
    table = price.table_published_noise()
    for name, (stated, _) in published.NOISE.items():
        assert float(table.loc[name, "Rényi"]) == pytest.approx(stated, rel=0.02)
        assert float(table.loc[name, "PLD"]) < stated


def test_the_figure_has_a_panel_for_each_number_of_images(view):
    figure = price.figure_accuracy(view)
    few, many = figure.axes
    titles = [axis.get_title() or axis.get_title(loc="left") for axis in (few, many)]  # by the style in use
    assert titles == ["10 images a class", "50 images a class"]
    lines = {line.get_label(): line for line in few.get_lines()}
    assert lines["linear DM, noisy mean"].get_ydata().tolist() == pytest.approx([50, 51])
    assert lines["linear DM, noisy mean"].get_xdata().tolist() == [0, 1]
    assert lines["DP-SGD (a network)"].get_ydata().tolist() == pytest.approx([80])
    stars = [line.get_ydata()[0] for line in few.get_lines() if line.get_marker() == "*"]
    assert stars == [published.accuracy("ndpdc", "mnist", 10), published.accuracy("dp_merf", "mnist", 10)]
    assert {text.get_text() for text in few.texts} == {
        "all images",
        "DM, from real images",
        "DM, from noise",
    }
    assert [tick.get_text() for tick in few.get_xticklabels()] == ["1", "∞"]
    plt.close(figure)


def test_the_prose_uses_every_number(glue_keys):
    record = largest("private_release", "fashion_mnist", None)
    view = price.load({"fashion_mnist": record}, "fashion_mnist")
    assert {*price.numbers(view), *price.verdicts(view)} == glue_keys("price_of_a_guarantee")
    assert all(not (isinstance(value, float) and math.isnan(value)) for value in price.numbers(view).values())
