"""The tasks of an experiment on many machines: a Dask cluster that exists, or one that is started here.

Tasks are independent and draw their random numbers from generators of their own, so a table is bitwise that
of a run in one process on the same hardware with the same number of threads; Dask gives a worker one thread
unless OMP_NUM_THREADS says otherwise. Only measured times differ. A task whose worker dies is given to
another; finished tasks are on this machine's disk by then. A worker loads the data set from its own disk and
refuses to work where source, data, machine or versions are not the record's. Where a worker sees the folder
of the results, a task keeps its state there, and the worker that is given the task next goes on from it.

Spread are tasks and, where an experiment has them (`lab.chunks`), chunks of a task. A killed worker costs the
task or chunk that it had in hand. A task or chunk uses all cores that its worker may use.
"""

import dataclasses
import importlib
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from privacy_for_free import data
from privacy_for_free.core import devices, progress, validate
from privacy_for_free.core.paths import given
from privacy_for_free.lab import chunks, worker
from privacy_for_free.lab.experiment import Experiment
from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.tasks import TaskRequest, TaskResult

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

LOCAL = "local"
ADDRESS = re.compile(r"((tcp|tls|ws|wss)://)?[^\s:/]+:\d+")
PLACE = ("device", "machine", "versions")  # the keys of a sidecar that say where tasks are done
CONNECT_SECONDS = 30
ATTEMPTS = 4  # at putting a task's chunks together: each may lose its worker
WAITS = (1, 5, 30)  # seconds that the cluster is given to notice that a worker has gone


def check(where: str, workers: int | None = None) -> str:
    """Return `where`; ValueError if that is no cluster, or if so many workers are not allowed with it."""
    if not isinstance(where, str) or (where != LOCAL and not ADDRESS.fullmatch(where)):
        raise ValueError(f"cluster {where!r}: allowed are local, or an address such as tcp://host:8786")
    if workers is not None and where != LOCAL:
        raise ValueError(f"workers {workers}: allowed with cluster local only; {where} has its own")
    if workers is not None:
        validate.whole("workers", workers, 1)
    try:
        importlib.import_module("distributed")
    except ImportError:
        raise ValueError(
            f"cluster {where!r}: needs Dask: pip install -e '.[cluster]' in a checkout"
        ) from None
    if where.startswith(("tls://", "wss://")):
        _check_certificates(where)
    return where


def _check_certificates(where: str) -> None:
    """Raise ValueError where Dask is configured without the certificates that `where` demands."""
    from distributed import Security

    try:
        context = Security().get_connection_args("client")["ssl_context"]
    except OSError as error:
        raise ValueError(f"cluster {where!r}: certificates cannot be read ({error})") from error
    if context is None:
        raise ValueError(
            f"cluster {where!r}: Dask's configuration names no certificates (distributed.comm.tls); allowed "
            "without any are tcp:// and ws://"
        )


class Cluster:
    """Workers for `lab.run.run`.

    Nothing is started or connected to before there is work; close the cluster afterwards, or use it in a
    `with` statement.
    """

    def __init__(
        self,
        where: str,
        workers: int | None = None,
        data_root: str | os.PathLike | None = None,
        load: Callable[[str, str | None], "Dataset"] = data.load,
        progress: bool = False,
    ):
        """Name a cluster: "local", with so many workers (None: one per core), or a scheduler's address.

        `load(name, data_root)` is called in each worker, with that worker's disk and environment. `progress`
        shows a bar for the chunks of tasks that are spread in chunks. Raises ValueError as `check` does.
        """
        self.data_root = None if data_root is None else os.path.abspath(given("data_root", data_root))
        self.where, self.load = check(where, workers), load
        self.workers = None if workers is None else validate.whole("workers", workers, 1)
        self.progress = progress
        self._client, self._cluster = None, None

    def __enter__(self) -> "Cluster":
        """Return the cluster itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the cluster."""
        self.close()

    def close(self) -> None:
        """Leave the cluster; stop it where it was started here."""
        for connection in (self._client, self._cluster):
            if connection is not None:
                connection.close()
        self._client = self._cluster = None

    def describe(self, experiment: Experiment, device: str, meta: Mapping[str, object]) -> dict[str, object]:
        """Return device, machine and versions of the workers.

        Waits for the first worker. Raises RecordError where the workers are not all of one kind, have another
        source than this process, or run several tasks in one process.
        """
        client = self.connect(device)
        try:
            if not client.nthreads():
                print(f"cluster {self.where}: waiting for a worker", file=sys.stderr, flush=True)  # noqa: T201
            client.wait_for_workers(1)
            answers = client.run(worker.here, device, experiment.module, on_error="return")
        except OSError as error:
            raise RecordError(f"cluster {self.where}: gone ({error}); nothing was run") from error
        if not answers:
            raise RecordError(f"cluster {self.where}: its workers have left; nothing was run")
        for address, answer in answers.items():
            if isinstance(answer, Exception):
                raise RecordError(f"worker {address}: {type(answer).__name__}: {answer}; nothing was run")
        first, place = next(iter(answers.items()))
        for address, answer in answers.items():
            worker.agree(answer, {"source_sha256": meta["source_sha256"]}, f"worker {address}", "here")
            worker.agree(answer, {key: place[key] for key in PLACE}, f"worker {address}", f"worker {first}")
        return {key: place[key] for key in PLACE}

    def execute(
        self,
        experiment: Experiment,
        dataset: "Dataset",
        requests: Sequence[TaskRequest],
        meta: Mapping[str, object],
    ) -> Iterator[TaskResult]:
        """Do the tasks on the cluster; yield each when it is done. What is left when this ends is called off.

        A task's errors are raised here as they are, except for an OSError: that becomes a RecordError with
        its text. So does a task that loses one worker after another, and a cluster that has gone.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        client = self.connect(meta["device"])
        wanted = {key: meta[key] for key in (*PLACE, "source_sha256", "data_sha256")}
        run = f"{meta['experiment']}-{meta['dataset']}-{meta['profile']}-{uuid.uuid4().hex[:8]}"
        sent = _Sent(client, run, wanted, (self.load, dataset.name, self.data_root))
        try:
            splits = {}
            for request in map(_absolute, requests):
                if split := chunks.Split.of(request, dataset, meta):
                    splits[request.index] = split
                    sent.missing(split)
                else:
                    sent.whole(request)
            total = sum(len(split.chunks) for split in splits.values())
            left = sum(len(split.missing) for split in splits.values())
            with progress.counter(total - left, total, self.progress, "chunks") as advance:
                for index, number, result in sent.results():
                    if number is None:
                        yield result
                        continue
                    splits[index].keep(number, result)
                    advance()
                    if not splits[index].missing:
                        sent.last(splits[index])
        except KilledWorker as error:
            raise RecordError(
                f"{run}: a task lost one worker after another ({error}); finished tasks are kept"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise RecordError(
                f"cluster {self.where}: gone in mid-run ({type(error).__name__}); finished tasks are kept, "
                "run it again to go on"
            ) from error
        except OSError as error:
            raise RecordError(
                f"{run}: stopped with {type(error).__name__}: {error}; finished tasks are kept, run it again "
                "to go on"
            ) from error
        finally:
            sent.call_off()

    def connect(self, device: str) -> object:
        """Return Dask's client; the first call connects, and starts the cluster if it is local."""
        if self._client is not None:
            return self._client
        import dask
        from distributed import Client, LocalCluster

        if self.where != LOCAL:
            try:
                self._client = Client(self.where, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                raise RecordError(
                    f"cluster {self.where}: no scheduler answers there ({error}); nothing was run"
                ) from error
            return self._client
        number = self.workers or (1 if devices.resolve(device).type == "cuda" else devices.usable_cores())
        with dask.config.set({"distributed.scheduler.worker-saturation": 1.0}):
            self._cluster = LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # a free port for what else Dask serves
                scheduler_kwargs={"dashboard": False},
                memory_limit=None,  # Dask would kill a worker that takes more than its share
                env={"TQDM_DISABLE": "1"},  # this process shows the only bar
            )
        self._client = Client(self._cluster, set_as_default=False)
        self._client.register_plugin(worker.share(number))
        return self._client


