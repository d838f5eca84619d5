"""Membership inference through the condenser: every shadow model's data is condensed anew.

A task is one size of release, r = m / n: each method condenses each of the K halves of one pool to that size,
a network is trained on each of the K sets, and every network is attacked with the others as its shadows. The
attacker knows the pool and everything but which half. A random subset of the same size is in every task, and
each advantage comes with its difference to that baseline, whose resamples are the same. The released images
are attacked too, without any network (release `synthetic_set`). `full` is a network trained on all of a half.

Members are also reported apart: those whose image a release started from, and the others.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import evaluation
from privacy_for_free.condensation import Condensed, Run
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.membership.design import BASELINE, Design, Task, cells
from privacy_for_free.experiments.membership.inputs import Inputs, answers_path, draw_pool, sets_path

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

Outcomes = dict[tuple, evaluation.Outcome]


def run(
    task: Task,
    design: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Make and attack the releases of one size; one row per attack, population and number of shadows."""
    whole = draw_pool(design, dataset, seed, device)
    rows: list[dict[str, object]] = []
    baselines: Outcomes = {}
    for cell in cells(task, design):
        inputs = Inputs.of(cell, whole, design, dataset, seed)
        began = time.perf_counter()
        keep = Run(checkpoint=checkpoint and sets_path(checkpoint, cell), progress=checkpoint is not None)
        sets = inputs.release(keep)
        condense_seconds = time.perf_counter() - began
        if sets is not None and sets.seconds:  # those of a run that was cut off included
            condense_seconds = sets.seconds
        path = checkpoint and answers_path(checkpoint, cell)
        answers = inputs.train_and_ask(sets, range(cell.shadows), path)
        common = _common(inputs, answers) | {"condense_seconds": condense_seconds}
        rows += [common | row for row in _attacked(inputs, sets, answers.confidences, baselines)]
    return rows


def _common(inputs: Inputs, answers: shadows.Answers) -> dict[str, object]:
    """Return what all rows of a release share."""
    cell, members = inputs.cell, inputs.pool.membership
    half = len(inputs.pool.labels) // 2 // inputs.pool.classes
    return {
        "method": cell.method,
        "init": cell.init,
        "ipc": inputs.ipc or half,
        "ratio": cell.ratio or 1.0,
        "member_accuracy": float(answers.correct[members].double().mean()),
        "nonmember_accuracy": float(answers.correct[~members].double().mean()),
        "width": inputs.design.width,
        "train_seconds": answers.seconds,
    }


@dataclass(frozen=True, eq=False)
class _Counted:
    """What an attack with some of the shadows is run on.

    usable       bool, 2n: the pool images that are in, and out of, enough of the models
    members      bool, shadows x usable images
    populations  name -> bool, shadows x usable images
    examples     int64: those of the usable images that thresholds are chosen on
    """

    usable: torch.Tensor
    members: torch.Tensor
    populations: Mapping[str, torch.Tensor]
    examples: torch.Tensor


def _counted(inputs: Inputs, started: torch.Tensor, number: int) -> _Counted:
    """Count pairs of the first `number` shadows; where that is all, take members apart by who is `started`
    from: bool, K x 2n.
    """
    usable = evaluation.usable(inputs.pool.membership[:number])
    members, started = inputs.pool.membership[:number, usable], started[:number, usable]
    populations = {"all": torch.ones_like(members)}
    if bool(started.any()) and number == inputs.pool.shadows:
        populations["in_initialisation"] = ~members | started
        populations["not_in_initialisation"] = ~members | ~started
    every = torch.arange(members.shape[1]) % inputs.design.every == 0
    return _Counted(usable, members, populations, (every | started.any(0)).nonzero()[:, 0])


def _attacked(
    inputs: Inputs, sets: Condensed | None, confidences: torch.Tensor, baselines: Outcomes
) -> Iterator[dict[str, object]]:
    """Attack the networks and, where there is one, the released sets; the baseline's outcomes are kept."""
    pool, design, method = inputs.pool, inputs.design, inputs.cell.method
    attempts, started = evaluation.on_networks(confidences), torch.zeros_like(pool.membership)
    if sets is not None:
        attempts += evaluation.on_released_images(pool.images, pool.labels, sets.images)
        started = shadows.in_initialisation(pool, sets.initial)
    for number in (pool.shadows, *(fewer for fewer in design.fewer if fewer < pool.shadows)):
        counted = _counted(inputs, started, number)
        for attacked, name, attack, statistics in attempts:
            if attacked == "synthetic_set" and number < pool.shadows:
                continue
            outcomes = evaluation.evaluate(
                attack,
                statistics[:number, counted.usable],
                counted.members,
                counted.populations,
                counted.examples,
                derived_seed(inputs.seed, "bootstrap"),
                design.resamples,
            )
            for population, outcome in outcomes.items():
                place = (attacked, name, population, number)
                if method == BASELINE:
                    baselines[place] = outcome
                baseline = None if method == BASELINE else baselines.get(place)
                yield {
                    "release": method if attacked == "network" else attacked,
                    "attack": name,
                    "population": population,
                    "examples": int(counted.usable.sum()),
                    **outcome.columns(),
                    **_difference(outcome, baseline),
                }


def _difference(outcome: evaluation.Outcome, baseline: evaluation.Outcome | None) -> Mapping[str, object]:
    """Return the columns of the difference to the baseline, empty where there is none to compare with."""
    names = ("difference", "difference_low", "difference_high", "p_value")
    if baseline is None:
        return dict.fromkeys(names)
    return dict(zip(names, evaluation.compare(outcome, baseline), strict=True))
