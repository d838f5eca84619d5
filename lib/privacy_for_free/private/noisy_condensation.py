"""Condensation that sees the real images only through sums with Gaussian noise.

    linear       one noisy mean a class, where a linear extractor's condensation ends
    ldpdc        a synthetic image is a noisy mean of a small Poisson sample (Zheng & Li, "Differentially
                 Private Dataset Condensation", linear method)
    ndpdc        distribution matching whose real side is, in every step, a noisy sum of clipped features of a
                 Poisson sample (the same paper, non-linear method)
    one_release  random extractors are fixed first, the class sums of their clipped features are released
                 once, and the synthetic images are matched to them for as long as wanted

Each `condense_*` takes a Problem whose `init` is "noise" and K sets of members, and returns a Condensed;
`mechanism(counts, parameters)` says what it released, as an `accounting.Mechanism`, for a set with these
numbers of images a class.

What the proof of each rests on. An example belongs to one class, so it enters the sums of one class only, and
the guarantee is that of the class with the fewest images. Before it enters a sum it is clipped (`clip`) to
the norm C by a function of that example alone; the noise has standard deviation noise_multiplier x C in every
coordinate, and comes from a generator named after the seed, the mechanism's noise, the set and the step,
which nothing else draws from, in float64. All that follows reads the noisy sums only.

What is taken to be public, and must be: the number of images of each class (it sets the sampling rate and
turns sums into means), the classes, the images' shape, and every parameter. Choosing parameters by looking at
results on the same members is a release of its own that no epsilon here includes. Extractors, transforms and
initial images may be published, but not the seed, which noise and samples come from too. Images must have
been scaled by constants that do not come from them: `scale_publicly` maps [0, 1] to [-1, 1], whereas
`data.load(normalise=True)` uses the training images' own mean and spread.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from privacy_for_free import augmentation, networks
from privacy_for_free.condensation.descent import Run, descend, finish
from privacy_for_free.condensation.problem import Condensed, Problem, class_counts, hard_labels, initialise
from privacy_for_free.errors import DivergenceError
from privacy_for_free.networks import Network
from privacy_for_free.private.accounting import Mechanism

MEBIBYTE = 2**20
LONGEST = 1e150  # norms from here up are taken for infinite: their squares overflow
SHRINK = 1 - 1e-9  # what a clipped norm stays below, of the bound: more than float64 rounds off


# --- parameters ---------------------------------------------------------------------------------------


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
            _check_positive(self, ("bound",))


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
        _check_whole(self, ("sample",))


@dataclass(frozen=True)
class NDPDC:
    """Settings of `condense_ndpdc`; the defaults are the published ones, with noise for epsilon 1 on
    FashionMNIST under Renyi accounting.

    noise_multiplier  sigma: standard deviation of the noise on a sum of features, over `bound`
    sample            L, the expected number of real images of a class in a step
    bound             C, norm that features are clipped to
    iterations, learning_rate, momentum   of gradient descent on the pixels
    extractor, width  what networks.build builds, anew in every step
    augmentation      strategy of the siamese augmentation, a transform a class and step; "" for none
    adjacency         for the accounting, see `accounting`
    memory_mib        what the activations of a chunk may take; None: 64 on a CPU, 8192 on a GPU
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

    def __post_init__(self) -> None:
        """Refuse values no run can have."""
        Mechanism(self.noise_multiplier, adjacency=self.adjacency)
        _check_whole(self, ("sample", "iterations"))
        _check_positive(self, ("bound", "learning_rate"))
        _check_momentum(self.momentum)
        augmentation.kinds(self.augmentation)


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

    def __post_init__(self) -> None:
        """Refuse values no run can have."""
        Mechanism(self.noise_multiplier, adjacency=self.adjacency)
        _check_whole(self, ("extractors", "batch"))
        _check_whole(self, ("iterations", "centre"), least=0)
        _check_positive(self, ("bound", "learning_rate"))
        _check_momentum(self.momentum)
        augmentation.kinds(self.augmentation)
        if self.batch > self.extractors:
            raise ValueError(f"batch {self.batch!r}: allowed are 1 to {self.extractors}, all extractors")


