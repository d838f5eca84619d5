"""SymPy agrees with the chapter's algebra, and would notice an error in it."""

import pytest
import sympy as sp

from privacy_for_free.theory import symbolic


@pytest.mark.parametrize(("k", "d"), [(1, 2), (2, 3), (3, 2)])
def test_moments_of_the_extractor(k, d):
    assert symbolic.loss_residual(k, d) == 0
    assert symbolic.mean_square_residual(k, d) == 0
    assert symbolic.second_moment_residual(k, min(d, 2)).is_zero_matrix


def test_gradient_path_and_removal():
    assert symbolic.gradient_residual(3, 2).is_zero_matrix
    assert symbolic.path_residual() == 0
    assert symbolic.removal_residuals() == (0, 0)
    assert symbolic.stationary_residuals() == (0, 0, 0)


def test_a_wrong_moment_would_show():
    x, y, v = sp.symbols("x y v")
    assert symbolic.gaussian_expectation(x**4 * y**2, [x, y], v) == 3 * v**3
    assert symbolic.gaussian_expectation((x + y) ** 4, [x, y], v) == 12 * v**2
    assert symbolic.gaussian_expectation(x * y + x, [x, y], v) == 0
