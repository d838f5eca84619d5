"""Cover's count, against all colourings of a few points."""

import itertools

import numpy as np
import pytest
from scipy import optimize

from privacy_for_free.core.randomness import numpy_generator
from privacy_for_free.stats.counting import inseparable, separable


def parted(points, colours):
    """Whether a hyperplane separates the points by colour: a linear program of its own."""
    signs = np.where(colours, 1.0, -1.0)
    rows = -signs[:, None] * np.column_stack([points, np.ones(len(points))])
    free = [(None, None)] * rows.shape[1]
    return optimize.linprog(np.zeros(rows.shape[1]), rows, -np.ones(len(points)), bounds=free).status == 0


@pytest.mark.parametrize(("N", "d"), [(2, 1), (6, 1), (6, 2), (7, 3), (5, 4), (5, 9)])
def test_the_count_is_that_of_all_colourings(N, d):
    points = numpy_generator(0, "points", N, d).standard_normal((N, d))
    colourings = list(itertools.product([False, True], repeat=N))
    share = np.mean([parted(points, np.array(colours)) for colours in colourings])
    assert separable(N, d) == pytest.approx(share, abs=1e-12)
    assert inseparable(N, d) == pytest.approx(1 - share, abs=1e-12)


def test_rare_failures_keep_their_digits():
    assert 0 < inseparable(1000, 784) < 1e-60
    assert separable(1000, 784) == 1


@pytest.mark.parametrize(("points", "dimension"), [(0, 1), (3, 0)])
def test_no_points_and_no_dimension_are_refused(points, dimension):
    with pytest.raises(ValueError, match=r": allowed are whole numbers from 1"):
        separable(points, dimension)
