"""The settings of `visual_privacy`, and its tasks: one for each number of synthetic images per class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import image_distance
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.condensation import gradient_matching
from privacy_for_free.condensation import kip as kernel_inducing_points

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

SUBSET, UNSEEN = "random_subset", "unseen"


@dataclass(frozen=True)
class Design:
    """What is condensed and measured.

    pool, sets    images, and K, halves of them
    cells         (method, init, ipc), grouped into tasks by the ipc, the synthetic images per class
    moments       shares of the steps after which the images are looked at
    dm, dsa, kip  settings of the methods
    metrics       of `attacks.image_distance.METRICS`
    optional      leave LPIPS out where its weights are not installed, instead of stopping
    gallery       classes of which a synthetic image of the first set is kept, half of all classes at most
    pictured      metrics whose nearest images are kept with it
    """

    pool: int
    sets: int
    cells: tuple[tuple[str, str, int], ...]
    moments: tuple[float, ...]
    dm: distribution_matching.DM
    dsa: gradient_matching.GradientMatching
    kip: kernel_inducing_points.KIP
    metrics: tuple[str, ...] = image_distance.METRICS
    optional: bool = False
    gallery: int = 2
    pictured: tuple[str, ...] = ("l2", "lpips_vgg")

    def settings(self, method: str) -> object | None:
        """Return the settings of a method, None for a selection."""
        return {"dm": self.dm, "dsa": self.dsa, "kip": self.kip}.get(method)

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics that are measured here: all, or those whose weights are there."""
        return tuple(
            metric for metric in self.metrics if image_distance.available(metric) or not self.optional
        )


class Task(NamedTuple):
    """All releases of one number of images per class."""

    ipc: int


def cells(ipcs: tuple[int, ...]) -> tuple[tuple[str, str, int], ...]:
    """Return the grid: at each ipc a random subset, and the three methods from real images and from noise."""
    methods = tuple((method, init) for method in ("dm", "dsa", "kip") for init in ("real", "noise"))
    return tuple((*cell, ipc) for ipc in ipcs for cell in ((SUBSET, "real"), *methods))


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return a task for each ipc; ValueError where a class has too few images in or outside the pool."""
    shadows.check_pool(dataset.train_labels, design.pool)
    sizes = [Task(ipc) for ipc in dict.fromkeys(cell[2] for cell in design.cells)]
    classes = len(dataset.classes)
    fewest = int(torch.bincount(dataset.train_labels, minlength=classes).min())
    needed = design.pool // classes + design.sets * max(task.ipc for task in sizes)
    if fewest < needed:
        raise ValueError(
            f"a class of {dataset.name} has {fewest} images: {needed} are needed, for the pool and beside it"
        )
    return sizes


def kind(task: Task) -> str:
    """Return what tells tasks apart that take different ways through the code: nothing does."""
    return "ipc"
