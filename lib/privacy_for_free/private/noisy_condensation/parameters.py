"""Settings of the noisy condensations, and what each of them releases."""

import math
from dataclasses import dataclass

import torch

from privacy_for_free.nets import augmentation
from privacy_for_free.private.accounting import Mechanism


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
        _check_whole(self, ("extractors", "batch"))
        _check_whole(self, ("iterations", "centre"), least=0)
        _check_positive(self, ("bound", "learning_rate"))
        _check_momentum(self.momentum)
        augmentation.kinds(self.augmentation)
        if self.batch > self.extractors:
            raise ValueError(f"batch {self.batch!r}: allowed are 1 to {self.extractors}, all extractors")


Settings = Linear | LDPDC | NDPDC | OneRelease


def mechanism(counts: torch.Tensor, parameters: Settings, ipc: int) -> Mechanism:
    """Return what a condensation with these parameters releases, for accounting.

    counts  int64, classes: a set's number of images of each class (`Problem`s have them by `class_counts`)
    ipc     synthetic images a class: LDPDC releases a sum for each

    ValueError for a sample larger than the smallest class.
    """
    rate, steps = 1.0, 1
    if isinstance(parameters, LDPDC | NDPDC):
        rate = sampling_rate(parameters.sample, int(counts.min()))
        steps = ipc if isinstance(parameters, LDPDC) else parameters.iterations
    return Mechanism(parameters.noise_multiplier, steps, rate, parameters.adjacency)


def sampling_rate(sample: int, count: int) -> float:
    """Return the Poisson rate for `sample` expected images of `count`; ValueError for more than there are."""
    if sample > count:
        raise ValueError(f"sample {sample!r}: allowed are 1 to {count}, the images of the smallest class")
    return sample / count


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
