"""Closed forms of the linear chapter against slow twins, analytic cases and brute simulation."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from privacy_for_free.core.randomness import generator
from privacy_for_free.theory import linear, linear_extractors


def normal(*shape, seed=0, purpose="test"):
    return torch.randn(shape, generator=generator(seed, purpose), dtype=torch.float64)


def rows(count, d):
    return hnp.arrays(np.float64, (count, d), elements=st.floats(-1, 1, width=32)).map(torch.from_numpy)


def naive_loss(extractors, real, synthetic):
    """Zhao and Bilen's loss, one image and one feature at a time."""

    def feature(row, image):
        return sum(w * x for w, x in zip(row, image, strict=True))

    total = 0.0
    for theta in extractors.tolist():
        for row in theta:
            of_real = sum(feature(row, image) for image in real.tolist()) / len(real)
            of_synthetic = sum(feature(row, image) for image in synthetic.tolist()) / len(synthetic)
            total += (of_real - of_synthetic) ** 2
    return total / len(extractors)


@settings(deadline=None)
@given(rows(4, 3), rows(2, 3))
def test_matching_loss_equals_its_naive_twin(real, synthetic):
    theta = linear.random_extractors(3, 2, 3, generator(0, "theta"))
    expected = naive_loss(theta, real, synthetic)
    assert float(linear.matching_loss(theta, real, synthetic)) == pytest.approx(
        expected, rel=1e-10, abs=1e-12
    )


