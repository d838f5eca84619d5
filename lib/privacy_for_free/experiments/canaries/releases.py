"""The releases of `canaries`, and what networks say of the pool that are trained on them or with privacy."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free import shadows
from privacy_for_free.condensation import Condensed, Problem, Run
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.canaries.design import CANARIES, Design, Task
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.private import dp_sgd
from privacy_for_free.private.calibrated import least_noise
from privacy_for_free.shadows.canaries import Planted, canary_start

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def release(
    task: Task, planted: Planted, design: Design, dataset: "Dataset", seed: int, path: Path | None
) -> Condensed | None:
    """Return the K sets; None where networks are released. `path` is the task's checkpoint."""
    if task.release in ("dp_sgd", "full"):
        return None
    run = Run(checkpoint=path and path.with_suffix(".sets.checkpoint"), progress=path is not None)
    settings = augmentation.published_for(design.dm, dataset.name) if task.release == "dm" else None
    if task.init != CANARIES:
        return shadows.release(planted.pool, task.release, task.init, design.ipc, settings, seed, run)
    pool = planted.pool
    problem = Problem.of(
        pool.images,
        pool.labels,
        pool.membership.to(pool.images.device),
        design.ipc,
        "real",
        derived_seed(seed, "start"),
        pool.classes,
        start=canary_start(planted, design.ipc, seed).to(pool.images.device),
    )
    return settings.condense(problem, run)


def noise_multiplier(task: Task, pool: shadows.Pool, design: Design) -> float | None:
    """Return the least noise that proves the task's epsilon; None where it is not DP-SGD."""
    if task.release != "dp_sgd":
        return None
    return least_noise(design.dp_sgd.mechanism(len(pool.labels) // 2), task.epsilon).noise_multiplier


def train_and_ask(
    task: Task,
    pool: shadows.Pool,
    sets: Condensed | None,
    noise: float | None,
    design: Design,
    dataset: "Dataset",
    seed: int,
    key: str,
    path: Path | None,
) -> shadows.Answers:
    """Train K networks, on the sets or on the halves, and ask them about the pool.

    `noise` is DP-SGD's multiplier. `path` is the task's checkpoint, which keeps the answers under `key`.
    """
    network = networks.build("convnet", tuple(pool.images.shape[1:]), pool.classes, design.width)
    network_seed = derived_seed(seed, "canary networks", task.release, task.init, str(task.epsilon))
    names = range(pool.shadows)
    keep = {"checkpoint": path, "key": key, "label": f"{task.release} {task.init}".strip()}
    if task.release == "dp_sgd":
        settings = dataclasses.replace(design.dp_sgd, noise_multiplier=noise)
        return shadows.gather(
            lambda remaining: _private(network, pool, settings, network_seed, remaining), names, **keep
        )
    schedule = design.full_schedule if sets is None else design.schedule
    return shadows.train_and_ask(
        network,
        pool,
        sets and [sets.flat(k) for k in names],
        augmentation.published_for(schedule, dataset.name),
        network_seed,
        names,
        **keep,
    )


def _private(
    network: networks.Network, pool: shadows.Pool, settings: dp_sgd.DPSGD, seed: int, names: Sequence[int]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Train a network with DP-SGD on each half, and ask it about the pool."""
    for k in names:
        members = pool.membership[k].to(pool.labels.device)
        half = pool.images[members], pool.labels[members]
        weights = dp_sgd.train(network, *half, settings, seed, k, noise="seed")
        yield shadows.ask(network, weights, pool)
