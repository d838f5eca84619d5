"""A number with its interval: means of few independent runs and their differences (Student's t), rates
(binomial); and p-values of many comparisons at once. Everything is scipy's.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from scipy import stats

from privacy_for_free.core import plain, validate
from privacy_for_free.core.entrance import entrance

LARGEST = 1e150  # numbers whose squares are finite
MOST_TRIALS = 2**53  # that are whole in float64


class Interval(NamedTuple):
    """An estimate and its confidence interval; of one run, and of what is exact, it is a point."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the interval's length: an error bar."""
        return (self.high - self.low) / 2

    def shifted(self, by: float) -> "Interval":
        """Return the interval of the value plus a constant.

        >>> Interval(-2.0, -4.0, 1.0).shifted(5.0)
        Interval(value=3.0, low=1.0, high=6.0)
        """
        return Interval(*(number + by for number in self))

    def __str__(self) -> str:
        """As a table shows it: value [low, high], with signs.

        >>> str(Interval(1.25, -0.5, 3.0))
        '+1.2 [-0.5, +3.0]'
        """
        return f"{self.value:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence!r}: allowed are numbers between 0 and 1")


def _row(name: str, values: Sequence[float]) -> np.ndarray:
    found = np.asarray(values, dtype=float)
    if found.ndim != 1:
        raise ValueError(f"{name} {found.shape}: allowed are numbers in a row")
    if len(found) and np.abs(found).max() > LARGEST:
        raise ValueError(f"{name} up to {np.abs(found).max():.3g}: allowed are numbers up to {LARGEST:.0e}")
    return found


@contextmanager
def _without_a_spread(*samples: Sequence[float]) -> Iterator[None]:
    """Keep scipy from warning of values that are all the same: their spread is known to be 0."""
    if min(np.ptp(sample) for sample in samples) > 0:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        yield


@entrance
def mean(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of independent values and its interval (Student's t); not a number of no values.

    Of one value the interval is a point; of values that are all the same it is one, up to rounding.

    >>> round(mean([1.0, 2.0, 3.0]).half, 3)
    2.484
    """
    _check(confidence)
    values = _row("values", values)
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan)
    middle = float(values.mean())
    if len(values) == 1:
        return Interval(middle, middle, middle)
    with _without_a_spread(values):
        ends = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    return Interval(middle, *map(float, ends))


@entrance
def difference(values: Sequence[float], base: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return mean(values) - mean(base) and its interval (Welch's t); not a number of fewer than two.

    Where the values are all the same, and those of the base are, it is a point, up to rounding.
    """
    _check(confidence)
    values, base = _row("values", values), _row("base", base)
    if min(len(values), len(base)) < 2:
        return Interval(np.nan, np.nan, np.nan)
    with _without_a_spread(values, base):
        welch = stats.ttest_ind(values, base, equal_var=False)
        low, high = welch.confidence_interval(confidence)
    return Interval(float(np.mean(values) - np.mean(base)), float(low), float(high))


@entrance
def rate(count: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return count / trials, of independent trials, with its exact (Clopper-Pearson) interval.

    ValueError for no trials, and for counts that are not between 0 and the trials.

    >>> share = rate(1, 1000)
    >>> f"{share.low:.5%} {share.high:.3%}"
    '0.00253% 0.556%'
    """
    validate.whole("trials", trials, 1, MOST_TRIALS)
    validate.whole("count", count, 0, trials)
    _check(confidence)
    ends = stats.binomtest(int(count), int(trials)).proportion_ci(confidence, method="exact")
    return Interval(count / trials, float(ends.low), float(ends.high))


@entrance
def unpaired(one: Interval, other: Interval, confidence: float = 0.95) -> tuple[Interval, float]:
    """Return one - other with its interval, and the two-sided p-value of no difference.

    From the two intervals alone, of this confidence each: both errors are taken for normal, and independent.
    For results that share no resamples. ValueError for two intervals of no length.

    >>> difference, p_value = unpaired(Interval(0.5, 0.4, 0.6), Interval(0.2, 0.1, 0.3))
    >>> print(f"{difference.value:.2f} +- {difference.half:.3f}, p = {p_value:.6f}")
    0.30 +- 0.141, p = 0.000032
    """
    _check(confidence)
    for name, interval in (("one", one), ("other", other)):
        for end in interval:
            plain.number(name, end)
    half = np.hypot(one.half, other.half)
    if not half > 0 or not np.isfinite([*one, *other]).all():
        raise ValueError(
            f"one {one} and other {other}: allowed are intervals of which one has a length, of finite numbers"
        )
    value = one.value - other.value
    p_value = 2 * stats.norm.sf(abs(value) / half * stats.norm.ppf((1 + confidence) / 2))
    return Interval(value, value - half, value + half), float(p_value)


@entrance
def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return p-values (float64) corrected for their number, by Holm's step-down method.

    The smallest is multiplied by how many there are, the next by one less, and so on, and none may be smaller
    than the one before: to call those below .05 significant then errs with a chance of at most 5 % in all,
    whatever the dependence between the tests (Holm, Scandinavian Journal of Statistics 6, 1979). ValueError
    for values outside [0, 1], not a number included.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    values = _row("p_values", p_values)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p_values {values[~((values >= 0) & (values <= 1))][0]}: allowed are 0 to 1")
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1)
    return corrected
