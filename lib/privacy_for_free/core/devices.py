"""Where tensors live: the CPU, or a CUDA device where there is one."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import torch

from privacy_for_free.core import validate

KNOWN = ("auto", "cpu", "cuda")
CPU = torch.device("cpu")
THREADS_VARIABLE = "PRIVACY_FOR_FREE_THREADS"
_GIVEN: ContextVar[int] = ContextVar("caller's number of threads", default=0)


def resolve(device: str = "auto") -> torch.device:
    """Turn "auto", "cpu" or "cuda" into a device; "auto" takes the GPU where there is one.

    Raises ValueError for another name, and for "cuda" on a machine without a usable GPU.

    >>> resolve("cpu")
    device(type='cpu')
    >>> resolve("tpu")
    Traceback (most recent call last):
    ValueError: device 'tpu': known are auto, cpu, cuda
    """
    if device not in KNOWN:
        raise ValueError(f"device {device!r}: known are {', '.join(KNOWN)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': torch sees no CUDA GPU on this machine; use device='cpu' or 'auto'")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def present(device: torch.device | str) -> torch.device:
    """Return a device by the name that torch gives it; ValueError for one that is not here.

    >>> present("nonsense")
    Traceback (most recent call last):
    ValueError: device 'nonsense': allowed are cpu, cuda and cuda:0, cuda:1, ... of the GPUs that torch sees
    """
    try:
        found = torch.device(device)
        there = found.type == "cpu" or (
            found.type == "cuda" and (found.index or 0) < torch.cuda.device_count()
        )
    except RuntimeError:
        there = False
    if not there:
        raise ValueError(
            f"device {str(device)!r}: allowed are cpu, cuda and cuda:0, cuda:1, ... of the GPUs that torch "
            "sees"
        )
    return found


@cache
def memory(device: torch.device) -> int:
    """Return the bytes of memory that a device has, those in use included."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 2**63  # unknown


def check_size(name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device = CPU) -> None:
    """Refuse a tensor that is larger than the memory of its device; `name` is what is said to be too large.

    >>> check_size("ipc", (10**15,), torch.int64)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ipc of shape (1000000000000000,): 7.45e+06 GiB; allowed are the ... GiB of this machine's cpu
    """
    needed, there = math.prod(shape) * dtype.itemsize, memory(device)
    if needed > there:
        raise ValueError(
            f"{name} of shape {tuple(shape)}: {needed / 2**30:.3g} GiB; allowed are the "
            f"{there / 2**30:.3g} GiB of this machine's {device.type}"
        )


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Return the number of torch's threads that count in results: 1, or what PRIVACY_FOR_FREE_THREADS says.

    ValueError where the variable is set to anything but a whole number from 1 up.
    """
    text = os.environ.get(THREADS_VARIABLE)
    if text is None:
        return 1
    return validate.whole(THREADS_VARIABLE, int(text) if text.strip().isdecimal() else text, 1)


@contextmanager
def steady_threads(device: torch.device | str = "cpu") -> Iterator[None]:
    """Compute on the CPU with `threads()` threads, whatever the caller has set; his number comes back.

    How many threads there are decides the order of sums, and so the last bits of gradients and of matrix
    products. Whoever sets PRIVACY_FOR_FREE_THREADS gets the bits of that number: on a machine that is busy
    two threads have been three times slower than one. Does nothing for tensors on another `device`.

    >>> with steady_threads():
    ...     torch.get_num_threads()
    1
    """
    before, wanted = torch.get_num_threads(), threads()
    if torch.device(device).type != "cpu" or before == wanted:
        yield
        return
    outermost = None if _GIVEN.get() else _GIVEN.set(before)
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if outermost is not None:
            _GIVEN.reset(outermost)


@contextmanager
def given_threads() -> Iterator[None]:
    """Compute with the caller's number of threads again, inside of `steady_threads`: what they do not change.

    >>> before = torch.get_num_threads()
    >>> with steady_threads(), given_threads():
    ...     torch.get_num_threads() == before
    True
    """
    steady = torch.get_num_threads()
    torch.set_num_threads(_GIVEN.get() or steady)
    try:
        yield
    finally:
        torch.set_num_threads(steady)
