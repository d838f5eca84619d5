"""The settings of `scaling`, and its tasks: one operation and the variable that it is measured against.

dm_step     a step of distribution matching with the ConvNet, against ipc and against the sets K
training    an epoch of training the ConvNet on m synthetic images, against m
evaluation  the ConvNet's scores of n pool images, against n
lira        online LiRA's scores of all K targets on n examples, against K and n (normals for confidences)
class_mean  the tracing statistic of K releases on n pool images, against n
kip_step    kernel inducing points, one step on `targets` targets, against m; its set-up counts as well
linear_dm   the closed form of linear distribution matching for one class of n images, against n
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.core import validate

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

VARIABLES = {
    "dm_step": ("ipc", "K"),
    "training": ("m",),
    "evaluation": ("n",),
    "lira": ("K", "n"),
    "class_mean": ("n",),
    "kip_step": ("m",),
    "linear_dm": ("n",),
}
MINIMUM_SHADOWS = 6  # so that each example is in, and out of, three models: one target, two for a variance


@dataclass(frozen=True)
class Design:
    """What is measured, and the sizes of what is held fixed meanwhile.

    measured    (operation, variable, sizes): three sizes or more, growing
    n, K, ipc   examples, shadows, synthetic images per class, where they do not vary
    pool        images that distribution matching draws from
    batch_real  real images per class, step and set, of distribution matching
    targets     of a step of kernel inducing points
    width       of the ConvNets
    repeats     timings of each size
    square, block_mib   side of the matrices and size of the block that the ceilings are measured with
    """

    measured: tuple[tuple[str, str, tuple[int, ...]], ...]
    n: int
    K: int
    ipc: int
    pool: int
    batch_real: int
    targets: int
    width: int
    repeats: int
    square: int = 1500
    block_mib: int = 256

    def __post_init__(self) -> None:
        """Refuse what cannot be measured; ValueError names the value and what is allowed."""
        for name in ("n", "ipc", "pool", "batch_real", "targets", "width", "repeats", "square", "block_mib"):
            validate.whole(name, getattr(self, name), 1)
        validate.whole("K", self.K, MINIMUM_SHADOWS)
        if self.K % 2:
            raise ValueError(f"K {self.K}: allowed are even numbers, half of the shadows hold an example")
        for operation, variable, sizes in self.measured:
            validate.one_of("operation", operation, VARIABLES)
            if variable not in VARIABLES[operation]:
                known = ", ".join(VARIABLES[operation])
                raise ValueError(f"variable {variable!r} of {operation}: known are {known}")
            whole = all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
            if not whole or len(sizes) < 3 or min(sizes) < 1 or sorted(set(sizes)) != list(sizes):
                raise ValueError(
                    f"sizes {sizes} of {operation}: allowed are three whole numbers or more, growing, from 1"
                )


class Task(NamedTuple):
    """One operation against one variable."""

    operation: str
    variable: str


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return what is measured; ValueError for a size that the data set, or an operation, does not have."""
    count, classes = len(dataset.train_labels), len(dataset.classes)
    smallest = int(torch.bincount(dataset.train_labels, minlength=classes).min())
    whole, even = classes * smallest, 2 * classes
    limits = {  # of the operations' sizes: the most there are, and what they are multiples of
        ("evaluation", "n"): (count, 1),
        ("class_mean", "n"): (count, 1),
        ("linear_dm", "n"): (smallest, 1),
        ("dm_step", "K"): (math.inf, 2),
        ("lira", "K"): (math.inf, 2),
        ("kip_step", "m"): (math.inf, classes),
    }
    for name, value, most, step in (
        ("pool", design.pool, whole, even),
        ("targets", design.targets, whole, classes),
        *(
            (f"{variable} of {operation}", size, *limits[operation, variable])
            for operation, variable, sizes in design.measured
            if (operation, variable) in limits
            for size in sizes
        ),
    ):
        if value > most or value % step:
            upto = "" if most == math.inf else f" up to {most}, the images of {dataset.name}"
            raise ValueError(f"{name} {value}: allowed are multiples of {step}{upto}")
    for operation, variable, sizes in design.measured:
        if (operation, variable) == ("lira", "K") and sizes[0] < MINIMUM_SHADOWS:
            raise ValueError(f"K of lira {sizes[0]}: allowed are even numbers from {MINIMUM_SHADOWS} up")
    return [Task(operation, variable) for operation, variable, _ in design.measured]


def kind(task: Task) -> Task:
    """Return what tells tasks apart that take different ways through the code: each takes its own."""
    return task
