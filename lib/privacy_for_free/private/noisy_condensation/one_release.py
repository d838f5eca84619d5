"""Random extractors fixed first, one noisy release of class means, and matching for as long as wanted."""

import math
import time
from dataclasses import dataclass, field, replace

import torch

from privacy_for_free.condensation.loop import Run, fingerprint
from privacy_for_free.condensation.problem import Condensed, Problem
from privacy_for_free.core import validate
from privacy_for_free.core.devices import steady_threads
from privacy_for_free.core.entrance import CLASSES, entrance
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.noisy_condensation.matching import Features, descend_on, finite, match
from privacy_for_free.private.noisy_condensation.members import check
from privacy_for_free.private.noisy_condensation.sums import clip, noise


@entrance
@dataclass(frozen=True, eq=False)
class ClippedSums:
    """Each class's sum of joint features. NOT private: no noise.

    values  float64, K x classes x R x D
    key     of the problem and the settings that they belong to, but for ipc and noise_multiplier
    """

    values: torch.Tensor = field(repr=False)
    key: str

    def check(self, problem: Problem, parameters: "OneRelease") -> None:
        """ValueError unless they are of this problem and these settings: their noise would be another's."""
        if self.key != _sums_key(problem, parameters):
            raise ValueError(
                f"sums of key {self.key[:8]}: allowed are those of `clipped_feature_sums` for this problem "
                f"and {parameters!r}"
            )


def _sums_key(problem: Problem, parameters: "OneRelease") -> str:
    whatever = replace(parameters, noise_multiplier=0.0)
    return fingerprint("clipped sums", replace(problem, ipc=1), whatever)


@entrance
@dataclass(frozen=True)
class OneRelease:
    """Settings of `condense_one_release`.

    noise_multiplier  standard deviation of the noise on a sum of joint features, over `bound`
    bound             C, norm that the joint features of all extractors are clipped to, C / sqrt(extractors)
                      those of each. Features of a ConvNet are far longer than 1, so a small bound keeps just
                      their directions, as NDPDC does.
    extractors        R, how many are fixed; each has an augmentation of its own, fixed too
    extractor, width  what networks.build builds
    centre            subtract from an extractor's features their mean over this many images of noise, which
                      knows nothing of the data: all images' features share a long part that tells no class
                      from another; 0: subtract nothing
    augmentation      strategy of the siamese augmentation, "" for none
    iterations, learning_rate, momentum   of gradient descent on the pixels, after the release
    batch             extractors that a step matches, drawn without replacement
    adjacency         for the accounting, see `accounting`
    memory_mib        what the activations of a chunk may take; None: 64 on a CPU, 8192 on a GPU
    compile           torch.compile the extractor
    """

    noise_multiplier: float = 3.73
    bound: float = 1.0
    extractors: int = 200
    extractor: str = "convnet"
    width: int = 128
    centre: int = 256
    augmentation: str = augmentation.STRATEGY
    iterations: int = 10_000
    learning_rate: float = 300.0
    momentum: float = 0.5
    batch: int = 1
    adjacency: str = "add_remove"
    memory_mib: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        """Refuse values no run can have."""
        Mechanism(self.noise_multiplier, adjacency=self.adjacency)
        validate.whole("extractors", self.extractors, 1)
        validate.whole("batch", self.batch, 1)
        validate.whole("iterations", self.iterations)
        validate.whole("centre", self.centre)
        validate.positive("bound", self.bound)
        validate.positive("learning_rate", self.learning_rate)
        validate.fraction("momentum", self.momentum)
        validate.whole("width", self.width, 1)
        validate.one_of("extractor", self.extractor, networks.KINDS)
        if self.memory_mib is not None:
            validate.whole("memory_mib", self.memory_mib, 1)
        augmentation.kinds(self.augmentation)
        if self.batch > self.extractors:
            raise ValueError(f"batch {self.batch!r}: allowed are 1 to {self.extractors}, all extractors")

    @entrance(counts=CLASSES, shapes="counts classes")
    def mechanism(self, counts: torch.Tensor, ipc: int) -> Mechanism:
        """Return what a condensation to `ipc` images per class releases of a set with these class counts.

        counts  int64, classes
        """
        return Mechanism(self.noise_multiplier, adjacency=self.adjacency)

    def condense(
        self, problem: Problem, run: Run | None = None, sums: ClippedSums | None = None
    ) -> Condensed:
        """Condense every set of the problem; `sums` are those of `clipped_feature_sums`."""
        return condense_one_release(problem, self, run, sums)


@entrance
def condense_one_release(
    problem: Problem, parameters: OneRelease, run: Run | None = None, sums: ClippedSums | None = None
) -> Condensed:
    """Release the noisy class means of many extractors' features once, then match to them.

    Extractors psi_r, transforms A_r and centres a_r (r = 1 .. R) are drawn from the seed before an image is
    looked at. With phi_r(x) = clip(psi_r(A_r(x)) - a_r, C / sqrt(R)), the joint features of an example have
    norm at most C whatever it is, and the release is, for each class, the sum of its members' joint features
    plus N(0, (noise_multiplier C)^2 I). Everything after it is post-processing: a step matches `batch` of the
    extractors,

        loss = (R / batch) sum over them and classes || release_r / n_c - mean_j phi_r(s_j) ||^2

    `sums` is `clipped_feature_sums(problem, parameters)`, for those who compare several noises or numbers of
    images; without it they are computed, which is nearly all of the cost.

    Memory: K x classes x R x feature_dim numbers of the images' dtype. A run that goes on from a checkpoint
    makes the release again: the same numbers, not a second release. DivergenceError when a loss stops being
    finite.
    """
    counts = check(problem, parameters)
    began = time.monotonic()
    with steady_threads(problem.images.device):
        release = ReleasedMeans(problem, parameters, counts, sums)
        spent = time.monotonic() - began
        found = descend_on("one_release", problem, parameters, run, release.loss_and_gradient)
    return replace(found, seconds=found.seconds + spent)


