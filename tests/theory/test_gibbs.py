"""The Gibbs posterior's log ratio: closed forms against quadrature, quadrature against enumeration."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from privacy_for_free.theory import gibbs

few = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


def epsilon_zero(radius, lipschitz, temperature):
    return 4 * radius * lipschitz / temperature


def in_unit_ball(rng, *shape):
    x = rng.normal(size=shape)
    return x / np.maximum(1, np.linalg.norm(x, axis=-1, keepdims=True))


# ---------------------------------------------------------------------------------------------------- bounds


def test_bound_is_r_eps0_at_the_largest_displacement():
    n, m, B, L, tau = 500, 10, 1.0, 3.0, 2.0
    assert gibbs.shift_bound(m, 2 * B / n, L, tau) == pytest.approx(m / n * epsilon_zero(B, L, tau))


def test_closed_form_table_known_numbers():
    table = gibbs.closed_form_table(1.0, (0.002, 0.01, 0.02))
    assert table["condensed_or_all_data"].round(4).tolist() == [0.0020, 0.0100, 0.0200]
    assert table["subset"].round(4).tolist() == [0.0034, 0.0170, 0.0338]


@given(ratio=st.floats(1e-6, 1), eps0=st.floats(1e-3, 20))
def test_subset_epsilon_lies_between_r_eps0_and_eps0(ratio, eps0):
    subset = gibbs.subset_epsilon(ratio, eps0)
    assert gibbs.all_data_epsilon(ratio, eps0) <= subset * (1 + 1e-12)
    assert subset <= eps0 * (1 + 1e-12)


def bad_calls():
    grid, prior = gibbs.disk_grid(1.0, 2, 4)
    losses = gibbs.logistic_loss(grid, torch.zeros(3, 2, dtype=torch.float64), 1.0)
    one = np.zeros((1, 2))
    return {
        "temperature 0": lambda: gibbs.shift_bound(1, 0.1, 1.0, 0),
        "temperature -1": lambda: gibbs.gaussian_kl(0.1, 1, -1),
        "lipschitz nan": lambda: gibbs.shift_bound(1, 0.1, math.nan, 1.0),
        "lipschitz inf": lambda: gibbs.shift_bound(1, 0.1, math.inf, 1.0),
        "radius 0": lambda: gibbs.temperature_of(1.0, 0, 1.0),
        "ratio 0": lambda: gibbs.subset_epsilon(0, 1.0),
        "eps0 -1": lambda: gibbs.all_data_epsilon(0.1, -1),
        "n 1": lambda: gibbs.removal_shifts(one),
        "m 0": lambda: gibbs.require_counts(2, 0),
        "m 4": lambda: gibbs.random_subset_log_ratio(losses, losses, [], 4, 1.0, prior),
        "theta_radius 0": lambda: gibbs.gaussian_log_ratio(one[0], one, 1, 1.0, 0),
        "radius -2": lambda: gibbs.disk_grid(-2, 2, 4),
    }


@pytest.mark.parametrize("named", bad_calls())
def test_bad_input_is_named(named):
    with pytest.raises(ValueError, match=f"^{named}"):
        bad_calls()[named]()


# --------------------------------------------------------------------------------------------- displacements


def test_removal_shifts_match_removing_each_image():
    x = np.random.default_rng(2).normal(size=(7, 3))
    naive = np.array([np.delete(x, i, 0).mean(0) - x.mean(0) for i in range(7)])
    as_in_theorem = np.array([(np.delete(x, i, 0).mean(0) - x[i]) / 7 for i in range(7)])
    np.testing.assert_allclose(gibbs.removal_shifts(x), naive, atol=1e-15)
    np.testing.assert_allclose(gibbs.removal_shifts(x), as_in_theorem, atol=1e-15)


@few
@given(seed=seeds, n=st.integers(2, 60))
def test_removal_moves_the_mean_by_at_most_2b_over_n(seed, n):
    x = in_unit_ball(np.random.default_rng(seed), n, 2)
    assert np.linalg.norm(gibbs.removal_shifts(x), axis=1).max() <= 2 / n * (1 + 1e-12)


@few
@given(seed=seeds, n=st.integers(1, 50))
def test_extreme_rows_reach_every_linear_maximum(seed, n):
    rng = np.random.default_rng(seed)
    x, directions = rng.normal(size=(n, 2)), rng.normal(size=(40, 2))
    corners = x[gibbs.extreme_rows(x)]
    np.testing.assert_allclose((corners @ directions.T).max(0), (x @ directions.T).max(0))


def test_extreme_rows_of_a_line_are_all():
    assert gibbs.extreme_rows(np.arange(5.0)[:, None] * [1, 1]).tolist() == [0, 1, 2, 3, 4]


def test_farthest_pairs_come_worst_first():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(6, 2)), rng.normal(size=(5, 2))
    naive = sorted(itertools.product(range(6), range(5)), key=lambda ij: -np.linalg.norm(a[ij[0]] - b[ij[1]]))
    assert [tuple(pair) for pair in gibbs.farthest_pairs(a, b, 7)] == naive[:7]


# -------------------------------------------------------------------------------------------- gaussian model


def test_gaussian_kl_against_torch():
    shift, m, tau = torch.tensor([0.3, -0.1, 0.2], dtype=torch.float64), 7, 2.5
    p, q = (
        torch.distributions.MultivariateNormal(mean, torch.eye(3, dtype=torch.float64) * tau / m)
        for mean in (shift * 0, shift)
    )
    exact = torch.distributions.kl_divergence(p, q).item()
    assert gibbs.gaussian_kl(shift.norm().item(), m, tau) == pytest.approx(exact, rel=1e-13)


def log_partition_twin(t, kappa, radius, d):
    """A(t) by one-dimensional adaptive quadrature: the ball's slices are balls of dimension d - 1."""

    def slice_mass(u):
        rest = kappa * (radius**2 - u**2) / 2
        return math.exp(kappa * t * u - kappa * u**2 / 2) * special.gammainc((d - 1) / 2, rest)

    return math.log(integrate.quad(slice_mass, -radius, radius, epsabs=0, epsrel=1e-13)[0])


