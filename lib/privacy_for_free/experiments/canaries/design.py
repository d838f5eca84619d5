"""What is planted, released and attacked: the settings of `canaries`, and its tasks."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from privacy_for_free import shadows
from privacy_for_free.condensation.dm import DM
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.private.dp_sgd import DPSGD

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

CANARIES = "canaries"  # an init of DM: planted members first


@dataclass(frozen=True)
class Design:
    """What is planted, released and attacked.

    pool        number of images, half of them members of each shadow
    planted     images per class of each kind of canary
    shadows     K, the number of halves
    ipc         synthetic images per class
    epsilons    of DP-SGD, infinity for no noise
    width       channels of the ConvNets that are attacked
    dm          settings of distribution matching
    dp_sgd      settings of DP-SGD; its noise is set by each epsilon
    schedule    training on a release
    full_schedule   training on all of a half
    every       thresholds are chosen on one ordinary image in `every`, and on all planted ones
    resamples   of the bootstrap over targets and images
    """

    pool: int
    planted: int
    shadows: int
    ipc: int
    epsilons: tuple[float, ...]
    width: int
    dm: DM
    dp_sgd: DPSGD
    schedule: Schedule
    full_schedule: Schedule
    every: int = 1
    resamples: int = 1000


class Task(NamedTuple):
    """One release of every half: random_subset, dm, dp_sgd or full; init is "" where nothing is condensed."""

    release: str
    init: str
    epsilon: float


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return the releases.

    ValueError where the data set is too small for the pool, and where a class of the pool has no room for the
    planted images: they are a half of it at most.
    """
    shadows.check_pool(dataset.train_labels, design.pool)
    per_class = design.pool // len(dataset.classes)
    if 2 * design.planted > per_class // 2 or design.planted < 1:
        raise ValueError(
            f"planted {design.planted}: allowed are 1 to {per_class // 4}, of {per_class} images per class"
        )
    return [
        Task("random_subset", "real", math.inf),
        *(Task("dm", init, math.inf) for init in ("noise", "real", CANARIES)),
        *(Task("dp_sgd", "", epsilon) for epsilon in design.epsilons),
        Task("full", "", math.inf),
    ]


def kind(task: Task) -> Hashable:
    """Return what tells tasks that take different ways apart: the release, its start, and whether noisy."""
    return task.release, task.init, task.epsilon < math.inf
