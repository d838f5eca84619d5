"""Results on disk: a tidy CSV with its provenance beside it, written so that no kill can spoil it.

`run` works through an experiment's tasks, here and in order or on many machines (`privacy_for_free.cluster`)
as they come. After each task the whole table so far is written aside, flushed and renamed over the old one:
at any moment the file on disk holds complete tasks and nothing else. A run that was killed goes on with the
tasks that are missing, and its table is bitwise that of a run that was not. A record is only reused or
continued when everything that could change a number is the same: parameters, seed, device, data checksum,
source. Anything else is an error that says what differs. Profiles share nothing: a record, partial or not,
and a task's checkpoint are of one profile.

The layout is RESULTS/<experiment>/<dataset>-<profile>.csv and .json; data/results/README.md documents the
columns. This module knows no experiment: `privacy_for_free.experiments` says what one is.
"""

import csv
import dataclasses
import fcntl
import hashlib
import inspect
import io
import json
import os
import sys
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import pandas as pd
import torch

from privacy_for_free import devices, memory, provenance

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

PROFILES = ("smoke", "laptop", "paper")
RESULTS = provenance.REPOSITORY / "data" / "results"
FORMAT = 1  # of the files; a sidecar that names none is of format 1
# What must agree before a finished record is reused; a partial one also needs the same machine and versions.
IDENTITY = (
    "experiment",
    "dataset",
    "profile",
    "parameters",
    "seed",
    "device",
    "data_sha256",
    "source_sha256",
)

STATED = ("complete", "machine", "versions", "started", "seconds", "peak_memory_bytes", "table_sha256")


class RecordError(RuntimeError):
    """A record cannot be read, reused, continued or written; the message names the file and what to do."""


@dataclasses.dataclass(frozen=True)
class Record:
    """A table, and where it comes from. `path` is None for a run that was kept in memory."""

    table: pd.DataFrame
    meta: Mapping[str, object]
    path: Path | None = None

    @property
    def current(self) -> bool:
        """Whether the source that would make this record today is the source that made it."""
        module = f"{provenance.PACKAGE}.experiments.{self.meta['experiment']}"
        return self.meta["source_sha256"] == provenance.source_sha256(module)

    def provenance(self) -> str:
        """One line for the foot of a figure: what was run, on what, when, and for how long."""
        meta = self.meta
        line = (
            f"{meta['experiment']} on {meta['dataset']}, profile {meta['profile']}, seed {meta['seed']}: "
            f"{len(self.table):,} rows, {meta['seconds']:.0f} s on {meta['machine']}, "
            f"{str(meta['started'])[:10]}."
        )
        return line if self.current else line + " The source has changed since: run it again."


def check_profile(profile: str) -> str:
    """Return the profile's name; ValueError lists the known ones."""
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r}: known are {', '.join(PROFILES)}")
    return profile


@dataclasses.dataclass(frozen=True)
class Job:
    """A task, and what it takes to do it besides the data set: what is sent to another machine.

    `checkpoint` is the file it may keep its state in, None for none.
    """

    experiment: str
    index: int
    task: Hashable
    parameters: object
    seed: int
    device: str
    checkpoint: Path | None = None


@dataclasses.dataclass(frozen=True)
class Done:
    """A finished task: its rows as CSV lines, and what it took."""

    index: int
    block: str
    seconds: float
    peak_memory_bytes: int


class Workers(Protocol):
    """Who does the tasks: this process (`Here`), or a cluster (`privacy_for_free.cluster.Cluster`)."""

    def place(self, experiment: ModuleType, device: str, meta: Mapping[str, object]) -> dict[str, object]:
        """Return device, machine and versions of whoever will do a record's tasks; errors, if any, now."""

    def work(
        self, experiment: ModuleType, dataset: "Dataset", jobs: Sequence[Job], meta: Mapping[str, object]
    ) -> Iterator[Done]:
        """Do the jobs; yield each when it is done."""


