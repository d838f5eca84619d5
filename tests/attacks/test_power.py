"""Counting: against simulation, the definition of the test, and the published rule of thumb."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from privacy_for_free.attacks.power import detectable, members_needed, power


def naive(members, tpr, fpr, level, sides):
    """The chance of all counts that the exact test rejects for on the upper side, one by one."""
    total = 0.0
    for count in range(members + 1):
        if stats.binomtest(count, members, fpr, alternative="greater").pvalue <= level / sides:
            total += math.comb(members, count) * tpr**count * (1 - tpr) ** (members - count)
    return total


@settings(max_examples=30, deadline=None)
@given(
    members=st.integers(1, 60),
    tpr=st.floats(0.05, 0.95),
    fpr=st.floats(0.01, 0.5),
    level=st.floats(0.01, 0.3),
    sides=st.sampled_from([1, 2]),
)
def test_power_is_the_chance_to_reject(members, tpr, fpr, level, sides):
    expected = naive(members, tpr, fpr, level, sides)
    assert power(members, tpr, fpr, level, sides) == pytest.approx(expected, abs=1e-9)


def test_without_a_leak_it_errs_no_more_often_than_half_the_level():
    sizes = np.arange(1, 20_000, 37)
    assert power(sizes, 0.001, 0.001).max() <= 0.025


def test_simulated():
    counts = np.random.default_rng(0).binomial(3000, 0.003, 20_000)
    seen = [stats.binomtest(int(c), 3000, 0.001, alternative="greater").pvalue <= 0.025 for c in range(30)]
    assert np.mean(np.array(seen)[np.minimum(counts, 29)]) == pytest.approx(power(3000, 0.003), abs=0.01)


def test_the_rule_of_thumb():
    """About 2,900 members tell .3 % from .1 %, by the normal approximation; the exact test wants more."""
    assert members_needed(0.003, exact=False) == pytest.approx(2900, rel=0.01)
    needed = members_needed(0.003)
    assert power(needed - 1, 0.003) < 0.8
    assert power(np.arange(needed, 4 * needed), 0.003).min() >= 0.8
    assert 2900 < needed < 1.5 * 2900


@pytest.mark.parametrize("exact", [True, False])
def test_a_one_sided_test_is_a_two_sided_one_at_twice_the_level(exact):
    needed = members_needed(0.03, 0.01, sides=1, exact=exact)
    assert (
        needed == members_needed(0.03, 0.01, level=0.1, exact=exact) < members_needed(0.03, 0.01, exact=exact)
    )
    if exact:
        assert power(needed - 1, 0.03, 0.01, sides=1) < 0.8
        assert power(np.arange(needed, 4 * needed), 0.03, 0.01, sides=1).min() >= 0.8


@pytest.mark.parametrize("members", [100, 1000, 25_000])
def test_what_is_detectable_has_the_power(members):
    assert power(members, detectable(members)) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power(0, 0.1), "members 0: allowed are whole numbers from 1 up"),
        (lambda: power(2.5, 0.1), "members 2.5"),
        (lambda: power(10, 1.5), "tpr 1.5: allowed are numbers between 0 and 1"),
        (lambda: members_needed(0.001), "tpr 0.001: allowed are numbers above fpr, here 0.001"),
        (lambda: members_needed(0.01, chance=1.0), r"chance 1.0"),
        (lambda: members_needed(0.01, sides=3), "sides 3: allowed are 1 and 2"),
        (lambda: power(10, 0.1, sides=0), "sides 0: allowed are 1 and 2"),
        (lambda: detectable(0), "members 0"),
        (lambda: detectable(10, level=math.nan), "level nan"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
