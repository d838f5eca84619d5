"""What an attacker can learn from a released class mean, and what caps every attack.

Release: the mean xbar of n members, which is what distribution matching with a linear extractor releases
when it starts from noise (chapter "Linear extractors: the proof"). Statistic for an image x, with a matrix M
(the attacker's inverse covariance) and a centre: T = <x - centre, xbar - centre>_M. With M = Sigma^-1 it is,
up to a constant, the log likelihood ratio of Gaussian images (Homer et al., PLoS Genetics 4, 2008;
Sankararaman et al., Nature Genetics 41, 2009, who give TPR and FPR as functions of dimension over n; Dwork et
al., FOCS 2015).

    fresh  members are n independent draws from (mu, Sigma), mu known; x is one of them or independent of
           them.
    pool   members are a uniformly random n of the N images of a pool that the attacker knows, x one of the N.

Arguments named for an image are arrays, one value per image: `own` = w.(x - mean) and `variance` = w^T Sigma
w for the weights w = M (x - centre), mean and Sigma those of the distribution (fresh) or of the pool, Sigma
with divisor N. T is close to Gaussian because it is a sum over members; its means and variances below are
exact.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize
from scipy.special import ndtr, ndtri

from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import checks

LARGEST_EPSILON = 700.0  # its exponential is still a float
BLOCK = 2**24  # rates times images at once
GRID = 1024  # thresholds at which an area under a mixture's ROC is added up


class Law(NamedTuple):
    """Mean and standard deviation of each image's score, outside and inside the members: float64, images."""

    out_mean: np.ndarray
    out_sd: np.ndarray
    in_mean: np.ndarray
    in_sd: np.ndarray

    def over(self, scale: ArrayLike) -> "Law":
        """Return the law of the scores divided by a positive number per image."""
        scale = np.asarray(scale, dtype=float)
        if not ((scale > 0) & np.isfinite(scale)).all() or scale.shape not in ((), self.out_sd.shape):
            raise ValueError(
                f"scale {scale.shape} from {scale.min(initial=np.inf):g}: allowed are finite ones above 0, "
                f"one or {self.out_sd.shape}"
            )
        with np.errstate(over="ignore"):
            law = Law(*(part / scale for part in self))
        if not all(np.isfinite(part).all() for part in law):
            raise ValueError(f"scale from {scale.min():g}: allowed are ones by which scores stay finite")
        return law

    @property
    def effect(self) -> np.ndarray:
        """Difference of the means over the standard deviation outside."""
        return (self.in_mean - self.out_mean) / self.out_sd


# --- effect sizes -------------------------------------------------------------------------------------------


@entrance
def effect_size(mahalanobis_squared: ArrayLike, n: int) -> np.ndarray:
    """Return sqrt(q / n), q = ||x - mu||^2 in the metric of Sigma^-1: fresh members, everything known.

    T has mean 0 (x no member) or q / n (member), and variance q / n. The average of q over x is the effective
    dimension d; hence about sqrt(d / n).

    >>> float(effect_size(784, 784))
    1.0
    """
    return np.sqrt(_squares(mahalanobis_squared) / _members(n))


@entrance
def effect_size_pool(mahalanobis_squared: ArrayLike, n: int, pool: int | None = None) -> np.ndarray:
    """Return the exact effect size for a random n of a known pool of N, M inverse to the pool's covariance.

    q = ||x - p||^2 in the metric of C^-1, p and C the pool's mean and covariance (divisor N); `pool` is N,
    2 n if left out. q is N - 1 at most. For halves it is 2 sqrt(h / (1 - h)), h = q / (2 n - 1), which is
    sqrt(2 q / n) to leading order; in general sqrt(q N / (n (N - n))). Infinite at q = N - 1: an image
    linearly independent of the others' differences is read off the mean exactly, so all are where d >= N - 1.
    """
    q, N = _squares(mahalanobis_squared), _pool_size(n, pool)
    if (q > (N - 1) * (1 + 1e-9)).any():
        raise ValueError(f"squared distance {q.max():g} in the pool's own metric: allowed are 0 to {N - 1}")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(q == 0, 0.0, _pool_law(q, q, n, N).effect)


# --- laws of the statistic ----------------------------------------------------------------------------------


