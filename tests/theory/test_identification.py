"""When a mean names its members: the statements, against enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import optimize

from privacy_for_free.core.randomness import generator, numpy_generator
from privacy_for_free.theory import identification as theory


def unique(points, inside):
    """Whether the members' mean leaves one b in the box: the extent of all in one direction."""
    N = len(points)
    rows = np.column_stack([points, np.ones(N)]).T
    toward = numpy_generator(0, "direction").standard_normal(N)
    ends = [optimize.linprog(c, A_eq=rows, b_eq=rows @ inside, bounds=(0, 1)).fun for c in (toward, -toward)]
    return sum(ends) > -1e-7


@pytest.mark.parametrize(("N", "d"), [(6, 1), (6, 2), (7, 3), (7, 4)])
def test_failure_is_the_share_of_all_memberships_that_are_open(N, d):
    points = numpy_generator(1, "points", N, d).standard_normal((N, d))
    members = [np.array(one, dtype=float) for one in itertools.product([0, 1], repeat=N)]
    share = np.mean([not unique(points, inside) for inside in members])
    assert theory.failure(N, d) == pytest.approx(share, abs=1e-12)


def test_no_fixed_number_of_members_fails_oftener_than_worst():
    N, d = 8, 4
    points = numpy_generator(2, "points").standard_normal((N, d))
    everyone = range(N)
    for n in (1, 3, 4):
        sets = [np.isin(everyone, one).astype(float) for one in itertools.combinations(everyone, n)]
        share = np.mean([not unique(points, inside) for inside in sets])
        assert share <= theory.worst(N, n, d) + 1e-12
    assert theory.worst(1000, 500, 784) < 1e-60


def test_on_a_line_halves_are_told_less_often_than_coins():
    """In one dimension the mean names the lowest or the highest, and nobody else: 2 of all halves."""
    N = 8
    points = np.arange(N, dtype=float)[:, None] ** 2
    halves = [np.isin(range(N), one).astype(float) for one in itertools.combinations(range(N), N // 2)]
    told = np.mean([unique(points, inside) for inside in halves])
    assert told == pytest.approx(2 / math.comb(N, N // 2))
    assert told < 1 - theory.failure(N, 1) == 2 * N / 2**N


def test_dimensions_needed_is_the_first_that_is_enough():
    for N, chance in ((2, 0.5), (50, 0.5), (101, 0.01), (1000, 1e-9)):
        d = theory.dimensions_needed(N, chance)
        assert theory.failure(N, d) <= chance
        assert d == 1 or theory.failure(N, d - 1) > chance


def test_rounding_errors_stay_below_the_largest():
    N, d, n = 12, 30, 6
    pool = torch.randn((N, d), generator=generator(0, "pool"), dtype=torch.float64).clamp(-1, 1)
    inside = torch.arange(N) % 2 == 0
    centred = pool - pool.mean(0)
    smallest = float(torch.linalg.svdvals(centred)[N - 2])
    system = torch.cat([pool.mT, torch.ones(1, N, dtype=torch.float64)])
    for bits in (4, 8, 12):
        mean, tolerance = theory.rounded(pool[inside].mean(0), bits)
        assert float((mean - pool[inside].mean(0)).abs().max()) <= tolerance * (1 + 1e-12)
        sides = torch.cat([n * mean, torch.tensor([float(n)], dtype=torch.float64)])
        weights = torch.linalg.lstsq(system, sides[:, None], driver="gelsd").solution[:, 0]
        error = float((weights - inside.double()).norm())
        assert error <= theory.largest_error(n, smallest, d, tolerance)
    bits = theory.bits_needed(n, smallest, d)
    assert theory.largest_error(n, smallest, d, 1 / (2**bits - 1)) < 0.5
    assert theory.largest_error(n, smallest, d, 1 / (2 ** (bits - 1) - 1)) >= 0.5


def test_the_sensitivity_is_reached_and_never_exceeded():
    n, bound = 5, 2.0
    images = torch.randn((n + 1, 7), generator=generator(0, "images"), dtype=torch.float64)
    images = bound * images / images.norm(dim=1, keepdim=True)
    images[n] = -images[0]
    moved = (images[:n].mean(0) - images[1:].mean(0)).norm()
    assert float(moved) == pytest.approx(theory.mean_sensitivity(n, bound))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.worst(4, 4, 1), "n 4"),
        (lambda: theory.dimensions_needed(4, 1.0), "chance 1.0"),
        (lambda: theory.bits_needed(5, 1e-20, 3), "smallest 1e-20"),
        (lambda: theory.rounded(torch.full((2,), 3.0), 8), "mean from 3 to 3"),
        (lambda: theory.rounded(torch.zeros(2), 8, 1.0, 0.0), "low 1.0"),
        (lambda: theory.rounded(torch.zeros(2), 0), "bits 0"),
    ],
)
def test_bad_inputs_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
