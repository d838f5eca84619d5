"""DP-SGD against the loop of the paper, Opacus's own layers and Opacus's own accountant."""

import dataclasses
import math
import sys
import warnings

import pytest
import torch
from opacus.accountants import RDPAccountant
from opacus.grad_sample import GradSampleModule
from scipy import stats
from torch import nn
from torch.nn.functional import cross_entropy

from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks, training
from privacy_for_free.private import dp_sgd
from privacy_for_free.private.accounting import Mechanism

NETWORK = networks.ConvNet(1, 8, 3, width=4)
SMALL = dp_sgd.DPSGD(0.8, bound=0.3, sample=10, steps=3, learning_rate=0.2, momentum=0.5, chunk=4)


def examples(count=30, dtype=torch.float64, size=8):
    images = torch.randn((count, 1, size, size), generator=generator(0, "pool"), dtype=dtype)
    return images, torch.arange(count) % 3


def single(network, parameters, image, label):
    leaves = {name: value.clone().requires_grad_(True) for name, value in parameters.items()}
    cross_entropy(network.logits(leaves, image[None]), label[None]).backward()
    return {name: value.grad for name, value in leaves.items()}


def twin(images, labels, parameters, seed):
    """Abadi et al. 2016, algorithm 1, example by example."""
    values = NETWORK.initial(generator(seed, "dp_sgd initial"), images.dtype)
    noise, samples = generator(seed, "dp_sgd noise"), generator(seed, "dp_sgd sample")
    momentum = {name: torch.zeros_like(value) for name, value in values.items()}
    for _ in range(parameters.steps):
        draws = torch.rand(len(images), generator=samples, dtype=torch.float64)
        total = {name: torch.zeros_like(value) for name, value in values.items()}
        for i in (draws < parameters.sample / len(images)).nonzero()[:, 0].tolist():
            gradient = single(NETWORK, values, images[i], labels[i])
            norm = math.sqrt(sum(float(g.square().sum()) for g in gradient.values()))
            for name, g in gradient.items():
                total[name] += g * min(1.0, parameters.bound / norm)
        for name, value in values.items():
            spread = parameters.noise_multiplier * parameters.bound
            drawn = torch.normal(0.0, spread, tuple(value.shape), generator=noise, dtype=images.dtype)
            step = (total[name] + drawn) / parameters.sample
            momentum[name] = parameters.momentum * momentum[name] + step
        values = {name: value - parameters.learning_rate * momentum[name] for name, value in values.items()}
    return values


def test_training_is_the_papers_algorithm():
    images, labels = examples()
    found = dp_sgd.train(NETWORK, images, labels, SMALL, 3, noise="seed")
    expected = twin(images, labels, SMALL, 3)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_single_examples_and_of_opacus():
    images, labels = examples(6)
    parameters = NETWORK.initial(generator(1, "initial"), torch.float64)
    each = dp_sgd.gradients(NETWORK, parameters, images, labels)
    for i in range(6):
        for name, value in single(NETWORK, parameters, images[i], labels[i]).items():
            torch.testing.assert_close(each[name][i], value)
    layers = []
    for block, inputs in enumerate((1, 4, 4)):
        layers += [nn.Conv2d(inputs, 4, 3, padding=1), nn.GroupNorm(4, 4), nn.ReLU(), nn.AvgPool2d(2)]
        layers[-4].weight.data = parameters[f"{block}.weight"].clone(memory_format=torch.contiguous_format)
        layers[-4].bias.data = parameters[f"{block}.bias"].clone()
    layers += [nn.Flatten(), nn.Linear(4, 3)]
    layers[-1].weight.data = parameters["classifier.weight"].clone()
    layers[-1].bias.data = parameters["classifier.bias"].clone()
    module = GradSampleModule(nn.Sequential(*layers).double(), loss_reduction="sum")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Full backward hook is firing")  # images have no gradient
        cross_entropy(module(images), labels, reduction="sum").backward()
    for value, own in zip(module.parameters(), each.values(), strict=True):
        torch.testing.assert_close(value.grad_sample, own)


def clipped_norm(images, labels, bound, seed=0):
    """How far one step of rate 1, without noise, moves the parameters, as a gradient."""
    start = NETWORK.initial(generator(seed, "dp_sgd initial"), images.dtype)
    parameters = dp_sgd.DPSGD(0.0, bound=bound, sample=len(images), steps=1, learning_rate=1.0, momentum=0.0)
    end = dp_sgd.train(NETWORK, images, labels, parameters, seed, noise="seed")
    moved = [((start[name] - end[name]) * len(images)).double().flatten() for name in start]
    return float(torch.cat(moved).norm())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_clipping_holds_for_every_example(scale, dtype):
    images, labels = examples(3, dtype)
    for i in range(3):
        assert clipped_norm(images[i : i + 1] * scale, labels[i : i + 1], 0.05) <= 0.05


