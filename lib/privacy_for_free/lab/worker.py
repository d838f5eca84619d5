"""What a worker of a cluster runs: a task or a chunk of a task, once it has checked that it may.

A worker loads the data set from its own disk and refuses to work where source, data, machine or versions are
not the record's.
"""

import dataclasses
import fcntl
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.core import devices
from privacy_for_free.lab import chunks, provenance
from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.tasks import TaskRequest, TaskResult, declared, execute

if TYPE_CHECKING:
    from distributed import Worker

    from privacy_for_free.data import Dataset


def here(device: str, experiment: str, dask_worker: "Worker") -> dict[str, object]:
    """Return device, machine and versions of this worker, and the digest of an experiment's source there.

    `experiment` is the module that declares it. Dask fills in `dask_worker` where a client runs this. Raises
    RecordError where the worker runs several tasks in one process.
    """
    threads = dask_worker.state.nthreads
    if threads != 1:
        raise RecordError(f"runs {threads} tasks at a time; start workers with --nthreads 1")
    place = devices.resolve(device)
    return {
        "device": place.type,
        "machine": provenance.machine(place),
        "versions": provenance.versions(),
        "source_sha256": provenance.source(declared(experiment))["source_sha256"],
    }


@lru_cache(maxsize=1)
def _loaded(load: Callable, name: str, data_root: str | None) -> "Dataset":
    return load(name, data_root)


def agree(found: Mapping[str, object], wanted: Mapping[str, object], who: str, other: str) -> None:
    """Raise RecordError where `who` has not found what `other` has wanted, and name what differs."""
    differing = [f"{key} {found[key]}, {other} {wanted[key]}" for key in wanted if found[key] != wanted[key]]
    if differing:
        raise RecordError(
            f"{who}: {'; '.join(differing)}. A record is of one source, one data set and one kind of machine"
        )


def do(request: TaskRequest, wanted: Mapping[str, object], source: tuple) -> TaskResult:
    """Do a task.

    `wanted` is what the record states of place, source and data; `source` says how the data set is loaded:
    function, name and folder. Raises RecordError where this worker has something else.
    """
    dataset = ready(request, wanted, source)
    with claimed(request.checkpoint) as checkpoint:
        allowed = dataclasses.replace(request, checkpoint=checkpoint)
        return execute(allowed, declared(request.experiment), dataset)


def do_chunk(
    request: TaskRequest, chunk: object, sha256: str, wanted: Mapping[str, object], source: tuple
) -> chunks.Found:
    """Do a chunk of a task; `sha256` is the digest of the source of chunks.

    `wanted` is what the record states of place, source and data; `source` says how the data set is loaded:
    function, name and folder. Raises RecordError where this worker has something else.
    """
    dataset = ready(request, wanted, source)
    _check_chunks(request, sha256)
    return chunks.run_chunk(request, chunk, dataset)


def do_last(
    request: TaskRequest,
    done: Sequence[object],
    found: Sequence[chunks.Found],
    sha256: str,
    wanted: Mapping[str, object],
    source: tuple,
) -> TaskResult:
    """Return the rows of a task from its chunks `done` and what each of them `found`.

    `sha256` is the digest of the source of chunks. `wanted` is what the record states of place, source and
    data; `source` says how the data set is loaded: function, name and folder. Raises RecordError where this
    worker has something else.
    """
    dataset = ready(request, wanted, source)
    _check_chunks(request, sha256)
    return chunks.finish(request, done, found, dataset)


def _check_chunks(request: TaskRequest, sha256: str) -> None:
    found = {"source_sha256": chunks.source_sha256(request.experiment)}
    agree(found, {"source_sha256": sha256}, "a worker's chunks", "here")


def ready(request: TaskRequest, wanted: Mapping[str, object], source: tuple) -> "Dataset":
    """Return this worker's data set; RecordError where data, source or machine are not the record's."""
    from distributed import get_worker

    worker = get_worker()
    found = here(request.device, request.experiment, worker)
    dataset = _loaded(*source)
    found |= {"data_sha256": provenance.data_sha256(dataset)}
    agree(found, wanted, f"worker {worker.address}", "the record's")
    multiprocessing.current_process().daemon = False  # a task may start processes of its own
    torch.set_grad_enabled(True)
    return dataset


@contextmanager
def claimed(checkpoint: Path | None) -> Iterator[Path | None]:
    """Yield a task's checkpoint; None where this host cannot write beside it, or another worker has it.

    Another worker has it when it was given up for lost but still runs.
    """
    claim = None
    with suppress(OSError):
        if checkpoint and checkpoint.with_name(checkpoint.name.partition(".")[0] + ".lock").exists():
            claim = checkpoint.with_suffix(".claim.checkpoint").open("w")  # removed with the task's files
    if claim is None:
        yield None
        return
    with claim as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
        else:
            yield checkpoint


def share(number: int) -> object:
    """Return a plugin that keeps each local worker, and what it starts, on cores of its own."""
    from distributed import WorkerPlugin

    class Share(WorkerPlugin):
        name = "share of the cores"

        def setup(self, worker: object) -> None:
            if hasattr(os, "sched_setaffinity"):
                cores, place = sorted(os.sched_getaffinity(0)), int(worker.name)
                share = cores[place * len(cores) // number : (place + 1) * len(cores) // number]
                os.sched_setaffinity(0, share or [cores[place % len(cores)]])

    return Share()
