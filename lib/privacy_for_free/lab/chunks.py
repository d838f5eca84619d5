"""A task in chunks: one task becomes the work of several of a cluster's workers.

An experiment's `chunks` say how (`lab.experiment.Chunks`). Chunks are saved beside the record as they come,
and a run that was cut off goes on with those that are missing; it is refused where their source has changed.
"""

import dataclasses
import hashlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.core import checkpoint as states
from privacy_for_free.core.errors import CheckpointError
from privacy_for_free.lab import definitions, memory, provenance
from privacy_for_free.lab.sidecar import IDENTITY
from privacy_for_free.lab.tasks import TaskRequest, TaskResult, declared, execute

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


@dataclasses.dataclass(frozen=True)
class Found:
    """What a chunk found, and the time and memory it took."""

    found: dict[str, object]
    seconds: float
    peak_memory_bytes: int


class Split:
    """A task in chunks. Those that are done are on disk where the task has a checkpoint, else in memory."""

    def __init__(self, request: TaskRequest, chunks: Sequence[object], identity: str, sha256: str):
        """See which are done; CheckpointError where one was with another `identity` or source of chunks."""
        self.request, self.chunks, self.identity, self.sha256 = request, chunks, identity, sha256
        self._kept: dict[int, Found] = {}
        self._done = {number for number in range(len(chunks)) if self._on_disk(number)}

    @classmethod
    def of(cls, request: TaskRequest, dataset: "Dataset", meta: Mapping[str, object]) -> "Split | None":
        """Return a task's chunks; None where it has none, or was begun as a whole and goes on as a whole."""
        spread = declared(request.experiment).chunks
        if spread is None or _begun_whole(request.checkpoint):
            return None
        chunks = spread.split(request.task, request.parameters, dataset, torch.device(request.device))
        identity = repr({key: meta[key] for key in (*IDENTITY, "source_sha256", "machine", "versions")})
        return cls(request, chunks, identity, source_sha256(request.experiment)) if chunks else None

    @property
    def missing(self) -> list[int]:
        """The numbers of the chunks that are not done."""
        return [number for number in range(len(self.chunks)) if number not in self._done]

    def keep(self, number: int, found: Found) -> None:
        """Keep what a chunk found."""
        if (path := self._path(number)) is None:
            self._kept[number] = found
        else:
            states.save(path, dataclasses.asdict(found) | {"key": self._key(number)})
        self._done.add(number)

    def results(self) -> list[Found]:
        """Return what all chunks found, in their order."""
        return [self._kept.get(number) or self._read(number) for number in range(len(self.chunks))]

    def _path(self, number: int) -> Path | None:
        if self.request.checkpoint is None:
            return None
        keeps = "kept-" if self.request.keep else ""  # what those hold that keep nothing is too little
        return self.request.checkpoint.with_suffix(f".chunk-{keeps}{number}.checkpoint")

    def _key(self, number: int) -> str:
        known = f"{self.identity} {self.sha256} {self.request.task} {self.chunks[number]}"
        return hashlib.sha256(known.encode()).hexdigest()

    def _on_disk(self, number: int) -> bool:
        path = self._path(number)
        if path is None or not path.exists():
            return False
        self._read(number)
        return True

    def _read(self, number: int) -> Found:
        try:
            state = states.load(self._path(number), self._key(number))
        except CheckpointError as error:
            others = f"{self.request.checkpoint.stem}.chunk-*.checkpoint"
            raise CheckpointError(f"{error}, or remove {others} to have these chunks done again") from error
        return Found(**{field.name: state[field.name] for field in dataclasses.fields(Found)})


def source_sha256(experiment: str) -> str | None:
    """Return the digest of the source of an experiment's chunks, None where it has none."""
    spread = declared(experiment).chunks
    return spread and definitions.digest(provenance.definitions_of(spread.roots))


def _begun_whole(checkpoint: Path | None) -> bool:
    if checkpoint is None:
        return False
    left = checkpoint.parent.glob(f"{checkpoint.stem}.*checkpoint")
    return any(not path.name.startswith(f"{checkpoint.stem}.chunk-") for path in left)


def run_chunk(request: TaskRequest, chunk: object, dataset: "Dataset") -> Found:
    """Do one chunk in this process; errors are the experiment's."""
    device, began = torch.device(request.device), time.monotonic()
    with memory.measured(device) as peak:
        spread = declared(request.experiment).chunks
        keep = {"keep": True} if request.keep else {}
        found = spread.run(chunk, request.task, request.parameters, dataset, request.seed, device, **keep)
    return Found(found, time.monotonic() - began, peak.bytes())


def finish(
    request: TaskRequest, chunks: Sequence[object], results: Sequence[Found], dataset: "Dataset"
) -> TaskResult:
    """Do what is left of a task whose chunks are done, in this process; its seconds include theirs."""
    device, began = torch.device(request.device), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / f"{request.index}.checkpoint"
        found = [result.found for result in results]
        experiment = declared(request.experiment)
        experiment.chunks.assemble(chunks, found, request.parameters, dataset, request.seed, device, state)
        assembled = time.monotonic() - began
        done = execute(dataclasses.replace(request, checkpoint=state), experiment, dataset)
    return dataclasses.replace(
        done,
        seconds=done.seconds + assembled + sum(result.seconds for result in results),
        peak_memory_bytes=max(done.peak_memory_bytes, *(result.peak_memory_bytes for result in results)),
    )
