"""What each claim comes down to in a record: one number with its interval, taken from the record's table.

A claim's function takes the table of one record (columns: data/results/README.md) and returns an `Effect`, or
None where the record holds nothing on the question, as a partial or a smoke record may.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from privacy_for_free.book.claims import evidence
from privacy_for_free.stats import intervals
from privacy_for_free.stats.intervals import Interval, rate

MIDDLE_RATIO = 0.01  # r = m / n of the membership record at which all methods were attacked
CONDENSED_MODELS = ("gaussian", "logistic", "logistic_replace")  # Gibbs posteriors on condensed images, exact


class Effect(NamedTuple):
    """An effect size and its 95 % interval; of a quantity that is exact the interval is a point.

    p_value   where the record has a test of the question, corrected for the tests that it was chosen from
    """

    value: float
    low: float
    high: float
    p_value: float | None = None


def _effect(interval: Interval, scale: float = 1.0) -> Effect | None:
    numbers = [scale * float(number) for number in interval]
    return Effect(*numbers) if np.isfinite(numbers).all() else None


def _single(rows: pd.DataFrame, column: str, scale: float = 1.0) -> Effect | None:
    """Return the only row's value with the interval that stands beside it."""
    if len(rows) != 1:
        return None
    row = rows.iloc[0]
    return _effect(Interval(row[column], row[f"{column}_low"], row[f"{column}_high"]), scale)


def apart(value: Interval, base: Interval) -> Interval:
    """Return value - base, whose errors are taken for independent; of two points it is a point."""
    if value.half + base.half > 0:
        return intervals.unpaired(value, base)[0]
    return Interval(*np.subtract(value, base).tolist())


