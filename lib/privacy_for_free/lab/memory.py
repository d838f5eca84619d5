"""How much memory a piece of work took at most, with the processes that it started.

On a GPU that is the largest allocation there. On a CPU it is the largest resident set of this process or,
where it had children, the largest sum seen of its resident set and what its children held for themselves
(pages that a file or another process shares are left out). Children are looked at twice a second: a shorter
peak in one of them goes unseen, one in this process does not.
"""

import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

SECONDS = 0.5


class Peak:
    """The largest use so far. Made by `measured`."""

    def __init__(self, device: torch.device):
        """Begin anew: what was used before does not count."""
        self.device, self.most, self.over = device, 0, threading.Event()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with suppress(OSError):  # Linux: begin the process's own peak anew
                Path("/proc/self/clear_refs").write_text("5")

    def look(self) -> None:
        """Add up this process and its children, now; on a GPU there is nothing to do."""
        if self.device.type != "cuda" and (children := _descendants(os.getpid())):
            held = sum(_status(pid, "RssAnon", "RssShmem") for pid in children)
            self.most = max(self.most, _status(os.getpid(), "VmRSS") + held)

    def bytes(self) -> int:
        """Return the largest use so far, or until the work was over."""
        if self.over.is_set():
            return self.most
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return max(self.most, _status(os.getpid(), "VmHWM") or _largest_ever())


@contextmanager
def measured(device: torch.device) -> Iterator[Peak]:
    """Measure what goes on inside; ask the peak for its bytes at any time, also afterwards."""
    peak = Peak(device)

    def watch() -> None:
        while not peak.over.wait(SECONDS):
            peak.look()

    watcher = threading.Thread(target=watch, name="memory", daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        peak.most = peak.bytes()
        peak.over.set()
        watcher.join()


def _largest_ever() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(pid: int, *fields: str) -> int:
    """Return the sum of some fields of /proc/PID/status in bytes; 0 where there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    parts = (line.partition(":") for line in lines)
    return sum(1024 * int(value.split()[0]) for name, _, value in parts if name in fields)


def _descendants(pid: int) -> list[int]:
    """Return the ids of a process's children and theirs; none where the system does not list them."""
    found, waiting = [], [pid]
    while waiting:
        with suppress(OSError):  # of a process that ends meanwhile
            for listed in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
                with suppress(OSError):
                    children = [int(word) for word in listed.read_text(encoding="utf-8").split()]
                    found += children
                    waiting += children
    return found
