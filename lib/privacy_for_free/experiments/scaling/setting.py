"""What every operation of `scaling` is prepared from, and what it becomes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free import shadows
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.scaling.design import Design, Task

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


class Work(NamedTuple):
    """An operation with its inputs in place: what to call, a row's sizes, and the bytes of its inputs."""

    call: Callable[[], object]
    sizes: dict[str, int]
    reads: int


Prepare = Callable[[int], Work]


@dataclass(frozen=True)
class Setting:
    """What every operation is prepared from."""

    task: Task
    design: Design
    dataset: "Dataset"
    seed: int
    device: torch.device

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.dataset.classes)

    @property
    def shape(self) -> tuple[int, ...]:
        """C x H x W, the shape of an image."""
        return tuple(self.dataset.train_images.shape[1:])

    def shuffled(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all training images, standardised, in random order, and their labels."""
        images, _ = standardised(self.dataset, self.device)
        order = torch.randperm(len(images), generator=generator(self.seed, "scaling order")).to(self.device)
        return images[order], self.dataset.train_labels.to(self.device)[order]

    def pool(self, size: int, K: int) -> shadows.Pool:
        """Draw a pool and K halves of it."""
        images, _ = standardised(self.dataset, self.device)
        labels = self.dataset.train_labels.to(self.device)
        return shadows.draw(images, labels, size, K, self.seed, self.classes)
