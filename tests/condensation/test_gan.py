"""The GAN: layers against torch.nn, losses, a step by hand, and that it learns what a class looks like."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from privacy_for_free.condensation import condense, gan
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks

SMALL = gan.GAN(steps=2, batch=6, code=3, width=4, discriminator_width=4, learning_rate=1e-3)


def problem(sets=2, ipc=3, classes=3, count=30, size=8, dtype=torch.float64):
    images = torch.rand((count, 1, size, size), generator=generator(0, "pool"), dtype=dtype) * 2 - 1
    membership = torch.rand((sets, count), generator=generator(0, "halves")) < 0.7
    return Problem.of(images, torch.arange(count) % classes, membership, ipc, "noise", 5)


def modules(network, weights):
    linear = nn.Linear(network.code + network.classes, weights["0.weight"].shape[0])
    norms = [nn.BatchNorm2d(network.width) for _ in range(2)]
    convolutions = [
        nn.Conv2d(network.width, network.width, 3, padding=1),
        nn.Conv2d(network.width, network.channels, 3, padding=1),
    ]
    for module, layer in zip((linear, *convolutions), ("0", "1", "2"), strict=True):
        module.weight.data = weights[f"{layer}.weight"].clone()
        module.bias.data = weights[f"{layer}.bias"].clone()
    side = network.size // 4
    return nn.Sequential(
        *(linear, nn.Unflatten(1, (network.width, side, side))),
        *(norms[0], nn.ReLU(), nn.Upsample(scale_factor=2), convolutions[0]),
        *(norms[1], nn.ReLU(), nn.Upsample(scale_factor=2), convolutions[1], nn.Tanh()),
    ).double()


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 12), (1, 28), (3, 32)])
def test_the_generator_against_modules(channels, size):
    network = gan.Generator(channels, size, 3, code=4, width=5)
    weights, statistics = network.initial(generator(0, "g"), torch.float64)
    twin = modules(network, weights)
    code = torch.randn((7, 4), generator=generator(0, "code"), dtype=torch.float64)
    labels = torch.arange(7) % 3
    inputs = torch.cat([code, nn.functional.one_hot(labels, 3).double()], 1)
    made = network.images(weights, statistics, code, labels, training=True)
    assert made.shape == (7, channels, size, size)
    torch.testing.assert_close(made, twin(inputs))
    twin.eval()
    torch.testing.assert_close(network.images(weights, statistics, code, labels), twin(inputs))


def test_the_hinge_loss():
    real, made = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.5, -0.5])
    expected = (0 + 0.5 + 2) / 3 + (0 + 1.5 + 0.5) / 3
    assert float(gan.discriminator_loss(real, made)) == pytest.approx(expected)


def test_a_step_is_one_of_each_network():
    """Adam's first step moves every parameter by the rate against the sign of its gradient."""
    case = problem(sets=1)
    parameters = dataclasses.replace(SMALL, steps=1)
    network = gan.Generator(1, 8, 3, 3, 4)
    members = case.membership[0].nonzero()[:, 0]
    after, _, losses = gan.fit(case, parameters, network, 0, members)
    weights, statistics = network.initial(case.generator("gan generator", 0), torch.float64)
    weights = {name: value.requires_grad_(True) for name, value in weights.items()}
    critic = networks.build("convnet", (1, 8, 8), 3, 4)
    judge = critic.initial(case.generator("gan discriminator", 0), torch.float64)
    judge = {name: value.requires_grad_(True) for name, value in judge.items()}
    rows = members[torch.randint(len(members), (6,), generator=case.generator("gan batch", 0))]
    labels = case.labels[rows]
    code = torch.randn((6, 3), generator=case.generator("gan codes", 0), dtype=torch.float64)
    made = network.images(weights, statistics, code, labels, training=True)
    score = lambda images: critic.logits(judge, images)[torch.arange(6), labels]  # noqa: E731
    loss = (1 - score(case.images[rows])).clamp(min=0).mean() + (1 + score(made.detach())).clamp(min=0).mean()
    assert float(losses[0]) == pytest.approx(float(loss.detach()))
    gradients = torch.autograd.grad(loss, list(judge.values()))
    judge = {
        name: (value - 1e-3 * gradient / (gradient.abs() + 1e-8)).detach()
        for (name, value), gradient in zip(judge.items(), gradients, strict=True)
    }
    gradients = torch.autograd.grad(-score(made).mean(), list(weights.values()))
    for (name, value), gradient in zip(weights.items(), gradients, strict=True):
        expected = value.detach() - 1e-3 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(after[name], expected, rtol=1e-6, atol=1e-8)


