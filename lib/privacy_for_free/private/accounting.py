"""Epsilon of Gaussian mechanisms, and the noise that a target epsilon needs.

Everything private in this package adds Gaussian noise to sums of vectors, so one description serves all of
it: `steps` releases, each the sum, over a Poisson sample of the examples, of one vector per example, of
Euclidean norm at most C, plus N(0, (noise_multiplier C)^2 I). dp-accounting computes everything,
no code of our own:

    analytic  one release without sampling, exactly (Balle & Wang, ICML 2018, theorem 8); adaptive releases of
              one noise are one release with the noise divided by sqrt(steps) (Dong, Roth & Su, JRSS B 2022,
              corollary 3.3)
    rdp       Renyi accounting (Mironov, Talwar & Zhang 2019), converted with Balle et al., AISTATS 2020,
              theorem 21. This is what the published noise scales come from, and an upper bound only.
    pld       privacy loss distributions (Koskela, Jalko & Honkela, AISTATS 2020; Doroshenko et al., PoPETs
              2022): an upper bound too, and tight up to its grid of 1e-4, which adds up: at an epsilon of a
              hundredth over 10,000 steps it costs more than the Renyi conversion does
    least     the smallest of these bounds, of those that can be computed: what is asked for by default

What can be computed is stated, and refused before any work otherwise, by name and limit. Distributions drop
tails of 1e-15, and are laid out on their grid: they serve deltas from PLD_DELTA up, PLD_STEPS steps at most,
noise multipliers from SMALLEST_NOISE up, and mechanisms whose Renyi epsilon at a delta of 1e-15 is at most
PLD_EPSILON. The other two take no time and know no such limits.

Adjacency, and how sensitivity enters. C bounds one example's vector, not the sensitivity:

    add_remove   one data set has one example more. The sum moves by at most C: its sensitivity is C. The
                 number of examples is not in the sum; where it is published too, the promise is about
                 data sets in which one example's vector is 0, and their number the same.
    replace_one  one example is another one. The sum moves by at most 2C: its sensitivity is 2C. With sampling
                 the pair of outputs is that of an example sampled or not, on either side of the rest (Lebeda
                 et al. 2024), which has no Renyi form in the library: there the accountant has to be pld.

Numbers that are computed from the sums and public constants only cost nothing more.

Not covered, and true of every mechanism in this package: the epsilon holds while the seed is secret, for
noise from a cryptographic generator, and for real numbers, not for floats (Mironov, CCS 2012). A result with
a seed that is published, as in a record that can be made again, is an experiment about the mechanism and not
a private release.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

import numpy as np

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance

BOUNDS = ("analytic", "pld", "rdp")
ACCOUNTANTS = ("least", *BOUNDS)
ADJACENCIES = ("add_remove", "replace_one")
DELTA = 1e-5
SMALLEST_EPSILON, LARGEST_EPSILON = 1e-6, 1e6  # of a calibration
LEAST_SIGMA, MOST_SIGMA = 1e-9, 1e12  # noise over the sensitivity and the root of the steps, where not 0
SMALLEST_DELTA = 1e-300  # below, floats have too few digits left
PLD_DELTA, PLD_TAIL = 1e-13, 1e-15
PLD_STEPS, MOST_STEPS = 10**6, 10**12
PLD_EPSILON = 1000.0  # 10^7 cells of the grid on either side: 20 seconds, 1 GB
ORDERS = tuple(range(2, 257))  # of the Renyi epsilon that tells how wide a distribution will be
SMALLEST_NOISE = 0.25  # least noise multiplier that a calibration looks at: less takes the PLD minutes
LARGEST_NOISE = 2.0**20
TOLERANCE = 1e-5  # of a calibrated noise multiplier, relative


@entrance
@dataclass(frozen=True)
class Mechanism:
    """`steps` noisy sums over Poisson samples.

    noise_multiplier  standard deviation of the noise over the bound C of an example's norm; 0: no noise
    steps             how many sums are released; each may depend on those before
    rate              probability with which an example takes part in a sum, independently; 1: always
    adjacency         what changes between neighbouring data sets, one of ADJACENCIES
    """

    noise_multiplier: float
    steps: int = 1
    rate: float = 1.0
    adjacency: str = "add_remove"

    def __post_init__(self) -> None:
        """Refuse values no mechanism has."""
        if not 0 <= self.noise_multiplier < math.inf:
            raise ValueError(
                f"noise_multiplier {self.noise_multiplier!r}: allowed are finite numbers from 0 up"
            )
        validate.whole("steps", self.steps, 1, MOST_STEPS)
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate {self.rate!r}: allowed are numbers above 0, up to 1")
        validate.one_of("adjacency", self.adjacency, ADJACENCIES)

    @entrance
    def epsilon(self, delta: float = DELTA, accountant: str = "least") -> float:
        """Return an epsilon >= 0 for which the mechanism is (epsilon, delta)-DP; infinity without noise.

        ValueError for a delta outside (0, 1), an unknown accountant, and one that cannot do this mechanism at
        this delta; "least" cannot where none of them can.

        >>> round(Mechanism(1.0, steps=50, rate=50 / 6000).epsilon(accountant="rdp"), 2)
        1.06
        """
        _check_delta(delta)
        able = _able(self, delta, accountant)
        if self.noise_multiplier == 0:
            return math.inf
        if accountant == "least":
            return min(self.epsilon(delta, one) for one in able)
        if accountant == "analytic":
            sigma = self.noise_multiplier / math.sqrt(self.steps) / _factor(self.adjacency)
            with np.errstate(divide="ignore", invalid="ignore"):  # the library takes logarithms of 0
                return float(_library().gaussian_mechanism.get_epsilon_gaussian(sigma, delta))
        using = _accountant(accountant, self.adjacency)
        with _quiet():
            return float(using.compose(_event(self, accountant)).get_epsilon(delta))


@entrance
def calibrate(
    epsilon: float,
    steps: int = 1,
    rate: float = 1.0,
    delta: float = DELTA,
    adjacency: str = "add_remove",
    accountant: str = "least",
) -> Mechanism:
    """Return the mechanism with the least noise that is (epsilon, delta)-DP; an infinite epsilon has none.

    Its epsilon under the same accountant is at most the target, and its noise multiplier above the least one
    by at most a share TOLERANCE; "least" finds the least noise of all accountants that can. ValueError for
    epsilon <= 0, for what `Mechanism` refuses, and for a target that no noise multiplier between
    SMALLEST_NOISE and LARGEST_NOISE reaches: below some epsilon Renyi accounting needs noise of 1 / delta.
    The analytic accountant knows no such limits.

    >>> round(calibrate(1.0).noise_multiplier, 3), round(calibrate(1.0, delta=1e-18).noise_multiplier, 3)
    (3.731, 8.322)
    >>> calibrate(-1.0)
    Traceback (most recent call last):
    ValueError: epsilon -1.0: allowed are numbers above 0, from 1e-06 to 1e+06, and infinity
    """
    if not SMALLEST_EPSILON <= epsilon <= LARGEST_EPSILON and epsilon != math.inf:
        raise ValueError(
            f"epsilon {epsilon!r}: allowed are numbers above 0, from {SMALLEST_EPSILON} to "
            f"{LARGEST_EPSILON:g}, and infinity"
        )
    _check_delta(delta)
    return _calibrated(epsilon, Mechanism(0.0, steps, rate, adjacency), delta, accountant)


@cache
def _calibrated(epsilon: float, least: Mechanism, delta: float, accountant: str) -> Mechanism:
    """Return `least` with its noise; kept, for the same is asked for again and again."""
    steps, rate, adjacency = least.steps, least.rate, least.adjacency
    able = _able(least, delta, accountant)
    if epsilon == math.inf:
        return least
    if accountant == "least":
        return _with_least_noise(epsilon, least, delta, able)
    if accountant == "analytic":
        with np.errstate(divide="ignore", invalid="ignore"):
            sigma = _library().gaussian_mechanism.get_sigma_gaussian(epsilon, delta)
        sigma *= _factor(adjacency) * math.sqrt(steps) * (1 + 1e-9)  # its root may lie a rounding too low
        return replace(least, noise_multiplier=float(sigma))

    def spent(noise_multiplier: float) -> float:
        return replace(least, noise_multiplier=noise_multiplier).epsilon(delta, accountant)

    # The bracket is looked for from above: at little noise the PLD takes long.
    high = max(1.0, rate * math.sqrt(steps))
    while (reached := spent(high)) > epsilon:
        if high >= LARGEST_NOISE:
            raise ValueError(
                f"epsilon {epsilon!r}: not reached at delta {delta!r} by the accountant {accountant} with "
                f"{steps} steps at rate {rate!r}; allowed are numbers from {reached:.3g} up"
            )
        high *= 2
    low = high / 2
    while (reached := spent(low)) <= epsilon:
        if low <= SMALLEST_NOISE:
            below = f"numbers below {reached:.4g}, and infinity" if reached > 0 else "infinity"
            raise ValueError(
                f"epsilon {epsilon!r}: needs a noise multiplier below {SMALLEST_NOISE}, which is not "
                f"computed, and spends {reached:.4g} with that; allowed are {below}"
            )
        low, high = low / 2, low
    library = _library()
    with _quiet():
        noise_multiplier = library.calibrate_dp_mechanism(
            lambda: _accountant(accountant, adjacency),
            lambda value: _event(replace(least, noise_multiplier=value), accountant),
            epsilon,
            delta,
            library.ExplicitBracketInterval(low, high),
            tol=TOLERANCE * low,
        )
    return replace(least, noise_multiplier=float(noise_multiplier))


def _with_least_noise(epsilon: float, least: Mechanism, delta: float, able: tuple[str, ...]) -> Mechanism:
    """Calibrate by the accountant, of those that can, that asks for the least noise."""
    best, refusals = None, []
    for accountant in able:
        # An accountant that finds more epsilon in the noise found so far needs more noise itself.
        if best is not None and best.epsilon(delta, accountant) > epsilon:
            continue
        try:
            found = _calibrated(epsilon, least, delta, accountant)
        except ValueError as error:
            refusals.append(error)
            continue
        if best is None or found.noise_multiplier < best.noise_multiplier:
            best = found
    if best is None:
        raise refusals[-1]
    return best


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from printing which Renyi orders it leaves out: the bound is one without them."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _library() -> ModuleType:
    """Import dp-accounting where it is used: a host that only makes releases needs no accountant."""
    try:
        import dp_accounting
        import dp_accounting.gaussian_mechanism
        import dp_accounting.pld
        import dp_accounting.rdp
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"accounting needs the package {error.name}: pip install '.[private]' in a checkout"
        ) from error
    return dp_accounting


def _accountant(accountant: str, adjacency: str) -> object:
    library = _library()
    relations = library.NeighboringRelation
    relation = relations.REPLACE_ONE if adjacency == "replace_one" else relations.ADD_OR_REMOVE_ONE
    if accountant == "pld":
        return library.pld.PLDAccountant(relation)
    return library.rdp.RdpAccountant(neighboring_relation=relation)


def _event(mechanism: Mechanism, accountant: str) -> object:
    """Describe the mechanism to the library.

    Its PLD accountant takes the multiplier for that of C and puts the example on either side itself; its RDP
    accountant takes it for that of the sensitivity.
    """
    library, sigma = _library(), mechanism.noise_multiplier
    event = library.GaussianDpEvent(sigma if accountant == "pld" else sigma / _factor(mechanism.adjacency))
    if mechanism.rate < 1:
        event = library.PoissonSampledDpEvent(mechanism.rate, event)
    return library.SelfComposedDpEvent(event, mechanism.steps)


def _factor(adjacency: str) -> int:
    """Return the sensitivity over C."""
    return 2 if adjacency == "replace_one" else 1


def _check_delta(delta: float) -> None:
    if not SMALLEST_DELTA <= delta < 1:
        raise ValueError(f"delta {delta!r}: allowed are numbers between 0 and 1, from {SMALLEST_DELTA} up")


def _able(mechanism: Mechanism, delta: float, accountant: str) -> tuple[str, ...]:
    """Return the accountants that can do a mechanism at a delta, of those meant; ValueError where none can.

    Noise 0 stands for noise that is still to be found.
    """
    validate.one_of("accountant", accountant, ACCOUNTANTS)
    sigma = mechanism.noise_multiplier / math.sqrt(mechanism.steps) / _factor(mechanism.adjacency)
    if sigma and not LEAST_SIGMA <= sigma <= MOST_SIGMA:
        raise ValueError(
            f"noise_multiplier {mechanism.noise_multiplier!r} of {mechanism.steps} steps: allowed are 0, and "
            f"{LEAST_SIGMA} to {MOST_SIGMA:g} times the root of the steps, for replace_one twice that"
        )
    meant = BOUNDS if accountant == "least" else (accountant,)
    if accountant == "least" and mechanism.rate == 1:
        return ("analytic",)  # exact
    refusals = {one: _refusal(mechanism, delta, one) for one in meant}
    able = tuple(one for one in meant if not refusals[one])
    if not able:
        raise ValueError("; ".join(refusals.values()))
    return able


def _refusal(mechanism: Mechanism, delta: float, accountant: str) -> str:
    """Return why an accountant cannot do a mechanism at a delta, and what is allowed; "" where it can."""
    rate, steps, noise_multiplier = mechanism.rate, mechanism.steps, mechanism.noise_multiplier
    if accountant == "analytic" and rate < 1:
        return f"accountant 'analytic' at rate {rate!r}: allowed are rdp and pld, or rate 1"
    if accountant == "rdp" and rate < 1 and mechanism.adjacency == "replace_one":
        return f"accountant 'rdp' for replace_one at rate {rate!r}: allowed are pld, add_remove, or rate 1"
    if accountant != "pld":
        return ""
    if delta < PLD_DELTA:
        return f"delta {delta!r} for the accountant 'pld': allowed are numbers from {PLD_DELTA} up"
    if steps > PLD_STEPS:
        return f"steps {steps!r} for the accountant 'pld': allowed are 1 to {PLD_STEPS}"
    if 0 < noise_multiplier < SMALLEST_NOISE:
        return (
            f"noise_multiplier {noise_multiplier!r} for the accountant 'pld': allowed are numbers from "
            f"{SMALLEST_NOISE} up, and 0"
        )
    if noise_multiplier > 0 and (wide := _width(mechanism)) > PLD_EPSILON:
        return (
            f"{mechanism!r} for the accountant 'pld', an epsilon of {wide:.3g} at delta {PLD_TAIL}: "
            f"allowed are {PLD_EPSILON:g} at most"
        )
    return ""


def _width(mechanism: Mechanism) -> float:
    """Return about how far the privacy loss reaches to either side, all but a share of PLD_TAIL."""
    scaled = replace(
        mechanism,
        noise_multiplier=mechanism.noise_multiplier / _factor(mechanism.adjacency),
        adjacency="add_remove",
    )
    accountant = _library().rdp.RdpAccountant(ORDERS)
    return float(accountant.compose(_event(scaled, "rdp")).get_epsilon(PLD_TAIL))
