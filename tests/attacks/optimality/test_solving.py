import pytest
import torch
from tests.attacks.optimality import material

from privacy_for_free.attacks import optimality
from privacy_for_free.attacks.optimality import solving, whitening
from privacy_for_free.attacks.roc import auc
from privacy_for_free.core.randomness import generator
from privacy_for_free.stats import intervals

FORMS = ("dense", "matrix_free")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whiten", [False, True])
def test_a_stationary_set_names_every_member(form, whiten):
    extractors, pool, members, released = material.planted()
    made = optimality.equations(extractors, pool, released, material.MEMBERS, form=form)
    assert float(made.residual(members.double()).abs().max()) < 1e-14
    scores = optimality.solve(made, 1e-9, whiten)
    torch.testing.assert_close(scores, members.double(), rtol=0, atol=1e-6)
    boxed = optimality.solve(made, 1e-6, whiten, True)
    torch.testing.assert_close(boxed, members.double(), rtol=0, atol=1e-4)


def system(rows: int, N: int, form: str = "dense") -> optimality.Equations:
    """Return equations of random numbers, of sum n/N less noise."""
    matrix = torch.randn((rows, N), generator=generator(0, "matrix"), dtype=torch.float64)
    matrix -= matrix.mean(1, keepdim=True)
    gradients = torch.randn((5, rows), generator=generator(0, "gradients"), dtype=torch.float64)
    gap = matrix @ (material.half(count=N, members=N // 2).double() - 0.5) + gradients.mean(0)
    return optimality.Equations(
        N // 2, N, torch.zeros_like(gap), gap, gradients, matrix if form == "dense" else None,
        lambda b: matrix @ b, lambda y: matrix.T @ y
    )  # fmt: skip


@pytest.mark.parametrize("rows", [8, 30])
@pytest.mark.parametrize("whiten", [False, True])
def test_all_ridges_are_the_least_squares_that_they_stand_for(rows, whiten):
    N, made = 20, system(rows, 20)
    weight = torch.eye(rows, dtype=torch.float64)
    if whiten:
        covariance = whitening.low_rank(made.gradients)
        weight = covariance.root(weight)
        M = covariance.basis @ torch.diag(covariance.values) @ covariance.basis.T
        M += covariance.floor * torch.eye(rows, dtype=torch.float64)
        torch.testing.assert_close(weight @ M @ weight, torch.eye(rows, dtype=torch.float64))
        assert float(M.trace()) / rows == pytest.approx(1)
    A, gap = weight @ made.matrix, weight @ made.gap
    gram = A.T @ A
    scale = float(gram.trace()) / min(rows, N - 1)
    scores = optimality.solve_all(made, (0.01, 0.5), whiten)
    for ridge, found in zip((0.01, 0.5), scores, strict=True):
        expected = torch.linalg.solve(gram + ridge * scale * torch.eye(N, dtype=torch.float64), A.T @ gap)
        torch.testing.assert_close(found, expected + 0.5)
        assert float(found.sum()) == pytest.approx(N / 2)
    # Without the matrix the same, but for the scale, which is estimated.
    free = system(rows, N, "matrix_free")
    again = solving.Products(free, whitening.low_rank(made.gradients) if whiten else None)
    assert again.scale == pytest.approx(scale, rel=0.5)
    torch.testing.assert_close(again.ridge(0.5 * scale / again.scale) + 0.5, scores[1])


@pytest.mark.parametrize("rows", [8, 30])
@pytest.mark.parametrize("form", FORMS)
def test_the_box_satisfies_the_conditions_of_its_minimum(rows, form):
    made, ridge = system(rows, 20, form), 0.05
    solver = (solving.Gram if form == "dense" else solving.Products)(made, None)
    damping = ridge * solver.scale
    b, _ = solving.boxed(solver, damping, solver.ridge(ridge), 0.5)
    assert float(b.abs().max()) <= 0.5
    assert float(b.sum()) == pytest.approx(0, abs=1e-9)
    gradient = solver.normal(b) + damping * b - solver.moment
    free = b.abs() < 0.5
    assert 0 < int(free.sum()) < 20
    level = float(gradient[free].mean())
    torch.testing.assert_close(gradient[free], torch.full_like(gradient[free], level), rtol=0, atol=1e-4)
    assert bool((gradient[b == 0.5] <= level + 1e-4).all())
    assert bool((gradient[b == -0.5] >= level - 1e-4).all())


def test_boxed_scores_tell_those_at_a_bound_apart():
    made = system(30, 20)
    scores = optimality.solve(made, 0.05, box=True)
    assert len(scores.unique()) == 20


def test_the_projection_is_the_nearest_point():
    b = torch.tensor([2.0, 0.3, -0.4, -3.0, 0.1], dtype=torch.float64)
    near = solving.project(b, -0.5, 0.5)
    assert float(near.sum()) == pytest.approx(0, abs=1e-12)
    assert float(near.abs().max()) <= 0.5
    for other in torch.rand((200, 5), generator=generator(0, "points"), dtype=torch.float64) - 0.5:
        point = solving.project(other, -0.5, 0.5)
        assert float((b - near) @ (point - near)) <= 1e-9


def test_a_linear_extractor_has_no_more_equations_than_pixels():
    extractors = material.linear()
    pool, released = material.images(80, "pool"), material.images(3, "released")
    made = optimality.equations(extractors, pool, released, 40)
    pixels = material.SIDE**2
    A = made.dense()
    # Every released image gives the same equations, those of the class mean.
    torch.testing.assert_close(A[:pixels], A[pixels : 2 * pixels])
    theta = [weights["theta"].double() for weights in extractors.weights]
    gram = sum(one.T @ one for one in theta) / len(theta)
    torch.testing.assert_close(A[:pixels], gram @ pool.flatten(1).T / (3 * 40), rtol=0, atol=1e-7)
    assert int(torch.linalg.matrix_rank(A)) <= 5 * 9
    members = material.half(count=80, members=40)
    exact = released + (pool[members].mean(0) - released.mean(0))  # the class mean is met
    made = optimality.equations(extractors, pool, exact, 40)
    assert float(made.residual(members.double()).abs().max()) < 1e-7


@pytest.mark.parametrize("whiten", [False, True])
def test_who_is_no_member_is_not_told_from_others(whiten):
    """A pool that shares nothing with the condensed images, split at random: AUC 1/2 over 20 seeds."""
    extractors, _, _, released = material.planted()
    found = []
    for seed in range(20):
        pool = material.images(40, f"others {seed}", 4)
        members = material.half(f"shuffled {seed}", 40, 20)
        scores = optimality.solve(optimality.equations(extractors, pool, released, 20), 0.1, whiten)
        found.append(auc(scores, members))
    interval = intervals.mean(found)
    assert interval[1] < 0.5 < interval[2]
    assert interval[2] - interval[1] < 0.2


def test_equations_that_say_nothing_leave_the_prior():
    nothing = system(8, 20)
    zero = torch.zeros_like
    for matrix in (zero(nothing.matrix), None):
        made = optimality.Equations(
            10, 20, zero(nothing.gap), zero(nothing.gap), zero(nothing.gradients), matrix,
            lambda b: b.new_zeros(8), lambda y: y.new_zeros(20)
        )  # fmt: skip
        for options in ((False, False), (True, False), (False, True)):
            scores = optimality.solve(made, 0.1, *options)
            torch.testing.assert_close(scores, torch.full((20,), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("box", [False, True])
def test_extreme_ridges_give_numbers(form, box):
    made = system(30, 20, form)
    tiny, huge = optimality.solve_all(made, (5e-324, 1.7e308), box=box)
    assert bool(tiny.isfinite().all())
    torch.testing.assert_close(huge, torch.full((20,), 0.5, dtype=torch.float64))


def test_ridges_are_above_0():
    with pytest.raises(ValueError, match=r"^ridge 0.0: allowed are finite numbers above 0"):
        optimality.solve(system(8, 20), 0.0)
    with pytest.raises(ValueError, match=r"^ridges \(\): allowed are one or more"):
        optimality.solve_all(system(8, 20), ())
