"""LiRA against a loop over targets and examples, planted leaks, and what it must not see."""

import itertools
import math
from statistics import fmean, median

import pytest
import torch
from scipy import stats

from privacy_for_free.attacks import lira, roc
from privacy_for_free.core.randomness import generator
from privacy_for_free.shadows.halves import random_halves

CHOICES = list(itertools.product((True, False), lira.VARIANCES, lira.CENTRES))


def planted(models=64, examples=400, shift=1.0, seed=0, queries=None):
    """Members' statistics lie `shift` higher, about an example's own mean and with its own spread."""
    stream = generator(seed, "planted")
    membership = random_halves(models, torch.zeros(examples, dtype=torch.int64), stream)
    shape = (models, examples) if queries is None else (models, examples, queries)
    middle = 3 * torch.randn(shape[1:], generator=stream, dtype=torch.float64)
    noise = torch.randn(shape, generator=stream, dtype=torch.float64)
    inside = membership if queries is None else membership[..., None]
    return middle + noise + shift * inside, membership


def naive(statistics, membership, online, variance, centre):
    """One target and one example at a time, with the target's row deleted first."""
    K, N = membership.shape
    middle = {"mean": fmean, "median": median}[centre]
    out = torch.empty(K, N, dtype=torch.float64)
    for k in range(K):
        rest = [j for j in range(K) if j != k]
        groups = {
            (i, side): [float(statistics[j, i]) for j in rest if bool(membership[j, i]) == side]
            for i in range(N)
            for side in (True, False)
        }
        squares = {key: sum((v - sum(x) / len(x)) ** 2 for v in x) for key, x in groups.items() if x}
        pooled = {
            side: sum(squares[i, side] for i in range(N)) / sum(len(groups[i, side]) - 1 for i in range(N))
            for side in (True, False)
            if all(groups[i, side] for i in range(N))
        }
        for i in range(N):
            value, log = float(statistics[k, i]), {}
            for side in (True, False) if online else (False,):
                x = groups[i, side]
                var = squares[i, side] / (len(x) - 1) if variance == "per_example" else pooled[side]
                gaussian = stats.norm(middle(x), math.sqrt(var))
                log[side] = gaussian.logpdf(value) if online else gaussian.logcdf(value)
            out[k, i] = log[True] - log[False] if online else log[False]
    return out


@pytest.mark.parametrize(("online", "variance", "centre"), CHOICES)
def test_same_as_a_loop_over_targets_and_examples(online, variance, centre):
    statistics, _ = planted(10, 12, seed=3)
    membership = torch.rand((10, 12), generator=generator(1, "uneven")) < 0.45  # unequal counts: all are used
    membership[:3], membership[3:6] = True, False
    found = lira.scores(statistics, membership, online=online, variance=variance, centre=centre)
    expected = naive(statistics, membership, online, variance, centre)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_queries_are_independent_and_add_up():
    statistics, membership = planted(12, 30, queries=3)
    together = lira.scores(statistics, membership)
    apart = sum(lira.scores(statistics[..., q], membership) for q in range(3))
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize(("online", "variance", "centre"), CHOICES)
def test_no_target_sees_its_own_row(online, variance, centre):
    statistics, membership = planted(16, 40)
    options = {"online": online, "variance": variance, "centre": centre}
    before = lira.scores(statistics, membership, **options)
    for target in (0, 7, 15):
        swapped = membership.clone()
        swapped[target] = ~swapped[target]
        after = lira.scores(statistics, swapped, **options)
        torch.testing.assert_close(after[target], before[target], rtol=1e-9, atol=1e-9)
        others = [k for k in range(16) if k != target]
        assert (after[others] - before[others]).abs().max() > 1e-3


@pytest.mark.parametrize("shift", [0.5, 2.0])
@pytest.mark.parametrize(("variance", "tolerance"), [("fixed", 0.08), ("per_example", 0.1)])
def test_a_planted_leak_gives_the_analytic_roc(shift, variance, tolerance):
    """With 511 shadows a side; a variance estimated for each example costs power where the FPR is low."""
    statistics, membership = planted(1024, 300, shift)
    scores = lira.scores(statistics, membership, variance=variance)
    assert abs(roc.auc(scores, membership) - stats.norm.cdf(shift / math.sqrt(2))) < 0.01
    for fpr in (0.01, 0.1):
        expected = stats.norm.cdf(stats.norm.ppf(fpr) + shift)
        assert abs(roc.tpr_at_fpr(scores, membership, fpr).value - expected) < tolerance * expected


