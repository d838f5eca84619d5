"""What `optimality` releases and what its attackers know."""

from typing import NamedTuple

import torch

from privacy_for_free.attacks import optimality
from privacy_for_free.condensation import Condensed, Problem, Run
from privacy_for_free.condensation.dm_bank import bank_of
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.optimality.design import BANK, INSIDE, SAME_LAW, Design
from privacy_for_free.nets import networks

LEVELS = 255  # steps between the values of 8 bits


class Halves(NamedTuple):
    """The pool's images of one class, 2n x C x H x W, and bool, K x 2n, who is a member of which half."""

    images: torch.Tensor
    membership: torch.Tensor


class Remembering(optimality.Extractors):
    """Extractors through which the pool passes once, for all releases: R x N x features numbers are kept."""

    def features(self, r: int, images: torch.Tensor) -> torch.Tensor:
        """Return extractor r's features of images: B x features, their dtype; the caller may write on it."""
        pool, kept = self.__dict__["kept"]
        if images.data_ptr() != pool.data_ptr() or images.shape != pool.shape:
            return super().features(r, images)
        if r not in kept:
            kept[r] = super().features(r, images)
        return kept[r].clone()


def draw(images: torch.Tensor, design: Design, seed: int) -> Halves:
    """Draw a pool of 2n of a class's images and, independently, random halves of it, the tuned ones last."""
    order = torch.randperm(len(images), generator=generator(seed, "optimality pool"))[: 2 * design.n]
    membership = torch.zeros((design.targets + design.tuned, 2 * design.n), dtype=torch.bool)
    for k, row in enumerate(membership):
        members = torch.randperm(len(row), generator=generator(seed, "optimality half", k))[: design.n]
        row[members] = True
    return Halves(images[order.to(images.device)], membership)


def problem_of(halves: Halves, design: Design, seed: int) -> Problem:
    """Return the condensation of every half: one class, K sets."""
    labels = torch.zeros(len(halves.images), dtype=torch.int64, device=halves.images.device)
    return Problem.of(halves.images, labels, halves.membership, design.ipc, design.init, seed, classes=1)


def condensed(problem: Problem, design: Design, checkpoint: object, progress: bool) -> Condensed:
    """Condense every half, with the settings of the design."""
    return design.dm.condense(problem, Run(checkpoint=checkpoint, progress=progress))


def published(images: torch.Tensor, release: str, box: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return the images as a release shows them.

    images   ... x C x H x W
    release  "as_is", "rounded" or "clipped", with or without "_inside"
    box      lowest and highest real pixel of each channel, C x 1 x 1
    """
    low, high = box
    match release.removesuffix(INSIDE):
        case "rounded":
            step = (high - low) / LEVELS
            return low + ((images - low) / step).round() * step
        case "clipped":
            return images.clamp(low, high)
        case _:
            return images


def box_of(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lowest and the highest pixel of each channel, C x 1 x 1 each, of images N x C x H x W."""
    return images.amin((0, 2, 3))[:, None, None], images.amax((0, 2, 3))[:, None, None]


def known(
    knowledge: str, count: int, problem: Problem, design: Design, seed: int, pool: torch.Tensor
) -> Remembering:
    """Return the extractors of an attacker of the pool's images, the very tensor, on its device."""
    shape, width, device = tuple(problem.images.shape[1:]), design.dm.width, problem.images.device
    network = networks.build(design.dm.extractor, shape, problem.classes, width)
    if knowledge == BANK:
        found = optimality.Extractors(network, *bank_of(problem, design.dm))
        return _remembering(found, pool)
    if knowledge == "mlp":
        network = networks.build("mlp", shape, problem.classes, 8 * width)
    elif knowledge != SAME_LAW:
        network = networks.ConvNet(*shape[:2], problem.classes, width, depth=2, activation="gelu")
    features = None if design.features is None else min(design.features, network.feature_dim)
    found = optimality.Extractors.draw(network, count, seed, design.dm.augmentation, features, device)
    return _remembering(found, pool)


def _remembering(extractors: optimality.Extractors, pool: torch.Tensor) -> Remembering:
    found = Remembering(extractors.network, extractors.weights, extractors.transforms, extractors.chosen)
    found.__dict__["kept"] = (pool, {})
    return found
