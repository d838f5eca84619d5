"""The sets' images: checked for what a guarantee needs, looked up, sampled."""

from typing import Protocol

import torch

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import NOISE, Condensed, Problem, class_counts
from privacy_for_free.core import validate
from privacy_for_free.core.plain import MARGIN
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.noisy_condensation.sums import poisson_sample, sampling_rate

LEAST_SECRET = 2**40  # seeds below can be tried one after the other


class Settings(Protocol):
    """The settings of a private condensation, a frozen dataclass that knows what it releases, and how.

    noise_multiplier  standard deviation of the noise on a sum, over the bound of an example's norm
    adjacency         for the accounting, see `accounting`
    """

    noise_multiplier: float
    adjacency: str

    def mechanism(self, counts: torch.Tensor, ipc: int) -> Mechanism:
        """Return what a condensation to `ipc` images per class releases of a set with these class counts."""

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem."""


def check(problem: Problem, parameters: Settings) -> torch.Tensor:
    """Check what the guarantee needs; return int64 K x classes, the numbers of images."""
    check_secret(problem.noise, problem.seed)
    if problem.init != "noise":
        raise ValueError(
            f"init {problem.init!r}: allowed is 'noise'; real images are a release without noise, and "
            "noise_matched one of the members' mean and spread"
        )
    if problem.start is not None:
        raise ValueError(
            f"start {problem.start.dtype} {tuple(problem.start.shape)}: allowed is None; images that a "
            "release starts from would be released without noise"
        )
    check_range(problem.images)
    counts = class_counts(problem.labels, problem.membership, problem.classes).cpu()
    for row in counts:
        parameters.mechanism(row, problem.ipc)
    return counts


def check_secret(noise: str, seed: int) -> None:
    """Refuse a seed that can be guessed, unless the noise is to be made again by everyone."""
    validate.one_of("noise", noise, NOISE)
    if noise == "members" and seed < LEAST_SECRET:
        raise ValueError(
            f"seed {seed!r} of a private release, which can be guessed: allowed are None (a fresh secret "
            "seed), a secret one such as secrets.randbits(62), or any with noise='seed', for an experiment"
        )


def check_range(images: torch.Tensor) -> None:
    """Refuse images that lie outside of [-1, 1], where they would be clamped, or features far too long."""
    low, high = (end.item() for end in torch.aminmax(images))
    if not (low >= -1 - MARGIN and high <= 1 + MARGIN):  # nor NaN, of which every comparison is false
        raise ValueError(
            f"images from {low:.6g} to {high:.6g}: allowed are images in [-1, 1], to which `scale_publicly` "
            "maps those in [0, 1]"
        )


def labels_of(problem: Problem) -> torch.Tensor:
    """Return all images' labels, int64, N, where the images are."""
    return problem.labels.to(problem.images.device)


def members_of(problem: Problem) -> list[tuple[int, torch.Tensor]]:
    """Return each set's name and its members' indices, ascending, int64, on the images' device."""
    device = problem.images.device
    membership = problem.membership.to(device)
    return [(name, membership[k].nonzero()[:, 0]) for k, name in enumerate(problem.names)]


def class_samples(
    problem: Problem,
    members: torch.Tensor,
    counts: torch.Tensor,
    settings: Settings,
    method: str,
    name: int,
    index: int,
) -> torch.Tensor:
    """Return a Poisson sample of a set, `settings.sample` images of each class expected.

    members   int64: the set's images, as places in the problem's
    counts    int64, classes: how many of them each class has
    name, index   of the set and of the sample, for the generators

    The sample is int64, like `members`, class by class; its length is random.
    """
    labels = labels_of(problem)[members]
    return torch.cat(
        [
            poisson_sample(
                members[labels == c],
                sampling_rate(settings.sample, counts[c]),
                problem.noise_generator(f"{method} sample", name, index, c, settings=settings),
            )
            for c in range(problem.classes)
        ]
    )
