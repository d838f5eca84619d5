"""What several benchmarks need: the least time of a long call, and the best convolution of this machine.

Timings of short calls, and the ceilings of products and copies, are those of `core.roofline`.
"""

import time
from collections.abc import Callable

import torch
from torch.nn.functional import conv2d

from privacy_for_free.core.randomness import generator


def least(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the shortest of `repeats` calls in seconds, after one to warm up.

    What others do on the machine only adds to it. A call is timed alone: use it for calls of seconds, where
    one more to see how long it takes would cost too much.
    """
    work()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def convolution_ceiling() -> float:
    """Return operations per second of the best convolution: 3x3, 128 channels, 32 images of 16 pixels."""
    stream = generator(0, "ceiling")
    images = torch.randn((32, 128, 16, 16), generator=stream).contiguous(memory_format=torch.channels_last)
    weight = torch.randn((128, 128, 3, 3), generator=stream).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        return 2 * 9 * 128 * 128 * 32 * 16**2 / least(lambda: conv2d(images, weight, padding=1), 20)
