"""The tasks of an experiment on many machines: a Dask cluster that is there, or one started here.

Tasks are independent and draw their random numbers from generators of their own, so a table is bitwise that
of a run in one process on the same hardware with the same number of threads; Dask gives a worker one thread
unless OMP_NUM_THREADS says otherwise. Only measured times differ. A task whose worker dies is given to
another; finished tasks are on this machine's disk by then. A worker loads the data set from its own disk and
refuses to work where source, data, machine or versions are not the record's. Where it sees the folder of the
results, a task keeps its state there, and whoever is given the task next goes on from it.

The unit is the task: a task of `membership` is a whole size of release with all its shadows, and a cluster of
more workers than an experiment has tasks leaves some idle. A task uses all cores that its worker may use.
"""

import dataclasses
import fcntl
import importlib
import multiprocessing
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from privacy_for_free import data, devices, provenance, records
from privacy_for_free.shadows import usable_cores

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

LOCAL = "local"
ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx)://)?[^\s:/]+:\d+")
PLACE = ("device", "machine", "versions")
CONNECT_SECONDS = 30


def check(where: str, workers: int | None = None) -> str:
    """Return `where`; ValueError where that is no cluster, or a number of workers is not allowed with it."""
    if where != LOCAL and not ADDRESS.fullmatch(where):
        raise ValueError(f"cluster {where!r}: allowed are local, or an address such as tcp://host:8786")
    if workers is not None and where != LOCAL:
        raise ValueError(f"workers {workers}: allowed with cluster local only; {where} has its own")
    if workers is not None and workers < 1:
        raise ValueError(f"workers {workers}: allowed are whole numbers from 1 up")
    try:
        importlib.import_module("distributed")
    except ImportError:
        raise ValueError(f"cluster {where!r}: needs Dask: pip install 'privacy-for-free[cluster]'") from None
    return where


class Cluster:
    """Workers for `records.run`. Nothing is started or reached before there is work; close it afterwards."""

    def __init__(
        self,
        where: str,
        workers: int | None = None,
        data_root: str | os.PathLike | None = None,
        load: Callable[[str, str | None], "Dataset"] = data.load,
    ):
        """Name a cluster: "local", with so many workers (None: one a core), or a scheduler's address.

        `load(name, data_root)` is called in each worker, with that worker's disk and environment. Raises
        ValueError as `check` does.
        """
        self.where, self.workers, self.load = check(where, workers), workers, load
        self.data_root = None if data_root is None else os.path.abspath(data_root)
        self._client, self._cluster = None, None

    def __enter__(self) -> "Cluster":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Leave the cluster; stop it where it was started here."""
        for part in (self._client, self._cluster):
            if part is not None:
                part.close()
        self._client = self._cluster = None

    def place(self, experiment: ModuleType, device: str, meta: Mapping[str, object]) -> dict[str, object]:
        """Return device, machine and versions of the workers.

        RecordError where they are not all of one kind, have another source than here, or run several tasks in
        one process. Waits for the first worker.
        """
        client = self._connected(device)
        client.wait_for_workers(1)
        found = client.run(_probe, device, experiment.__name__, on_error="return")
        for address, one in found.items():
            if isinstance(one, Exception):
                raise records.RecordError(f"worker {address}: {type(one).__name__}: {one}; nothing was run")
        first, place = next(iter(found.items()))
        for address, one in found.items():
            _agree(one, {"source_sha256": meta["source_sha256"]}, f"worker {address}", "here")
            _agree(one, {key: place[key] for key in PLACE}, f"worker {address}", f"worker {first}")
        return {key: place[key] for key in PLACE}

    def work(
        self,
        experiment: ModuleType,
        dataset: "Dataset",
        jobs: Sequence[records.Job],
        meta: Mapping[str, object],
    ) -> Iterator[records.Done]:
        """Do the jobs on the cluster; yield each when it is done. What is left when this ends is called off.

        Errors of a task are those it raises here. RecordError where a task outlived too many workers, or the
        cluster is gone.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker, as_completed

        client = self._connected(meta["device"])
        wanted = {key: meta[key] for key in (*PLACE, "source_sha256", "data_sha256")}
        source = (self.load, dataset.name, self.data_root)
        run = f"{meta['experiment']}-{meta['dataset']}-{meta['profile']}-{uuid.uuid4().hex[:8]}"
        futures = [
            client.submit(_do, _absolute(job), wanted, source, key=f"{run}-{job.index}", pure=False)
            for job in jobs
        ]
        try:
            for future in as_completed(futures, loop=client.loop):
                done = future.result()
                future.release()  # else it would be done again if the worker died that still holds it
                yield done
        except KilledWorker as error:
            raise records.RecordError(
                f"{run}: a task lost one worker after another ({error}); finished tasks are kept"
            ) from error
        except (CancelledError, OSError) as error:
            raise records.RecordError(
                f"cluster {self.where}: gone in mid-run ({type(error).__name__}); finished tasks are kept, "
                "run it again to go on"
            ) from error
        finally:
            client.cancel(futures)

    def _connected(self, device: str) -> object:
        if self._client is not None:
            return self._client
        import dask
        from distributed import Client, LocalCluster

        if self.where != LOCAL:
            try:
                self._client = Client(self.where, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                raise records.RecordError(
                    f"cluster {self.where}: no scheduler answers there ({type(error).__name__}); nothing "
                    "was run"
                ) from error
            return self._client
        number = self.workers or (1 if devices.resolve(device).type == "cuda" else usable_cores())
        with dask.config.set({"distributed.scheduler.worker-saturation": 1.0}):
            self._cluster = LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # a free port for what Dask serves besides
                scheduler_kwargs={"dashboard": False},
                memory_limit=None,  # Dask would kill what takes more than its share
                env={"TQDM_DISABLE": "1"},  # one bar, that of this process
            )
        self._client = Client(self._cluster, set_as_default=False)
        self._client.register_plugin(_share(number))
        return self._client


