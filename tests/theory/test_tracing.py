"""The laws of the tracing statistic against enumeration, simulation, and the numbers of the chapter."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from privacy_for_free.core.randomness import numpy_generator
from privacy_for_free.stats.intervals import rate
from privacy_for_free.theory import tracing


def images(count, d, purpose="images"):
    return numpy_generator(0, f"tracing {purpose}", count, d).standard_normal((count, d))


def enumerate_pool(pool, n, i, matrix, centre):
    """Return mean and standard deviation of T over all subsets of size n, without image i and with it."""
    values = {False: [], True: []}
    for chosen in combinations(range(len(pool)), n):
        release = pool[list(chosen)].mean(0)
        values[i in chosen].append((pool[i] - centre) @ matrix @ (release - centre))
    return [moment for side in (False, True) for moment in (np.mean(values[side]), np.std(values[side]))]


@pytest.mark.parametrize(("N", "n"), [(8, 4), (8, 3), (9, 2), (7, 5), (4, 2)])
@pytest.mark.parametrize("own_covariance", [True, False])
def test_law_in_a_pool_is_that_of_all_subsets(N, n, own_covariance):
    pool = images(N, 2)
    mean = pool.mean(0)
    covariance = (pool - mean).T @ (pool - mean) / N
    matrix = np.linalg.inv(covariance) if own_covariance else np.array([[2.0, 0.3], [0.3, 0.5]])
    centre = mean if own_covariance else mean + 0.7
    for i, x in enumerate(pool):
        w = matrix @ (x - centre)
        law = tracing.pool_law(w @ (x - mean), w @ covariance @ w, n, N, w @ (mean - centre))
        np.testing.assert_allclose(law, enumerate_pool(pool, n, i, matrix, centre), rtol=1e-10, atol=1e-10)
        if own_covariance:
            q = (x - mean) @ matrix @ (x - mean)
            np.testing.assert_allclose(tracing.effect_size_pool(q, n, N), law.effect, rtol=1e-10)
            if 2 * n == N:
                h = q / (N - 1)
                np.testing.assert_allclose(law.effect, 2 * np.sqrt(h / (1 - h)), rtol=1e-9)


@pytest.mark.parametrize(("N", "n"), [(8, 4), (7, 2)])
def test_covariance_of_the_difference_of_the_means(N, n):
    pool = images(N, 2)
    mean = pool.mean(0)
    differences = []
    for chosen in combinations(range(N), n):
        inside = pool[list(chosen)].mean(0)
        outside = np.delete(pool, chosen, axis=0).mean(0)
        differences.append(inside - outside)
        np.testing.assert_allclose(inside - outside, N / (N - n) * (inside - mean), atol=1e-12)
    found = np.cov(np.array(differences).T, bias=True)
    divided = np.cov(pool.T, bias=True)
    np.testing.assert_allclose(found, divided * N**2 / (n * (N - n) * (N - 1)), atol=1e-12)
    np.testing.assert_allclose(found, np.cov(pool.T) * (1 / n + 1 / (N - n)), atol=1e-12)


def test_images_as_independent_as_can_be_are_read_off_exactly():
    pool = images(6, 5)
    centred = pool - pool.mean(0)
    q = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(centred.T @ centred / 6), centred)
    np.testing.assert_allclose(q, 5, rtol=1e-10)
    assert np.isinf(tracing.effect_size_pool(np.full(6, 5.0), 3)).all()


def test_half_of_a_pool_to_leading_order():
    q = np.array([5.0, 20.0])
    exact = tracing.effect_size_pool(q, 100_000)
    np.testing.assert_allclose(exact, np.sqrt(2) * tracing.effect_size(q, 100_000), rtol=2e-4)


@pytest.mark.parametrize("matrix", ["inverse", "identity", "shrunken"])
def test_fresh_members_of_gaussian_data(matrix):
    """Means and variances by simulation, within 4 standard errors."""
    d, n, draws = 3, 6, 20_000
    random = numpy_generator(0, "tracing gaussian", matrix)
    root = np.array([[2.0, 0, 0], [0.5, 1.0, 0], [-0.3, 0.2, 0.4]])
    sigma = root @ root.T
    shrunken = 0.5 * sigma + 0.5 * np.trace(sigma) / d * np.eye(d)
    chosen = {"inverse": np.linalg.inv(sigma), "identity": np.eye(d), "shrunken": np.linalg.inv(shrunken)}
    M = chosen[matrix]
    x = root @ np.array([1.0, -0.5, 2.0])
    w = M @ x
    law = tracing.fresh_law(w @ x, w @ sigma @ w, n)
    members = random.standard_normal((draws, n, d)) @ root.T
    outside = members.mean(1) @ w
    inside = (members[:, 1:].sum(1) + x) / n @ w
    for values, mean, sd in ((outside, *law[:2]), (inside, *law[2:])):
        assert abs(values.mean() - mean) < 4 * sd / np.sqrt(draws)
        assert abs(values.var() / sd**2 - 1) < 4 * np.sqrt(2 / draws)
    np.testing.assert_allclose(law.effect, w @ x / np.sqrt(n * (w @ sigma @ w)), rtol=1e-12)
    assert law.effect <= tracing.effect_size(x @ np.linalg.inv(sigma) @ x, n) * (1 + 1e-12)
    empirical = (outside >= np.quantile(inside, 0.5)).mean()
    assert abs(empirical - stats.norm.sf((law.in_mean - law.out_mean) / law.out_sd)) < 0.02


def test_rates_of_gaussians():
    a = np.array([0.0, 0.001, 0.1, 0.5, 1.0])
    np.testing.assert_allclose(tracing.tpr(a, 0.0), a, atol=1e-15)
    np.testing.assert_allclose(tracing.tpr(a, [1.0, 2.0]), (tracing.tpr(a, 1.0) + tracing.tpr(a, 2.0)) / 2)
    np.testing.assert_allclose(tracing.tpr(0.1, 1.0), stats.norm.sf(stats.norm.isf(0.1) - 1))
    grid = np.linspace(0, 1, 100_001)
    assert tracing.auc(1.3) == pytest.approx(np.trapezoid(tracing.tpr(grid, 1.3), grid), abs=1e-6)


def of_gaussians(effects):
    """T's own law where everything is known: means 0 and e^2, variance e^2."""
    e = np.asarray(effects, dtype=float)
    return tracing.Law(np.zeros_like(e), e, e**2, e)


