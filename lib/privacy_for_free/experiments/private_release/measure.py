"""What a proved epsilon costs: accuracy, seconds, and what an audit finds, mechanism by mechanism.

Two kinds of tasks. `accuracy`: a mechanism releases images (or, DP-SGD, a network) of the whole training set
at every epsilon of the grid, ConvNets are trained on them with one schedule and tested on the whole test
set. Releases without a guarantee stand beside them, trained on alike: `dm`, `random_subset`, `gan`, and
`full`, all training images, with a schedule of its own. `audit`: a mechanism's worst case is run again and
again with and without a canary, as it should be and broken in two ways (`private.worst_case`).

Epsilon is for adding or removing one example, delta 1e-5: exact for single releases, from privacy loss
distributions where there is sampling. `epsilon_rdp` is what Renyi accounting says of the same noise, and
`epsilon_replace_one` what replacing an example costs. An epsilon of infinity is the mechanism without noise,
clipped and sampled as ever. Images are scaled by constants; class counts are public, and the same in
neighbouring data sets.

Choices made by looking at results, which no epsilon here includes, are named in the chapter. The laptop
profile is a reduced experiment: narrower networks, and far fewer steps of every iterative method. With fewer
steps less noise is needed for an epsilon, so its NDPDC and DP-SGD are other mechanisms than the published
ones, at the same guarantee.
"""

import dataclasses
import hashlib
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.condensation import Condensed, Run, condense, gan
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.checkpoint import load as load_state
from privacy_for_free.core.checkpoint import save as save_state
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.nets import augmentation, networks, training
from privacy_for_free.nets.augmentation import STRATEGY
from privacy_for_free.private import dp_merf, dp_sgd, worst_case
from privacy_for_free.private import noisy_condensation as nc
from privacy_for_free.private.accounting import DELTA, Mechanism
from privacy_for_free.private.audit import audit
from privacy_for_free.private.calibrated import least_noise as proved

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

ACCURACY, AUDIT = "accuracy", "audit"
CONDENSERS = ("linear", "ldpdc", "ndpdc", "one_release", "dp_merf")
WITHOUT = ("dm", "random_subset", "gan")  # a guarantee
BROKEN = ("", "a hundredth of the noise", "the same noise in every run")


@dataclass(frozen=True)
class Design:
    """What is released, learnt from, and audited.

    epsilons    of every mechanism; infinity: no noise
    few_epsilons   those that the numbers of images after the first are made at
    ipcs        images a class
    width       of the ConvNets that are tested, and of the one that DP-SGD trains
    schedule, full_schedule   training on released images, and on all
    audit_epsilons, audit_runs, audit_pilots   proved epsilons, counted re-runs and those for the threshold
    """

    epsilons: tuple[float, ...]
    few_epsilons: tuple[float, ...]
    ipcs: tuple[int, ...]
    seeds: int
    width: int
    ldpdc: nc.LDPDC
    ndpdc: nc.NDPDC
    one_release: nc.OneRelease
    dp_merf: dp_merf.DPMERF
    dp_sgd: dp_sgd.DPSGD
    gan: gan.GAN
    dm: distribution_matching.DM
    schedule: training.Schedule
    full_schedule: training.Schedule
    audit_epsilons: tuple[float, ...] = (1.0, 4.0)
    audit_runs: int = 64
    audit_pilots: int = 16
    linear: nc.Linear = field(default_factory=lambda: nc.Linear(0.0))


def _merf(**values: object) -> dp_merf.DPMERF:
    return dp_merf.DPMERF(noise_multiplier=0.0, adjacency="add_remove", **values)


