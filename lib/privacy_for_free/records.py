"""Results on disk: a tidy CSV with its provenance beside it, written so that no kill can spoil it.

`run` works through an experiment's tasks in order. After each task the whole table so far is written aside,
flushed and renamed over the old one: at any moment the file on disk holds complete tasks and nothing else. A
run that was killed goes on with the first task that is missing, and its table is bitwise that of a run that
was not. A record is only reused or continued when everything that could change a number is the same:
parameters, seed, device, data checksum, source. Anything else is an error that says what differs.

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
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd
import torch

from privacy_for_free import devices, provenance

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

PROFILES = ("smoke", "laptop", "paper")
RESULTS = provenance.REPOSITORY / "data" / "results"
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
) -> Record:
    """Run an experiment, or as much of it as is missing, and return its record.

    With `results_dir` None the table is kept in memory. Otherwise a complete record that fits is returned
    as it is, a partial one is continued, and one that does not fit raises RecordError, unless `restart`,
    which moves it into the folder superseded/ and begins anew. Raises ValueError for an unknown profile or
    device and for a negative seed, before any work.
    """
    check_profile(profile)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed {seed!r}: allowed are whole numbers from 0 up")
    place = devices.resolve(device)
    parameters = experiment.PROFILES[profile]
    meta = {
        "experiment": experiment.NAME,
        "dataset": dataset.name,
        "profile": profile,
        "parameters": json.loads(json.dumps(dataclasses.asdict(parameters))),
        "seed": seed,
        "complete": False,
        "device": place.type,
        "machine": provenance.machine(place),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "data_sha256": dataset.sha256 + (" normalised" if dataset.normalised else ""),
        "source_sha256": provenance.source_sha256(experiment.__name__),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "peak_memory_bytes": 0,
    }
    columns = (*experiment.COLUMNS, "task")
    if results_dir is None:
        blocks = _work(experiment, dataset, parameters, seed, place, meta, {}, progress, lambda _: None, None)
        meta["complete"] = True
        return Record(_frame(_table_text(columns, blocks)), meta)
    store = Store(Path(results_dir), experiment.NAME, dataset.name, profile)
    if store.exists() and not restart:
        meta, blocks = store.resume(meta, columns)
        if meta["complete"]:
            return Record(_frame(_table_text(columns, blocks)), meta, store.table)
    with store.locked():
        if restart:
            store.supersede()
        meta, blocks = store.resume(meta, columns) if store.exists() else (meta, {})

        def save(blocks: Mapping[int, str]) -> None:
            store.write(_table_text(columns, blocks), meta)

        if not blocks:
            save(blocks)
        blocks = _work(experiment, dataset, parameters, seed, place, meta, blocks, progress, save, store)
        meta["complete"] = True
        save(blocks)
    return Record(_frame(_table_text(columns, blocks)), meta, store.table)


def _work(
    experiment: ModuleType,
    dataset: "Dataset",
    parameters: object,
    seed: int,
    device: torch.device,
    meta: dict,
    blocks: Mapping[int, str],
    progress: bool,
    save: Callable[[Mapping[int, str]], None],
    store: "Store | None",
) -> dict[int, str]:
    """Run the tasks that `blocks` lacks, saving after each; return the blocks of all."""
    keeps = store is not None and "checkpoint" in inspect.signature(experiment.run_task).parameters
    tasks = experiment.tasks(parameters, dataset)
    blocks = dict(blocks)
    missing = [index for index in range(len(tasks)) if index not in blocks]
    for index in _with_progress(missing, len(tasks), progress, experiment.NAME):
        began = time.monotonic()
        own = {"checkpoint": store.checkpoint(index)} if keeps else {}
        rows = experiment.run_task(tasks[index], parameters, dataset, seed, device, **own)
        blocks[index] = _block(rows, experiment.COLUMNS, index)
        meta["seconds"] = round(meta["seconds"] + time.monotonic() - began, 3)
        meta["peak_memory_bytes"] = max(meta["peak_memory_bytes"], _peak_memory(device))
        save(blocks)
        if keeps:
            for path in own["checkpoint"].parent.glob(f"{own['checkpoint'].stem}.*checkpoint"):
                path.unlink()
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
    """Return the complete record of the largest profile (paper, laptop, smoke), or None."""
    for profile in reversed(PROFILES):
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
        return self.table.exists() or self.sidecar.exists()

    def checkpoint(self, task: int) -> Path:
        """The file in which a task may keep its state; it is there only while the task is not done."""
        return self.table.with_suffix(f".{task}.checkpoint")

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
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)

    def write(self, text: str, meta: Mapping[str, object]) -> None:
        """Replace the table, then the sidecar, each at once; in between the table may be one task ahead."""
        if not self.sidecar.exists():
            _replace(self.sidecar, _json(meta, text))
        _replace(self.table, text)
        _replace(self.sidecar, _json(meta, text))

    def load(self) -> tuple[dict, str]:
        """Return sidecar and table; RecordError if one is missing, unreadable, or was altered."""
        try:
            meta = json.loads(self.sidecar.read_text(encoding="utf-8"))
            missing = [key for key in (*IDENTITY, "complete", "table_sha256") if key not in meta]
        except FileNotFoundError:
            raise RecordError(
                f"{self.sidecar}: missing beside its table; restore it or run with restart"
            ) from None
        except (ValueError, TypeError) as error:
            raise RecordError(
                f"{self.sidecar}: not a record's sidecar ({error}); run with restart"
            ) from error
        if missing:
            raise RecordError(f"{self.sidecar}: {', '.join(missing)} missing; restore it or run with restart")
        if not self.table.exists() and not meta["complete"]:
            return meta, ""
        try:
            text = self.table.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(
                f"{self.table}: not readable ({error}); restore it or run with restart"
            ) from error
        known = [text] if meta["complete"] else [text, _without_last_task(text)]
        if meta["table_sha256"] not in map(_sha256, known):
            raise RecordError(f"{self.table}: altered since it was recorded; restore it or run with restart")
        return meta, text

    def resume(self, wanted: dict, columns: tuple[str, ...]) -> tuple[dict, dict[int, str]]:
        """Return the stored sidecar and the finished tasks' lines; RecordError where anything differs."""
        meta, text = self.load()
        keys = IDENTITY if meta["complete"] else (*IDENTITY, "machine", "versions")
        differing = [
            f"{key}: {_short(meta.get(key))}, now {_short(wanted[key])}"
            for key in keys
            if meta.get(key) != wanted[key]
        ]
        if differing:
            state = "made" if meta["complete"] else "begun"
            raise RecordError(
                f"{self.table} was {state} with another {'; '.join(differing)}. It was left as it is. "
                "Name another results_dir, or run with restart, which moves it into superseded/"
            )
        return meta, _blocks(text, columns, self.table)

    def supersede(self) -> None:
        """Move the record, if there is one, to superseded/ under the first free number."""
        if not self.exists():
            return
        attic = self.folder / "superseded"
        attic.mkdir(exist_ok=True)
        number = 1 + sum(1 for _ in attic.glob(f"{self.table.stem}.*.json"))
        for path in (self.table, self.sidecar):
            if path.exists():
                os.replace(path, attic / f"{path.stem}.{number}{path.suffix}")
        for path in self.folder.glob(f"{self.table.stem}.*.checkpoint"):
            path.unlink()


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
        aside.unlink(missing_ok=True)
        raise RecordError(
            f"{path}: could not be written ({error.strerror}); it is as it was before"
        ) from error


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
        raise RecordError(f"{path}: columns {', '.join(header)}; expected {', '.join(columns)}")
    found: dict[int, io.StringIO] = {}
    for row in rows:
        csv.writer(found.setdefault(int(row[-1]), io.StringIO()), lineterminator="\n").writerow(row)
    return {index: block.getvalue() for index, block in found.items()}


def _without_last_task(text: str) -> str:
    lines = text.splitlines(keepends=True)
    last = lines[-1].rpartition(",")[2] if len(lines) > 1 else None
    return "".join(line for line in lines if line.rpartition(",")[2] != last)


def _json(meta: Mapping[str, object], text: str) -> str:
    return json.dumps({**meta, "table_sha256": _sha256(text)}, indent=1) + "\n"


def _frame(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _short(value: object) -> str:
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _peak_memory(device: torch.device) -> int:
    """Bytes: the process's largest resident set so far, or the GPU's largest allocation where one is used."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _with_progress(indices: list[int], total: int, progress: bool, label: str) -> Iterator[int]:
    """Yield the indices, with a bar on standard error; plain lines where tqdm is not installed."""
    if not progress or not indices:
        yield from indices
        return
    try:
        from tqdm import tqdm
    except ImportError:
        for index in indices:
            print(f"{label}: task {index + 1} of {total}", file=sys.stderr, flush=True)  # noqa: T201
            yield index
    else:
        yield from tqdm(indices, desc=label, initial=total - len(indices), total=total, unit="task")
