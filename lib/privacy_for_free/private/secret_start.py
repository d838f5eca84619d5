"""Private by where it starts and stops: linear distribution matching from a secret Gaussian start.

`theory.secret_start` has the proof that the images of one class after t steps are a Gaussian mechanism on the
class mean; here are its epsilon, the most steps that an epsilon allows, and the release itself.

Adjacency is replacement of one image of a class by another of that class; class counts are public. Classes
are disjoint and have starts of their own, so the release of all of them has the epsilon of the worst
(parallel composition). Where a replaced image may change its class too, two classes change: sqrt(2) times
mu, with n the smaller of the two counts.

What voids it: a seed that is known or can be guessed (the shape s_j - sbar shows all but one of the m
numbers that were drawn at each pixel, by which a guess is checked), a generator that is not cryptographic, a
second step of the same run, a number of steps that was chosen by looking at the images, and floats that are
too coarse for the noise (`SMALLEST_KEPT`). It is not for minibatches, whose mean moves by more than 2B/n. See
`accounting` for what holds of every mechanism here.
"""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from privacy_for_free.condensation.problem import digest
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import ORDERED, entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.private import accounting
from privacy_for_free.private.accounting import DELTA, Mechanism
from privacy_for_free.private.noisy_condensation.sums import clip
from privacy_for_free.theory import secret_start as theory

SMALLEST_KEPT = 2.0**-12  # of a release: float32 then has 2^12 steps within the spread of what is kept
ADJACENCY = "replace_one"


@entrance
def epsilon_of(mu: float, delta: float = DELTA) -> float:
    """Return epsilon, at delta, of a Gaussian mechanism of this mu, 0 to infinity; exact.

    Balle & Wang (ICML 2018, theorem 8), by `accounting`. Values of mu that it does not compute are rounded
    up, to 1e-12 and, from 5e8 on, to infinity.

    >>> round(epsilon_of(0.2656), 2)
    0.99
    """
    if not mu >= 0:
        raise ValueError(f"mu {mu!r}: allowed are numbers from 0 up")
    if mu == 0:
        Mechanism(1.0).epsilon(delta)  # refuses a delta that is none
        return 0.0
    if mu >= 0.5 / accounting.LEAST_SIGMA:
        Mechanism(1.0).epsilon(delta)
        return math.inf
    return Mechanism(2 / max(mu, 2 / accounting.MOST_SIGMA), adjacency=ADJACENCY).epsilon(delta)


@entrance(mus=ORDERED)
def epsilon_of_several(mus: Sequence[float], delta: float = DELTA) -> float:
    """Return epsilon, at delta, of a Gaussian mechanism whose mu is one of these, each as likely, and known.

    What is spent at an epsilon is then the average of what each spends: the mechanism whose mu depends on
    numbers that are public, and independent of the images, as extractors are. Infinity where more than a
    share delta of them is.

    mus   1 or more, each from 0 to infinity; draws of the numbers estimate an epsilon, and bound none

    >>> round(epsilon_of_several([0.2, 0.2]), 4) == round(epsilon_of(0.2), 4)
    True
    """
    values = np.asarray(mus, dtype=float)
    if not len(values) or not (values >= 0).all():
        raise ValueError(f"mus {mus!r}: allowed are one or more numbers from 0 up")
    highest = epsilon_of(float(values.max()), delta)
    if highest == math.inf:
        sure = values >= 0.5 / accounting.LEAST_SIGMA
        if sure.mean() >= delta:
            return math.inf
        highest = accounting.LARGEST_EPSILON
    lasting, top = values[values > 0], highest * (1 + 1e-6) + 1e-6

    def above(epsilon: float) -> float:
        spent = ndtr(lasting / 2 - epsilon / lasting)
        spent -= np.exp(epsilon + log_ndtr(-lasting / 2 - epsilon / lasting))
        return float(spent.sum()) / len(values) - delta

    return 0.0 if highest == 0 or above(0.0) <= 0 else float(brentq(above, 0.0, top, xtol=1e-9))


