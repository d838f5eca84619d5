"""Test accuracy of networks trained on condensed data, against images per class, method and initialisation.

A task is one synthetic set of the whole training set: condensed, then used to train a ConvNet and an MLP
(and kernel ridge regression, KIP's own learner), each tested on the whole test set. Every set is trained on
with the same schedule, random subset included; `full`, all training images, gets fewer epochs of far more
steps. Images are standardised with the training set's mean and spread, as published. Seeds are independent:
nothing is shared between tasks.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.condensation import Method, Run, condense
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.condensation.design import Design, Task
from privacy_for_free.experiments.condensation.learners import (
    TrainingSet,
    fitted_kernel,
    trained_networks,
)
from privacy_for_free.nets import augmentation

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def run(
    task: Task,
    design: Design,
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
    classes, test = len(dataset.classes), (test_images, test_labels)
    if task.method == "full":
        chosen, schedule = all_images(images, labels), design.full_schedule
    else:
        settings = augmentation.published_for(design.settings(task.method, task.ipc), dataset.name)
        chosen = condensed_set(task, settings, images, labels, classes, seed, checkpoint)
        schedule = design.schedule
    schedule = augmentation.published_for(schedule, dataset.name)
    rows = list(trained_networks(task, design.width, schedule, chosen, test, classes, seed))
    if chosen.condensed is not None:
        rows.append(fitted_kernel(design.kip, chosen, test, classes))
    common = set_columns(task, chosen, classes, len(dataset.train_labels), seed)
    return [common | row for row in rows]


def all_images(images: torch.Tensor, labels: torch.Tensor) -> TrainingSet:
    """Return all training images as a set; the seconds are those of looking at the clock twice."""
    began = time.perf_counter()
    return TrainingSet(images, labels, seconds=time.perf_counter() - began)


def condensed_set(
    task: Task,
    settings: Method,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    seed: int,
    checkpoint: Path | None,
) -> TrainingSet:
    """Condense all images to a task's set."""
    began = time.perf_counter()
    condensed = condense(
        images,
        labels,
        method=settings,
        ipc=task.ipc,
        init=task.init,
        generator=generator(seed, "condensation experiment", *task),
        classes=classes,
        run=Run(checkpoint=checkpoint, progress=checkpoint is not None),
    )
    images, labels = condensed.flat()
    seconds = time.perf_counter() - began
    if labels.is_floating_point() and settings.labels == "fixed":
        labels = labels.argmax(1)  # they are one-hot less 1 / classes: train on the class
    return TrainingSet(images, labels, condensed, getattr(settings, "iterations", 0), seconds)


def set_columns(
    task: Task, chosen: TrainingSet, classes: int, training_images: int, seed: int
) -> dict[str, object]:
    """Return the columns that all learners of a set share."""
    loss = torch.zeros((1, 0)) if chosen.condensed is None else chosen.condensed.loss
    first, last = (float(loss[0, 0]), float(loss[0, -1])) if loss.shape[1] else (None, None)
    return {
        "method": task.method,
        "init": task.init,
        "ipc": len(chosen.images) // classes if chosen.condensed is None else task.ipc,
        "ratio": len(chosen.images) / training_images,
        "seed": derived_seed(seed, "condensation task", *task) % 10**6,
        "iterations": chosen.iterations,
        "seconds": chosen.seconds,
        "images": len(chosen.images),
        "loss_first": first,
        "loss_last": last,
    }
