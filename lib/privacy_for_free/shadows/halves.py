"""Who is in which half: a balanced pool of images, and random halves of it for the shadow models."""

import numpy as np
import torch

from privacy_for_free.core import devices
from privacy_for_free.core.entrance import entrance

ROUNDS = 32  # of trades


@entrance(shapes="labels N")
def check_pool(labels: torch.Tensor, size: int) -> None:
    """Refuse a pool that `balanced_pool` cannot draw from images with these labels (int64, N).

    ValueError unless `size` is a positive multiple of twice the number of classes (so that halves are
    balanced too), and when a class has too few images.
    """
    classes, counts = labels.unique(return_counts=True)
    if size < 1 or size % (2 * len(classes)):
        raise ValueError(
            f"size, a pool of {size} images: allowed are positive multiples of {2 * len(classes)}, "
            f"twice the {len(classes)} classes"
        )
    per_class = size // len(classes)
    for c, count in zip(classes.tolist(), counts.tolist(), strict=True):
        if count < per_class:
            raise ValueError(
                f"size, a pool of {size} images: {per_class} of class {c} asked for, there are {count}; "
                f"allowed are up to {len(classes) * min(counts.tolist())}"
            )


@entrance(shapes="labels N")
def balanced_pool(labels: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw a pool with the same number of images of every class, without replacement.

    `labels` is int64, N; the classes are the values that occur in it. Returns `size` indices into it, int64:
    those of the lowest class first, ascending within a class. ValueErrors are those of `check_pool`.
    """
    check_pool(labels, size)
    classes = labels.unique().tolist()
    per_class = size // len(classes)
    chosen = []
    for c in classes:
        members = (labels == c).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=generator)[:per_class]
        chosen.append(members[order].sort().values)
    return torch.cat(chosen)


def _trade(first: np.ndarray, second: np.ndarray, random: np.random.Generator) -> None:
    """Deal what just one of two rows has out anew at random, as many to each as before."""
    differing = np.flatnonzero(first != second)
    dealt = random.permutation(first[differing])
    first[differing] = dealt
    second[differing] = ~dealt


def _halves(rows: int, columns: int, random: np.random.Generator) -> np.ndarray:
    """Return a bool matrix, half of every row and of every column True, close to uniformly distributed."""
    halves = np.empty((rows, columns), dtype=bool)
    for row in range(0, rows, 2):
        halves[row] = random.permutation(columns) < columns // 2
        halves[row + 1] = ~halves[row]
    for _ in range(ROUNDS):
        for first, second in random.permutation(rows).reshape(-1, 2).tolist():
            _trade(halves[first], halves[second], random)
    return halves


@entrance(shapes="labels_of_pool N")
def random_halves(shadows: int, labels_of_pool: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw `shadows` random halves of a pool: bool, shadows x 2n, True where the image is in the half.

    Every row holds exactly half of every class of `labels_of_pool` (int64, 2n), and every image is in exactly
    half of the rows. Subject to that the matrix is close to uniformly distributed. Complementary pairs of
    rows would have the same margins, but there one row tells all of another: an attacker who knows the
    members of one shadow would know those of its twin. So the pairs are only the start; 32 rounds follow in
    which the rows, newly paired at random, trade the images that just one of the two holds. Two rows then
    correlate by about -1/(shadows - 1), which is what the fixed column sums leave; with two shadows only the
    complementary pair exists.

    The trades are Curveball trades (Strona et al., Nature Communications 5, 2014), whose stationary
    distribution is uniform (Carstens, Physical Review E 91, 2015), one for every row in a round (global
    trades: Carstens et al., ESA 2018). A round halves what a column remembers of its start, hence 32.

    Raises ValueError unless `shadows` is even and at least 2 and every class has an even number of images.
    """
    if shadows < 2 or shadows % 2:
        raise ValueError(f"shadows {shadows!r}: allowed are even numbers from 2 up")
    devices.check_size(f"shadows {shadows}: halves", (shadows, len(labels_of_pool)), torch.bool)
    labels = labels_of_pool.cpu().numpy()
    classes, counts = np.unique(labels, return_counts=True)
    for c, count in zip(classes.tolist(), counts.tolist(), strict=True):
        if count % 2:
            raise ValueError(
                f"labels_of_pool with {count} images of class {c}: allowed is an even number of every class"
            )
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=generator.device))
    random = np.random.default_rng(seed)
    halves = np.empty((shadows, len(labels)), dtype=bool)
    for c, count in zip(classes.tolist(), counts.tolist(), strict=True):
        halves[:, labels == c] = _halves(shadows, count, random)
    return torch.from_numpy(halves)
