"""Canaries: what LiRA says of the images that are easiest to find, for DM, its baseline, and DP-SGD.

Among the pool of 2n images that shadows are random halves of, some are planted: `mislabelled` ones, with the
label of another class, and `out_of_distribution` ones, negatives (white is black). They are what a network
that memorises would memorise, and audits of Zhao & Zhang (ICLR 2025) and Aerni, Zhang & Tramer (CCS 2024)
look at. A task is one release of all K halves:

    random_subset   as many real images
    dm              from noise, from real images, or (init `canaries`) with canaries in its initialisation:
                    each class starts from members that are planted, where the half has enough of them
    dp_sgd          networks trained on a half with a proved epsilon; infinity: clipped, without noise
    full            networks trained on a half

All are attacked through networks of one kind, condensed sets also as they are. Rates are for each kind of
image apart (`canary`), and among planted ones apart for those that a release started from.
"""

import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import evaluation, released_images
from privacy_for_free.attacks.confidences import logit_scaled_confidence
from privacy_for_free.condensation import Condensed, Run
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.condensation.loop import descend, finish
from privacy_for_free.condensation.problem import Problem, hard_labels
from privacy_for_free.core.checkpoint import load as load_state
from privacy_for_free.core.checkpoint import save as save_state
from privacy_for_free.core.progress import bar as progress
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.experiments.private_release.measure import proved
from privacy_for_free.nets import augmentation, networks, training
from privacy_for_free.nets.augmentation import STRATEGY
from privacy_for_free.private import dp_sgd
from privacy_for_free.shadows.halves import random_halves

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

ORDINARY, MISLABELLED, STRANGE = "ordinary", "mislabelled", "out_of_distribution"
KINDS = (ORDINARY, MISLABELLED, STRANGE)
CANARIES = "canaries"
SAVE_SECONDS = 10.0


@dataclass(frozen=True)
class Design:
    """What is planted, released and attacked.

    pool        images, half of them members of each shadow
    planted     images a class of each kind of canary
    shadows     K
    ipc         synthetic images a class
    epsilons    of DP-SGD
    width       of the ConvNets that are attacked
    schedule, full_schedule   training on a release, and on all of a half
    every       thresholds are chosen on one ordinary image in `every`, and on all planted ones
    """

    pool: int
    planted: int
    shadows: int
    ipc: int
    epsilons: tuple[float, ...]
    width: int
    dm: distribution_matching.DM
    dp_sgd: dp_sgd.DPSGD
    schedule: training.Schedule
    full_schedule: training.Schedule
    every: int = 1
    resamples: int = 1000


