"""What a proved epsilon costs: accuracy, seconds, and what an audit finds, mechanism by mechanism.

Two kinds of tasks. `accuracy`: a mechanism releases images (or, DP-SGD, a network) of the whole training set
at every epsilon of the grid, ConvNets are trained on them with one schedule and tested on the whole test
set. Releases without a guarantee stand beside them, trained on alike: `dm`, `random_subset`, `gan`, and
`full`, all training images, with a schedule of its own. `audit`: a mechanism's worst case is run again and
again with and without a canary, as it should be and broken in two ways (`private.worst_case`).

Epsilon is for adding or removing one example, delta 1e-5: exact for single releases, from privacy loss
distributions where there is sampling. `epsilon_rdp` is what Renyi accounting says of the same noise, and
`epsilon_replace_one` what replacing an example costs. An epsilon of infinity is the mechanism without noise,
clipped and sampled as ever. Images are scaled by constants; class counts are public, and the same in
neighbouring data sets.

Choices made by looking at results, which no epsilon here includes, are named in the chapter.
"""

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.condensation import Run
from privacy_for_free.core import checkpoint as checkpoints
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.experiments.private_release import audits, releases
from privacy_for_free.experiments.private_release.bench import Bench
from privacy_for_free.experiments.private_release.design import (
    ACCURACY,
    AUDIT,
    EVERYTHING,
    Cell,
    Design,
    Task,
    cells,
)
from privacy_for_free.experiments.private_release.releases import Source
from privacy_for_free.private import calibrated, dp_sgd
from privacy_for_free.private.accounting import DELTA

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
    """Audit, or release and learn; one row per audit or release.

    `checkpoint` keeps the rows of releases that are done, and what the rest have in common with them.
    """
    if task.kind == AUDIT:
        return list(audits.rows(task.mechanism, design, derived_seed(seed, *task)))
    seed_of_task = derived_seed(seed, "private_release", *task)
    key = checkpoints.key(task, design, seed, dataset.sha256)
    state = {"key": key, "rows": [], "shared": None}
    if checkpoint and checkpoint.exists():
        state = checkpoints.load(checkpoint, key)
    images, test_images = scaled_publicly(dataset, device)
    labels, test_labels = dataset.train_labels.to(device), dataset.test_labels.to(device)
    classes = len(dataset.classes)
    source = Source(images, labels, classes, dataset.name, seed_of_task, state)
    bench = Bench(test_images, test_labels, classes, design.width, dataset.name, seed_of_task)
    for cell in cells(task.mechanism, design)[len(state["rows"]) :]:
        state["rows"].append(_row(task.mechanism, cell, design, source, bench, checkpoint))
        if checkpoint:
            checkpoints.save(checkpoint, state)
    return state["rows"]


def _row(
    mechanism: str, cell: Cell, design: Design, source: Source, bench: Bench, checkpoint: Path | None
) -> dict[str, object]:
    """Make one release, and learn from it."""
    row = {
        "kind": ACCURACY,
        "mechanism": mechanism,
        "seed": bench.seed % 10**6,
        "delta": DELTA,
        "ipc": cell.ipc or int(torch.bincount(source.labels).min()),
        "init": cell.init,
        "epsilon": cell.epsilon,
    }
    if mechanism == EVERYTHING:
        learnt = bench.learn(source.images, source.labels, design.full_schedule, cell)
        return row | {"seconds": 0.0} | learnt
    if mechanism == "dp_sgd":
        return row | _network(cell, design, source, bench)
    path = checkpoint and checkpoint.with_suffix(f".{'-'.join(map(str, cell))}.checkpoint")
    watched = Run(checkpoint=path, progress=checkpoint is not None)
    sets, columns = releases.release(mechanism, cell, design, source, watched)
    return row | columns | bench.learn(*sets.flat(), design.schedule, *cell)


def _network(cell: Cell, design: Design, source: Source, bench: Bench) -> dict[str, object]:
    """Train the network that DP-SGD releases, and test it."""
    noiseless = design.dp_sgd.mechanism(len(source.labels))
    mechanism = calibrated.least_noise(noiseless, cell.epsilon)
    settings = dataclasses.replace(design.dp_sgd, noise_multiplier=mechanism.noise_multiplier)
    began = time.perf_counter()
    data, named = (source.images, source.labels), (source.seed, str(cell.epsilon))
    trained = dp_sgd.train(bench.network(), *data, settings, *named, noise="seed")
    columns = {
        "seconds": time.perf_counter() - began,
        "images": len(source.images),
        "iterations": settings.steps,
    }
    columns |= audits.account(cell.epsilon, mechanism, calibrated.epsilons(mechanism))
    return columns | bench.test(trained, design.schedule.compile)
