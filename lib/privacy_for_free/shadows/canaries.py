"""Canaries: images planted in the pool that a network which memorises would memorise.

`mislabelled` ones have the label of another class, `out_of_distribution` ones are negatives (white is black).
Audits of Zhao & Zhang (ICLR 2025) and Aerni, Zhang & Tramer (CCS 2024) look at such images, for an average
over ordinary ones says little of those that are easiest to find.
"""

from dataclasses import dataclass

import torch

from privacy_for_free.condensation.problem import class_counts
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.shadows.halves import random_halves
from privacy_for_free.shadows.pools import Pool

ORDINARY, MISLABELLED, OUT_OF_DISTRIBUTION = "ordinary", "mislabelled", "out_of_distribution"
KINDS = (ORDINARY, MISLABELLED, OUT_OF_DISTRIBUTION)


@dataclass(frozen=True, eq=False)
class Planted:
    """A pool with canaries, labelled as members are learnt.

    kinds  int64, 2n, on the CPU: the place of each image's kind in KINDS
    """

    pool: Pool
    kinds: torch.Tensor

    def of_kind(self, kind: str) -> torch.Tensor:
        """Return bool, 2n: the images of a kind, one of KINDS."""
        return self.kinds == KINDS.index(kind)


@entrance
def plant(pool: Pool, planted: int, seed: int) -> Planted:
    """Turn `planted` images of each class into mislabelled ones and as many others into negatives.

    The mislabelled are dealt to the other classes in turn, and every class deals alike, so that each keeps
    its number of labels; the halves are drawn anew, balanced in the new labels. Images are those scaled to
    [-1, 1], whose negative is minus the image. The pool that is given is left as it is. ValueError (of
    `random_halves`) for a class with an odd number of labels; for more than half of a class's images; and
    for mislabelled ones of a single class.
    """
    least = int(pool.labels.bincount(minlength=pool.classes).min()) // 2
    validate.whole("planted", planted, 0, least if pool.classes > 1 else 0)
    images, labels = pool.images.clone(), pool.labels.clone()
    kinds = torch.zeros(len(labels), dtype=torch.int64)
    for c in range(pool.classes):
        rows = (pool.labels == c).nonzero()[:, 0].cpu()
        rows = rows[torch.randperm(len(rows), generator=generator(seed, "canaries planted", c))]
        wrong, negative = rows[:planted], rows[planted : 2 * planted]
        for j, row in enumerate(wrong.tolist()):
            labels[row] = (c + 1 + j % (pool.classes - 1)) % pool.classes
        images[negative.to(images.device)] *= -1
        kinds[wrong], kinds[negative] = KINDS.index(MISLABELLED), KINDS.index(OUT_OF_DISTRIBUTION)
    membership = random_halves(pool.shadows, labels.cpu(), generator(seed, "canaries halves"))
    return Planted(Pool(images, labels, membership, pool.indices, pool.classes), kinds)


@entrance
def canary_start(planted: Planted, ipc: int, seed: int) -> torch.Tensor:
    """Return int64, K x classes x ipc, on the CPU: members to start from, planted ones first, then any.

    ValueError for an ipc of more than the members that a half has of a class.
    """
    pool = planted.pool
    labels, membership = pool.labels.cpu(), pool.membership.cpu()
    validate.whole("ipc", ipc, 1, int(class_counts(labels, membership, pool.classes).min()))
    start = torch.empty((pool.shadows, pool.classes, ipc), dtype=torch.int64)
    for k, half in enumerate(pool.membership):
        for c in range(pool.classes):
            members = (half & (pool.labels == c).cpu()).nonzero()[:, 0]
            members = members[torch.randperm(len(members), generator=generator(seed, "canary start", k, c))]
            first = ~planted.of_kind(ORDINARY)[members]
            start[k, c] = torch.cat([members[first], members[~first]])[:ipc]
    return start
