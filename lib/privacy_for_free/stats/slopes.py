"""Exponents: slopes of logarithms, with intervals over independent replicates."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from privacy_for_free.core.randomness import numpy_generator
from privacy_for_free.stats.intervals import mean


class Slope(NamedTuple):
    """A mean slope, its 95 % bootstrap interval (BCa), and its Student's t interval, the wider of few."""

    value: float
    low: float
    high: float
    t_low: float
    t_high: float


def exponent(
    rows: pd.DataFrame, column: str = "shift", against: str = "n", seed: int = 0, resamples: int = 4000
) -> Slope:
    """Fit ln(column) on ln(against) in each replicate; return the mean slope over replicates, with intervals.

    One intercept for each x and each value of the other size (m where `against` is n, n where it is m). The
    replicates (`seed`) are what is resampled, since all rows of one share images and extractors. ValueError
    for fewer than 3 replicates, and for values that are not above 0.
    """
    fixed = "m" if against == "n" else "n"
    logs = rows[["seed", "x", fixed]].copy()
    for name, key in (("u", against), ("v", column)):
        values = rows[key].to_numpy(dtype=float)
        if not (np.isfinite(values) & (values > 0)).all():
            raise ValueError(f"{key}: allowed are finite numbers above 0, their logarithms are fitted")
        logs[name] = np.log(values)
    groups = logs.groupby(["seed", "x", fixed])
    u, v = (logs[name] - groups[name].transform("mean") for name in ("u", "v"))
    together = pd.DataFrame({"seed": logs.seed, "uv": u * v, "uu": u * u}).groupby("seed").sum()
    found = (together.uv / together.uu).to_numpy()
    if len(found) < 3:
        raise ValueError(f"{len(found)} replicates: allowed are 3 or more")
    random = numpy_generator(seed, "exponents", len(found))
    if np.ptp(found) < 1e-9:  # exact powers: no spread to resample
        return Slope(*[float(found.mean())] * 5)
    exact = mean(found)
    drawn = stats.bootstrap((found,), np.mean, n_resamples=resamples, method="BCa", rng=random)
    low, high = drawn.confidence_interval
    return Slope(exact.value, float(low), float(high), exact.low, exact.high)
