"""The theorem's bound over measured shifts, the linear case in closed form, and non-degenerate minimisers."""

import itertools
import math

import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.theory import linear, stability

D = 6
SIZES = (25, 49, 97, 193)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed, "test stability"), dtype=torch.float64)


@pytest.fixture(scope="module")
def extractor():
    return stability.smooth_extractor(4, 16, D, generator(0, "extractor"))


def repeated(n):
    """x, then (n - 1) / 24 times the same 24 images: only 1 / n changes with n."""
    return torch.cat([normal(1, D, seed=1) * 2, normal(24, D, seed=2).repeat((n - 1) // 24, 1)])


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_bound_lies_over_the_shift_at_every_step(extractor, m, momentum):
    real, steps, step_size = normal(40, D), 20, 2.0
    shift, path, other = stability.shift_path(
        extractor, real, 3, normal(m, D, seed=1), steps, step_size, momentum
    )
    measured = stability.measured_constants(extractor, real, 3, path, other)
    proved = extractor.proved_constants(m)
    assert shift[0] == 0
    for t in range(1, steps + 1):
        bound = stability.stability_bound(measured.c, 40, measured.Lambda, step_size, t, momentum)
        assert 0 < float(shift[t]) <= bound * (1 + 1e-9)
        assert bound < stability.stability_bound(proved.c, 40, proved.Lambda, step_size, t, momentum)
    first = stability.stability_bound(measured.c, 40, measured.Lambda, step_size, 1, momentum)
    assert float(shift[1]) > first / 10


@pytest.mark.parametrize("steps", [1, 20])
def test_shift_falls_as_one_over_n(extractor, steps):
    start, shifts = normal(2, D, seed=3), []
    for n in SIZES:
        shift, _, _ = stability.shift_path(extractor, repeated(n), 0, start, steps, 2.0)
        shifts.append(float(shift[-1]))
    logs = torch.tensor([SIZES, shifts], dtype=torch.float64).log()
    centred = logs - logs.mean(1, keepdim=True)
    slope = float((centred[0] * centred[1]).sum() / centred[0].square().sum())
    assert slope == pytest.approx(-1, abs=1e-9 if steps == 1 else 0.02)


def test_shift_does_not_fall_when_the_image_was_in_the_start(extractor):
    ends = []
    for n in SIZES:
        real = repeated(n)
        T, others = stability.targets(extractor, real, 0)
        a = stability.descend(extractor, T, real[:2], 5, 2.0)[-1]
        b = stability.descend(extractor, others, real[1:3], 5, 2.0)[-1]
        ends.append(float((a - b).norm()))
    assert ends[-1] > 0.9 * ends[0] > 1


def test_linear_extractor_moves_by_the_closed_form():
    theta, real, start = normal(4, D, seed=5), normal(12, D), normal(3, D, seed=1)
    m, steps, step_size = 3, 9, 0.1
    shift, path, other = stability.shift_path(lambda x: x @ theta.mT, real, 2, start, steps, step_size)
    whole = torch.eye(D, dtype=torch.float64)
    left = torch.linalg.matrix_power(whole - 2 * step_size / m * theta.mT @ theta, steps)
    expected = (whole - left) @ linear.removal_shift(real, 2)
    torch.testing.assert_close(other[-1] - path[-1], expected.expand(m, -1), rtol=1e-10, atol=1e-14)
    assert float(shift[-1]) == pytest.approx(math.sqrt(m) * float(expected.norm()), rel=1e-10)
    measured = stability.measured_constants(lambda x: x @ theta.mT, real, 2, path, other)
    Gram = theta.mT @ theta
    assert measured.Lambda == pytest.approx(2 / m * float(torch.linalg.matrix_norm(Gram, 2)), rel=1e-10)
    c = 12 * 2 / math.sqrt(m) * float((Gram @ linear.removal_shift(real, 2)).norm())
    assert measured.c == pytest.approx(c, rel=1e-10)


def test_linear_extractor_converges_to_the_removal_shift():
    """Extractors whose average is the expectation, joined: (1.3), to rounding."""
    theta = linear.balanced_extractors(2, D, generator(0, "balanced")).flatten(0, 1) / math.sqrt(3)
    real, start = normal(12, D), normal(3, D, seed=1)
    step_size = 0.4 * linear.largest_step(3, 2)
    _, path, other = stability.shift_path(lambda x: x @ theta.mT, real, 2, start, 30, step_size)
    expected = linear.removal_shift(real, 2).expand(3, -1)
    torch.testing.assert_close(other[-1] - path[-1], expected, rtol=1e-10, atol=1e-14)


def test_gradient_and_hessian_equal_differences(extractor):
    target, s, step = extractor(normal(9, D)).mean(0), normal(2, D, seed=1), 1e-5
    slope = stability.gradient(extractor, target, s)
    curvature = stability.hessian(extractor, target, s)
    for place in (0, 5, 11):
        nudge = torch.zeros_like(s)
        nudge.view(-1)[place] = step
        losses = [float(stability.loss(extractor, target, s + sign * nudge)) for sign in (1, -1)]
        assert float(slope.view(-1)[place]) == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-9)
        slopes = [stability.gradient(extractor, target, s + sign * nudge) for sign in (1, -1)]
        difference = ((slopes[0] - slopes[1]) / (2 * step)).flatten()
        torch.testing.assert_close(curvature[:, place], difference, rtol=1e-6, atol=1e-9)


def test_joined_extractors_average_the_losses(extractor):
    real, s = normal(5, D), normal(2, D, seed=1)
    losses = []
    for weight, bias in zip(extractor.weights, extractor.biases, strict=True):
        means = [torch.tanh(rows @ weight.mT + bias).mean(0) / math.sqrt(16) for rows in (real, s)]
        losses.append(float((means[0] - means[1]).square().sum()))
    joined = float(stability.loss(extractor, extractor(real).mean(0), s))
    assert joined == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_minimiser_moves_as_the_implicit_function_theorem_says(extractor):
    start, errors = normal(1, D, seed=4), []
    for n in SIZES:
        real = repeated(n)
        mean, others = stability.targets(extractor, real, 0)
        best = stability.minimise(extractor, mean, start)
        moved = stability.minimise(extractor, others, best.synthetic)
        assert max(best.gradient_norm, moved.gradient_norm) < 1e-12
        shift = moved.synthetic - best.synthetic
        c = n * float(stability.gradient(extractor, others, best.synthetic).norm())
        assert float(shift.norm()) <= c / (best.mu * n) * (1 + 10 / n)
        predicted = stability.predicted_shift(extractor, real, 0, best.synthetic)
        errors.append(float((predicted - shift).norm() / shift.norm()))
    assert errors[0] < 0.2
    for before, after in itertools.pairwise(errors):
        assert before / after == pytest.approx(2, rel=0.25)


def test_a_degenerate_minimiser_is_refused():
    """Two images under a linear extractor: only their mean is determined."""
    real = normal(5, D)
    with pytest.raises(stability.DegenerateError, match=r"mu .*: allowed are below 1.0e-12, above 0"):
        stability.minimise(lambda x: x[:, :3], real[:, :3].mean(0), normal(2, D, seed=1))


def test_bound_without_curvature_is_the_limit():
    small = stability.stability_bound(2.0, 50, 1e-9, 0.3, 40)
    assert small == pytest.approx(stability.stability_bound(2.0, 50, 0.0, 0.3, 40), rel=1e-6)
    assert stability.stability_bound(2.0, 50, 0.0, 0.3, 40) == pytest.approx(2 * 0.3 * 40 / 50)
    tiny = stability.stability_bound(2.0, 50, 0.7, 0.3, 40, momentum=1e-12)
    assert tiny == pytest.approx(stability.stability_bound(2.0, 50, 0.7, 0.3, 40), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stability.stability_bound(-1.0, 5, 1.0, 1.0, 1), "c -1.0: allowed are finite numbers from"),
        (lambda: stability.stability_bound(1.0, 0, 1.0, 1.0, 1), "n 0: allowed are whole numbers from 1 up"),
        (lambda: stability.smooth_extractor(1, 0, 1, generator(0, "x")), "k 0: allowed are whole numbers"),
        (lambda: stability.targets(lambda x: x, normal(4, 2), 4), "index 4: allowed are 0 to 3"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