PROFILES = {
    "smoke": Design(
        epsilons=(1.0, math.inf),
        few_epsilons=(1.0,),
        ipcs=(1, 2),
        seeds=1,
        width=8,
        # Large samples: at a small rate there is little noise, and the accountant takes long over that.
        ldpdc=nc.LDPDC(0.0, sample=200),
        ndpdc=nc.NDPDC(0.0, sample=200, iterations=2, width=8),
        one_release=nc.OneRelease(0.0, extractors=2, width=8, iterations=5),
        dp_merf=_merf(features=100, epochs=1),
        dp_sgd=dp_sgd.DPSGD(0.0, sample=2000, steps=2),
        gan=gan.GAN(steps=3, batch=16, width=8, discriminator_width=8),
        dm=distribution_matching.DM(iterations=3, batch_real=16, width=8),
        schedule=training.Schedule(epochs=10, augmentation=STRATEGY),
        full_schedule=training.Schedule(epochs=1),
        audit_epsilons=(1.0,),
    ),
    "laptop": Design(
        epsilons=(0.5, 1.0, 2.0, 4.0, 8.0, math.inf),
        few_epsilons=(1.0,),
        ipcs=(10, 50),
        seeds=3,
        width=32,
        ldpdc=nc.LDPDC(0.0),
        ndpdc=nc.NDPDC(0.0, iterations=300, width=32, compile=True),
        one_release=nc.OneRelease(0.0, extractors=16, width=32, iterations=400, compile=True),
        dp_merf=_merf(),
        dp_sgd=dp_sgd.DPSGD(0.0, steps=80),
        gan=gan.GAN(steps=400, width=32, discriminator_width=32),
        dm=distribution_matching.DM(iterations=400, learning_rate=4.0, batch_real=64, width=32, compile=True),
        # A third of the published epochs at three times the rate.
        schedule=training.Schedule(epochs=100, learning_rate=0.03, augmentation=STRATEGY, compile=True),
        full_schedule=training.Schedule(epochs=3, compile=True),
        audit_runs=500,
        audit_pilots=150,
    ),
    "paper": Design(
        epsilons=(0.5, 1.0, 2.0, 4.0, 8.0, math.inf),
        few_epsilons=(0.5, 1.0, 2.0, 4.0, 8.0, math.inf),
        ipcs=(10, 50),
        seeds=5,
        width=128,
        ldpdc=nc.LDPDC(0.0),
        ndpdc=nc.NDPDC(0.0, compile=True),
        one_release=nc.OneRelease(0.0, compile=True),
        dp_merf=_merf(),
        dp_sgd=dp_sgd.DPSGD(0.0, sample=2048, steps=1000, chunk=256),
        gan=gan.GAN(steps=20_000),
        dm=distribution_matching.DM(compile=True, mixed_precision=True),
        schedule=training.Schedule.published(STRATEGY, compile=True),
        full_schedule=training.Schedule(epochs=100, augmentation=STRATEGY, compile=True),
        audit_epsilons=(0.5, 1.0, 2.0, 4.0, 8.0),
        audit_runs=2000,
        audit_pilots=500,
    ),
}


class Task(NamedTuple):
    """All releases of one mechanism under one seed, or its audits."""

    kind: str
    mechanism: str
    replicate: int


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return the audits, then all mechanisms with the first seed, and so on.

    ValueError where the smallest class has fewer images than a Poisson sample or a synthetic set asks for.
    """
    smallest = int(torch.bincount(dataset.train_labels, minlength=len(dataset.classes)).min())
    wanted = max(parameters.ldpdc.sample, parameters.ndpdc.sample, *parameters.ipcs)
    if wanted > smallest:
        raise ValueError(
            f"{wanted} images of a class: {dataset.name} has {smallest} of its smallest, allowed is that many"
        )
    parameters.dp_sgd.mechanism(len(dataset.train_labels))
    names = (*CONDENSERS, "dp_sgd", *WITHOUT, "full")
    return [
        *(Task(AUDIT, name, 0) for name in worst_case.MECHANISMS),
        *(Task(ACCURACY, name, r) for r in range(parameters.seeds) for name in names),
    ]


def run_task(
    task: Task,
    parameters: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Audit, or release and learn; a row a release. `checkpoint` keeps the rows of releases that are done."""
    if task.kind == AUDIT:
        return [_row(found) for found in _audits(task.mechanism, parameters, derived_seed(seed, *task))]
    own = derived_seed(seed, "private_release", *task)
    images, tests = scaled_publicly(dataset, device)
    labels, test_labels = dataset.train_labels.to(device), dataset.test_labels.to(device)
    bench = Bench(parameters, dataset, tests, test_labels, own)
    key = hashlib.sha256(f"{task} {parameters} {seed} {dataset.sha256}".encode()).hexdigest()
    state = {"key": key, "rows": [], "shared": None}
    if checkpoint and checkpoint.exists():
        state = load_state(checkpoint, key)
    cells = _cells(task.mechanism, parameters)
    for cell in cells[len(state["rows"]) :]:
        row = _released(task.mechanism, cell, parameters, dataset, images, labels, bench, state, checkpoint)
        row |= {"kind": ACCURACY, "mechanism": task.mechanism, "seed": own % 10**6, "delta": DELTA}
        state["rows"].append(_row(row))
        if checkpoint:
            save_state(checkpoint, state)
    return state["rows"]


