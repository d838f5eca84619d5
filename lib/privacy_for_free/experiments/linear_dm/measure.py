"""Every statement of "Linear extractors: the proof", checked on real images in float64.

A task is one case of `theory.linear_checks`: an image size (by average pooling), a feature dimension k, n
real images of one class and m synthetic ones.
"""

from typing import TYPE_CHECKING

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.linear_dm.design import Design, Task
from privacy_for_free.theory import linear, linear_checks
from privacy_for_free.theory.linear_case import Case

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def run(
    task: Task, design: Design, dataset: "Dataset", seed: int, device: torch.device
) -> list[dict[str, object]]:
    """Run every check of one case; one row per statement."""

    def draw(purpose: str, *index: int) -> torch.Generator:
        return generator(seed, f"linear_dm {purpose}", *task, *index, device=device)

    images = dataset.of_class(task.class_index)
    chosen = torch.randperm(len(images), generator=generator(seed, "linear_dm images", *task))[: task.n]
    real = linear.flatten(images[chosen].to(device), task.pool)
    initial = torch.rand((task.m, real.shape[1]), generator=draw("initial"), dtype=real.dtype, device=device)
    case = Case(real, initial, task.k, design.normals, design.chains, draw)
    sizes = {"n": case.n, "m": case.m, "d": case.d, "k": case.k, "class_index": task.class_index}
    return [{**sizes, **row} for row in linear_checks.rows(case)]
