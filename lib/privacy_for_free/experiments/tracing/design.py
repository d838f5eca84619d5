"""Settings and tasks of `tracing`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.attacks.tracing import LEDOIT_WOLF
from privacy_for_free.condensation.dm import DM

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

MEAN_RELEASE, DM_RELEASE = "mean", "dm"


@dataclass(frozen=True)
class Design:
    """What is released and attacked.

    ns, factors     members per class of the mean release, and sides in pixels of the squares that its images
                    are averaged over
    linear_ns, linear_ms   members and synthetic images per class, where linear distribution matching is run
                    on images pooled by the largest factor
    dm_ns, inits, ipcs, dm   members per class, starts, synthetic images per class and settings of the
                    releases of distribution matching
    shrinkages, dm_shrinkages   what the covariance is shrunken by in attacks on the means, and on the
                    releases of distribution matching: 0 to 1, or "ledoit_wolf"
    targets, dm_targets   K, random halves
    extractors, features   random networks of the mean embedding, and dimensions it is reduced to
    auxiliary       images per class that the disjoint attacker has, at most
    predicted       pool images per class that the predictions average over, at most
    resamples       of the bootstrap
    """

    ns: tuple[int, ...]
    factors: tuple[int, ...]
    linear_ns: tuple[int, ...]
    linear_ms: tuple[int, ...]
    targets: int
    dm_ns: tuple[int, ...]
    ipcs: tuple[int, ...]
    dm: DM
    dm_targets: int
    extractors: int
    features: int
    shrinkages: tuple[float | str, ...] = (1.0, 0.5, 0.1, 0.01, LEDOIT_WOLF)
    dm_shrinkages: tuple[float | str, ...] = (1.0, 0.1, LEDOIT_WOLF)
    inits: tuple[str, ...] = ("noise", "real")
    auxiliary: int = 4000
    predicted: int = 250
    resamples: int = 1000


class Task(NamedTuple):
    """One size: the mean release of images pooled by `factor`, or all releases of distribution matching."""

    method: str
    n: int
    factor: int


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return the sizes that the data set has images for; ValueError where it has them for none.

    A class needs 2 n training images, and 2 more, training or test, for the disjoint attacker.
    """
    classes = len(dataset.classes)
    trained, tested = (
        torch.bincount(labels, minlength=classes) for labels in (dataset.train_labels, dataset.test_labels)
    )
    most = min(int(trained.min()) // 2, (int((trained + tested).min()) - 2) // 2)
    sizes = [Task(MEAN_RELEASE, n, factor) for n in design.ns for factor in design.factors if n <= most]
    sizes += [Task(DM_RELEASE, n, 1) for n in design.dm_ns if n <= most]
    if not sizes:
        raise ValueError(
            f"n {design.ns}: {dataset.name} has images for up to {most} members per class, and as many others"
        )
    return sizes


def kind(task: Task) -> str:
    """Return what tells tasks apart that take different ways through the code: the release."""
    return task.method
