"""Where tensors live: the CPU, or a CUDA device where there is one."""

import os

import torch

KNOWN = ("auto", "cpu", "cuda")


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
