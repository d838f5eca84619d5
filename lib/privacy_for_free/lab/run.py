"""Running an experiment into a record: here and in order, or on many machines as they come.

`run` works through an experiment's tasks. A run that was killed goes on with the tasks that are missing, and
its table is bitwise that of a run that was not. Profiles share nothing: a record, partial or not, and a
task's checkpoint are of one profile. This module knows no experiment: `lab.experiment` says what one is.
"""

import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from privacy_for_free.core import devices, progress, validate
from privacy_for_free.core.entrance import own_state
from privacy_for_free.core.paths import given
from privacy_for_free.lab import kept, provenance, settings, table_text
from privacy_for_free.lab.experiment import PROFILES, Experiment
from privacy_for_free.lab.record import FORMAT, Record, RecordError, check_profile
from privacy_for_free.lab.store import Store
from privacy_for_free.lab.tasks import LocalWorkers, TaskRequest, TaskResult, Workers

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

NAME = re.compile(r"[a-z][a-z0-9_]*")


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
    keep: bool | str | os.PathLike = False,
) -> Record:
    """Run an experiment, or as much of it as is missing, and return its record.

    With `results_dir` None the table is kept in memory. Otherwise a complete record that fits is returned
    as it is, a partial one is continued, and one that does not fit raises RecordError, unless `restart`,
    which moves it into the folder superseded/ and begins anew. With `device` "auto" a complete record of
    either device fits; its `machine` says where it was made. `changes` of the profile's settings make a
    record of its own, called `name` (`designed`). `workers` do the tasks; None for this process.

    With `keep` the arrays that the experiment hands back are kept (`lab.kept`), beside the record (True) or
    in a folder of that path. Tasks of a record that is there are done again where their files are missing or
    altered. Their rows have to be the record's, bit for bit, but for measurements: RecordError where they are
    not, on the record's own machine; on another one the sidecar states what differs.

    Raises ValueError for a `results_dir` that is no path, an unknown profile or device, bad changes, a seed
    that is no whole number from 0 up, a data set that is too small, and for `keep` without a `results_dir` or
    with an experiment that hands nothing back, before any work.
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
    folder = _folder(experiment, keep, store, wanted)
    count = len(experiment.tasks(design, dataset))
    if store and store.exists() and not restart:
        found = store.complete(wanted, columns)
        if found and (folder is None or not folder.missing(found.meta, count)):
            return found
    wanted["tasks"] = count
    meta = today = wanted | workers.describe(experiment, device, wanted)
    work = _Work(experiment, dataset, design, workers, shown, folder)
    if folder is not None:
        folder.check_room(kept.size(kept.declared(experiment, design, dataset)))
    if store is None:
        blocks = work.rest(meta, {}, None)
        meta["complete"] = True
        return Record(table_text.frame(table_text.whole(columns, blocks)), meta)
    if store.exists() and not restart:
        store.resume(today, columns)
    with ExitStack() as held:
        held.enter_context(store.locked())
        if folder is not None:
            held.enter_context(folder.locked())
        if restart:
            store.supersede()
        meta, blocks = store.resume(today, columns) if store.exists() else (dict(today), {})
        if not blocks:
            store.write(table_text.whole(columns, blocks), meta)
        if not meta["complete"]:
            blocks = work.rest(meta, blocks, store)
            meta["complete"] = True
            store.write(table_text.whole(columns, blocks), meta)
        if folder is not None:
            meta = work.keep_rest(today, blocks, store)
    return Record(table_text.frame(table_text.whole(columns, blocks)), meta, store.table)


def keep(
    experiment: Experiment,
    record: Record,
    dataset: "Dataset",
    folder: str | os.PathLike | None = None,
    *,
    shown: bool = True,
    workers: Workers | None = None,
) -> Record:
    """Make the files again that a record keeps, those that are missing or altered, and return the record.

    record, dataset   of `lab.store.read`, and the data set it was made from
    folder            for the files; None for the one beside the record

    Errors are those of `run` with `keep`, and ValueError for a record in memory.
    """
    folder = None if folder is None else given("folder", folder)
    if record.path is None:
        raise ValueError("record: allowed is one that is on disk, this one is in memory")
    meta = record.meta
    varies = meta.get("varies") or {"profile": meta["profile"], "changes": None}
    return run(
        experiment,
        dataset,
        varies["profile"],
        seed=meta["seed"],
        device=meta["device"],
        changes=varies["changes"],
        name=meta["profile"] if meta.get("varies") else None,
        results_dir=record.path.parent.parent,
        shown=shown,
        workers=workers,
        keep=True if folder is None else folder,
    )


def _folder(
    experiment: Experiment, keep: object, store: Store | None, meta: Mapping[str, object]
) -> kept.Folder | None:
    """Return where a run keeps files, None for nowhere; ValueError where it can keep none."""
    if keep is False or keep is None:
        return None
    place = None if keep is True else given("keep", keep)
    if experiment.kept is None:
        raise ValueError(f"keep {keep!r}: {experiment.name} hands nothing back that could be kept")
    if store is None:
        raise ValueError(f"keep {keep!r}: allowed with a results_dir, for the digests are in a record")
    return kept.Folder(store.table, meta, place)


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
    folder: kept.Folder | None

    @property
    def _count(self) -> int:
        return len(self.experiment.tasks(self.design, self.dataset))

    def rest(self, meta: dict, blocks: Mapping[int, str], store: Store | None) -> dict[int, str]:
        """Have the tasks done that `blocks` lacks, saving after each; return the blocks of all."""
        blocks, columns = dict(blocks), self.experiment.column_names
        missing = [index for index in range(self._count) if index not in blocks]
        with closing(self._done(meta, missing, store)) as finished:
            for done in finished:
                blocks[done.index] = done.block
                meta["seconds"] = round(meta["seconds"] + done.seconds, 3)
                meta["peak_memory_bytes"] = max(meta["peak_memory_bytes"], done.peak_memory_bytes)
                if self.folder is not None:
                    meta["kept"] = self._kept(meta, done, None, meta["machine"])
                if store is not None:
                    store.write(table_text.whole(columns, blocks), meta)
                    store.forget(done.index)
        return blocks

    def keep_rest(self, today: Mapping, blocks: Mapping[int, str], store: Store) -> dict[str, object]:
        """Do tasks of a complete record again whose files are missing; return its sidecar with them.

        `today` is the sidecar of a record that would be made now.
        """
        (meta, _), columns = store.load(), self.experiment.columns
        measured = [column.name for column in columns if column.measured]
        missing = self.folder.missing(meta, self._count)
        with closing(self._done(today, missing, store)) as finished:
            for done in finished:
                names = self.experiment.column_names
                differs = table_text.difference(blocks[done.index], done.block, names, measured)
                if differs and today["machine"] == meta["machine"]:
                    raise RecordError(
                        f"{store.table}: task {done.index} has other rows now: {differs}; not kept"
                    )
                meta["kept"] = self._kept(meta, done, differs, today["machine"])
                store.state(meta)
                store.forget(done.index)
        return meta

    def _kept(
        self, meta: Mapping[str, object], done: TaskResult, differs: str | None, machine: str
    ) -> dict[str, object]:
        """Write a task's files; return what the sidecar states of all that are kept."""
        entry = {"machine": machine, "differs": differs, "files": self.folder.write(done.kept)}
        return dict(meta.get("kept") or {}) | {str(done.index): entry}

    def _done(self, meta: Mapping, indices: Sequence[int], store: Store | None) -> Iterator[TaskResult]:
        """Have tasks done; yield each when it is."""
        tasks = self.experiment.tasks(self.design, self.dataset)
        requests = [self._request(meta, index, tasks[index], store) for index in indices]
        first, name = len(tasks) - len(requests), self.experiment.name
        with closing(self.workers.execute(self.experiment, self.dataset, requests, meta)) as finished:
            yield from progress.bar(finished, len(tasks), self.shown, name, first, unit="task")

    def _request(self, meta: Mapping, index: int, task: Hashable, store: Store | None) -> TaskRequest:
        keeps = store is not None and self.experiment.resumable
        checkpoint = store.checkpoint(index) if keeps else None
        module, seed, device = self.experiment.module, meta["seed"], meta["device"]
        keep = self.folder is not None
        return TaskRequest(module, index, task, self.design, seed, device, checkpoint, keep)
