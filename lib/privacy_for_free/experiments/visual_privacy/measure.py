"""What can be seen: how near synthetic images are to the image they started from, to members, to others.

A task condenses each of K random halves of one pool to `ipc` images per class. Of every synthetic image, at
some moments of the condensation, the nearest member and the nearest non-member of its class are searched in
the whole pool, under each distance of `attacks.image_distance`, and the distance to its initial image is
measured. (The class of a synthetic image is released with it.) Images are compared as they are shown: in
[0, 1], clipped.

Two things to compare with: a random subset, whose images are members, and as many real images of the data set
that are not in the pool (`unseen`), whose sets cannot know who is a member.

The member nearest to a set from real images is likely one of those it started from. So the comparison is also
made without them: these members are left out, and as many random non-members of the class. `rows` says how
members and non-members are compared.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import image_distance
from privacy_for_free.attacks.image_distance.nearest import Release, search
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.visual_privacy import rows
from privacy_for_free.experiments.visual_privacy.design import Design, Task
from privacy_for_free.experiments.visual_privacy.releases import condensed, pictured_classes, shown, unseen

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def run(
    task: Task,
    design: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Make the releases of one ipc, and measure them: a row per release, moment, metric and reference.

    `checkpoint` names the files for the state of a condensation that is cut off.
    """
    metrics = [image_distance.build(name, device) for name in design.measured]
    images, _ = standardised(dataset, device)
    seed, labels = derived_seed(seed, "visual_privacy"), dataset.train_labels.to(device)
    pool = shadows.draw(images, labels, design.pool, design.sets, seed, len(dataset.classes))
    releases = list(condensed(task.ipc, design, dataset, pool, seed, checkpoint))
    releases.append(unseen(task.ipc, dataset, images, pool, seed))
    del images
    candidates = shown(pool.images, dataset)
    table: list[dict[str, object]] = []
    for metric in metrics:
        found = search(metric, releases, candidates, pool.labels, pool.membership, seed)
        for (release, step), nearest in found.items():
            common = names(task, release, pool) | {"metric": metric.name, "iterations": step}
            common |= {"members": len(pool.labels) // 2 // pool.classes, "seconds": release.seconds}
            table += [common | row for row in rows.measurements(release, nearest, seed)]
            if metric.name in design.pictured and step == max(release.moments):
                classes = pictured_classes(design, pool.classes, release)
                table += [common | row for row in rows.neighbours_kept(nearest, classes, pool, candidates)]
    for release in releases:
        classes, common = pictured_classes(design, pool.classes, release), names(task, release, pool)
        table += [common | row for row in rows.images_kept(release, classes, pool, candidates)]
    return table


def names(task: Task, release: Release, pool: shadows.Pool) -> dict[str, object]:
    """Return the columns that say which release a row is of."""
    return {"method": release.method, "init": release.init, "ipc": task.ipc, "sets": pool.shadows}
