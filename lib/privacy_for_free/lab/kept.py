"""What a record keeps for other attacks: arrays beside it, each with its digest in the record's sidecar.

    RESULTS/<experiment>/kept/<dataset>-<profile>/<group>/<name>.npy

or FOLDER/<experiment>/<dataset>-<profile>/... where a folder was named. They are large and no part of the
repository; `privacy-for-free keep` makes them again. The sidecar's `kept` states for each task the machine,
in what its rows differ from the record's (null: in nothing), and of each file the SHA-256 of its bytes, how
many these are, dtype and shape:

    "kept": {"0": {"machine": "...", "differs": null, "files": {"pool/membership": {"sha256": ..., ...}}}}

A file is written aside and renamed, and stated after that; what no sidecar states, or states otherwise, is
refused or made again.
"""

import hashlib
import io
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from privacy_for_free.core import checkpoint
from privacy_for_free.core.paths import given
from privacy_for_free.lab.record import Record, RecordError

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset
    from privacy_for_free.lab.experiment import Experiment

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*/[a-z][a-z0-9_]*")  # of a file: group and name
DIGEST = re.compile(r"[0-9a-f]{64}")
DTYPES = ("bool", "float16", "float32", "float64", "int64", "uint8")
FOLDER = "kept"  # beside the records of an experiment
CHUNK = 2**20  # bytes read at a time
AGAIN = "make it again with `privacy-for-free keep`"

Shape = tuple[str, tuple[int, ...]]


class Keeper:
    """Takes the arrays that a task hands back, in memory; `arrays` has them by group and name."""

    def __init__(self, wanted: Mapping[str, Shape]):
        """Expect files of these dtypes and shapes."""
        self.wanted, self.arrays = wanted, {}

    def __call__(self, group: str, **tensors: torch.Tensor) -> None:
        """Take the tensors of a group; ValueError for one that was not to come, or of another form."""
        for name, tensor in tensors.items():
            key, array = f"{group}/{name}", np.ascontiguousarray(tensor.detach().cpu().numpy())
            found = (str(array.dtype), array.shape)
            if (wanted := self.wanted.get(key)) != found:
                raise ValueError(f"kept {key} {found}: allowed is {wanted or 'what the experiment declares'}")
            self.arrays[key] = array

    def all(self) -> dict[str, np.ndarray]:
        """Return the arrays; ValueError where one is missing."""
        if missing := [name for name in self.wanted if name not in self.arrays]:
            raise ValueError(
                f"kept {', '.join(missing)}: missing, allowed is all that the experiment declares"
            )
        return self.arrays


def size(wanted: Mapping[str, Shape]) -> int:
    """Return the bytes that arrays of these dtypes and shapes hold.

    >>> size({"pool/membership": ("bool", (64, 1000)), "dm/logits": ("float16", (64, 1000, 1, 10))})
    1344000
    """
    return sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in wanted.values())


def declared(experiment: "Experiment", design: object, dataset: "Dataset") -> dict[str, Shape]:
    """Return dtype and shape of all that a run of these settings can keep, by group and name."""
    tasks = () if experiment.kept is None else experiment.tasks(design, dataset)
    return {name: form for task in tasks for name, form in experiment.kept(task, design, dataset).items()}


def table(forms: Mapping[str, Shape]) -> str:
    """Return the sizes of files in words: a line for each group, and one for all.

    >>> print(table({"pool/labels": ("int64", (1000,)), "dm/logits": ("float16", (64, 1000, 1, 10))}))
       0.0 MB  pool: labels
       1.3 MB  dm: logits
       1.3 MB  in 2 files
    """
    found: dict[str, dict[str, Shape]] = {}
    for name, form in forms.items():
        group, _, own = name.partition("/")
        found.setdefault(group, {})[own] = form
    lines = [f"{size(own) / 1e6:6.1f} MB  {group}: {', '.join(own)}" for group, own in found.items()]
    return "\n".join([*lines, f"{size(forms) / 1e6:6.1f} MB  in {len(forms)} files"])


