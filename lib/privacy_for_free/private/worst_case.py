"""The hardest neighbours for each mechanism, and the statistic that tells them apart best: for audits.

The data are grey images of two classes, `PER_CLASS` of each and, on one side, a half white canary in class 0.
The attacker knows every other image, and all that is public; it looks in the direction in which the canary
moves the release, whose vector reaches the norm that it is clipped to. Where a mechanism releases many sums
alike, one of them is looked at: its epsilon is that of one step.
"""

from collections.abc import Callable, Mapping

import torch

from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.private import dp_merf, dp_sgd
from privacy_for_free.private import noisy_condensation as nc
from privacy_for_free.private.noisy_condensation.sums import clip

PER_CLASS, SAMPLE_SIZE = 12, 11  # images of a class without the canary, and expected ones of a Poisson sample
BOUND = 0.05  # of features and gradients: small, so that it is reached
NETWORK = networks.MLP(1, 8, 2, width=4, depth=1)
Mechanism = Callable[[float, Problem, int], float]


@entrance
def neighbours(present: bool, seed: int) -> Problem:
    """Return the grey images with or without the canary, which comes last, under a seed."""
    images = torch.zeros((2 * PER_CLASS + 1, 1, 8, 8))
    images[-1] = 1.0
    images[-1, :, :, 4:] = -1.0
    labels = torch.arange(2 * PER_CLASS + 1) % 2
    membership = torch.ones((1, len(labels)), dtype=torch.bool)
    membership[0, -1] = present
    return Problem.of(images, labels, membership, 1, "noise", seed, noise="seed")


# Each returns how far a release lies in the canary's direction. Where sums were divided by the number of
# images, which is public and differs by one between the neighbours, that is undone with `count`.


def linear(noise_multiplier: float, problem: Problem, count: int) -> float:
    """Look at the released mean of class 0."""
    released = nc.condense_linear(problem, nc.Linear(noise_multiplier)).images[0, 0, 0] * count
    return float((released * problem.images[-1]).sum())


def ldpdc(noise_multiplier: float, problem: Problem, count: int) -> float:
    """Look at the one synthetic image of class 0."""
    parameters = nc.LDPDC(noise_multiplier, sample=SAMPLE_SIZE)
    released = nc.condense_ldpdc(problem, parameters).images[0, 0, 0] * SAMPLE_SIZE
    return float((released * problem.images[-1]).sum())


def ndpdc(noise_multiplier: float, problem: Problem, count: int) -> float:
    """Look at one step's noisy sum of class 0."""
    parameters = nc.NDPDC(
        noise_multiplier, sample=SAMPLE_SIZE, bound=BOUND, extractor="linear", width=8, iterations=1
    )
    matcher = nc.NoisyMatcher(problem, parameters, torch.tensor([[count, PER_CLASS]]))
    theta = matcher.features.draw(problem, "ndpdc", 0)
    pair = matcher.features.chunked(theta, matcher.transform(0, 0), problem.images[[0, -1]])
    grey, canary = clip(pair, BOUND)
    # What is left of the canary beside the grey images, of which a sample holds a random number.
    canary = canary - grey * (canary @ grey) / (grey @ grey).clamp_min(1e-12)
    return float(matcher.release(0, theta)[0, 0] @ canary / canary.norm())


def one_release(noise_multiplier: float, problem: Problem, count: int) -> float:
    """Look at the released means of joint features of class 0."""
    parameters = nc.OneRelease(
        noise_multiplier, bound=BOUND, extractors=2, extractor="mlp", width=8, centre=0
    )
    release = nc.ReleasedMeans(problem, parameters, torch.tensor([[count, PER_CLASS]]))
    joint = release.extractors.joint
    canary, grey = (torch.cat([joint(r, problem.images[i][None])[0] for r in range(2)]) for i in (-1, 0))
    moved = release.means[0, 0].flatten().double() * count - PER_CLASS * grey
    return float(moved @ canary / canary.norm())


def merf(noise_multiplier: float, problem: Problem, count: int) -> float:
    """Look at the mean embedding's row of class 0."""
    parameters = dp_merf.DPMERF(noise_multiplier, "add_remove", features=20)
    w = dp_merf.frequencies(problem, parameters)
    grey, canary = dp_merf.fourier(problem.images[[0, -1]], w).double()
    moved = dp_merf.release(problem, parameters)[0, 0] * (count + PER_CLASS) - PER_CLASS * grey
    return float(moved @ canary)


def sgd(noise_multiplier: float, problem: Problem, count: int) -> float:
    """Look at the weights' move in one step with everybody in the sample."""
    members = problem.membership[0]
    images, labels = problem.images[members], problem.labels[members]
    parameters = dp_sgd.DPSGD(
        noise_multiplier,
        bound=BOUND,
        sample=2 * PER_CLASS,
        steps=1,
        learning_rate=float(2 * PER_CLASS),
        momentum=0.0,
    )
    start = NETWORK.initial(generator(problem.seed, "dp_sgd initial"))
    end = dp_sgd.train(NETWORK, images, labels, parameters, problem.seed, noise="seed")
    few = [0, 1, -1]  # a grey image of each class, and the canary
    each = dp_sgd.gradients(NETWORK, start, problem.images[few], problem.labels[few])
    *grey, canary = torch.cat([each[name].flatten(1) for name in start], 1).double()
    moved = torch.cat([(start[name] - end[name]).flatten() for name in start])
    moved = moved - PER_CLASS * clip(torch.stack(grey), BOUND).sum(0)
    return float(moved @ canary / canary.norm())


# Each with the rate at which an example takes part in the one sum that is looked at.
MECHANISMS: Mapping[str, tuple[Mechanism, float]] = {
    "linear": (linear, 1.0),
    "ldpdc": (ldpdc, SAMPLE_SIZE / PER_CLASS),
    "ndpdc": (ndpdc, SAMPLE_SIZE / PER_CLASS),
    "one_release": (one_release, 1.0),
    "dp_merf": (merf, 1.0),
    "dp_sgd": (sgd, 1.0),
}


@entrance
def statistic(name: str, noise_multiplier: float, seed: Callable[[int, bool], int]) -> Callable:
    """Return what `audit.audit` asks for: (present, index) -> the number an attacker computes from one run.

    seed  seed(index, present) of a run; one that is the same in every run is a broken mechanism
    """
    mechanism = MECHANISMS[validate.one_of("name", name, MECHANISMS)][0]
    validate.not_negative("noise_multiplier", noise_multiplier)
    return lambda present, index: mechanism(
        noise_multiplier, neighbours(present, seed(index, present)), PER_CLASS + present
    )
