"""How far the synthetic images move when one real image goes, for extractors that are not linear.

A task condenses one class, from T and from T without x, with common random numbers: the same start, the same
extractors and augmentations, all real images in every step. Sizes n are nested (T_n is the first n images of
one order), so one pass of the images serves all sizes, both choices of x and every start. Rows of extractor

    convnet, mlp   distribution matching as it is used, with a fresh network and augmentation in every step;
                   `shift` after several numbers of steps. For the ConvNet two networks that differ in S alone
                   are then trained to tell the class from another one; `output_change` is how they differ
    convnet_gelu   the same ConvNet with the smooth GELU in place of ReLU
    tanh           a small smooth extractor, kept for ever, on pooled images in float64, where the constants
                   of the theorem (`theory.stability`) can be computed: `bound`, `bound_proved`
    tanh_minimum   the same, at a minimiser found by Newton's method: `bound` is c / (mu n), `predicted` the
                   first order of the implicit function theorem

and, on the theorem's assumption that the gradient is Lipschitz in S, rows with a `delta`: the change of the
gradient (`gradient_change`) when all of S moves by `delta` in a random direction, the loss averaged over
`networks` extractors, in float64.

x is an image of the class (`typical`), or one of another class with this label (`mislabelled`). Started from
real images, the start is without x, or (`in_initialisation`) has x as its first image; T without x then has
another image of the class in its place. The laptop profile is a reduced experiment: a narrow ConvNet and few
steps.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.nonlinear_shift import material, trained
from privacy_for_free.experiments.nonlinear_shift.design import (
    GRADIENT,
    MINIMUM,
    REMOVED,
    STEPS,
    Design,
    Task,
)
from privacy_for_free.experiments.nonlinear_shift.material import Case, Material
from privacy_for_free.nets import augmentation
from privacy_for_free.theory import linear, shift, stability

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

DELTAS = tuple(float(f"{10 ** (power / 2):.3g}") for power in range(-8, 3))  # two per decade, 1e-4 to 10
STARTS_WITHOUT_X = ("noise", "real")


def run(
    task: Task,
    design: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Condense a class with and without each x; one row for each pair of sets and number of steps."""
    images = material.draw(task, design, dataset, seed, device)
    if task.extractor == GRADIENT:
        return list(_gradient_rows(task, design, images, seed))
    if task.extractor in (STEPS, MINIMUM):
        return list(_smooth_rows(task, design, images, seed))
    settings = augmentation.published_for(design.dm, dataset.name)
    return list(trained.rows(task, design, settings, images, seed, checkpoint))


def _gradient_rows(task: Task, design: Design, images: Material, seed: int) -> Iterator[dict[str, object]]:
    """Yield the change of the gradient for each extractor, start, number of networks and displacement."""
    real = images.real[: min(design.ns) * 4].double()
    for extractor, _ in design.extractors:
        network = trained.network(extractor, tuple(real.shape[1:]), design.dm.width)
        for start in STARTS_WITHOUT_X:
            synthetic = images.starts[start][0].double()
            stream = generator(seed, "nonlinear direction", task.replicate)
            direction = torch.randn(synthetic.shape, generator=stream, dtype=torch.float64).to(real.device)
            direction /= direction.norm()
            draws = (
                generator(seed, "nonlinear gradient", task.replicate, index, device=real.device)
                for index in range(max(design.gradient_networks))
            )
            weights = (network.initial(draw, torch.float64, classifier=False) for draw in draws)
            for change in shift.gradient_changes(
                network, weights, real, synthetic, direction, DELTAS, design.gradient_networks
            ):
                yield {
                    "extractor": extractor,
                    "init": start,
                    "m": task.m,
                    "n": len(real),
                    "seed": task.replicate,
                    "networks": change.networks,
                    "delta": change.delta,
                    "gradient": change.gradient,
                    "gradient_change": change.change,
                }


def _smooth_rows(task: Task, design: Design, images: Material, seed: int) -> Iterator[dict[str, object]]:
    """Yield the smooth extractor's shift and its bounds, after each number of steps or at a minimiser."""
    factor = images.real.shape[-1] // design.smooth_side
    real = linear.flatten(images.real, factor)
    stream = generator(seed, "nonlinear smooth", task.replicate, device=real.device)
    extractor = stability.smooth_extractor(design.smooth_networks, design.smooth_units, real.shape[1], stream)
    at_minimum = task.extractor == MINIMUM
    for start in ("noise",) if at_minimum else STARTS_WITHOUT_X:
        synthetic = linear.flatten(images.starts[start][0], factor)
        for n in design.ns:
            for place, x in enumerate(REMOVED if at_minimum else REMOVED[:1]):
                case = Case(start, n, x, 0, 1)
                if at_minimum:
                    yield from _minimum_rows(task, case, extractor, real[:n], place, synthetic)
                    continue
                for after in shift.smooth_shift(
                    extractor, real[:n], place, synthetic, design.smooth_steps, design.smooth_rate * task.m
                ):
                    yield material.columns(task, case, *after.sets, synthetic) | {
                        "iterations": after.steps,
                        "bound": after.bound,
                        "bound_proved": after.bound_proved,
                        "c": after.c,
                        "Lambda": after.Lambda,
                    }


def _minimum_rows(
    task: Task,
    case: Case,
    extractor: stability.SmoothExtractor,
    real: torch.Tensor,
    place: int,
    start: torch.Tensor,
) -> Iterator[dict[str, object]]:
    """Yield the row of a minimiser, or none where the search from this start ends at a degenerate point."""
    try:
        at = shift.minimum_shift(extractor, real, place, start)
    except stability.DegenerateError:
        return
    yield material.columns(task, case, *at.sets, start) | {
        "bound": at.bound,
        "predicted": at.predicted,
        "mu": at.mu,
        "c": at.c,
    }
