"""The attacks on one release: on its networks, and on the sets themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import evaluation
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.membership.design import BASELINE
from privacy_for_free.experiments.membership.inputs import Inputs

Outcomes = dict[tuple, evaluation.Outcome]


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


def attempts(
    inputs: Inputs, images: torch.Tensor | None, confidences: torch.Tensor
) -> list[evaluation.Attempt]:
    """Return every attack of the experiment: on networks and, where there are any, on released sets.

    images       of the sets, K x classes x ipc x C x H x W; None for `full`
    confidences  float64, K x 2n x queries
    """
    found = evaluation.on_networks(confidences)
    if images is not None:
        found += evaluation.on_released_images(inputs.pool.images, inputs.pool.labels, images)
    return found


def attacked(
    inputs: Inputs,
    initial: torch.Tensor | None,
    attempts: Sequence[evaluation.Attempt],
    baselines: Outcomes,
) -> Iterator[dict[str, object]]:
    """Yield a row for each attack, population and number of shadows; outcomes of the baseline are kept.

    initial    int64, K x classes x ipc: which pool images the sets started from; None for `full`
    baselines  of the same size of release, those of the baseline first
    """
    pool, design, method = inputs.pool, inputs.design, inputs.cell.method
    started = torch.zeros_like(pool.membership)
    if initial is not None:
        started = shadows.in_initialisation(pool, initial)
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
