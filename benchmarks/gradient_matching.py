"""Gradient matching against the published loop: python benchmarks/gradient_matching.py [widths] [ipcs]

Both run one step's work on random images of CIFAR-10's shape, in float32. The reference is the authors' loop
written plainly: every set on its own, one class after the other, a batch of 256 real images at a time, no
compiler. Ours is the library's, plain and compiled, for one set of all images and for many sets that each
hold about half of them (a reference of many sets costs that many times one). The ceiling is the largest
convolution of the network, at full width and channels last, timed here. A step's arithmetic is counted as the
published loop would do it: 3 forward passes per real or training image, 9 per matched synthetic one.
"""

import sys

import torch
from _measure import convolution_ceiling, least
from torch.nn.functional import avg_pool2d, conv2d, cross_entropy, instance_norm, linear, relu

from privacy_for_free.condensation.gradient_matching import GradientMatching, Matcher, distance
from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core.randomness import generator
from privacy_for_free.lab import provenance


def logits(theta: dict, images: torch.Tensor) -> torch.Tensor:
    """The published ConvNet, by torch's own layers."""
    for block in range(3):
        images = conv2d(images, theta[f"{block}.weight"], theta[f"{block}.bias"], padding=1)
        images = instance_norm(images, weight=theta[f"{block}.scale"], bias=theta[f"{block}.shift"])
        images = avg_pool2d(relu(images), 2)
    return linear(images.flatten(1), theta["classifier.weight"], theta["classifier.bias"])


def reference_matching(problem: Problem, theta: dict, synthetic: torch.Tensor) -> torch.Tensor:
    """Return the pixel gradient of one matching of one set: the published loop."""
    theta = {key: value.contiguous().requires_grad_(True) for key, value in theta.items()}
    leaves, images, total = list(theta.values()), synthetic.clone().requires_grad_(True), 0.0
    for c, indices in enumerate(problem.of_class):
        real = problem.images[indices[torch.randperm(len(indices), generator=generator(0, "batch", c))[:256]]]
        loss = cross_entropy(logits(theta, real), torch.full((len(real),), c))
        target = torch.autograd.grad(loss, leaves)
        loss = cross_entropy(logits(theta, images[c]), torch.full((problem.ipc,), c))
        found = torch.autograd.grad(loss, leaves, create_graph=True)
        total = total + distance(dict(zip(theta, found, strict=True)), dict(zip(theta, target, strict=True)))
    return torch.autograd.grad(total, images)[0]


def reference_epoch(theta: dict, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Train for one epoch on the synthetic images, at most 256 of them: one step."""
    leaves = [value.requires_grad_(True) for value in theta.values()]
    loss = cross_entropy(logits(theta, images), labels)
    for value, gradient in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
        value.data.sub_(gradient, alpha=0.01)


def problem_of(sets: int, ipc: int) -> Problem:
    """Return random images, 600 per class; one set holds all, of many sets each about half."""
    stream = generator(0, "images")
    images, labels = torch.randn((6000, 3, 32, 32), generator=stream), torch.arange(6000) % 10
    membership = None if sets == 1 else torch.rand((sets, 6000), generator=stream) < 0.5
    return Problem.of(images, labels, membership, ipc, "real", 0)


def report(label: str, taken: float, reference: float, operations: float, top: float) -> None:
    """Print seconds, the ratio to the reference and the share of the ceiling."""
    share = operations / taken / top
    print(
        f"    {label:34s} {taken:8.3f} s, reference {reference:8.3f} s: "
        f"{reference / taken:5.1f} x ({share:4.0%})"
    )


def main(widths: list[int], ipcs: list[int], sets: int = 16) -> None:
    """Print both, for each width and number of images per class."""
    print(provenance.machine(torch.device("cpu")))
    top = convolution_ceiling()
    print(f"ceiling {top / 1e9:.0f} GFLOP/s on {torch.get_num_threads()} threads; % are shares of it")
    for width in widths:
        for ipc in ipcs:
            print(f"width {width}, {ipc} images per class")
            alone = problem_of(1, ipc)
            images = initialise(alone)[0]
            plain = GradientMatching(width=width, augmentation="", inner_loop=1)
            matcher = Matcher(alone, plain)
            forward, theta = matcher.network.operations, matcher.network_of(0)
            matching = forward * 10 * (3 * 256 + 9 * ipc)
            reference = least(lambda t=theta, x=images, p=alone: reference_matching(p, t, x[0]))
            report("the reference itself", reference, reference, matching, top)
            training, flat, labels = forward * 3 * 10 * ipc, images[0].flatten(0, 1), torch.arange(10)
            copy = {key: value.contiguous() for key, value in theta.items()}
            labels = labels.repeat_interleave(ipc)
            epoch = least(lambda t=copy, x=flat, y=labels: reference_epoch(t, x, y))
            for compile in (False, True):
                word = "compiled" if compile else "plain"
                ours = Matcher(
                    alone, GradientMatching(width=width, augmentation="", inner_loop=1, compile=compile)
                )
                for match in (0, 1) if ipc > 1 else (0,):
                    taken = least(
                        lambda m=ours, t=theta, x=images, i=match: m.loss_and_gradient(0, i, [t], x)
                    )
                    kind = "first" if match == 0 else "later"
                    report(f"{word}, 1 set, {kind} matching", taken, reference, matching, top)
                if ipc > 1:
                    taken = least(lambda m=ours, t=theta, x=images: m.train(0, 0, 0, t, x[0]))
                    report(f"{word}, 1 set, epoch of training", taken, epoch, training, top)
            shared = Matcher(
                problem_of(sets, ipc), GradientMatching(width=width, augmentation="", compile=True)
            )
            images = initialise(shared.problem)[0]
            taken = least(lambda m=shared, t=theta, x=images: m.loss_and_gradient(0, 0, [t] * sets, x), 1)
            report(f"compiled, {sets} sets, first matching", taken, sets * reference, sets * matching, top)


if __name__ == "__main__":
    chosen = [[int(part) for part in argument.split(",")] for argument in sys.argv[1:]]
    main(*(chosen + [[32, 128], [1, 10]][len(chosen) :]))
