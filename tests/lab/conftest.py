"""A small experiment, and runs of it."""

import importlib.util
import sys
from pathlib import Path

import pytest

from privacy_for_free.lab import provenance
from privacy_for_free.lab.run import run

TOY = Path(__file__).parents[1] / "toy.py"


@pytest.fixture
def toy(monkeypatch):
    """The module of `tests/toy.py`, made anew: a test may change what is in it."""
    spec = importlib.util.spec_from_file_location("toy", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(provenance, "definitions_of", lambda roots: dict(module.DEFINITIONS))
    monkeypatch.setitem(sys.modules, "privacy_for_free.experiments.toy", module)
    return module


@pytest.fixture
def make(toy):
    """Return a function that makes the toy's record in a folder, of the laptop profile if not told others."""

    def make(folder, **options):
        return run(
            toy.EXPERIMENT,
            toy.DATA,
            results_dir=folder,
            **{"profile": "laptop", "shown": False, **options},
        )

    return make


@pytest.fixture
def snapshot():
    """Return a function that reads all files of a folder."""
    return lambda folder: {
        path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()
    }
