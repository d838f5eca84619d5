"""Simulated effect sizes lie within their standard errors of the right formula, and of no other."""

import numpy as np
import pytest

from privacy_for_free.theory import simulation


@pytest.mark.parametrize(("d", "n"), [(4, 20), (15, 20), (34, 20)])
def test_pool_has_the_exact_effect(d, n):
    found = simulation.half_of_a_pool(d, n, 600, seed=1)
    assert abs(found.z("exact")) < 4
    assert found.z("fresh") > 8
    if d > 4:
        assert found.z("leading") > 8
    assert found.fresh < found.leading < found.exact
    assert found.leading == pytest.approx(np.sqrt(2) * found.fresh, rel=1e-12)


@pytest.mark.parametrize(("d", "n"), [(4, 20), (34, 20), (100, 20)])
def test_fresh_members_have_the_effect_of_the_root(d, n):
    found = simulation.fresh_members(d, n, 600, seed=1)
    assert abs(found.z("fresh")) < 4
    assert found.fresh == pytest.approx(np.sqrt(d / n), rel=0.1)
    assert np.isnan(found.exact)


def test_errors_are_honest():
    """Over seeds, z has a standard deviation of about 1; and a seed gives the same numbers again."""
    z = [simulation.half_of_a_pool(6, 15, 100, seed).z("exact") for seed in range(60)]
    assert 0.7 < np.std(z) < 1.4
    assert abs(np.mean(z)) < 4 / np.sqrt(60)
    assert simulation.half_of_a_pool(6, 15, 100, 3) == simulation.half_of_a_pool(6, 15, 100, 3)


@pytest.mark.parametrize(
    ("d", "n", "repetitions", "wrong", "allowed"),
    [
        (0, 20, 9, "d 0", "1 to 38"),
        (39, 20, 9, "d 39", "1 to 38"),
        (1, 1, 9, "n 1", "2 up"),
        (4, 20, 1, "repetitions 1", "2 up"),
    ],
)
def test_k2_wrong_sizes_are_named(d, n, repetitions, wrong, allowed):
    with pytest.raises(ValueError, match=rf"^{wrong}: allowed are whole numbers from {allowed}$"):
        simulation.half_of_a_pool(d, n, repetitions)
