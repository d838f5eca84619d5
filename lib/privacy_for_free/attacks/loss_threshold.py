"""A global threshold on the loss, chosen on shadows (Yeom et al., CSF 2018)."""

import torch

from privacy_for_free.attacks.statistics import check

CANDIDATES = 4096


def scores(losses: torch.Tensor, membership: torch.Tensor) -> torch.Tensor:
    """Return float64 K x N: minus the loss, higher for members. Checks are those of `statistics.check`."""
    check(losses, membership)
    return -losses.double()


def thresholds(scores: torch.Tensor, membership: torch.Tensor) -> torch.Tensor:
    """Return float64, K: for each target the threshold that is best on its shadows' scores and members.

    scores      float, K x N, of any attack; `score >= threshold` says member
    membership  bool, K x N

    Best is the largest TPR - FPR over all the other models' examples together. Candidates are CANDIDATES
    quantiles of all scores, which know nothing of who is a member (all values, where there are fewer); of
    equals, the lowest. The target's members play no part. ValueError as `statistics.check`, and where a model
    has no members or nothing but members.
    """
    check(scores, membership)
    alone = (membership.all(1) | ~membership.any(1)).nonzero()
    if len(alone):
        raise ValueError(f"model {int(alone[0])}: allowed are models with members and non-members")
    values = scores.double()
    candidates = values.flatten().unique()
    if len(candidates) > CANDIDATES:
        ordered = values.flatten().sort().values
        candidates = ordered[torch.linspace(0, len(ordered) - 1, CANDIDATES).long()].unique()
    cells = torch.searchsorted(candidates, values, right=True) - 1  # the last candidate not above the score
    rates = []
    for side in (membership, ~membership):
        counts = torch.zeros((len(values), len(candidates)), dtype=torch.float64)
        counts.scatter_add_(1, cells, side.double())
        above = counts.flip(1).cumsum(1).flip(1)  # scores at or above each candidate
        others = above.sum(0) - above
        rates.append(others / (side.sum() - side.sum(1))[:, None])
    return candidates[(rates[0] - rates[1]).argmax(1)]
