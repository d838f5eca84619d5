"""Running an experiment into a record: here and in order, or on many machines as they come.

`run` works through an experiment's tasks. A run that was killed goes on with the tasks that are missing, and
its table is bitwise that of a run that was not. Profiles share nothing: a record, partial or not, and a
task's checkpoint are of one profile. This module knows no experiment: `lab.experiment` says what one is.
"""

import importlib
import os
import re
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from privacy_for_free.core import devices, progress, validate
from privacy_for_free.core.entrance import own_state
from privacy_for_free.core.paths import given
from privacy_for_free.lab import memory, provenance, settings, table_text
from privacy_for_free.lab.experiment import PROFILES, Experiment
from privacy_for_free.lab.record import FORMAT, Record, check_profile
from privacy_for_free.lab.store import Store

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class TaskRequest:
    """A task, and what it takes to do it besides the data set: what is sent to another machine.

    `experiment` is the module that declares it. `checkpoint` is the file the task may keep its state in, None
    for none.
    """

    experiment: str
    index: int
    task: Hashable
    parameters: object
    seed: int
    device: str
    checkpoint: Path | None = None


@dataclass(frozen=True)
class TaskResult:
    """A finished task: its rows as CSV lines, and what it took."""

    index: int
    block: str
    seconds: float
    peak_memory_bytes: int


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
    own = {"checkpoint": request.checkpoint} if request.checkpoint else {}
    began = time.monotonic()
    with memory.measured(device) as peak:
        rows = experiment.run(request.task, request.parameters, dataset, request.seed, device, **own)
    block = table_text.block(rows, experiment.column_names, request.index, experiment.sparse)
    return TaskResult(request.index, block, time.monotonic() - began, peak.bytes())


def designed(
    experiment: Experiment,
    profile: str,
    changes: Mapping[str, object] | None = None,
    name: str | None = None,
) -> tuple[object, str]:
    """Return the settings of a run, and the name of its profile in records.

    Without changes these are a profile's own. With some the name is `name`, or is made of the profile and the
    changes, and the experiment adapts what follows from them. ValueError for what cannot be set, and for a
    name that is no word of small letters, is a profile's, or is given without changes.
    """
    if not isinstance(experiment, Experiment):
        raise ValueError(
            f"experiment {experiment!r}: allowed is what privacy_for_free.experiments.get returns"
        )
    design = experiment.profiles[check_profile(profile)]
    if not isinstance(changes, Mapping | None):
        raise ValueError(f"changes {changes!r}: allowed is a mapping of names to values")
    if not changes:
        if name is not None:
            raise ValueError(f"name {name!r} for the profile {profile} as it is: allowed with changes only")
        return design, profile
    name = name or f"{profile}_{settings.name_of(changes)}"
    if not isinstance(name, str) or name in PROFILES or not NAME.fullmatch(name):
        known = ", ".join(PROFILES)
        raise ValueError(f"name {name!r}: allowed are small letters, digits and _, and none of {known}")
    changed = settings.change(design, changes)
    return experiment.adapt(design, changed) if experiment.adapt else changed, name


@own_state()
def run(
    experiment: Experiment,
    dataset: "Dataset",
    profile: str = "smoke",
    *,
    seed: int = 0,
    device: str = "auto",
    changes: Mapping[str, object] | None = None,
    name: str | None = None,
    results_dir: str | os.PathLike | None = None,
    restart: bool = False,
    shown: bool = True,
    workers: Workers | None = None,
) -> Record:
    """Run an experiment, or as much of it as is missing, and return its record.

    With `results_dir` None the table is kept in memory. Otherwise a complete record that fits is returned
    as it is, a partial one is continued, and one that does not fit raises RecordError, unless `restart`,
    which moves it into the folder superseded/ and begins anew. With `device` "auto" a complete record of
    either device fits; its `machine` says where it was made. `changes` of the profile's settings make a
    record of its own, called `name` (`designed`). `workers` do the tasks; None for this process. Raises
    ValueError for a `results_dir` that is no path, an unknown profile or device, bad changes, a seed that is
    no whole number from 0 up, and a data set that is too small, before any work.
    """
    results_dir = None if results_dir is None else given("results_dir", results_dir)
    workers = workers or LocalWorkers()
    based_on = profile
    design, profile = designed(experiment, profile, changes, name)
    wanted = _new_sidecar(experiment, dataset, design, profile, seed, device)
    if changes:
        wanted["varies"] = {"profile": based_on, "changes": settings.plain(changes)}
    columns = experiment.column_names
    store = None
    if results_dir is not None:
        store = Store(results_dir, experiment.name, dataset.name, profile, design)
    if store and store.exists() and not restart and (found := store.complete(wanted, columns)):
        return found
    wanted["tasks"] = len(experiment.tasks(design, dataset))
    meta = wanted | workers.describe(experiment, device, wanted)
    work = _Work(experiment, dataset, design, workers, shown)
    if store is None:
        blocks = work.rest(meta, {}, None)
        meta["complete"] = True
        return Record(table_text.frame(table_text.whole(columns, blocks)), meta)
    if store.exists() and not restart:
        store.resume(meta, columns)
    with store.locked():
        if restart:
            store.supersede()
        meta, blocks = store.resume(meta, columns) if store.exists() else (meta, {})
        if not blocks:
            store.write(table_text.whole(columns, blocks), meta)
        if not meta["complete"]:
            blocks = work.rest(meta, blocks, store)
            meta["complete"] = True
            store.write(table_text.whole(columns, blocks), meta)
    return Record(table_text.frame(table_text.whole(columns, blocks)), meta, store.table)


