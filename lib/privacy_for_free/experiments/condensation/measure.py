"""Test accuracy of networks trained on condensed data, against images a class, method and initialisation.

A task is one synthetic set of the whole training set: condensed, then used to train a ConvNet and an MLP
(and, for KIP, kernel ridge regression), each tested on the whole test set. Every set is trained on with the
same schedule, random subset included; `full`, all training images, gets fewer epochs of far more steps.
Images are standardised with the training set's mean and spread, as published. Seeds are independent: nothing
is shared between tasks.

The laptop profile is a reduced experiment: a narrower ConvNet, fewer steps, smaller batches (see PROFILES).
Its numbers compare methods with each other under one small budget; they are not the published ones.
"""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.condensation import Herding, Run, condense, gradient_matching
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.condensation import kip as kernel_inducing_points
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.nets import augmentation, networks, training
from privacy_for_free.nets.augmentation import STRATEGY

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

FULL = 0  # a task's ipc for `full`
MLP_WIDTH = 128


@dataclass(frozen=True)
class Design:
    """What is condensed and how networks are trained on it. `dsa` with its augmentation removed is dc."""

    cells: tuple[tuple[str, str, int], ...]  # method, init, ipc
    seeds: int
    width: int  # of the ConvNet that is tested
    dm: distribution_matching.DM
    dsa: gradient_matching.GradientMatching
    kip: kernel_inducing_points.KIP
    herding: Herding
    schedule: training.Schedule
    full_schedule: training.Schedule


