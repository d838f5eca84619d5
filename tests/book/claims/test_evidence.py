"""Rows and estimates of small tables whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from privacy_for_free.book.claims import evidence


def posteriors(naive):
    """Log ratios of two methods in each of several pairs of classes, at three m."""
    return pd.DataFrame(
        {"n": 1, "m": m, "replicate": pair, "model": model, "observed": value * m}
        for pair in range(len(naive))
        for m in (1, 2, 3)
        for model, value in (("logistic_all_data", naive[pair]), ("logistic_replace", 2.0))
    )


def test_log_ratios_are_compared_where_both_methods_have_one():
    table = posteriors((2.0, 4.0))
    ratios = evidence.over_condensed(table.drop(index=0), "logistic_all_data")
    assert ratios.tolist() == [1.0, 1.0, 2.0, 2.0, 2.0]
    assert evidence.over_condensed(table, "logistic_random_subset").empty


def test_medians_within_pairs_and_their_mean_with_students_interval():
    """The mean of 1, 2 and 3: t of 97.5 % with two degrees of freedom."""
    found = evidence.median_over_pairs(
        evidence.over_condensed(posteriors((2.0, 4.0, 6.0)), "logistic_all_data")
    )
    assert found.value == pytest.approx(2)
    assert found.high == pytest.approx(2 + 4.302653 / np.sqrt(3))
    one = evidence.over_condensed(posteriors((2.0,)), "logistic_all_data")
    assert np.isnan(evidence.median_over_pairs(one).value)


@pytest.mark.parametrize(("against", "power"), [("n", -1.0), ("m", 0.5)])
def test_exponents_are_found_beside_the_other_size(against, power):
    cells = [(n, m, seed, x) for n in (10, 100) for m in (1, 4) for seed in range(3) for x in ("a", "b")]
    rows = pd.DataFrame(cells, columns=["n", "m", "seed", "x"])
    rows["moved"] = (1 + rows.seed + (rows.x == "a")) * np.sqrt(rows.m) / rows.n
    assert evidence.shift_exponent(rows, "moved", against) == pytest.approx((power,) * 3)


def test_a_release_is_attacked_with_its_most_shadows():
    columns = ["release", "method", "init", "ratio", "attack", "population", "shadows"]
    leading = evidence.LEADING_ATTACK
    table = pd.DataFrame(
        [
            ("dm", "dm", "noise", 0.01, leading, "all", 16),
            ("dm", "dm", "noise", 0.01, leading, "all", 64),
            ("dsa", "dsa", "real", 0.01, leading, "all", 32),
            ("dm", "dm", "noise", 0.01, "loss", "all", 128),
            ("dm", "dm", "noise", 0.01, leading, "in_initialisation", 128),
            ("synthetic_set", "dm", "noise", 0.01, leading, "all", 128),
        ],
        columns=columns,
    )
    assert evidence.attacked(table, "all").shadows.tolist() == [64, 32]


def test_shares_are_of_the_last_step_and_the_most_images():
    columns = ["method", "metric", "ipc", "iterations"]
    rows = [("dm", "l2", 3, 10), ("dm", "l2", 3, 400), ("dsa", "l2", 3, 30), ("dm", "l2", 1, 800)]
    rows.append(("random_subset", "l2", 3, 0))
    table = pd.DataFrame(rows, columns=columns).assign(
        reference="initial_nearest", init="real", population="all"
    )
    found = evidence.nearest_shares(table, "initial_nearest", "real", "all")
    assert found.iterations.tolist() == [400, 30]
    assert evidence.nearest_shares(table, "initial_nearest", "noise", "all").empty


def test_accuracies_in_percent_at_values_of_columns():
    table = pd.DataFrame({"kind": "accuracy", "mechanism": ["dm", "dm", "gan"], "ipc": [10.0, 1.0, 50.0]})
    table["test_accuracy"] = [0.5, 0.25, 0.75]
    assert evidence.accuracies(table, "dm", ipc=10.0).tolist() == [50.0]
    assert evidence.images_per_class(table) == [1.0, 10.0]
