"""The attacker's pool of images, and the halves of it that are members."""

import copy
from dataclasses import dataclass, field

import torch

from privacy_for_free.condensation.problem import number_of_classes
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import CLASSES, entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.shadows.halves import balanced_pool, random_halves


@entrance(indices=CLASSES, shapes="images M C H W, labels M, membership K M, indices M")
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

    def __post_init__(self) -> None:
        """Refuse images that are no floats, and labels beyond the classes; keep tensors of its own."""
        if not self.images.is_floating_point():
            raise ValueError(f"images {self.images.dtype}: allowed are float32 or float64")
        validate.whole("classes", self.classes, int(self.labels.max()) + 1)
        for name in ("images", "labels", "membership", "indices"):
            object.__setattr__(self, name, getattr(self, name).clone())

    @property
    def shadows(self) -> int:
        """K."""
        return len(self.membership)

    def first(self, shadows: int) -> "Pool":
        """Return the pool with its first `shadows` halves only; ValueError where there are not so many."""
        shadows = validate.whole("shadows", shadows, 1, self.shadows)
        few = copy.copy(self)
        object.__setattr__(few, "membership", self.membership[:shadows])
        return few


@entrance(shapes="images N C H W, labels N")
def draw(
    images: torch.Tensor, labels: torch.Tensor, size: int, shadows: int, seed: int, classes: int | None = None
) -> Pool:
    """Draw a class-balanced pool of 2n images, and K random halves of it that are balanced too.

    images, labels   the training set: N x C x H x W and int64, N
    seed             the pool and the halves are drawn from generators of their own derived from it
    classes          the number of classes; None for the largest label plus one

    ValueError where the training set is too small for the pool, a size is not even (`shadows.halves`), or a
    class has no image.
    """
    classes = number_of_classes(labels, classes)
    there = set(labels.unique().tolist())
    if gaps := [c for c in range(classes) if c not in there]:
        raise ValueError(
            f"labels without class {gaps[0]}: allowed are labels with images of each of {classes} classes, "
            "numbered from 0"
        )
    chosen = balanced_pool(labels.cpu(), size, generator(seed, "pool"))
    of_pool = labels.cpu()[chosen]
    membership = random_halves(shadows, of_pool, generator(seed, "halves"))
    device = images.device
    return Pool(images[chosen.to(device)], of_pool.to(device), membership, chosen, classes)


@entrance(shapes="initial K classes ipc")
def in_initialisation(pool: Pool, initial: torch.Tensor) -> torch.Tensor:
    """Return bool, K x 2n: which pool images a set started from (`Condensed.initial`, K x classes x ipc).

    ValueError for another number of sets than the pool has, and for images that it has not.
    """
    count = len(pool.labels)
    whole = not initial.is_floating_point() and initial.dtype is not torch.bool
    if (
        not whole
        or len(initial) != pool.shadows
        or not -1 <= int(initial.min()) <= int(initial.max()) < count
    ):
        raise ValueError(
            f"initial {initial.dtype} {tuple(initial.shape)}: allowed are whole numbers from -1 to "
            f"{count - 1}, of {pool.shadows} sets"
        )
    started = torch.zeros_like(pool.membership)
    for k, chosen in enumerate(initial.cpu().flatten(1)):
        started[k, chosen[chosen >= 0]] = True
    return started
