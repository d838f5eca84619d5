"""Networks against modules of torch.nn, their initialisation, and their second derivatives."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import group_norm

from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks, training
from privacy_for_free.nets.networks import MLP, ConvNet, Linear

NETWORKS = [ConvNet(3, 16, 10, 6), ConvNet(1, 28, 2, 4), ConvNet(3, 8, 2, 4, depth=2), MLP(3, 8, 4, 5)]
NETWORKS += [MLP(1, 8, 2, 7, depth=1), Linear(3, 8, 10, 6), ConvNet(1, 16, 2, 4, activation="gelu")]


def draws(name="net"):
    return generator(0, name)


def batch(network, count=5):
    shape = (count, network.channels, network.size, network.size)
    return torch.randn(shape, generator=generator(1, "images"), dtype=torch.float64)


def perturbed(network):
    """Parameters in float64, moved so that scales and shifts are not 1 and 0."""
    values = network.initial(draws(), torch.float64)
    stream = generator(2, "moves")
    return {
        name: value + 0.1 * torch.randn(value.shape, generator=stream, dtype=torch.float64)
        for name, value in values.items()
    }


def module(network, parameters):
    """The same network of torch.nn modules; nn.GroupNorm(C, C) is the instance norm of the published code."""
    p, layers, inputs = parameters, [], network.channels
    if isinstance(network, ConvNet):
        for block in range(network.depth):
            padding = 3 if block == 0 and network.size == 28 else 1
            conv = nn.Conv2d(inputs, network.width, 3, padding=padding)
            norm = nn.GroupNorm(network.width, network.width)
            for layer, names in ((conv, ("weight", "bias")), (norm, ("scale", "shift"))):
                layer.weight.data, layer.bias.data = (p[f"{block}.{name}"].clone() for name in names)
            activation = nn.GELU() if network.activation == "gelu" else nn.ReLU()
            layers += [conv, norm, activation, nn.AvgPool2d(2)]
            inputs = network.width
        layers.append(nn.Flatten())
    else:
        layers.append(nn.Flatten())
        inputs = network.channels * network.size**2
        for index in range(network.depth if isinstance(network, MLP) else 1):
            linear = nn.Linear(inputs, network.width, bias=isinstance(network, MLP))
            if isinstance(network, MLP):
                linear.weight.data, linear.bias.data = (
                    p[f"{index}.weight"].clone(),
                    p[f"{index}.bias"].clone(),
                )
                layers += [linear, nn.ReLU()]
            else:
                linear.weight.data = p["theta"].clone()
                layers.append(linear)
            inputs = network.width
    classifier = nn.Linear(network.feature_dim, network.classes)
    classifier.weight.data, classifier.bias.data = (
        p["classifier.weight"].clone(),
        p["classifier.bias"].clone(),
    )
    return nn.Sequential(*layers, classifier)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_same_as_modules(network):
    parameters, images = perturbed(network), batch(network)
    twin = module(network, parameters)
    features = network.features(parameters, images)
    assert features.shape == (5, network.feature_dim)
    torch.testing.assert_close(features, twin[:-1](images), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(network.logits(parameters, images), twin(images), rtol=1e-10, atol=1e-12)


def test_28_pixels_are_padded_to_32_by_the_first_convolution():
    network = ConvNet(1, 28, 10, 4)
    parameters, images = perturbed(network), batch(network)
    wider = nn.functional.pad(images, (2, 2, 2, 2))
    assert network.feature_dim == ConvNet(1, 32, 10, 4).feature_dim == 4 * 16
    features = ConvNet(1, 32, 10, 4).features(parameters, wider)
    torch.testing.assert_close(network.features(parameters, images), features)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_initialisation_is_seeded_and_its_features_come_first(network):
    one, again = network.initial(draws()), network.initial(draws())
    alone = network.initial(draws(), classifier=False)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert set(one) - set(alone) == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(one[name], alone[name]) for name in alone)
    other = network.initial(draws("another"))
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])
    assert all(value.dtype == torch.float32 for value in one.values())
    assert network.initial(draws(), torch.float64)["classifier.bias"].dtype == torch.float64


@pytest.mark.parametrize(
    ("network", "fan_ins"), [(ConvNet(3, 8, 10, 32), (27, 288, 288)), (MLP(3, 8, 10, 64), (192, 64))]
)
def test_weights_and_biases_are_uniform_within_one_over_root_fan_in(network, fan_ins):
    parameters = network.initial(draws())
    named = [(str(block), fan_in) for block, fan_in in enumerate(fan_ins)]
    for name, fan_in in [*named, ("classifier", network.feature_dim)]:
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        bound = 1 / math.sqrt(fan_in)
        assert weight.abs().max() <= bound
        assert bias.abs().max() <= bound
        # uniform: variance bound^2 / 3; five standard errors of it (kurtosis 9/5), and of the mean
        assert abs(weight.mean()) < 5 * bound / math.sqrt(3 * weight.numel())
        relative = weight.var() / (bound**2 / 3) - 1
        assert abs(relative) < 5 * math.sqrt(0.8 / weight.numel())
    if isinstance(network, ConvNet):
        assert all(bool((parameters[f"{block}.scale"] == 1).all()) for block in range(3))
        assert all(bool((parameters[f"{block}.shift"] == 0).all()) for block in range(3))


def test_linear_extractor_preserves_squared_norms_on_average():
    theta = Linear(1, 4, 2, 4096).initial(draws(), torch.float64)["theta"]
    gram = theta.T @ theta  # off-diagonal variance 1/width, diagonal 2/width
    torch.testing.assert_close(gram, torch.eye(16, dtype=torch.float64), rtol=0, atol=6 * math.sqrt(2 / 4096))


@pytest.mark.parametrize("channels_last", [False, True])
def test_instance_norm_is_group_norm_with_a_group_a_channel(channels_last):
    stream = generator(0, "norm")
    images = torch.randn((3, 4, 6, 6), generator=stream, dtype=torch.float64) * 3 + 2
    weight, bias = (torch.randn(4, generator=stream, dtype=torch.float64) for _ in range(2))
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        networks.instance_norm(images, weight, bias), group_norm(images, 4, weight, bias, networks.EPSILON)
    )


def test_a_channel_without_variance_gives_the_shift():
    weight, bias = torch.tensor([2.0, 3.0]), torch.tensor([0.5, -1.0])
    out = networks.instance_norm(torch.full((1, 2, 4, 4), 7.0), weight, bias)
    assert torch.equal(out, bias[None, :, None, None].expand(1, 2, 4, 4))


def test_second_derivatives_of_the_instance_norm():
    stream = generator(0, "gradgrad")
    inputs = [
        torch.randn(shape, generator=stream, dtype=torch.float64) for shape in ((2, 2, 3, 3), (2,), (2,))
    ]
    inputs = [value.requires_grad_() for value in inputs]
    assert torch.autograd.gradcheck(networks.instance_norm, inputs)
    assert torch.autograd.gradgradcheck(networks.instance_norm, inputs)


def test_second_derivatives_of_the_convnet():
    network = ConvNet(1, 4, 2, 2, depth=1)
    parameters, images = perturbed(network), batch(network, 2)
    names = list(parameters)

    def loss(images, *values):
        return nn.functional.cross_entropy(
            network.logits(dict(zip(names, values, strict=True)), images), torch.tensor([0, 1])
        )

    inputs = [images.requires_grad_(), *(parameters[name].requires_grad_() for name in names)]
    assert torch.autograd.gradgradcheck(loss, inputs)


def test_operations_and_memory_of_the_published_network():
    network = ConvNet(3, 32, 10)
    products = 9 * 3 * 128 * 32**2 + 9 * 128 * 128 * (16**2 + 8**2)
    assert network.operations == 2 * products
    assert network.activation_bytes(torch.float32) == 3 * 4 * 128 * (32**2 + 16**2 + 8**2)
    assert network.activation_bytes(torch.float64) == 2 * network.activation_bytes(torch.float32)
    assert sum(value.numel() for value in network.initial(draws()).values()) == 320_010  # as published
    assert MLP(3, 32, 10).operations == 2 * 128 * (3072 + 128)
    assert Linear(3, 32, 10, 64).operations == 2 * 64 * 3072


def test_build():
    assert networks.build("mlp", (3, 8, 8), 4, 16) == MLP(3, 8, 4, 16)
    assert networks.build("linear", (1, 8, 8), 4) == Linear(1, 8, 4, 128)
    with pytest.raises(ValueError, match="network 'vit': known are convnet, mlp, linear"):
        networks.build("vit", (3, 8, 8), 4)
    with pytest.raises(ValueError, match="image_shape of 8 x 9 pixels"):
        networks.build("convnet", (3, 8, 9), 4)
    with pytest.raises(ValueError, match="depth 3: images of 7 pixels are too small"):
        networks.build("convnet", (3, 7, 7), 4)
    for kind in ("convnet", "mlp", "linear"):
        with pytest.raises(ValueError, match="width 0: allowed are whole numbers from 1 to 1048576"):
            networks.build(kind, (3, 8, 8), 4, 0)
    with pytest.raises(ValueError, match="classes True"):
        MLP(3, 8, True)
    with pytest.raises(ValueError, match="ConvNet activation 'tanh': known are relu, gelu"):
        ConvNet(1, 8, 2, activation="tanh")


def test_the_activation_changes_what_is_computed_but_not_what_is_drawn():
    kinked, smooth = ConvNet(1, 8, 2, 4), ConvNet(1, 8, 2, 4, activation="gelu")
    parameters, images = kinked.initial(draws()), batch(kinked).float()
    assert all(torch.equal(value, parameters[name]) for name, value in smooth.initial(draws()).items())
    assert not torch.equal(smooth.features(parameters, images), kinked.features(parameters, images))
    assert repr(kinked) == "ConvNet(channels=1, size=8, classes=2, width=4, depth=3, activation='relu')"


@pytest.mark.parametrize("kind", ["convnet", "mlp", "linear"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_k1_the_number_of_threads_changes_no_bit_of_an_answer(kind, dtype):
    """Matrix products of this size are other bits with two threads."""
    network = networks.build(kind, (1, 28, 28), 2, 16)
    weights = network.initial(draws(), dtype)
    images = torch.randn((40, 1, 28, 28), generator=draws("images"), dtype=dtype)
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(training.logits(network, weights, images))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