class Here:
    """This process does the tasks, one after the other."""

    def place(self, experiment: ModuleType, device: str, meta: Mapping[str, object]) -> dict[str, object]:
        """Return the device, the machine and the versions of this process."""
        place = devices.resolve(device)
        return {
            "device": place.type,
            "machine": provenance.machine(place),
            "versions": provenance.versions(),
        }

    def work(
        self, experiment: ModuleType, dataset: "Dataset", jobs: Sequence[Job], meta: Mapping[str, object]
    ) -> Iterator[Done]:
        """Do the jobs in their order."""
        for job in jobs:
            yield do(job, experiment, dataset)


def do(job: Job, experiment: ModuleType, dataset: "Dataset") -> Done:
    """Run one task; errors are the experiment's."""
    device = torch.device(job.device)
    own = {"checkpoint": job.checkpoint} if job.checkpoint else {}
    began = time.monotonic()
    with memory.measured(device) as peak:
        rows = experiment.run_task(job.task, job.parameters, dataset, job.seed, device, **own)
    return Done(
        job.index, _block(rows, experiment.COLUMNS, job.index), time.monotonic() - began, peak.bytes()
    )


def run(
    experiment: ModuleType,
    dataset: "Dataset",
    profile: str = "smoke",
    *,
    seed: int = 0,
    device: str = "auto",
    results_dir: str | os.PathLike | None = None,
    restart: bool = False,
    progress: bool = True,
    workers: Workers | None = None,
) -> Record:
    """Run an experiment, or as much of it as is missing, and return its record.

    With `results_dir` None the table is kept in memory. Otherwise a complete record that fits is returned
    as it is, a partial one is continued, and one that does not fit raises RecordError, unless `restart`,
    which moves it into the folder superseded/ and begins anew. With `device` "auto" a complete record of
    either device fits; its `machine` says where it was made. `workers` do the tasks; None for this process.
    Raises ValueError for an unknown profile or device and for a negative seed, before any work.
    """
    workers = workers or Here()
    wanted = _wanted(experiment, dataset, profile, seed, device)
    columns = (*experiment.COLUMNS, "task")
    store = None if results_dir is None else Store(Path(results_dir), experiment.NAME, dataset.name, profile)
    if store and store.exists() and not restart and (found := store.complete(wanted, columns)):
        return found
    meta = wanted | workers.place(experiment, device, wanted)
    if store is None:
        blocks = _work(experiment, dataset, meta, {}, progress, workers, None)
        meta["complete"] = True
        return Record(_frame(_table_text(columns, blocks)), meta)
    if store.exists() and not restart:
        store.resume(meta, columns)
    with store.locked():
        if restart:
            store.supersede()
        meta, blocks = store.resume(meta, columns) if store.exists() else (meta, {})
        if not blocks:
            store.write(_table_text(columns, blocks), meta)
        if not meta["complete"]:
            blocks = _work(experiment, dataset, meta, blocks, progress, workers, store)
            meta["complete"] = True
            store.write(_table_text(columns, blocks), meta)
    return Record(_frame(_table_text(columns, blocks)), meta, store.table)


@dataclasses.dataclass(frozen=True)
class State:
    """How far a record is: tasks in all, tasks finished, and the seconds these took."""

    tasks: int
    finished: int
    seconds: float
    complete: bool


def state(
    experiment: ModuleType,
    dataset: "Dataset",
    profile: str,
    *,
    seed: int = 0,
    device: str = "auto",
    results_dir: str | os.PathLike,
    workers: Workers | None = None,
) -> State:
    """Return how far a record is, without running anything; errors are those that `run` would raise."""
    wanted = _wanted(experiment, dataset, profile, seed, device)
    tasks = len(experiment.tasks(experiment.PROFILES[profile], dataset))
    columns = (*experiment.COLUMNS, "task")
    store = Store(Path(results_dir), experiment.NAME, dataset.name, profile)
    if not store.exists():
        return State(tasks, 0, 0.0, complete=False)
    if found := store.complete(wanted, columns):
        return State(tasks, tasks, found.meta["seconds"], complete=True)
    meta, blocks = store.resume(wanted | (workers or Here()).place(experiment, device, wanted), columns)
    return State(tasks, len(blocks), meta["seconds"], complete=False)


def data_sha256(dataset: "Dataset") -> str:
    """Return a data set's digest as records state it."""
    return dataset.sha256 + (" normalised" if dataset.normalised else "")


