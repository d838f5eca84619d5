"""The releases that `visual_privacy` looks at: condensed sets, a random subset, and images of nobody."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks.image_distance.nearest import Release
from privacy_for_free.condensation import Run
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.visual_privacy.design import SUBSET, UNSEEN, Design
from privacy_for_free.nets import augmentation

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def shown(images: torch.Tensor, dataset: "Dataset") -> torch.Tensor:
    """Return standardised images (... x C x H x W) as they are looked at: float32 in [0, 1], clipped."""
    mean, std = (values.to(images)[:, None, None] for values in (dataset.mean, dataset.std))
    return (images * std + mean).clamp_(0, 1).float()


def condensed(
    ipc: int,
    design: Design,
    dataset: "Dataset",
    pool: shadows.Pool,
    seed: int,
    checkpoint: Path | None,
) -> Iterator[Release]:
    """Condense the pool's halves by every cell of an ipc; each cell keeps its state in a file of its own."""
    for method, init, size in design.cells:
        if size != ipc:
            continue
        settings = augmentation.published_for(design.settings(method), dataset.name)
        last = getattr(settings, "iterations", 0)
        steps = sorted({round(share * last) for share in design.moments})
        path = checkpoint and checkpoint.with_suffix(f".{method}-{init}-{ipc}.checkpoint")
        run = Run(checkpoint=path, snapshots=tuple(steps), progress=path is not None)
        sets = shadows.release(pool, method, init, ipc, settings, seed, run)
        moments = sets.snapshots or {0: sets.images}
        moments = {step: shown(moments[step].to(pool.images.device), dataset) for step in sorted(moments)}
        yield Release(method, init, moments, sets.initial.cpu(), sets.seconds if last else None)


def unseen(ipc: int, dataset: "Dataset", images: torch.Tensor, pool: shadows.Pool, seed: int) -> Release:
    """Draw K sets of real training images that are not in the pool, all different."""
    free = torch.ones(len(images), dtype=torch.bool)
    free[pool.indices] = False
    chosen = []
    for c in range(pool.classes):
        places = (free & (dataset.train_labels.cpu() == c)).nonzero()[:, 0]
        order = torch.randperm(len(places), generator=generator(seed, "unseen images", ipc, c))
        chosen.append(places[order[: pool.shadows * ipc]].view(pool.shadows, ipc))
    chosen = torch.stack(chosen, 1)
    moments = {0: shown(images[chosen.to(images.device)], dataset)}
    return Release(UNSEEN, "real", moments, torch.full_like(chosen, -1))


def pictured_classes(design: Design, classes: int, release: Release) -> list[int]:
    """Return the classes whose first image in the first set is kept: of learnt sets only."""
    if release.method in (SUBSET, UNSEEN):
        return []
    return list(range(min(design.gallery, max(1, classes // 2))))