@entrance
def fresh_law(own: ArrayLike, variance: ArrayLike, n: int, offset: ArrayLike = 0.0) -> Law:
    """Return the law of T for fresh members: means 0 and own / n, variances v / n and v (n - 1) / n^2.

    `offset`, w.(mu - centre), is added to both means: the attacker's centre is off by that much.
    """
    own, variance = _alike(own=own, variance=variance, offset=offset)
    mean = np.broadcast_to(np.asarray(offset, dtype=float), own.shape)
    outside = np.sqrt(variance / _members(n))
    return Law(mean, outside, mean + own / n, outside * np.sqrt((n - 1) / n))


@entrance
def pool_law(
    own: ArrayLike, variance: ArrayLike, n: int, pool: int | None = None, offset: ArrayLike = 0.0
) -> Law:
    """Return the exact law of T for a random n of a known pool of N (`pool`; 2 n if left out), x in or out.

    With a = `own`, v = `variance`, the values w.(x_j - p) of the N - 1 other images have mean -a / (N - 1)
    and variance S = N / (N - 2) (v - a^2 / (N - 1)), divisor N - 2. Sampling without replacement gives

        out   mean -a / (N - 1)                     variance S (N - 1 - n) / (n (N - 1))
        in    mean  a (N - n) / (n (N - 1))         variance S (n - 1) (N - n) / (n^2 (N - 1))

    so the means differ by a N / (n (N - 1)); both variances are S (n - 1) / (n (2 n - 1)) for halves.
    `offset`, w.(p - centre), is added to both means.

    mean_in - mean_out = N / (N - n) (mean_in - p), so whoever knows the pool has it from mean_in. Its
    covariance, x not singled out, is C N^2 / (n (N - n) (N - 1)), C with divisor N: 4 C / (2 n - 1) for
    halves, that is (2 / n) C (1 + 1 / (2 n) + ...); with divisor N - 1 it is (1/n + 1/(N - n)) C exactly,
    2 C / n for halves.
    """
    return _pool_law(own, variance, n, pool, offset)


def _pool_law(own: ArrayLike, variance: ArrayLike, n: int, pool: int | None, offset: ArrayLike = 0.0) -> Law:
    N = _pool_size(n, pool)
    a, v = _alike(own=own, variance=variance, offset=offset)
    mean = np.broadcast_to(np.asarray(offset, dtype=float), a.shape)
    left = v - a**2 / (N - 1)
    spread = np.where(left > 1e-12 * v, left, 0.0) * N / (N - 2)
    return Law(
        mean - a / (N - 1),
        np.sqrt(spread * (N - 1 - n) / (n * (N - 1))),
        mean + a * (N - n) / (n * (N - 1)),
        np.sqrt(spread * (n - 1) * (N - n) / (n**2 * (N - 1))),
    )


# --- from laws to rates -------------------------------------------------------------------------------------


@entrance
def tpr(fpr: ArrayLike, effect: ArrayLike) -> np.ndarray:
    """Return Phi(Phi^-1(fpr) + e), averaged over the effects (a number or images).

    Each image has its own threshold. The result has the shape of `fpr`. ValueError for rates outside 0..1.

    >>> f"{tpr(0.001, effect_size(784, 3000)):.2%}"
    '0.50%'
    """
    shift, rates = _some("effect", effect).reshape(-1), _rates(fpr)
    if np.isneginf(shift).any():
        raise ValueError("effect -inf: allowed are numbers and inf")
    if rates.size * shift.size <= BLOCK:
        return _shifted(ndtri(rates)[..., None], shift).mean(-1)
    found = [_shifted(ndtri(rate), shift).mean() for rate in rates.reshape(-1)]
    return np.array(found).reshape(rates.shape)


