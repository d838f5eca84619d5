"""Identification: whom a class mean names, rounded to so many bits, or with the noise of a guarantee.

A task makes K random halves of a pool of 2 n images per class. The mean of each half and class is rounded, or
noise of the Gaussian mechanism is added to it, and the attacker, who has the pool and knows n, the step and
the spread of the noise, asks of every image whether it is in: by the linear statistic T and two calibrations
of it, and by `attacks.identification`. Halves are drawn independently: half and complement have one mean.

No limit of time is set: what is found does not depend on the machine's speed.
"""

import math
import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import identification
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.experiments.identification import rows
from privacy_for_free.experiments.identification.design import Design, Task
from privacy_for_free.private.secret_start import epsilon_of
from privacy_for_free.theory import identification as theory

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

HALF_STEPS = {64: 0.0, 32: 2.0**-25}  # of floats below 1


class Release(NamedTuple):
    """The means of all halves of one class, K x d, and what the attacker knows of their errors."""

    columns: tuple[tuple[str, object], ...]
    means: torch.Tensor
    tolerance: float
    noise: float


def run(
    task: Task, design: Design, dataset: "Dataset", seed: int, device: torch.device
) -> list[dict[str, object]]:
    """Release and attack the means of one size; one row per release and statistic. All is done on the CPU."""
    images, _ = scaled_publicly(dataset, torch.device("cpu"))
    classes, seed = len(dataset.classes), derived_seed(seed, "identification", task.n)
    labels = dataset.train_labels.cpu()
    chosen = shadows.balanced_pool(labels, 2 * task.n * classes, generator(seed, "pool"))
    found = defaultdict(list)
    ranks, decomposing = [], 0.0
    for c in range(task.classes):
        of_class = chosen[labels[chosen] == c]
        inside = _halves(task, seed, c)
        began = time.perf_counter()
        equations = identification.decompose(images[of_class].flatten(1).double())
        decomposing += time.perf_counter() - began
        ranks.append(equations.rank)
        for release in _releases(task, design, equations, inside, seed, c):
            for statistic, game in _attacked(task, equations, release, inside):
                found[release.columns, statistic].append(game)
    N = 2 * task.n
    common = {
        "n": task.n,
        "dimension": images[0].numel(),
        "rank": sum(ranks) / len(ranks),
        "failure": sum(theory.failure(N, max(1, rank)) for rank in ranks) / len(ranks),
        "halves": task.halves,
        "classes": task.classes,
        "decomposition_seconds": decomposing / len(ranks),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    return [
        common | dict(columns) | {"statistic": statistic} | rows.judged(games, dict(columns).get("mu"))
        for (columns, statistic), games in found.items()
    ]


def _halves(task: Task, seed: int, c: int) -> torch.Tensor:
    """Return who is in each half of the pool images of one class: bool, K x 2 n."""
    inside = torch.zeros((task.halves, 2 * task.n), dtype=torch.bool)
    for k in range(task.halves):
        order = torch.randperm(2 * task.n, generator=generator(seed, "half", c, k))
        inside[k, order[: task.n]] = True
    return inside


def _releases(
    task: Task,
    design: Design,
    equations: identification.Equations,
    inside: torch.Tensor,
    seed: int,
    c: int,
) -> Iterator[Release]:
    exact = equations.centre + inside.double() @ equations.rows / task.n
    for bits in design.bits:
        columns = (("release", "rounded"), ("bits", bits))
        if bits in HALF_STEPS:
            means = exact.float().double() if bits == 32 else exact
            yield Release(columns, means, HALF_STEPS[bits], 0.0)
        else:
            yield Release(columns, *theory.rounded(exact.clamp(-1, 1), bits), 0.0)
    for mu in design.mus:
        noise = theory.mean_sensitivity(task.n, math.sqrt(exact.shape[1])) / mu
        drawn = torch.randn(exact.shape, generator=generator(seed, "noise", c, str(mu)), dtype=torch.float64)
        epsilon = epsilon_of(mu, design.delta)
        columns = (("release", "noisy"), ("mu", mu), ("epsilon", epsilon), ("noise", noise))
        yield Release(columns, exact + noise * drawn, 0.0, noise)


def _attacked(
    task: Task, equations: identification.Equations, release: Release, inside: torch.Tensor
) -> Iterator[tuple[str, rows.Game]]:
    errors = {"tolerance": release.tolerance, "noise": release.noise}
    began = time.perf_counter()
    linear = identification.linear_statistics(equations, release.means, task.n, **errors)
    seconds = (time.perf_counter() - began) / len(inside)
    for name, scores in linear._asdict().items():
        yield name, rows.Game(scores.mT, inside, None, seconds)
    began = time.perf_counter()
    results = identification.solve(equations, release.means, task.n, time_limit=math.inf, **errors)
    seconds = (time.perf_counter() - began) / len(inside)
    scores = torch.stack([result.scores for result in results])
    yield "identification", rows.Game(scores, inside, results, seconds)
