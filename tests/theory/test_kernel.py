"""The kernel view of distribution matching against slow twins, the linear case, and random ReLU networks."""

import math

import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.theory import kernel, linear

KERNELS = {
    "linear": kernel.linear(0.7),
    "gaussian": kernel.gaussian(2.0),
    "arc_cosine": kernel.arc_cosine(2, bias_variance=0.1),
}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed, "test kernel"), dtype=torch.float64)


def naive_mmd(function, real, synthetic):
    """The V-statistic, one pair at a time."""

    def mean(a, b):
        return sum(float(function(x[None], z[None])) for x in a for z in b) / (len(a) * len(b))

    return mean(real, real) - 2 * mean(real, synthetic) + mean(synthetic, synthetic)


@pytest.mark.parametrize("name", KERNELS)
def test_mmd_equals_its_naive_twin(name):
    real, synthetic = normal(5, 4), normal(3, 4, seed=1)
    expected = naive_mmd(KERNELS[name], real, synthetic)
    assert float(kernel.mmd_squared(KERNELS[name], real, synthetic)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", KERNELS)
def test_mmd_gradient_equals_differences(name):
    real, synthetic, step = normal(6, 3), normal(2, 3, seed=1), 1e-5
    found = kernel.mmd_gradient(KERNELS[name], real, synthetic)
    for place in range(synthetic.numel()):
        nudge = torch.zeros_like(synthetic)
        nudge.view(-1)[place] = step
        ends = [kernel.mmd_squared(KERNELS[name], real, synthetic + sign * nudge) for sign in (1, -1)]
        difference = float(ends[0] - ends[1]) / (2 * step)
        assert float(found.view(-1)[place]) == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_linear_kernel_is_the_linear_chapter():
    real, synthetic = normal(7, 5), normal(3, 5, seed=1)
    v, k = 0.3, 4
    function, gap = kernel.linear(v * k), real.mean(0) - synthetic.mean(0)
    loss = kernel.mmd_squared(function, real, synthetic)
    torch.testing.assert_close(loss, linear.expected_loss(gap, k, v), rtol=1e-10, atol=0)
    expected = linear.expected_gradient(gap, 3, k, v).expand(3, -1)
    torch.testing.assert_close(kernel.mmd_gradient(function, real, synthetic), expected, rtol=1e-10, atol=0)
    moved = torch.stack([linear.removal_shift(real, index).norm() for index in range(7)])
    shift = kernel.mean_embedding_shift(function, real)
    torch.testing.assert_close(shift, math.sqrt(v * k) * moved, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_removal_moves_the_embedding_by_the_distance_to_the_others_over_n(name):
    real, function = normal(9, 4), KERNELS[name]
    gram, n = function(real, real), len(real)
    shift, bound = kernel.mean_embedding_shift(function, real), kernel.mean_embedding_bound(function, real)
    for index in range(n):
        others = torch.full((n,), 1 / (n - 1), dtype=torch.float64)
        others[index] = 0
        whole = torch.full((n,), 1 / n, dtype=torch.float64)
        direct = ((whole - others) @ gram @ (whole - others)).sqrt()
        point = torch.nn.functional.one_hot(torch.tensor(index), n).double()
        distance = ((point - others) @ gram @ (point - others)).sqrt()
        assert float(direct) == pytest.approx(float(distance) / n, rel=1e-10)
        assert float(shift[index]) == pytest.approx(float(direct), rel=1e-10)
        assert float(shift[index]) <= bound
    assert torch.equal(kernel.mean_embedding_shift(function, real, torch.tensor([4, 2])), shift[[4, 2]])


def test_bound_is_attained_by_an_opposite_image():
    """Every other image is -x: the distance is 2 kappa."""
    x = normal(1, 6)
    real = torch.cat([x, -x.expand(9, -1)])
    function = kernel.linear()
    shift = float(kernel.mean_embedding_shift(function, real, 0))
    assert shift == pytest.approx(kernel.mean_embedding_bound(function, real), rel=1e-12)


@pytest.mark.parametrize("variances", [(2.0, 0.0), (1.3, 0.4)])
def test_one_random_layer_has_the_arc_cosine_kernel_at_any_width(variances):
    x = normal(5, 3)
    for width in (2, 256):
        network = kernel.RandomReLU(3, 1, width, *variances)
        mean, error = kernel.monte_carlo_kernel(network, x, 800, generator(0, "one layer", width))
        z = (mean - kernel.arc_cosine(1, *variances)(x, x)).abs() / error
        assert float(z.max()) < 4
        assert float((error / mean.diagonal().max()).max()) < 4 / math.sqrt(800 * width)


def test_two_random_layers_come_to_it_as_the_width_grows():
    """Where the angle is folded twice the finite kernel lies below, by about 1 / width."""
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    exact = kernel.arc_cosine(2)(x, x)
    off = {}
    for width, draws in ((4, 20_000), (8, 20_000), (16, 20_000)):
        mean, error = kernel.monte_carlo_kernel(
            kernel.RandomReLU(2, 2, width), x, draws, generator(0, "two layers", width)
        )
        bias, noise = float((mean - exact)[0, 1]), float(error[0, 1])
        assert abs(bias) > 4 * noise
        off[width] = bias
    assert off[4] / off[8] == pytest.approx(2, rel=0.35)
    assert off[8] / off[16] == pytest.approx(2, rel=0.35)
    wide = kernel.RandomReLU(2, 2, 512)
    mean, error = kernel.monte_carlo_kernel(wide, x, 100, generator(0, "wide"))
    assert float(((mean - exact).abs() / error).max()) < 4


def test_arc_cosine_by_hand():
    """Right angle, depth 1: sqrt(s s) / (2 pi); the diagonal: s / 2, with s = weight variance |x|^2 / d."""
    x = torch.eye(2, dtype=torch.float64)
    found = kernel.arc_cosine(1, 2.0, 0.0)(x, x)
    assert float(found[0, 1]) == pytest.approx(1 / (2 * math.pi), rel=1e-12)
    assert float(found[0, 0]) == pytest.approx(0.5, rel=1e-12)


def test_monte_carlo_takes_the_networks_of_the_package():
    """The linear network has variance 1 / width: its kernel is the inner product."""
    images = normal(3, 1, 2, 2)
    network = networks.Linear(1, 2, 1, width=64)
    mean, error = kernel.monte_carlo_kernel(network, images, 200, generator(0, "linear"))
    rows = images.flatten(1)
    assert float(((mean - rows @ rows.mT).abs() / error).max()) < 4


def test_expected_loss_over_extractors_is_the_mmd():
    real, synthetic = normal(6, 3), normal(2, 3, seed=1)
    network, stream, losses = kernel.RandomReLU(3, 1, 64), generator(0, "extractors"), []
    for _ in range(1000):
        parameters = network.initial(stream)
        means = [network.features(parameters, rows).mean(0) for rows in (real, synthetic)]
        losses.append((means[0] - means[1]).square().sum())
    losses = torch.stack(losses)
    expected = kernel.mmd_squared(kernel.arc_cosine(1), real, synthetic)
    assert abs(float(losses.mean() - expected)) < 4 * float(losses.std()) / math.sqrt(len(losses))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel.gaussian(0.0), "bandwidth 0.0: allowed are finite numbers above 0"),
        (lambda: kernel.arc_cosine(0), "depth 0: allowed are whole numbers from 1 up"),
        (lambda: kernel.RandomReLU(3, width=0), "width 0: allowed are"),
        (lambda: kernel.RandomReLU(3, weight_variance=-1.0), "weight_variance -1.0: allowed are"),
        (lambda: kernel.mmd_squared(kernel.linear(), normal(2, 3), normal(2, 4)), "allowed are float64"),
        (
            lambda: kernel.mean_embedding_shift(kernel.linear(), normal(3, 2), 3),
            "index 3: allowed are 0 to 2",
        ),
        (lambda: kernel.mean_embedding_shift(kernel.linear(), normal(1, 2)), "at least 2 images"),
        (
            lambda: kernel.monte_carlo_kernel(kernel.RandomReLU(3), normal(2, 3), 1, generator(0, "x")),
            "draws 1: allowed are",
        ),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
