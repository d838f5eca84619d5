"""Distribution matching against a noisy sum of features in every step (Zheng & Li, non-linear method)."""

from dataclasses import dataclass

import torch

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Condensed, Problem
from privacy_for_free.core import validate
from privacy_for_free.core.devices import steady_threads
from privacy_for_free.core.entrance import CLASSES, entrance
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.noisy_condensation.matching import Features, descend_on, finite, match
from privacy_for_free.private.noisy_condensation.members import check, class_samples, labels_of, members_of
from privacy_for_free.private.noisy_condensation.sums import clip_by_constant, noisy_sums, sampling_rate


@entrance
@dataclass(frozen=True)
class NDPDC:
    """Settings of `condense_ndpdc`; the defaults are the published ones, with noise for epsilon 1 on
    FashionMNIST under Renyi accounting.

    noise_multiplier  sigma: standard deviation of the noise on a sum of features, over `bound`
    sample            L, the expected number of real images of a class in a step
    bound             C, norm that features are clipped to
    iterations, learning_rate, momentum   of gradient descent on the pixels
    extractor, width  what networks.build builds, anew in every step
    augmentation      strategy of the siamese augmentation, a transform per class and step; "" for none
    adjacency         for the accounting, see `accounting`
    memory_mib        what the activations of a chunk may take; None: 64 on a CPU, 8192 on a GPU
    compile           torch.compile the extractor
    """

    noise_multiplier: float = 3.46
    sample: int = 50
    bound: float = 1.0
    iterations: int = 10_000
    learning_rate: float = 1.0
    momentum: float = 0.5
    extractor: str = "convnet"
    width: int = 128
    augmentation: str = augmentation.STRATEGY
    adjacency: str = "add_remove"
    memory_mib: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        """Refuse values no run can have."""
        Mechanism(self.noise_multiplier, adjacency=self.adjacency)
        validate.whole("sample", self.sample, 1)
        validate.whole("iterations", self.iterations, 1)
        validate.positive("bound", self.bound)
        validate.positive("learning_rate", self.learning_rate)
        validate.fraction("momentum", self.momentum)
        validate.whole("width", self.width, 1)
        validate.one_of("extractor", self.extractor, networks.KINDS)
        if self.memory_mib is not None:
            validate.whole("memory_mib", self.memory_mib, 1)
        augmentation.kinds(self.augmentation)

    @entrance(counts=CLASSES, shapes="counts classes")
    def mechanism(self, counts: torch.Tensor, ipc: int) -> Mechanism:
        """Return what a condensation to `ipc` images per class releases of a set with these class counts.

        counts  int64, classes

        ValueError for a sample larger than the smallest class.
        """
        return Mechanism(
            self.noise_multiplier, self.iterations, sampling_rate(self.sample, counts), self.adjacency
        )

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem."""
        return condense_ndpdc(problem, self, run)


@entrance
def condense_ndpdc(problem: Problem, parameters: NDPDC, run: Run | None = None) -> Condensed:
    """Descend on the published loss, whose real side is a noisy sum in every step.

    In step t a fresh extractor psi, and for each class a fresh transform A, shared by real and synthetic
    images; with c(.) clipping to C, B a Poisson sample and M = ipc

        R = sum_{x in B} c(psi(A(x))) + N(0, (sigma C)^2 I)
        loss = sum over classes || R - (L / M) sum_j c(psi(A(s_j))) ||^2

    where, as in the authors' code, the clipping factor of the synthetic features is taken for a constant. In
    that code the noise is drawn from the generator that the siamese augmentation has just re-seeded from a
    clock; here it has its own. DivergenceError when a loss stops being finite.
    """
    counts = check(problem, parameters)
    with steady_threads(problem.images.device):
        matcher = NoisyMatcher(problem, parameters, counts)
        return descend_on("ndpdc", problem, parameters, run, matcher.loss_and_gradient)


class NoisyMatcher:
    """The loss of NDPDC and its gradient, step by step."""

    def __init__(self, problem: Problem, parameters: NDPDC, counts: torch.Tensor):
        """Look up who is a member; nothing is drawn. counts: int64, K x classes."""
        self.problem, self.parameters, self.counts = problem, parameters, counts
        self.features = Features(problem, parameters)
        self.members = members_of(problem)

    def transform(self, index: int, c: int) -> augmentation.Transform:
        """Return class c's transform in step `index`."""
        stream = self.problem.generator("ndpdc augmentation", index, c, device=self.problem.images.device)
        return augmentation.draw(self.parameters.augmentation, 1, stream)

    def release(self, index: int, theta: networks.Weights) -> torch.Tensor:
        """Return the noisy sums of step `index`, float64 K x classes x D, all it sees of the data."""
        problem, parameters = self.problem, self.parameters
        transforms = [self.transform(index, c) for c in range(problem.classes)]
        sums = []
        for k, (name, members) in enumerate(self.members):
            taken = class_samples(problem, members, self.counts[k], parameters, "ndpdc", name, index)
            labels = labels_of(problem)[taken]  # ascending
            parts = [
                augmentation.apply(transform, problem.images[taken[labels == c]])
                for c, transform in enumerate(transforms)
            ]
            with torch.no_grad():
                features = self.features.chunked(theta, None, torch.cat(parts))
            stream = problem.noise_generator("ndpdc noise", name, index, settings=parameters)
            noise_multiplier, bound = parameters.noise_multiplier, parameters.bound
            sums.append(noisy_sums(features, labels, problem.classes, bound, noise_multiplier, stream))
        return torch.stack(sums)

    def loss_and_gradient(self, index: int, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return losses (K) and gradient of step `index`."""
        problem, parameters = self.problem, self.parameters
        theta = self.features.draw(problem, "ndpdc", index)
        wanted = self.release(index, theta).flatten(0, 1)
        transforms = [self.transform(index, c) for c in range(problem.classes)]
        weight = parameters.sample / problem.ipc

        def loss(part: torch.Tensor, classes: list[int], rows: slice) -> torch.Tensor:
            seen = [augmentation.apply(transforms[c], one) for c, one in zip(classes, part, strict=True)]
            features = finite(self.features(theta, torch.cat(seen)))
            clipped = clip_by_constant(features, parameters.bound).unflatten(0, part.shape[:2])
            return (wanted[rows] - clipped.sum(1) * weight).square().sum(1)

        return match(images, self.features.chunk, loss)
