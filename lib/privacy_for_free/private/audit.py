"""A lower bound on a mechanism's epsilon: run it again and again with and without one example, and attack.

A release that keeps its promise stays below its proved epsilon, up to the confidence; one whose noise is too
small, or the same in every run, does not (Jagielski, Ullman & Oprea, NeurIPS 2020). The worst case has to be
built in: a canary whose vector has the norm it is clipped to, in the direction that the statistic looks at.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from privacy_for_free.attacks.epsilon import epsilon_lower_bound
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.private.accounting import DELTA


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    epsilon          lower bound, at the confidence asked for
    threshold        a run whose statistic (times `sign`) is above it was taken for one with the canary
    sign             1, or -1 where low statistics speak for the canary
    true_positives, false_positives   of `runs` each
    """

    epsilon: float
    threshold: float
    sign: int
    true_positives: int
    false_positives: int
    runs: int


@entrance
def audit(
    statistic: Callable[[bool, int], float],
    runs: int,
    pilots: int,
    delta: float = DELTA,
    confidence: float = 0.95,
) -> Audit:
    """Return a lower bound on the epsilon of a mechanism at this delta, from 2 (pilots + runs) re-runs.

    statistic   called as statistic(present, index), index 0 .. pilots + runs - 1: one run of the mechanism,
                with the canary among its data or without, under a seed of its own, and the number an attacker
                computes from what it released
    runs        re-runs on either side that are counted, 1 or more
    pilots      re-runs on either side that only choose the threshold and its sign: those whose bound on the
                pilots is the highest. Without them the bound would not have its confidence.

    ValueError for runs or pilots below 1, a delta outside of [0, 1), a confidence outside of (0, 1), and a
    statistic that is not finite.
    """
    validate.whole("runs", runs, 1)
    validate.whole("pilots", pilots, 1)
    _check_confidence(delta, confidence)
    values = np.array([[statistic(present, i) for i in range(pilots + runs)] for present in (False, True)])
    if not np.isfinite(values).all():
        present, i = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"statistic {values[present, i]} of run {i}: allowed are finite numbers")
    threshold, sign = _choose(values[:, :pilots], delta, confidence)
    false, true = (sign * values[:, pilots:] > threshold).sum(1).tolist()
    bound = epsilon_lower_bound(true, runs, false, runs, delta, confidence)
    return Audit(bound, threshold, sign, true, false, runs)


def _choose(values: np.ndarray, delta: float, confidence: float) -> tuple[float, int]:
    """Return the threshold, halfway between two pilots' statistics, and the sign, of the highest bound.

    values: 2 x pilots, without and with the canary. Of equal bounds the one with the fewest errors counts.
    """
    best = (-1.0, 0)
    chosen = (0.0, 1)
    for sign in (1, -1):
        levels = np.unique(sign * values)
        levels = np.concatenate([[levels[0] - 1], (levels[1:] + levels[:-1]) / 2])
        false, true = (
            values.shape[1] - np.searchsorted(np.sort(sign * row), levels, "right") for row in values
        )
        bounds = lower_bounds(true, false, values.shape[1], delta, confidence)
        for level, bound, gap in zip(levels.tolist(), bounds.tolist(), (true - false).tolist(), strict=True):
            if (bound, gap) > best:
                best, chosen = (bound, gap), (level, sign)
    return chosen


@entrance(shapes="true ..., false ...")
def lower_bounds(
    true: np.ndarray, false: np.ndarray, runs: int, delta: float, confidence: float
) -> np.ndarray:
    """Return `epsilon_lower_bound` of arrays of counts (int64), each out of `runs`, as float64."""
    _check_confidence(delta, confidence)
    validate.whole("runs", runs, 1)
    for name, counts in (("true", true), ("false", false)):
        if counts.dtype.kind not in "iu" or not 0 <= counts.min() <= counts.max() <= runs:
            raise ValueError(
                f"{name} from {counts.min()} to {counts.max()}: allowed are counts from 0 to {runs}"
            )
    side = (1 - confidence) / 2
    low = np.where(true == 0, 0.0, betaincinv(np.maximum(true, 1), runs - true + 1, side))
    high = np.where(false == runs, 1.0, betaincinv(false + 1, np.maximum(runs - false, 1), 1 - side))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.stack([(low - delta) / high, (1 - high - delta) / (1 - low)])
        return np.log(np.where(ratios > 1, ratios, 1.0)).max(0)


def _check_confidence(delta: float, confidence: float) -> None:
    validate.fraction("delta", delta)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence!r}: allowed are numbers between 0 and 1")