Parameters = Linear | LDPDC | NDPDC | OneRelease


def mechanism(counts: torch.Tensor, parameters: Parameters, ipc: int) -> Mechanism:
    """Return what a condensation with these parameters releases, for accounting.

    counts  int64, classes: a set's number of images of each class (`Problem`s have them by `class_counts`)
    ipc     synthetic images a class: LDPDC releases a sum for each

    ValueError for a sample larger than the smallest class.
    """
    rate, steps = 1.0, 1
    if isinstance(parameters, LDPDC | NDPDC):
        rate = _rate(parameters.sample, int(counts.min()))
        steps = ipc if isinstance(parameters, LDPDC) else parameters.iterations
    return Mechanism(parameters.noise_multiplier, steps, rate, parameters.adjacency)


# --- the mechanism's parts ----------------------------------------------------------------------------


def scale_publicly(images: torch.Tensor) -> torch.Tensor:
    """Map images in [0, 1] to [-1, 1], by constants that do not depend on them."""
    return images * 2 - 1


def clip(vectors: torch.Tensor, bound: float) -> torch.Tensor:
    """Scale rows (..., D) down to a Euclidean norm of at most `bound`; return float64.

    In float64 and to SHRINK times the bound, so that rounding cannot lift a norm above it (D up to 10^6).
    A row with a value that is not finite, or with a norm of LONGEST or more, becomes 0: the bound holds for
    every example there can be. Differentiable.
    """
    vectors = vectors.double()
    norm = torch.linalg.vector_norm(vectors.detach(), dim=-1, keepdim=True)
    finite = norm < LONGEST
    vectors = torch.where(finite, vectors, 0.0)
    inside = (norm <= bound * SHRINK) | ~finite
    norm = torch.linalg.vector_norm(torch.where(inside, 1.0, vectors), dim=-1, keepdim=True)
    return torch.where(inside, vectors, vectors * (bound * SHRINK / norm))


def noisy_sums(
    vectors: torch.Tensor,
    classes: torch.Tensor,
    count: int,
    bound: float,
    noise_multiplier: float,
    stream: torch.Generator,
) -> torch.Tensor:
    """Return float64 count x D: for each class the sum of its rows, clipped, plus noise.

    vectors   N x D
    classes   int64, N: the row of the result a vector is added to
    stream    the noise's own generator; noise N(0, (noise_multiplier bound)^2) in every coordinate, drawn on
              the generator's device whether or not a class has vectors
    """
    sums = clipped_sums(vectors, classes, count, bound)
    return sums + noise(tuple(sums.shape), noise_multiplier * bound, stream).to(sums.device)


def clipped_sums(vectors: torch.Tensor, classes: torch.Tensor, count: int, bound: float) -> torch.Tensor:
    """Return float64 count x D: for each class the sum of its rows, clipped; not private."""
    sums = torch.zeros((count, vectors.shape[1]), dtype=torch.float64, device=vectors.device)
    return sums.index_add_(0, classes.to(vectors.device), clip(vectors, bound))


def poisson_sample(members: torch.Tensor, rate: float, stream: torch.Generator) -> torch.Tensor:
    """Return those of `members` (int64) that a Poisson sample takes: each with probability `rate`, whatever
    becomes of the others.
    """
    taken = torch.rand(len(members), generator=stream, dtype=torch.float64, device=stream.device) < rate
    return members[taken.to(members.device)]


def noise(shape: tuple[int, ...], spread: float, stream: torch.Generator) -> torch.Tensor:
    """Return float64 N(0, spread^2), independent, of this shape, on the generator's device."""
    return torch.randn(shape, generator=stream, dtype=torch.float64, device=stream.device) * spread


