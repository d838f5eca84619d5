"""The likelihood-ratio attack (LiRA; Carlini et al., S&P 2022), every model in turn the target.

For each example the shadows that hold it, and those that do not, give a Gaussian each of the statistic; the
score is the log likelihood ratio of the target's value (online), or how far it lies above the Gaussian of the
shadows without it (offline). A target's own row is left out of everything its score is computed from, by
subtracting it from sums over all models: no loop over targets or examples.

Implementations called LiRA differ in five places. Ours:

1. centre: the mean (`centre="mean"`), as in the paper's algorithm 1; its released code takes the median,
   `centre="median"`.
2. unequal numbers of shadows in and out: all are used, each side with its own number. The released code cuts
   every example down to the smallest number.
3. fixed variance (`variance="fixed"`): the residuals about each example's own mean, pooled over examples, in
   and out apart. The released code takes the spread of all values, differences between examples included.
4. offline: the one-sided tail of the paper's equation 4, log Phi((x - mu_out) / sigma_out), not the two-sided
   density of the released code.
5. inference: networks here have no layer that behaves differently in training, and queries are aligned, the
   same for every model. Several queries count as independent: their log likelihoods add up.

Per-example variances are unbiased, and the smallest allowed is FLOOR times the statistic's overall variance.
"""

import math

import torch
from torch.special import log_ndtr

from privacy_for_free.attacks.confidences import check_models
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance

VARIANCES = ("per_example", "fixed")
CENTRES = ("mean", "median")
FLOOR = 1e-12


@entrance(shapes="statistics K N [queries], membership K N")
def scores(
    statistics: torch.Tensor,
    membership: torch.Tensor,
    *,
    online: bool = True,
    variance: str = "per_example",
    centre: str = "mean",
) -> torch.Tensor:
    """Return float64 K x N: the score of every example when model k is the target, higher for members.

    statistics  K x N, or K x N x queries: `confidences.logit_scaled_confidence`
    membership  bool, K x N: which model was trained on which example
    online      whether shadows that hold the example are used; offline those without it only
    variance    "per_example", or "fixed" for all examples, the better choice with few shadows
    centre      "mean" or "median" of the shadows' values

    ValueError for unknown choices, fewer than 4 models, values that are not finite, and an example that, the
    target left out, is in (online) or out of fewer models than the variance needs: two, or one if it is
    fixed.
    """
    validate.one_of("variance", variance, VARIANCES)
    validate.one_of("centre", centre, CENTRES)
    least = 2 if variance == "per_example" else 1
    check_models(membership, least if online else 0, least)
    if not bool(torch.isfinite(statistics).all()):  # also where it is called behind its entrance
        raise ValueError("statistics that are not all finite: allowed are finite numbers")
    values = statistics.double()
    values = values[..., None] if values.dim() == 2 else values
    total = torch.zeros_like(values[..., 0])
    for query in values.unbind(-1):
        floor = FLOOR * query.var().clamp_min(torch.finfo(torch.float64).tiny)
        out_centre, out_variance = _shadows(query, ~membership, variance, centre, floor)
        z = (query - out_centre) / out_variance.sqrt()
        if not online:
            total += log_ndtr(z)
            continue
        in_centre, in_variance = _shadows(query, membership, variance, centre, floor)
        total += _log_density(query, in_centre, in_variance) - _log_density(query, out_centre, out_variance)
    if bool(total.isnan().any()):
        most = values.abs().max()
        raise ValueError(
            f"statistics up to {most:.3g}: allowed are numbers that have finite squares and spread"
        )
    return total


def _log_density(x: torch.Tensor, centre: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    return -0.5 * ((x - centre).square() / variance + variance.log() + math.log(2 * math.pi))


def _shadows(
    values: torch.Tensor, side: torch.Tensor, variance: str, centre: str, floor: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return centre and variance (K x N each, or K x 1) of one side's values, the target's own left out."""
    weight = side.double()
    middle = values.mean(0)  # of all models: knows nothing of who is a member
    moved = values - middle
    own = moved * weight
    count = weight.sum(0) - weight
    mean = (own.sum(0) - own) / count
    squares = own * moved
    spread = ((squares.sum(0) - squares) - count * mean.square()).clamp_min(0)
    if variance == "per_example":
        spread = spread / (count - 1)
    else:
        spread = spread.sum(1, keepdim=True) / (count - 1).sum(1, keepdim=True)
    if centre == "median":
        return _medians(values, side), spread.clamp_min(floor)
    return mean + middle, spread.clamp_min(floor)


def _medians(values: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """Return K x N: the median over one side of each example's values, the target's own left out."""
    inside = values.masked_fill(~side, torch.inf)  # the other side goes to the end
    ordered, order = inside.sort(0)
    models = len(values)
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(models)[:, None].expand_as(order))
    removed = torch.where(side, rank, models)
    count = side.sum(0) - side.long()
    middle = [(count - 1) // 2, count // 2]
    low, high = (ordered.gather(0, place + (place >= removed)) for place in middle)
    return (low + high) / 2
