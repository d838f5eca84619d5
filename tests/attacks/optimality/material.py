"""Small cases of the optimality attack, in float64."""

import torch

from privacy_for_free.attacks import optimality
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.nets.networks import ConvNet

SIDE, N, MEMBERS = 8, 12, 6


def images(count: int, purpose: str, side: int = SIDE) -> torch.Tensor:
    return torch.randn((count, 1, side, side), generator=generator(0, purpose), dtype=torch.float64)


def smooth() -> ConvNet:
    return ConvNet(1, SIDE, 2, width=3, depth=2, activation="gelu")


def drawn(strategy: str = "", count: int = 7, seed: int = 0) -> optimality.Extractors:
    return optimality.Extractors.draw(smooth(), count, seed, strategy)


def linear(count: int = 5, width: int = 9) -> optimality.Extractors:
    return optimality.Extractors.draw(networks.build("linear", (1, SIDE, SIDE), 2, width), count, 0)


def loss(extractors, pool, released, b, members) -> torch.Tensor:
    """Return the loss of distribution matching as it is written, with a history."""
    total = 0.0
    for r in range(len(extractors)):
        weights = {name: value.double() for name, value in extractors.weights[r].items()}

        def phi(batch, r=r, weights=weights):
            if extractors.transforms is not None:
                batch = augmentation.apply(extractors.transforms[r], batch)
            return extractors.network.features(weights, batch)

        gap = (b @ phi(pool)) / members - phi(released).mean(0)
        total = total + gap.square().sum() / len(extractors)
    return total


def naive(extractors, pool, released, members) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A and c by automatic differentiation of the loss itself."""
    released = released.clone().requires_grad_(True)

    def half(b):
        (found,) = torch.autograd.grad(loss(extractors, pool, released, b, members), released)
        return -found.flatten() / 2

    zero = torch.zeros(len(pool), dtype=torch.float64)
    c = -half(zero)
    return torch.stack([half(unit) + c for unit in torch.eye(len(pool), dtype=torch.float64)], 1), c
