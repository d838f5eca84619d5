import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from privacy_for_free.data import torchvision_import


@pytest.fixture(params=["_C_stable", "_C"])  # the extension's name since torchvision 0.29, and before
def extension(request):
    return request.param


@pytest.fixture
def unimported(monkeypatch, extension):
    """Torchvision as installed but not imported: a stand-in for its package and for what imports it."""
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    origin = str(Path("somewhere") / "torchvision" / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin=origin))
    monkeypatch.setattr(importlib, "import_module", lambda name: f"module {name}")
    spec = SimpleNamespace(origin=str(Path("somewhere") / "torchvision" / f"{extension}.so"))
    monkeypatch.setattr(
        importlib.machinery.PathFinder,
        "find_spec",
        lambda name, path: (
            spec if (name, path) == (extension, [str(Path("somewhere") / "torchvision")]) else None
        ),
    )


@pytest.mark.parametrize("loads", [True, False])
def test_schemas_are_declared_only_where_the_extension_does_not_load(
    unimported, monkeypatch, extension, loads
):
    declared, tried = [], []

    def load_library(path):
        tried.append(path)
        if not loads:
            raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(torch.ops, "load_library", load_library)
    monkeypatch.setattr(torchvision_import, "_declare_operators", lambda: declared.append(True))
    assert torchvision_import.import_torchvision() == "module torchvision"
    assert tried == [str(Path("somewhere") / "torchvision" / f"{extension}.so")]
    assert declared == ([] if loads else [True])


def test_an_imported_torchvision_is_left_alone(monkeypatch):
    stand_in = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "torchvision", stand_in)
    monkeypatch.setattr(
        torchvision_import, "_extension_loads", lambda package: pytest.fail("tried the extension")
    )
    assert torchvision_import.import_torchvision() is stand_in


@pytest.mark.parametrize("attempt_first", [False, True])
def test_the_import_works_also_after_a_plain_one_failed(attempt_first):
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs the package torchvision: pip install -e '.[data]'")
    program = """
import contextlib
from privacy_for_free.data.torchvision_import import import_torchvision
if ATTEMPT:
    with contextlib.suppress(RuntimeError):
        import torchvision
assert import_torchvision() is import_torchvision()
print(import_torchvision().datasets.CIFAR10.__name__)
"""
    library = str(Path(torchvision_import.__file__).parents[1])
    command = [sys.executable, "-W", "error", "-c", program.replace("ATTEMPT", str(attempt_first))]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=library)
    assert output.stdout == "CIFAR10\n"