def _wanted(
    experiment: ModuleType, dataset: "Dataset", profile: str, seed: int, device: str
) -> dict[str, object]:
    """Return the sidecar of a record that is to be made, but for where; ValueError for bad arguments."""
    check_profile(profile)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed {seed!r}: allowed are whole numbers from 0 up")
    if device not in devices.KNOWN:
        devices.resolve(device)
    return {
        "format": FORMAT,
        "experiment": experiment.NAME,
        "dataset": dataset.name,
        "profile": profile,
        "parameters": json.loads(json.dumps(dataclasses.asdict(experiment.PROFILES[profile]))),
        "seed": seed,
        "complete": False,
        "device": device,
        "machine": None,
        "versions": None,
        "commit": provenance.commit(),
        "data_sha256": data_sha256(dataset),
        "source_sha256": provenance.source_sha256(experiment.__name__),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "peak_memory_bytes": 0,
    }


def _work(
    experiment: ModuleType,
    dataset: "Dataset",
    meta: dict,
    blocks: Mapping[int, str],
    progress: bool,
    workers: Workers,
    store: "Store | None",
) -> dict[int, str]:
    """Have the tasks done that `blocks` lacks, saving after each; return the blocks of all."""
    keeps = store is not None and "checkpoint" in inspect.signature(experiment.run_task).parameters
    parameters = experiment.PROFILES[meta["profile"]]
    tasks = experiment.tasks(parameters, dataset)
    columns = (*experiment.COLUMNS, "task")
    blocks = dict(blocks)
    jobs = [
        Job(
            experiment.__name__,
            index,
            task,
            parameters,
            meta["seed"],
            meta["device"],
            store.checkpoint(index) if keeps else None,
        )
        for index, task in enumerate(tasks)
        if index not in blocks
    ]
    with closing(workers.work(experiment, dataset, jobs, meta)) as finished:
        for done in _with_progress(finished, len(jobs), len(tasks), progress, experiment.NAME):
            blocks[done.index] = done.block
            meta["seconds"] = round(meta["seconds"] + done.seconds, 3)
            meta["peak_memory_bytes"] = max(meta["peak_memory_bytes"], done.peak_memory_bytes)
            if store is not None:
                store.write(_table_text(columns, blocks), meta)
                store.forget(done.index)
    return blocks


def read(
    experiment: str, dataset: str, profile: str, results_dir: str | os.PathLike | None = None
) -> Record | None:
    """Return a complete record, or None where there is none; RecordError if its files do not fit together."""
    store = Store(Path(results_dir or RESULTS), experiment, dataset, check_profile(profile))
    if not store.exists():
        return None
    meta, text = store.load()
    return Record(_frame(text), meta, store.table) if meta["complete"] else None


def largest(experiment: str, dataset: str, results_dir: str | os.PathLike | None = None) -> Record | None:
    """Return the complete record of the largest profile (paper, laptop), or None; smoke is for trying out."""
    for profile in reversed(PROFILES[1:]):
        if (record := read(experiment, dataset, profile, results_dir)) is not None:
            return record
    return None


