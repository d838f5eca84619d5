"""Networks as extractors: sets condensed with and without x, and networks trained on them."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import torch

from privacy_for_free.condensation import Condensed, Problem, Run
from privacy_for_free.condensation.dm import DM
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.nonlinear_shift import material
from privacy_for_free.experiments.nonlinear_shift.design import Design, Task
from privacy_for_free.experiments.nonlinear_shift.material import Case, Material
from privacy_for_free.nets import networks
from privacy_for_free.theory import shift

SMOOTH_SUFFIX = "_gelu"  # of a ConvNet that has GELU in place of ReLU


def network(extractor: str, shape: tuple[int, ...], width: int) -> networks.Network:
    """Return the network that an extractor names, for images of a shape (C, H, W) and one class."""
    if extractor == f"convnet{SMOOTH_SUFFIX}":
        return networks.ConvNet(shape[0], shape[1], 1, width, activation="gelu")
    return networks.build(extractor, shape, 1, width)


def condense(
    task: Task,
    settings: DM,
    design: Design,
    real: torch.Tensor,
    membership: torch.Tensor,
    start: torch.Tensor,
    seed: int,
    checkpoint: Path | None,
) -> Condensed:
    """Condense every set from a start of its own, K x m x C x H x W, with all its real images in every step.

    The sets have one class; snapshots are of all stops but the last.
    """
    kind = task.extractor.removesuffix(SMOOTH_SUFFIX)
    settings = dataclasses.replace(settings, extractor=kind, pool_batch=len(real))
    labels = torch.zeros(len(real), dtype=torch.int64, device=real.device)
    problem = Problem.of(
        real,
        labels,
        membership.to(real.device),
        task.m,
        "noise",
        derived_seed(seed, "nonlinear extractors", task.replicate),
        start=start[:, None],
        network=network(task.extractor, tuple(real.shape[1:]), settings.width),
    )
    run = Run(checkpoint=checkpoint, snapshots=design.stops[:-1], progress=checkpoint is not None)
    return settings.condense(problem, run)


def rows(
    task: Task, design: Design, settings: DM, images: Material, seed: int, checkpoint: Path | None
) -> Iterator[dict[str, object]]:
    """Yield one row per pair of sets and number of steps."""
    cases, sets = material.plan(design)
    membership = material.membership(sets, len(images.real))
    start = torch.stack([images.starts[name][int(lacking is not None)] for _, lacking, name in sets])
    condensed = condense(task, settings, design, images.real, membership, start, seed, checkpoint)
    final, outputs = condensed.images[:, 0], {}
    if task.extractor == "convnet":
        against = other_class(task, settings, design, images, seed, checkpoint)
        outputs = output_columns(task, design, images, final, against, cases, seed)
    for stop in design.stops:
        last = stop == settings.iterations
        reached = final if last else condensed.snapshots[stop][:, 0].to(start.device)
        for case in cases:
            row = material.columns(task, case, reached[case.whole], reached[case.without], start[case.whole])
            row |= {"iterations": stop, "seconds": condensed.seconds}
            if last:
                row |= {"loss": float(condensed.loss[case.whole, -1])} | outputs.get(case, {})
            yield row


def other_class(
    task: Task, settings: DM, design: Design, images: Material, seed: int, checkpoint: Path | None
) -> torch.Tensor:
    """Return m synthetic images of the other class, condensed from noise: m x C x H x W."""
    everyone = torch.ones((1, len(images.other)), dtype=torch.bool)
    path = checkpoint and checkpoint.with_suffix(".other.checkpoint")
    start, seed = images.other_start[None], derived_seed(seed, "nonlinear other class")
    return condense(task, settings, design, images.other, everyone, start, seed, path).images[0, 0]


def output_columns(
    task: Task,
    design: Design,
    images: Material,
    synthetic: torch.Tensor,
    against: torch.Tensor,
    cases: list[Case],
    seed: int,
) -> dict[Case, dict[str, float]]:
    """Train a ConvNet on each set (K x m x ...) against the other class's; return how each case's two differ.

    The same start and order of batches for all, and another one for each T once more.
    """
    classifier = networks.build("convnet", tuple(synthetic.shape[2:]), 2, design.width)
    seed = derived_seed(seed, "nonlinear training", task.replicate)
    answers = [
        shift.margins(classifier, own, against, images.tests, design.schedule, seed, 0) for own in synthetic
    ]
    reseeded = {
        whole: shift.margins(classifier, synthetic[whole], against, images.tests, design.schedule, seed, 1)
        for whole in dict.fromkeys(case.whole for case in cases)
    }
    columns = {}
    for case in cases:
        change = shift.output_change(answers[case.whole], answers[case.without], reseeded[case.whole])
        columns[case] = {
            "output_change": change.change,
            "output_reseeded": change.reseeded,
            "output_spread": change.spread,
            "probability_change": change.probability,
        }
    return columns
