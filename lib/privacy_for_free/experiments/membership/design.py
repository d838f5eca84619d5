"""What is released, learnt from and attacked: the settings of `membership`, and its tasks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from privacy_for_free import shadows
from privacy_for_free.condensation.dm import DM
from privacy_for_free.condensation.gradient_matching import GradientMatching
from privacy_for_free.condensation.kip import KIP
from privacy_for_free.nets.schedule import Schedule

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

FULL = 0.0  # a task's ratio for `full`, networks trained on all of a half
BASELINE = "random_subset"  # the method that the others are compared with


@dataclass(frozen=True)
class Design:
    """What is released, learnt from and attacked.

    pool        number of images, half of them members of each shadow
    shadows     K, the number of halves
    fewer       smaller numbers of shadows, with which the networks are attacked as well
    cells       (method, init, ratio m / n, shadows) of each release; those of one ratio are one task
    width       channels of the ConvNet that is attacked
    dm, dsa, kip   settings of the methods
    schedule    training on a release
    full_schedule   training on all of a half
    queries     what a network is asked about each image, of `shadows.QUERIES`
    every       thresholds are chosen on one pool image in `every`, and on those that a release started from
    resamples   of the bootstrap over targets and images
    """

    pool: int
    shadows: int
    fewer: tuple[int, ...]
    cells: tuple[tuple[str, str, float, int], ...]
    width: int
    dm: DM
    dsa: GradientMatching
    kip: KIP
    schedule: Schedule
    full_schedule: Schedule
    queries: tuple[str, ...] = ("identity",)
    every: int = 1
    resamples: int = 1000


class Task(NamedTuple):
    """All releases of one size: ratio is m / n, FULL for networks trained on all of a half."""

    ratio: float


class Cell(NamedTuple):
    """One release: K sets, and what networks trained on them say of the pool."""

    method: str
    init: str
    ratio: float
    shadows: int


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return a task for each ratio, in the order of the cells.

    ValueError where the data set is too small for the pool, and for a ratio that is not a whole number of
    images per class.
    """
    shadows.check_pool(dataset.train_labels, design.pool)
    for _, _, ratio, _ in design.cells:
        images_per_class(ratio, design, len(dataset.classes))
    return [Task(ratio) for ratio in dict.fromkeys(ratio for _, _, ratio, _ in design.cells)]


def kind(task: Task) -> float:
    """Return the ratio: which methods there are differs between the sizes of a release."""
    return task.ratio


def cells(task: Task, design: Design) -> list[Cell]:
    """Return the releases of a task's size, in the order of the design."""
    return [Cell(*cell) for cell in design.cells if cell[2] == task.ratio]


def images_per_class(ratio: float, design: Design, classes: int) -> int:
    """Return the ipc of a ratio m / n, 0 for FULL; ValueError where that is not a whole number."""
    exact = ratio * design.pool / 2 / classes
    if ratio != FULL and (round(exact) < 1 or abs(exact - round(exact)) > 1e-9):
        raise ValueError(f"ratio {ratio}: {exact:g} images per class, allowed are whole numbers from 1 up")
    return round(exact)