class Store:
    """The two files of one record, and the lock that keeps a second process away from them."""

    def __init__(self, results_dir: Path, experiment: str, dataset: str, profile: str):
        """Name the files; nothing is created before `locked`."""
        self.folder = results_dir / experiment
        self.table = self.folder / f"{dataset}-{profile}.csv"
        self.sidecar = self.table.with_suffix(".json")

    def exists(self) -> bool:
        """Whether any part of the record is there."""
        return _exists(self.table) or _exists(self.sidecar)

    def checkpoint(self, task: int) -> Path:
        """The file in which a task may keep its state; it is there only while the task is not done."""
        return self.table.with_suffix(f".{task}.checkpoint")

    def forget(self, task: int) -> None:
        """Remove what a task kept."""
        for path in self.folder.glob(f"{self.checkpoint(task).stem}.*checkpoint"):
            _remove(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the record; the lock goes with the process that holds it, however that ends."""
        lock = self.table.with_suffix(".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = lock.open("w")
        except OSError as error:
            raise RecordError(
                f"{self.folder}: cannot write there ({error.strerror}); nothing was run"
            ) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if lock.stat().st_ino != os.fstat(handle.fileno()).st_ino:  # released in between
                    raise FileNotFoundError
            except (BlockingIOError, FileNotFoundError):
                raise RecordError(f"{self.table}: another process is running this record") from None
            except OSError as error:
                with suppress(OSError):
                    lock.unlink()
                raise RecordError(
                    f"{lock}: cannot be locked ({error.strerror}); nothing was run. Name another "
                    "--results-dir, on a disk that has locks"
                ) from error
            try:
                yield
            finally:
                with suppress(OSError):  # the lock is gone with the handle; its file may stay
                    lock.unlink(missing_ok=True)

    def write(self, text: str, meta: Mapping[str, object]) -> None:
        """Replace the table, then the sidecar, each at once; in between the table may be one task ahead."""
        if not _exists(self.sidecar):
            _replace(self.sidecar, _json(meta, text))
        _replace(self.table, text)
        _replace(self.sidecar, _json(meta, text))

    def load(self) -> tuple[dict, str]:
        """Return sidecar and table; RecordError if one is missing, unreadable, or was altered."""
        try:
            meta = json.loads(self.sidecar.read_text(encoding="utf-8"))
            missing = [key for key in (*IDENTITY, *STATED) if key not in meta]
            if not isinstance(meta, dict):
                raise TypeError("not an object")
        except FileNotFoundError:
            raise RecordError(
                f"{self.sidecar}: missing beside its table; restore it or run with --restart"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise RecordError(
                f"{self.sidecar}: not a record's sidecar ({error}); run with --restart"
            ) from error
        if meta.get("format", FORMAT) != FORMAT:
            raise RecordError(
                f"{self.sidecar}: a record of format {meta['format']}, this version reads format {FORMAT}. "
                "It was left as it is. Use the version that wrote it, or name another --results-dir"
            )
        if missing:
            raise RecordError(
                f"{self.sidecar}: {', '.join(missing)} missing; restore it or run with --restart"
            )
        if not meta["complete"] and not _exists(self.table):
            return meta, ""
        try:
            text = self.table.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(
                f"{self.table}: not readable ({error}); restore it or run with --restart"
            ) from error
        known = [text] if meta["complete"] else _one_task_back(text)
        if meta["table_sha256"] not in map(_sha256, known):
            raise RecordError(
                f"{self.table}: altered since it was recorded; restore it or run with --restart"
            )
        return meta, text

    def complete(self, wanted: dict, columns: tuple[str, ...]) -> Record | None:
        """Return the record where it is complete, or None; RecordError where anything differs."""
        meta, text = self.load()
        if not meta["complete"]:
            return None
        self._check(meta, wanted, [key for key in IDENTITY if key != "device" or wanted["device"] != "auto"])
        return Record(_frame(_table_text(columns, _blocks(text, columns, self.table))), meta, self.table)

    def resume(self, wanted: dict, columns: tuple[str, ...]) -> tuple[dict, dict[int, str]]:
        """Return the stored sidecar and the finished tasks' lines; RecordError where anything differs."""
        meta, text = self.load()
        self._check(meta, wanted, IDENTITY if meta["complete"] else (*IDENTITY, "machine", "versions"))
        return meta, _blocks(text, columns, self.table)

    def _check(self, meta: dict, wanted: dict, keys: Sequence[str]) -> None:
        differing = [
            f"{key}: {_short(meta.get(key))}, now {_short(wanted[key])}"
            for key in keys
            if meta.get(key) != wanted[key]
        ]
        if differing:
            state = "made" if meta["complete"] else "begun"
            raise RecordError(
                f"{self.table} was {state} with another {'; '.join(differing)}. It was left as it is. "
                "Name another --results-dir, or run with --restart, which moves it into superseded/"
            )

    def supersede(self) -> None:
        """Move the record, if there is one, to superseded/ under a free number; both files or none."""
        if not self.exists():
            return
        attic, moved = self.folder / "superseded", []
        try:
            attic.mkdir(exist_ok=True)
            number = 1 + max((_number(path) for path in attic.glob(f"{self.table.stem}.*")), default=0)
            for path in (self.table, self.sidecar):
                if path.exists():
                    aside = attic / f"{path.stem}.{number}{path.suffix}"
                    os.replace(path, aside)
                    moved.append((aside, path))
        except OSError as error:
            for aside, path in moved:
                os.replace(aside, path)
            raise RecordError(
                f"{self.table}: could not be moved into {attic} ({error.strerror}); it is as it was before"
            ) from error
        for path in self.folder.glob(f"{self.table.stem}.*.checkpoint"):
            _remove(path)


def _number(superseded: Path) -> int:
    """Return N of a superseded record's NAME.N.csv or NAME.N.json, 0 for any other file."""
    number = superseded.name.split(".")[1]
    return int(number) if number.isdecimal() and superseded.suffix in (".csv", ".json") else 0


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise RecordError(f"{path}: cannot be looked at ({error.strerror})") from error


def _replace(path: Path, text: str) -> None:
    """Write aside, flush to the disk, rename: the path holds the old bytes or the new ones, never a part."""
    aside = path.with_name(f"{path.name}.aside")
    try:
        with aside.open("w", encoding="utf-8", newline="") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(aside, path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise RecordError(
            f"{path}: could not be written ({error.strerror}); it is as it was before"
        ) from error


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{path}: could not be removed ({error.strerror})") from error


def _block(rows: list[dict], columns: tuple[str, ...], index: int) -> str:
    """One task's rows as CSV lines; floats with all their digits, None as an empty field."""
    if not rows:
        raise RecordError(f"task {index}: returned no rows")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if set(row) != set(columns):
            raise RecordError(f"task {index}: columns {sorted(row)}, expected {sorted(columns)}")
        writer.writerow([*(_plain(row[column]) for column in columns), index])
    return text.getvalue()


def _plain(value: object) -> object:
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return "" if value != value else repr(value)
    raise RecordError(f"value {value!r}: a record holds text, numbers and truth values")


def _table_text(columns: tuple[str, ...], blocks: Mapping[int, str]) -> str:
    return ",".join(columns) + "\n" + "".join(blocks[index] for index in sorted(blocks))


def _blocks(text: str, columns: tuple[str, ...], path: Path) -> dict[int, str]:
    """Split a table into its tasks' lines, as text: nothing is parsed and written again."""
    if not text:
        return {}
    header, *rows = csv.reader(io.StringIO(text))
    if tuple(header) != columns:
        raise RecordError(
            f"{path}: columns {', '.join(header)}; expected {', '.join(columns)}. It was left as it is. Name "
            "another --results-dir, or run with --restart, which moves it into superseded/"
        )
    found: dict[int, io.StringIO] = {}
    for row in rows:
        csv.writer(found.setdefault(int(row[-1]), io.StringIO()), lineterminator="\n").writerow(row)
    return {index: block.getvalue() for index, block in found.items()}


def _one_task_back(text: str) -> Iterator[str]:
    """Yield a table, and it without each of its tasks: one of them the sidecar may not know yet."""
    yield text
    header, *lines = text.splitlines(keepends=True)
    owners = [line.rpartition(",")[2] for line in lines]
    for task in reversed(dict.fromkeys(owners)):
        yield header + "".join(line for line, owner in zip(lines, owners, strict=True) if owner != task)


def _json(meta: Mapping[str, object], text: str) -> str:
    return json.dumps({**meta, "table_sha256": _sha256(text)}, indent=1) + "\n"


def _frame(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _short(value: object) -> str:
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _with_progress(
    finished: Iterator[Done], missing: int, total: int, progress: bool, label: str
) -> Iterator[Done]:
    """Pass the finished tasks on, with a bar on standard error; plain lines where tqdm is not installed."""
    if not progress or not missing:
        yield from finished
        return
    try:
        from tqdm import tqdm
    except ImportError:
        began = time.monotonic()
        _line(f"{label}: {total - missing} of {total} tasks done")
        for number, done in enumerate(finished, 1):
            yield done
            left = (missing - number) * (time.monotonic() - began) / number
            _line(f"{label}: {total - missing + number} of {total} tasks done, about {duration(left)} left")
    else:
        yield from tqdm(finished, desc=label, initial=total - missing, total=total, unit="task")


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def duration(seconds: float) -> str:
    """Return a time in words, to two units at most.

    >>> duration(8), duration(90), duration(7260), duration(200_000)
    ('8 s', '2 min', '2 h 1 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