@entrance
def clipped_feature_sums(problem: Problem, parameters: OneRelease) -> ClippedSums:
    """Return each class's sum of joint features, which are NOT private.

    They depend on the problem's images, members and seed and on `parameters`, but for ipc and
    noise_multiplier.
    """
    with steady_threads(problem.images.device):
        extractors = Extractors(problem, parameters)
    membership = problem.membership.to(problem.images.device).double()
    R, D = parameters.extractors, extractors.features.network.feature_dim
    shape = (problem.sets, problem.classes, R, D)
    sums = torch.zeros(shape, dtype=torch.float64, device=problem.images.device)
    with torch.no_grad(), steady_threads(problem.images.device):
        for r in range(R):
            for c, indices in enumerate(problem.of_class):
                for rows in indices.to(problem.images.device).split(extractors.features.chunk):
                    sums[:, c, r] += membership[:, rows] @ extractors.joint(r, problem.images[rows])
    return ClippedSums(sums, _sums_key(problem, parameters))


class Extractors:
    """R extractors with their transforms and centres: drawn from the seed, without looking at an image."""

    def __init__(self, problem: Problem, parameters: OneRelease):
        """Draw them."""
        self.parameters = parameters
        self.features = Features(problem, parameters)
        self.bound = parameters.bound / math.sqrt(parameters.extractors)
        R, D = parameters.extractors, self.features.network.feature_dim
        device, dtype = problem.images.device, problem.images.dtype
        streams = [problem.generator("one_release augmentation", r, device=device) for r in range(R)]
        self.transforms = [augmentation.draw(parameters.augmentation, 1, stream) for stream in streams]
        self.weights = [self.features.draw(problem, "one_release", r) for r in range(R)]
        self.centres = torch.zeros((R, D), dtype=dtype, device=device)
        if parameters.centre:
            shape = (parameters.centre, *problem.images.shape[1:])
            for r in range(R):
                stream = problem.generator("one_release centre", r, device=device)
                public = torch.randn(shape, generator=stream, dtype=dtype, device=device)
                with torch.no_grad():
                    self.centres[r] = self.raw(r, public).mean(0)

    def raw(self, r: int, images: torch.Tensor) -> torch.Tensor:
        """Return the features N x D of extractor r, neither centred nor clipped."""
        return self.features.chunked(self.weights[r], self.transforms[r], images)

    def joint(self, r: int, images: torch.Tensor) -> torch.Tensor:
        """Return extractor r's part of the joint features, float64 N x D, of norm C / sqrt(R) at most."""
        return clip(self.raw(r, images) - self.centres[r], self.bound)


class ReleasedMeans:
    """What `condense_one_release` releases, and the loss against it.

    means       K x classes x R x D: noisy sums divided by the classes' counts, of the images' dtype
    extractors  what they are means of
    """

    def __init__(
        self,
        problem: Problem,
        parameters: OneRelease,
        counts: torch.Tensor,
        given: ClippedSums | None = None,
    ):
        """Look at the data, once; nothing is kept of it. counts: int64, K x classes."""
        self.problem, self.parameters = problem, parameters
        if given is None:
            given = clipped_feature_sums(problem, parameters)
        else:
            given.check(problem, parameters)
        sums = given.values.to(problem.images.device)
        self.extractors = Extractors(problem, parameters)
        spread = parameters.noise_multiplier * parameters.bound
        shape = (problem.classes, sums.shape[3])
        self.means = torch.empty(sums.shape, dtype=problem.images.dtype, device=problem.images.device)
        for k, name in enumerate(problem.names):
            share = counts[k, :, None].to(sums.device)
            for r in range(parameters.extractors):
                stream = problem.noise_generator("one_release noise", name, r, settings=parameters)
                drawn = noise(shape, spread, stream)
                self.means[k, :, r] = (sums[k, :, r] + drawn.to(sums.device)) / share

    def loss_and_gradient(self, index: int, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return losses (K) and gradient of step `index`; reads `means`, not the data."""
        parameters, extractors = self.parameters, self.extractors
        stream = self.problem.generator("one_release batch", index)
        chosen = torch.randperm(parameters.extractors, generator=stream)[: parameters.batch].tolist()
        share = parameters.extractors / parameters.batch
        wanted = self.means.flatten(0, 1)
        losses, gradient = torch.zeros(len(images), dtype=torch.float64), torch.zeros_like(images)
        for r in chosen:

            def loss(part: torch.Tensor, classes: list[int], rows: slice, r: int = r) -> torch.Tensor:
                seen = augmentation.apply(extractors.transforms[r], part.flatten(0, 1))
                features = finite(extractors.features(extractors.weights[r], seen) - extractors.centres[r])
                means = clip(features, extractors.bound).unflatten(0, part.shape[:2]).mean(1)
                return share * (wanted[rows, r].double() - means).square().sum(1)

            one, part = match(images, extractors.features.chunk, loss)
            losses, gradient = losses + one, gradient + part
        return losses, gradient
