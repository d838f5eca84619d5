"""Settings and tasks of `identification`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


@dataclass(frozen=True)
class Design:
    """What is released and attacked.

    sizes   members per class n, random halves K, and classes, from the first on, that are
            attacked: all there are, if it is more
    bits    of the released means: 64 and 32 are the floats of that size, others a step of 2 / (2^bits - 1)
    mus     Gaussian privacy of noise on them, for images in [-1, 1]: mu is 2 sqrt(d) / n over its spread
    delta   at which epsilon is given
    """

    sizes: tuple[tuple[int, int, int], ...]
    bits: tuple[int, ...] = (64, 32, 16, 12, 10, 8, 6, 4)
    mus: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 10000.0)
    delta: float = 1e-5


class Task(NamedTuple):
    """One size: all releases of its halves and classes."""

    n: int
    halves: int
    classes: int


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return the sizes that the data set has images for; ValueError where it has them for none.

    A class needs 2 n training images.
    """
    classes = len(dataset.classes)
    most = int(torch.bincount(dataset.train_labels, minlength=classes).min()) // 2
    found = [Task(n, halves, min(some, classes)) for n, halves, some in design.sizes if n <= most]
    if not found:
        raise ValueError(
            f"sizes {design.sizes}: {dataset.name} has images for up to {most} members per class, and as "
            "many others"
        )
    return found


def kind(task: Task) -> str:
    """Return what tells tasks apart that take different ways through the code: nothing."""
    return "mean"
