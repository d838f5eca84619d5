"""What a worker of a cluster runs: a task or a chunk of one, after a look at whether it may.

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
from privacy_for_free.lab.run import TaskRequest, TaskResult, declared, execute

if TYPE_CHECKING:
    from distributed import Worker

    from privacy_for_free.data import Dataset


def here(device: str, experiment: str, dask_worker: "Worker") -> dict[str, object]:
    """Return device, machine and versions of this worker, and the digest of its source of an experiment.

    Dask fills in `dask_worker` where a client runs this. RecordError where it runs several tasks in one
    process.
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
    """RecordError that names what was found at `who` and is not what `other` has, for the keys wanted."""
    differing = [f"{key} {found[key]}, {other} {wanted[key]}" for key in wanted if found[key] != wanted[key]]
    if differing:
        raise RecordError(
            f"{who}: {'; '.join(differing)}. A record is of one source, one data set and one kind of machine"
        )


def do(job: TaskRequest, wanted: Mapping[str, object], source: tuple) -> TaskResult:
    """Do a task.

    `wanted` is what the record says of place, source and data, `source` what `_loaded` takes. RecordError
    where this worker has something else.
    """
    dataset = _ready(job, wanted, source)
    with claimed(job.checkpoint) as checkpoint:
        own = dataclasses.replace(job, checkpoint=checkpoint)
        return execute(own, declared(job.experiment), dataset)


def do_chunk(
    job: TaskRequest, chunk: object, sha256: str, wanted: Mapping[str, object], source: tuple
) -> chunks.Found:
    """Do a chunk of a task, by a source of chunks with this digest.

    `wanted` is what the record says of place, source and data, `source` what `_loaded` takes.
    """
    dataset = _ready(job, wanted, source)
    _check_chunks(job, sha256)
    return chunks.run_chunk(job, chunk, dataset)


def do_last(
    job: TaskRequest,
    done: Sequence[object],
    found: Sequence[chunks.Found],
    sha256: str,
    wanted: Mapping[str, object],
    source: tuple,
) -> TaskResult:
    """Return the rows of a task whose chunks are done, and what each found.

    `wanted` is what the record says of place, source and data, `source` what `_loaded` takes.
    """
    dataset = _ready(job, wanted, source)
    _check_chunks(job, sha256)
    return chunks.finish(job, done, found, dataset)


def _check_chunks(job: TaskRequest, sha256: str) -> None:
    found = {"source_sha256": chunks.source_sha256(job.experiment)}
    agree(found, {"source_sha256": sha256}, "a worker's chunks", "here")


def _ready(job: TaskRequest, wanted: Mapping[str, object], source: tuple) -> "Dataset":
    """Return this worker's data set; RecordError where data, source or machine are not the record's."""
    from distributed import get_worker

    worker = get_worker()
    found = here(job.device, job.experiment, worker)
    dataset = _loaded(*source)
    known = found | {"data_sha256": provenance.data_sha256(dataset)}
    agree(known, wanted, f"worker {worker.address}", "the record's")
    multiprocessing.current_process().daemon = False  # a task may start processes of its own
    torch.set_grad_enabled(True)
    return dataset


@contextmanager
def claimed(checkpoint: Path | None) -> Iterator[Path | None]:
    """Hand over a task's checkpoint; None where this host cannot write beside it, or another has it.

    The latter happens when a worker was given up for lost but is not.
    """
    claim = None
    with suppress(OSError):
        if checkpoint and checkpoint.with_name(checkpoint.name.partition(".")[0] + ".lock").exists():
            claim = checkpoint.with_suffix(".claim.checkpoint").open("w")  # goes with the task's other files
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
                cores, own = sorted(os.sched_getaffinity(0)), int(worker.name)
                share = cores[own * len(cores) // number : (own + 1) * len(cores) // number]
                os.sched_setaffinity(0, share or [cores[own % len(cores)]])

    return Share()
