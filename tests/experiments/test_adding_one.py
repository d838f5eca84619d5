"""An experiment is added by adding its folder: no list has to be edited."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from privacy_for_free import experiments

COPIED, NAME = "linear_dm", "added_one"
SMALL = ["pools=(4,)", "features=(2,)", "sizes=((12, 2),)", "normals=20000", "chains=50"]


@pytest.fixture
def library(root, tmp_path):
    """A copy of the library with one more experiment: the folder of another under a new name."""
    ignored = shutil.ignore_patterns("__pycache__")
    package = tmp_path / "library" / "privacy_for_free"
    shutil.copytree(root / "lib" / "privacy_for_free", package, ignore=ignored)
    folder = package / "experiments" / NAME
    shutil.copytree(package / "experiments" / COPIED, folder)
    for path in folder.rglob("*.py"):
        path.write_text(re.sub(rf"\b{COPIED}\b", NAME, path.read_text(encoding="utf-8")), encoding="utf-8")
    return package.parent


def test_a_copied_folder_is_an_experiment(library, tmp_path):
    def command(*words):
        ended = subprocess.run(
            [sys.executable, "-m", "privacy_for_free", *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(library), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    names = {line.split(":")[0] for line in command("list").splitlines()}
    assert names == {*experiments.NAMES, NAME}
    changes = [word for change in SMALL for word in ("--set", change)]
    printed = command("run", NAME, "--device", "cpu", "--results-dir", str(tmp_path / "results"), *changes)
    table, footer = printed.splitlines()
    assert table.startswith(str(tmp_path / "results" / NAME / "fashion_mnist_mini-smoke_"))
    assert footer.startswith(f"{NAME} on fashion_mnist_mini, ")
    assert "changed since" not in footer
