"""How many members it takes to see a leak at a low false positive rate: counting, by the exact binomial test.

A threshold has a known false positive rate. Of N members the attack calls some; without a leak their number
is binomial with that rate. The exact two-sided test at a level (level / 2 per side) calls it a leak when so
many are called that the chance of it without a leak is at most level / 2; the one-sided test spends the whole
level on that side. All binomials are scipy's. Members are taken to be independent; pairs of one target are
not quite, so these are lower limits.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance

MOST = 10**15  # members: beyond, scipy's binomials lose count
SEARCHED = 10**9  # members, by the normal approximation, up to which the exact number is searched
CHUNK = 2**20  # sizes whose power is computed at a time
SMALL = 1e-14  # chances below which scipy's quantiles are wrong
LONGEST = 2**20  # teeth, that are looked at in a search
LEAST_LEVEL = 1e-300
TEETH = 256  # of the sawtooth, that are looked at at a time
FEW = 4096  # teeth that are all looked at


@entrance
def power(
    members: int | Sequence[int] | np.ndarray,
    tpr: float,
    fpr: float = 0.001,
    level: float = 0.05,
    sides: int = 2,
) -> float | np.ndarray:
    """Return the chance, float64, that the test sees a true positive rate of `tpr` above `fpr`.

    members   whole numbers from 1 to MOST, one or an array
    sides     2 or 1: of the test

    ValueError for rates outside (0, 1), and a level outside [LEAST_LEVEL, 1).

    >>> round(power(3000, 0.003), 2)
    0.68
    """
    _check(level, sides, tpr=tpr, fpr=fpr)
    if isinstance(members, int):
        validate.whole("members", members, 1, MOST)
    sizes = np.asarray(members)
    if sizes.dtype.kind not in "iu":
        raise ValueError(f"members {sizes.dtype} {sizes.shape}: allowed are whole numbers")
    if sizes.size and (wrong := sizes[(sizes < 1) | (sizes > MOST)]).size:
        raise ValueError(f"members {wrong[0]}: allowed are whole numbers from 1 to {MOST}")
    if sizes.size <= CHUNK:
        chances = _power(sizes, tpr, fpr, level / sides)
        return float(chances) if sizes.ndim == 0 else chances
    chances = np.empty(sizes.size)
    for start in range(0, sizes.size, CHUNK):
        part = slice(start, start + CHUNK)
        chances[part] = _power(sizes.reshape(-1)[part], tpr, fpr, level / sides)
    return chances.reshape(sizes.shape)


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
    False gives the textbook's normal approximation instead. ValueError unless fpr < tpr, for rates and
    chances outside (0, 1), a level outside [LEAST_LEVEL, 1), other sides than 1 and 2, and where the
    approximation is beyond SEARCHED: the exact number is then not looked for.

    >>> members_needed(0.003), members_needed(0.003, exact=False), members_needed(0.003, sides=1)
    (4172, 2915, 3410)
    """
    _check(level, sides, tpr=tpr, fpr=fpr, chance=chance)
    if tpr <= fpr:
        raise ValueError(f"tpr {tpr!r}: allowed are numbers above fpr, here {fpr!r}")
    spread = stats.norm.isf(level / sides) * math.sqrt(fpr * (1 - fpr))
    spread = float(spread + stats.norm.ppf(chance) * math.sqrt(tpr * (1 - tpr)))
    root = abs(spread) / (tpr - fpr)
    most = SEARCHED if exact else 1e300
    if root > math.sqrt(most):
        raise ValueError(
            f"tpr {tpr!r} above fpr {fpr!r}: about {root * root:.3g} members are needed; allowed are rates "
            f"further apart, for {most:.0e} members or fewer"
        )
    guess = max(1, math.ceil((spread / (tpr - fpr)) ** 2))
    if not exact:
        return guess
    upper, width = 2 * guess + 50, 2 * _margin(chance, level / sides) / (tpr - fpr)
    while min(upper, width) * fpr <= LONGEST and upper <= 8 * SEARCHED:
        last = _last_failure(upper, tpr, fpr, chance, level / sides)
        if last < 0.75 * upper:
            return last + 1
        upper *= 2
    raise ValueError(
        f"tpr {tpr!r} above fpr {fpr!r}: the number of members is beyond {upper // 2}, or one of more than "
        f"{LONGEST} steps of the power; allowed are rates further apart, or exact=False"
    )