def test_an_example_that_is_not_finite_counts_as_nothing():
    images, labels = examples(2)
    images[1, 0, 0, 0] = math.nan
    parameters = NETWORK.initial(generator(1, "initial"), torch.float64)
    each = dp_sgd.gradients(NETWORK, parameters, images, labels)
    assert all(bool(value[1].eq(0).all()) for value in each.values())
    assert any(bool(value[0].ne(0).any()) for value in each.values())
    none = dp_sgd.gradients(NETWORK, parameters, images[:0], labels[:0])
    assert all(value.shape == (0, *parameters[name].shape) for name, value in none.items())


def test_the_noise_has_the_stated_spread_and_an_empty_sample_is_all_noise():
    network = networks.MLP(1, 8, 3, width=64)
    images, labels = examples(4000)
    parameters = dp_sgd.DPSGD(1.5, bound=2.0, sample=1, steps=1, learning_rate=1.0, momentum=0.0)
    seed = next(
        s
        for s in range(1, 50)
        if float(torch.rand(4000, generator=generator(s, "dp_sgd sample"), dtype=torch.float64).min())
        >= 1 / 4000
    )
    start = network.initial(generator(seed, "dp_sgd initial"), images.dtype)
    end = dp_sgd.train(network, images, labels, parameters, seed, noise="seed")
    noise = torch.cat([(start[name] - end[name]).flatten() for name in start]) / 3
    assert len(noise) > 8000
    assert stats.kstest(noise.numpy(), "norm").pvalue > 0.01
    assert float(noise.std()) == pytest.approx(1, rel=0.03)


def test_chunks_change_nothing():
    images, labels = examples()
    whole = dp_sgd.train(NETWORK, images, labels, dataclasses.replace(SMALL, chunk=100), 3, noise="seed")
    for chunk in (1, 4):
        cut = dp_sgd.train(NETWORK, images, labels, dataclasses.replace(SMALL, chunk=chunk), 3, noise="seed")
        for name, value in whole.items():
            torch.testing.assert_close(cut[name], value)


def test_runs_are_named_and_leave_the_global_generator_alone():
    images, labels = examples()
    state = torch.get_rng_state()
    first = dp_sgd.train(NETWORK, images, labels, SMALL, 3, "a", noise="seed")
    again = dp_sgd.train(NETWORK, images, labels, SMALL, 3, "a", noise="seed")
    other = dp_sgd.train(NETWORK, images, labels, SMALL, 3, "b", noise="seed")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])
    assert not any(value.requires_grad for value in first.values())


def test_it_learns_with_little_noise():
    labels = torch.arange(90) % 3
    noise = torch.randn((90, 1, 8, 8), generator=generator(0, "pool"))
    images = noise * 0.3
    for c in range(3):
        images[labels == c, :, 2 * c : 2 * c + 3] += 2.0
    parameters = dp_sgd.DPSGD(0.3, sample=30, steps=60, learning_rate=1.0, momentum=0.5)
    found = dp_sgd.train(NETWORK, images, labels, parameters, 0, noise="seed")
    assert training.accuracy(NETWORK, found, images, labels) > 0.9


def test_accounting_is_that_of_opacus():
    parameters = dp_sgd.DPSGD(1.1, sample=256, steps=2000)
    mechanism = parameters.mechanism(50_000)
    assert mechanism == Mechanism(1.1, 2000, 256 / 50_000)
    theirs = RDPAccountant()
    theirs.history = [(1.1, 256 / 50_000, 2000)]
    assert mechanism.epsilon(1e-5, "rdp") == pytest.approx(theirs.get_epsilon(1e-5), rel=0.01)
    assert mechanism.epsilon(1e-5, "pld") < mechanism.epsilon(1e-5, "rdp")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": 0}, "sample 0: allowed are whole numbers from 1 up"),
        ({"steps": True}, "steps True"),
        ({"bound": math.inf}, "bound inf: allowed are finite numbers above 0"),
        ({"momentum": 1}, "momentum 1"),
        ({"noise_multiplier": -0.1}, "noise_multiplier -0.1"),
        ({"adjacency": "x"}, "adjacency 'x'"),
    ],
)
def test_bad_parameters(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_bad_data():
    images, labels = examples()
    for arguments, message in [
        ((images[:5], labels[:5]), "sample 10: allowed are 1 to 5, the number of examples"),
        ((images[:, :, 1:], labels), "images .*: allowed is N x C x S x S"),
        ((images[:, :, 1:, 1:], labels), "allowed are float32 or float64, N x 1 x 8 x 8"),
        ((images, labels[1:]), r"labels torch.int64 \(29,\): allowed is N, with N = 30 as of images"),
        ((images, labels + 1), "labels from 1 to 3: allowed are 0 to 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            dp_sgd.train(NETWORK, *arguments, SMALL, 0, noise="seed")


def test_without_opacus_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus.optimizers", None)
    with pytest.raises(ModuleNotFoundError, match=r"DP-SGD needs .*pip install '\.\[private\]' in"):
        dp_sgd.train(NETWORK, *examples(), SMALL, 0, noise="seed")


def test_divergence_is_reported():
    images, labels = examples(dtype=torch.float32)
    with pytest.raises(DivergenceError, match="dp_sgd: step 0: a parameter is not finite"):
        dp_sgd.train(
            NETWORK,
            images,
            labels,
            dataclasses.replace(SMALL, bound=1e4, learning_rate=3e38),
            0,
            noise="seed",
        )
