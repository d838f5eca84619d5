"""The files of records on disk, written so that no kill can spoil them.

The layout is RESULTS/<experiment>/<dataset>-<profile>.csv and .json. After each task the whole table so far
is written aside, flushed and renamed over the old one: at any moment the file on disk holds complete tasks
and nothing else. A record is only reused or continued when everything that could change a number is the same:
parameters, seed, device, data checksum, source. Anything else is an error that says what differs.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from privacy_for_free.core import checkpoint
from privacy_for_free.core.paths import given
from privacy_for_free.lab import definitions, settings, sidecar, table_text
from privacy_for_free.lab.experiment import PROFILES
from privacy_for_free.lab.record import RESULTS, Record, RecordError
from privacy_for_free.lab.sidecar import IDENTITY, REMEDY, short


class Store:
    """The two files of one record, and the lock that keeps a second process away from them."""

    def __init__(
        self,
        results_dir: str | os.PathLike,
        experiment: str,
        dataset: str,
        profile: str,
        design: object | None = None,
    ):
        """Name the files; nothing is created before `locked`. ValueError for a `results_dir` that is no path.

        `design` is the settings that a stored record is held against: a field that was added since and has a
        default counts as stored with it.
        """
        self.design = design
        self.folder = given("results_dir", results_dir) / experiment
        self.place = {"experiment": experiment, "dataset": dataset, "profile": profile}
        self.table = self.folder / f"{dataset}-{profile}.csv"
        self.sidecar = self.table.with_suffix(".json")

    def exists(self) -> bool:
        """Whether any part of the record is there."""
        return _exists(self.table) or _exists(self.sidecar)

    def checkpoint(self, task: int) -> Path:
        """The file in which a task may keep its state; it is there only while the task is not done."""
        return self.table.with_suffix(f".{task}.checkpoint")

    def forget(self, task: int) -> None:
        """Remove what a task kept, and what a killed process was writing of it."""
        for end in ("checkpoint", "checkpoint.*.aside", "checkpoint.lock"):
            for path in self.folder.glob(f"{self.checkpoint(task).stem}.*{end}"):
                _remove(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the record; the lock goes with the process that holds it, however that ends."""
        with checkpoint.held(self.table, RecordError, self.table.with_suffix(".lock")):
            yield

    def write(self, text: str, meta: Mapping[str, object]) -> None:
        """Replace the table, then the sidecar, each at once; in between the table may be one task ahead."""
        if not _exists(self.sidecar):
            _replace(self.sidecar, _json(meta, text))
        _replace(self.table, text)
        _replace(self.sidecar, _json(meta, text))

    def append(self, entry: object, found: Mapping[str, str], table_sha256: str) -> None:
        """Append an attestation of a table, and its definitions, to the sidecar; the table stays.

        RecordError where the record is another by now, or is being run.
        """
        with self.locked():
            meta, _ = self.load()
            if meta["table_sha256"] != table_sha256:
                raise RecordError(f"{self.table}: made anew in the meantime; nothing was attested")
            attested = [*meta.get("attested", []), entry]
            self.state(meta | {"attested": attested, "definitions": found})

    def state(self, meta: Mapping[str, object]) -> None:
        """Replace the sidecar alone; the table stays, and so does its digest."""
        _replace(self.sidecar, json.dumps(meta, indent=1) + "\n")

    def load(self) -> tuple[dict, str]:
        """Return sidecar and table; RecordError if one is missing, unreadable, or was altered.

        Of a table that is one task ahead of its sidecar, as a kill between the two leaves it, that task is
        left out: nothing says that its lines are whole.
        """
        meta = sidecar.read(self.sidecar)
        if found := [f"{key} {short(meta[key])}" for key, name in self.place.items() if meta[key] != name]:
            raise RecordError(
                f"{self.sidecar}: of {', '.join(found)}, which its place does not say; {REMEDY}"
            )
        if not meta["complete"] and not _exists(self.table):
            return meta, ""
        try:
            text = self.table.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{self.table}: not readable ({error}); {REMEDY}") from error
        known = [text] if meta["complete"] else table_text.one_task_back(text)
        text = next((each for each in known if _sha256(each) == meta["table_sha256"]), None)
        if text is None:
            raise RecordError(f"{self.table}: altered since it was recorded; {REMEDY}")
        if meta["complete"] and (there := table_text.tasks(text)) != meta.get("tasks", there):
            raise RecordError(
                f"{self.sidecar}: complete {short(meta['complete'])} with {meta['tasks']} tasks, but the "
                f"table has {there}; {REMEDY}"
            )
        return meta, text

    def stored(self, columns: Sequence[str]) -> tuple[dict, dict[int, str]]:
        """Return the sidecar of a complete record and its tasks' lines, whatever made it."""
        meta, text = self.load()
        if not meta["complete"]:
            raise RecordError(f"{self.table} is not complete: run it first")
        return meta, table_text.blocks(text, columns, self.table)

    def complete(self, wanted: dict, columns: tuple[str, ...]) -> Record | None:
        """Return the record where it is complete, or None; RecordError where anything differs."""
        meta, text = self.load()
        if not meta["complete"]:
            return None
        self._check(meta, wanted, [key for key in IDENTITY if key != "device" or wanted["device"] != "auto"])
        blocks = table_text.blocks(text, columns, self.table)
        return Record(table_text.frame(table_text.whole(columns, blocks)), meta, self.table)

    def resume(self, wanted: dict, columns: tuple[str, ...]) -> tuple[dict, dict[int, str]]:
        """Return the stored sidecar and the finished tasks' lines; RecordError where anything differs."""
        meta, text = self.load()
        self._check(meta, wanted, IDENTITY if meta["complete"] else (*IDENTITY, "machine", "versions"))
        source = {key: wanted[key] for key in ("source_sha256", "definitions", "parameters", "tasks")}
        return meta | source, table_text.blocks(text, columns, self.table)

    def _check(self, meta: dict, wanted: dict, keys: Sequence[str]) -> None:
        found = meta if self.design is None else meta | {"parameters": self._filled(meta["parameters"])}
        differing = [
            f"{key}: {short(found.get(key))}, now {short(wanted[key])}"
            for key in keys
            if found.get(key) != wanted[key]
        ]
        if changed := definitions.changed(meta.get("definitions") or {"": ""}, wanted["definitions"]):
            differing.append(f"source: {', '.join(filter(None, changed)) or 'of an older version'}")
        if differing:
            state = "made" if meta["complete"] else "begun"
            raise RecordError(
                f"{self.table} was {state} with another {'; '.join(differing)}. It was left as it is. "
                "Name another --results-dir, or run with --restart, which moves it into superseded/"
            )

    def _filled(self, stored: Mapping[str, object]) -> dict[str, object]:
        return settings.fill(stored, self.design)

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
        for end in ("checkpoint", "aside", "checkpoint.lock"):
            for path in self.folder.glob(f"{self.table.stem}.*.{end}"):
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
    try:
        checkpoint.write_aside(path, lambda handle: handle.write(text.encode()))
    except OSError as error:
        raise RecordError(
            f"{path}: could not be written ({error.strerror}); it is as it was before"
        ) from error


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{path}: could not be removed ({error.strerror})") from error


