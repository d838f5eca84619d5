"""A test of whether a mean is 0, from few independent values: flips of their signs."""

import numpy as np
from scipy import stats

from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import numpy_generator
from privacy_for_free.stats.intervals import LARGEST

RESAMPLES = 2**14  # all ways to flip are gone through where there are at most so many


@entrance(shapes="values K")
def p_value(values: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided p-value (0 to 1) of independent values (float, K) having a mean of 0.

    Under that hypothesis each value is taken to be as likely as its opposite. The p-value is the share of
    sign flips under which the mean is at least as far from 0: exact, over all 2^K of them, where that is at
    most RESAMPLES; of as many random ones otherwise, drawn from `seed`. It is at least 2 / 2^K (scipy's
    `permutation_test` of one sample).

    >>> p_value(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    if values.dtype == bool:
        raise ValueError(f"values {values.dtype} {values.shape}: allowed are numbers")
    if np.abs(values).max() > LARGEST:
        raise ValueError(f"values up to {np.abs(values).max():.3g}: allowed are numbers up to {LARGEST:.0e}")
    if not values.any() or len(values) == 1:
        return 1.0
    outcome = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=numpy_generator(seed, "flips"),
    )
    return float(outcome.pvalue)