def test_it_learns_what_a_class_looks_like():
    labels = torch.arange(60) % 2
    images = torch.zeros((60, 1, 8, 8)) - 0.5
    images[labels == 0, :, :4] = 0.5  # bright above, bright on the left
    images[labels == 1, :, :, :4] = 0.5
    images += 0.05 * torch.randn(images.shape, generator=generator(0, "pool"))
    case = Problem.of(images, labels, None, 5, "noise", 1)
    parameters = gan.GAN(steps=150, batch=16, code=4, width=16, discriminator_width=16, learning_rate=2e-3)
    made = gan.generate(case, parameters).images[0]
    means = torch.stack([images[labels == c].mean(0) for c in range(2)])
    distance = (made[:, :, None] - means).square().mean((3, 4, 5))
    assert distance.argmin(2).tolist() == [[0] * 5, [1] * 5]
    assert float(distance.min(2).values.max()) < 0.3


def test_shapes_determinism_and_no_global_draw():
    case, state = problem(), torch.get_rng_state()
    made = gan.generate(case, SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    assert made.images.shape == (2, 3, 3, 1, 8, 8)
    assert float(made.images.abs().max()) <= 1
    assert made.loss.shape == (2, 2)
    assert made.labels[1].tolist() == [[c] * 3 for c in range(3)]
    assert torch.equal(gan.generate(case, SMALL).images, made.images)
    alone = dataclasses.replace(case, membership=case.membership[1:], names=(1,))
    torch.testing.assert_close(gan.generate(alone, SMALL).images[0], made.images[1])


def test_only_members_are_looked_at():
    case = problem(sets=1)
    before = gan.generate(case, SMALL).images
    case.images[~case.membership[0]] = math.nan
    assert torch.equal(gan.generate(case, SMALL).images, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 1}, "batch 1: allowed are whole numbers from 2 to"),
        ({"steps": -1}, "steps -1: allowed are whole numbers from 0 up"),
        ({"learning_rate": 0.0}, r"learning_rate 0.0: allowed are finite numbers above 0"),
        ({"beta": 1.0}, r"beta 1.0: allowed are numbers from 0, below 1"),
    ],
)
def test_bad_parameters(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_bad_problems():
    with pytest.raises(ValueError, match="init 'real': allowed is 'noise'"):
        gan.generate(dataclasses.replace(problem(), init="real"), SMALL)
    with pytest.raises(ValueError, match="images of 10 pixels: allowed are multiples of 4"):
        gan.generate(problem(size=10), SMALL)
    case = problem(dtype=torch.float32)
    with pytest.raises(DivergenceError, match="gan: step"):
        gan.generate(case, dataclasses.replace(SMALL, steps=4, learning_rate=1e38))


def test_it_is_a_method_of_condense():
    case = problem(sets=1)
    sets = condense(
        case.images, case.labels, method=SMALL, init="noise", ipc=2, generator=generator(0, "sets")
    )
    assert sets.images.shape == (1, 3, 2, 1, 8, 8)
    with pytest.raises(ValueError, match="init 'real' for method 'gan': allowed is noise"):
        condense(case.images, case.labels, method=SMALL, ipc=2, generator=generator(0, "sets"))