def _json(meta: Mapping[str, object], text: str) -> str:
    return json.dumps({**meta, "table_sha256": _sha256(text)}, indent=1) + "\n"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read(
    experiment: str,
    dataset: str,
    profile: str,
    results_dir: str | os.PathLike | None = None,
    partial: bool = False,
) -> Record | None:
    """Return a complete record, or None where there is none; RecordError if its files do not fit together.

    `results_dir` None stands for the folder that `run` records into from the command line. ValueError for one
    that is no path. With `partial` a record that is not complete is returned too, if a task of it is.
    """
    store = Store(RESULTS if results_dir is None else results_dir, experiment, dataset, profile)
    if not store.exists():
        return None
    meta, text = store.load()
    if not (meta["complete"] or partial):
        return None
    record = Record(table_text.frame(text), meta, store.table)
    return record if len(record.table) else None


def largest(
    experiment: str, dataset: str, results_dir: str | os.PathLike | None = None, partial: bool = False
) -> Record | None:
    """Return the complete record of the largest profile (paper, laptop), or None; smoke is for trying out.

    partial   whether one that is not complete counts, as `Experiment.partial` says
    """
    for profile in reversed(PROFILES[1:]):
        if (record := read(experiment, dataset, profile, results_dir, partial)) is not None:
            return record
    return None
