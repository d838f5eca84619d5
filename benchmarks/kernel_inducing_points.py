"""Where the time of kernel inducing points goes.

    python benchmarks/kernel_inducing_points.py [steps of the published trace]

100 images (10 per class) of 32 x 32 x 3 pixels against 5,000 targets per set and step, in float64. Counted
are the products that cannot be avoided, 2 m t d for K_st and as much for its gradient, 2 m m d twice for
K_ss; all else (drawing and gathering targets, the elementwise part of the kernel, the solve, Adam) is time
without operations. The ceiling is a large float64 matrix product, timed before and after each row. Timings
are the least and the median of seven runs: on a machine that others use too, the least is the one to trust,
and one thread (OMP_NUM_THREADS=1) the better choice. With a number of steps, and CIFAR-10 at hand
(PRIVACY_FOR_FREE_DATA), the published trace is run too.
"""

import sys

import torch

from privacy_for_free.condensation.kip import KIP, accuracy, condense
from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.randomness import generator
from privacy_for_free.core.roofline import product_ceiling
from privacy_for_free.data import load
from privacy_for_free.lab import provenance
from privacy_for_free.shadows.halves import random_halves

POOL, SIZE, TARGETS = 20_000, 3072, 5000
PUBLISHED = {0: 0.2426, 20: 0.4141, 60: 0.4385, 100: 0.4544, 200: 0.4623, 300: 0.4674}


def steps(sets: int, ipc: int, count: int) -> list[float]:
    """Return the seconds per step of seven runs, sorted: of one set, or of several halves of the pool."""
    stream = generator(0, "benchmark inducing points", sets)
    images = torch.randn((POOL, 3, 32, 32), generator=stream)
    labels = torch.arange(POOL) % 10
    membership = random_halves(sets, labels, stream) if sets > 1 else None
    problem = Problem.of(images, labels, membership, ipc, "real", 0)
    parameters = KIP(iterations=count, batch_targets=TARGETS, compile=True)
    condense(problem, parameters)  # compiles
    return sorted(condense(problem, parameters).seconds / count for _ in range(7))


def float64_ceiling() -> float:
    """Return operations per second of a large float64 matrix product."""
    return product_ceiling(torch.float64, torch.device("cpu"), side=3000)


def row(sets: int, ipc: int, count: int) -> None:
    """Print the seconds per step, of `count` steps per run, and their share of the product's ceiling."""
    ceiling = float64_ceiling()
    taken, points = steps(sets, ipc, count), 10 * ipc
    ceiling = max(ceiling, float64_ceiling())
    operations = sets * (4 * points * TARGETS * SIZE + 4 * points**2 * SIZE)
    least, median = taken[0], taken[len(taken) // 2]
    print(
        f"KIP, {sets:2d} sets of {points:3d} images: {least:6.3f} s per step (median {median:6.3f}), "
        f"{least / sets:6.3f} s per set, {operations / least / 1e9:5.1f} of {ceiling / 1e9:5.1f} GFLOP/s, "
        f"{operations / least / ceiling:4.0%} of the float64 product's ceiling",
        flush=True,
    )


def trace(count: int) -> None:
    """Print the test accuracy of 100 images of CIFAR-10 at the published steps up to `count`."""
    data = load("cifar10", normalise=True)
    problem = Problem.of(data.train_images, data.train_labels, None, 10, "real", 0)
    parameters, at = KIP(iterations=count), tuple(step for step in PUBLISHED if step <= count)
    condensed = condense(problem, parameters, Run(snapshots=at))
    _, labels = condensed.flat()
    for step in at:
        points = condensed.snapshots[step][0].flatten(0, 1)
        ours = accuracy(data.test_images, data.test_labels, points, labels, parameters)
        print(f"step {step:3d}: test accuracy {ours:.4f}, published {PUBLISHED[step]:.4f}")
    print(f"{condensed.seconds / count:.3f} s per step")


def main() -> None:
    """Print the ceiling, the share of it that a step reaches, and what a set costs among others."""
    print(provenance.machine(torch.device("cpu")))
    for sets, ipc, count in ((1, 10, 5), (4, 10, 2), (16, 10, 1), (1, 1, 5), (16, 1, 1)):
        row(sets, ipc, count)
    if len(sys.argv) > 1:
        trace(int(sys.argv[1]))


if __name__ == "__main__":
    main()
