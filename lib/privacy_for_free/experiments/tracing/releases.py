"""The images that `tracing` attacks with, and the releases of linear distribution matching."""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.tracing.design import DM_RELEASE, Design, Task
from privacy_for_free.shadows import Pool
from privacy_for_free.theory import linear

LINEAR_STEPS = 24  # of linear distribution matching, each of which shrinks the gap to 0.2 of itself


class Sample(NamedTuple):
    """Images and labels: N x ... and N."""

    images: torch.Tensor
    labels: torch.Tensor


def disjoint(pool: Pool, train: Sample, test: Sample, most: int, seed: int) -> Sample:
    """Draw up to `most` images per class that are not in the pool, from the rest of training and test set.

    train, test   on one device; the sample's images come from the training set first, class by class
    """
    free = torch.ones(len(train.labels), dtype=torch.bool)
    free[pool.indices] = False
    free = torch.cat([free, torch.ones(len(test.labels), dtype=torch.bool)])
    labels = torch.cat([train.labels, test.labels]).cpu()
    chosen = []
    for c in range(pool.classes):
        candidates = (free & (labels == c)).nonzero()[:, 0]
        order = torch.randperm(len(candidates), generator=generator(seed, "tracing disjoint", c))
        chosen.append(candidates[order[:most]])
    places = torch.cat(chosen)
    of_test = places >= len(train.labels)
    device = train.images.device
    of_train, of_test = (
        places[~of_test].to(device),
        (places[of_test] - len(train.labels)).to(device),
    )
    images = torch.cat([train.images[of_train], test.images[of_test]])
    return Sample(images, torch.cat([train.labels[of_train], test.labels[of_test]]))


def linear_dm(images: torch.Tensor, pool: Pool, m: int, seed: int) -> torch.Tensor:
    """Run linear distribution matching on each class of each half, from noise: float64, K x classes x m x d.

    images   the pool's, rows, N x d. One orthogonal extractor is kept, on which the loss is the expected one.
    """
    d = images.shape[1]
    theta = linear.balanced_extractors(
        d, d, generator(seed, "tracing linear extractor", device=images.device)
    )
    released = images.new_empty((pool.shadows, pool.classes, m, d))
    for k, inside in enumerate(pool.membership.to(images.device)):
        for c in range(pool.classes):
            stream = generator(seed, "tracing linear start", m, k, c, device=images.device)
            start = torch.randn((m, d), generator=stream, dtype=images.dtype, device=images.device)
            real = images[inside & (pool.labels == c)]
            step = 0.4 * linear.largest_step(m, d)
            released[k, c] = linear.descend(start, real, theta, LINEAR_STEPS, step)
    return released


def linear_releases(
    task: Task, design: Design, images: torch.Tensor, means: torch.Tensor, pool: Pool, seed: int
) -> Iterator[tuple[dict[str, object], torch.Tensor]]:
    """Yield columns and means, K x classes x d, of linear distribution matching, where the design runs it.

    images   the pool's, rows, N x d; means   of the members, K x classes x d
    """
    if task.n not in design.linear_ns or task.factor != max(design.factors):
        return
    for m in design.linear_ms:
        released = linear_dm(images, pool, m, seed).mean(2)
        error = float(((released - means).norm(dim=2) / means.norm(dim=2)).max())
        yield {"method": DM_RELEASE, "m": m, "mean_error": error, "iterations": LINEAR_STEPS}, released