class Cell(NamedTuple):
    """One release of a mechanism: images a class (0 for those that release none), epsilon, initialisation."""

    ipc: int
    epsilon: float
    init: str


def _cells(mechanism: str, parameters: Design) -> list[Cell]:
    first, *rest = parameters.ipcs
    if mechanism == "full":
        return [Cell(0, math.inf, "")]
    if mechanism == "dp_sgd":
        return [Cell(0, epsilon, "") for epsilon in parameters.epsilons]
    if mechanism == "dm":  # from noise at one size: what the mechanisms with a guarantee must start from
        return [Cell(first, math.inf, "noise"), *(Cell(ipc, math.inf, "real") for ipc in parameters.ipcs)]
    if mechanism in WITHOUT:
        init = "noise" if mechanism == "gan" else "real"
        return [Cell(ipc, math.inf, init) for ipc in parameters.ipcs]
    cells = [Cell(first, epsilon, "noise") for epsilon in parameters.epsilons]
    return cells + [Cell(ipc, epsilon, "noise") for ipc in rest for epsilon in parameters.few_epsilons]


def accounts(mechanism: Mechanism, epsilon: float) -> dict[str, object]:
    """Return the columns that say what was proved, and how else it may be put."""
    found = {
        "epsilon": epsilon,
        "noise_multiplier": mechanism.noise_multiplier,
        "steps": mechanism.steps,
        "rate": mechanism.rate,
    }
    if epsilon < math.inf:
        replaced = dataclasses.replace(mechanism, adjacency="replace_one")
        accountant = "analytic" if mechanism.rate == 1 else "pld"
        found["epsilon_rdp"] = mechanism.epsilon(DELTA, "rdp")
        found["epsilon_replace_one"] = replaced.epsilon(DELTA, accountant)
    return found


@dataclass
class Bench:
    """Where releases are tried: networks trained on them, tested on the whole test set."""

    parameters: Design
    dataset: "Dataset"
    images: torch.Tensor
    labels: torch.Tensor
    seed: int

    def network(self) -> networks.Network:
        """Return the ConvNet that is trained."""
        classes = len(self.dataset.classes)
        return networks.build("convnet", tuple(self.images.shape[1:]), classes, self.parameters.width)

    def learn(
        self, images: torch.Tensor, labels: torch.Tensor, schedule: training.Schedule, *index: object
    ) -> dict[str, object]:
        """Train on images N x C x H x W and labels; return the columns."""
        began, network = time.perf_counter(), self.network()
        schedule = augmentation.published_for(schedule, self.dataset.name)
        trained = training.train(
            network, images, labels, schedule, derived_seed(self.seed, "learn", *map(str, index))
        )
        spent = time.perf_counter() - began
        return self.test(trained, schedule.compile) | {
            "train_seconds": spent,
            "epochs": schedule.epochs,
            "images": len(images),
        }

    def test(self, trained: networks.Weights, compile: bool) -> dict[str, object]:
        """Return accuracy on the test set, and the network's width."""
        accuracy = training.accuracy(self.network(), trained, self.images, self.labels, compile)
        return {"test_accuracy": accuracy, "width": self.parameters.width}


