"""Run some tasks of an experiment and print their rows, by this version of the library or an older one.

`lab.attest` starts it in a process of its own, with the library it is to run first on the path:

    PYTHONPATH=CHECKOUT/lib python probe.py < request.json > answer.json

It imports nothing of the version that it belongs to. The request names experiment, dataset, data_root,
profile, changes (dotted names), seed, which tasks ("all", or numbers), and whether to note the functions that
are called. The answer has the digests of the source, the columns, the tasks by their text, the rows of those
that ran as lines of CSV, and the functions. Versions from before there were declarations are understood too.
"""

import dataclasses
import importlib
import json
import os
import sys
from contextlib import contextmanager, redirect_stdout

PACKAGE = "privacy_for_free"


def changed(settings: object, changes: dict[str, object]) -> object:
    """Return a dataclass with the fields changed that dotted names say; lists become tuples."""
    for name, value in changes.items():
        first, _, rest = name.partition(".")
        inner = changed(getattr(settings, first), {rest: value}) if rest else _tuples(value)
        settings = dataclasses.replace(settings, **{first: inner})
    return settings


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def cpu() -> object:
    """Return the device that everything runs on."""
    return importlib.import_module("torch").device("cpu")


class Declared:
    """An experiment that is declared, and the library around it."""

    def __init__(self, name: str):
        """Import it."""
        self.experiment = importlib.import_module(f"{PACKAGE}.experiments.{name}").EXPERIMENT
        self.columns, self.profiles = self.experiment.column_names, self.experiment.profiles
        self.tasks = self.experiment.tasks

    def source(self) -> dict[str, object]:
        """Return the digest of its source, and of every definition."""
        return importlib.import_module(f"{PACKAGE}.lab.provenance").source(self.experiment)

    def machine(self) -> str:
        """Return what the last bits of a result depend on here."""
        return importlib.import_module(f"{PACKAGE}.lab.provenance").machine(cpu())

    def block(self, index: int, task: object, *given: object) -> str:
        """Run one task; return its rows as lines of CSV."""
        rows, text = self.experiment.run(task, *given), importlib.import_module(f"{PACKAGE}.lab.table_text")
        return text.block(rows, self.columns, index, self.experiment.sparse)


class Module:
    """An experiment that is a module, as they all were before there were declarations."""

    def __init__(self, name: str):
        """Import it."""
        self.module = importlib.import_module(f"{PACKAGE}.experiments.{name}")
        self.columns, self.profiles, self.tasks = self.module.COLUMNS, self.module.PROFILES, self.module.tasks

    def source(self) -> dict[str, object]:
        """Return the digest of its source."""
        provenance = importlib.import_module(f"{PACKAGE}.provenance")
        return {"source_sha256": provenance.source_sha256(self.module.__name__), "definitions": None}

    def machine(self) -> str:
        """Return what the last bits of a result depend on here."""
        return importlib.import_module(f"{PACKAGE}.provenance").machine(cpu())

    def block(self, index: int, task: object, *given: object) -> str:
        """Run one task; return its rows as lines of CSV."""
        rows = self.module.run_task(task, *given)
        return importlib.import_module(f"{PACKAGE}.records")._block(rows, self.columns, index)


def opened(name: str) -> Declared | Module:
    """Return an experiment of the library that is first on the path."""
    module = importlib.import_module(f"{PACKAGE}.experiments.{name}")
    return (Declared if hasattr(module, "EXPERIMENT") else Module)(name)


@contextmanager
def noted(wanted: bool, into: set[str]):
    """Note the package's functions that are called in here, as "module:name"."""

    def note(frame, event, _):
        if event == "call" and (module := frame.f_globals.get("__name__", "")).startswith(PACKAGE):
            into.add(f"{module}:{frame.f_code.co_qualname.partition('.')[0]}")

    sys.setprofile(note if wanted else None)
    try:
        yield
    finally:
        sys.setprofile(None)


def answer(request: dict[str, object]) -> dict[str, object]:
    """Do what a request asks for."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    data = importlib.import_module(f"{PACKAGE}.data")
    experiment = opened(request["experiment"])
    dataset = data.load(request["dataset"], request["data_root"])
    design = changed(experiment.profiles[request["profile"]], request["changes"])
    calls: set[str] = set()
    blocks = {}
    with noted(request["note_calls"], calls):
        tasks = experiment.tasks(design, dataset)
        wanted = range(len(tasks)) if request["tasks"] == "all" else request["tasks"]
        for index in wanted:
            given = (design, dataset, request["seed"], cpu())
            blocks[index] = experiment.block(index, tasks[index], *given)
    return {
        **experiment.source(),
        "columns": list(experiment.columns),
        "tasks": [repr(tuple(task) if isinstance(task, tuple) else task) for task in tasks],
        "blocks": blocks,
        "calls": sorted(calls),
        "machine": experiment.machine(),
    }


if __name__ == "__main__":
    out = sys.stdout
    with redirect_stdout(sys.stderr):
        found = answer(json.load(sys.stdin))
    json.dump(found, out)
