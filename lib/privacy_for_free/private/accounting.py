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

import math
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

import numpy as np

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance

ACCOUNTANTS = ("analytic", "rdp", "pld")
ADJACENCIES = ("add_remove", "replace_one")
DELTA = 1e-5
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
        validate.whole("steps", self.steps, 1)
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate {self.rate!r}: allowed are numbers above 0, up to 1")
        validate.one_of("adjacency", self.adjacency, ADJACENCIES)

    @entrance
    def epsilon(self, delta: float = DELTA, accountant: str = "pld") -> float:
        """Return an epsilon >= 0 for which the mechanism is (epsilon, delta)-DP; infinity without noise.

        ValueError for a delta outside (0, 1), an unknown accountant, and one that cannot do this mechanism.
        Below a noise multiplier of SMALLEST_NOISE the PLD takes minutes.

        >>> round(Mechanism(1.0, steps=50, rate=50 / 6000).epsilon(accountant="rdp"), 2)
        1.06
        """
        _check_delta(delta)
        _check_accountant(accountant, self.rate, self.adjacency)
        if self.noise_multiplier == 0:
            return math.inf
        if accountant == "analytic":
            sigma = self.noise_multiplier / math.sqrt(self.steps) / _factor(self.adjacency)
            with np.errstate(divide="ignore"):  # the library takes the logarithm of a delta of 0
                return float(_library().gaussian_mechanism.get_epsilon_gaussian(sigma, delta))
        using = _accountant(accountant, self.adjacency)
        return float(using.compose(_event(self, accountant)).get_epsilon(delta))


@entrance
@cache
def calibrate(
    epsilon: float,
    steps: int = 1,
    rate: float = 1.0,
    delta: float = DELTA,
    adjacency: str = "add_remove",
    accountant: str = "pld",
) -> Mechanism:
    """Return the mechanism with the least noise that is (epsilon, delta)-DP; an infinite epsilon has none.

    Its epsilon under the same accountant is at most the target, and its noise multiplier above the least one
    by at most a share TOLERANCE. ValueError for epsilon <= 0, for what `Mechanism` refuses, and for a target
    that no noise multiplier between SMALLEST_NOISE and LARGEST_NOISE reaches: below some epsilon Renyi
    accounting needs noise of 1 / delta. The analytic accountant knows no such limits.

    >>> round(calibrate(1.0, accountant="analytic").noise_multiplier, 3)
    3.731
    >>> calibrate(-1.0)
    Traceback (most recent call last):
    ValueError: epsilon -1.0: allowed are numbers above 0
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon {epsilon!r}: allowed are numbers above 0")
    _check_delta(delta)
    least = Mechanism(0.0, steps, rate, adjacency)
    _check_accountant(accountant, rate, adjacency)
    if epsilon == math.inf:
        return least
    if accountant == "analytic":
        with np.errstate(divide="ignore"):
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
            raise ValueError(
                f"epsilon {epsilon!r}: needs a noise multiplier below {SMALLEST_NOISE}, which is not "
                f"computed; allowed are numbers below {reached:.4g}, and infinity"
            )
        low, high = low / 2, low
    library = _library()
    noise_multiplier = library.calibrate_dp_mechanism(
        lambda: _accountant(accountant, adjacency),
        lambda value: _event(replace(least, noise_multiplier=value), accountant),
        epsilon,
        delta,
        library.ExplicitBracketInterval(low, high),
        tol=TOLERANCE * low,
    )
    return replace(least, noise_multiplier=float(noise_multiplier))


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
    if not 0 < delta < 1:
        raise ValueError(f"delta {delta!r}: allowed are numbers between 0 and 1")


def _check_accountant(accountant: str, rate: float, adjacency: str) -> None:
    validate.one_of("accountant", accountant, ACCOUNTANTS)
    if accountant == "analytic" and rate < 1:
        raise ValueError(f"accountant 'analytic' at rate {rate!r}: allowed are rdp and pld, or rate 1")
    if accountant == "rdp" and rate < 1 and adjacency == "replace_one":
        raise ValueError(
            f"accountant 'rdp' for replace_one at rate {rate!r}: allowed are pld, add_remove, or rate 1"
        )