def _shifted(quantile: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return Phi(quantile + shift); who is infinitely far away is found at any rate, 0 too."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isposinf(shift), 1.0, ndtr(quantile + shift))


@entrance
def auc(effect: ArrayLike) -> float:
    """Return the area under that ROC, the mean of Phi(e / sqrt(2))."""
    return float(ndtr(_some("effect", effect) / np.sqrt(2)).mean())


@entrance
def mixture_tpr(fpr: ArrayLike, law: Law) -> np.ndarray:
    """Return the TPR, in the shape of `fpr`, of scores thresholded alike, images drawn uniformly.

    The threshold at which the mixture outside has the FPR is found with Brent's method.
    """
    rates = _rates(fpr)
    _checked(law)
    low, high = _range(law)

    def at(rate: float) -> float:
        if rate in (0.0, 1.0):
            return rate
        excess = lambda t: _above(t, law.out_mean, law.out_sd) - rate  # noqa: E731
        if excess(low) < 0 or excess(high) > 0:
            return float(rate > 0.5)
        threshold = optimize.brentq(excess, low, high, xtol=1e-12 * (high - low), rtol=1e-14)
        return _above(threshold, law.in_mean, law.in_sd)

    return np.array([at(rate) for rate in rates.reshape(-1)]).reshape(rates.shape)


@entrance
def mixture_auc(law: Law) -> float:
    """Return the area under the ROC of `mixture_tpr`: a trapezoidal sum over thresholds."""
    _checked(law)
    thresholds = np.linspace(*_range(law), GRID)
    fpr = np.array([_above(t, law.out_mean, law.out_sd) for t in thresholds])
    hit = np.array([_above(t, law.in_mean, law.in_sd) for t in thresholds])
    return float(((fpr[:-1] - fpr[1:]) * (hit[:-1] + hit[1:])).sum() / 2)


def _above(threshold: float, mean: np.ndarray, sd: np.ndarray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (mean - threshold) / sd
    return float(ndtr(np.where(np.isnan(z), -np.inf, z)).mean())


def _range(law: Law) -> tuple[float, float]:
    means, sds = np.concatenate([law.out_mean, law.in_mean]), np.concatenate([law.out_sd, law.in_sd])
    return float((means - 8 * sds).min()), float((means + 8 * sds).max())


# --- caps ---------------------------------------------------------------------------------------------------


@entrance
def cap_random_subset(fpr: ArrayLike, rate: float) -> np.ndarray:
    """Return r + (1 - r) FPR: no attack on a uniformly random share r of the members has a higher TPR.

    >>> f"{cap_random_subset(0.001, 0.01):.3%}"
    '1.099%'
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate {rate!r}: allowed are 0 to 1")
    return rate + (1 - rate) * _rates(fpr)


@entrance
def cap_private(fpr: ArrayLike, epsilon: float, delta: float = 1e-5) -> np.ndarray:
    """Return min(1, e^epsilon FPR + delta), the highest TPR against an (epsilon, delta)-private release.

    >>> f"{cap_private(0.001, 4):.2%}"
    '5.46%'
    """
    if not 0 <= epsilon <= LARGEST_EPSILON or not 0 <= delta < 1:
        raise ValueError(
            f"epsilon {epsilon!r}, delta {delta!r}: allowed are epsilon from 0 to {LARGEST_EPSILON:g}, "
            "delta from 0, below 1"
        )
    return np.minimum(1.0, np.exp(epsilon) * _rates(fpr) + delta)


def _rates(fpr: ArrayLike) -> np.ndarray:
    rates = np.asarray(fpr, dtype=float)
    if not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(f"fpr {fpr!r}: allowed are rates from 0 to 1")
    return rates


def _some(name: str, values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if not values.size:
        raise ValueError(f"{name} {values.shape}: allowed are one number or more")
    return values


def _squares(values: ArrayLike) -> np.ndarray:
    values = _some("squared lengths", values)
    if not ((values >= 0) & np.isfinite(values)).all():
        raise ValueError(f"squared lengths down to {values.min():g}: allowed are finite numbers from 0 up")
    return values


def _alike(own: ArrayLike, variance: ArrayLike, offset: ArrayLike) -> list[np.ndarray]:
    """Return own and variance in one shape; ValueError where an array is of another than the others."""
    found = {"own": _some("own", own), "variance": _squares(variance), "offset": _some("offset", offset)}
    shape = next((values.shape for values in found.values() if values.shape), ())
    for name, values in found.items():
        if values.shape not in ((), shape) or not np.isfinite(values).all():
            raise ValueError(f"{name} {values.shape}: allowed are finite numbers, one or {shape} of them")
    return [np.broadcast_to(found[name], shape) for name in ("own", "variance")]


def _checked(law: Law) -> None:
    if len({np.shape(part) for part in law}) > 1 or not np.size(law.out_sd):
        raise ValueError(f"law {[np.shape(part) for part in law]}: allowed are four arrays of one shape")
    for name, part in zip(law._fields, law, strict=True):
        if not np.isfinite(part).all():
            raise ValueError(f"law.{name}: allowed are finite numbers")
    checks.spread("law.out_sd", law.out_sd)
    checks.spread("law.in_sd", law.in_sd)


def _members(n: int) -> int:
    checks.counts(n=n)
    return n


def _pool_size(n: int, pool: int | None) -> int:
    if pool is None:
        checks.counts(2, n=n)
        return 2 * n
    checks.counts(max(3, _members(n) + 1), pool=pool)
    return pool
