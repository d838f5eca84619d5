"""What learns from a release: a ConvNet, ridge regression on pixels, and the nearest class mean."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.secret_start.design import Design
from privacy_for_free.nets import augmentation, networks, training


@dataclass(frozen=True, eq=False)
class Test:
    """The test set, images N x C x H x W in [-1, 1] with labels (int64, N), and its data set's name."""

    images: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    dataset: str


def learnt(
    released: torch.Tensor, kept: float, test: Test, design: Design, network: bool, seed: int
) -> Iterator[dict[str, object]]:
    """Yield a row for each learner of a release.

    released  float64, classes x m x d
    kept      share of their start that the means still have, which is public: below 1 means are divided by
              what they have of the data, 1 - kept
    network   whether a ConvNet learns too
    """
    rows = test.images.flatten(1).double()
    began = time.perf_counter()
    means = released.mean(1) / (1 - kept if kept < 1 else 1.0)
    yield _row("nearest_mean", torch.cdist(rows, means).argmin(1), test, began)
    began = time.perf_counter()
    yield _row("ridge", ridge(released, rows, design.ridge).argmax(1), test, began)
    if network:
        began = time.perf_counter()
        yield _row("convnet", _convnet(released, test, design, seed), test, began)


def ridge(released: torch.Tensor, rows: torch.Tensor, regularisation: float) -> torch.Tensor:
    """Return the class scores (N, classes) of rows (N, d) by ridge regression on released (classes, m, d).

    Targets are one-hot less 1 / classes; pixels are centred by the mean of the release.
    """
    classes, m = released.shape[:2]
    centre = released.mean((0, 1))
    points = released.flatten(0, 1) - centre
    kernel = points @ points.mT
    kernel += regularisation * kernel.diagonal().mean() * torch.eye(len(kernel)).to(kernel)
    targets = torch.eye(classes).to(kernel).repeat_interleave(m, 0) - 1 / classes
    return (rows - centre) @ (points.mT @ torch.linalg.solve(kernel, targets))


def _convnet(released: torch.Tensor, test: Test, design: Design, seed: int) -> torch.Tensor:
    classes, m = released.shape[:2]
    shape = tuple(test.images.shape[1:])
    network = networks.build("convnet", shape, classes, design.width)
    images = released.reshape(-1, *shape).to(test.images.dtype)
    labels = torch.arange(classes, device=images.device).repeat_interleave(m)
    schedule = augmentation.published_for(design.schedule, test.dataset)
    trained = training.train(network, images, labels, schedule, derived_seed(seed, "learn"))
    return training.logits(network, trained, test.images, schedule.compile).argmax(1)


def _row(learner: str, found: torch.Tensor, test: Test, began: float) -> dict[str, object]:
    accuracy = float((found == test.labels).double().mean())
    return {"learner": learner, "test_accuracy": accuracy, "seconds": time.perf_counter() - began}
