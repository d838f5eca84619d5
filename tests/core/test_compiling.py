"""Compiling: tried, not looked up; where it does not work the same code runs as it is, after one warning."""

import logging
import os
import subprocess
import sys

import pytest
import torch

from privacy_for_free.core import compiling

TRIED = """
import sys, torch
from privacy_for_free.core import compiling
def double(x): return 2 * x
assert compiling.compiled(double, wanted=False) is double
assert "torch._dynamo" not in sys.modules, "compiling was tried where it was not wanted"
state = torch.get_rng_state()
for _ in range(2):
    assert compiling.compiled(double)(torch.ones(2)).tolist() == [2.0, 2.0]
assert torch.equal(state, torch.get_rng_state())
assert not compiling.available()
"""


def without_headers(folder):
    """Make a g++ that finds no headers, and return a PATH that finds it first."""
    folder.mkdir()
    (folder / "g++").write_text(
        """#!/bin/sh
case "$*" in *--version*) echo "g++ 13.2"; exit 0;; esac
echo "x.cpp:1:10: fatal error: Python.h: No such file or directory" >&2; exit 1
"""
    )
    (folder / "g++").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("fault", ["no headers", "no compiler", "a space"])
def test_k5_a_compiler_that_is_there_and_does_not_work_is_one_line_and_nothing_is_compiled(
    tmp_path, fault
):  # case 46; each starts torch's compiler, which takes two seconds
    changes = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    if fault == "no headers":
        changes["PATH"], says = without_headers(tmp_path / "bin"), "Python.h: No such file or directory"
    elif fault == "no compiler":
        changes["PATH"], says = str(tmp_path / "nothing"), "No working C++ compiler found"
    else:
        folder = tmp_path / "a folder with spaces"
        folder.mkdir()
        changes = {"TMPDIR": str(folder)}
        says = f"the folder '{folder}' has a space in its name: set TMPDIR to one without"
    environment = {key: os.environ[key] for key in os.environ if key != "TORCHINDUCTOR_CACHE_DIR"}
    ended = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", TRIED],
        env=environment | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if " torch/" not in line)  # not torch's own log
    assert line.startswith("torch.compile does not work here, so nothing is compiled")
    assert says in line


def test_k5_a_function_that_turns_out_not_to_compile_runs_as_it_is(monkeypatch, caplog):  # case 46
    from torch._dynamo.exc import BackendCompilerFailed

    tried = []

    def compile(function, dynamic):
        def fails(*_):
            tried.append(dynamic)
            raise BackendCompilerFailed(compile, RuntimeError("x.cpp:3: error: no such thing\nmore"), None)

        return fails

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr(compiling, "available", lambda: True)
    double = compiling.compiled(lambda x: 2 * x)
    assert [double(torch.ones(1)).item() for _ in range(3)] == [2.0] * 3
    assert tried == [False]
    assert len(caplog.records) == 1
    assert "could not be compiled and runs as it is" in caplog.text
    assert "x.cpp:3: error: no such thing" in caplog.text
    assert issubclass(BackendCompilerFailed, compiling.errors())


def test_errors_of_a_function_are_its_own(monkeypatch, caplog):
    def refuses(x):
        raise ValueError("rate -1.0: allowed are finite numbers above 0")

    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    monkeypatch.setattr(compiling, "available", lambda: True)
    with caplog.at_level(logging.WARNING), pytest.raises(ValueError, match="rate -1"):
        compiling.compiled(refuses)(torch.ones(1))
    assert not caplog.records
