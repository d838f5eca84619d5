"""Where tensors live: the CPU, or a CUDA device where there is one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from privacy_for_free.core import validate

KNOWN = ("auto", "cpu", "cuda")
THREADS_VARIABLE = "PRIVACY_FOR_FREE_THREADS"


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
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)