class Folder:
    """The files that one record keeps."""

    def __init__(self, table: Path, meta: Mapping[str, object], folder: str | os.PathLike | None = None):
        """Name the folder of the record whose table this is; `folder` None stands for the one beside it."""
        own = None if folder is None else given("folder", folder)
        place = table.parent / FOLDER if own is None else own / str(meta["experiment"])
        self.path = place / f"{meta['dataset']}-{meta['profile']}"

    def file(self, name: str) -> Path:
        """Return where the array of a group and name lies."""
        return self.path / f"{name}.npy"

    def check_room(self, needed: int) -> None:
        """RecordError where the disk has not so many bytes free, besides what files of before take."""
        there = next(folder for folder in self.path.absolute().parents if folder.is_dir())
        old = sum(file.stat().st_size for file in self.path.rglob("*.npy"))
        if (free := shutil.disk_usage(there).free + old) < needed:
            raise RecordError(
                f"{self.path}: {needed / 1e6:,.0f} MB are to be kept, {free / 1e6:,.0f} are free"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other processes; RecordError where one has it, or it cannot be written."""
        with checkpoint.held(self.path, RecordError):
            yield

    def write(self, arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, object]]:
        """Write arrays, each aside and then renamed; return what the sidecar states of them."""
        stated = {}
        for name, array in arrays.items():
            text = io.BytesIO()
            np.lib.format.write_array(text, array, version=(1, 0), allow_pickle=False)
            data, path = text.getbuffer(), self.file(name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                checkpoint.write_aside(path, lambda handle, data=data: handle.write(data))
            except OSError as error:
                raise RecordError(f"{path}: could not be written ({error.strerror})") from error
            stated[name] = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
                "dtype": str(array.dtype),
                "shape": list(array.shape),
            }
        return stated

    def read(self, name: str, stated: Mapping[str, object]) -> torch.Tensor:
        """Return an array as a tensor on the CPU; RecordError, in one line, unless it is what is stated."""
        path = self.file(name)
        try:
            with path.open("rb") as handle:
                data = handle.read()
        except OSError as error:
            raise RecordError(f"{path}: not readable ({error.strerror}); {AGAIN}") from error
        if (found := hashlib.sha256(data).hexdigest()) != stated["sha256"]:
            raise RecordError(
                f"{path}: SHA-256 {found[:12]}, the record states {str(stated['sha256'])[:12]}; {AGAIN}"
            )
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        if [str(array.dtype), *array.shape] != [stated["dtype"], *stated["shape"]]:
            raise RecordError(
                f"{path}: {array.dtype} {array.shape}, the record states {stated['dtype']} {stated['shape']}"
            )
        return torch.from_numpy(array)

    def missing(self, meta: Mapping[str, object], tasks: int) -> list[int]:
        """Return the tasks whose files are not all there as the sidecar states them, in order."""
        entries = meta.get("kept") or {}
        return [
            task
            for task in range(tasks)
            if str(task) not in entries
            or not all(self._intact(name, file) for name, file in entries[str(task)]["files"].items())
        ]

    def _intact(self, name: str, stated: Mapping[str, object]) -> bool:
        digest = hashlib.sha256()
        try:
            with self.file(name).open("rb") as handle:
                while data := handle.read(CHUNK):
                    digest.update(data)
        except OSError:
            return False
        return digest.hexdigest() == stated["sha256"]


def is_stated(value: object) -> bool:
    """Whether a value of a sidecar states kept files as the module's docstring says."""
    return isinstance(value, dict) and all(
        task.isdecimal()
        and isinstance(entry, dict)
        and isinstance(entry.get("machine"), str)
        and isinstance(entry.get("differs"), str | None)
        and isinstance(entry.get("files"), dict)
        and all(NAME.fullmatch(name) and _is_file(file) for name, file in entry["files"].items())
        for task, entry in value.items()
    )


def _is_file(value: object) -> bool:
    if not isinstance(value, dict) or value.get("dtype") not in DTYPES:
        return False
    sizes = [value.get("bytes"), *(value["shape"] if isinstance(value.get("shape"), list) else [None])]
    whole = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in sizes)
    return whole and bool(DIGEST.fullmatch(str(value.get("sha256"))))


def stated(record: Record) -> dict[str, Shape]:
    """Return dtype and shape of what a record states as kept, by group and name; {} where that is nothing."""
    return {name: (file["dtype"], tuple(file["shape"])) for name, file in _files(record).items()}


def load(record: Record, group: str, folder: str | os.PathLike | None = None) -> dict[str, torch.Tensor]:
    """Return the arrays that a record keeps under a group's name, by their own, on the CPU.

    record  of `lab.store.read`, or what `lab.run.run` returned
    group   what comes first in the names of `stated(record)`; of membership "pool", and one for each release,
            such as "dm-noise-0.01"
    folder  that the files were kept in; None for the one beside the record

    RecordError, in one line, where the record keeps nothing, a file is missing, or its bytes are not those
    whose digest the record states; ValueError for a group that it has not.
    """
    folder = None if folder is None else given("folder", folder)
    if record.path is None or not (files := _files(record)):
        where = record.path or "a record in memory"
        raise RecordError(f"{where}: nothing is kept with it; `privacy-for-free keep` makes it")
    known = dict.fromkeys(name.partition("/")[0] for name in files)
    if group not in known:
        raise ValueError(f"group {group!r}: allowed are {', '.join(known)}")
    place = Folder(record.path, record.meta, folder)
    own = {name.partition("/")[2]: name for name in files if name.partition("/")[0] == group}
    return {short: place.read(name, files[name]) for short, name in own.items()}


def _files(record: Record) -> dict[str, dict]:
    entries = record.meta.get("kept") or {}
    return {name: file for entry in entries.values() for name, file in entry["files"].items()}
