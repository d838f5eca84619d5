"""A lower bound on epsilon that an attack's counts imply, with its confidence."""

import math

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.stats.intervals import MOST_TRIALS, rate


@entrance
def epsilon_lower_bound(
    true_positives: int,
    members: int,
    false_positives: int,
    non_members: int,
    delta: float,
    confidence: float = 0.95,
) -> float:
    """Return the epsilon >= 0 below which the counts rule out (epsilon, delta)-DP.

    Differential privacy bounds any attack by TPR <= e^eps FPR + delta and 1 - FPR <= e^eps (1 - TPR) + delta
    (Kairouz, Oh & Viswanath, ICML 2015). Both rates get one-sided Clopper-Pearson bounds of half the allowed
    error each, so the bound holds with the confidence (Jagielski, Ullman & Oprea, NeurIPS 2020). The trials
    must be independent and the threshold fixed beforehand: with one target and many examples, or many
    thresholds, the confidence is not what it says. ValueError for counts or a delta out of range.
    """
    validate.fraction("delta", delta)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence!r}: allowed are numbers between 0 and 1")
    for name, trials in (("members", members), ("non_members", non_members)):
        validate.whole(name, trials, 1, MOST_TRIALS)
    validate.whole("true_positives", true_positives, 0, members)
    validate.whole("false_positives", false_positives, 0, non_members)
    # A two-sided interval of this level has (1 - confidence) / 2 on the side that is used.
    tpr = rate(true_positives, members, confidence)
    fpr = rate(false_positives, non_members, confidence)
    return max(0.0, _ratio(tpr.low, fpr.high, delta), _ratio(1 - fpr.high, 1 - tpr.low, delta))


def _ratio(hit: float, miss: float, delta: float) -> float:
    """Return log((hit - delta) / miss), minus infinity where delta covers all of it."""
    if hit <= delta:
        return -math.inf
    return math.inf if miss == 0 else math.log((hit - delta) / miss)