class _Sent:
    """What was sent to the workers of a run and has not come back."""

    def __init__(self, client: object, run: str, wanted: Mapping[str, object], source: tuple):
        """Name the run; nothing is sent."""
        self.client, self.run, self.common = client, run, (wanted, source)
        self.owners: dict[object, tuple[int, int | None]] = {}  # future -> task, chunk
        self.lasts: dict[int, tuple[chunks.Split, int]] = {}  # task -> its chunks, times sent
        self.new: list[object] = []

    def whole(self, request: TaskRequest) -> None:
        """Send a task."""
        self._send(request.index, None, str(request.index), worker.do, request)

    def missing(self, split: chunks.Split) -> None:
        """Send those of a task's chunks that are missing; if none is, send the step that follows them."""
        for number in split.missing:
            key = f"{split.request.index}-chunk-{number}"
            given = (split.request, split.chunks[number], split.sha256)
            self._send(split.request.index, number, key, worker.do_chunk, *given)
        if not split.missing:
            self.last(split)

    def last(self, split: chunks.Split) -> None:
        """Send the results of all chunks of a task, from which a worker makes the task's rows."""
        index, (_, times) = split.request.index, self.lasts.get(split.request.index, (None, 0))
        self.lasts[index] = split, times + 1
        given = (split.request, split.chunks, self._placed(split.results()), split.sha256)
        self._send(index, None, f"{index}-last-{times}", worker.do_last, *given)

    def _placed(self, results: Sequence[chunks.Found]) -> object:
        """Hand the results of chunks to a worker; to another one if that one is just dying."""
        for wait in (*WAITS, None):
            try:
                return self.client.scatter([results], hash=False)[0]
            except OSError:
                if wait is None or self.client.status != "running":
                    raise
                time.sleep(wait)

    def results(self) -> Iterator[tuple[int, int | None, object]]:
        """Yield task, chunk (None for the rows of a task) and result, as they come, until all are there."""
        from concurrent.futures import CancelledError

        from distributed import as_completed

        coming = as_completed(loop=self.client.loop)
        while self.owners:
            coming.update(self.new)
            self.new.clear()
            future = next(coming)
            index, number = self.owners.pop(future)
            try:
                result = future.result()
            except CancelledError:
                split, times = self.lasts.get(index, (None, ATTEMPTS))
                if times >= ATTEMPTS or self.client.status != "running":
                    raise
                self.last(split)  # the results died with the worker that held them; this process has them
                continue
            future.release()  # if the worker that still holds it died, it would be done again
            yield index, number, result

    def call_off(self) -> None:
        """Cancel what has not come back."""
        self.client.cancel(list(self.owners))

    def _send(self, index: int, number: int | None, key: str, function: Callable, *given: object) -> None:
        future = self.client.submit(function, *given, *self.common, key=f"{self.run}-{key}", pure=False)
        self.owners[future] = index, number
        self.new.append(future)


def _absolute(request: TaskRequest) -> TaskRequest:
    return dataclasses.replace(request, checkpoint=request.checkpoint and request.checkpoint.absolute())
