"""DP-MERF: features, one release, and a generator that follows it."""

import dataclasses
import math

import pytest
import torch
from scipy import stats
from torch import nn

from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.randomness import generator
from privacy_for_free.private import dp_merf
from privacy_for_free.private.accounting import Mechanism

SMALL = dp_merf.DPMERF(noise_multiplier=0.0, features=40, length_scale=2.0, hidden=(16, 8), batch=20)


def problem(sets=2, ipc=3, classes=3, count=60, size=4, seed=0, dtype=torch.float64):
    images = torch.rand((count, 1, size, size), generator=generator(seed, "pool"), dtype=dtype) * 2 - 1
    membership = torch.rand((sets, count), generator=generator(seed, "halves")) < 0.7
    return Problem.of(images, torch.arange(count) % classes, membership, ipc, "noise", 5, noise="seed")


def test_features_have_norm_1_and_approximate_the_gaussian_kernel():
    case = problem(sets=1)
    parameters = dataclasses.replace(SMALL, features=20_000)
    phi = dp_merf.fourier(case.images, dp_merf.frequencies(case, parameters))
    torch.testing.assert_close(phi.norm(dim=1), torch.ones(60, dtype=torch.float64))
    x = case.images.flatten(1)
    kernel = torch.exp(-torch.cdist(x, x).square() / (2 * 2.0**2))
    # A mean of 10,000 cosines: a standard error of at most .01.
    assert float((phi @ phi.T - kernel).abs().max()) < 0.04


@pytest.mark.parametrize("noise_multiplier", [0.0, 1.5])
def test_the_release_is_the_mean_of_joint_features_plus_noise(noise_multiplier, monkeypatch):
    monkeypatch.setattr(dp_merf, "CHUNK_ROWS", 7)
    case = problem()
    parameters = dataclasses.replace(SMALL, noise_multiplier=noise_multiplier)
    w = dp_merf.frequencies(case, parameters)
    released = dp_merf.release(case, parameters)
    for k in range(2):
        expected = torch.randn((3, 40), generator=case.generator("dp_merf noise", k), dtype=torch.float64) * (
            noise_multiplier
        )
        members = case.membership[k].nonzero()[:, 0].tolist()
        for i in members:
            angles = [float(case.images[i].flatten() @ row) for row in w]
            phi = [math.cos(a) / math.sqrt(20) for a in angles] + [
                math.sin(a) / math.sqrt(20) for a in angles
            ]
            expected[case.labels[i]] += torch.tensor(phi, dtype=torch.float64)
        torch.testing.assert_close(released[k], expected / len(members), rtol=1e-7, atol=1e-10)


def test_replacing_an_example_moves_the_mean_by_at_most_2_over_n():
    """The paper's sensitivity: two joint features of norm 1 are at most 2 apart."""
    case = problem(sets=1)
    membership = torch.ones((1, 60), dtype=torch.bool)
    case = dataclasses.replace(case, membership=membership)
    before = dp_merf.release(case, SMALL)
    for i in range(0, 60, 7):
        images, labels = case.images.clone(), case.labels.clone()
        images[i] = -images[i].sign()
        labels[i] = (labels[i] + i) % 3
        after = dp_merf.release(dataclasses.replace(case, images=images, labels=labels), SMALL)
        assert float((after - before).norm()) <= 2 / 60 * (1 + 1e-9)
    assert SMALL.mechanism(torch.tensor([20, 20, 20]), 1) == Mechanism(0.0, adjacency="replace_one")


def test_the_noise_has_the_stated_spread():
    case = problem(sets=1)
    loud = dataclasses.replace(SMALL, noise_multiplier=3.0, features=400)
    quiet = dataclasses.replace(loud, noise_multiplier=0.0)
    n = int(case.membership.sum())
    noise = (dp_merf.release(case, loud) - dp_merf.release(case, quiet)) * n / 3
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.01
    assert float(noise.std()) == pytest.approx(1, rel=0.07)


def test_default_noise_is_epsilon_1():
    epsilon = dp_merf.DPMERF().mechanism(torch.tensor([6000]), 10).epsilon(1e-5, "analytic")
    assert 0.99 < epsilon <= 1


