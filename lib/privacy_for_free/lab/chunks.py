"""A task in chunks: what makes one task the work of several of a cluster's workers.

How is said by an experiment's `chunks` (`lab.experiment.Chunks`). Chunks are saved beside the record as they
come, and a run that was cut off goes on with those that are missing; it is refused where their source has
changed.
"""

import dataclasses
import hashlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.core.checkpoint import load as load_state
from privacy_for_free.core.checkpoint import save as save_state
from privacy_for_free.core.errors import CheckpointError
from privacy_for_free.lab import definitions, memory, provenance
from privacy_for_free.lab.run import TaskRequest, TaskResult, declared, execute
from privacy_for_free.lab.store import IDENTITY

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


@dataclasses.dataclass(frozen=True)
class Found:
    """What came of a chunk, and what it took."""

    found: dict[str, object]
    seconds: float
    peak_memory_bytes: int


class Split:
    """A task in chunks, and those of them that are done: on disk where the task has a checkpoint."""

    def __init__(self, job: TaskRequest, chunks: Sequence[object], identity: str, sha256: str):
        """Find what is done; CheckpointError where it was with another `identity` or source of chunks."""
        self.job, self.chunks, self.identity, self.sha256 = job, chunks, identity, sha256
        self._kept: dict[int, Found] = {}
        self._done = {number for number in range(len(chunks)) if self._on_disk(number)}

    @classmethod
    def of(cls, job: TaskRequest, dataset: "Dataset", meta: Mapping[str, object]) -> "Split | None":
        """Return a task's chunks; None where it has none, or was begun as a whole, which is gone on with."""
        spread = declared(job.experiment).chunks
        if spread is None or _begun_whole(job.checkpoint):
            return None
        chunks = spread.split(job.task, job.parameters, dataset, torch.device(job.device))
        identity = repr({key: meta[key] for key in (*IDENTITY, "source_sha256", "machine", "versions")})
        return cls(job, chunks, identity, source_sha256(job.experiment)) if chunks else None

    @property
    def missing(self) -> list[int]:
        """Numbers of the chunks that are not done."""
        return [number for number in range(len(self.chunks)) if number not in self._done]

    def keep(self, number: int, found: Found) -> None:
        """Keep what came of a chunk."""
        if (path := self._path(number)) is None:
            self._kept[number] = found
        else:
            save_state(path, dataclasses.asdict(found) | {"key": self._key(number)})
        self._done.add(number)

    def results(self) -> list[Found]:
        """Return what came of all chunks, in their order."""
        return [self._kept.get(number) or self._read(number) for number in range(len(self.chunks))]

    def _path(self, number: int) -> Path | None:
        return self.job.checkpoint and self.job.checkpoint.with_suffix(f".chunk-{number}.checkpoint")

    def _key(self, number: int) -> str:
        known = f"{self.identity} {self.sha256} {self.job.task} {self.chunks[number]}"
        return hashlib.sha256(known.encode()).hexdigest()

    def _on_disk(self, number: int) -> bool:
        path = self._path(number)
        if path is None or not path.exists():
            return False
        self._read(number)
        return True

    def _read(self, number: int) -> Found:
        try:
            state = load_state(self._path(number), self._key(number))
        except CheckpointError as error:
            others = f"{self.job.checkpoint.stem}.chunk-*.checkpoint"
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


def run_chunk(job: TaskRequest, chunk: object, dataset: "Dataset") -> Found:
    """Do one chunk, in this process; errors are the experiment's."""
    device, began = torch.device(job.device), time.monotonic()
    with memory.measured(device) as peak:
        spread = declared(job.experiment).chunks
        found = spread.run(chunk, job.task, job.parameters, dataset, job.seed, device)
    return Found(found, time.monotonic() - began, peak.bytes())


def finish(
    job: TaskRequest, chunks: Sequence[object], results: Sequence[Found], dataset: "Dataset"
) -> TaskResult:
    """Do what is left of a task when its chunks are done, in this process; seconds are those of all."""
    device, began = torch.device(job.device), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / f"{job.index}.checkpoint"
        found = [one.found for one in results]
        experiment = declared(job.experiment)
        experiment.chunks.assemble(chunks, found, job.parameters, dataset, job.seed, device, own)
        assembled = time.monotonic() - began
        done = execute(dataclasses.replace(job, checkpoint=own), experiment, dataset)
    return dataclasses.replace(
        done,
        seconds=done.seconds + assembled + sum(one.seconds for one in results),
        peak_memory_bytes=max(done.peak_memory_bytes, *(one.peak_memory_bytes for one in results)),
    )