def strongest(rows: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Return the attack with the largest advantage in each group of rows, the first of equal ones.

    Its interval is that of the selected attack, as if nobody had looked at the others, and not that of a
    maximum of several: the choice after the fact flatters the attacker, and the interval does not know of it.
    """
    return rows.loc[rows.groupby(groups, sort=False).advantage.idxmax()]


def exact_error(table: pd.DataFrame) -> Effect | None:
    """Return the largest relative error of an exact statement of the proof, as the power of ten it is."""
    rows = table[(table.kind == "exact") & (table.check != "real_initialisation_recovered")]
    return _power_of_ten(rows.relative_error)


def recovery_error(table: pd.DataFrame) -> Effect | None:
    """Return how exactly one known image gives away the others that a linear release started from."""
    return _power_of_ten(table[table.check == "real_initialisation_recovered"].relative_error)


def _power_of_ten(errors: pd.Series) -> Effect | None:
    if not len(errors):
        return None
    worst = float(np.log10(max(errors.max(), np.finfo(float).tiny)))
    return Effect(worst, worst, worst)


def closest_to_bound(table: pd.DataFrame) -> Effect | None:
    """Return the largest log ratio of Gibbs posteriors over its bound, condensed models, computed exactly."""
    rows = table[table.model.isin(CONDENSED_MODELS)]
    if not len(rows):
        return None
    largest = float((rows.observed / rows.bound).max())
    return Effect(largest, largest, largest)


def naive_over_condensed(table: pd.DataFrame) -> Effect | None:
    """Return the ratio of log ratios, training on everything at a higher temperature to condensation."""
    return _effect(evidence.median_over_pairs(evidence.over_condensed(table, "logistic_all_data")))


def slope_smooth(table: pd.DataFrame) -> Effect | None:
    """Return the exponent in n of what one image moves, from noise, for the ConvNet with GELU."""
    return _slope(table, "convnet_gelu")


def slope_relu(table: pd.DataFrame) -> Effect | None:
    """Return the exponent in n of what one image moves, from noise, for the ConvNet with ReLU."""
    return _slope(table, "convnet")


def _slope(table: pd.DataFrame, extractor: str) -> Effect | None:
    rows = table[(table.extractor == extractor) & (table.x == "typical")]
    rows = rows[rows.iterations == rows.iterations.max()]
    rows = rows[(rows.init == "noise") & ~rows.in_initialisation.eq(True)]
    if rows.seed.nunique() < 3:
        return None
    return _effect(evidence.shift_exponent(rows))


def gain_over_generator(table: pd.DataFrame) -> Effect | None:
    """Return accuracy of condensation in one noisy release minus DP-MERF's, in points, at epsilon 1."""
    few = evidence.images_per_class(table)[:1]
    chosen = {"epsilon": 1.0, "ipc": few[0]} if few else {}
    pair = (evidence.accuracies(table, name, **chosen) for name in ("one_release", "dp_merf"))
    return _effect(intervals.difference(*pair))


def cost_over_generator(table: pd.DataFrame) -> Effect | None:
    """Return seconds of condensation in one noisy release over those of DP-MERF, at epsilon 1.

    A ratio of geometric means over seeds; the interval is Welch's, of logarithms.
    """
    few = evidence.images_per_class(table)[:1]
    if not few:
        return None
    rows = table[(table.kind == "accuracy") & (table.epsilon == 1) & (table.ipc == few[0])]
    seconds = [np.log(rows.seconds[rows.mechanism == name]) for name in ("one_release", "dp_merf")]
    found = _effect(intervals.difference(*seconds))
    return found and Effect(*np.exp(found[:3]).tolist())


def private_loss(table: pd.DataFrame) -> Effect | None:
    """Return accuracy of one noisy release at epsilon 1 minus that of DM from real images, in points."""
    few = evidence.images_per_class(table)[:1]
    if not few:
        return None
    private = evidence.accuracies(table, "one_release", epsilon=1.0, ipc=few[0])
    return _effect(intervals.difference(private, evidence.accuracies(table, "dm", init="real", ipc=few[0])))


def sgd_over_few(table: pd.DataFrame) -> Effect | None:
    """Return accuracy of DP-SGD at the smallest epsilon minus plain DM's on its fewest images, in points."""
    return _sgd_over(table, 0)


def sgd_over_many(table: pd.DataFrame) -> Effect | None:
    """Return accuracy of DP-SGD at the smallest epsilon minus plain DM's on its most images, in points."""
    return _sgd_over(table, -1)


def _sgd_over(table: pd.DataFrame, place: int) -> Effect | None:
    sizes, epsilons = evidence.images_per_class(table), table[table.mechanism == "dp_sgd"].epsilon
    if not sizes or not len(epsilons):
        return None
    plain = evidence.accuracies(table, "dm", init="real", ipc=sizes[place])
    return _effect(intervals.difference(evidence.accuracies(table, "dp_sgd", epsilon=epsilons.min()), plain))


def audits_right(table: pd.DataFrame) -> Effect | None:
    """Return the share of audits in percent that end as they should.

    A mechanism as it should be stays at or below its proved epsilon, a broken one is found above it.
    """
    audits = table[table.kind == "audit"]
    if not len(audits):
        return None
    kept = audits.epsilon_audited <= audits.epsilon
    right = 100 * float((kept == audits.broken.isna()).mean())
    return Effect(right, right, right)


def network_advantage(table: pd.DataFrame) -> Effect | None:
    """Return the advantage in points over all members, DM from noise at r = 1 %."""
    rows = evidence.attacked(table, "all")
    rows = rows[(rows.method == "dm") & (rows.init == "noise") & (rows.ratio == MIDDLE_RATIO)]
    return _single(rows, "advantage", 100)


def started_advantage(table: pd.DataFrame) -> Effect | None:
    """Return the largest advantage in points over the images that a release starts from, at r = 1 %."""
    rows = evidence.attacked(table, "in_initialisation")
    rows = rows[rows.method.isin(["dm", "dsa", "kip"]) & (rows.ratio == MIDDLE_RATIO)]
    return _single(rows.nlargest(1, "advantage"), "advantage", 100)


def over_subset(table: pd.DataFrame) -> Effect | None:
    """Return DM's advantage from noise minus that of a random subset, all members, at r = 1 %, in points."""
    rows = evidence.attacked(table, "all")
    rows = rows[(rows.method == "dm") & (rows.init == "noise") & (rows.ratio == MIDDLE_RATIO)]
    return _single(rows, "difference", 100)


def over_subset_started(table: pd.DataFrame) -> Effect | None:
    """Return the same for DM from real images, over the images that each of the two releases starts from."""
    rows = evidence.attacked(table, "in_initialisation")
    rows = rows[(rows.method == "dm") & (rows.init == "real") & (rows.ratio == MIDDLE_RATIO)]
    return _single(rows, "difference", 100)


def over_subset_tpr(table: pd.DataFrame) -> Effect | None:
    """Return DM's TPR from noise at an FPR of 0.1 % minus that of a random subset, all members, in points.

    At r = 1 %; the interval takes the two for independent.
    """
    rows = evidence.attacked(table, "all")
    rows = rows[rows.ratio == MIDDLE_RATIO]
    pair = []
    for method, init in (("dm", "noise"), ("random_subset", "real")):
        own = rows[(rows.method == method) & (rows.init == init)]
        if len(own) != 1:
            return None
        ends = ("tpr_at_fpr_1e-3", "tpr_bootstrap_low", "tpr_bootstrap_high")
        pair.append(Interval(*(100 * float(own.iloc[0][column]) for column in ends)))
    return _effect(apart(*pair))


def mean_tpr(table: pd.DataFrame) -> Effect | None:
    """Return the TPR in percent at an FPR of 0.1 % in a class mean, by an attacker with the pool.

    At the largest number of members for which a linear extractor was condensed.
    """
    size = table[(table.extractor == "linear") & (table.method == "dm")].n.max()
    rows = table[(table.method == "mean") & (table.attacker == "pool") & (table.n == size)]
    rows = rows[(rows.calibration == "raw") & (rows.shrinkage == "ledoit_wolf")]
    rows = rows[rows.dimension == rows.dimension.max()]
    if len(rows) != 1:
        return None
    row = rows.iloc[0]
    return Effect(100 * row.observed_tpr, 100 * row.tpr_bootstrap_low, 100 * row.tpr_bootstrap_high)


def auc_of_images(table: pd.DataFrame) -> Effect | None:
    """Return the AUC of the optimality attack on images that the published loop condensed of 100 members.

    By an attacker with the pool who knows the architecture; the interval is over halves.
    """
    rows = evidence.published_loop(table, most=True)
    return _single(rows[(rows.attack == "optimality") & (rows.n == 100)], "auc")


def sgd_over_canaries(table: pd.DataFrame) -> Effect | None:
    """Return accuracy of DP-SGD at the smallest epsilon minus that of DM from noise, 1,000 members, points.

    Of networks that learnt from one half on the other half, whose images the interval takes for independent.
    """
    rows = table[(table.attacked == "network") & (table.in_initialisation == "all")]
    rows = rows[rows.canary == "ordinary"]
    sgd, dm = rows[rows.release == "dp_sgd"], rows[(rows.release == "dm") & (rows.init == "noise")]
    if not len(sgd) or not len(dm):
        return None
    own, other = sgd[sgd.epsilon == sgd.epsilon.min()].iloc[0], dm.iloc[0]
    pair = []
    for row in (own, other):
        images = int(row.nonmembers / row.shadows)
        share = rate(round(row.nonmember_accuracy * images), images)
        pair.append(Interval(100 * share.value, 100 * share.low, 100 * share.high))
    return _effect(apart(*pair))


def initial_found_dm(table: pd.DataFrame) -> Effect | None:
    """Return the largest percentage over distances of DM's images that are still nearest to their start."""
    return initial_found(table, "dm")


def initial_found_others(table: pd.DataFrame) -> Effect | None:
    """Return the same over distances and the methods DSA and KIP."""
    return initial_found(table, "dsa", "kip")


def initial_found(table: pd.DataFrame, *methods: str) -> Effect | None:
    """Return the largest percentage over distances and methods, from real images, at the last step."""
    rows = evidence.nearest_shares(table, "initial_nearest", "real", "all")
    return _percent(rows[rows.method.isin(methods)].nlargest(1, "mean"))


def member_nearer_noise(table: pd.DataFrame) -> Effect | None:
    """Return the percentage of images from noise whose nearest is a member, of the clearest test."""
    return _clearest(evidence.nearest_shares(table, "member_nearer", "noise", "all"))


def member_nearer_others(table: pd.DataFrame) -> Effect | None:
    """Return the same of images from real ones, the members that they started from left out."""
    return _clearest(evidence.nearest_shares(table, "member_nearer", "real", "not_in_initialisation"))


def _clearest(rows: pd.DataFrame) -> Effect | None:
    """Return the share above one half of the least p-value; it is corrected for the tests it is chosen from.

    Where no share is above one half, the largest, without a p-value: nothing speaks for members.
    """
    nearer = rows.assign(p_value=intervals.holm(rows.p_value)) if len(rows) else rows
    nearer = nearer[nearer["mean"] > 0.5].sort_values(["p_value", "mean"], ascending=[True, False])
    if not len(nearer):
        return _percent(rows.nlargest(1, "mean"))
    found = _percent(nearer.head(1))
    return found and found._replace(p_value=float(nearer.p_value.iloc[0]))


def _percent(rows: pd.DataFrame) -> Effect | None:
    if len(rows) != 1:
        return None
    row = rows.iloc[0]
    return _effect(Interval(row["mean"], row.low, row.high), 100)
