"""Settings and tasks of `secret_start`."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.core import validate
from privacy_for_free.nets.schedule import Schedule

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

SECRET_START, GAUSSIAN_MEAN, RANDOM_SUBSET = "secret_start", "gaussian_mean", "random_subset"
PAIR, TRACING = "pair", "tracing"


@dataclass(frozen=True)
class Design:
    """What is released, learnt from and attacked.

    starts        (m, spread): images per class, and standard deviation of the start's pixels; attacks are on
                  the first
    epsilons      at which there is a release; 0: the start, infinity: the limit
    network_epsilons, few_epsilons   at which a ConvNet learns too, from the first start and from the others
    seeds         releases of each kind
    contraction   rho, by which a step shortens the gap of the means
    width, schedule   of the ConvNets
    ridge         added to the kernel's diagonal, in units of its mean
    attack_epsilons   of the releases that are attacked
    runs          releases of either neighbour, for the optimal attack
    traced, halves   members of the traced class, and random halves of a pool twice as large
    check_steps   steps of the descent that is compared with the closed form
    """

    starts: tuple[tuple[int, float], ...]
    epsilons: tuple[float, ...]
    network_epsilons: tuple[float, ...]
    few_epsilons: tuple[float, ...]
    seeds: int
    width: int
    schedule: Schedule
    attack_epsilons: tuple[float, ...]
    runs: int
    traced: int
    halves: int
    check_steps: int
    contraction: float = 0.99
    ridge: float = 1.0


class Task(NamedTuple):
    """All releases of one kind, of one start and seed, or one kind of attack."""

    kind: str
    m: int
    spread: float
    replicate: int


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return the attacks, then all releases with the first seed, and so on; ValueError for too few images."""
    validate.whole("seeds", design.seeds, 1)
    smallest = fewest(dataset)
    wanted = max(2 * design.traced, *(m for m, _ in design.starts))
    if wanted > smallest:
        raise ValueError(
            f"{wanted} images of a class: {dataset.name} has {smallest} of its smallest, allowed is that many"
        )
    first, spread = design.starts[0]
    listed = [Task(PAIR, first, spread, 0), Task(TRACING, first, spread, 0)]
    for replicate in range(design.seeds):
        listed += [Task(SECRET_START, *start, replicate) for start in design.starts]
        listed += [Task(GAUSSIAN_MEAN, 1, 0.0, replicate), Task(RANDOM_SUBSET, first, 0.0, replicate)]
    return listed


def kind(task: Task) -> tuple[str, bool]:
    """Return what tells tasks apart that take different ways through the code."""
    return task.kind, task.m == 1


def fewest(dataset: "Dataset") -> int:
    """Return the number of training images of the smallest class."""
    return int(torch.bincount(dataset.train_labels, minlength=len(dataset.classes)).min())


def bound(d: int) -> float:
    """Return the norm that no image of d pixels in [-1, 1] exceeds."""
    return math.sqrt(d)