def test_the_generator_is_the_authors_network():
    case = problem()
    weights, statistics = dp_merf.initial(case, SMALL, 0)
    twin = nn.Sequential(
        *(nn.Linear(5 + 3, 16), nn.BatchNorm1d(16), nn.ReLU()),
        *(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU()),
        *(nn.Linear(8, 16), nn.Tanh()),
    ).double()
    for layer, place in enumerate((0, 3, 6)):
        twin[place].weight.data.copy_(weights[f"{layer}.weight"])
        twin[place].bias.data.copy_(weights[f"{layer}.bias"])
        bound = 1 / math.sqrt(twin[place].in_features)
        assert float(weights[f"{layer}.weight"].detach().abs().max()) <= bound
        assert float(weights[f"{layer}.weight"].detach().std()) == pytest.approx(
            bound / math.sqrt(3), rel=0.2
        )
    code = torch.randn((30, 5), generator=generator(0, "code"), dtype=torch.float64)
    labels = torch.arange(30) % 3
    inputs = torch.cat([code, nn.functional.one_hot(labels, 3).double()], 1)
    made = dp_merf.forward(weights, statistics, code, labels, 3, training=True)
    torch.testing.assert_close(made, twin(inputs))
    twin.eval()
    torch.testing.assert_close(dp_merf.forward(weights, statistics, code, labels, 3), twin(inputs))


def test_the_generator_learns_the_classes_from_the_release():
    """Classes of constant brightness: generated images are nearest to their own class's."""
    levels = torch.tensor([-0.8, 0.0, 0.8])
    labels = torch.arange(300) % 3
    stream = generator(0, "pool")
    images = levels[labels][:, None, None, None] + 0.05 * torch.randn((300, 1, 4, 4), generator=stream)
    case = Problem.of(images, labels, None, 6, "noise", 1, noise="seed")
    parameters = dp_merf.DPMERF(
        noise_multiplier=1.0, features=200, length_scale=2.0, hidden=(32, 16), epochs=40, batch=60
    )
    made = dp_merf.generate(case, parameters)
    brightness = made.images[0].mean((2, 3, 4))
    assert (brightness[:, :, None] - levels).abs().argmin(2).tolist() == [[c] * 6 for c in range(3)]
    assert float(made.loss[0, -1]) < 0.2 * float(made.loss[0, 0])
    assert float(made.images.abs().max()) <= 1


def test_shapes_determinism_and_no_global_draw():
    case, state = problem(), torch.get_rng_state()
    made = dp_merf.generate(case, dataclasses.replace(SMALL, epochs=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert made.images.shape == (2, 3, 3, 1, 4, 4)
    assert made.labels[0].tolist() == [[c] * 3 for c in range(3)]
    assert made.loss.shape == (2, len(made.steps))
    again = dp_merf.generate(case, dataclasses.replace(SMALL, epochs=2))
    assert torch.equal(again.images, made.images)
    alone = dataclasses.replace(case, membership=case.membership[1:], names=(1,))
    torch.testing.assert_close(
        dp_merf.generate(alone, dataclasses.replace(SMALL, epochs=2)).images[0], made.images[1]
    )


def test_the_generator_never_sees_an_image(monkeypatch):
    case = problem()
    released = dp_merf.release(case, SMALL)
    before = dp_merf.generate(case, SMALL)
    case.images.fill_(0.0)
    monkeypatch.setattr(dp_merf, "release", lambda *arguments: released)
    assert torch.equal(dp_merf.generate(case, SMALL).images, before.images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": 3}, "features 3: allowed are even numbers"),
        ({"features": 0}, "features 0: allowed are whole numbers from 2 up"),
        ({"noise_multiplier": -1.0}, r"noise_multiplier -1.0"),
        ({"length_scale": 0.0}, r"length_scale 0.0: allowed are finite numbers above 0"),
        ({"hidden": ()}, r"hidden \(\): allowed are one width or more"),
        ({"batch": 1}, "batch 1: allowed are whole numbers from 2 up"),
    ],
)
def test_bad_parameters(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_bad_problem():
    with pytest.raises(ValueError, match="init 'real': allowed is 'noise'"):
        dp_merf.generate(dataclasses.replace(problem(), init="real"), SMALL)
