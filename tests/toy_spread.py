"""An experiment whose tasks have chunks, a number each, for the tests of clusters.

`data_root` is a folder of marks, as for `toy_cluster`: a pipe named DIE and a piece of work ends its process.
"""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch

import toy
from privacy_for_free.core.randomness import generator
from privacy_for_free.lab import provenance
from privacy_for_free.lab.experiment import Chunks, columns

CHUNKS = 4
provenance.definitions_of = lambda roots: dict(toy.DEFINITIONS)


def load(name, data_root):
    return SimpleNamespace(name=name, sha256="d" * 64, normalised=False, marks=Path(data_root))


def tasks(design, dataset):
    return [0, 1]


def value(task, chunk, seed):
    return float(torch.randn((), generator=generator(seed, "toy", task, chunk), dtype=torch.float64))


def mark(dataset, work):
    """Note who does a piece of work; end this process where that is wanted."""
    with (dataset.marks / f"ran{work}").open("a") as handle:
        handle.write(f"{os.getpid()}\n")
    die = dataset.marks / f"DIE{work}"
    if die.exists():
        die.read_text()
        die.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def run(task, design, dataset, seed, device, checkpoint=None, keep=None):
    mark(dataset, task)
    if checkpoint is not None and checkpoint.exists():
        values = json.loads(checkpoint.read_text())
    else:
        values = [value(task, chunk, seed) for chunk in range(CHUNKS)]
    if keep is not None:
        keep(f"task-{task}", values=torch.tensor(values, dtype=torch.float64))
    return [{"value": each} for each in values]


def kept(task, design, dataset):
    return {f"task-{task}/values": ("float64", (CHUNKS,))}


def split(task, design, dataset, device):
    return list(range(CHUNKS))


def run_chunk(chunk, task, design, dataset, seed, device, keep=False):
    mark(dataset, f"{task}-{chunk}")
    return {"value": value(task, chunk, seed)}


def assemble(chunks, found, design, dataset, seed, device, checkpoint):
    checkpoint.write_text(json.dumps([each["value"] for each in found]))


EXPERIMENT = replace(
    toy.EXPERIMENT,
    name="toy_spread",
    module=__name__,
    columns=columns("value", "made up"),
    tasks=tasks,
    run=run,
    resumable=True,
    kept=kept,
    chunks=Chunks(split, run_chunk, assemble),
)
