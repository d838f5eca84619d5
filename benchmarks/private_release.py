"""Features for private releases, plain against compiled: python benchmarks/private_release.py [width]

Random images of FashionMNIST's shape, ten classes, float32. Two pieces of work: the clipped sums that a
release of one extractor is made of, and a step of NDPDC with 50 images of each class in its sample and ten
synthetic ones. Operations are those of the convolutions: a forward pass of each real image, a forward and a
backward pass of each synthetic one. The ceiling is this machine's best convolution, timed here; what is
missing to it is instance norm, ReLU and pooling, and clipping in float64. Times are the least
of three; compiling is left out.
"""

import dataclasses
import sys

import torch
from _measure import convolution_ceiling, least

from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core.randomness import generator
from privacy_for_free.lab import provenance
from privacy_for_free.private import noisy_condensation as nc
from privacy_for_free.private.noisy_condensation.ndpdc import NoisyMatcher

POOL, CLASSES, IPC = 5000, 10, 10


def main() -> None:
    """Print both, plain and compiled."""
    width = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    images = torch.rand((POOL, 1, 28, 28), generator=generator(0, "benchmark")) * 2 - 1
    problem = Problem.of(images, torch.arange(POOL) % CLASSES, None, IPC, "noise", 0)
    counts = torch.full((1, CLASSES), POOL // CLASSES)
    start, ceiling = initialise(problem)[0], convolution_ceiling()
    print(f"{provenance.machine(torch.device('cpu'))}; width {width}, ceiling {ceiling / 1e9:.0f} GFLOP/s")
    one = nc.OneRelease(1.0, extractors=1, width=width, centre=0)
    many = nc.NDPDC(1.0, width=width, iterations=1)
    operations = NoisyMatcher(problem, many, counts).features.network.operations
    work = {
        "sums of one extractor": (POOL * operations, lambda c: sums(problem, one, c)),
        "a step of NDPDC": (
            (50 + 3 * IPC) * CLASSES * operations,
            lambda c: step(problem, many, counts, start, c),
        ),
    }
    for name, (wanted, prepare) in work.items():
        plain, fast = (least(prepare(compiled), 3) for compiled in (False, True))
        share = wanted / fast / ceiling
        gain = f"{plain / fast:.1f} times less, {share:.0%} of the ceiling"
        print(f"{name}: plain {plain:.2f} s, compiled {fast:.2f} s: {gain}")


def sums(problem, parameters, compiled):
    """Return the work of one extractor's sums."""
    own = dataclasses.replace(parameters, compile=compiled)
    return lambda: nc.clipped_feature_sums(problem, own)


def step(problem, parameters, counts, start, compiled):
    """Return the work of one step."""
    matcher = NoisyMatcher(problem, dataclasses.replace(parameters, compile=compiled), counts)
    return lambda: matcher.loss_and_gradient(0, start)


if __name__ == "__main__":
    main()