@entrance
def mu_at(epsilon: float, delta: float = DELTA) -> float:
    """Return the largest mu of a Gaussian mechanism that is (epsilon, delta)-private; infinity at infinity.

    >>> round(mu_at(1.0), 3)
    0.268
    """
    noise = accounting.calibrate(epsilon, delta=delta, adjacency=ADJACENCY).noise_multiplier
    return 2 / noise if noise else math.inf


@entrance
@dataclass(frozen=True)
class SecretStart:
    """One class, condensed by linear distribution matching on the expected loss, all n images in every step.

    n, m         real images, which is public, and synthetic ones
    bound        B, norm that the flattened real images are clipped to
    spread       s, standard deviation of the start's pixels
    contraction  rho, by which a step shortens the gap of the means, above 0 and below 1: `linear.contraction`
    """

    n: int
    m: int
    bound: float
    spread: float = 1.0
    contraction: float = 0.9

    def __post_init__(self) -> None:
        """Refuse values no run has."""
        theory.most_steps(1.0, self.contraction, self.n, self.m, self.bound, self.spread)

    @entrance
    def mu(self, steps: int) -> float:
        """Return mu of the release after so many steps; infinity where no float holds what is kept."""
        kept = theory.kept(steps, self.contraction)
        return theory.mu(kept, self.n, self.m, self.bound, self.spread)

    @entrance
    def epsilon(self, steps: int, delta: float = DELTA) -> float:
        """Return the epsilon of the release after so many steps, at delta.

        >>> run = SecretStart(n=6000, m=10, bound=28.0)
        >>> [round(run.epsilon(steps), 2) for steps in (0, 10, 20, 40)]
        [0.0, 0.18, 0.78, 9.8]
        """
        return epsilon_of(self.mu(steps), delta)

    @entrance
    def most_steps(self, epsilon: float, delta: float = DELTA) -> int:
        """Return the largest number of steps whose release is (epsilon, delta)-private; 0: not one is.

        ValueError for an infinite epsilon, which any number of steps has.

        >>> SecretStart(n=6000, m=10, bound=28.0).most_steps(1.0)
        21
        """
        if epsilon == math.inf:
            raise ValueError(f"epsilon {epsilon!r}: allowed are finite numbers, for others any step will do")
        allowed = mu_at(epsilon, delta)
        return theory.most_steps(allowed, self.contraction, self.n, self.m, self.bound, self.spread)

    @entrance(shapes="images n d")
    def release(
        self, images: torch.Tensor, steps: int, seed: int | None = None, noise: str = "members"
    ) -> torch.Tensor:
        """Return the synthetic images after so many steps, float64, m x d, in closed form.

        images   of one class, n x d, clipped here
        seed     secret; None for a fresh one of the operating system
        noise    what the start is derived from: "members", the seed, the settings, the steps and the images,
                 so that no two releases share a start, whose difference would give the means away; or
                 "seed", the seed alone, for experiments that others make again

        ValueError for another number of images, and for more steps than leave a share SMALLEST_KEPT.
        """
        if len(images) != self.n:
            raise ValueError(f"images {tuple(images.shape)}: allowed are n {self.n}")
        validate.one_of("noise", noise, ("members", "seed"))
        seed = secrets.randbits(62) if seed is None else validate.whole("seed", seed)
        kept = theory.kept(steps, self.contraction)
        if kept < SMALLEST_KEPT:
            most = int(math.log(SMALLEST_KEPT) / math.log(self.contraction))
            raise ValueError(f"steps {steps!r}: keep {kept:.3g} of the start, allowed are 0 to {most}")
        index = ()
        if noise == "members":
            index = (digest(images, torch.zeros(len(images), dtype=torch.int64)), repr(self), steps)
        stream = generator(seed, "secret start", *index)
        drawn = torch.randn((self.m, images.shape[1]), generator=stream, dtype=torch.float64)
        mean = clip(images, self.bound).mean(0)
        return theory.released(drawn.to(mean.device) * self.spread, mean, kept)