def _released(
    name: str,
    cell: Cell,
    parameters: Design,
    dataset: "Dataset",
    images: torch.Tensor,
    labels: torch.Tensor,
    bench: Bench,
    state: dict,
    checkpoint: Path | None,
) -> dict[str, object]:
    """Make one release and learn from it; `state` keeps what several releases of a task have in common."""
    classes, smallest = len(dataset.classes), int(torch.bincount(labels).min())
    row: dict[str, object] = {"ipc": cell.ipc or smallest, "init": cell.init, "epsilon": cell.epsilon}
    if name == "full":
        return row | {"seconds": 0.0} | bench.learn(images, labels, parameters.full_schedule, cell)
    if name == "dp_sgd":
        mechanism = proved(parameters.dp_sgd.mechanism(len(labels)), cell.epsilon)
        settings = dataclasses.replace(parameters.dp_sgd, noise_multiplier=mechanism.noise_multiplier)
        began = time.perf_counter()
        trained = dp_sgd.train(bench.network(), images, labels, settings, bench.seed, str(cell.epsilon))
        row |= {"seconds": time.perf_counter() - began, "images": len(images), "iterations": settings.steps}
        return row | accounts(mechanism, cell.epsilon) | bench.test(trained, parameters.schedule.compile)
    path = checkpoint and checkpoint.with_suffix(f".{'-'.join(map(str, cell))}.checkpoint")
    run = Run(checkpoint=path, progress=checkpoint is not None)
    settings = augmentation.published_for(getattr(parameters, name, None), dataset.name)
    if name in ("dm", "random_subset"):
        stream = generator(bench.seed, "private_release", *map(str, cell))
        options = {"ipc": cell.ipc, "init": cell.init, "parameters": settings, "classes": classes, "run": run}
        began = time.perf_counter()
        made = condense(name, images, labels, generator=stream, **options)
        row["seconds"] = made.seconds or time.perf_counter() - began
    else:
        problem = Problem.of(images, labels, None, cell.ipc, "noise", bench.seed, classes)
        if name == "gan":
            made = _generated(problem, settings, max(parameters.ipcs), state)
        else:
            counts = torch.bincount(labels, minlength=classes).cpu()
            mechanism = proved(_mechanism(counts, settings, cell.ipc), cell.epsilon)
            settings = dataclasses.replace(settings, noise_multiplier=mechanism.noise_multiplier)
            row |= accounts(mechanism, cell.epsilon)
            made = _made(problem, settings, run, state)
        row["seconds"] = made.seconds
    row["iterations"] = made.loss.shape[1] and getattr(settings, "iterations", made.loss.shape[1])
    return row | bench.learn(*made.flat(), parameters.schedule, *cell)


def _mechanism(counts: torch.Tensor, settings: object, ipc: int) -> Mechanism:
    if isinstance(settings, dp_merf.DPMERF):
        return settings.mechanism(counts, ipc)
    return settings.mechanism(counts, ipc)


def _made(problem: Problem, settings: object, run: Run, state: dict) -> Condensed:
    if isinstance(settings, dp_merf.DPMERF):
        return dp_merf.generate(problem, settings)
    if isinstance(settings, nc.Linear):
        return nc.condense_linear(problem, settings)
    if isinstance(settings, nc.LDPDC):
        return nc.condense_ldpdc(problem, settings)
    if isinstance(settings, nc.NDPDC):
        return nc.condense_ndpdc(problem, settings, run)
    if state["shared"] is None:  # the same for every epsilon and ipc; its seconds count for each
        began = time.perf_counter()
        state["shared"] = nc.clipped_feature_sums(problem, settings)
        state["shared_seconds"] = time.perf_counter() - began
    found = nc.condense_one_release(problem, settings, run, state["shared"].to(problem.images.device))
    return dataclasses.replace(found, seconds=found.seconds + state["shared_seconds"])


def _generated(problem: Problem, settings: gan.GAN, most: int, state: dict) -> Condensed:
    """Return the first images of what one trained generator makes."""
    if state["shared"] is None:
        made = gan.generate(dataclasses.replace(problem, ipc=most), settings)
        state["shared"] = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    made = Condensed(**state["shared"])
    first = {name: getattr(made, name)[:, :, : problem.ipc] for name in ("images", "labels", "initial")}
    return dataclasses.replace(made, **first)


def _audits(name: str, parameters: Design, seed: int) -> list[dict[str, object]]:
    """Audit a mechanism's worst case at each epsilon, as it should be and broken."""
    rows = []
    rate = worst_case.MECHANISMS[name][1]
    for epsilon in parameters.audit_epsilons:
        mechanism = proved(Mechanism(0.0, 1, rate), epsilon)
        for broken in BROKEN:
            z = mechanism.noise_multiplier / (100 if broken == BROKEN[1] else 1)

            def named(index: int, present: bool, broken: str = broken) -> int:
                if broken == BROKEN[2]:
                    return derived_seed(seed, "audit")
                return derived_seed(seed, "audit", index, int(present))

            began = time.perf_counter()
            statistic = worst_case.statistic(name, z, named)
            found = audit(statistic, parameters.audit_runs, parameters.audit_pilots, DELTA)
            rows.append(
                {"kind": AUDIT, "mechanism": name, "seed": seed % 10**6, "delta": DELTA, "broken": broken}
                | accounts(mechanism, epsilon)
                | {"epsilon_audited": found.epsilon, "runs": found.runs, "noise_multiplier": z}
                | {"true_positives": found.true_positives, "false_positives": found.false_positives}
                | {"seconds": time.perf_counter() - began}
            )
    return rows


def _row(values: dict[str, object]) -> dict[str, object]:
    return values
