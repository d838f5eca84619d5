"""Membership inference through the condenser: every shadow model's data is condensed anew.

A task is one size of release, r = m / n: each method condenses each of the K halves of one pool to that size,
a network is trained on each of the K sets, and every network is attacked with the others as its shadows. The
attacker knows the pool and everything but which half. A random subset of the same size is in every task, and
each advantage comes with its difference to that baseline, whose resamples are the same. The released images
are attacked too, without any network (release `synthetic_set`). `full` is a network trained on all of a half.

Members are also reported apart: those whose image a release started from, and the others.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.condensation import Run
from privacy_for_free.experiments.membership.attacking import Outcomes, attacked, attempts
from privacy_for_free.experiments.membership.design import Design, Task, cells
from privacy_for_free.experiments.membership.inputs import Inputs, answers_path, draw_pool, sets_path
from privacy_for_free.experiments.membership.keeping import hand, hand_pool

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def run(
    task: Task,
    design: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    keep: Callable[..., object] | None = None,
) -> list[dict[str, object]]:
    """Make and attack the releases of one size; one row per attack, population and number of shadows.

    `keep` is handed what attacks need, under the names of `keeping.kept`.
    """
    whole = draw_pool(design, dataset, seed, device)
    if keep is not None:
        hand_pool(keep, whole)
    rows: list[dict[str, object]] = []
    baselines: Outcomes = {}
    for cell in cells(task, design):
        inputs = Inputs.of(cell, whole, design, dataset, seed)
        began = time.perf_counter()
        kept = Run(checkpoint=checkpoint and sets_path(checkpoint, cell), progress=checkpoint is not None)
        sets = inputs.release(kept)
        condense_seconds = time.perf_counter() - began
        if sets is not None and sets.seconds:  # those of a run that was cut off included
            condense_seconds = sets.seconds
        path = checkpoint and answers_path(checkpoint, cell)
        answers = inputs.train_and_ask(sets, range(cell.shadows), path, keep is not None)
        if keep is not None:
            hand(keep, cell, sets, answers)
        seconds = {"condense_seconds": condense_seconds, "train_seconds": answers.seconds}
        common = shared(inputs, answers.correct) | seconds
        attacks = attempts(inputs, sets and sets.images, answers.confidences)
        rows += [common | row for row in attacked(inputs, sets and sets.initial, attacks, baselines)]
    return rows


def shared(inputs: Inputs, correct: torch.Tensor) -> dict[str, object]:
    """Return what all rows of a release share, seconds apart.

    correct  bool, K x 2n: whether each network gets each image of the pool right
    """
    cell, members = inputs.cell, inputs.pool.membership
    half = len(inputs.pool.labels) // 2 // inputs.pool.classes
    return {
        "method": cell.method,
        "init": cell.init,
        "ipc": inputs.ipc or half,
        "ratio": cell.ratio or 1.0,
        "member_accuracy": float(correct[members].double().mean()),
        "nonmember_accuracy": float(correct[~members].double().mean()),
        "width": inputs.design.width,
    }