def test_one_threshold_for_all():
    a = np.array([0.0, 1e-4, 0.001, 0.1, 1.0])
    np.testing.assert_allclose(
        tracing.mixture_tpr(a, of_gaussians([0.8, 0.8])), tracing.tpr(a, 0.8), rtol=1e-9
    )
    effects, draws = np.array([0.5, 1.0, 2.0]), 200_000
    law = of_gaussians(effects)
    random = numpy_generator(0, "tracing mixture")
    which = random.integers(0, 3, draws)
    outside = effects[which] * random.standard_normal(draws)
    inside = effects[which] ** 2 + effects[which] * random.standard_normal(draws)
    threshold = np.quantile(outside, 0.9)
    expected = tracing.mixture_tpr(0.1, law)
    assert abs((inside > threshold).mean() - expected) < 4 * 2 * np.sqrt(0.25 / draws)
    u = stats.mannwhitneyu(inside, outside).statistic / draws**2
    assert abs(tracing.mixture_auc(law) - u) < 4 * np.sqrt(1 / (6 * draws))
    alone = tracing.Law(*(part[:1] for part in law))
    assert tracing.mixture_auc(alone) == pytest.approx(tracing.auc(0.5), abs=1e-5)
    scaled = law.over(effects)
    np.testing.assert_allclose(tracing.mixture_tpr(a, scaled), tracing.tpr(a, effects), rtol=1e-9)


def test_numbers_of_the_chapter():
    assert f"{tracing.tpr(0.001, tracing.effect_size(784, 3000)):.1%}" == "0.5%"
    assert f"{tracing.tpr(0.001, tracing.effect_size(3072, 2500)):.1%}" == "2.4%"
    subset = [tracing.cap_random_subset(0.001, r) for r in (0.002, 0.01, 0.02)]
    assert [f"{value:.3%}" for value in subset] == ["0.300%", "1.099%", "2.098%"]
    private = [tracing.cap_private(0.001, epsilon) for epsilon in (1, 2, 4, 8)]
    assert [f"{value:.3%}" for value in private] == ["0.273%", "0.740%", "5.461%", "100.000%"]
    for count, trials, low, high in (
        (1, 1000, "0.003", "0.556"),
        (5, 5000, "0.032", "0.233"),
        (25, 25_000, "0.065", "0.148"),
    ):
        found = rate(count, trials)
        assert (f"{100 * found.low:.3f}", f"{100 * found.high:.3f}") == (low, high)


def test_caps_hold_at_the_ends():
    assert tracing.cap_random_subset([0.0, 1.0], 0.2).tolist() == [0.2, 1.0]
    assert tracing.cap_private([0.0, 1.0], 1.0, 0.01).tolist() == [0.01, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tracing.tpr(1.5, 1.0), "fpr 1.5: allowed are rates from 0 to 1"),
        (lambda: tracing.effect_size(-1.0, 10), "squared lengths down to -1: allowed are"),
        (lambda: tracing.effect_size(1.0, 0), "n 0: allowed are whole numbers from 1 up"),
        (lambda: tracing.effect_size_pool(1.0, 5, 5), "pool 5: allowed are whole numbers from 6 up"),
        (lambda: tracing.effect_size_pool(40.0, 10), "squared distance 40 .* allowed are 0 to 19"),
        (lambda: tracing.cap_random_subset(0.1, 2.0), "rate 2.0: allowed are 0 to 1"),
        (lambda: tracing.cap_private(0.1, -1.0), "epsilon -1.0, delta 1e-05: allowed are epsilon"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
