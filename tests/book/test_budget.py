"""Exponents of costs, and budgets whose shadows and widths are worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.book import budget


def test_a_row_for_each_operation_with_what_is_seen_at_the_largest_size():
    sizes = np.array([1, 2, 4, 8])
    table = pd.DataFrame(
        {
            "operation": "made_up",
            "variable": "n",
            "value": sizes,
            "seconds": 0.1 * sizes,
            "memory_bytes": 7.0,
            "flops": 5 * sizes**2,
            "fraction": [0.1, 0.2, 0.3, 0.4],
            "bound": "memory",
        }
    )
    (row,) = budget.exponents(table).itertuples()
    assert (row.time, row.time_low, row.time_high, row.time_last) == pytest.approx((1, 1, 1, 1))
    assert (row.memory, row.work) == pytest.approx((0, 2))
    assert (row.seconds, row.fraction, row.bound) == pytest.approx((0.8, 0.4, "memory"))


def membership(slope=-0.5):
    rows = [
        {
            "release": release,
            "init": "real",
            "ipc": 5,
            "attack": attack,
            "population": population,
            "shadows": K,
            "advantage_low": 0.0,
            "advantage_high": 0.08 * (K / 16) ** slope,
            "tpr_bootstrap_low": 0.0,
            "tpr_bootstrap_high": 0.004 * (K / 16) ** slope,
            "condense_seconds": 64.0,
            "train_seconds": 32.0,
        }
        for release in ("dm", "kip", "synthetic_set")
        for attack in ("loss", "lira_online_fixed")
        for population in ("all", "in_initialisation")
        for K in (16, 32, 64)
    ]
    return pd.DataFrame(rows)


def test_widths_are_of_one_attack_on_networks_and_seconds_of_one_shadow():
    found = budget.widths(membership())
    assert list(found.release) == ["dm"] * 3 + ["kip"] * 3
    assert (found.seconds == 1.5).all()  # 96 s over the 64 shadows that there are, for fewer of them too
    assert found.advantage.tolist()[:3] == pytest.approx([0.08, 0.08 / 2**0.5, 0.04])
    with pytest.raises(ValueError, match="attack 'guess': known are loss, lira_online_fixed"):
        budget.widths(membership(), "guess")


@settings(deadline=None)
@given(st.floats(-1, 0))
def test_the_exponent_of_a_width_is_found(slope):
    found = budget.widths(membership(slope))
    assert budget.width_exponent(found, "advantage").value == pytest.approx(slope, abs=1e-9)
    assert budget.width_exponent(found, "tpr").value == pytest.approx(slope, abs=1e-9)


def test_releases_with_two_numbers_of_shadows_have_no_exponent():
    found = budget.widths(membership())
    few = found[found.shadows > 16]
    assert math.isnan(budget.width_exponent(few, "tpr").value)
    one = pd.concat([few, found[(found.release == "dm") & (found.shadows == 16)]])
    assert budget.width_exponent(one, "tpr") == pytest.approx((-0.5,) * 3)


def test_what_an_hour_buys():
    bought = budget.afford(budget.widths(membership()), 1, -0.5)
    assert bought.shadows.tolist() == [2400, 2400]
    assert bought.advantage.tolist() == pytest.approx([0.08 * math.sqrt(16 / 2400)] * 2)


def test_a_budget_below_the_fewest_shadows_buys_no_interval():
    bought = budget.afford(budget.widths(membership()), 4 / 3600, -0.5)
    assert bought.shadows.tolist() == [2, 2]
    assert bought.advantage.isna().all()


@pytest.mark.parametrize("hours", [0, -1, math.nan, math.inf, "8", None, True])
def test_no_budget(hours):
    with pytest.raises(ValueError, match=r"budget_hours .*: allowed are finite numbers above 0"):
        budget.check_hours(hours)
