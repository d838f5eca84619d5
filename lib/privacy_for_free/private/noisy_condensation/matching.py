"""Features in chunks, and gradient descent on the pixels: what both matching methods do."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from privacy_for_free.condensation.loop import Run, descend, finish
from privacy_for_free.condensation.problem import Condensed, Problem, hard_labels, initialise
from privacy_for_free.core.compiling import compiled
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.nets.networks import Network

if TYPE_CHECKING:
    from privacy_for_free.private.noisy_condensation import NDPDC, OneRelease

MEBIBYTE = 2**20


class Features:
    """A kind of extractor, applied to images in chunks that fit the caches."""

    def __init__(self, problem: Problem, parameters: "NDPDC | OneRelease"):
        """Build the network's shape; no weight is drawn."""
        self.network: Network = networks.build(
            parameters.extractor, problem.images.shape[1:], problem.classes, parameters.width
        )
        memory = parameters.memory_mib or (64 if problem.images.device.type == "cpu" else 8192)
        self.chunk = max(1, memory * MEBIBYTE // self.network.activation_bytes(problem.images.dtype))
        self.compiled = parameters.compile
        self._features = compiled(self.network.features, parameters.compile)

    def draw(self, problem: Problem, purpose: str, index: int) -> networks.Weights:
        """Return extractor `index`'s weights."""
        stream = problem.generator(f"{purpose} extractor", index, device=problem.images.device)
        return self.network.initial(stream, problem.images.dtype, classifier=False)

    def __call__(self, theta: networks.Weights, images: torch.Tensor) -> torch.Tensor:
        """Return features N x D of images N x C x H x W, as one batch."""
        if self.compiled:
            images = images.contiguous(memory_format=torch.channels_last)
        return self._features(theta, images)

    def chunked(
        self, theta: networks.Weights, transform: augmentation.Transform | None, images: torch.Tensor
    ) -> torch.Tensor:
        """Return features N x D of any number of images, transformed where there is a transform.

        Compiled, chunks are filled up with copies of their first image, so that all have one shape.
        """
        if len(images) == 0:
            return images.new_zeros((0, self.network.feature_dim))
        found = []
        for part in images.split(self.chunk):
            count = len(part)
            if transform is not None:
                part = augmentation.apply(transform, part)
            if self.compiled and count < self.chunk:
                part = torch.cat([part, part[:1].expand(self.chunk - count, -1, -1, -1)])
            found.append(self(theta, part)[:count])
        return torch.cat(found)


def descend_on(
    method: str,
    problem: Problem,
    parameters: "NDPDC | OneRelease",
    run: Run | None,
    loss_and_gradient: Callable[[int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> Condensed:
    """Descend from noise; loss_and_gradient(step, images): losses (K) and the gradient of their sum."""
    images, initial = initialise(problem)
    images.requires_grad_(True)
    labels = hard_labels(problem.sets, problem.classes, problem.ipc, images.device)
    optimiser = torch.optim.SGD([images], lr=parameters.learning_rate, momentum=parameters.momentum)

    def step(index: int) -> torch.Tensor:
        losses, images.grad = loss_and_gradient(index, images.detach())
        optimiser.step()
        return losses

    run = run or Run()
    outcome = descend(method, problem, parameters, run, images, optimiser, step, parameters.iterations)
    return finish(images, labels, initial, outcome)


def match(
    images: torch.Tensor,
    chunk: int,
    loss: Callable[[torch.Tensor, list[int], slice], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return losses (float64, K) and gradient of a loss that is a sum over classes, some classes at a time.

    images  K x classes x ipc x C x H x W
    chunk   images at a time, rounded to whole classes
    loss    loss(part, classes, rows): part rows x ipc x C x H x W, which wants a gradient; the class of each
            row; and the rows, of K x classes flattened. Returns one loss for each row.
    """
    flat, classes = images.flatten(0, 1), images.shape[1]
    total = len(flat)
    chunks = -(-total // max(1, chunk // images.shape[2]))
    size = -(-total // chunks)
    gradient, losses = torch.empty_like(flat), torch.empty(total, dtype=torch.float64)
    for start in range(0, total, size):
        # The last chunk reaches back so that all have one shape; what it repeats comes out the same.
        first = min(start, total - size)
        rows = slice(first, first + size)
        part = flat[rows].clone().requires_grad_(True)
        found = loss(part, [row % classes for row in range(first, first + size)], rows)
        (gradient[rows],) = torch.autograd.grad(found.sum(), part)
        losses[rows] = found.detach().double().cpu()
    return losses.unflatten(0, images.shape[:2]).sum(1), gradient.unflatten(0, images.shape[:2])


def finite(features: torch.Tensor) -> torch.Tensor:
    """Return synthetic images' features; clipping would hide a divergence, so look for one before it."""
    if not bool(torch.isfinite(features).all()):
        raise DivergenceError(
            "features of synthetic images are not finite: lower the learning rate, or start from another seed"
        )
    return features
