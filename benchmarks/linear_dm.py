"""Where the time of the numeric check goes: python benchmarks/linear_dm.py

The statistical checks draw a fresh Gaussian extractor for every gap and apply it once. For each gap that is
k d normal numbers, 4 k d floating-point operations and 24 k d bytes (the extractor written once, read twice).
Each part is held against what this machine reaches in the plainest loop of its kind, in float64: drawing
normals into a buffer, summing an array that does not fit the cache, and a large matrix product.
"""

from collections.abc import Callable

import torch

from privacy_for_free.core import roofline
from privacy_for_free.core.randomness import generator
from privacy_for_free.lab import provenance
from privacy_for_free.theory import linear

CPU = torch.device("cpu")


def seconds(work: Callable[[], object]) -> float:
    """Return the median time of a call."""
    return roofline.timed(work, 7, CPU).median


def main() -> None:
    """Print the ceilings, then the share of them that the check's hot path reaches."""
    print(provenance.machine(CPU))
    stream = generator(0, "benchmark")
    buffer = torch.empty(8_000_000, dtype=torch.float64)
    normals = buffer.numel() / seconds(lambda: buffer.normal_(generator=stream))
    bandwidth = buffer.numel() * 8 / seconds(buffer.sum)
    flops = roofline.product_ceiling(torch.float64, CPU, repeats=7)
    print(f"ceilings: {normals / 1e6:.0f} M normals/s, {bandwidth / 1e9:.1f} GB/s, {flops / 1e9:.0f} GFLOP/s")
    for k, d in ((8, 784), (64, 784), (64, 3072)):
        chains = max(1, 4_000_000 // (k * d))
        gaps = torch.randn((chains, d), generator=stream, dtype=torch.float64)
        theta = linear.random_extractors(chains, k, d, stream)
        draw = seconds(lambda c=chains, k=k, d=d: linear.random_extractors(c, k, d, stream))
        step = seconds(lambda g=gaps, t=theta: linear.fresh_step(g, t, 1e-3, 10))
        size = chains * k * d
        print(
            f"k={k:3d} d={d:5d}: draw {draw / chains * 1e6:7.1f} us a gap "
            f"({size / draw / normals:4.0%} of the normals' ceiling), "
            f"step {step / chains * 1e6:7.1f} us ({16 * size / step / bandwidth:4.0%} of the bandwidth, "
            f"{4 * size / step / flops:4.1%} of the arithmetic)"
        )


if __name__ == "__main__":
    main()
