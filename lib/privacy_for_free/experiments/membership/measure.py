"""Membership inference through the condenser: every shadow model's data is condensed anew.

A task is one size of release, r = m / n: each method condenses each of the K halves of one pool to that size,
a network is trained on each of the K sets, and every network is attacked with the others as its shadows. The
attacker knows the pool and everything but which half. A random subset of the same size is in every task, and
each advantage comes with its difference to that baseline, whose resamples are the same. The released images
are attacked too, without any network (release `synthetic_set`). `full` is a network trained on all of a half.

Members are also reported apart: those whose image a release started from, and the others.

The laptop profile is a reduced experiment: narrow networks, few steps, short training, DSA for 16 shadows.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import evaluation, released_images
from privacy_for_free.condensation import Condensed, Run, gradient_matching
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.condensation import kip as kernel_inducing_points
from privacy_for_free.core.checkpoint import load as load_state
from privacy_for_free.core.checkpoint import save as save_state
from privacy_for_free.core.progress import bar as progress
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.common import standardised
from privacy_for_free.nets import augmentation, networks, training
from privacy_for_free.nets.augmentation import STRATEGY

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

FULL = 0.0  # a task's ratio for `full`
BASELINE = "random_subset"
SAVE_SECONDS = 10.0  # what a kill costs at most, and the network in hand


@dataclass(frozen=True)
class Design:
    """What is released, learnt from, and attacked.

    pool        images, half of them members of each shadow
    shadows     K; fewer: smaller numbers of them to attack with as well
    cells       (method, init, ratio m / n, shadows), grouped into tasks by the ratio
    width       of the ConvNet that is attacked
    schedule, full_schedule   its training on a release, and on all of a half
    queries     what a network is asked about each image (`shadows.QUERIES`)
    every       thresholds are chosen on one pool image in `every`, and on those that a release started from
    """

    pool: int
    shadows: int
    fewer: tuple[int, ...]
    cells: tuple[tuple[str, str, float, int], ...]
    width: int
    dm: distribution_matching.DM
    dsa: gradient_matching.GradientMatching
    kip: kernel_inducing_points.KIP
    schedule: training.Schedule
    full_schedule: training.Schedule
    queries: tuple[str, ...] = ("identity",)
    every: int = 1
    resamples: int = 1000


def _cells(
    ratios: tuple[float, ...], middle: float, K: int, fewer: int
) -> tuple[tuple[str, str, float, int], ...]:
    """Lay out the grid: DM and its baseline at every ratio, KIP and DSA at the middle one."""
    pairs = [("dm", "real"), ("dm", "noise")]
    return (
        *((*cell, r, K) for r in ratios for cell in ((BASELINE, "real"), *pairs)),
        *(("kip", init, middle, K) for init in ("real", "noise")),
        *(("dsa", init, middle, fewer) for init in ("real", "noise")),
        ("full", "real", FULL, K),
    )


PROFILES = {
    "smoke": Design(
        pool=400,
        shadows=8,
        fewer=(),
        cells=_cells((0.05, 0.1), 0.05, 8, 8),
        width=8,
        dm=distribution_matching.DM(iterations=5, batch_real=8, width=8),
        dsa=gradient_matching.GradientMatching(iterations=1, batch_real=8, width=8, inner_loop=1),
        kip=kernel_inducing_points.KIP(iterations=3, batch_targets=50),
        schedule=training.Schedule(epochs=10, learning_rate=0.03),
        full_schedule=training.Schedule(epochs=15, learning_rate=0.05, batch=64),
        resamples=200,
    ),
    "laptop": Design(
        pool=10_000,
        shadows=64,
        fewer=(16, 32),
        cells=_cells((0.002, 0.01, 0.02), 0.01, 64, 16),
        width=16,
        dm=distribution_matching.DM(iterations=400, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dsa=gradient_matching.GradientMatching(
            iterations=50, outer_loop=3, inner_loop=10, batch_real=64, width=32, compile=True
        ),
        kip=kernel_inducing_points.KIP(iterations=100, batch_targets=1000, compile=True),
        # A third of the published epochs at three times the rate.
        schedule=training.Schedule(epochs=100, learning_rate=0.03, augmentation=STRATEGY, compile=True),
        full_schedule=training.Schedule(epochs=20, learning_rate=0.05, batch=128, compile=True),
        every=5,
    ),
    "paper": Design(
        pool=50_000,
        shadows=256,
        fewer=(16, 32, 64, 128),
        cells=_cells((0.002, 0.01, 0.02), 0.01, 256, 64),
        width=128,
        dm=distribution_matching.DM(compile=True, mixed_precision=True),
        dsa=gradient_matching.GradientMatching(compile=True),
        kip=kernel_inducing_points.KIP(),
        schedule=training.Schedule.published(STRATEGY, compile=True),
        full_schedule=training.Schedule(epochs=100, augmentation=STRATEGY, compile=True),
        queries=shadows.QUERIES,
        every=5,
    ),
}


class Task(NamedTuple):
    """All releases of one size."""

    ratio: float


class Cell(NamedTuple):
    """One release: K sets, and what networks trained on them say of the pool."""

    method: str
    init: str
    ratio: float
    shadows: int


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return a task for each ratio, in the order of the cells; ValueError for less than an image a class."""
    classes = len(dataset.classes)
    for cell in parameters.cells:
        images_per_class(cell[2], parameters, classes)
    return [Task(ratio) for ratio in dict.fromkeys(cell[2] for cell in parameters.cells)]