def test_log_partition_on_an_interval():
    kappa, rho, means = 3.0, 1.5, (0.4, 0.55)

    def log_z(mean):
        return math.log(
            integrate.quad(lambda u: math.exp(-kappa * (u - mean) ** 2 / 2), -rho, rho, epsrel=1e-13)[0]
        )

    theta = np.linspace(-rho, rho, 1001)
    before, after = (-kappa * (theta - mean) ** 2 / 2 - log_z(mean) for mean in means)
    observed = gibbs.gaussian_log_ratio(np.array([means[0]]), np.array([[means[1] - means[0]]]), 3, 1.0, rho)
    assert observed[0] == pytest.approx(np.abs(before - after).max(), rel=1e-11)


def test_gaussian_log_ratio_in_the_plane_against_quadrature():
    points, prior = gibbs.disk_grid(1.3, 60, 160, ring=20_000)
    mean, shifts, m, tau = np.array([0.5, -0.2]), np.array([[0.1, 0.3], [-0.2, 0.05]]), 6, 0.7
    theta = points.numpy()

    def log_density(centre):
        energy = m * ((theta - centre) ** 2).sum(1) / 2 / tau
        return -energy - math.log(prior.numpy() @ np.exp(-energy))

    naive = [np.abs(log_density(mean) - log_density(mean + shift)).max() for shift in shifts]
    np.testing.assert_allclose(gibbs.gaussian_log_ratio(mean, shifts, m, tau, 1.3), naive, rtol=1e-7)


@pytest.mark.parametrize(("d", "kappa"), [(2, 0.01), (2, 40.0), (5, 5.0), (50, 1000.0), (200, 300.0)])
def test_log_partition_derivative_against_slices(d, kappa):
    t, rise = 0.6, 0.2
    exact = log_partition_twin(t + rise, kappa, 1.0, d) - log_partition_twin(t, kappa, 1.0, d)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    slopes = gibbs.ball_log_partition_derivative(t + rise * (1 + nodes) / 2, kappa, 1.0, d)
    assert slopes @ weights * rise / 2 == pytest.approx(exact, rel=1e-9)


def test_log_partition_derivative_against_noncentral_chi_square():
    t, kappa, rho, d = 0.5, 30.0, 1.2, 30
    upper, lower = (special.chndtr(kappa * rho**2, df, kappa * t**2) for df in (d + 2, d))
    expected = kappa * t * upper / lower
    assert gibbs.ball_log_partition_derivative(np.array(t), kappa, rho, d) == pytest.approx(
        expected, rel=1e-10
    )