@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 5), (2, 3), (4, 6), (6, 4), (8, 49)])
def test_balanced_extractors_average_to_the_expectation(k, d):
    theta = linear.balanced_extractors(k, d, generator(0, "basis"), variance=0.3)
    average = (theta.mT @ theta).mean(0)
    torch.testing.assert_close(average, 0.3 * k * torch.eye(d, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@settings(deadline=None)
@given(rows(5, 4), rows(3, 4), st.integers(1, 6), st.floats(0.1, 3))
def test_expected_loss_and_gradient(real, synthetic, k, variance):
    theta = linear.balanced_extractors(k, 4, generator(1, "basis"), variance=variance)
    gap = real.mean(0) - synthetic.mean(0)
    variable = synthetic.clone().requires_grad_(True)
    loss = linear.matching_loss(theta, real, variable)
    (gradient,) = torch.autograd.grad(loss, variable)
    torch.testing.assert_close(loss.detach(), linear.expected_loss(gap, k, variance))
    expected = linear.expected_gradient(gap, 3, k, variance).expand(3, -1)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("law", linear_extractors.LAWS)
def test_laws_have_mean_zero_and_the_variance_asked_for(law):
    theta = linear.random_extractors(1000, 10, 10, generator(0, law), variance=0.7, law=law)
    assert abs(float(theta.mean())) < 4 * math.sqrt(0.7 / theta.numel())
    spread = float(theta.square().std()) / math.sqrt(theta.numel())
    assert abs(float(theta.square().mean()) - 0.7) <= 4 * spread + 1e-12


def test_unknown_law_lists_the_known():
    with pytest.raises(ValueError, match="gaussian, rademacher, uniform"):
        linear.random_extractors(1, 1, 1, generator(0, "x"), law="cauchy")


@pytest.mark.parametrize(("share", "stable"), [(0.99, True), (1.01, False)])
def test_step_size_threshold_from_both_sides(share, stable):
    m, k, real = 3, 2, normal(7, 4)
    step = share * linear.largest_step(m, k)
    start = normal(m, 4, seed=1)
    end = linear.descend(start, real, linear.balanced_extractors(k, 4, generator(0, "b")), 50, step)
    gap, before = (real.mean(0) - s.mean(0) for s in (end, start))
    assert (float(gap.norm()) < float(before.norm())) is stable
    torch.testing.assert_close(gap, linear.contraction(step, m, k) ** 50 * before, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("share", [0.3, 0.9, 1.1])
def test_mean_square_and_log_factor_against_brute_force(share):
    m, k, d, count = 4, 3, 5, 200_000
    step = share * linear.largest_step_fresh(m, k, d)
    theta = linear.random_extractors(count, k, d, generator(2, "brute"))
    gap = normal(d, seed=3)
    ratios = linear.fresh_step(gap.expand(count, -1), theta, step, m).square().sum(1) / gap.square().sum()
    for values, expected in (
        (ratios, linear.mean_square_factor(step, m, k, d)),
        (ratios.log(), linear.mean_log_factor(step, m, k, d)),
    ):
        assert abs(float(values.mean()) - expected) < 4 * float(values.std()) / math.sqrt(count)
    assert (linear.mean_square_factor(step, m, k, d) < 1) is (share < 1)


def test_single_runs_converge_up_to_their_own_threshold():
    share = linear.single_run_threshold(1, 5)
    step = linear.largest_step_fresh(10, 1, 5)
    below, above = (linear.mean_log_factor(factor * share * step, 10, 1, 5) for factor in (0.99, 1.01))
    assert share > 1
    assert below < 0 < above


def test_fresh_step_is_one_step_of_the_descent():
    real, start, theta = (
        normal(6, 5),
        normal(3, 5, seed=1),
        linear.random_extractors(1, 2, 5, generator(0, "t")),
    )
    end = linear.descend(start, real, theta, 1, 0.05)
    gap = linear.fresh_step(real.mean(0) - start.mean(0), theta[0], 0.05, 3)
    torch.testing.assert_close(real.mean(0) - end.mean(0), gap, rtol=1e-12, atol=1e-14)


def test_jensen_log_factor_is_below_log_of_mean():
    for share in (0.5, 1.0, 1.5):
        step = share * linear.largest_step_fresh(2, 1, 10)
        assert linear.mean_log_factor(step, 2, 1, 10) < math.log(linear.mean_square_factor(step, 2, 1, 10))
    with pytest.raises(ValueError, match="d 1: allowed are whole numbers from 2 up"):
        linear.mean_log_factor(0.1, 1, 1, 1)


@settings(deadline=None)
@given(rows(6, 3), st.integers(1, 6))
def test_batch_covariance_by_enumeration(real, batch):
    means = torch.stack([real[list(chosen)].mean(0) for chosen in combinations(range(6), batch)])
    centred = means - real.mean(0)
    expected = centred.mT @ centred / len(means)
    torch.testing.assert_close(linear.batch_covariance(real, batch), expected, rtol=1e-9, atol=1e-12)


def test_stationary_covariances_are_fixed_points():
    real, m, k, d = normal(20, 6), 3, 2, 6
    noise = linear.batch_covariance(real, 5)
    step = 0.4 * linear.largest_step(m, k)
    settled, rate = linear.stationary_covariance(noise, step, m, k), 2 * step * k / m
    torch.testing.assert_close((1 - rate) ** 2 * settled + rate**2 * noise, settled, rtol=1e-12, atol=1e-14)
    step = 0.6 * linear.largest_step_fresh(m, k, d)
    fresh = linear.stationary_covariance_fresh(noise, step, m, k)
    torch.testing.assert_close(
        linear.covariance_step(fresh, noise, step, m, k), fresh, rtol=1e-12, atol=1e-14
    )
    a = 2 * step / m
    trace = a * (k + d + 1) / (2 - a * (k + d + 1)) * noise.trace()
    torch.testing.assert_close(fresh.trace(), trace, rtol=1e-12, atol=0)
    start = torch.zeros_like(noise)
    for _ in range(400):
        start = linear.covariance_step(start, noise, step, m, k)
    torch.testing.assert_close(start, fresh, rtol=1e-9, atol=1e-12)


def test_fresh_noise_covariance_by_simulation():
    real, m, k, d, chains = normal(8, 3), 2, 2, 3, 40_000
    noise, step = linear.batch_covariance(real, 2), 0.5 * linear.largest_step_fresh(2, 2, 3)
    centred = real - real.mean(0)
    offset, expected = torch.zeros(chains, d, dtype=torch.float64), torch.zeros(d, d, dtype=torch.float64)
    for index in range(6):
        keys = torch.rand((chains, 8), generator=generator(4, "keys", index))
        pulled = centred[keys.argsort(1)[:, :2]].mean(1) - offset
        theta = linear.random_extractors(chains, k, d, generator(4, "theta", index))
        offset = offset + pulled - linear.fresh_step(pulled, theta, step, m)
        expected = linear.covariance_step(expected, noise, step, m, k)
    for i in range(d):
        for j in range(d):
            products = offset[:, i] * offset[:, j]
            error = float(products.std()) / math.sqrt(chains)
            assert abs(float(products.mean() - expected[i, j])) < 4 * error


@pytest.mark.parametrize("step", [0.0, 10.0])
def test_stationary_noise_needs_a_stable_step(step):
    noise = torch.eye(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="stationary only between"):
        linear.stationary_covariance(noise, step, 2, 1)
    with pytest.raises(ValueError, match="stationary only between"):
        linear.stationary_covariance_fresh(noise, step, 2, 1)


@pytest.mark.parametrize("batch", [0, 21])
def test_impossible_batch_is_refused(batch):
    with pytest.raises(ValueError, match="1 to the number of real images, 20"):
        linear.batch_covariance(normal(20, 2), batch)


@settings(deadline=None)
@given(rows(5, 3), st.integers(0, 4))
def test_removal_shift_is_the_difference_of_means_and_obeys_the_bound(real, index):
    shift = linear.removal_shift(real, index)
    naive = linear.without(real, index).mean(0) - real.mean(0)
    torch.testing.assert_close(shift, naive, rtol=1e-9, atol=1e-15)
    assert float(shift.norm()) <= 2 * float(real.norm(dim=1).max()) / 5 + 1e-15


@pytest.mark.parametrize("index", [-1, 5])
def test_removal_of_an_image_that_is_not_there(index):
    with pytest.raises(ValueError, match="0 to 4"):
        linear.removal_shift(normal(5, 2), index)


def test_one_extractor_moves_only_its_row_space():
    theta, vector = linear.random_extractors(1, 2, 6, generator(0, "t"))[0], normal(6)
    seen = linear.row_space_projection(theta, vector)
    torch.testing.assert_close(theta @ seen, theta @ vector)
    torch.testing.assert_close(linear.row_space_projection(theta, seen), seen)
    coefficients = torch.linalg.lstsq(theta.mT, seen.unsqueeze(1)).solution
    torch.testing.assert_close(theta.mT @ coefficients, seen.unsqueeze(1))


def test_real_initialisation_leaks_exactly():
    real = normal(9, 12).abs()
    started = real[:4]
    released = linear.minimiser(started, real)
    torch.testing.assert_close(linear.recover_from_one(released, 2, real[2]), started, rtol=1e-12, atol=1e-14)
    started[torch.arange(4), torch.arange(4)] = 0.0  # one of the four is black at each of four pixels
    guess = linear.recover_from_black(started + normal(12, seed=8))
    torch.testing.assert_close(guess[:, :4], started[:, :4], rtol=1e-12, atol=1e-12)
    assert (guess[:, 4:] < started[:, 4:]).any()  # elsewhere the guess is too dark


def test_flatten_pools_and_refuses_what_does_not_divide():
    images = torch.arange(16, dtype=torch.float32).reshape(1, 1, 4, 4)
    assert linear.flatten(images, 2).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    with pytest.raises(ValueError, match="divisors"):
        linear.flatten(images, 3)


def test_four_descents_follow_their_predictions():
    real, m, k, d = normal(40, 12), 3, 4, 12
    step = 0.5 * linear.largest_step_fresh(m, k, d)
    runs = [
        linear.compare_descents(
            normal(m, d, seed=1), real, k, 30, step, 8, lambda *name, r=run: generator(r, *name)
        )
        for run in range(300)
    ]
    for name in runs[0]:
        squares = torch.stack([run[name][0] for run in runs]).square()
        expected = runs[0][name][1].square()
        times = [30] if name == "one extractor" else [1, 5, 20]
        for time in times:
            error = float(squares[:, time].std()) / math.sqrt(len(runs))
            assert abs(float(squares[:, time].mean() - expected[time])) < 4 * error + 1e-6, (name, time)
