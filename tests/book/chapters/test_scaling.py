"""The chapter's numbers on a table whose answers are known, and the keys of its prose on the records."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from privacy_for_free.book.chapters import scaling
from privacy_for_free.lab.store import largest

POWERS = {  # operation, variable -> exponent of its time; work and memory have 1
    ("dm_step", "ipc"): 0.5,
    ("dm_step", "K"): 0.25,
    ("training", "m"): 1.0,
    ("lira", "K"): 1.0,
    ("lira", "n"): 1.25,
    ("kip_step", "m"): 2.0,
}
SECONDS = {("dm", "noise"): 3600, ("random_subset", "real"): 360, ("full", "real"): 36}  # per shadow


def costs():
    for place, ((operation, variable), power) in enumerate(POWERS.items()):
        for value in (1, 2, 4, 8):
            seconds = 0.1 * value**power
            yield {
                "operation": operation, "variable": variable, "value": value, "seconds": seconds,
                "seconds_low": 0.9 * seconds, "seconds_high": 1.1 * seconds, "memory_bytes": 1e6 * value,
                "flops": 1e9 * value, "fraction": 0.1 * (place + 1), "bound": "memory",
                "dtype": "float32" if operation == "dm_step" else "float64",
                "ceiling_flops": 5e10 if operation == "dm_step" else 2e10, "ceiling_bytes": 1e10,
            }  # fmt: skip


def attacks():
    for (release, init), seconds in SECONDS.items():
        for shadows in (16, 64, 256):
            half = 0.08 / shadows**0.5
            yield {
                "attack": "lira_online_fixed", "population": "all", "release": release, "init": init,
                "ipc": 10, "shadows": shadows,
                "condense_seconds": 0.75 * 256 * seconds, "train_seconds": 64 * seconds,
                "advantage_low": 0.5 - half, "advantage_high": 0.5 + half,
                "tpr_bootstrap_low": 0.1, "tpr_bootstrap_high": 0.2,
            }  # fmt: skip


def record(rows):
    return SimpleNamespace(table=pd.DataFrame(rows), provenance=lambda: "made here")


@pytest.fixture(scope="module")
def view():
    return scaling.load({"fashion_mnist": record(costs())})


@pytest.fixture(scope="module")
def precision():
    return scaling.load_precision({"cifar10": record(attacks())}, "mnist", 100.0)


def test_numbers_of_costs_are_those_of_the_table(view, precision):
    numbers = scaling.numbers(view, precision)
    assert view.provenance == "made here"
    assert numbers["measured_on"] == "FashionMNIST"
    assert (numbers["ceiling.float32"], numbers["ceiling.float64"]) == pytest.approx((50, 20))
    assert numbers["ceiling.bytes"] == pytest.approx(10)
    assert (numbers["best.operation"], numbers["worst.operation"]) == ("KIP step", "DM step")
    assert (numbers["best.fraction"], numbers["worst.fraction"]) == pytest.approx((60, 10))
    assert numbers["lira.images.exponent"] == pytest.approx(1.25)
    assert numbers["dm_step.sets.exponent"] == pytest.approx(0.25)
    assert numbers["kip_step.points.last_exponent"] == pytest.approx(2)
    assert numbers["kip_step.points.work"] == pytest.approx(1)
    # an exact power has no spread; KIP, which is steeper, is left out
    assert numbers["steepest.exponent"] == "LiRA in n, 1.25 [1.25,\u00a01.25]"
    assert numbers["steepest.work"] == pytest.approx(1)


def test_numbers_of_the_budget_are_those_of_the_table(view, precision):
    numbers = scaling.numbers(view, precision)
    assert precision.dataset == "cifar10"  # the chapter's own is not recorded
    assert numbers["budget.dataset"] == "CIFAR-10"
    assert numbers["widths.releases"] == 3
    assert numbers["widths.shadows"] == 256
    assert numbers["advantage.exponent"] == pytest.approx(-0.5)
    assert numbers["advantage.four_times_the_shadows"] == pytest.approx(0.5)
    assert numbers["tpr.exponent"] == pytest.approx(0, abs=1e-12)
    assert numbers["dearest.release"] == "DM from noise, 10 a class"
    assert (numbers["dearest.seconds"], numbers["dearest.shadows"]) == (3600, 100)
    assert numbers["cheapest.release"] == "all of the half"
    assert numbers["cheapest.shadows"] == 10_000


def test_verdicts_follow_the_rules(view, precision):
    verdicts = scaling.verdicts(view, precision)
    assert verdicts["verdict.at_most_linear"] == "fails"  # LiRA in n
    assert verdicts["verdict.kip_faster"] == "holds"
    assert verdicts["verdict.square_root.tpr"] == "fails"
    flat = scaling.load({"mnist": record([row for row in costs() if row["operation"] == "dm_step"])})
    others = flat.exponents.assign(operation="training")
    kip = view.exponents[view.exponents.operation == "kip_step"]
    mild = scaling.View("", "mnist", flat.table, pd.concat([others, kip]))
    assert scaling.verdicts(mild, precision)["verdict.at_most_linear"] == "holds"


def test_without_records_of_attacks_that_part_is_left_out(view):
    none = scaling.load_precision({}, "mnist", 8.0)
    assert none.provenance.startswith("No record of membership here")
    assert scaling.figure_widths(none) is None
    assert scaling.table_budget(none) is None
    assert set(scaling.verdicts(view, none)) == {"verdict.at_most_linear", "verdict.kip_faster"}
    assert not any(key.startswith("budget") for key in scaling.numbers(view, none))


def test_tables(view, precision):
    exponents = scaling.table_exponents(view)
    assert exponents.loc[("LiRA", "n"), "time"] == "1.25 [1.25,\u00a01.25]"
    assert exponents.loc[("DM step", "images a class"), "of the ceiling"] == "10 %, memory"
    bought = scaling.table_budget(precision)
    assert bought.loc["random subset, 10 a class", "shadows"] == "1,000"
    # 16 points over the root of the shadows
    assert bought.loc["DM from noise, 10 a class", "width of the advantage, at least"] == "1.60"


def test_figures(view, precision):
    costs = scaling.figure_costs(view)
    assert len(costs.axes) == 8
    lines = {line.get_label(): line.get_ydata().tolist() for line in costs.axes[2].get_lines()}
    assert list(lines) == ["DM step", "LiRA"]
    assert lines["LiRA"] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    widths = scaling.figure_widths(precision)
    labels = [line.get_label() for line in widths.axes[0].get_lines()]
    assert labels == ["CIFAR-10", "mean exponent", "one over the square root"]
    assert widths.axes[0].get_lines()[0].get_ydata().tolist()[:3] == pytest.approx([4, 2, 1])
    for figure in (costs, widths):
        plt.close(figure)


def test_the_prose_uses_every_number(glue_keys):
    view = scaling.load({"fashion_mnist": largest("scaling", "fashion_mnist")})
    precision = scaling.load_precision(
        scaling.recorded_attacks("fashion_mnist_mini"), "fashion_mnist_mini", 8
    )
    used = {*scaling.numbers(view, precision), *scaling.verdicts(view, precision)}
    assert used == glue_keys("scaling")
