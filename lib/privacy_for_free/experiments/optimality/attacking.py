"""The two attacks of `optimality` on every half, the second with settings chosen on halves of their own."""

import itertools
import time
from collections.abc import Iterator

import torch

from privacy_for_free.attacks import evaluation, optimality, roc
from privacy_for_free.experiments.optimality.design import Design
from privacy_for_free.experiments.optimality.releases import Halves
from privacy_for_free.stats import intervals

FPRS = (0.0, 0.01)


def attacked(
    halves: Halves,
    released: torch.Tensor,
    inside: torch.Tensor | None,
    extractors: optimality.Extractors,
    design: Design,
) -> Iterator[dict[str, object]]:
    """Yield a row for each attack on the released images, K x m x C x H x W, of the targets.

    inside  bool, of the shape of `released`: whose equations hold; None for all
    """
    membership = halves.membership
    began = time.monotonic()
    if inside is None:
        targets = released[: design.targets]
        scores = [optimality.linear_tracing(extractors, halves.images, images) for images in targets]
        row = {"attack": "linear_tracing"} | rates(scores, membership)
        yield row | {"attack_seconds": time.monotonic() - began}
    began = time.monotonic()
    # Whitened or not, boxed or not, one row of scores for each ridge: of the halves to choose by, ...
    choices = list(itertools.product((False, True), (False, True)))
    found = {choice: [] for choice in choices}
    for k in range(design.targets, len(membership)):
        system = _equations(halves, released, inside, extractors, design, k)
        for whiten, box in choices:
            solved = optimality.solve_all(system, design.ridges, whiten, box)
            found[whiten, box].append([roc.auc(one.cpu(), membership[k]) for one in solved])
    means = {choice: torch.tensor(aucs).mean(0) for choice, aucs in found.items()}
    whiten, box = max(choices, key=lambda choice: float(means[choice].max()))
    ridge = design.ridges[int(means[whiten, box].argmax())]
    # ... and of the targets with what was chosen.
    scores, residuals = [], []
    for k in range(design.targets):
        system = _equations(halves, released, inside, extractors, design, k)
        scores.append(optimality.solve(system, ridge, whiten, box))
        truth = membership[k].double().to(system.gap.device)
        signal = system.forward(truth - truth.mean()).norm()
        residuals.append(float(system.residual(truth).norm() / signal))
    row = {"attack": "optimality", "ridge": ridge, "whiten": int(whiten), "box": int(box)}
    row |= {"residual": sum(residuals) / len(residuals)}
    row |= rates(scores, membership)
    yield row | {"attack_seconds": time.monotonic() - began}


def _equations(
    halves: Halves,
    released: torch.Tensor,
    inside: torch.Tensor | None,
    extractors: optimality.Extractors,
    design: Design,
    k: int,
) -> optimality.Equations:
    kept = None if inside is None else inside[k]
    return optimality.equations(extractors, halves.images, released[k], design.n, kept)


def rates(scores: list[torch.Tensor], membership: torch.Tensor) -> dict[str, object]:
    """Return AUC and true positive rates of the scores of each target, their means, and intervals."""
    aucs, zero, one, curves = [], [], [], []
    for values, inside in zip(scores, membership, strict=False):
        aucs.append(roc.auc(values.cpu(), inside))
        (none, few, *curve), _ = roc.tprs_at_fprs(values.cpu(), inside, (*FPRS, *evaluation.FPRS))
        curves.append([point.value for point in curve])
        zero.append(none.value)
        one.append(few.value)
    row = {"aucs": " ".join(f"{value:.6f}" for value in aucs)}
    row["roc"] = " ".join(f"{sum(values) / len(values):.6f}" for values in zip(*curves, strict=True))
    for name, values in (("auc", aucs), ("tpr_zero", zero), ("tpr", one)):
        interval = intervals.mean(values)
        row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return row
