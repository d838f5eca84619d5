"""Rates against counting by hand, ties included; intervals against resampling one by one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privacy_for_free.attacks import roc
from privacy_for_free.core.randomness import generator
from privacy_for_free.stats.intervals import rate

CASES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({inside for _, inside in rows}) == 2
)


def tensors(rows):
    return torch.tensor([float(score) for score, _ in rows]), torch.tensor([inside for _, inside in rows])


def by_hand(rows):
    """(FPR, TPR) of every threshold, from the highest."""
    members = [score for score, inside in rows if inside]
    others = [score for score, inside in rows if not inside]
    points = [
        (sum(s >= t for s in others) / len(others), sum(s >= t for s in members) / len(members))
        for t in sorted({score for score, _ in rows}, reverse=True)
    ]
    return [(0.0, 0.0), *points], members, others


@given(CASES)
def test_the_curve_and_its_area(rows):
    points, members, others = by_hand(rows)
    fpr, tpr, thresholds = roc.roc(*tensors(rows))
    np.testing.assert_allclose(np.stack([fpr, tpr], 1), points)
    assert (thresholds[1:] < thresholds[:-1]).all()
    pairs = [(a > b) + (a == b) / 2 for a in members for b in others]
    assert math.isclose(roc.auc(*tensors(rows)), sum(pairs) / len(pairs), abs_tol=1e-12)
    assert math.isclose(np.trapezoid(tpr, fpr), roc.auc(*tensors(rows)), abs_tol=1e-12)


@given(CASES, st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0]))
def test_tpr_at_a_fixed_fpr_is_the_best_threshold_within_it(rows, fpr):
    points, members, _ = by_hand(rows)
    best = max(tpr for found, tpr in points if found <= fpr)
    assert roc.tpr_at_fpr(*tensors(rows), fpr) == rate(round(best * len(members)), len(members))


@pytest.mark.parametrize("part", [False, True])
def test_bootstrap_against_resampling_by_index(part):
    stream = generator(0, "bootstrap")
    members = torch.rand((6, 40), generator=stream) < 0.5
    called = torch.rand((6, 40), generator=stream) < 0.3 + 0.4 * members
    counted = torch.rand((6, 40), generator=stream) < (0.5 if part else 2)
    found = roc.bootstrap_rates(called, members, counted if part else None, 0, 4000)
    assert np.array_equal(found, roc.bootstrap_rates(called, members, counted, 0, 4000))
    random, values = np.random.default_rng(0), []
    for _ in range(4000):
        rows, columns = random.integers(0, 6, 6), random.integers(0, 40, 40)
        says, inside, of = (matrix[rows][:, columns] for matrix in (called, members, counted))
        values.append([float(says[side & of].double().mean()) for side in (inside, ~inside)])
    assert (np.abs(found.mean(0) - np.mean(values, 0)) < 4 * np.std(values, 0) / 60).all()
    np.testing.assert_allclose(found.std(0), np.std(values, 0), rtol=0.08)


def test_bootstrap_interval_is_wide_enough():
    """Cells independent: the pigeonhole interval of 95 % covers the truth at least that often, about."""
    covered = 0
    for seed in range(60):
        stream = generator(seed, "coverage")
        members = torch.rand((16, 60), generator=stream) < 0.5
        called = torch.rand((16, 60), generator=stream) < 0.3 + 0.2 * members
        rates = roc.bootstrap_rates(called, members, None, seed, 400)
        low, high = np.quantile(rates[:, 0] - rates[:, 1], [0.025, 0.975])
        covered += low <= 0.2 <= high
    assert covered >= 54


@pytest.mark.parametrize(
    ("scores", "members", "message"),
    [
        (torch.zeros(3), torch.ones(3, dtype=torch.bool), "members: 3 of 3: allowed are some, but not all"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.bool), "members: 0 of 3"),
        (
            torch.zeros(3),
            torch.zeros(4, dtype=torch.bool),
            r"members torch.bool \(4,\): allowed is ..., with \(3,\) for ..., as of scores",
        ),
        (
            torch.tensor([0.0, math.nan]),
            torch.tensor([True, False]),
            r"scores: nan at \(1,\); allowed are numbers",
        ),
    ],
)
def test_bad_input(scores, members, message):
    for function in (roc.roc, roc.auc):
        with pytest.raises(ValueError, match=message):
            function(scores, members)


def test_a_bad_fpr():
    with pytest.raises(ValueError, match=r"fpr 1.5"):
        roc.tpr_at_fpr(torch.arange(2.0), torch.tensor([True, False]), 1.5)


def test_k3_infinite_scores_are_the_highest_and_the_lowest():
    scores = torch.tensor([torch.inf, 1.0, 0.0, -torch.inf])
    members = torch.tensor([True, True, False, False])
    assert roc.auc(scores, members) == 1.0
    assert roc.tpr_at_fpr(scores, members, 0.0).value == 1.0
    fpr, tpr, thresholds = roc.roc(scores, members)
    assert fpr.tolist() == [0, 0, 0, 0.5, 1]
    assert tpr.tolist() == [0, 0.5, 1, 1, 1]
    assert thresholds.tolist() == [math.inf, math.inf, 1, 0, -math.inf]


def test_k3_a_bootstrap_without_members_or_without_others_is_refused():
    called = torch.zeros((4, 6), dtype=torch.bool)
    for members, side in ((called, "members"), (~called, "non-members")):
        with pytest.raises(ValueError, match=f"members: 0 {side} of 24 counted: allowed are one or more"):
            roc.bootstrap_rates(called, members)
    members = torch.arange(24).view(4, 6) % 2 == 0
    with pytest.raises(ValueError, match="members: 0 members of 0 counted"):
        roc.bootstrap_rates(called, members, torch.zeros_like(members))
    with pytest.raises(ValueError, match=r"called .*: allowed is a tensor of dtype bool"):
        roc.bootstrap_rates(called.double(), members)
    with pytest.raises(ValueError, match=r"members torch.bool \(3, 6\): allowed is K x N, with K = 4"):
        roc.bootstrap_rates(called, members[:3])
    with pytest.raises(ValueError, match="resamples 0: allowed are whole numbers from 1 up"):
        roc.bootstrap_rates(called, members, resamples=0)


def test_k2_arrays_of_numpy_and_half_precision_are_scores():
    scores = torch.tensor([0.5, 2.0, 1.0, -1.0])
    members = torch.tensor([True, True, False, False])
    expected = roc.tpr_at_fpr(scores, members, 0.5)
    assert roc.tpr_at_fpr(scores.numpy(), members.numpy(), np.float64(0.5)) == expected
    assert roc.tpr_at_fpr(scores.half(), members, 0.5) == expected
    with pytest.raises(ValueError, match=r"fpr .0.5.: allowed are numbers"):
        roc.tpr_at_fpr(scores, members, "0.5")
