"""A global threshold on the loss (Yeom et al., CSF 2018), and how any attack's threshold is chosen."""

import torch

from privacy_for_free.attacks.confidences import check_models
from privacy_for_free.core.entrance import MASK, ORDERED, entrance

CANDIDATES = 1024
SCORES_PER_CANDIDATE = 16  # that quantiles are taken from


@entrance(shapes="losses K N, membership K N")
def scores(losses: torch.Tensor, membership: torch.Tensor) -> torch.Tensor:
    """Return float64 K x N: minus the loss, higher for members. ValueError for fewer than 4 models."""
    check_models(membership)
    return -losses.double()


@entrance(scores=ORDERED, counted=MASK, shapes="scores K N, membership K N, counted K N")
def best_threshold(
    scores: torch.Tensor, membership: torch.Tensor, counted: torch.Tensor | None = None
) -> float:
    """Return the threshold of the largest TPR - FPR; `score >= threshold` says member.

    scores      float64, K x N
    membership  bool, K x N
    counted     bool, K x N: which pairs the rates are of; None for all

    Candidates are quantiles of the scores (all values, where there are not more than CANDIDATES), members or
    not; of equals, the lowest. ValueError where no member is counted, or no non-member.
    """
    counted = torch.ones_like(membership) if counted is None else counted
    values, inside = scores[counted].double(), membership[counted]
    for side, name in ((inside, "members"), (~inside, "non-members")):
        if not bool(side.any()):
            raise ValueError(f"membership: 0 {name} of {len(side)} counted: allowed are one or more")
    candidates = values[:: max(1, len(values) // (SCORES_PER_CANDIDATE * CANDIDATES))].sort().values
    if len(candidates) > CANDIDATES:
        candidates = candidates[torch.linspace(0, len(candidates) - 1, CANDIDATES).long()]
    candidates = torch.cat([values.min()[None], candidates]).unique()
    cells = torch.searchsorted(candidates, values, right=True) - 1  # the last candidate not above the score
    rates = []
    for side in (inside, ~inside):
        counts = torch.bincount(cells[side], minlength=len(candidates)).double()
        rates.append(counts.flip(0).cumsum(0).flip(0) / counts.sum())
    return float(candidates[(rates[0] - rates[1]).argmax()])