def test_log_partition_derivative_limits():
    # A flat posterior, kappa -> 0: A'(t) = kappa^2 t E[theta_1^2] = kappa^2 t rho^2/(d + 2); a narrow one far
    # inside the ball is not cut: A'(t) = kappa t. In 3,072 dimensions F itself is exp(-5000) and less.
    flat = gibbs.ball_log_partition_derivative(np.array(0.5), 1e-6, 2.0, 3072)
    assert flat == pytest.approx(1e-12 * 0.5 * 4 / 3074, rel=1e-5)
    assert gibbs.ball_log_partition_derivative(np.array(0.1), 1e4, 2.0, 3) == pytest.approx(1e3, rel=1e-12)
    assert gibbs.ball_log_partition_derivative(np.zeros(2), 5.0, 1.0, 7).tolist() == [0, 0]


@few
@given(
    seed=seeds, n=st.integers(2, 30), d=st.integers(1, 400), m=st.integers(1, 30), tau=st.floats(0.01, 100)
)
def test_gaussian_ratio_stays_under_its_bound(seed, n, d, m, tau):
    images, rho = in_unit_ball(np.random.default_rng(seed), n, d), 1.5
    shifts = gibbs.removal_shifts(images)
    observed = gibbs.gaussian_log_ratio(images.mean(0), shifts, m, tau, rho)
    this_x = gibbs.shift_bound(m, 1.0, rho + 1, tau) * np.linalg.norm(shifts, axis=1)
    assert (observed <= this_x * (1 + 1e-9)).all()
    assert observed.max() <= m / n * epsilon_zero(1.0, rho + 1, tau) * (1 + 1e-9)


# -------------------------------------------------------------------------------------------- logistic model


def test_disk_grid_integrates_known_functions():
    theta, weights = gibbs.disk_grid(2.0, 16, 32, ring=5)
    assert weights.sum().item() == pytest.approx(1)
    assert (weights @ theta.square().sum(1)).item() == pytest.approx(2.0)  # rho^2 / 2
    assert (weights @ theta[:, 0].exp()).item() == pytest.approx(special.i1(2.0), rel=1e-13)  # 2 I_1(rho)/rho
    assert weights[-5:].tolist() == [0.0] * 5
    torch.testing.assert_close(theta[-5:].norm(dim=1), torch.full((5,), 2.0, dtype=torch.float64))


def test_logistic_loss_against_the_formula():
    rng = np.random.default_rng(4)
    theta, points = rng.normal(size=(5, 2)), rng.normal(size=(3, 2))
    naive = [[math.log(1 + math.exp(t @ s)) for t in theta] for s in points]
    loss = gibbs.logistic_loss(torch.from_numpy(theta), torch.from_numpy(points), -1.0)
    np.testing.assert_allclose(loss, naive, rtol=1e-13)


def logistic_problem(seed, n, m, rho=3.0, tau=2.0, sizes=(24, 48, 64)):
    """Images of two classes, their condensed sets moved by every removal of the first class, on a grid."""
    rng = np.random.default_rng(seed)
    images, others = (torch.from_numpy(in_unit_ball(rng, n, 2)) for _ in range(2))
    mine, other = (torch.from_numpy(rng.normal(size=(m, 2))) for _ in range(2))
    mine, other = mine - mine.mean(0) + images.mean(0), other - other.mean(0) + others.mean(0)
    theta, prior = gibbs.disk_grid(rho, sizes[0], sizes[1], sizes[2])
    energy = gibbs.logistic_loss(theta, mine, 1.0).sum(0) + gibbs.logistic_loss(theta, other, -1.0).sum(0)
    shifts = gibbs.removal_shifts(images)
    change = gibbs.shift_change(theta, mine, shifts, 1.0, tau)
    return images, mine, theta, prior, energy / tau, shifts, change


def test_log_ratio_against_normalised_densities():
    _, mine, theta, prior, energy, shifts, change = logistic_problem(5, n=4, m=3)
    weights = gibbs.posterior_weights(energy, prior)
    assert weights.sum().item() == pytest.approx(1)
    for shift, ratio in zip(shifts, gibbs.log_ratio(weights, change), strict=True):
        moved = (gibbs.logistic_loss(theta, mine + shift, 1.0) - gibbs.logistic_loss(theta, mine, 1.0)).sum(
            0
        ) / 2.0
        before, after = (-e - torch.log(prior @ torch.exp(-e)) for e in (energy, energy + moved))
        torch.testing.assert_close(ratio, before - after, rtol=1e-10, atol=1e-13)


