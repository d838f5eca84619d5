"""Counting: against simulation, the definition of the test, and the published rule of thumb."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from privacy_for_free.attacks import power as module
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
        (lambda: power(0, 0.1), "members 0: allowed are whole numbers from 1 to 1000000000000000"),
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


def whole_search(tpr, fpr, chance, level, sides):
    """The number after which the power stays above `chance`, from the powers of all numbers."""
    upper = 2 * members_needed(tpr, fpr, chance, level, False, sides) + 50
    while True:
        failed = np.flatnonzero(power(np.arange(1, upper + 1), tpr, fpr, level, sides) < chance)
        last = int(failed[-1]) + 1 if len(failed) else 0
        if last < 0.75 * upper:
            return last + 1
        upper *= 2


@pytest.mark.parametrize("few", [1, 4096])
@settings(max_examples=25, deadline=None)
@given(
    fpr=st.floats(0.001, 0.9),
    gap=st.floats(0.02, 0.9),
    chance=st.floats(0.01, 0.9999),
    level=st.floats(1e-6, 0.9),
    sides=st.sampled_from([1, 2]),
)
def test_k4_a_search_of_teeth_finds_what_a_search_of_all_numbers_does(few, fpr, gap, chance, level, sides):
    # case 22
    tpr = fpr + gap * (1 - fpr)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW", few)  # 1: from where the normal approximation has no failure
        found = members_needed(tpr, fpr, chance, level, sides=sides)
    assert found == whole_search(tpr, fpr, chance, level, sides)


def test_k4_rates_that_are_close_are_found_and_closer_ones_refused_by_name():
    # case 22
    for tpr, expected in ((0.00105, 3_243_465), (0.00101, 78_948_599)):
        needed = members_needed(tpr)
        assert needed == expected
        assert power(needed - 1, tpr) < 0.8 <= power(needed, tpr)
        assert power(np.arange(needed, needed + 20_000), tpr).min() >= 0.8
    for rates, about in (((0.0010000001, 0.001), "about 7"), ((0.9999999, 0.9999998), "the number")):
        with pytest.raises(ValueError, match=f"tpr {rates[0]} above fpr {rates[1]}: {about}"):
            members_needed(*rates)
    with pytest.raises(
        ValueError, match=r"tpr 2e-308 above fpr 1e-308: about inf members.*allowed are rates"
    ):
        members_needed(2e-308, 1e-308)
    with pytest.raises(ValueError, match=r"tpr 0.5000001 above fpr 0.5: .*steps of the power; allowed are"):
        members_needed(0.5000001, 0.5, chance=0.025)
    assert members_needed(0.0010000001, exact=False) == pytest.approx(7.84e17, rel=0.01)


def test_k4_powers_of_many_members_come_in_chunks(monkeypatch):
    # case 22
    sizes = np.arange(1, 13).reshape(3, 4)
    whole = power(sizes, 0.3, 0.1)
    monkeypatch.setattr(module, "CHUNK", 5)
    assert np.array_equal(power(sizes, 0.3, 0.1), whole)


def test_k4_extreme_arguments_have_an_answer_or_one_refusal():
    # case 22
    assert power(10**12, 0.0010001, 0.001) == pytest.approx(0.88, abs=0.02)
    assert power(1, 0.5, level=1e-300) == 0.0
    with pytest.raises(ValueError, match=r"level 5e-324: allowed are numbers from 1e-300, below 1"):
        power(1, 0.5, level=5e-324)
    assert detectable(10**12) == pytest.approx(0.001, abs=1e-6)
    assert power(1000, detectable(1000, chance=1 - 1e-9)) == pytest.approx(1 - 1e-9, abs=1e-9)
    with pytest.raises(ValueError, match=r"members 10+1: allowed are whole numbers from 1 to 10+$"):
        power(10**15 + 1, 0.5)
    with pytest.raises(ValueError, match=r"members -1: allowed"):
        power(np.array([3, -1]), 0.5)
    with pytest.raises(ValueError, match=r"chance 1e-09: allowed are numbers from 0.0\d+, as without a leak"):
        detectable(1000, chance=1e-9)


def one_by_one(tpr, fpr, chance, level, sides):
    """The number after the last failure, from the power of every number of members."""
    upper = 52
    while True:
        failed = np.flatnonzero(power(np.arange(1, upper + 1), tpr, fpr, level, sides) < chance)
        last = int(failed[-1]) + 1 if len(failed) else 0
        if last < upper / 2:
            return last + 1
        upper *= 2


@settings(max_examples=20, deadline=None)
@given(
    fpr=st.floats(1e-3, 0.5),
    share=st.floats(0.05, 0.95),
    chance=st.sampled_from([0.3, 0.5, 0.8, 0.99]),
    level=st.sampled_from([1e-17, 1e-3, 0.05, 0.3]),
    sides=st.sampled_from([1, 2]),
)
def test_k4_a_window_finds_what_trying_every_number_finds(fpr, share, chance, level, sides):
    tpr = fpr + share * (1 - fpr)
    assert members_needed(tpr, fpr, chance, level, sides=sides) == one_by_one(tpr, fpr, chance, level, sides)


def test_k4_small_levels_and_what_is_never_detectable():
    assert power(1000, 0.5, level=1e-100) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"chance 0.8: allowed are .* members 1,"):
        detectable(1, fpr=0.1)
    assert 0.001 < detectable(10**12) < 0.0010001
