"""Counting: how many ways of parting points in two a hyperplane can make (Cover, IEEE EC-14, 1965)."""

from scipy import stats

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance

MOST = 2**31  # points and dimensions


@entrance
def separable(points: int, dimension: int) -> float:
    """Return the share of the 2^points ways to colour points that some hyperplane separates by colour.

    points     N >= 1 points in general position: no d + 1 of them on a hyperplane
    dimension  d >= 1, of the space they lie in

    2 sum over j <= d of C(N - 1, j), over 2^N: P(Bin(N - 1, 1/2) <= d). Where the points are does not matter.

    >>> separable(4, 2), separable(3, 2)  # of 16 colourings of a quadrilateral's corners 14
    (0.875, 1.0)
    """
    validate.whole("points", points, 1, MOST)
    validate.whole("dimension", dimension, 1, MOST)
    return float(stats.binom.cdf(dimension, points - 1, 0.5))


@entrance
def inseparable(points: int, dimension: int) -> float:
    """Return one minus `separable`, exact also where it is tiny: P(Bin(N - 1, 1/2) <= N - d - 2).

    >>> f"{inseparable(100, 60):.4f}"
    '0.0133'
    """
    validate.whole("points", points, 1, MOST)
    validate.whole("dimension", dimension, 1, MOST)
    return float(stats.binom.cdf(points - dimension - 2, points - 1, 0.5))
