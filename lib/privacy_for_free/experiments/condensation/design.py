"""The settings of `condensation`, and its tasks: one synthetic set each."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.condensation import Method, gradient_matching
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.condensation import kip as kernel_inducing_points
from privacy_for_free.condensation.selection import Herding, RandomSubset
from privacy_for_free.core import validate
from privacy_for_free.nets.schedule import Schedule

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

ALL_IMAGES = 0  # a task's ipc for `full`


@dataclass(frozen=True)
class Design:
    """What is condensed and how networks are trained on it.

    cells      (method, init, ipc): how a set is made, where its images start, images per class
    seeds      independent sets of each cell
    width      of the ConvNet that is trained and tested
    dm, dsa, kip, herding   settings of the methods; dsa with its augmentation removed is dc
    schedule, full_schedule   of training on a set, and on all images
    """

    cells: tuple[tuple[str, str, int], ...]
    seeds: int
    width: int
    dm: distribution_matching.DM
    dsa: gradient_matching.GradientMatching
    kip: kernel_inducing_points.KIP
    herding: Herding
    schedule: Schedule
    full_schedule: Schedule

    def settings(self, method: str, ipc: int) -> Method:
        """Return a method's settings.

        The loops of DC and DSA are the published ones of the ipc, or the design's where those are shorter.
        """
        if method not in ("dc", "dsa"):
            return {
                "dm": self.dm,
                "kip": self.kip,
                "herding": self.herding,
                "random_subset": RandomSubset(),
            }[method]
        limits = (self.dsa.outer_loop, self.dsa.inner_loop)
        outer, inner = (
            published if limit is None else min(limit, published)
            for limit, published in zip(limits, gradient_matching.loops(ipc), strict=True)
        )
        settings = dataclasses.replace(self.dsa, outer_loop=outer, inner_loop=inner)
        return dataclasses.replace(settings, augmentation="") if method == "dc" else settings


class Task(NamedTuple):
    """One synthetic set."""

    method: str
    init: str
    ipc: int
    replicate: int


def cells(
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
        ("full", "real", ALL_IMAGES),
    )


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return the cells, all with the first seed, then all with the second, and so on.

    ValueError for a number of seeds below 1, and where a class has fewer images than are asked for.
    """
    validate.whole("seeds", design.seeds, 1)
    fewest = int(torch.bincount(dataset.train_labels, minlength=len(dataset.classes)).min())
    most = max(ipc for _, init, ipc in design.cells if init == "real")
    if most > fewest:
        raise ValueError(f"ipc {most}: a class of {dataset.name} has {fewest} images, allowed are that many")
    return [Task(*cell, replicate) for replicate in range(design.seeds) for cell in design.cells]


def kind(task: Task) -> tuple[str, str, bool]:
    """Return what tells tasks apart that take different ways through the code.

    With one image per class DC and DSA match once per network and train none in between.
    """
    return task.method, task.init, task.ipc == 1
