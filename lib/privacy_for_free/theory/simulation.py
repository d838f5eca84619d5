"""The effect sizes of `theory.tracing` against simulated Gaussian images, with standard errors.

T of an image is divided by its standard deviation outside, so that the mean over the members less the mean
over the others estimates the average effect size. Repetitions are independent, so their spread gives the
error. The covariance of the images does not matter, since T is whitened: they are drawn with the identity.
"""

from typing import NamedTuple

import numpy as np

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import numpy_generator
from privacy_for_free.theory import checks, tracing

MOST_DRAWN = 2**36  # normal numbers of all repetitions together, about half an hour


class Effect(NamedTuple):
    """An observed average effect size, its standard error, and what formulas make of the same images.

    fresh     sqrt(q / n); leading sqrt(2 q / n); exact 2 sqrt(h / (1 - h)), h = q / (2 n - 1): averages over
              the images of their squared distances q. Not a number where a formula is about something else
    """

    observed: float
    error: float
    fresh: float
    leading: float
    exact: float

    def z(self, formula: str) -> float:
        """Return (observed - formula) in standard errors."""
        return (self.observed - getattr(self, formula)) / self.error


@entrance
def fresh_members(d: int, n: int, repetitions: int, seed: int = 0) -> Effect:
    """Draw n members and n others anew each time; the attacker knows mean and covariance."""
    _check(d, n, repetitions)
    random = numpy_generator(seed, "simulated fresh members", d, n)
    gaps, formula = np.empty(repetitions), np.empty(repetitions)
    for k in range(repetitions):
        members, others = random.standard_normal((2, n, d))
        release = members.mean(0)
        effects = [tracing.effect_size((side**2).sum(1), n) for side in (members, others)]
        z_in, z_out = (
            side @ release / effect for side, effect in zip((members, others), effects, strict=True)
        )
        gaps[k], formula[k] = z_in.mean() - z_out.mean(), effects[0].mean()
    error = (gaps - formula).std(ddof=1) / np.sqrt(repetitions)
    return Effect(float(gaps.mean()), float(error), float(formula.mean()), np.nan, np.nan)


@entrance
def half_of_a_pool(d: int, n: int, repetitions: int, seed: int = 0) -> Effect:
    """Draw one pool of 2 n images, which the attacker knows, and a random half of it each time."""
    checks.counts(2, n=n)
    _check(d, n, repetitions, 2 * n - 2)  # a pool's covariance has an inverse to here
    random = numpy_generator(seed, "simulated pool", d, n)
    images = random.standard_normal((2 * n, d))
    centred = images - images.mean(0)
    weights = centred @ np.linalg.inv(centred.T @ centred / (2 * n))
    q = (weights * centred).sum(1)
    law = tracing.pool_law(q, q, n)
    gaps = np.empty(repetitions)
    for k in range(repetitions):
        inside = np.zeros(2 * n, dtype=bool)
        inside[random.permutation(2 * n)[:n]] = True
        z = weights @ centred[inside].mean(0) / law.out_sd
        gaps[k] = z[inside].mean() - z[~inside].mean()
    fresh = tracing.effect_size(q, n)
    error = gaps.std(ddof=1) / np.sqrt(repetitions)
    means = [float(effect.mean()) for effect in (fresh, np.sqrt(2) * fresh, law.effect)]
    return Effect(float(gaps.mean()), float(error), *means)


def _check(d: int, n: int, repetitions: int, most: int | None = None) -> None:
    checks.counts(2, n=n, repetitions=repetitions)
    validate.whole("d", d, 1, most)
    checks.memory(f"d {d}, n {n}", 2 * n * d)
    checks.memory(
        f"repetitions {repetitions}, d {d}, n {n}, drawn in all", repetitions * 2 * n * d, MOST_DRAWN
    )