PROFILES = {
    "smoke": Design(
        pool=400,
        planted=4,
        shadows=8,
        ipc=1,
        epsilons=(math.inf,),
        width=8,
        dm=distribution_matching.DM(iterations=3, batch_real=8, width=8),
        dp_sgd=dp_sgd.DPSGD(0.0, sample=100, steps=3),
        schedule=training.Schedule(epochs=10, learning_rate=0.03),
        full_schedule=training.Schedule(epochs=10, learning_rate=0.05, batch=64),
        resamples=200,
    ),
    "laptop": Design(
        pool=2000,
        planted=10,
        shadows=64,
        ipc=2,
        epsilons=(2.0, 8.0, math.inf),
        width=16,
        dm=distribution_matching.DM(iterations=200, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dp_sgd=dp_sgd.DPSGD(0.0, sample=128, steps=40),
        schedule=training.Schedule(epochs=100, learning_rate=0.03, augmentation=STRATEGY, compile=True),
        full_schedule=training.Schedule(epochs=20, learning_rate=0.05, batch=128, compile=True),
        every=2,
    ),
    "paper": Design(
        pool=50_000,
        planted=50,
        shadows=256,
        ipc=10,
        epsilons=(1.0, 2.0, 4.0, 8.0, math.inf),
        width=128,
        dm=distribution_matching.DM(compile=True, mixed_precision=True),
        dp_sgd=dp_sgd.DPSGD(0.0, sample=2048, steps=500, chunk=256),
        schedule=training.Schedule.published(STRATEGY, compile=True),
        full_schedule=training.Schedule(epochs=100, augmentation=STRATEGY, compile=True),
        every=10,
    ),
}


class Task(NamedTuple):
    """One release of every half."""

    release: str
    init: str
    epsilon: float


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return the releases; ValueError where a class of the pool has no room for the planted images."""
    of_class = parameters.pool // len(dataset.classes)
    if 2 * parameters.planted > of_class // 2 or parameters.planted < 1:
        raise ValueError(
            f"planted {parameters.planted}: allowed are 1 to {of_class // 4}, of {of_class} images a class"
        )
    return [
        Task("random_subset", "real", math.inf),
        *(Task("dm", init, math.inf) for init in ("noise", "real", CANARIES)),
        *(Task("dp_sgd", "", epsilon) for epsilon in parameters.epsilons),
        Task("full", "", math.inf),
    ]


@dataclass(frozen=True, eq=False)
class Planted:
    """A pool with canaries, labelled as members are learnt; kinds: int64, 2n, places in KINDS."""

    pool: shadows.Pool
    kinds: torch.Tensor


def plant(pool: shadows.Pool, planted: int, seed: int) -> Planted:
    """Turn `planted` images of each class into mislabelled ones and as many others into negatives.

    The mislabelled are dealt evenly to the other classes, so that each class keeps its number of labels; the
    halves are drawn anew, balanced in the new labels. Negatives are of images scaled to [-1, 1].
    """
    images, labels = pool.images.clone(), pool.labels.clone()
    kinds = torch.zeros(len(labels), dtype=torch.int64)
    for c in range(pool.classes):
        rows = (pool.labels == c).nonzero()[:, 0].cpu()
        rows = rows[torch.randperm(len(rows), generator=generator(seed, "canaries planted", c))]
        wrong, strange = rows[:planted], rows[planted : 2 * planted]
        for j, row in enumerate(wrong.tolist()):
            labels[row] = (c + 1 + j % (pool.classes - 1)) % pool.classes
        images[strange.to(images.device)] *= -1
        kinds[wrong], kinds[strange] = KINDS.index(MISLABELLED), KINDS.index(STRANGE)
    membership = random_halves(pool.shadows, labels.cpu(), generator(seed, "canaries halves"))
    return Planted(shadows.Pool(images, labels, membership, pool.indices, pool.classes), kinds)


def run_task(
    task: Task,
    parameters: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Make and attack one release of every half; a row an attack and kind of image."""
    images, _ = scaled_publicly(dataset, device)
    labels, classes = dataset.train_labels.to(device), len(dataset.classes)
    own = derived_seed(seed, "canaries")
    drawn = shadows.draw(images, labels, parameters.pool, parameters.shadows, own, classes)
    del images
    planted = plant(drawn, parameters.planted, own)
    pool = planted.pool
    began = time.perf_counter()
    sets = _release(task, planted, parameters, dataset, own, checkpoint)
    release_seconds = time.perf_counter() - began
    noise_multiplier = None
    if task.release == "dp_sgd":
        mechanism = proved(parameters.dp_sgd.mechanism(len(pool.labels) // 2), task.epsilon)
        noise_multiplier = mechanism.noise_multiplier
    key = hashlib.sha256(f"{task} {parameters} {seed} {dataset.sha256}".encode()).hexdigest()
    answers, right, seconds = _answers(
        task, pool, sets, noise_multiplier, parameters, dataset, own, key, checkpoint
    )
    ordinary = (planted.kinds == KINDS.index(ORDINARY))[None].expand_as(pool.membership)
    common = {
        "release": task.release,
        "init": task.init,
        "epsilon": task.epsilon,
        "noise_multiplier": noise_multiplier,
        "ipc": parameters.ipc if sets is not None else len(pool.labels) // 2 // classes,
        "ratio": parameters.ipc * classes * 2 / len(pool.labels) if sets is not None else 1.0,
        "member_accuracy": float(right[pool.membership & ordinary].double().mean()),
        "nonmember_accuracy": float(right[~pool.membership & ordinary].double().mean()),
        "width": parameters.width,
        "release_seconds": release_seconds if sets is not None else 0.0,
        "train_seconds": seconds,
    }
    return [common | row for row in _attacked(planted, sets, answers, parameters, own)]


def canary_start(planted: Planted, ipc: int, seed: int) -> torch.Tensor:
    """Return int64, K x classes x ipc: members to start from, planted ones first, then any."""
    pool = planted.pool
    chosen = torch.empty((pool.shadows, pool.classes, ipc), dtype=torch.int64)
    for k, inside in enumerate(pool.membership):
        for c in range(pool.classes):
            members = (inside & (pool.labels == c).cpu()).nonzero()[:, 0]
            members = members[torch.randperm(len(members), generator=generator(seed, "canary start", k, c))]
            first = planted.kinds[members] != KINDS.index(ORDINARY)
            chosen[k, c] = torch.cat([members[first], members[~first]])[:ipc]
    return chosen


def _release(
    task: Task, planted: Planted, parameters: Design, dataset: "Dataset", seed: int, path: Path | None
) -> Condensed | None:
    """Return the sets; None where networks are released."""
    pool = planted.pool
    if task.release in ("dp_sgd", "full"):
        return None
    run = Run(checkpoint=path and path.with_suffix(".sets.checkpoint"), progress=path is not None)
    settings = augmentation.published_for(parameters.dm, dataset.name) if task.release == "dm" else None
    if task.init != CANARIES:
        return shadows.release(pool, task.release, task.init, parameters.ipc, settings, seed, run)
    initial = canary_start(planted, parameters.ipc, seed).to(pool.images.device)
    membership = pool.membership.to(pool.images.device)
    problem = Problem.of(
        pool.images,
        pool.labels,
        membership,
        parameters.ipc,
        "real",
        derived_seed(seed, "start"),
        pool.classes,
    )
    images = pool.images[initial].requires_grad_(True)
    optimiser = torch.optim.SGD([images], lr=settings.learning_rate, momentum=settings.momentum)
    matcher = distribution_matching.Matcher(problem, settings)

    def step(index: int) -> torch.Tensor:
        losses, images.grad = matcher.loss_and_gradient(index, images.detach())
        optimiser.step()
        return losses

    outcome = descend("dm of canaries", problem, settings, run, images, optimiser, step, settings.iterations)
    return finish(images, hard_labels(*initial.shape, images.device), initial, outcome)


def _answers(
    task: Task,
    pool: shadows.Pool,
    sets: Condensed | None,
    noise_multiplier: float | None,
    parameters: Design,
    dataset: "Dataset",
    seed: int,
    key: str,
    path: Path | None,
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return confidences K x 2n x 1, whether the networks are right, K x 2n, and the seconds they took."""
    state = {"key": key, "answers": [], "right": [], "seconds": 0.0}
    if path and path.exists():
        state = load_state(path, key)
    first = len(state["answers"])
    network = networks.build("convnet", tuple(pool.images.shape[1:]), pool.classes, parameters.width)
    schedule = augmentation.published_for(
        parameters.full_schedule if sets is None else parameters.schedule, dataset.name
    )
    named = derived_seed(seed, "canary networks", task.release, task.init, str(task.epsilon))
    names = range(first, pool.shadows)
    if task.release == "dp_sgd":
        settings = dataclasses.replace(parameters.dp_sgd, noise_multiplier=noise_multiplier)
        rest = _private(network, pool, settings, named, names)
    else:
        training_sets = None if sets is None else [sets.flat(k) for k in names]
        rest = shadows.confidences(network, pool, training_sets, schedule, named, names)
    began, before = time.perf_counter(), state["seconds"]
    saved = began
    label = f"{task.release} {task.init}".strip()
    steps = progress(names, pool.shadows, path is not None, label)
    for k, (answer, right) in zip(steps, rest, strict=True):
        state["answers"].append(answer)
        state["right"].append(right)
        state["seconds"] = before + time.perf_counter() - began
        if path and (time.perf_counter() - saved > SAVE_SECONDS or k == pool.shadows - 1):
            save_state(path, state)
            saved = time.perf_counter()
    return torch.stack(state["answers"]), torch.stack(state["right"]), state["seconds"]


def _private(
    network: networks.Network, pool: shadows.Pool, settings: dp_sgd.DPSGD, seed: int, names: range
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Train a network with DP-SGD on each half, and ask it about the pool."""
    for k in names:
        members = pool.membership[k].to(pool.labels.device)
        trained = dp_sgd.train(network, pool.images[members], pool.labels[members], settings, seed, k)
        logits = training.logits(network, trained, pool.images)
        right = (logits.argmax(1) == pool.labels).cpu()
        yield logit_scaled_confidence(logits, pool.labels).cpu()[:, None], right


def _attacked(
    planted: Planted, sets: Condensed | None, answers: torch.Tensor, parameters: Design, seed: int
) -> Iterator[dict[str, object]]:
    pool = planted.pool
    attacked = [("network", name, attack, answers) for name, attack in evaluation.NETWORK.items()]
    started = torch.zeros_like(pool.membership)
    if sets is not None:
        started = shadows.in_initialisation(pool, sets.initial)
        for name, statistic in (
            ("nearest", released_images.nearest),
            ("tracing", released_images.class_mean),
        ):
            values = statistic(pool.images, pool.labels, sets.images).cpu()
            for how, attack in evaluation.RELEASED.items():
                full_name = name if how == "raw" else f"{name}_{how}"
                attacked.append(("synthetic_set", full_name, attack, values))
    ordinary = planted.kinds == KINDS.index(ORDINARY)
    chosen = ~ordinary | (torch.arange(len(ordinary)) % parameters.every == 0)
    examples, number = chosen.nonzero()[:, 0], parameters.resamples
    populations = _populations(planted.kinds, pool.membership, started, examples)
    for what, name, attack, values in attacked:
        found = evaluation.evaluate(
            attack,
            values,
            pool.membership,
            {str(key): mask for key, mask in populations.items()},
            examples,
            derived_seed(seed, "bootstrap"),
            number,
        )
        for canary, where in populations:
            outcome = found[str((canary, where))]
            named = {"attacked": what, "attack": name, "canary": canary, "in_initialisation": where}
            yield named | _measured(outcome)


def _populations(
    kinds: torch.Tensor, membership: torch.Tensor, started: torch.Tensor, examples: torch.Tensor
) -> dict[tuple[str, str], torch.Tensor]:
    """Return bool, K x 2n: which pairs count, for each kind, and whether its members were started from.

    Left out is what fewer than two halves have among the examples: no threshold could be chosen without it.
    """
    found = {}
    for number, kind in enumerate(KINDS):
        of_kind = (kinds == number)[None].expand_as(membership)
        found[kind, "all"] = of_kind
        for where, part in (("yes", started), ("no", ~started)):
            members = (membership & of_kind & part)[:, examples].any(1)
            if bool(started.any()) and int(members.sum()) > 1:
                found[kind, where] = of_kind & (~membership | part)
    return found


def _measured(outcome: evaluation.Outcome) -> Mapping[str, object]:
    """Return an outcome's columns; `roc` holds the TPR at each of evaluation.FPRS, apart by spaces."""
    advantage, low, high = outcome.advantage
    return {
        "shadows": outcome.shadows,
        "members": outcome.members,
        "nonmembers": outcome.nonmembers,
        "auc": outcome.auc,
        "advantage": advantage,
        "advantage_low": low,
        "advantage_high": high,
        "tpr_at_fpr_1e-3": outcome.tpr.value,
        "tpr_low": outcome.tpr.low,
        "tpr_high": outcome.tpr.high,
        "tpr_bootstrap_low": outcome.tpr_bootstrap[0],
        "tpr_bootstrap_high": outcome.tpr_bootstrap[1],
        "roc": " ".join(f"{rate:.8g}" for rate in outcome.curve),
    }
