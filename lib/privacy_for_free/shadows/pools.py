"""The attacker's pool of images, and the halves of it that are members."""

from dataclasses import dataclass, field

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.shadows.halves import balanced_pool, random_halves


@dataclass(frozen=True, eq=False)
class Pool:
    """The attacker's pool, and who is a member of which half.

    images      float32, 2n x C x H x W, standardised
    labels      int64, 2n
    membership  bool, K x 2n, on the CPU: row k is the half that model k is made from
    indices     int64, 2n: where in the training set each image stands
    classes     number of classes
    """

    images: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    membership: torch.Tensor = field(repr=False)
    indices: torch.Tensor = field(repr=False)
    classes: int

    @property
    def shadows(self) -> int:
        """K."""
        return len(self.membership)

    def first(self, shadows: int) -> "Pool":
        """Return the pool with its first `shadows` halves only; ValueError where there are not so many."""
        if not 1 <= shadows <= self.shadows:
            raise ValueError(f"{shadows} shadows: allowed are 1 to {self.shadows}")
        return Pool(self.images, self.labels, self.membership[:shadows], self.indices, self.classes)


def draw(
    images: torch.Tensor, labels: torch.Tensor, size: int, shadows: int, seed: int, classes: int | None = None
) -> Pool:
    """Draw a class-balanced pool of 2n images, and K random halves of it that are balanced too.

    images, labels   the training set: N x C x H x W and int64, N
    seed             the pool and the halves are drawn from generators of their own derived from it
    classes          the number of classes; None for the largest label plus one

    ValueError where the training set is too small for the pool, or a size is not even (`shadows.halves`).
    """
    chosen = balanced_pool(labels.cpu(), size, generator(seed, "pool"))
    of_pool = labels.cpu()[chosen]
    membership = random_halves(shadows, of_pool, generator(seed, "halves"))
    device = images.device
    classes = int(labels.max()) + 1 if classes is None else classes
    return Pool(images[chosen.to(device)], of_pool.to(device), membership, chosen, classes)


def in_initialisation(pool: Pool, initial: torch.Tensor) -> torch.Tensor:
    """Return bool, K x 2n: which pool images a set started from (`Condensed.initial`, K x classes x ipc)."""
    started = torch.zeros_like(pool.membership)
    for k, chosen in enumerate(initial.cpu().flatten(1)):
        started[k, chosen[chosen >= 0]] = True
    return started
