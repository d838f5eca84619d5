"""A task of an experiment: what is sent to whoever does it, what comes back, and who does it here."""

import importlib
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from privacy_for_free.core import devices
from privacy_for_free.lab import memory, provenance, table_text
from privacy_for_free.lab.experiment import Experiment
from privacy_for_free.lab.kept import Keeper

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


@dataclass(frozen=True)
class TaskRequest:
    """A task, and what it takes to do it besides the data set: what is sent to another machine.

    `experiment` is the module that declares it. `checkpoint` is the file the task may keep its state in, None
    for none. `keep` is whether its result is to have the arrays that the experiment declares as `kept`.
    """

    experiment: str
    index: int
    task: Hashable
    parameters: object
    seed: int
    device: str
    checkpoint: Path | None = None
    keep: bool = False


@dataclass(frozen=True)
class TaskResult:
    """A finished task: its rows as CSV lines, what it took, and the arrays to keep, by group and name."""

    index: int
    block: str
    seconds: float
    peak_memory_bytes: int
    kept: Mapping[str, np.ndarray] = field(default_factory=dict)


class Workers(Protocol):
    """Who does the tasks: this process (`LocalWorkers`), or a cluster (`lab.cluster.Cluster`)."""

    def describe(self, experiment: Experiment, device: str, meta: Mapping[str, object]) -> dict[str, object]:
        """Return device, machine and versions of whoever will do a record's tasks; errors, if any, now."""

    def execute(
        self,
        experiment: Experiment,
        dataset: "Dataset",
        requests: Sequence[TaskRequest],
        meta: Mapping[str, object],
    ) -> Iterator[TaskResult]:
        """Do the tasks; yield each when it is done."""


class LocalWorkers:
    """Run tasks in this process, in order."""

    def describe(self, experiment: Experiment, device: str, meta: Mapping[str, object]) -> dict[str, object]:
        """Return the device, the machine and the versions of this process."""
        place = devices.resolve(device)
        return {
            "device": place.type,
            "machine": provenance.machine(place),
            "versions": provenance.versions(),
        }

    def execute(
        self,
        experiment: Experiment,
        dataset: "Dataset",
        requests: Sequence[TaskRequest],
        meta: Mapping[str, object],
    ) -> Iterator[TaskResult]:
        """Do the tasks in their order."""
        for request in requests:
            yield execute(request, experiment, dataset)


def declared(module: str) -> Experiment:
    """Return the experiment that a module declares."""
    return importlib.import_module(module).EXPERIMENT


def execute(request: TaskRequest, experiment: Experiment, dataset: "Dataset") -> TaskResult:
    """Run one task in this process; errors are the experiment's."""
    device = torch.device(request.device)
    own: dict[str, object] = {"checkpoint": request.checkpoint} if request.checkpoint else {}
    if request.keep:
        own["keep"] = Keeper(experiment.kept(request.task, request.parameters, dataset))
    began = time.monotonic()
    with memory.measured(device) as peak:
        rows = experiment.run(request.task, request.parameters, dataset, request.seed, device, **own)
    block = table_text.block(rows, experiment.column_names, request.index, experiment.sparse)
    kept = own["keep"].all() if request.keep else {}
    return TaskResult(request.index, block, time.monotonic() - began, peak.bytes(), kept)
