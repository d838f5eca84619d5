"""The images of one case of `gibbs_ratio`: which two classes, which real images, which synthetic ones."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.gibbs_ratio.design import Design, Task
from privacy_for_free.theory import gibbs, gibbs_models

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


@dataclass(frozen=True)
class Case:
    """The images of one n and replicate. Make one with `case`.

    classes   of x, and the other
    pools     all images of each of the two, (k, C, H, W), on the CPU
    orders    of their images: T is the first n of each, so the T of one replicate are nested
    """

    design: Design
    seed: int
    n: int
    replicate: int
    device: torch.device
    classes: tuple[int, int]
    pools: tuple[torch.Tensor, torch.Tensor]
    orders: tuple[torch.Tensor, torch.Tensor]

    @cached_property
    def in_full(self) -> tuple[np.ndarray, int]:
        """T of the class of x, float64 (n, d), and the row of the x that is followed."""
        images = gibbs_models.scale(self.pools[0][self.orders[0][: self.n]])
        return images.numpy(), gibbs_models.far_from_mean(images, images[: gibbs_models.FIRST_IMAGES])

    @cached_property
    def in_plane(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """T of both classes, and all images of the class of x, projected: (n, 2), (n, 2), (pool, 2)."""
        pool, other_order = gibbs_models.project(self.pools[0]), self.orders[1][: self.n]
        return pool[self.orders[0][: self.n]], gibbs_models.project(self.pools[1][other_order]), pool

    def synthetic(self, m: int) -> tuple[torch.Tensor, torch.Tensor]:
        """S of both classes in the plane, (m, 2) each: noise images, moved onto the means of T."""
        shape = tuple(self.pools[0].shape[1:])
        moved = []
        for points, label in zip(self.in_plane, self.classes, strict=False):
            stream = generator(self.seed, "gibbs_ratio initial", self.replicate, label, m)
            initial = gibbs_models.project(torch.rand(m, *shape, generator=stream))
            moved.append((initial + points.mean(0) - initial.mean(0)).to(self.device))
        return tuple(moved)

    def removals(self, kept: int | None = None) -> torch.Tensor:
        """How far S moves when an image at a corner of T's hull goes, (k, 2); last, the followed image.

        With `kept` only so many corners, those that move S most.
        """
        points, _, pool = self.in_plane
        corners, followed = gibbs.extreme_rows(points.numpy()), gibbs_models.far_from_mean(points, pool)
        shifts = gibbs.removal_shifts(points)
        if kept is not None:
            corners = corners[
                shifts[corners].norm(dim=1).argsort(descending=True, stable=True)[:kept].numpy()
            ]
        return shifts[np.append(corners, followed)].to(self.device)

    @cached_property
    def replaced(self) -> tuple[np.ndarray, torch.Tensor]:
        """Which rows of T go, (k,), and what comes for each, (k, 2); last, the pair that is followed."""
        points, _, pool = self.in_plane
        return gibbs_models.replacements(points, pool, self.design.pairs)


def case(task: Task, design: Design, dataset: "Dataset", seed: int, device: torch.device) -> Case:
    """Draw the classes of a replicate and the order of their images, and take n of each.

    ValueError for n below 2.
    """
    _, n, replicate = task
    gibbs.require_counts(n, 1)
    drawn = torch.randperm(len(dataset.classes), generator=generator(seed, "gibbs_ratio classes", replicate))
    classes = tuple(int(label) for label in drawn[:2])
    pools = tuple(dataset.of_class(label).cpu() for label in classes)
    orders = tuple(
        torch.randperm(len(pool), generator=generator(seed, "gibbs_ratio images", replicate, label))
        for pool, label in zip(pools, classes, strict=True)
    )
    return Case(design, seed, n, replicate, device, classes, pools, orders)
