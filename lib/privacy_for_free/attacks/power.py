"""How many members it takes to see a leak at a low false positive rate: counting, by the exact binomial test.

A threshold has a known false positive rate. Of N members the attack calls some; without a leak their number
is binomial with that rate. The exact two-sided test at a level (level / 2 per side) calls it a leak when so
many are called that the chance of it without a leak is at most level / 2; the one-sided test spends the whole
level on that side. All binomials are scipy's. Members are taken to be independent; pairs of one target are
not quite, so these are lower limits.
"""

import math

import numpy as np
from scipy import optimize, stats

from privacy_for_free.core.entrance import entrance


@entrance
def power(
    members: int | np.ndarray, tpr: float, fpr: float = 0.001, level: float = 0.05, sides: int = 2
) -> float | np.ndarray:
    """Return the chance, float64, that the test sees a true positive rate of `tpr` above `fpr`.

    members   whole numbers from 1 up, one or an array
    sides     2 or 1: of the test

    >>> round(power(3000, 0.003), 2)
    0.68
    """
    _check(tpr=tpr, fpr=fpr, level=level)
    _check_sides(sides)
    members = np.asarray(members)
    if members.dtype.kind not in "iu" or (members < 1).any():
        raise ValueError(f"members {members.tolist()!r}: allowed are whole numbers from 1 up")
    called = stats.binom.isf(level / sides, members, fpr)  # more than so many: a leak
    chances = stats.binom.sf(called, members, tpr)
    return float(chances) if chances.ndim == 0 else chances


@entrance
def members_needed(
    tpr: float,
    fpr: float = 0.001,
    chance: float = 0.8,
    level: float = 0.05,
    exact: bool = True,
    sides: int = 2,
) -> int:
    """Return from how many members on the test sees `tpr` with at least this chance.

    The power of an exact test rises in a sawtooth: this is the number after which it stays above. `exact`
    False gives the textbook's normal approximation instead. ValueError unless fpr < tpr, for rates, chances
    and levels outside (0, 1), and for other sides than 1 and 2.

    >>> members_needed(0.003), members_needed(0.003, exact=False), members_needed(0.003, sides=1)
    (4172, 2915, 3410)
    """
    _check(tpr=tpr, fpr=fpr, chance=chance, level=level)
    _check_sides(sides)
    if tpr <= fpr:
        raise ValueError(f"tpr {tpr!r}: allowed are numbers above fpr, here {fpr!r}")
    spread = stats.norm.isf(level / sides) * math.sqrt(fpr * (1 - fpr))
    spread += stats.norm.ppf(chance) * math.sqrt(tpr * (1 - tpr))
    guess = max(1, math.ceil((spread / (tpr - fpr)) ** 2))
    if not exact:
        return guess
    last, upper = -1, 2 * guess + 50
    while True:
        tried = np.arange(1, upper + 1)
        failed = np.flatnonzero(power(tried, tpr, fpr, level, sides) < chance)
        last = int(failed[-1]) + 1 if len(failed) else 0
        if last < 0.75 * upper:
            return last + 1
        upper *= 2


@entrance
def detectable(members: int, fpr: float = 0.001, chance: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest true positive rate that the test sees with this chance.

    >>> f"{100 * detectable(1000):.2f} %"
    '0.55 %'
    """
    _check(fpr=fpr, chance=chance, level=level)
    power(members, 0.5, fpr, level)  # checks members
    return float(optimize.brentq(lambda tpr: power(members, tpr, fpr, level) - chance, fpr, 1 - 1e-12))


def _check_sides(sides: int) -> None:
    if sides not in (1, 2):
        raise ValueError(f"sides {sides!r}: allowed are 1 and 2")


def _check(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} {value!r}: allowed are numbers between 0 and 1")
