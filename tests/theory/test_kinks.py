"""Distances of two runs: the linear case in closed form, a smooth network, and one with kinks."""

import numpy as np
import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.theory import kinks

DELTAS = (1e-2, 3e-2, 1e-1, 3e-1)


def images(count, seed=0):
    return torch.randn((count, 1, 8, 8), generator=generator(seed, "kinks test"), dtype=torch.float64)


def test_linear_extractors_contract_the_displacement_of_the_mean():
    network, m, step_size = networks.build("linear", (1, 8, 8), 1, 16), 3, 0.2
    found = kinks.distances(network, images(10), images(m, 1), (0.5, 1.0), 4, step_size, seed=0)
    direction = torch.randn((m, 1, 8, 8), generator=generator(0, "kinks direction"), dtype=torch.float64)
    moved = (direction / direction.norm()).flatten(1)
    for step in range(4):
        theta = network.initial(generator(0, "kinks extractor", step), torch.float64, classifier=False)[
            "theta"
        ]
        moved = moved - 2 * step_size / m * (moved.mean(0) @ theta.mT @ theta)
        torch.testing.assert_close(found[1, step + 1], moved.norm(), rtol=1e-9, atol=0)
    torch.testing.assert_close(found[0], found[1] / 2, rtol=1e-9, atol=0)
    assert found[:, 0].tolist() == pytest.approx([0.5, 1.0], rel=1e-12)


def test_smooth_runs_stay_proportional_and_kinked_ones_do_not():
    slopes = {}
    for name, activation in (("smooth", "gelu"), ("kinked", "relu")):
        network = networks.ConvNet(1, 8, 1, 16, activation=activation)
        found = kinks.distances(network, images(20), images(8, 1), DELTAS, 6, 32.0, seed=0)
        slopes[name] = np.polyfit(np.log(DELTAS), found[:, -1].log().numpy(), 1)[0]
        tiny = kinks.distances(network, images(20), images(8, 1), (1e-9, 2e-9), 6, 32.0, seed=0)[:, -1]
        assert float(tiny[1] / tiny[0]) == pytest.approx(2, rel=1e-4)  # no kink is that near
    assert slopes["smooth"] == pytest.approx(1, abs=0.02)
    assert slopes["kinked"] < 0.8


def test_wrong_input():
    network = networks.build("linear", (1, 8, 8), 1, 4)
    with pytest.raises(ValueError, match=r"torch.float32 and torch.float64: allowed are float64"):
        kinks.distances(network, images(2).float(), images(1), DELTAS, 1, 1.0, 0)
    with pytest.raises(ValueError, match=r"deltas \(0.0,\): allowed are numbers above 0"):
        kinks.distances(network, images(2), images(1), (0.0,), 1, 1.0, 0)
