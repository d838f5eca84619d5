"""Releases of images: with a guarantee, without one, and what several releases of a task have in common."""

import dataclasses
import time

import torch

from privacy_for_free.condensation import Condensed, Run, condense
from privacy_for_free.condensation.gan import GAN
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.private_release.audits import account
from privacy_for_free.experiments.private_release.design import CONDENSERS, Cell, Design
from privacy_for_free.nets import augmentation
from privacy_for_free.private import calibrated
from privacy_for_free.private.noisy_condensation import (
    ClippedSums,
    OneRelease,
    Settings,
    clipped_feature_sums,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """The training images that one mechanism releases, again and again.

    images   N x C x H x W, in [-1, 1]
    labels   int64, N
    classes  how many there are
    dataset  name of the data set, which decides the published augmentation
    seed     of the task
    state    of the task, kept in its checkpoint: `shared` is what all releases have in common and None before
             the first, `shared_seconds` what it took
    """

    images: torch.Tensor = dataclasses.field(repr=False)
    labels: torch.Tensor = dataclasses.field(repr=False)
    classes: int
    dataset: str
    seed: int
    state: dict[str, object] = dataclasses.field(repr=False)

    def problem(self, ipc: int) -> Problem:
        """Return the problem of a release that starts from no image."""
        return Problem.of(self.images, self.labels, None, ipc, "noise", self.seed, self.classes, noise="seed")


def release(
    mechanism: str, cell: Cell, design: Design, source: Source, run: Run
) -> tuple[Condensed, dict[str, object]]:
    """Make one release; return its set, and the columns that tell how it was made."""
    settings = augmentation.published_for(design.settings(mechanism), source.dataset)
    columns = {}
    if mechanism in CONDENSERS:
        sets, columns = _private(cell, settings, source, run)
    elif mechanism == "gan":
        sets = _generated(cell, settings, max(design.ipcs), source)
    else:
        stream = generator(source.seed, "private_release", *map(str, cell))
        options = {"ipc": cell.ipc, "init": cell.init, "classes": source.classes}
        sets = condense(source.images, source.labels, method=settings, generator=stream, run=run, **options)
    logged = sets.loss.shape[1]  # of the generators every step, and none without steps
    steps = getattr(settings, "iterations", logged) if logged else 0
    return sets, columns | {"seconds": sets.seconds, "iterations": steps}


def _private(cell: Cell, settings: Settings, source: Source, run: Run) -> tuple[Condensed, dict[str, object]]:
    problem, sums, seconds = source.problem(cell.ipc), None, 0.0
    if isinstance(settings, OneRelease):
        sums, seconds = _shared_sums(problem, settings, source.state)
    released = calibrated.release(problem, settings, cell.epsilon, run=run, sums=sums)
    sets = dataclasses.replace(released.sets, seconds=released.sets.seconds + seconds)
    return sets, account(cell.epsilon, released.mechanism, released.epsilons)


def _shared_sums(problem: Problem, settings: OneRelease, state: dict) -> tuple[ClippedSums, float]:
    """Return the clipped sums, the same for every epsilon and size, and the seconds, which count for each."""
    if state["shared"] is None:
        began = time.perf_counter()
        sums = clipped_feature_sums(problem, settings)
        state["shared"] = {"values": sums.values, "key": sums.key}
        state["shared_seconds"] = time.perf_counter() - began
    return ClippedSums(**state["shared"]), state["shared_seconds"]


def _generated(cell: Cell, settings: GAN, most: int, source: Source) -> Condensed:
    """Return the first images of what one trained generator makes; its seconds count for each size."""
    if source.state["shared"] is None:
        sets = settings.condense(source.problem(most))
        source.state["shared"] = {field.name: getattr(sets, field.name) for field in dataclasses.fields(sets)}
    sets = Condensed(**source.state["shared"])
    first = {name: getattr(sets, name)[:, :, : cell.ipc] for name in ("images", "labels", "initial")}
    return dataclasses.replace(sets, **first)
