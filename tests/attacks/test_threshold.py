"""The threshold on the loss against trying every one."""

import pytest
import torch

from privacy_for_free.attacks import threshold
from privacy_for_free.core.randomness import generator


def planted(models=6, examples=50, shift=1.0, decimals=None):
    stream = generator(0, "losses")
    membership = torch.rand((models, examples), generator=stream) < 0.5
    losses = torch.randn((models, examples), generator=stream, dtype=torch.float64) - shift * membership
    return (losses if decimals is None else losses.round(decimals=decimals)), membership


@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("part", [False, True])
def test_best_of_all_thresholds(decimals, part):
    losses, membership = planted(decimals=decimals)
    counted = torch.rand(membership.shape, generator=generator(0, "counted")) < (0.3 if part else 2)
    scores = threshold.scores(losses, membership)
    found = threshold.best_threshold(scores, membership, counted if part else None)
    values, inside = scores[counted], membership[counted]
    candidates = values.unique()
    gains = torch.stack(
        [(values[inside] >= t).double().mean() - (values[~inside] >= t).double().mean() for t in candidates]
    )
    assert found == candidates[gains.argmax()]


def test_many_values_are_thinned_out_to_quantiles(monkeypatch):
    losses, membership = planted(8, 2000, 2.0)
    exact = threshold.best_threshold(-losses, membership)
    monkeypatch.setattr(threshold, "CANDIDATES", 100)
    coarse = threshold.best_threshold(-losses, membership)
    assert abs(exact - coarse) < 0.3
    assert abs(coarse - 1.0) < 0.3  # the losses are N(0, 1) and N(-2, 1): best between


def test_no_member_or_no_other_is_named():
    losses, membership = planted()
    with pytest.raises(ValueError, match="0 members of 300 counted: allowed are one or more"):
        threshold.best_threshold(-losses, torch.zeros_like(membership))
    with pytest.raises(ValueError, match="0 non-members of"):
        threshold.best_threshold(-losses, membership, membership)


def test_k3_nothing_counted_is_refused():
    losses, membership = planted()
    with pytest.raises(ValueError, match="0 members of 0 counted: allowed are one or more"):  # case 32
        threshold.best_threshold(-losses, membership, torch.zeros_like(membership))


def test_k3_infinite_scores_have_a_threshold_and_other_shapes_none():
    membership = torch.tensor([[True, False, True, False]])
    scores = torch.tensor([[torch.inf, 0.0, 1.0, -torch.inf]])
    assert threshold.best_threshold(scores, membership) == 1.0
    with pytest.raises(ValueError, match=r"scores: nan at \(0, 1\); allowed are numbers, infinite ones too"):
        threshold.best_threshold(scores.masked_fill(scores == 0, torch.nan), membership)
    with pytest.raises(
        ValueError, match=r"counted torch.bool \(1, 3\): allowed is K x N, with N = 4 as of scores"
    ):
        threshold.best_threshold(scores, membership, membership[:, :3])
