"""The settings of `linear_dm`, and its tasks: one for each case."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


@dataclass(frozen=True)
class Design:
    """Sizes of the cases, and how much randomness a statistical check may draw.

    pools      sides of the average pooling before images are flattened, pixels
    features   k, dimensions of a feature
    sizes      (n, m): real and synthetic images per class
    normals    normal numbers that a statistical check draws, at most
    chains     independent minibatch chains
    """

    pools: tuple[int, ...]
    features: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    normals: int
    chains: int


class Task(NamedTuple):
    """One case: the side of the pooling, the sizes, and the class of the images."""

    pool: int
    k: int
    n: int
    m: int
    class_index: int


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return the grid of cases; the classes take turns. ValueError where a class has too few images."""
    grid = [(pool, k, n, m) for pool in design.pools for k in design.features for n, m in design.sizes]
    cases = [Task(*case, class_index=index % len(dataset.classes)) for index, case in enumerate(grid)]
    counts = dataset.train_labels.bincount(minlength=len(dataset.classes)).tolist()
    for case in cases:
        if case.n > counts[case.class_index]:
            raise ValueError(
                f"n {case.n}: {dataset.name} has {counts[case.class_index]} training images of class "
                f"{case.class_index}"
            )
    return cases


def kind(task: Task) -> tuple[bool, int]:
    """Return what tells tasks apart that take different ways through the code.

    A single synthetic image has no shape to keep and cannot be recovered from another.
    """
    return task.m == 1, task.pool