def images_per_class(ratio: float, parameters: Design, classes: int) -> int:
    """Return the ipc of a ratio m / n, 0 for `full`; ValueError where that is not a whole number."""
    exact = ratio * parameters.pool / 2 / classes
    if ratio != FULL and (round(exact) < 1 or abs(exact - round(exact)) > 1e-9):
        raise ValueError(f"ratio {ratio}: {exact:g} images a class, allowed are whole numbers from 1 up")
    return round(exact)


def run_task(
    task: Task,
    parameters: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Make and attack the releases of one size; a row for each attack, population and number of shadows."""
    images, _ = standardised(dataset, device)
    classes = len(dataset.classes)
    labels = dataset.train_labels.to(device)
    whole = shadows.draw(images, labels, parameters.pool, parameters.shadows, seed, classes)
    del images
    rows: list[dict[str, object]] = []
    baselines: dict[tuple, evaluation.Outcome] = {}
    for method, init, ratio, K in parameters.cells:
        if ratio != task.ratio:
            continue
        cell = Cell(method, init, ratio, K)
        pool = whole.first(K)
        path = checkpoint and checkpoint.with_suffix(f".{method}-{init}.checkpoint")
        sets, answers, right, seconds = _answers(cell, pool, parameters, dataset, seed, path)
        common = _common(cell, pool, right, parameters, seconds)
        rows += [common | row for row in _attacked(cell, pool, sets, answers, baselines, parameters, seed)]
    return rows


def _answers(
    cell: Cell, pool: shadows.Pool, parameters: Design, dataset: "Dataset", seed: int, path: Path | None
) -> tuple[Condensed | None, torch.Tensor, torch.Tensor, tuple[float, float]]:
    """Return the sets (None for `full`), confidences (K x 2n x queries), whether the networks are right
    (K x 2n), and the seconds it took to make the sets and to train.
    """
    sets, training_sets, schedule = None, None, parameters.full_schedule
    began = time.perf_counter()
    if cell.method != "full":
        ipc = images_per_class(cell.ratio, parameters, pool.classes)
        settings = augmentation.published_for(getattr(parameters, cell.method, None), dataset.name)
        run = Run(checkpoint=path and path.with_suffix(".sets.checkpoint"), progress=path is not None)
        sets = shadows.release(pool, cell.method, cell.init, ipc, settings, seed, run)
        training_sets = [_hard(*sets.flat(k)) for k in range(pool.shadows)]
        schedule = parameters.schedule
    made = sets.seconds if sets is not None and sets.seconds else time.perf_counter() - began
    network = networks.build("convnet", tuple(pool.images.shape[1:]), pool.classes, parameters.width)
    schedule = augmentation.published_for(schedule, dataset.name)
    named = derived_seed(seed, "shadow networks", *cell[:3])
    key = hashlib.sha256(f"{cell} {parameters} {seed} {dataset.sha256}".encode()).hexdigest()
    state = {"key": key, "answers": [], "right": [], "seconds": 0.0}
    if path and path.exists():
        state = load_state(path, key)
    began, before = time.perf_counter(), state["seconds"]
    saved, first = began, len(state["answers"])
    rest = shadows.confidences(
        network,
        pool,
        training_sets and training_sets[first:],
        schedule,
        named,
        range(first, pool.shadows),
        parameters.queries,
    )
    steps = progress(range(first, pool.shadows), pool.shadows, path is not None, f"{cell.method} {cell.init}")
    for _, (answer, right) in zip(steps, rest, strict=True):
        state["answers"].append(answer)
        state["right"].append(right)
        state["seconds"] = before + time.perf_counter() - began
        if path and (time.perf_counter() - saved > SAVE_SECONDS or len(state["answers"]) == pool.shadows):
            save_state(path, state)
            saved = time.perf_counter()
    return sets, torch.stack(state["answers"]), torch.stack(state["right"]), (made, state["seconds"])


def _hard(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a set with labels to learn by cross-entropy: the class of KIP's, one-hot less 1 / classes."""
    return images, labels.argmax(1) if labels.is_floating_point() else labels


def _common(
    cell: Cell, pool: shadows.Pool, right: torch.Tensor, parameters: Design, seconds: tuple[float, float]
) -> dict[str, object]:
    """Return what all rows of a release share."""
    half = len(pool.labels) // 2 // pool.classes
    return {
        "method": cell.method,
        "init": cell.init,
        "ipc": images_per_class(cell.ratio, parameters, pool.classes) or half,
        "ratio": cell.ratio or 1.0,
        "member_accuracy": float(right[pool.membership].double().mean()),
        "nonmember_accuracy": float(right[~pool.membership].double().mean()),
        "width": parameters.width,
        "condense_seconds": seconds[0],
        "train_seconds": seconds[1],
    }


def _attacked(
    cell: Cell,
    pool: shadows.Pool,
    sets: Condensed | None,
    answers: torch.Tensor,
    baselines: dict[tuple, evaluation.Outcome],
    parameters: Design,
    seed: int,
) -> list[dict[str, object]]:
    """Attack the networks and, where there is one, the released sets; the baseline's outcomes are kept."""
    inside, initial = pool.membership, torch.zeros_like(pool.membership)
    if sets is not None:
        initial = shadows.in_initialisation(pool, sets.initial)
    attacked = [(cell.method, name, attack, answers) for name, attack in evaluation.NETWORK.items()]
    if sets is not None:
        images, labels, synthetic = pool.images, pool.labels, sets.images
        for name, statistic in (
            ("nearest", released_images.nearest),
            ("tracing", released_images.class_mean),
        ):
            values = statistic(images, labels, synthetic).cpu()
            for how, attack in evaluation.RELEASED.items():
                full_name = name if how == "raw" else f"{name}_{how}"
                attacked.append(("synthetic_set", full_name, attack, values))
    rows = []
    for number in (pool.shadows, *(k for k in parameters.fewer if k < pool.shadows)):
        kept = evaluation.usable(inside[:number])
        members, started = inside[:number, kept], initial[:number, kept]
        populations = {"all": torch.ones_like(members)}
        if bool(started.any()) and number == pool.shadows:
            populations["in_initialisation"] = ~members | started
            populations["not_in_initialisation"] = ~members | ~started
        examples = ((torch.arange(members.shape[1]) % parameters.every == 0) | started.any(0)).nonzero()[:, 0]
        for release, name, attack, values in attacked:
            if release == "synthetic_set" and number < pool.shadows:
                continue
            outcomes = evaluation.evaluate(
                attack,
                values[:number, kept],
                members,
                populations,
                examples,
                derived_seed(seed, "bootstrap"),
                parameters.resamples,
            )
            for population, outcome in outcomes.items():
                key = (release == "synthetic_set", name, population, number)
                if cell.method == BASELINE:
                    baselines[key] = outcome
                differing = _difference(outcome, baselines.get(key), cell.method)
                named = {"release": release, "attack": name, "population": population}
                rows.append(named | _measured(outcome) | differing | {"examples": int(kept.sum())})
    return rows


def _measured(outcome: evaluation.Outcome) -> dict[str, object]:
    """Return an outcome's columns; `roc` holds the TPR at each of evaluation.FPRS, apart by spaces."""
    advantage, advantage_low, advantage_high = outcome.advantage
    return {
        "shadows": outcome.shadows,
        "members": outcome.members,
        "nonmembers": outcome.nonmembers,
        "auc": outcome.auc,
        "advantage": advantage,
        "advantage_low": advantage_low,
        "advantage_high": advantage_high,
        "tpr_at_fpr_1e-3": outcome.tpr.value,
        "tpr_low": outcome.tpr.low,
        "tpr_high": outcome.tpr.high,
        "tpr_bootstrap_low": outcome.tpr_bootstrap[0],
        "tpr_bootstrap_high": outcome.tpr_bootstrap[1],
        "roc": " ".join(f"{rate:.8g}" for rate in outcome.curve),
    }


def _difference(
    outcome: evaluation.Outcome, baseline: evaluation.Outcome | None, method: str
) -> Mapping[str, float | None]:
    """Return the columns of the difference to the baseline, empty where there is none to compare with."""
    names = ("difference", "difference_low", "difference_high", "p_value")
    if baseline is None or method == BASELINE:
        return dict.fromkeys(names)
    return dict(zip(names, evaluation.compare(outcome, baseline), strict=True))
