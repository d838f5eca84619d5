"""Canaries: what LiRA says of the images that are easiest to find, for DM, its baseline, and DP-SGD.

Among the pool of 2n images that shadows are random halves of, some are planted (`shadows.canaries`). A task
is one release of all K halves:

    random_subset   as many real images
    dm              from noise, from real images, or (init `canaries`) with canaries in its initialisation:
                    each class starts from members that are planted, where the half has enough of them
    dp_sgd          networks trained on a half with a proved epsilon; infinity: clipped, without noise
    full            networks trained on a half

All are attacked through networks of one kind, condensed sets also as they are. Rates are for each kind of
image apart (`canary`), and among planted ones apart for those that a release started from.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import evaluation
from privacy_for_free.condensation import Condensed
from privacy_for_free.core import checkpoint as checkpoints
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.canaries.design import Design, Task
from privacy_for_free.experiments.canaries.releases import noise_multiplier, release, train_and_ask
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.shadows.canaries import KINDS, ORDINARY, Planted, plant

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
    """Make and attack one release of every half; one row per attack and kind of image."""
    canary_seed = derived_seed(seed, "canaries")
    planted = _planted_pool(design, dataset, canary_seed, device)
    began = time.perf_counter()
    sets = release(task, planted, design, dataset, canary_seed, checkpoint)
    release_seconds = 0.0 if sets is None else time.perf_counter() - began
    noise = noise_multiplier(task, planted.pool, design)
    key = checkpoints.key(task, design, seed, dataset.sha256)
    answers = train_and_ask(task, planted.pool, sets, noise, design, dataset, canary_seed, key, checkpoint)
    common = _common(task, planted, sets, answers, design) | {
        "noise_multiplier": noise,
        "release_seconds": release_seconds,
    }
    return [common | row for row in _attacked(planted, sets, answers.confidences, design, canary_seed)]


def _planted_pool(design: Design, dataset: "Dataset", seed: int, device: torch.device) -> Planted:
    images, _ = scaled_publicly(dataset, device)
    labels, classes = dataset.train_labels.to(device), len(dataset.classes)
    pool = shadows.draw(images, labels, design.pool, design.shadows, seed, classes)
    return plant(pool, design.planted, seed)


def _common(
    task: Task, planted: Planted, sets: Condensed | None, answers: shadows.Answers, design: Design
) -> dict[str, object]:
    """Return what all rows of a release share."""
    pool = planted.pool
    members, half = pool.membership, len(pool.labels) // 2
    ordinary = planted.of_kind(ORDINARY)[None].expand_as(members)
    return {
        "release": task.release,
        "init": task.init,
        "epsilon": task.epsilon,
        "ipc": half // pool.classes if sets is None else design.ipc,
        "ratio": 1.0 if sets is None else design.ipc * pool.classes * 2 / len(pool.labels),
        "member_accuracy": float(answers.correct[members & ordinary].double().mean()),
        "nonmember_accuracy": float(answers.correct[~members & ordinary].double().mean()),
        "width": design.width,
        "train_seconds": answers.seconds,
    }


def _attacked(
    planted: Planted, sets: Condensed | None, confidences: torch.Tensor, design: Design, seed: int
) -> Iterator[dict[str, object]]:
    """Attack the networks and, where there is one, the released sets."""
    pool = planted.pool
    attempts, started = evaluation.on_networks(confidences), torch.zeros_like(pool.membership)
    if sets is not None:
        attempts += evaluation.on_released_images(pool.images, pool.labels, sets.images)
        started = shadows.in_initialisation(pool, sets.initial)
    ordinary = planted.of_kind(ORDINARY)
    chosen = ~ordinary | (torch.arange(len(ordinary)) % design.every == 0)
    examples = chosen.nonzero()[:, 0]
    populations = _populations(planted, started, examples)
    for attacked, name, attack, statistics in attempts:
        outcomes = evaluation.evaluate(
            attack,
            statistics,
            pool.membership,
            populations,
            examples,
            derived_seed(seed, "bootstrap"),
            design.resamples,
        )
        for (kind, where), outcome in outcomes.items():
            place = {"attacked": attacked, "attack": name, "canary": kind, "in_initialisation": where}
            yield place | outcome.columns()


def _populations(
    planted: Planted, started: torch.Tensor, examples: torch.Tensor
) -> dict[tuple[str, str], torch.Tensor]:
    """Return bool, K x 2n: which pairs count, for each kind, and whether its members were started from.

    A population is left out where fewer than two halves have members of it among the examples: without the
    target's, no threshold could be chosen.
    """
    membership, populations = planted.pool.membership, {}
    for kind in KINDS:
        of_kind = planted.of_kind(kind)[None].expand_as(membership)
        populations[kind, "all"] = of_kind
        for where, side in (("yes", started), ("no", ~started)):
            halves = (membership & of_kind & side)[:, examples].any(1)
            if bool(started.any()) and int(halves.sum()) > 1:
                populations[kind, where] = of_kind & (~membership | side)
    return populations
