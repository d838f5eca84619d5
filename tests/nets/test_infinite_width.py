import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.core.randomness import generator
from privacy_for_free.nets.infinite_width import FullyConnected


def draw(*shape: int, index: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=generator(0, "test kernels", index), dtype=torch.float64)


def by_hand(network: FullyConnected, x: list[float], z: list[float]) -> tuple[float, float]:
    """NNGP and NTK of one pair, in plain arithmetic."""

    def first(u: list[float], v: list[float]) -> float:
        inner = sum(a * b for a, b in zip(u, v, strict=True)) / len(u)
        return network.weight_variance * inner + network.bias_variance

    s, p, q = first(x, z), first(x, x), first(z, z)
    ntk = s
    for _ in range(network.depth):
        cosine = max(-1.0, min(1.0, s / math.sqrt(p * q)))
        angle = math.acos(cosine)
        k0 = (math.pi - angle) / (2 * math.pi)
        k1 = math.sqrt(p * q) * (math.sin(angle) + (math.pi - angle) * cosine) / (2 * math.pi)
        s = network.weight_variance * k1 + network.bias_variance
        p = network.weight_variance * p / 2 + network.bias_variance
        q = network.weight_variance * q / 2 + network.bias_variance
        ntk = s + network.weight_variance * ntk * k0
    return s, ntk


def test_published_kernel_check():
    """By neural-tangents 0.6.5 in float64: Dense, Relu, Dense with W_std sqrt 2, b_std 0.1, as in KIP."""
    x = torch.arange(12, dtype=torch.float64).reshape(3, 4) / 10 - 0.4
    ntk = [
        [0.33, 0.0128888902, -0.0330521551],
        [0.0128888902, 0.17, 0.3817188256],
        [-0.0330521551, 0.3817188256, 1.29],
    ]
    nngp = [
        [0.17, 0.0282878211, 0.0221606744],
        [0.0282878211, 0.09, 0.2127027888],
        [0.0221606744, 0.2127027888, 0.65],
    ]
    network = FullyConnected()
    expected = torch.tensor(ntk, dtype=torch.float64)
    assert float((network.ntk(x) - expected).abs().max()) < 6e-11
    expected = torch.tensor(nngp, dtype=torch.float64)
    assert float((network.nngp(x) - expected).abs().max()) < 6e-11


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("variances", [(2.0, 0.01), (1.3, 0.0), (0.7, 0.4)])
def test_recursion_by_hand(depth, variances):
    network = FullyConnected(depth, *variances)
    x, z = draw(2, 3, 5), draw(2, 4, 5, index=1)
    pairs = [[[by_hand(network, u, v) for v in z[b].tolist()] for u in x[b].tolist()] for b in range(2)]
    expected = torch.tensor(pairs, dtype=torch.float64)
    torch.testing.assert_close(network.nngp(x, z), expected[..., 0], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(network.ntk(x, z), expected[..., 1], rtol=1e-12, atol=1e-14)


def finite_network(network, width, x, stream):
    """Outputs (n) and NTK (n, n) of a random network of finite width, NTK parameterisation."""
    sizes = [x.shape[1]] + [width] * network.depth + [1]
    weights, hidden = [], x
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        weight = torch.randn((outputs, inputs), generator=stream, dtype=torch.float64).requires_grad_()
        bias = torch.randn(outputs, generator=stream, dtype=torch.float64).requires_grad_()
        weights += [weight, bias]
        hidden = hidden.relu() if layer else hidden
        hidden = hidden @ weight.T * math.sqrt(network.weight_variance / inputs)
        hidden = hidden + bias * math.sqrt(network.bias_variance)
    gradients = [
        torch.cat([g.flatten() for g in torch.autograd.grad(output, weights, retain_graph=True)])
        for output in hidden[:, 0]
    ]
    jacobian = torch.stack(gradients)
    return hidden[:, 0].detach(), jacobian @ jacobian.T


@pytest.mark.parametrize(("depth", "width", "draws"), [(1, 8, 2000), (2, 256, 400)])
def test_random_finite_networks(depth, width, draws):
    """Depth 1 is exact at any width; at depth 2 the bias, of order 1 / width, is below the error."""
    network, x = FullyConnected(depth, 1.5, 0.2), draw(3, 4)
    stream = generator(0, "finite networks", depth)
    outputs, ntks = zip(*(finite_network(network, width, x, stream) for _ in range(draws)), strict=True)
    products = torch.stack([f[:, None] * f for f in outputs])
    for samples, exact in ((products, network.nngp(x)), (torch.stack(ntks), network.ntk(x))):
        error = samples.std(0) / math.sqrt(draws)
        assert float(((samples.mean(0) - exact) / error).abs().max()) < 4
        assert float((error / exact.abs()).max()) < 0.25


@pytest.mark.parametrize("depth", range(4))
def test_gradients_against_differences(depth):
    network = FullyConnected(depth, 1.7, 0.05)
    x, z = draw(2, 3, 4).requires_grad_(), draw(2, 2, 4, index=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: (network.nngp(a, b), network.ntk(a, b)), (x, z))
    assert torch.autograd.gradcheck(lambda a: (network.nngp(a), network.ntk(a)), (x,))
    assert torch.autograd.gradcheck(network.ntk_diagonal, (x,))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("bias_variance", [0.0, 0.01])
def test_coinciding_and_parallel_points(depth, bias_variance):
    network = FullyConnected(depth, 2.0, bias_variance)
    point = draw(1, 6)
    x = torch.cat([point, 3 * point, -point, point, torch.zeros_like(point)]).requires_grad_()
    for kernel in (network.ntk(x), network.ntk(x, x.detach().clone())):
        (gradient,) = torch.autograd.grad(kernel.sum(), x)
        assert bool(torch.isfinite(kernel).all())
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient.abs().max()) < 1e3
    (value,) = point.tolist()
    assert float(network.ntk(point)) == pytest.approx(by_hand(network, value, value)[1], rel=1e-7)