def test_quadrature_has_converged():
    def largest(radial, angular):
        *_, prior, energy, _, change = logistic_problem(6, n=20, m=10, rho=10.0, sizes=(radial, angular, 128))
        return gibbs.log_ratio(gibbs.posterior_weights(energy, prior), change)[:, -128:].abs().max().item()

    assert largest(32, 96) == pytest.approx(largest(64, 192), rel=1e-9)


@few
@given(seed=seeds, n=st.integers(2, 12), m=st.integers(1, 6), tau=st.floats(0.05, 20), rho=st.floats(0.1, 8))
def test_logistic_ratio_stays_under_its_bound(seed, n, m, tau, rho):
    *_, prior, energy, shifts, change = logistic_problem(seed, n, m, rho, tau, sizes=(16, 32, 32))
    observed = gibbs.log_ratio(gibbs.posterior_weights(energy, prior), change).abs().amax(1)
    assert (observed <= gibbs.shift_bound(m, 1.0, rho, tau) * shifts.norm(dim=1) + 1e-12).all()
    assert observed.max() <= m / n * epsilon_zero(1.0, rho, tau) + 1e-12


# --------------------------------------------------------------------------------------------- random subset


def mixture_twin(images, others, m, tau, theta, prior):
    """p(theta|T) on the grid, subset by subset in plain loops."""

    def subset_losses(points, label):
        return [
            sum(np.log1p(np.exp(-label * (theta @ points[i]))) for i in chosen)
            for chosen in itertools.combinations(range(len(points)), m)
        ]

    pairs = list(itertools.product(subset_losses(images, 1.0), subset_losses(others, -1.0)))
    densities = [np.exp(-(mine + other) / tau) for mine, other in pairs]
    return sum(density / (prior @ density) for density in densities) / len(pairs)


@pytest.mark.parametrize("m", [1, 2, 4])
def test_random_subset_against_plain_loops(m):
    rng = np.random.default_rng(7)
    images, others, new = in_unit_ball(rng, 4, 2), in_unit_ball(rng, 5, 2), in_unit_ball(rng, 1, 2)
    theta, prior = gibbs.disk_grid(4.0, 8, 12, ring=6)
    observed = gibbs.random_subset_log_ratio(
        gibbs.logistic_loss(theta, torch.from_numpy(images), 1.0),
        gibbs.logistic_loss(theta, torch.from_numpy(others), -1.0),
        [(i, gibbs.logistic_loss(theta, torch.from_numpy(new), 1.0)[0]) for i in range(4)],
        m,
        0.8,
        prior,
    )
    for i in range(4):
        replaced = np.concatenate([np.delete(images, i, 0), new])
        after, before = (
            mixture_twin(part, others, m, 0.8, theta.numpy(), prior.numpy()) for part in (replaced, images)
        )
        np.testing.assert_allclose(observed[i], np.log(after / before), rtol=1e-9, atol=1e-13)


@few
@given(seed=seeds, n=st.integers(2, 7), m=st.integers(1, 3), eps0=st.floats(0.1, 8))
def test_random_subset_stays_under_its_bound(seed, n, m, eps0):
    m = min(m, n)
    rng, rho = np.random.default_rng(seed), 3.0
    images, others, new = (torch.from_numpy(in_unit_ball(rng, k, 2)) for k in (n, n, 1))
    theta, prior = gibbs.disk_grid(rho, 8, 16, ring=32)
    losses = gibbs.logistic_loss(theta, images, 1.0)
    row = gibbs.logistic_loss(theta, new, 1.0)[0]
    other = gibbs.logistic_loss(theta, others, -1.0)
    ratio = gibbs.random_subset_log_ratio(losses, other, [(0, row)], m, 4 * rho / eps0, prior)
    assert ratio.abs().max() <= gibbs.subset_epsilon(m / n, eps0) + 1e-12


def test_subset_bound_is_attained():
    # Losses that differ only on a set of vanishing probability, where the new image has density e^eps0.
    n, eps0, tiny = 5, 1.5, 1e-9
    prior = torch.tensor([1 - tiny, tiny], dtype=torch.float64)
    zero = torch.zeros(n, 2, dtype=torch.float64)
    row = torch.tensor([0.0, -eps0], dtype=torch.float64)
    for m in (1, 2):
        observed = gibbs.random_subset_log_ratio(zero, zero, [(3, row)], m, 1.0, prior).abs().max().item()
        assert observed == pytest.approx(gibbs.subset_epsilon(m / n, eps0), rel=1e-7)
