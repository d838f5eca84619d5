"""Intervals against tables of Student's t, and their coverage."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from privacy_for_free.stats.intervals import Interval, difference, holm, mean, rate, unpaired


def test_the_interval_of_a_mean_is_students():
    found = mean([2.0, 4.0, 9.0])
    error = math.sqrt(((2 - 5) ** 2 + (4 - 5) ** 2 + (9 - 5) ** 2) / 2 / 3)
    assert math.isclose(found.value, 5.0)
    assert math.isclose(found.half, 4.302652729911275 * error)  # t of 97.5 %, two degrees of freedom
    assert math.isclose(mean([2.0, 4.0, 9.0], 0.5).half, 0.816496580927726 * error)


def test_one_run_has_no_spread_and_none_no_mean():
    assert mean([3.0]) == (3.0, 3.0, 3.0)
    assert all(map(math.isnan, mean([])))
    assert all(map(math.isnan, difference([1.0], [2.0, 3.0])))


def test_a_difference_is_welchs():
    a, b = [1.0, 2.0, 3.0, 4.0], [2.0, 8.0]
    found = difference(a, b)
    va, vb = np.var(a, ddof=1) / 4, np.var(b, ddof=1) / 2
    freedom = (va + vb) ** 2 / (va**2 / 3 + vb**2 / 1)
    assert math.isclose(found.value, -2.5)
    assert 1 < freedom < 1.2  # close to one, where t is 12.706
    assert 0.6 * 12.706 * math.sqrt(va + vb) < found.half < 12.706 * math.sqrt(va + vb)


def test_coverage_of_three_against_three():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        low, high = difference(random.normal(1, 1, 3), random.normal(0, 3, 3))[1:]
        hits += low <= 1 <= high
    assert 0.93 < hits / 1000 < 0.99


@pytest.mark.parametrize(
    ("count", "trials", "low", "high"),
    [(1, 1000, 0.003, 0.556), (5, 5000, 0.032, 0.233), (25, 25_000, 0.065, 0.148)],
)
def test_rates_have_the_published_intervals(count, trials, low, high):
    found = rate(count, trials)
    assert found.value == count / trials
    assert (round(100 * found.low, 3), round(100 * found.high, 3)) == (low, high)


def test_rates_at_the_ends():
    assert rate(0, 10).low == 0
    assert rate(10, 10).high == 1
    assert math.isclose(rate(0, 10).high, 1 - 0.025**0.1)


@pytest.mark.parametrize(
    ("count", "trials", "message"),
    [
        (0, 0, "trials 0: allowed are whole numbers from 1"),
        (-1, 5, "count -1: allowed are whole numbers from 0 to 5"),
        (6, 5, "count 6: allowed are whole numbers from 0 to 5"),
        (1, 2**70, f"trials {2**70}: allowed are whole numbers from 1 to {2**53}"),
    ],
)
def test_k3_a_count_beyond_the_trials_is_no_rate(count, trials, message):
    with pytest.raises(ValueError, match=message):
        rate(count, trials)


def _holm_naive(values):
    """The definition: reject while p_(i) <= level / (count - i); a corrected p is the smallest such level."""
    corrected = []
    for value in values:
        before = [other for other in values if other <= value]
        levels = [
            other * sum(third >= other for third in values) for other in before
        ]  # ties share a rank, the larger factor
        corrected.append(min(1.0, max(levels)))
    return corrected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_follows_its_definition(values):
    assert np.allclose(holm(values), _holm_naive(values), rtol=1e-12)
    assert (holm(values) >= np.array(values)).all()
    assert (
        holm(values) <= np.minimum(1, len(values) * np.array(values)) + 1e-12
    ).all()  # never above Bonferroni


def test_holm_keeps_the_error_of_all_tests_together():
    rng = np.random.default_rng(0)
    runs = 4000
    wrong = sum(holm(rng.uniform(size=20)).min() < 0.05 for _ in range(runs)) / runs
    assert abs(wrong - (1 - (1 - 0.05 / 20) ** 20)) < 4 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, math.nan])
def test_holm_refuses_what_is_no_probability(wrong):
    with pytest.raises(ValueError, match=r"p_values.* (-0.1|1.5|nan): allowed are"):
        holm([0.5, wrong])


def test_unpaired_is_the_z_test_of_two_means():
    """Standard errors 3 and 4, means 10 apart: z = 2."""
    quantile = 1.959963984540054
    one, other = (
        Interval(20, 20 - 3 * quantile, 20 + 3 * quantile),
        Interval(10, 10 - 4 * quantile, 10 + 4 * quantile),
    )
    found, p_value = unpaired(one, other)
    assert np.allclose(found, (10, 10 - 5 * quantile, 10 + 5 * quantile))
    assert math.isclose(p_value, 0.04550026389635842, rel_tol=1e-12)


def test_unpaired_needs_an_error_to_judge_by():
    with pytest.raises(ValueError, match="allowed are intervals of which one has a length"):
        unpaired(Interval(1, 1, 1), Interval(0, 0, 0))


def test_k3_values_that_are_all_the_same_have_a_point_and_no_warning():
    assert mean([2.0, 2.0, 2.0]) == Interval(2.0, 2.0, 2.0)
    assert mean([0.1, 0.1, 0.1]).half < 1e-15
    assert difference([2.0, 2.0], [0.5, 0.5]) == Interval(1.5, 1.5, 1.5)
    assert mean([3.0]) == Interval(3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean([1.0, math.nan]), r"values\[1\] nan: allowed"),
        (lambda: mean([1.0, math.inf]), r"values\[1\] inf: allowed are finite numbers"),
        (lambda: mean(np.ones((2, 2))), r"values ndarray float64 \(2, 2\): allowed is one dimension"),
        (lambda: mean([1e200, 0.0]), r"values up to 1e\+200: allowed are numbers up to 1e\+150"),
        (lambda: difference([1.0, 2.0], [1e200, 0.0]), r"base up to 1e\+200"),
        (lambda: mean([1.0, 2.0], 1.0), "confidence 1.0: allowed are numbers between 0 and 1"),
        (lambda: rate(1, 2, 0.0), "confidence 0.0: allowed are numbers between 0 and 1"),
        (lambda: unpaired(mean([]), mean([1.0, 2.0])), "one nan: allowed are numbers"),
        (lambda: rate("1", 2), "count '1': allowed are whole numbers"),
    ],
)
def test_k3_what_has_no_interval_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
