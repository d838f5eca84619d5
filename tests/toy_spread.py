"""An experiment whose tasks have chunks, for the tests of clusters; `toy_spread_chunks` knows them.

`data_root` is a folder of marks, as for `toy_cluster`: a pipe named DIE and a piece of work ends its process.
"""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.lab import provenance
from toy import PROFILES, Parameters  # noqa: F401

NAME = "toy_spread"
COLUMNS = ("value",)
CHUNKS = 4
provenance.source_sha256 = lambda module: "s" * 64


def load(name, data_root):
    return SimpleNamespace(name=name, sha256="d" * 64, normalised=False, marks=Path(data_root))


def tasks(parameters, dataset):
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


def run_task(task, parameters, dataset, seed, device, checkpoint=None):
    mark(dataset, task)
    if checkpoint is not None and checkpoint.exists():
        values = json.loads(checkpoint.read_text())
    else:
        values = [value(task, chunk, seed) for chunk in range(CHUNKS)]
    return [{"value": one} for one in values]
