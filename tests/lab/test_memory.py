"""The memory a record states: this process's peak, begun anew for each piece of work, and its children's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from privacy_for_free.lab import memory

MB = 1024**2
CPU = torch.device("cpu")


def test_peak_holds_what_was_freed_again_and_begins_anew():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux: elsewhere the peak is that of the whole process")
    with memory.measured(CPU) as first:
        held = torch.ones(300 * MB, dtype=torch.uint8)
        del held
    with memory.measured(CPU) as second:
        pass
    assert first.bytes() > second.bytes()
    before = second.bytes()
    with memory.measured(CPU) as third:
        held = torch.ones(300 * MB, dtype=torch.uint8)
        del held
        inside = third.bytes()
    assert 290 * MB < inside - before < 310 * MB


def test_children_count():
    if not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists():
        pytest.skip("needs Linux that lists a process's children")
    program = "held = bytearray(b'x') * (200 << 20); print('ready', flush=True); input()"
    with memory.measured(CPU) as peak:
        alone = peak.bytes()
        command = [sys.executable, "-c", program]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "ready\n"
            peak.look()
            child.communicate("\n")
        assert 190 * MB < peak.bytes() - alone < 260 * MB


def test_process_that_ends_while_it_is_looked_at_has_no_children(monkeypatch):
    def vanished(self, pattern):
        yield from ()
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "glob", vanished)
    with memory.measured(CPU) as peak:
        peak.look()
    assert peak.bytes() > 0
