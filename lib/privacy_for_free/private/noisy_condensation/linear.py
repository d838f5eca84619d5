"""Noisy means: of a class, and of small samples of it."""

import math
import time
from dataclasses import dataclass

import torch

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Condensed, Problem, hard_labels, initialise
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import CLASSES, entrance
from privacy_for_free.private.accounting import MOST_STEPS, Mechanism
from privacy_for_free.private.noisy_condensation.members import check, class_samples, labels_of, members_of
from privacy_for_free.private.noisy_condensation.sums import BOUND_SHARE, noisy_sums, sampling_rate


@entrance
@dataclass(frozen=True)
class Linear:
    """Settings of `condense_linear`.

    noise_multiplier  standard deviation of the noise on a class's sum, over `bound`
    bound             norm that flattened images are clipped to; None: sqrt(d), which no image in [-1, 1] has
                      more of
    adjacency         for the accounting, see `accounting`
    """

    noise_multiplier: float
    bound: float | None = None
    adjacency: str = "add_remove"

    def __post_init__(self) -> None:
        """Refuse values no release can have."""
        Mechanism(self.noise_multiplier, adjacency=self.adjacency)
        if self.bound is not None:
            validate.positive("bound", self.bound)

    @entrance(counts=CLASSES, shapes="counts classes")
    def mechanism(self, counts: torch.Tensor, ipc: int) -> Mechanism:
        """Return what a condensation to `ipc` images per class releases of a set with these class counts.

        counts  int64, classes
        """
        return Mechanism(self.noise_multiplier, adjacency=self.adjacency)

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem; there is no `run` to keep."""
        return condense_linear(problem, self)


@entrance
@dataclass(frozen=True)
class LDPDC:
    """Settings of `condense_ldpdc`; the defaults are the published ones.

    noise_multiplier  sigma~: standard deviation of the noise on a sample's sum, over sqrt(d)
    sample            L, the expected number of images in a sample
    adjacency         for the accounting, see `accounting`
    """

    noise_multiplier: float = 1.0
    sample: int = 50
    adjacency: str = "add_remove"

    def __post_init__(self) -> None:
        """Refuse values no release can have."""
        Mechanism(self.noise_multiplier, adjacency=self.adjacency)
        validate.whole("sample", self.sample, 1)

    @entrance(counts=CLASSES, shapes="counts classes")
    def mechanism(self, counts: torch.Tensor, ipc: int) -> Mechanism:
        """Return what a condensation to `ipc` images per class releases of a set with these class counts.

        counts  int64, classes

        ValueError for a sample larger than the smallest class.
        """
        validate.whole("ipc", ipc, 1, MOST_STEPS)
        return Mechanism(self.noise_multiplier, ipc, sampling_rate(self.sample, counts), self.adjacency)

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem; there is no `run` to keep."""
        return condense_ldpdc(problem, self)


@entrance
def condense_linear(problem: Problem, parameters: Linear) -> Condensed:
    """Release one noisy mean per class and move the initial images, unmoved among themselves, to it.

    That is where distribution matching through linear extractors goes from any initialisation, in the limit.
    The release is independent of ipc. Members' images are clamped to [-1, 1], pixel by pixel. The images
    of the result are mean + (initial - mean of the initial ones); `loss` is empty.
    """
    began = time.monotonic()
    counts = check(problem, parameters)
    images, initial = initialise(problem)
    bound = _image_bound(problem) if parameters.bound is None else parameters.bound
    sums = torch.stack(
        [
            noisy_sums(
                _clamped(problem.images[members]),
                labels_of(problem)[members],
                problem.classes,
                bound,
                parameters.noise_multiplier,
                problem.noise_generator("linear noise", name, settings=parameters),
            )
            for name, members in members_of(problem)
        ]
    )
    means = (sums / counts[..., None].to(sums.device)).view(images[:, :, 0].shape)
    centred = images.double() - images.double().mean(2, keepdim=True)
    return _finished(problem, (centred + means[:, :, None]).to(images.dtype), initial, began)


@entrance
def condense_ldpdc(problem: Problem, parameters: LDPDC) -> Condensed:
    """Make every synthetic image a noisy sum of a Poisson sample of its class, over the expected size.

    s = (sum of the sample + N(0, sigma~^2 d I)) / L, a sample and a noise for each. Members' images are
    clamped to [-1, 1], pixel by pixel, which bounds their norm by sqrt(d). `loss` is empty.
    """
    began = time.monotonic()
    counts = check(problem, parameters)
    images = torch.empty(problem.shape, dtype=problem.images.dtype, device=problem.images.device)
    initial = torch.full(problem.shape[:3], -1, dtype=torch.int64, device=images.device)
    bound = _image_bound(problem)
    for k, (name, members) in enumerate(members_of(problem)):
        for j in range(problem.ipc):
            taken = class_samples(problem, members, counts[k], parameters, "ldpdc", name, j)
            sums = noisy_sums(
                _clamped(problem.images[taken]),
                labels_of(problem)[taken],
                problem.classes,
                bound,
                parameters.noise_multiplier,
                problem.noise_generator("ldpdc noise", name, j, settings=parameters),
            )
            images[k, :, j] = (sums / parameters.sample).view(images[k, :, j].shape).to(images.dtype)
    return _finished(problem, images, initial, began)


def _finished(problem: Problem, images: torch.Tensor, initial: torch.Tensor, began: float) -> Condensed:
    labels = hard_labels(problem.sets, problem.classes, problem.ipc, images.device)
    loss, steps = torch.zeros((problem.sets, 0), dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    return Condensed(images, labels, initial, loss, steps, seconds=time.monotonic() - began)


def _image_bound(problem: Problem) -> float:
    """Return sqrt(d), the largest norm of an image in [-1, 1], with room for the clipping's BOUND_SHARE."""
    return math.sqrt(math.prod(problem.images.shape[1:])) / BOUND_SHARE


def _clamped(images: torch.Tensor) -> torch.Tensor:
    return images.clamp(-1, 1).flatten(1)
