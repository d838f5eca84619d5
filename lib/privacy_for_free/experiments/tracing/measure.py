"""Tracing: which images of a pool are members, from the released data alone, predicted and observed.

A task makes K random halves of a pool of 2 n images per class, a release of each half, and asks of every pool
image whether it is in. Releases (`method`):

    mean  the class means themselves, which linear distribution matching that starts from noise must release,
          whatever its number m of synthetic images (here 0)
    dm    distribution matching, attacked through the means of its images. With a linear extractor it is run
          for several m, and `mean_error` is how far its means are from those of the members; with a ConvNet
          it is attacked through means of pixels and of random features

Attackers are those of `attacks.tracing`. `raw` is the statistic, one threshold for all images; `standardised`
divides it by its spread under the attacker's own covariance. For `mean` the rates are predicted, twice: to
leading order and exactly, as `theory.tracing_prediction` says.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import tracing
from privacy_for_free.attacks.evaluation import FPRS
from privacy_for_free.condensation import Run
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.tracing import releases, rows
from privacy_for_free.experiments.tracing.design import DM_RELEASE, MEAN_RELEASE, Design, Task
from privacy_for_free.experiments.tracing.releases import Sample
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.theory import linear, tracing_prediction

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
    """Make and attack the releases of one size; one row per attacker, shrinkage, calibration, population."""
    train, test = (
        Sample(images, labels.to(device))
        for images, labels in zip(
            standardised(dataset, device), (dataset.train_labels, dataset.test_labels), strict=True
        )
    )
    classes, seed = len(dataset.classes), derived_seed(seed, "tracing", task.n)
    targets = design.targets if task.method == MEAN_RELEASE else design.dm_targets
    pool = shadows.draw(train.images, train.labels, 2 * task.n * classes, targets, seed, classes)
    other = releases.disjoint(pool, train, test, design.auxiliary, seed)
    if task.method == MEAN_RELEASE:
        return list(_mean_rows(task, design, pool, other, train, seed))
    return list(_dm_rows(task, design, pool, other, dataset, seed, checkpoint))


def _mean_rows(
    task: Task, design: Design, pool: shadows.Pool, other: Sample, train: Sample, seed: int
) -> Iterator[dict[str, object]]:
    attackers = {  # both before the pool's rows are there to stay: each set of rows can have a gigabyte
        name: tracing.fit(linear.flatten(source.images, task.factor), source.labels, pool.classes)
        for name, source in (("pool", pool), ("disjoint", other))
    }
    images, labels = linear.flatten(pool.images, task.factor), pool.labels
    means = tracing.class_means(images, labels, pool.membership, pool.classes)
    bootstrap = (FPRS, design.resamples, seed)
    common = {"extractor": "linear", "n": task.n, "dimension": images.shape[1], "init": "noise"}
    common |= {"statistic": "pixels"}
    matched = list(releases.linear_releases(task, design, images, means, pool, seed))
    of_means = common | {"method": MEAN_RELEASE, "m": 0}
    for attacker, known in attackers.items():
        predictions = tracing_prediction.predict(
            images,
            labels,
            lambda c: linear.flatten(train.images[train.labels == c], task.factor),
            known.centres,
            {shrinkage: known.whitening(shrinkage).apply for shrinkage in design.shrinkages},
            attacker == "pool",
            design.predicted,
        )
        for scores in tracing.scores(known, images, labels, means, design.shrinkages):
            for columns, values in rows.calibrated(scores):
                spread = scores.spread if columns["calibration"] == "standardised" else None
                row = of_means | columns | {"attacker": attacker}
                row |= rows.predicted(predictions[scores.shrinkage], spread, FPRS)
                yield from rows.attacked(row, values, pool, None, *bootstrap)
        for columns_of_release, released in matched:
            (scores,) = tracing.scores(known, images, labels, released, (tracing.LEDOIT_WOLF,))
            for columns, values in rows.calibrated(scores):
                row = common | columns_of_release | columns | {"attacker": attacker}
                yield from rows.attacked(row, values, pool, None, *bootstrap)
    row = of_means | {"attacker": "none", "shrinkage": 1.0, "shrinkage_used": 1.0, "calibration": "raw"}
    yield from rows.attacked(row, tracing.without_data(images, labels, means), pool, None, *bootstrap)


def _dm_rows(
    task: Task,
    design: Design,
    pool: shadows.Pool,
    other: Sample,
    dataset: "Dataset",
    seed: int,
    checkpoint: Path | None,
) -> Iterator[dict[str, object]]:
    settings = augmentation.published_for(design.dm, dataset.name)
    network = networks.build(settings.extractor, tuple(pool.images.shape[1:]), pool.classes, settings.width)
    embedding = tracing.Embedding.draw(network, design.extractors, design.features, seed, pool.images.device)
    statistics = {
        "pixels": (linear.flatten, lambda sets: sets.double().mean(2).flatten(2)),
        "features": (embedding.project, embedding.means),
    }
    attacks = []
    for name, (rows_of, means_of) in statistics.items():
        images = rows_of(pool.images)
        for attacker, known in (
            ("pool", tracing.fit(images, pool.labels, pool.classes)),
            ("disjoint", tracing.fit(rows_of(other.images), other.labels, pool.classes)),
        ):
            columns = {"statistic": name, "attacker": attacker, "dimension": images.shape[1]}
            attacks.append((columns, images, means_of, known))
    for init in design.inits:
        for ipc in design.ipcs:
            path = checkpoint and checkpoint.with_suffix(f".dm-{init}-{ipc}.checkpoint")
            watched = Run(checkpoint=path, progress=path is not None)
            sets = shadows.release(pool, "dm", init, ipc, settings, seed, watched)
            started = shadows.in_initialisation(pool, sets.initial) if init == "real" else None
            common = {"extractor": settings.extractor, "n": task.n, "method": DM_RELEASE, "init": init}
            common |= {"m": ipc, "iterations": settings.iterations, "seconds": sets.seconds}
            for columns_of_attack, images, means_of, known in attacks:
                released = means_of(sets.images)
                for scores in tracing.scores(known, images, pool.labels, released, design.dm_shrinkages):
                    for columns, values in rows.calibrated(scores):
                        row = common | columns_of_attack | columns
                        yield from rows.attacked(row, values, pool, started, FPRS, design.resamples, seed)
