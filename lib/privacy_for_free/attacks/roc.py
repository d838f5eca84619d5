"""Rates of an attack, with intervals: ROC, AUC, advantage, TPR at a fixed FPR, and their differences."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy import stats

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import MASK, ORDERED, entrance
from privacy_for_free.core.randomness import numpy_generator
from privacy_for_free.stats.intervals import Interval, rate


@entrance(scores=ORDERED, members=MASK, shapes="scores ..., members ...")
def roc(scores: torch.Tensor, members: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return FPR, TPR (from 0 to 1) and thresholds (from infinity down) of `score >= threshold`.

    scores, members  float and bool of one shape. Equal scores are one point: no threshold parts them.
    ValueError without members or without non-members.

    The whole curve, for whoever plots the scores of an attack of their own; the book's experiments keep the
    TPR at a few rates (`tprs_at_fprs`).
    """
    values, inside = _flat(scores, members)
    order = np.argsort(-values, kind="stable")
    values, inside = values[order], inside[order]
    last = np.append(values[1:] != values[:-1], True)
    tpr = np.cumsum(inside)[last] / inside.sum()
    fpr = np.cumsum(~inside)[last] / (~inside).sum()
    return np.append(0.0, fpr), np.append(0.0, tpr), np.append(np.inf, values[last])


@entrance(scores=ORDERED, members=MASK, shapes="scores ..., members ...")
def auc(scores: torch.Tensor, members: torch.Tensor) -> float:
    """Return the probability that a member scores higher than a non-member, ties counting half.

    The Mann-Whitney statistic over the number of pairs; the area under `roc` with straight lines.
    """
    values, inside = _flat(scores, members)
    result = stats.mannwhitneyu(values[inside], values[~inside], method="asymptotic")
    return float(result.statistic / (inside.sum() * (~inside).sum()))


@entrance(scores=ORDERED, members=MASK, shapes="scores ..., members ...")
def tpr_at_fpr(scores: torch.Tensor, members: torch.Tensor, fpr: float, confidence: float = 0.95) -> Interval:
    """Return the TPR at the lowest threshold whose FPR is at most `fpr`; nothing is interpolated.

    So ties at the threshold are all called members or all not, whichever keeps the FPR in bounds. The
    interval is that of the TPR, the threshold taken as given. This is the one number to report of an attack's
    scores; the book's experiments ask for several rates at once (`tprs_at_fprs`).
    """
    return tprs_at_fprs(scores, members, (fpr,), confidence)[0][0]


@entrance(scores=ORDERED, members=MASK, shapes="scores ..., members ...")
def tprs_at_fprs(
    scores: torch.Tensor, members: torch.Tensor, fprs: Sequence[float], confidence: float = 0.95
) -> tuple[list[Interval], list[float]]:
    """Return `tpr_at_fpr` for several rates, and what a score must exceed to be called, from one sort."""
    for fpr in fprs:
        if not 0 <= fpr <= 1:
            raise ValueError(f"fpr {fpr!r}: allowed are rates from 0 to 1")
    values, inside = _flat(scores, members)
    outside, of_members = np.sort(values[~inside]), np.sort(values[inside])
    exceeded = []
    for fpr in fprs:
        allowed = int(np.floor(fpr * len(outside) * (1 + 1e-12)))
        exceeded.append(float(outside[-1 - allowed]) if allowed < len(outside) else -np.inf)
    hits = len(of_members) - np.searchsorted(of_members, exceeded, side="right")
    # Above minus infinity is every score, minus infinity itself included.
    hits = np.where(np.isneginf(exceeded) & (np.asarray(fprs) == 1), len(of_members), hits)
    return [rate(int(count), len(of_members), confidence) for count in hits], exceeded


@entrance(called=MASK, members=MASK, counted=MASK, shapes="called K N, members K N, counted K N")
def bootstrap_rates(
    called: torch.Tensor,
    members: torch.Tensor,
    counted: torch.Tensor | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> np.ndarray:
    """Return TPR and FPR of an attack, `resamples` x 2, targets and examples drawn anew.

    called, members  bool, K x N: what the attack says, and what is true
    counted          bool, K x N: which pairs of target and example the rates are of; None for all
    seed             of the draws: the same for all attacks of one shape, so that the difference of two
                     results is the bootstrap of their difference

    Targets share examples and examples share targets, so both are drawn with replacement, independently (the
    pigeonhole bootstrap: Owen, Annals of Applied Statistics 1, 2007; it errs on the wide side). A resample
    without any member, or without any non-member, gives not a number.
    """
    counted = torch.ones_like(members) if counted is None else counted
    validate.whole("resamples", resamples, 1)
    for side, name in ((members & counted, "members"), (~members & counted, "non-members")):
        if not bool(side.any()):
            raise ValueError(f"members: 0 {name} of {int(counted.sum())} counted: allowed are one or more")
    rows, columns = _draws(*called.shape, seed, resamples)
    rates = []
    for side in (members & counted, ~members & counted):
        hits, trials = (((rows @ part.to(rows.dtype)) * columns).sum(1) for part in (called & side, side))
        rates.append(hits.double() / trials)
    return torch.stack(rates, 1).numpy()


@lru_cache(maxsize=2)
def _draws(K: int, N: int, seed: int, resamples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how often each model (resamples x K) and each example (resamples x N) is drawn."""
    random = numpy_generator(seed, "pigeonhole bootstrap", K, N)
    exact = torch.float32 if K * N < 2**22 else torch.float64  # sums of counts, exact in either
    return tuple(
        torch.from_numpy(random.multinomial(size, np.full(size, 1 / size), resamples)).to(exact)
        for size in (K, N)
    )


def _flat(scores: torch.Tensor, members: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    values, inside = scores.double().flatten().cpu().numpy(), members.flatten().cpu().numpy()
    if inside.all() or not inside.any():
        raise ValueError(f"members: {int(inside.sum())} of {inside.size}: allowed are some, but not all")
    return values, inside
