"""The chapter's numbers on a table whose answers are known, and the keys of its prose on the real records."""

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from privacy_for_free.book.chapter import RECORDED
from privacy_for_free.book.chapters import linear_check
from privacy_for_free.lab.record import RESULTS
from privacy_for_free.lab.store import largest

EXACT = [  # check, n, d, expected, observed, relative_error
    ("closed_form", 50, 4, 1.0, 1.0, 0.0),
    ("closed_form", 500, 4, 1.0, 1.0, 1e-15),
    ("removal_norm", 50, 4, 0.1, 0.1, 3e-15),
    ("removal_bound", 50, 4, 0.4, 0.1, 0.0),
    ("real_initialisation_recovered", 50, 4, 1.0, 1.0, 2e-14),
]
STATISTICAL = [  # check, z
    ("fresh_factor_half_threshold", 0.5),
    ("fresh_factor_below_threshold", -2.5),
    ("fresh_factor_above_threshold", 1.0),
    ("loss_mean_gaussian", -0.1),
]


@pytest.fixture(scope="module")
def view():
    exact = pd.DataFrame(EXACT, columns=["check", "n", "d", "expected", "observed", "relative_error"])
    chance = pd.DataFrame(STATISTICAL, columns=["check", "z"]).assign(n=50, d=4, expected=0.5)
    chance["observed"] = 0.5 + 0.01 * chance.z
    parts = [exact.assign(kind="exact"), chance.assign(kind="statistical")]
    table = pd.concat(parts, ignore_index=True).assign(k=2, m=1)
    record = SimpleNamespace(table=table, provenance=lambda: "made here")
    return linear_check.load({"fashion_mnist": record, "cifar10": record})


def test_what_is_loaded(view):
    assert view.provenance == "made here\nmade here"
    assert view.datasets == ["fashion_mnist", "cifar10"]
    assert (len(view.exact), len(view.statistical)) == (10, 8)


def test_numbers(view):
    failed = pd.Series({"z": -5.0, "samples": 400.0, "k": 1, "d": 3072})
    again = pd.Series({"z": 0.5, "samples": 20_000.0})
    found = linear_check.numbers(view, failed, again)
    assert (found["exact.checks"], found["exact.worst"], found["exact.typical"]) == (10, 2e-14, 3e-15)
    assert (found["statistical.checks"], found["statistical.worst"]) == (8, 2.5)
    assert found["statistical.beyond_two"] == 25
    assert (found["recovered.worst"], found["recovered.cases"]) == (2e-14, 2)
    assert (found["first_failure.samples"], found["again.samples"]) == (400, 20_000)
    # The median of the largest of 8 normal numbers: all are below it with a chance of one half.
    below = math.erf(found["statistical.expected_worst"] / math.sqrt(2))
    assert below**8 == pytest.approx(0.5)


def test_figures_show_every_check(view):
    exact = linear_check.figure_exact(view).axes[0]
    assert [len(line.get_xdata()) for line in exact.lines] == [5, 5, 2]  # two data sets and the tolerance
    left, right = linear_check.figure_statistical(view).axes
    assert [len(line.get_xdata()) for line in left.lines] == [4, 4, 2, 2]
    assert [label.get_text() for label in left.get_yticklabels()][-1] == "fresh factor above threshold"
    assert right.get_legend_handles_labels()[1] == ["observed", "standard normal"]
    plt.close("all")


def test_factors_lie_on_one_parabola(view):
    left, _ = linear_check.figure_threshold(view).axes
    # (observed - 1) (k + d + 1) / k at half the threshold: (0.505 - 1) * 7 / 2
    dots = {line.get_xdata()[0]: line.get_ydata()[0] for line in left.lines if len(line.get_xdata()) == 1}
    assert dots[0.5] == pytest.approx(-1.7325)
    assert set(dots) == set(linear_check.SHARES.values())
    plt.close("all")


def test_removals_are_drawn_beside_their_bound(view):
    for axis in linear_check.figure_removal(view).axes:
        observed, bound = axis.lines
        assert (observed.get_ydata()[0], bound.get_ydata()[0]) == (0.1, 0.4)
    plt.close("all")


def test_live_runs_and_images_are_drawn():
    runs = {"expected loss": (torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.1]))}
    run, expected = linear_check.figure_descents(runs).axes[0].lines
    assert run.get_ydata()[1] == pytest.approx(1e-9)  # zero has no logarithm
    assert expected.get_linestyle() == "--"
    rows = {"start": torch.zeros(2, 12), "released": torch.ones(2, 12)}
    axes = linear_check.figure_release(rows, (3, 2, 2)).axes
    assert [axis.get_ylabel() for axis in axes] == ["start", "released"]
    plt.close("all")


def test_the_check_that_failed_at_first_has_passed_since():
    failed, again = linear_check.first_failure()
    assert abs(failed.z) > 4 > abs(again.z)
    assert again.samples > failed.samples


def test_the_prose_inserts_what_the_records_give(glue_keys):
    records = {name: largest("linear_dm", name, RESULTS) for name in RECORDED}
    found = linear_check.load({name: record for name, record in records.items() if record})
    assert set(linear_check.numbers(found, *linear_check.first_failure())) == glue_keys("linear_check")
