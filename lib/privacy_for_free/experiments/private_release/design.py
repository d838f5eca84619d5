"""Settings and tasks of `private_release`."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.condensation.dm import DM
from privacy_for_free.condensation.gan import GAN
from privacy_for_free.condensation.selection import RandomSubset
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.private import worst_case
from privacy_for_free.private.dp_merf import DPMERF
from privacy_for_free.private.dp_sgd import DPSGD
from privacy_for_free.private.noisy_condensation import LDPDC, NDPDC, Linear, OneRelease

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

ACCURACY, AUDIT = "accuracy", "audit"
CONDENSERS = ("linear", "ldpdc", "ndpdc", "one_release", "dp_merf")
WITHOUT = ("dm", "random_subset", "gan")  # without a guarantee
EVERYTHING = "full"


@dataclass(frozen=True)
class Design:
    """What is released, learnt from, and audited.

    epsilons      of every mechanism; infinity: no noise
    few_epsilons  those at which the numbers of images after the first are released
    ipcs          numbers of synthetic images per class
    seeds         replicates of every release
    width         of the ConvNets that are tested, and of the one that DP-SGD trains
    ldpdc .. dm   settings of each mechanism; private ones have a noise multiplier of 0, epsilon decides it
    schedule, full_schedule   training on released images, and on all of them
    audit_epsilons   proved epsilons of the audited sums
    audit_runs, audit_pilots   counted re-runs on either side, and those that only choose the threshold
    """

    epsilons: tuple[float, ...]
    few_epsilons: tuple[float, ...]
    ipcs: tuple[int, ...]
    seeds: int
    width: int
    ldpdc: LDPDC
    ndpdc: NDPDC
    one_release: OneRelease
    dp_merf: DPMERF
    dp_sgd: DPSGD
    gan: GAN
    dm: DM
    schedule: Schedule
    full_schedule: Schedule
    audit_epsilons: tuple[float, ...] = (1.0, 4.0)
    audit_runs: int = 64
    audit_pilots: int = 16
    linear: Linear = field(default_factory=lambda: Linear(0.0))

    def settings(self, mechanism: str) -> object:
        """Return the settings of a mechanism that releases images, by its name."""
        return {
            "linear": self.linear,
            "ldpdc": self.ldpdc,
            "ndpdc": self.ndpdc,
            "one_release": self.one_release,
            "dp_merf": self.dp_merf,
            "dm": self.dm,
            "random_subset": RandomSubset(),
            "gan": self.gan,
        }[mechanism]


class Task(NamedTuple):
    """All releases of one mechanism under one seed, or its audits."""

    kind: str
    mechanism: str
    replicate: int


class Cell(NamedTuple):
    """One release of a mechanism: images per class (0 for those that release none), epsilon, initialisation.

    Its text enters the seed of what learns from it.
    """

    ipc: int
    epsilon: float
    init: str


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return the audits, then all mechanisms with the first seed, and so on.

    ValueError where the smallest class has fewer images than a Poisson sample or a synthetic set asks for.
    """
    smallest = int(torch.bincount(dataset.train_labels, minlength=len(dataset.classes)).min())
    wanted = max(design.ldpdc.sample, design.ndpdc.sample, *design.ipcs)
    if wanted > smallest:
        raise ValueError(
            f"{wanted} images of a class: {dataset.name} has {smallest} of its smallest, allowed is that many"
        )
    design.dp_sgd.mechanism(len(dataset.train_labels))
    names = (*CONDENSERS, "dp_sgd", *WITHOUT, EVERYTHING)
    return [
        *(Task(AUDIT, name, 0) for name in worst_case.MECHANISMS),
        *(Task(ACCURACY, name, replicate) for replicate in range(design.seeds) for name in names),
    ]


def kind(task: Task) -> tuple[str, str]:
    """Return what tells tasks apart that take different ways: the mechanism, released or audited."""
    return task.kind, task.mechanism


def cells(mechanism: str, design: Design) -> list[Cell]:
    """Return a mechanism's releases, in order."""
    first, *rest = design.ipcs
    if mechanism == EVERYTHING:
        return [Cell(0, math.inf, "")]
    if mechanism == "dp_sgd":
        return [Cell(0, epsilon, "") for epsilon in design.epsilons]
    if mechanism == "dm":  # from noise at one size: what the mechanisms with a guarantee must start from
        return [Cell(first, math.inf, "noise"), *(Cell(ipc, math.inf, "real") for ipc in design.ipcs)]
    if mechanism in WITHOUT:
        init = "noise" if mechanism == "gan" else "real"
        return [Cell(ipc, math.inf, init) for ipc in design.ipcs]
    smallest_sets = [Cell(first, epsilon, "noise") for epsilon in design.epsilons]
    return smallest_sets + [Cell(ipc, epsilon, "noise") for ipc in rest for epsilon in design.few_epsilons]
