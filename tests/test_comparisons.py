"""Intervals against tables of Student's t, and their coverage."""

import math

import numpy as np

from privacy_for_free.comparisons import difference, mean


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