# --- condensation -------------------------------------------------------------------------------------


def condense_linear(problem: Problem, parameters: Linear) -> Condensed:
    """Release one noisy mean a class and move the initial images, unmoved among themselves, to it.

    That is where distribution matching through linear extractors goes from any initialisation, in the limit.
    The release is independent of ipc. Members' images are clamped to [-1, 1], pixel by pixel. The images
    of the result are mean + (initial - mean of the initial ones); `loss` is empty.
    """
    began = time.monotonic()
    counts = _check(problem, parameters)
    images, initial = initialise(problem)
    bound = _image_bound(problem) if parameters.bound is None else parameters.bound
    sums = torch.stack(
        [
            noisy_sums(
                _clamped(problem.images[members]),
                _labels(problem)[members],
                problem.classes,
                bound,
                parameters.noise_multiplier,
                problem.generator("linear noise", name),
            )
            for name, members in _members(problem)
        ]
    )
    means = (sums / counts[..., None].to(sums.device)).view(images[:, :, 0].shape)
    centred = images.double() - images.double().mean(2, keepdim=True)
    return _finished(problem, (centred + means[:, :, None]).to(images.dtype), initial, began)


def condense_ldpdc(problem: Problem, parameters: LDPDC) -> Condensed:
    """Make every synthetic image a noisy sum of a Poisson sample of its class, over the expected size.

    s = (sum of the sample + N(0, sigma~^2 d I)) / L, a sample and a noise for each. Members' images are
    clamped to [-1, 1], pixel by pixel, which bounds their norm by sqrt(d). `loss` is empty.
    """
    began = time.monotonic()
    counts = _check(problem, parameters)
    images = torch.empty(problem.shape, dtype=problem.images.dtype, device=problem.images.device)
    initial = torch.full(problem.shape[:3], -1, dtype=torch.int64, device=images.device)
    bound = _image_bound(problem)
    for k, (name, members) in enumerate(_members(problem)):
        for j in range(problem.ipc):
            taken = _samples(problem, members, counts[k], parameters.sample, "ldpdc", name, j)
            sums = noisy_sums(
                _clamped(problem.images[taken]),
                _labels(problem)[taken],
                problem.classes,
                bound,
                parameters.noise_multiplier,
                problem.generator("ldpdc noise", name, j),
            )
            images[k, :, j] = (sums / parameters.sample).view(images[k, :, j].shape).to(images.dtype)
    return _finished(problem, images, initial, began)


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
    counts = _check(problem, parameters)
    matcher = _NoisyMatcher(problem, parameters, counts)
    return _descend("ndpdc", problem, parameters, run, matcher.loss_and_gradient)


def condense_one_release(problem: Problem, parameters: OneRelease, run: Run | None = None) -> Condensed:
    """Release the noisy class means of many extractors' features once, then match to them.

    Extractors psi_r, transforms A_r and centres a_r (r = 1 .. R) are drawn from the seed before an image is
    looked at. With phi_r(x) = clip(psi_r(A_r(x)) - a_r, C / sqrt(R)), the joint features of an example have
    norm at most C whatever it is, and the release is, for each class, the sum of its members' joint features
    plus N(0, (noise_multiplier C)^2 I). Everything after it is post-processing: a step matches `batch` of the
    extractors,

        loss = (R / batch) sum over them and classes || release_r / n_c - mean_j phi_r(s_j) ||^2

    Memory: K x classes x R x feature_dim numbers of the images' dtype. A run that goes on from a checkpoint
    makes the release again: the same numbers, not a second release. DivergenceError when a loss stops being
    finite.
    """
    counts = _check(problem, parameters)
    began = time.monotonic()
    release = Release(problem, parameters, counts)
    spent = time.monotonic() - began
    found = _descend("one_release", problem, parameters, run, release.loss_and_gradient)
    return replace(found, seconds=found.seconds + spent)


