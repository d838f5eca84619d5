"""Settings and tasks of `nonlinear_shift`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.condensation.dm import DM
from privacy_for_free.nets.schedule import Schedule

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

STEPS, MINIMUM = "tanh", "tanh_minimum"  # the smooth extractor: after some steps, and at a minimiser
GRADIENT = "gradient"  # a task of its own, on all extractors that are networks
REMOVED = ("typical", "mislabelled")  # what x is, the image that goes: of the class, or of another one


@dataclass(frozen=True)
class Design:
    """Sizes and settings.

    ns          real images of the class
    extractors  networks, and for each the numbers m of synthetic images; for the smooth one: smooth_ms, at
                the minimiser: minimum_ms
    replicates  pairs of classes, orders of the images, starts and draws of the extractors
    dm          settings; the number of real images per step is that of the class
    stops       numbers of steps after which the shift is measured; the last is dm's
    width, schedule, tests   of the ConvNet that is trained on the synthetic images; test images of each of
                the two classes that it is asked about, at most
    gradient_m, gradient_networks   images, and numbers of networks, where the gradient is tried
    smooth_steps   numbers of steps after which the smooth extractor's shift is measured
    smooth_side    pixels of a side of its images
    smooth_networks, smooth_units   of which it consists, and the units of each
    smooth_rate    its steps are smooth_rate times m
    """

    ns: tuple[int, ...]
    extractors: tuple[tuple[str, tuple[int, ...]], ...]
    replicates: int
    dm: DM
    stops: tuple[int, ...]
    width: int
    schedule: Schedule
    tests: int
    gradient_m: int
    gradient_networks: tuple[int, ...]
    smooth_ms: tuple[int, ...]
    minimum_ms: tuple[int, ...]
    smooth_steps: tuple[int, ...]
    smooth_side: int = 4
    smooth_networks: int = 16
    smooth_units: int = 16
    smooth_rate: float = 0.5

    @property
    def largest_m(self) -> int:
        """The largest number of synthetic images of any task."""
        ms = [m for _, ms in self.extractors for m in ms]
        return max(*ms, self.gradient_m, *self.smooth_ms, *self.minimum_ms)


class Task(NamedTuple):
    """One class, condensed to m images in all the ways there are."""

    extractor: str
    m: int
    replicate: int


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return all extractors and m of the first replicate, then of the next; ValueError for too few images."""
    smallest = int(torch.bincount(dataset.train_labels, minlength=len(dataset.classes)).min())
    minimum = (
        design.largest_m + len(REMOVED) + 1
    )  # a start, what may go, and what takes x's place in the start
    needed = max(*design.ns, minimum)
    if smallest < needed:
        raise ValueError(
            f"{dataset.name}: a class of {smallest} images, allowed are {needed} or more for n up to {needed}"
        )
    if min(design.ns) < minimum:
        raise ValueError(f"n {min(design.ns)}: allowed are {minimum} or more")
    cells = [(extractor, m) for extractor, ms in design.extractors for m in ms]
    cells += [(GRADIENT, design.gradient_m)]
    cells += [(STEPS, m) for m in design.smooth_ms]
    cells += [(MINIMUM, m) for m in design.minimum_ms]
    return [Task(*cell, replicate) for replicate in range(design.replicates) for cell in cells]


def kind(task: Task) -> str:
    """Return what tells tasks apart that take different ways through the code: the extractor."""
    return task.extractor
