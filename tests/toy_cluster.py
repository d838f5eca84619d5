"""An experiment for the tests of clusters: its tasks may end the process they run in, or raise, once.

`data_root` is a folder of marks: a file FAIL or MISS or a pipe DIE, and a task's number, says what it does. A
task that is to die waits until something was written into the pipe.
"""

import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import toy
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.lab import provenance

provenance.definitions_of = lambda roots: dict(toy.DEFINITIONS)


def load(name, data_root):
    return SimpleNamespace(name=name, sha256="d" * 64, normalised=False, marks=Path(data_root))


def run(task, design, dataset, seed, device, checkpoint=None):
    with (dataset.marks / f"ran{task}").open("a") as handle:
        handle.write(f"{os.getpid()}\n")
    if checkpoint and checkpoint.exists():
        (dataset.marks / f"resumed{task}").touch()
    if (dataset.marks / f"FAIL{task}").exists():
        raise DivergenceError(f"task {task}: the loss is nan")
    if (dataset.marks / f"MISS{task}").exists():
        Path("no such file").read_text()
    die = dataset.marks / f"DIE{task}"
    if die.exists():
        if checkpoint:
            checkpoint.write_text("half done")
        die.read_text()
        die.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return toy.run(task, design, dataset, seed, device)


EXPERIMENT = replace(toy.EXPERIMENT, name="toy_cluster", module=__name__, run=run, resumable=True)
