"""The README's examples run as they are printed, on what is in the repository."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
NAMES = ["lira", "condense", "private"]


@pytest.mark.parametrize("code", PYTHON, ids=NAMES)
def test_example_runs_as_printed(code, tmp_path):
    script = tmp_path / "example.py"
    script.write_text(code)
    command = [sys.executable, "-W", "error", script]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    if "imsave" in code:
        assert (tmp_path / "condensed.png").stat().st_size > 1000
    else:
        assert ended.stdout.strip()


@pytest.mark.parametrize("line", SHELL, ids=lambda line: line.split()[1])
def test_command_runs_as_printed(line, tmp_path):
    words = line.replace(".venv/bin/", f"{Path(sys.executable).parent}/").replace(
        "chapters/", f"{ROOT}/chapters/"
    )
    environment = os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    ended = subprocess.run(
        words, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_paths_that_are_named_exist():
    named = re.findall(r"`((?:lib|chapters|data|docs|tests|tools|benchmarks)/[\w./]+)`", README)
    assert named
    assert not [path for path in named if not (ROOT / path).exists() and "NAME" not in path]