def _cells(
    ipc: tuple[int, ...], matched: tuple[int, ...], points: tuple[int, ...]
) -> tuple[tuple[str, str, int], ...]:
    """Lay out the grid: DM and the selections at every ipc, DC and DSA at `matched`, KIP at `points`."""
    middle = ipc[len(ipc) // 2]
    return (
        *((method, "real", n) for n in ipc for method in ("random_subset", "herding", "dm")),
        *((method, "real", n) for n in matched for method in ("dc", "dsa")),
        *(("kip", "real", n) for n in points),
        *((method, "noise", middle) for method in ("dm", "dsa", "kip")),
        ("dm", "noise_matched", middle),
        ("full", "real", FULL),
    )


PROFILES = {
    "smoke": Design(
        _cells((1, 2), (1,), (2,)),
        seeds=1,
        width=8,
        dm=distribution_matching.DM(iterations=5, batch_real=16, width=8),
        dsa=gradient_matching.GradientMatching(iterations=2, batch_real=8, width=8, inner_loop=1),
        kip=kernel_inducing_points.KIP(iterations=5, batch_targets=200),
        herding=Herding(width=8),
        schedule=training.Schedule(epochs=10, augmentation=STRATEGY),
        full_schedule=training.Schedule(epochs=1),
    ),
    "laptop": Design(
        _cells((1, 10, 50), (1, 10), (1, 10, 50)),
        seeds=3,
        width=32,
        # The loss sums over the features, a quarter as many here: a rate of 4 is the published step.
        dm=distribution_matching.DM(iterations=400, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dsa=gradient_matching.GradientMatching(
            iterations=50, outer_loop=3, inner_loop=10, batch_real=64, width=32, compile=True
        ),
        kip=kernel_inducing_points.KIP(iterations=100, batch_targets=2000, compile=True),
        herding=Herding(width=32, compile=True),
        schedule=training.Schedule(epochs=300, augmentation=STRATEGY, compile=True),
        full_schedule=training.Schedule(epochs=3, compile=True),
    ),
    "paper": Design(
        _cells((1, 10, 50), (1, 10, 50), (1, 10, 50)),
        seeds=5,
        width=128,
        dm=distribution_matching.DM(compile=True, mixed_precision=True),
        dsa=gradient_matching.GradientMatching(compile=True),
        kip=kernel_inducing_points.KIP(),
        herding=Herding(),
        schedule=training.Schedule.published(STRATEGY, compile=True),
        full_schedule=training.Schedule(epochs=100, augmentation=STRATEGY, compile=True),
    ),
}


class Task(NamedTuple):
    """One synthetic set."""

    method: str
    init: str
    ipc: int
    replicate: int


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return the cells, all with the first seed, then all with the second, and so on."""
    return [Task(*cell, replicate) for replicate in range(parameters.seeds) for cell in parameters.cells]


def settings(parameters: Design, method: str, ipc: int) -> object | None:
    """Return a method's settings; None for those that have none of their own here.

    The loops of DC and DSA are the published ones of the ipc, or the profile's where those are shorter.
    """
    if method not in ("dc", "dsa"):
        return getattr(parameters, method, None)
    limits = (parameters.dsa.outer_loop, parameters.dsa.inner_loop)
    outer, inner = (
        longest if limit is None else min(limit, longest)
        for limit, longest in zip(limits, gradient_matching.loops(ipc), strict=True)
    )
    own = dataclasses.replace(parameters.dsa, outer_loop=outer, inner_loop=inner)
    return dataclasses.replace(own, augmentation="") if method == "dc" else own


def run_task(
    task: Task,
    parameters: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Condense one set and test what learns from it; a row for each kind of learner.

    Where the training of a network diverges, its test accuracy is None: an outcome, not an error.
    `checkpoint` is a file for the state of a condensation that is cut off.
    """
    images, test_images = standardised(dataset, device)
    labels, test_labels = dataset.train_labels.to(device), dataset.test_labels.to(device)
    own, classes = None, len(dataset.classes)
    full = task.method == "full"
    if not full:
        own = augmentation.published_for(settings(parameters, task.method, task.ipc), dataset.name)
    condensed, began = None, time.perf_counter()
    if not full:
        condensed = condense(
            task.method,
            images,
            labels,
            ipc=task.ipc,
            init=task.init,
            parameters=own,
            generator=generator(seed, "condensation experiment", *task),
            classes=classes,
            run=Run(checkpoint=checkpoint, progress=checkpoint is not None),
        )
        images, labels = condensed.flat()
    spent = time.perf_counter() - began
    if labels.is_floating_point() and own.labels == "fixed":  # one-hot less 1 / classes: train on the class
        labels = labels.argmax(1)
    row = {
        "method": task.method,
        "init": task.init,
        "ipc": len(images) // classes if full else task.ipc,
        "ratio": len(images) / len(dataset.train_labels),
        "seed": derived_seed(seed, "condensation task", *task) % 10**6,
        "iterations": getattr(own, "iterations", 0),
        "seconds": spent,
        "images": len(images),
        "loss_first": None,
        "loss_last": None,
    }
    if condensed is not None and condensed.loss.shape[1]:
        row |= {"loss_first": float(condensed.loss[0, 0]), "loss_last": float(condensed.loss[0, -1])}
    rows = []
    schedule = augmentation.published_for(
        parameters.full_schedule if full else parameters.schedule, dataset.name
    )
    for kind, width in (("convnet", parameters.width), ("mlp", MLP_WIDTH)):
        began = time.perf_counter()
        network = networks.build(kind, tuple(images.shape[1:]), classes, width)
        try:
            trained = training.train(network, images, labels, schedule, derived_seed(seed, "train", *task))
        except DivergenceError:
            trained = None
        train_seconds = time.perf_counter() - began
        accuracy = None
        if trained is not None:
            accuracy = training.accuracy(network, trained, test_images, test_labels, schedule.compile)
        rows.append(
            row
            | {"evaluator": kind, "width": width, "epochs": schedule.epochs}
            | {"test_accuracy": accuracy, "train_seconds": train_seconds}
        )
    if not full:
        began = time.perf_counter()
        targets = condensed.labels[0].flatten(0, 1)
        if not targets.is_floating_point():
            targets = torch.nn.functional.one_hot(targets, classes).double() - 1 / classes
        accuracy = kernel_inducing_points.accuracy(test_images, test_labels, images, targets, parameters.kip)
        rows.append(
            row
            | {"evaluator": "kernel", "width": None, "epochs": None}
            | {"test_accuracy": accuracy, "train_seconds": time.perf_counter() - began}
        )
    return rows