def _share(number: int) -> object:
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


def _absolute(job: records.Job) -> records.Job:
    return dataclasses.replace(job, checkpoint=job.checkpoint and job.checkpoint.absolute())


def _probe(device: str, experiment: str, dask_worker: object) -> dict[str, object]:
    """In a worker, outside a task: Dask fills in `dask_worker`."""
    return _here(device, experiment, dask_worker)


def _here(device: str, experiment: str, worker: object) -> dict[str, object]:
    """In a worker: what it is; RecordError where it runs several tasks in one process."""
    threads = worker.state.nthreads
    if threads != 1:
        raise records.RecordError(f"runs {threads} tasks at a time; start workers with --nthreads 1")
    importlib.import_module(experiment)
    place = devices.resolve(device)
    return {
        "device": place.type,
        "machine": provenance.machine(place),
        "versions": provenance.versions(),
        "source_sha256": _source_sha256(experiment),
    }


@lru_cache
def _source_sha256(experiment: str) -> str:
    return provenance.source_sha256(experiment)


@lru_cache(maxsize=1)
def _loaded(load: Callable, name: str, data_root: str | None) -> "Dataset":
    return load(name, data_root)


def _agree(found: Mapping[str, object], wanted: Mapping[str, object], who: str, other: str) -> None:
    differing = [f"{key} {found[key]}, {other} {wanted[key]}" for key in wanted if found[key] != wanted[key]]
    if differing:
        raise records.RecordError(
            f"{who}: {'; '.join(differing)}. A record is of one source, one data set and one kind of machine"
        )


def _do(job: records.Job, wanted: Mapping[str, object], source: tuple) -> records.Done:
    """In a worker: one task, after a look at whether this worker may do it."""
    from distributed import get_worker

    worker = get_worker()
    who = f"worker {worker.address}"
    found = _here(job.device, job.experiment, worker)
    dataset = _loaded(*source)
    _agree(found | {"data_sha256": records.data_sha256(dataset)}, wanted, who, "the record's")
    multiprocessing.current_process().daemon = False  # a task may start processes of its own
    torch.set_grad_enabled(True)
    with _claimed(job.checkpoint) as checkpoint:
        own = dataclasses.replace(job, checkpoint=checkpoint)
        return records.do(own, importlib.import_module(job.experiment), dataset)


@contextmanager
def _claimed(checkpoint: Path | None) -> Iterator[Path | None]:
    """Hand over a task's checkpoint; None where this host does not see the run's folder, or another has it.

    The latter happens when a worker was given up for lost but is not.
    """
    if checkpoint is None or not checkpoint.with_name(checkpoint.name.partition(".")[0] + ".lock").exists():
        yield None
        return
    with checkpoint.with_suffix(".claim.checkpoint").open("w") as handle:  # goes with the task's other files
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
        else:
            yield checkpoint