def test_offline_loses_nothing_where_all_spreads_are_equal():
    statistics, membership = planted(64, 1000, 1.0)
    on, off = (
        roc.auc(lira.scores(statistics, membership, online=online, variance="fixed"), membership)
        for online in (True, False)
    )
    assert abs(on - off) < 0.01
    assert off > 0.74


def test_online_gains_where_members_are_only_more_alike():
    """Members' statistics have the same mean and a third of the spread: nothing for a one-sided tail."""
    stream = generator(0, "alike")
    membership = random_halves(64, torch.zeros(1000, dtype=torch.int64), stream)
    noise = torch.randn(membership.shape, generator=stream, dtype=torch.float64)
    statistics = noise * torch.where(membership, 1 / 3, 1.0)
    on, off = (
        roc.auc(lira.scores(statistics, membership, online=online), membership) for online in (True, False)
    )
    assert on > 0.7
    assert abs(off - 0.5) < 0.02


@pytest.mark.parametrize(("online", "variance", "centre"), CHOICES)
def test_shuffled_membership_gives_a_half(online, variance, centre):
    statistics, _ = planted(64, 1000, 2.0)
    other = planted(64, 1000, seed=9)[1]
    scores = lira.scores(statistics, other, online=online, variance=variance, centre=centre)
    assert abs(roc.auc(scores, other) - 0.5) < 0.01


def test_few_shadows_favour_the_fixed_variance():
    statistics, membership = planted(8, 4000, 1.0)
    found = {v: roc.auc(lira.scores(statistics, membership, variance=v), membership) for v in lira.VARIANCES}
    assert found["fixed"] > found["per_example"] + 0.01


def test_constant_statistics_give_no_infinity():
    _, membership = planted(8, 20)
    statistics = torch.ones(8, 20)
    for online, variance, centre in CHOICES:
        scores = lira.scores(statistics, membership, online=online, variance=variance, centre=centre)
        assert bool(torch.isfinite(scores).all())


def spoilt(position, value):
    statistics, membership = planted(8, 20)
    if value is None:
        membership[position] = True
        return statistics, membership
    statistics[position] = value
    return statistics, membership


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        (spoilt((2, 5), math.nan), {}, r"statistics: nan at \(2, 5\); allowed are finite"),
        (spoilt((7, 0), math.inf), {"online": False}, r"statistics: inf at \(7, 0\); allowed are finite"),
        (spoilt((slice(None), 3), None), {}, "example 3 is out of 0 of 8 models: allowed are 3 or more"),
        (spoilt((slice(0, 7), 3), None), {"online": False, "variance": "fixed"}, "example 3 is out of"),
        (tuple(part[:2] for part in planted(8, 20)), {}, "membership of 2 models: allowed are 4 or more"),
        (planted(8, 20), {"variance": "shared"}, "variance 'shared': known are per_example, fixed"),
        (planted(8, 20), {"centre": "mode"}, "centre 'mode': known are mean, median"),
        ((planted(8, 20)[0], planted(8, 20)[1].float()), {}, r"membership .*torch.float32"),
        (
            (planted(8, 20)[0][:, :5], planted(8, 20)[1]),
            {},
            r"membership torch.bool \(8, 20\): allowed is K x N, with N = 5 as of statistics",
        ),
    ],
)
def test_bad_input_is_named(case, options, message):
    with pytest.raises(ValueError, match=message):
        lira.scores(*case, **options)


def test_offline_needs_no_model_with_the_example():
    statistics, membership = planted(8, 20)
    membership[:, 4] = False
    assert bool(torch.isfinite(lira.scores(statistics, membership, online=False)).all())
    with pytest.raises(ValueError, match="example 4 is in 0 of 8"):
        lira.scores(statistics, membership)


def test_k3_statistics_whose_squares_are_infinite_give_no_score_that_is_not_a_number():
    statistics, membership = planted(8, 20)
    with pytest.raises(ValueError, match=r"statistics up to .*e\+200: allowed are numbers"):
        lira.scores(statistics.double() * 1e200, membership, online=False, variance="fixed")
