"""Distribution matching, ours against the published loop: python benchmarks/condensation.py [width] [batch]

Random images of CIFAR-10's shape, ten classes, float32. Both do the whole of an iteration: draw a network, an
augmentation and real images, match, update the pixels. The reference is the published algorithm as the
authors' code runs it: one set, one class per forward pass, torch's modules, no compiler. A set of the
reference costs the same whatever K is, so K sets cost K times that. Ours runs all sets at once: each set is a
random half of the pool and sees, on average, as many of its own real images per class and iteration as the
reference (256, the default). One set is the whole pool. Operations are those of the convolutions on the
images that pass: one forward pass of a real image, a forward and a backward pass (with respect to the pixels)
of a synthetic one. The ceiling is this machine's best convolution, timed here. Times are the least of three;
compiling, about a minute, is left out. The last line is of kernel_inducing_points.py, which says more.
"""

import sys
from itertools import count

import kernel_inducing_points
import torch
from _measure import convolution_ceiling, least
from torch import nn

from privacy_for_free.condensation import dm
from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core.randomness import generator
from privacy_for_free.lab import provenance
from privacy_for_free.nets import augmentation
from privacy_for_free.shadows.halves import random_halves

POOL, CLASSES = 20_000, 10
SETS = {10: (1, 4, 16, 64), 1: (1, 4, 16, 64)}


def problem_of(sets: int, ipc: int) -> Problem:
    """Return one set of all images, or several halves of them."""
    stream = generator(0, "benchmark")
    images, labels = torch.randn((POOL, 3, 32, 32), generator=stream), torch.arange(POOL) % CLASSES
    membership = random_halves(sets, labels, stream) if sets > 1 else None
    return Problem.of(images, labels, membership, ipc, "real", 0)


class Reference(nn.Sequential):
    """The published ConvNet without its classifier, freshly drawn."""

    def __init__(self, width: int) -> None:
        """Draw it from torch's global generator, as the published code does."""
        layers = []
        for inputs in (3, width, width):
            norm = nn.GroupNorm(width, width, affine=True)
            layers += [nn.Conv2d(inputs, width, 3, padding=1), norm, nn.ReLU(), nn.AvgPool2d(2, 2)]
        super().__init__(*layers, nn.Flatten())
        self.requires_grad_(False)


def reference(ipc: int, width: int, batch: int) -> float:
    """Return the seconds of an iteration of one set, by the published loop."""
    problem, strategy = problem_of(1, ipc), augmentation.STRATEGY
    images = initialise(problem)[0][0].requires_grad_(True)
    optimiser, indices = torch.optim.SGD([images], lr=1.0, momentum=0.5), count()

    def iteration() -> None:
        index, embed, loss = next(indices), Reference(width), torch.zeros(())
        for c, members in enumerate(problem.of_class):
            stream = generator(0, "reference", index, c)
            real = problem.images[members[torch.randperm(len(members), generator=stream)[:batch]]]
            transform = augmentation.draw(strategy, 1, stream)
            target = embed(augmentation.apply(transform, real)).detach()
            found = embed(augmentation.apply(transform, images[c]))
            loss = loss + (target.mean(0) - found.mean(0)).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return least(iteration, 3)


def ours(sets: int, ipc: int, width: int, batch: int) -> tuple[float, int]:
    """Return the seconds of an iteration of all sets, and how many real images pass the network in it."""
    problem = problem_of(sets, ipc)
    parameters = dm.DM(iterations=1, width=width, batch_real=batch, compile=True)
    matcher, images = dm.Matcher(problem, parameters), initialise(problem)[0]
    optimiser, indices = torch.optim.SGD([images], lr=1.0, momentum=0.5), count()

    def iteration() -> None:
        _, images.grad = matcher.loss_and_gradient(next(indices), images)
        optimiser.step()

    return least(iteration, 3), sum(matcher.draws)


def main(width: int = 128, batch: int = 256) -> None:
    """Print seconds per iteration and per set, the ratio to the reference, and the share of the ceiling."""
    print(f"{provenance.machine(torch.device('cpu'))}; width {width}, {batch} real images per class and set")
    ceiling = convolution_ceiling()
    forward = dm.networks.build("convnet", (3, 32, 32), CLASSES, width).operations
    for ipc, numbers in SETS.items():
        alone = reference(ipc, width, batch)
        work = forward * CLASSES * (batch + 2 * ipc)
        line(f"ipc {ipc:2d}, the published loop", alone, 1, alone, work / alone / ceiling)
        for sets in numbers:
            taken, real = ours(sets, ipc, width, batch)
            work = forward * (real + 2 * sets * CLASSES * ipc)
            line(f"ipc {ipc:2d}, ours, {sets:2d} sets", taken, sets, alone, work / taken / ceiling)
    ceiling = max(ceiling, convolution_ceiling())
    print(f"ceiling {ceiling / 1e9:.0f} GFLOP/s on {torch.get_num_threads()} threads")
    kernel_inducing_points.row(sets=1, ipc=10, count=5)


def line(label: str, taken: float, sets: int, alone: float, share: float) -> None:
    """Print one row."""
    print(
        f"{label:28s} {taken:7.3f} s per iteration, {taken / sets:7.4f} s per set: "
        f"{alone * sets / taken:6.1f} x, {share:4.0%} of the ceiling",
        flush=True,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
