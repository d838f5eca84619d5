"""The sets' images: checked for what a guarantee needs, looked up, sampled."""

import torch

from privacy_for_free.condensation.problem import Problem, class_counts
from privacy_for_free.private.noisy_condensation.parameters import Settings, mechanism, sampling_rate
from privacy_for_free.private.noisy_condensation.sums import poisson_sample


def check(problem: Problem, parameters: Settings) -> torch.Tensor:
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
    sample: int,
    method: str,
    name: int,
    index: int,
) -> torch.Tensor:
    """Return a Poisson sample of a set, `sample` images of each class expected."""
    labels = labels_of(problem)[members]
    return torch.cat(
        [
            poisson_sample(
                members[labels == c],
                sampling_rate(sample, int(counts[c])),
                problem.generator(f"{method} sample", name, index, c),
            )
            for c in range(problem.classes)
        ]
    )
