"""Exponents: least-squares slopes of logarithms, with intervals.

Points that share data, such as all measurements on nested subsets of one class, are not independent. Label
them with `clusters`: each cluster then has a slope of its own, and the interval is over the clusters' slopes.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import numpy_generator
from privacy_for_free.stats.intervals import Interval, mean

LEAST_RESAMPLES = 20  # below, the ends of a bootstrap interval are not there
SPREAD_OF_EXACT_POWERS = 1e-9  # slopes of clusters that differ by less differ by rounding only


@entrance
def log_log(
    x: Sequence[float],
    y: Sequence[float],
    *,
    within: Iterable | None = None,
    clusters: Iterable | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Fit ln y on ln x by least squares; return the slope with its Student's t interval.

    x, y       N finite numbers above 0 each
    within     one label per point, or a data frame of several: each combination of labels has an intercept of
               its own (fitting against n, that is m)
    clusters   one label per point: the slope is the mean of one slope for each cluster, and the interval has
               (clusters - 1) degrees of freedom. Without clusters points are taken for independent, with
               (points - intercepts - 1) degrees of freedom

    Points that differ in y only count once, with the mean of ln y. ValueError for numbers not above 0, a
    confidence not between 0 and 1, and too few points or clusters for an interval.

    >>> [round(end, 6) for end in log_log([1, 2, 4], [3, 12, 48])]
    [2.0, 2.0, 2.0]
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence!r}: allowed are numbers between 0 and 1")
    if clusters is not None:
        slopes = per_cluster(x, y, clusters, within=within)
        if len(slopes) < 2:
            raise ValueError("clusters: an interval needs at least 2 clusters")
        exact = np.ptp(slopes) < SPREAD_OF_EXACT_POWERS
        return Interval(*[float(slopes.mean())] * 3) if exact else mean(slopes, confidence)
    points = _centred(x, y, within, None)
    (slope,) = _slopes(points)
    freedom = len(points) - points["stratum"].nunique() - 1
    if freedom < 1:
        raise ValueError("x: an interval needs more distinct points than intercepts + 1; give more sizes")
    residuals = points["v"] - slope * points["u"]
    error = math.sqrt(np.square(residuals).sum() / freedom / np.square(points["u"]).sum())
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return Interval(float(slope), float(slope) - half, float(slope) + half)


@entrance
def log_log_bootstrap(
    x: Sequence[float],
    y: Sequence[float],
    *,
    clusters: Iterable,
    within: Iterable | None = None,
    seed: int = 0,
    resamples: int = 4000,
) -> Interval:
    """Return the slope of `log_log` over clusters with its 95 % bootstrap interval (BCa).

    The clusters are what is resampled. Of few of them the t interval is the wider one and covers better.
    ValueError as for `log_log`, for fewer than 3 clusters, and for fewer than LEAST_RESAMPLES resamples.
    """
    validate.whole("resamples", resamples, LEAST_RESAMPLES)
    slopes = per_cluster(x, y, clusters, within=within)
    if len(slopes) < 3:
        raise ValueError(f"{len(slopes)} clusters: allowed are 3 or more")
    value = float(slopes.mean())
    if np.ptp(slopes) < SPREAD_OF_EXACT_POWERS:
        return Interval(value, value, value)
    random = numpy_generator(seed, "exponents", len(slopes))
    drawn = stats.bootstrap((slopes,), np.mean, n_resamples=resamples, method="BCa", rng=random)
    return Interval(value, *map(float, drawn.confidence_interval))


@entrance
def per_cluster(
    x: Sequence[float],
    y: Sequence[float],
    clusters: Iterable,
    *,
    within: Iterable | None = None,
) -> np.ndarray:
    """Return the slope of ln y on ln x in each cluster, float64, in sorted order of the clusters' labels.

    Arguments and errors are those of `log_log`.
    """
    return _slopes(_centred(x, y, within, clusters))


@entrance
def last_step(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of ln y on ln x between the two largest x.

    Where a cost has a constant part, this is nearer to its exponent than a fit over all sizes is.

    >>> round(last_step([1, 2, 4], [11, 12, 14]), 3)
    0.222
    """
    u, v = (np.log(_positive(name, values)) for name, values in (("x", x), ("y", y)))
    if len(u) != len(v) or len(np.unique(u)) < 2 or np.sort(u)[-1] == np.sort(u)[-2]:
        raise ValueError(f"{len(u)} x for {len(v)} y: allowed are as many, of which two largest x differ")
    order = np.argsort(u)[-2:]
    return float(np.diff(v[order])[0] / np.diff(u[order])[0])


def _positive(name: str, values: Sequence[float]) -> np.ndarray:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1:
        raise ValueError(f"{name} {numbers.shape}: allowed are numbers in a row")
    if not (np.isfinite(numbers) & (numbers > 0)).all():
        wrong = numbers[~(np.isfinite(numbers) & (numbers > 0))][0]
        raise ValueError(f"{name} {wrong}: allowed are finite numbers above 0, their logarithms are fitted")
    return numbers


def _centred(
    x: Sequence[float], y: Sequence[float], within: Iterable | None, clusters: Iterable | None
) -> pd.DataFrame:
    """Return distinct points: cluster, stratum, and the logarithms u and v less their stratum's means."""
    x, y = _positive("x", x), _positive("y", y)
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"{len(x)} x for {len(y)} y: allowed are as many, two or more")
    points = {
        name: _numbered(*labels, len(x))
        for name, labels in {"cluster": ("clusters", clusters), "stratum": ("within", within)}.items()
    }
    points = pd.DataFrame(points)
    points["u"], points["v"] = np.log(x), np.log(y)
    points = points.groupby(["cluster", "stratum", "u"], sort=False, as_index=False)["v"].mean()
    strata = points.groupby(["cluster", "stratum"])
    for name in ("u", "v"):
        points[name] = points[name] - strata[name].transform("mean")
    return points


def _numbered(name: str, labels: Iterable | None, count: int) -> np.ndarray:
    """Return a whole number for each point, the same where the labels are; in the labels' sorted order."""
    if labels is None:
        return np.zeros(count, dtype=int)
    frame = pd.DataFrame(labels if isinstance(labels, pd.DataFrame) else {"label": list(labels)})
    if len(frame) != count:
        raise ValueError(f"{name} of {len(frame)} labels for {count} points: allowed is one for each")
    try:
        return frame.groupby(list(frame), dropna=False).ngroup().to_numpy()
    except TypeError as error:
        raise ValueError(f"{name}: allowed are numbers or texts, one for each point ({error})") from error


def _slopes(points: pd.DataFrame) -> np.ndarray:
    products = pd.DataFrame({"uv": points.u * points.v, "uu": points.u * points.u})
    sums = products.groupby(points.cluster).sum()
    if (sums.uu < 1e-15).any():
        raise ValueError("x: a slope needs at least two distinct values beside one intercept")
    return (sums.uv / sums.uu).to_numpy()