class _Features:
    """Features in chunks: what both matching methods do to a batch of images."""

    def __init__(self, problem: Problem, parameters: NDPDC | OneRelease):
        self.network: Network = networks.build(
            parameters.extractor, problem.images.shape[1:], problem.classes, parameters.width
        )
        memory = parameters.memory_mib or (64 if problem.images.device.type == "cpu" else 8192)
        self.chunk = max(1, memory * MEBIBYTE // self.network.activation_bytes(problem.images.dtype))

    def draw(self, problem: Problem, purpose: str, index: int) -> networks.Parameters:
        stream = problem.generator(f"{purpose} extractor", index, device=problem.images.device)
        return self.network.initial(stream, problem.images.dtype, classifier=False)

    def __call__(
        self, theta: networks.Parameters, transform: augmentation.Transform, images: torch.Tensor
    ) -> torch.Tensor:
        """Return features N x D of images N x C x H x W."""
        if len(images) == 0:
            return images.new_zeros((0, self.network.feature_dim))
        return torch.cat(
            [
                self.network.features(theta, augmentation.apply(transform, part))
                for part in images.split(self.chunk)
            ]
        )


class _NoisyMatcher:
    """The loss of NDPDC and its gradient, step by step."""

    def __init__(self, problem: Problem, parameters: NDPDC, counts: torch.Tensor):
        self.problem, self.parameters, self.counts = problem, parameters, counts
        self.features = _Features(problem, parameters)
        self.members = list(_members(problem))

    def transform(self, index: int, c: int) -> augmentation.Transform:
        stream = self.problem.generator("ndpdc augmentation", index, c, device=self.problem.images.device)
        return augmentation.draw(self.parameters.augmentation, 1, stream)

    def release(self, index: int, theta: networks.Parameters) -> torch.Tensor:
        """Return the noisy sums of step `index`, float64 K x classes x D, all it sees of the data."""
        problem, parameters = self.problem, self.parameters
        sums = []
        for k, (name, members) in enumerate(self.members):
            taken = _samples(problem, members, self.counts[k], parameters.sample, "ndpdc", name, index)
            labels = _labels(problem)[taken]
            with torch.no_grad():
                parts = [
                    self.features(theta, self.transform(index, c), problem.images[taken[labels == c]])
                    for c in range(problem.classes)
                ]
            of_class = torch.repeat_interleave(
                torch.arange(problem.classes), torch.tensor([len(part) for part in parts])
            )
            stream = problem.generator("ndpdc noise", name, index)
            noise_multiplier, bound = parameters.noise_multiplier, parameters.bound
            sums.append(
                noisy_sums(torch.cat(parts), of_class, problem.classes, bound, noise_multiplier, stream)
            )
        return torch.stack(sums)

    def loss_and_gradient(self, index: int, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        theta = self.features.draw(self.problem, "ndpdc", index)
        wanted = self.release(index, theta)
        weight = self.parameters.sample / self.problem.ipc
        losses, gradient = torch.zeros(len(images), dtype=torch.float64), torch.empty_like(images)
        for c in range(self.problem.classes):
            transform = self.transform(index, c)
            for k in range(len(images)):
                part = images[k, c].clone().requires_grad_(True)
                features = _finite(self.features(theta, transform, part))
                sums = clip_by_constant(features, self.parameters.bound).sum(0) * weight
                loss = (wanted[k, c] - sums).square().sum()
                (gradient[k, c],) = torch.autograd.grad(loss, part)
                losses[k] += loss.item()
        return losses, gradient


def clip_by_constant(vectors: torch.Tensor, bound: float) -> torch.Tensor:
    """Return `clip(vectors, bound)` with the gradient of a scaling by constant factors."""
    clipped = clip(vectors.detach(), bound)
    norm = torch.linalg.vector_norm(vectors.detach().double(), dim=-1, keepdim=True)
    factor = torch.linalg.vector_norm(clipped, dim=-1, keepdim=True) / norm.clamp_min(1e-300)
    return clipped + (vectors.double() - vectors.detach().double()) * factor


class Release:
    """What `condense_one_release` releases, and the loss against it.

    sums    K x classes x R x D, float64 noisy sums divided by the classes' counts, of the images' dtype
    """

    def __init__(self, problem: Problem, parameters: OneRelease, counts: torch.Tensor):
        """Draw extractors, transforms and centres; then look at the data, once; nothing is kept of it."""
        self.problem, self.parameters = problem, parameters
        self.features = _Features(problem, parameters)
        self.bound = parameters.bound / math.sqrt(parameters.extractors)
        K, R, D = problem.sets, parameters.extractors, self.features.network.feature_dim
        device, dtype = problem.images.device, problem.images.dtype
        self.centres = torch.zeros((R, D), dtype=dtype, device=device)
        if parameters.centre:
            shape = (parameters.centre, *problem.images.shape[1:])
            for r in range(R):
                stream = problem.generator("one_release centre", r, device=device)
                public = torch.randn(shape, generator=stream, dtype=dtype, device=device)
                with torch.no_grad():
                    self.centres[r] = self.raw(r, public).mean(0)
        self.means = torch.empty((K, problem.classes, R, D), dtype=dtype, device=device)
        for r in range(R):
            self.means[:, :, r] = (self._sums(r) / counts[..., None].to(device)).to(dtype)

    def raw(self, r: int, images: torch.Tensor) -> torch.Tensor:
        """Return the features N x D of extractor r, neither centred nor clipped."""
        stream = self.problem.generator("one_release augmentation", r, device=images.device)
        transform = augmentation.draw(self.parameters.augmentation, 1, stream)
        return self.features(self.features.draw(self.problem, "one_release", r), transform, images)

    def joint(self, r: int, images: torch.Tensor) -> torch.Tensor:
        """Return extractor r's part of the joint features, float64 N x D, of norm C / sqrt(R) at most."""
        return clip(self.raw(r, images) - self.centres[r], self.bound)

    def _sums(self, r: int) -> torch.Tensor:
        """Return the noisy sums of extractor r, float64 K x classes x D."""
        problem = self.problem
        D = self.features.network.feature_dim
        spread = self.parameters.noise_multiplier * self.parameters.bound
        sums = torch.stack(
            [
                noise((problem.classes, D), spread, problem.generator("one_release noise", name, r))
                for name in problem.names
            ]
        ).to(problem.images.device)
        membership = problem.membership.to(problem.images.device).double()
        with torch.no_grad():
            for c, indices in enumerate(problem.of_class):
                for rows in indices.to(problem.images.device).split(self.features.chunk):
                    sums[:, c] += membership[:, rows] @ self.joint(r, problem.images[rows])
        return sums

    def loss_and_gradient(self, index: int, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return losses (K) and gradient of step `index`; reads `means`, not the data."""
        problem, parameters = self.problem, self.parameters
        stream = problem.generator("one_release batch", index)
        chosen = torch.randperm(parameters.extractors, generator=stream)[: parameters.batch].tolist()
        part = images.clone().requires_grad_(True)
        share = parameters.extractors / parameters.batch
        losses, gradient = torch.zeros(len(images), dtype=torch.float64), torch.zeros_like(images)
        for r in chosen:
            features = _finite(self.raw(r, part.flatten(0, 2)) - self.centres[r])
            means = clip(features, self.bound).unflatten(0, images.shape[:3]).mean(2)
            loss = share * (self.means[:, :, r].double() - means).square().sum((1, 2))
            (one,) = torch.autograd.grad(loss.sum(), part)
            losses += loss.detach().cpu()
            gradient += one
        return losses, gradient


# --- shared -------------------------------------------------------------------------------------------


def _descend(
    method: str,
    problem: Problem,
    parameters: NDPDC | OneRelease,
    run: Run | None,
    loss_and_gradient: Callable[[int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> Condensed:
    images, initial = initialise(problem)
    images.requires_grad_(True)
    labels = hard_labels(problem.sets, problem.classes, problem.ipc, images.device)
    optimiser = torch.optim.SGD([images], lr=parameters.learning_rate, momentum=parameters.momentum)

    def step(index: int) -> torch.Tensor:
        losses, images.grad = loss_and_gradient(index, images.detach())
        optimiser.step()
        return losses

    run = run or Run()
    outcome = descend(method, problem, parameters, run, images, optimiser, step, parameters.iterations)
    return finish(images, labels, initial, outcome)


def _finite(features: torch.Tensor) -> torch.Tensor:
    """Return synthetic images' features; clipping would hide a divergence, so look for one before it."""
    if not bool(torch.isfinite(features).all()):
        raise DivergenceError(
            "features of synthetic images are not finite: lower the learning rate, or start from another seed"
        )
    return features


def _finished(problem: Problem, images: torch.Tensor, initial: torch.Tensor, began: float) -> Condensed:
    labels = hard_labels(problem.sets, problem.classes, problem.ipc, images.device)
    loss, steps = torch.zeros((problem.sets, 0), dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    return Condensed(images, labels, initial, loss, steps, seconds=time.monotonic() - began)


def _labels(problem: Problem) -> torch.Tensor:
    return problem.labels.to(problem.images.device)


def _members(problem: Problem) -> list[tuple[int, torch.Tensor]]:
    """Return each set's name and its members' indices, ascending, int64, on the images' device."""
    device = problem.images.device
    membership = problem.membership.to(device)
    return [(name, membership[k].nonzero()[:, 0]) for k, name in enumerate(problem.names)]


def _samples(
    problem: Problem,
    members: torch.Tensor,
    counts: torch.Tensor,
    sample: int,
    method: str,
    name: int,
    index: int,
) -> torch.Tensor:
    """Return a Poisson sample of a set, `sample` images of each class expected."""
    labels = _labels(problem)[members]
    return torch.cat(
        [
            poisson_sample(
                members[labels == c],
                _rate(sample, int(counts[c])),
                problem.generator(f"{method} sample", name, index, c),
            )
            for c in range(problem.classes)
        ]
    )


def _image_bound(problem: Problem) -> float:
    """Return sqrt(d), the largest norm of an image in [-1, 1], with room for the clipping's SHRINK."""
    return math.sqrt(math.prod(problem.images.shape[1:])) / SHRINK


def _clamped(images: torch.Tensor) -> torch.Tensor:
    return images.clamp(-1, 1).flatten(1)


def _rate(sample: int, count: int) -> float:
    if sample > count:
        raise ValueError(f"sample {sample!r}: allowed are 1 to {count}, the images of the smallest class")
    return sample / count


def _check(problem: Problem, parameters: Parameters) -> torch.Tensor:
    """Check what the guarantee needs; return int64 K x classes, the numbers of images."""
    if problem.init != "noise":
        raise ValueError(
            f"init {problem.init!r}: allowed is 'noise'; real images are a release without noise, and "
            "noise_matched one of the members' mean and spread"
        )
    counts = class_counts(problem.labels, problem.membership, problem.classes).cpu()
    for row in counts:
        mechanism(row, parameters, problem.ipc)
    return counts


def _check_whole(parameters: object, names: tuple[str, ...], least: int = 1) -> None:
    for name in names:
        value = getattr(parameters, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} {value!r}: allowed are whole numbers from {least} up")


def _check_positive(parameters: object, names: tuple[str, ...]) -> None:
    for name in names:
        if not 0 < getattr(parameters, name) < math.inf:
            raise ValueError(f"{name} {getattr(parameters, name)!r}: allowed are finite numbers above 0")


def _check_momentum(momentum: float) -> None:
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum {momentum!r}: allowed are numbers from 0, below 1")
