"""What every benchmark needs: a clock, and what this machine can reach at most."""

import time
from collections.abc import Callable

import torch
from torch.nn.functional import conv2d

from privacy_for_free.core.randomness import generator


def times(work: Callable[[], object], repeats: int = 5) -> list[float]:
    """Return the sorted seconds of `repeats` calls, after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return sorted(taken)


def least(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the shortest time of a call: what others do on the machine only adds."""
    return times(work, repeats)[0]


def convolution_ceiling() -> float:
    """Return operations a second of the best convolution here: 3x3, 128 channels, 32 images of 16 pixels."""
    stream = generator(0, "ceiling")
    images = torch.randn((32, 128, 16, 16), generator=stream).contiguous(memory_format=torch.channels_last)
    weight = torch.randn((128, 128, 3, 3), generator=stream).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        return 2 * 9 * 128 * 128 * 32 * 16**2 / least(lambda: conv2d(images, weight, padding=1), 20)


def product_ceiling(dtype: torch.dtype = torch.float64) -> float:
    """Return operations a second of a product of large square matrices."""
    square = torch.randn((3000, 3000), generator=generator(0, "ceiling"), dtype=dtype)
    out = torch.empty_like(square)
    return 2 * 3000**3 / least(lambda: torch.mm(square, square, out=out), 5)
