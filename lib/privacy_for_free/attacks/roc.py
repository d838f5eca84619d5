"""Rates of an attack, with intervals: ROC, AUC, advantage, TPR at a fixed FPR, and their differences."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from privacy_for_free.randomness import numpy_generator


@dataclass(frozen=True)
class Rate:
    """A rate in 0..1 with its Clopper-Pearson interval; counts are of independent trials."""

    value: float
    low: float
    high: float
    count: int
    trials: int


def rate(count: int, trials: int, confidence: float = 0.95) -> Rate:
    """Return count / trials with its exact (Clopper-Pearson) interval. ValueError for no trials.

    >>> r = rate(1, 1000)
    >>> f"{r.low:.5%} {r.high:.3%}"
    '0.00253% 0.556%'
    """
    if trials < 1 or not 0 <= count <= trials:
        raise ValueError(
            f"{count} of {trials} trials: allowed are one trial or more, and no more hits than that"
        )
    interval = stats.binomtest(int(count), int(trials)).proportion_ci(confidence, method="exact")
    return Rate(count / trials, float(interval.low), float(interval.high), int(count), int(trials))


def roc(scores: torch.Tensor, members: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return FPR, TPR (from 0 to 1) and thresholds (from infinity down) of `score >= threshold`.

    scores, members  float and bool of one shape. Equal scores are one point: no threshold parts them.
    ValueError without members or without non-members.
    """
    values, inside = _flat(scores, members)
    order = np.argsort(-values, kind="stable")
    values, inside = values[order], inside[order]
    last = np.append(values[1:] != values[:-1], True)
    tpr = np.cumsum(inside)[last] / inside.sum()
    fpr = np.cumsum(~inside)[last] / (~inside).sum()
    return np.append(0.0, fpr), np.append(0.0, tpr), np.append(np.inf, values[last])


def auc(scores: torch.Tensor, members: torch.Tensor) -> float:
    """Return the probability that a member scores higher than a non-member, ties counting half.

    The Mann-Whitney statistic over the number of pairs; the area under `roc` with straight lines.
    """
    values, inside = _flat(scores, members)
    result = stats.mannwhitneyu(values[inside], values[~inside], method="asymptotic")
    return float(result.statistic / (inside.sum() * (~inside).sum()))


def tpr_at_fpr(scores: torch.Tensor, members: torch.Tensor, fpr: float, confidence: float = 0.95) -> Rate:
    """Return the TPR at the lowest threshold whose FPR is at most `fpr`; nothing is interpolated.

    So ties at the threshold are all called members or all not, whichever keeps the FPR in bounds. The
    interval is that of the TPR, the threshold taken as given.
    """
    if not 0 <= fpr <= 1:
        raise ValueError(f"fpr {fpr!r}: allowed are rates from 0 to 1")
    values, inside = _flat(scores, members)
    allowed = int(np.floor(fpr * (~inside).sum() * (1 + 1e-12)))
    outside = np.sort(values[~inside])[::-1]
    hits = int((values[inside] > outside[allowed]).sum()) if allowed < len(outside) else int(inside.sum())
    return rate(hits, int(inside.sum()), confidence)


def advantages(scores: torch.Tensor, members: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Return float64, K: TPR - FPR of each target (rows of K x N) at its own threshold (K)."""
    called = (scores >= thresholds[:, None]).double()
    inside = members.double()
    return (called * inside).sum(1) / inside.sum(1) - (called * (1 - inside)).sum(1) / (1 - inside).sum(1)


def bootstrap_advantage(
    called: dict[str, torch.Tensor],
    members: dict[str, torch.Tensor],
    seed: int,
    resamples: int = 2000,
) -> dict[str, np.ndarray]:
    """Return, for each release, `resamples` bootstrap values of its advantage, targets and examples
    resampled.

    called, members  name -> bool, K x N: what an attack says, and what is true

    Targets share examples and examples share targets, so both are drawn with replacement, independently (the
    pigeonhole bootstrap: Owen, Annals of Applied Statistics 1, 2007; it errs on the wide side). All releases
    of one shape see the same draws: differences of the values are the bootstrap of the difference.
    """
    draws, values = {}, {}
    for name, says in called.items():
        K, N = says.shape
        if (K, N) not in draws:
            random = numpy_generator(seed, "pigeonhole bootstrap", K, N)
            draws[K, N] = [
                torch.from_numpy(random.multinomial(size, np.full(size, 1 / size), resamples)).double()
                for size in (K, N)
            ]
        rows, columns = draws[K, N]
        inside, says = members[name].double(), says.double()
        sums = [
            ((rows @ part) * columns).sum(1)
            for part in (says * inside, inside, says * (1 - inside), 1 - inside)
        ]
        values[name] = (sums[0] / sums[1] - sums[2] / sums[3]).numpy()
    return values


def _flat(scores: torch.Tensor, members: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    if scores.shape != members.shape or members.dtype != torch.bool:
        raise ValueError(
            f"scores {tuple(scores.shape)} for members {members.dtype} {tuple(members.shape)}: allowed are "
            "a score and a bool for each example"
        )
    values, inside = scores.double().flatten().cpu().numpy(), members.flatten().cpu().numpy()
    if np.isnan(values).any():
        raise ValueError(f"scores: {int(np.isnan(values).sum())} are not a number")
    if inside.all() or not inside.any():
        raise ValueError(f"{int(inside.sum())} members of {inside.size}: allowed are some, but not all")
    return values, inside