@pytest.mark.parametrize("depth", range(4))
def test_gradient_of_the_diagonal_is_that_of_the_closed_form(depth):
    network, x = FullyConnected(depth), draw(5, 12).requires_grad_()
    (through_kernel,) = torch.autograd.grad(network.ntk(x).diagonal().sum(), x)
    (closed,) = torch.autograd.grad(network.ntk_diagonal(x).sum(), x)
    torch.testing.assert_close(through_kernel, closed, rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=40)
@given(
    points=st.integers(1, 8),
    size=st.integers(1, 12),
    depth=st.integers(0, 4),
    bias_variance=st.sampled_from([0.0, 0.01, 1.0]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    index=st.integers(0, 1000),
)
def test_kernels_are_covariances(points, size, depth, bias_variance, scale, index):
    """Symmetric, positive semidefinite with a repeated point, and exact on the diagonal."""
    network = FullyConnected(depth, 2.0, bias_variance)
    x = scale * draw(points, size, index=index)
    x = torch.cat([x, x[:1]])
    for kernel in (network.nngp(x), network.ntk(x)):
        trace = float(kernel.trace())
        # Rounding turns parallel points by some 1e-8.
        torch.testing.assert_close(kernel, kernel.T, rtol=1e-12, atol=1e-7 * trace)
        assert float(torch.linalg.eigvalsh(kernel)[0]) > -1e-7 * trace
    torch.testing.assert_close(network.ntk(x).diagonal(), network.ntk_diagonal(x), rtol=1e-14, atol=0)


@settings(deadline=None, max_examples=20)
@given(depth=st.integers(0, 4), a=st.floats(1e-3, 1e3), b=st.floats(1e-3, 1e3))
def test_without_biases_kernels_scale_with_the_images(depth, a, b):
    network, x, z = FullyConnected(depth, 1.4, 0.0), draw(3, 7), draw(2, 7, index=1)
    for kernel in (network.nngp, network.ntk):
        torch.testing.assert_close(kernel(a * x, b * z), a * b * kernel(x, z), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": -1}, "depth -1"),
        ({"depth": 1.0}, "depth 1.0"),
        ({"depth": True}, "depth True"),
        ({"weight_variance": 0.0}, "weight_variance 0.0"),
        ({"weight_variance": math.nan}, "weight_variance nan"),
        ({"bias_variance": -0.1}, "bias_variance -0.1"),
        ({"bias_variance": math.inf}, "bias_variance inf"),
    ],
)
def test_networks_that_are_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        FullyConnected(**arguments)


@pytest.mark.parametrize("other", [draw(2, 5), draw(2, 4).float(), draw(4)])
def test_images_that_do_not_fit(other):
    with pytest.raises(ValueError, match="allowed are float64"):
        FullyConnected().ntk(draw(3, 4), other)
