"""What a secret start is worth: accuracy at each epsilon, and what attacks reach of the cap.

Linear distribution matching on the expected loss, with all images of a class in every step, starts from
noise that is kept secret and stops at the last step that has the epsilon (`private.secret_start`). Images are
scaled to [-1, 1] by constants, so that the bound on their norm is public. Releases are made in closed form,
and `descent_error` compares that with the descent. `gaussian_mean` releases the class means with the noise
of the same epsilon: what a secret start amounts to, without its shape. Under one seed all epsilons share the
start, as no real releases may.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.experiments.secret_start import attacks, learners
from privacy_for_free.experiments.secret_start.design import (
    GAUSSIAN_MEAN,
    PAIR,
    RANDOM_SUBSET,
    SECRET_START,
    TRACING,
    Design,
    Task,
    bound,
    fewest,
)
from privacy_for_free.private.secret_start import mu_at
from privacy_for_free.theory import secret_start

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

Release = tuple[dict[str, object], torch.Tensor]  # its columns, and its images: classes x m x d


def run(
    task: Task, design: Design, dataset: "Dataset", seed: int, device: torch.device
) -> list[dict[str, object]]:
    """Attack one class, or release all and learn; one row per attack and rate, or per release and learner."""

    def draw(purpose: str, *index: object, on: torch.device = device) -> torch.Generator:
        return generator(seed, f"secret_start {purpose}", *map(str, (*task, *index)), device=on)

    images, test_images = scaled_publicly(dataset, device)
    labels = dataset.train_labels.to(device)
    rows = [images[labels == c].flatten(1).double() for c in range(len(dataset.classes))]
    common = {"kind": task.kind, "replicate": task.replicate}
    if task.kind == PAIR:
        return [common | row for row in attacks.pairs(rows[0], task, design, draw)]
    if task.kind == TRACING:
        cpu = torch.device("cpu")
        pool = torch.randperm(len(rows[0]), generator=draw("pool", on=cpu))[: 2 * design.traced]

        def on_cpu(purpose: str, *index: object) -> torch.Generator:
            return draw(purpose, *index, on=cpu)

        return [common | row for row in attacks.traced(rows[0][pool.to(device)], task, design, on_cpu)]
    test = learners.Test(test_images, dataset.test_labels.to(device), dataset.name)
    network_epsilons = (
        design.network_epsilons
        if task.kind != SECRET_START or (task.m, task.spread) == design.starts[0]
        else design.few_epsilons
    )
    made = []
    for columns, released in _releases(task, design, rows, fewest(dataset), draw):
        epsilon, kept = columns["epsilon"], columns.pop("read_as_kept")
        trains = epsilon is None or epsilon in network_epsilons
        named = derived_seed(seed, "secret_start learner", *map(str, (*task, epsilon)))
        found = learners.learnt(released, kept, test, design, trains, named)
        made += [common | columns | row for row in found]
    return made


def _releases(task: Task, design: Design, rows: list[torch.Tensor], n: int, draw) -> Iterator[Release]:
    """Yield the releases of a task; `read_as_kept` is what a reader of the means divides by, 1 less it."""
    d, device = rows[0].shape[1], rows[0].device
    if task.kind == RANDOM_SUBSET:
        chosen = [
            torch.randperm(len(of), generator=draw("subset", c), device=device) for c, of in enumerate(rows)
        ]
        subset = torch.stack([of[order[: task.m]] for of, order in zip(rows, chosen, strict=True)])
        yield {"m": task.m, "n": n, "epsilon": None, "read_as_kept": 0.0}, subset
        return
    means = torch.stack([of.mean(0) for of in rows])
    starts = torch.randn((len(rows), task.m, d), generator=draw("start"), dtype=torch.float64, device=device)
    for epsilon in design.epsilons:
        if task.kind == GAUSSIAN_MEAN:
            if epsilon == 0:  # nothing but noise, however it is scaled
                continue
            mu = mu_at(epsilon)
            columns = {"m": 1, "n": n, "epsilon": epsilon, "epsilon_spent": epsilon, "mu": mu}
            noise = 2 * bound(d) / (n * mu) if mu < math.inf else 0.0
            yield columns | {"read_as_kept": 0.0}, means[:, None] + noise * starts
            continue
        columns = attacks.accounted(epsilon, design, n, task.m, task.spread, d)
        found = [
            secret_start.released(start, mean, columns["kept"])
            for start, mean in zip(starts * task.spread, means, strict=True)
        ]
        yield columns | {"read_as_kept": columns["kept"]}, torch.stack(found)