@dataclass(frozen=True)
class Progress:
    """How far a record is: tasks in all, tasks finished, and the seconds these took."""

    tasks: int
    finished: int
    seconds: float
    complete: bool


def progress_of(
    experiment: Experiment,
    dataset: "Dataset",
    profile: str,
    *,
    seed: int = 0,
    device: str = "auto",
    results_dir: str | os.PathLike | None,
    workers: Workers | None = None,
) -> Progress:
    """Return how far a record is, without running anything; errors are those that `run` would raise.

    With `results_dir` None there is no record, and nothing is finished.
    """
    folder = None if results_dir is None else given("results_dir", results_dir)
    design, profile = designed(experiment, profile)
    wanted = _new_sidecar(experiment, dataset, design, profile, seed, device)
    wanted["tasks"] = tasks = len(experiment.tasks(design, dataset))
    store = None
    if folder is not None:
        store = Store(folder, experiment.name, dataset.name, profile, design)
    if store is None or not store.exists():
        return Progress(tasks, 0, 0.0, complete=False)
    if found := store.complete(wanted, experiment.column_names):
        return Progress(tasks, tasks, found.meta["seconds"], complete=True)
    place = (workers or LocalWorkers()).describe(experiment, device, wanted)
    meta, blocks = store.resume(wanted | place, experiment.column_names)
    return Progress(tasks, len(blocks), meta["seconds"], complete=False)


def _new_sidecar(
    experiment: Experiment, dataset: "Dataset", design: object, profile: str, seed: int, device: str
) -> dict[str, object]:
    """Return the sidecar of a record that is to be made, but for where; ValueError for bad arguments."""
    seed = validate.whole("seed", seed)
    if not hasattr(dataset, "sha256"):
        raise ValueError(f"dataset {dataset!r}: allowed is what privacy_for_free.data.load returns")
    if device not in devices.KNOWN:
        devices.resolve(device)
    return {
        "format": FORMAT,
        "experiment": experiment.name,
        "dataset": dataset.name,
        "profile": profile,
        "parameters": settings.as_json(design),
        "seed": seed,
        "complete": False,
        "device": device,
        "machine": None,
        "versions": None,
        "commit": provenance.commit(),
        "data_sha256": provenance.data_sha256(dataset),
        **provenance.source(experiment),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "peak_memory_bytes": 0,
    }


@dataclass(frozen=True)
class _Work:
    """What all tasks of a run have in common."""

    experiment: Experiment
    dataset: "Dataset"
    design: object
    workers: Workers
    shown: bool

    def rest(self, meta: dict, blocks: Mapping[int, str], store: Store | None) -> dict[int, str]:
        """Have the tasks done that `blocks` lacks, saving after each; return the blocks of all."""
        blocks, columns = dict(blocks), self.experiment.column_names
        tasks = self.experiment.tasks(self.design, self.dataset)
        requests = [self._request(meta, *task, store) for task in enumerate(tasks) if task[0] not in blocks]
        first = len(tasks) - len(requests)
        with closing(self.workers.execute(self.experiment, self.dataset, requests, meta)) as finished:
            for done in progress.bar(
                finished, len(tasks), self.shown, self.experiment.name, first, unit="task"
            ):
                blocks[done.index] = done.block
                meta["seconds"] = round(meta["seconds"] + done.seconds, 3)
                meta["peak_memory_bytes"] = max(meta["peak_memory_bytes"], done.peak_memory_bytes)
                if store is not None:
                    store.write(table_text.whole(columns, blocks), meta)
                    store.forget(done.index)
        return blocks

    def _request(self, meta: Mapping, index: int, task: Hashable, store: Store | None) -> TaskRequest:
        keeps = store is not None and self.experiment.resumable
        checkpoint = store.checkpoint(index) if keeps else None
        module, seed, device = self.experiment.module, meta["seed"], meta["device"]
        return TaskRequest(module, index, task, self.design, seed, device, checkpoint)
