"""The threshold on the loss against trying every one, and what it must not see."""

import pytest
import torch

from privacy_for_free.attacks import loss_threshold
from privacy_for_free.randomness import generator


def planted(models=6, examples=50, shift=1.0, decimals=None):
    stream = generator(0, "losses")
    membership = torch.rand((models, examples), generator=stream) < 0.5
    losses = torch.randn((models, examples), generator=stream, dtype=torch.float64) - shift * membership
    return (losses if decimals is None else losses.round(decimals=decimals)), membership


@pytest.mark.parametrize("decimals", [None, 0])
def test_best_on_the_shadows_of_all_thresholds(decimals):
    losses, membership = planted(decimals=decimals)
    scores = loss_threshold.scores(losses, membership)
    found = loss_threshold.thresholds(scores, membership)
    for k in range(6):
        rest = [j for j in range(6) if j != k]
        values, inside = scores[rest].flatten(), membership[rest].flatten()
        candidates = scores.flatten().unique()
        gains = torch.stack(
            [
                (values[inside] >= t).double().mean() - (values[~inside] >= t).double().mean()
                for t in candidates
            ]
        )
        assert found[k] in candidates[gains >= gains.max() - 1e-12]


def test_no_target_sees_its_own_row():
    losses, membership = planted()
    before = loss_threshold.thresholds(-losses, membership)
    swapped = membership.clone()
    swapped[2] = ~swapped[2]
    assert loss_threshold.thresholds(-losses, swapped)[2] == before[2]


def test_many_values_are_thinned_out_to_quantiles(monkeypatch):
    losses, membership = planted(8, 2000, 2.0)
    exact = loss_threshold.thresholds(-losses, membership)
    monkeypatch.setattr(loss_threshold, "CANDIDATES", 100)
    coarse = loss_threshold.thresholds(-losses, membership)
    assert (exact - coarse).abs().max() < 0.3
    assert (coarse - 1.0).abs().max() < 0.3  # the losses are N(0, 1) and N(-2, 1): best between


def test_a_model_without_members_is_named():
    losses, membership = planted()
    membership[3] = False
    with pytest.raises(ValueError, match="model 3: allowed are models with members and non-members"):
        loss_threshold.thresholds(-losses, membership)