@entrance
def detectable(members: int, fpr: float = 0.001, chance: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest true positive rate that the test sees with this chance.

    ValueError where no rate is seen so often, of so few members at so small a level, and where the test sees
    a leak as often without one.

    >>> f"{100 * detectable(1000):.2f} %"
    '0.55 %'
    """
    _check(level, 2, fpr=fpr, chance=chance)
    low, high = fpr, 1 - 1e-12
    least, most = (power(members, tpr, fpr, level) for tpr in (low, high))
    if not least <= chance <= most:
        raise ValueError(
            f"chance {chance!r}: allowed are numbers from {least:.3g}, as without a leak, to {most:.3g}, "
            f"as with a tpr of 1, for members {members}, fpr {fpr!r} and level {level!r}"
        )
    return float(optimize.brentq(lambda tpr: power(members, tpr, fpr, level) - chance, low, high))


def _power(members: np.ndarray, tpr: float, fpr: float, tail: float) -> np.ndarray:
    return stats.binom.sf(_called(members, fpr, tail), members, tpr)


def _called(members: np.ndarray, fpr: float, tail: float) -> np.ndarray:
    """Return how many may be called members without the test calling it a leak.

    The fewest, of which more have a chance of at most `tail`; below SMALL, scipy's quantiles are wrong.
    """
    if tail >= SMALL:
        return stats.binom.isf(tail, members, fpr)
    members = np.asarray(members, dtype=float)
    low, high = np.full(members.shape, -1.0), members.copy()
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        above = stats.binom.sf(middle, members, fpr) > tail
        low, high = np.where(above, middle, low), np.where(above, high, np.maximum(middle, low + 1))
    return high


def _last_failure(upper: int, tpr: float, fpr: float, chance: float, tail: float) -> int:
    """Return the largest number of members, up to `upper`, with a power below `chance`; 0 if there is none.

    A tooth is all numbers with the same count of calls allowed: in it the power rises, and is least at its
    start. So the last tooth that starts below has the last failure. Teeth are looked at from the top down,
    from where the normal approximation has none below any more, by a margin that is more than a call.
    """
    top = int(_called(np.asarray(upper), fpr, tail))
    first = upper
    if top > FEW:
        first = min(upper, _surely_above(tpr, fpr, chance, tail))
    if fpr > 0.5:  # a tooth is a number or two
        for stop in range(first, 0, -FEW):
            sizes = np.arange(stop, max(0, stop - FEW), -1)
            below = np.flatnonzero(_power(sizes, tpr, fpr, tail) < chance)
            if len(below):
                return int(sizes[below[0]])
        return 0
    highest = int(_called(np.asarray(first), fpr, tail))
    end = upper if highest == top else int(_starts(np.array([highest + 1]), upper, fpr, tail)[0]) - 1
    for count in range(highest, -1, -TEETH):
        counts = np.arange(count, max(-1, count - TEETH), -1)
        starts = _starts(counts, upper, fpr, tail)
        below = np.flatnonzero(_power(starts, tpr, fpr, tail) < chance)
        if len(below):
            place = int(below[0])
            fails, passes = int(starts[place]), (int(starts[place - 1]) if place else end + 1)
            while passes - fails > 1:
                middle = (fails + passes) // 2
                below_here = _power(np.asarray(middle), tpr, fpr, tail) < chance
                fails, passes = (middle, passes) if below_here else (fails, middle)
            return fails
        end = int(starts[-1]) - 1
    return 0


def _surely_above(tpr: float, fpr: float, chance: float, tail: float) -> int:
    """Return from how many members on the power is above `chance`, by the approximation and a clear margin.

    The binomials' quantiles are those of normal ones, up to a sixth of their square for the skewness, and one
    for whole counts. With x the root of the number, (tpr - fpr) x^2 - spread x - margin = 0.
    """
    gap, high, low = tpr - fpr, stats.norm.isf(tail), stats.norm.ppf(chance)
    spread = float(high * math.sqrt(fpr * (1 - fpr)) + low * math.sqrt(tpr * (1 - tpr)))
    root = (spread + math.sqrt(spread**2 + 4 * gap * _margin(chance, tail))) / (2 * gap)
    return math.ceil(root * root) if root < math.sqrt(MOST) else MOST


def _margin(chance: float, tail: float) -> float:
    return float(2 + (stats.norm.isf(tail) ** 2 + stats.norm.ppf(chance) ** 2 + 2) / 6)


def _starts(counts: np.ndarray, upper: int, fpr: float, tail: float) -> np.ndarray:
    """Return for each count the least number of members, from 1, that allows so many calls.

    By bisection, from what the normal approximation says where that is right, and from all numbers elsewhere.
    """
    z = stats.norm.isf(tail)
    spread, normal = z * math.sqrt(fpr * (1 - fpr)), counts - 0.5 - (z * z - 1) * (1 - 2 * fpr) / 6
    root = np.sqrt(spread**2 + 4 * fpr * np.maximum(normal, 0)) - spread
    with np.errstate(over="ignore"):
        middle, around = np.minimum((root / (2 * fpr)) ** 2, upper), min(1 / fpr, upper)
    low = np.floor(np.clip(middle - around, 0, upper)).astype(np.int64)
    high = np.ceil(np.clip(middle + around, 1, upper)).astype(np.int64)
    low[(low > 0) & (_called(np.maximum(low, 1), fpr, tail) >= counts)] = 0
    high[_called(high, fpr, tail) < counts] = upper
    while (wide := high - low > 1).any():
        half = (low + high) // 2
        enough = _called(np.maximum(half, 1), fpr, tail) >= counts
        high, low = np.where(wide & enough, half, high), np.where(wide & ~enough, half, low)
    return high


def _check(level: float, sides: int, **rates: float) -> None:
    for name, value in rates.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} {value!r}: allowed are numbers between 0 and 1")
    if not LEAST_LEVEL <= level < 1:
        raise ValueError(f"level {level!r}: allowed are numbers from {LEAST_LEVEL}, below 1")
    if sides not in (1, 2):
        raise ValueError(f"sides {sides!r}: allowed are 1 and 2")
