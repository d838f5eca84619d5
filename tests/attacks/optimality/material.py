"""Small cases of the optimality attack, in float64."""

from dataclasses import dataclass
from functools import cache

import torch

from privacy_for_free.attacks import optimality
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.nets.networks import ConvNet

SIDE, N, MEMBERS = 8, 12, 6


def images(count: int, purpose: str, side: int = SIDE) -> torch.Tensor:
    return torch.randn((count, 1, side, side), generator=generator(0, purpose), dtype=torch.float64)


def half(purpose: str = "members", count: int = N, members: int = MEMBERS) -> torch.Tensor:
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[torch.randperm(count, generator=generator(0, purpose))[:members]] = True
    return chosen


@dataclass(frozen=True)
class Tanh:
    """A smooth network whose features depend on an image's scale: tanh of random products."""

    channels: int
    size: int
    classes: int
    feature_dim: int = 12

    def activation_bytes(self, dtype: torch.dtype) -> int:
        return 100 * dtype.itemsize

    def initial(self, generator, dtype=torch.float32, classifier=True) -> networks.Weights:
        shape = (self.feature_dim, self.channels * self.size**2)
        return {"weight": torch.randn(shape, generator=generator, dtype=dtype) / self.size}

    def features(self, parameters, images) -> torch.Tensor:
        return torch.tanh(images.flatten(1) @ parameters["weight"].T)


def smooth() -> ConvNet:
    return ConvNet(1, SIDE, 2, width=3, depth=2, activation="gelu")


def drawn(strategy: str = "", count: int = 7, seed: int = 0) -> optimality.Extractors:
    return optimality.Extractors.draw(smooth(), count, seed, strategy)


def linear(count: int = 5, width: int = 9) -> optimality.Extractors:
    return optimality.Extractors.draw(networks.build("linear", (1, SIDE, SIDE), 2, width), count, 0)


def embedding(extractors: optimality.Extractors, r: int):
    """Return phi_r, written out."""
    weights = {name: value.double() for name, value in extractors.weights[r].items()}

    def phi(batch: torch.Tensor) -> torch.Tensor:
        if extractors.transforms is not None:
            batch = augmentation.apply(extractors.transforms[r], batch)
        features = extractors.network.features(weights, batch)
        if extractors.chosen is None:
            return features
        return features[:, extractors.chosen[r]] * (features.shape[1] / len(extractors.chosen[r])) ** 0.5

    return phi


def means(extractors, pool, b, members) -> list[torch.Tensor]:
    """Return the sum of each extractor's features, weighted by b, over the number of members."""
    return [(b @ embedding(extractors, r)(pool)) / members for r in range(len(extractors))]


def distance(extractors, wanted, released) -> torch.Tensor:
    """Return the loss of distribution matching as it is written, with a history."""
    gaps = (target - embedding(extractors, r)(released).mean(0) for r, target in enumerate(wanted))
    return sum(gap.square().sum() for gap in gaps) / len(extractors)


def naive(extractors, pool, released, members) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A and c by automatic differentiation of the loss itself."""
    released = released.clone().requires_grad_(True)

    def half_gradient(b):
        value = distance(extractors, means(extractors, pool, b, members), released)
        return -torch.autograd.grad(value, released)[0].flatten() / 2

    c = -half_gradient(torch.zeros(len(pool), dtype=torch.float64))
    return torch.stack([half_gradient(unit) + c for unit in torch.eye(len(pool), dtype=torch.float64)], 1), c


@cache
def planted():
    """Return extractors, pool, members and images at which the loss has no gradient and is not 0."""
    extractors = optimality.Extractors.draw(Tanh(1, 4, 2), 4, 0)
    pool, members = images(N, "pool", 4), half()
    wanted = means(extractors, pool, members.double(), MEMBERS)
    released = images(2, "start", 4).requires_grad_(True)
    optimiser = torch.optim.LBFGS([released], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        value = distance(extractors, wanted, released)
        value.backward()
        return value

    optimiser.step(closure)
    for _ in range(3):  # Newton's method for the last digits
        value = distance(extractors, wanted, released)
        (gradient,) = torch.autograd.grad(value, released, create_graph=True)
        rows = [torch.autograd.grad(one, released, retain_graph=True)[0] for one in gradient.flatten()]
        step = torch.linalg.solve(torch.stack([row.flatten() for row in rows]), gradient.flatten())
        released = (released - step.reshape(released.shape)).detach().requires_grad_(True)
    assert float(gradient.detach().abs().max()) < 1e-14
    assert float(value.detach()) > 1e-4
    return extractors, pool, members, released.detach()
