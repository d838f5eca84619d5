"""Shifts by hand, gradients one network at a time, the smooth extractor's bounds, and answers of networks."""

import numpy as np
import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks, training
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.theory import shift, stability


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed, "test shift"), dtype=torch.float64)


def test_distances_by_hand():
    start = torch.zeros(2, 1, 1, 2)
    whole, without = start.clone(), start.clone()
    whole[0, 0, 0] = torch.tensor([3.0, 4.0])
    without[1, 0, 0] = torch.tensor([0.0, 12.0])
    assert shift.shift(whole, without, start) == (13.0, 8.5, 12.0, 2.5)


@pytest.fixture
def moved():
    real, synthetic = normal(5, 1, 8, 8), normal(2, 1, 8, 8, seed=1)
    direction = normal(2, 1, 8, 8, seed=2)
    return real, synthetic, direction / direction.norm()


def test_gradient_changes_are_those_of_the_mean_loss(moved):
    real, synthetic, direction = moved
    network = networks.ConvNet(1, 8, 1, 3, activation="gelu")
    weights = [
        network.initial(generator(index, "weights"), torch.float64, classifier=False) for index in range(2)
    ]
    found = list(
        shift.gradient_changes(network, iter(weights), real, synthetic, direction, (0.1, 1.0), (1, 2))
    )
    assert [(row.networks, row.delta) for row in found] == [(1, 0.1), (1, 1.0), (2, 0.1), (2, 1.0)]

    def gradient(count, delta):
        at = (synthetic + delta * direction).requires_grad_(True)
        losses = [
            (network.features(theta, real).mean(0) - network.features(theta, at).mean(0)).square().sum()
            for theta in weights[:count]
        ]
        return torch.autograd.grad(sum(losses) / count, at)[0]

    for row in found:
        still = gradient(row.networks, 0.0)
        assert row.gradient == pytest.approx(float(still.norm()), rel=1e-9)
        change = gradient(row.networks, row.delta) - still
        assert row.change == pytest.approx(float(change.norm()), rel=1e-9)


def test_linear_extractors_have_a_gradient_that_changes_in_proportion(moved):
    network = networks.build("linear", (1, 8, 8), 1, 16)
    weights = [network.initial(generator(0, "weights"), torch.float64, classifier=False)]
    found = list(shift.gradient_changes(network, weights, *moved, (0.01, 1.0), (1,)))
    assert found[1].change == pytest.approx(100 * found[0].change, rel=1e-9)


@pytest.fixture(scope="module")
def extractor():
    return stability.smooth_extractor(4, 16, 6, generator(0, "extractor"))


def test_smooth_shift_is_that_of_two_descents_with_their_bounds(extractor):
    real, start, step_size = normal(30, 6), normal(2, 6, seed=1), 1.0
    mean, others = real.clone(), torch.cat([real[:3], real[4:]])
    for after in shift.smooth_shift(extractor, real, 3, start, (2, 7), step_size):
        for row, images in zip(after.sets, (mean, others), strict=True):
            path = stability.descend(extractor, extractor(images).mean(0), start, after.steps, step_size)
            torch.testing.assert_close(row, path[-1], rtol=1e-9, atol=1e-12)
        gap = float((after.sets[0] - after.sets[1]).norm())
        assert 0 < gap <= after.bound * (1 + 1e-9)
        assert after.bound < after.bound_proved
        bound = stability.stability_bound(after.c, 30, after.Lambda, step_size, after.steps)
        assert after.bound == pytest.approx(bound)


def test_minimum_shift_is_predicted_to_first_order(extractor):
    errors = []
    for copies in (4, 16):
        real = torch.cat([normal(1, 6, seed=3), normal(20, 6, seed=4).repeat(copies, 1)])
        at = shift.minimum_shift(extractor, real, 0, normal(1, 6, seed=5))
        gap = float((at.sets[0] - at.sets[1]).norm())
        errors.append(abs(gap / at.predicted - 1))
        assert at.mu > 0
        assert at.predicted <= at.bound * (1 + 1e-9)
        assert at.bound == pytest.approx(at.c / (at.mu * len(real)))
    assert errors[1] < errors[0] / 2 < 0.1


def test_margins_are_differences_of_the_trained_logits():
    network, schedule = networks.ConvNet(1, 8, 2, 4), Schedule(epochs=2)
    one, other, tests = (normal(2, 1, 8, 8, seed=seed).float() for seed in range(3))
    found = shift.margins(network, one, other, tests, schedule, 5, 0)
    labels = torch.tensor([0, 0, 1, 1])
    trained = training.train(network, torch.cat([one, other]), labels, schedule, 5, 0)
    logits = network.logits(trained, tests).double()
    torch.testing.assert_close(found, logits[:, 0] - logits[:, 1], rtol=1e-5, atol=1e-6)
    assert torch.equal(shift.margins(network, one, other, tests, schedule, 5, 0), found)
    assert not torch.equal(shift.margins(network, one, other, tests, schedule, 5, 1), found)


def test_output_change_by_hand():
    whole, without = torch.tensor([0.0, 2.0]).double(), torch.tensor([3.0, -2.0]).double()
    found = shift.output_change(whole, without, whole + 7)
    assert found.change == pytest.approx(np.sqrt((9 + 16) / 2))
    assert found.reseeded == pytest.approx(7)
    assert found.spread == pytest.approx(np.sqrt(2))
    assert found.probability == pytest.approx(2 / (1 + np.exp(-2)) - 1)  # from 2 to -2
