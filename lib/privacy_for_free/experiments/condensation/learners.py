"""What learns from the sets of `condensation`: two networks, and kernel ridge regression."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from privacy_for_free.condensation import Condensed
from privacy_for_free.condensation import kip as kernel_inducing_points
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.condensation.design import Task
from privacy_for_free.nets import networks, training
from privacy_for_free.nets.schedule import Schedule

MLP_WIDTH = 128


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a task's learners learn from.

    images      float32, M x C x H x W
    labels      int64, M; or of the images' dtype, M x classes, where they were learnt
    condensed   what the method returned, None for all training images
    iterations, seconds   of the condensation
    """

    images: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    condensed: Condensed | None = None
    iterations: int = 0
    seconds: float = 0.0


def trained_networks(
    task: Task,
    width: int,
    schedule: Schedule,
    chosen: TrainingSet,
    test: tuple[torch.Tensor, torch.Tensor],
    classes: int,
    seed: int,
) -> Iterator[dict[str, object]]:
    """Train a ConvNet and an MLP on a set and test them; yield a row each."""
    for evaluator, its_width in (("convnet", width), ("mlp", MLP_WIDTH)):
        began, accuracy = time.perf_counter(), None
        network = networks.build(evaluator, tuple(chosen.images.shape[1:]), classes, its_width)
        try:
            weights = training.train(
                network, chosen.images, chosen.labels, schedule, derived_seed(seed, "train", *task)
            )
        except DivergenceError:
            weights = None
        seconds = time.perf_counter() - began
        if weights is not None:
            accuracy = training.accuracy(network, weights, *test, schedule.compile)
        yield {
            "evaluator": evaluator,
            "width": its_width,
            "epochs": schedule.epochs,
            "test_accuracy": accuracy,
            "train_seconds": seconds,
        }


def fitted_kernel(
    settings: kernel_inducing_points.KIP,
    chosen: TrainingSet,
    test: tuple[torch.Tensor, torch.Tensor],
    classes: int,
) -> dict[str, object]:
    """Return the row of kernel ridge regression on a condensed set, with the set's own labels if learnt."""
    began = time.perf_counter()
    targets = chosen.condensed.labels[0].flatten(0, 1)
    if not targets.is_floating_point():
        targets = torch.nn.functional.one_hot(targets, classes).double() - 1 / classes
    accuracy = kernel_inducing_points.accuracy(*test, chosen.images, targets, settings)
    return {
        "evaluator": "kernel",
        "width": None,
        "epochs": None,
        "test_accuracy": accuracy,
        "train_seconds": time.perf_counter() - began,
    }
