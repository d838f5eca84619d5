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

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812

from privacy_for_free.condensation import Run
from privacy_for_free.condensation import dm as distribution_matching
from privacy_for_free.condensation.loop import descend
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.compiling import compiled
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.nets import augmentation, networks, training
from privacy_for_free.theory import linear, stability

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

SMOOTH = ("tanh", "tanh_minimum")
GRADIENT = "gradient"  # a task of its own, on all extractors that are networks
STARTS = ("noise", "real", "x")  # the last: real images with x the first of them
KINDS = ("typical", "mislabelled")
TRIED = {"noise": KINDS, "real": KINDS[:1], "x": KINDS[:1]}
OTHERS = 400  # images of the other class that its synthetic ones are condensed from


@dataclass(frozen=True)
class Design:
    """Sizes and settings.

    ns          real images of the class
    extractors  networks, and for each the numbers m of synthetic images; for the smooth one: smooth_ms, at
                the minimiser: minimum_ms
    replicates  pairs of classes, orders of the images, starts and draws of the extractors
    dm          settings; the number of real images a step is that of the class
    stops       numbers of steps after which the shift is measured; the last is dm's
    width, schedule, tests   of the ConvNet that is trained on the synthetic images; test images of each of
                the two classes that it is asked about, at most
    gradient_m, gradient_networks   images, and numbers of networks, where the gradient is tried
    smooth_side, smooth_networks, smooth_units, smooth_steps, smooth_rate   the smooth extractor's images have
                this side, its steps are smooth_rate times m
    """

    ns: tuple[int, ...]
    extractors: tuple[tuple[str, tuple[int, ...]], ...]
    replicates: int
    dm: distribution_matching.DM
    stops: tuple[int, ...]
    width: int
    schedule: training.Schedule
    tests: int
    gradient_m: int
    gradient_networks: tuple[int, ...]
    smooth_ms: tuple[int, ...]
    minimum_ms: tuple[int, ...]
    smooth_steps: tuple[int, ...]
    smooth_side: int = 4
    smooth_networks: int = 16
    smooth_units: int = 16
    smooth_rate: float = 0.5

    @property
    def most(self) -> int:
        """The largest m."""
        ms = [m for _, ms in self.extractors for m in ms]
        return max(*ms, self.gradient_m, *self.smooth_ms, *self.minimum_ms)


PROFILES = {
    "smoke": Design(
        ns=(10, 20, 40),
        extractors=(("convnet", (1, 2)), ("convnet_gelu", (2,)), ("mlp", (1, 2))),
        replicates=3,
        dm=distribution_matching.DM(iterations=3, learning_rate=4.0, width=8),
        stops=(1, 3),
        width=8,
        schedule=training.Schedule(epochs=5),
        tests=20,
        gradient_m=2,
        gradient_networks=(1, 4),
        smooth_ms=(2,),
        minimum_ms=(1,),
        smooth_steps=(2, 5),
        smooth_side=2,
    ),
    "laptop": Design(
        ns=(50, 100, 200, 400, 800, 1600),
        extractors=(("convnet", (1, 5, 25)), ("convnet_gelu", (5,)), ("mlp", (1, 5, 25))),
        replicates=15,
        dm=distribution_matching.DM(iterations=40, learning_rate=4.0, width=32, compile=True),
        stops=(1, 2, 5, 15, 40),
        width=16,
        schedule=training.Schedule(epochs=50, learning_rate=0.03, compile=True),
        tests=250,
        gradient_m=5,
        gradient_networks=(1, 8),
        smooth_ms=(1, 5),
        minimum_ms=(1, 2),
        smooth_steps=(5, 10, 20),
    ),
    "paper": Design(
        ns=(50, 100, 200, 400, 800, 1600, 2500),
        extractors=(("convnet", (1, 10, 50)), ("convnet_gelu", (1, 10, 50)), ("mlp", (1, 10, 50))),
        replicates=20,
        dm=distribution_matching.DM(iterations=1000, compile=True),
        stops=(1, 2, 5, 15, 40, 200, 1000),
        width=128,
        schedule=training.Schedule.published(compile=True),
        tests=1000,
        gradient_m=10,
        gradient_networks=(1, 4, 16, 64),
        smooth_ms=(1, 5),
        minimum_ms=(1, 2),
        smooth_steps=(5, 10, 20, 40),
    ),
}


class Task(NamedTuple):
    """One class, condensed to m images in all the ways there are."""

    extractor: str
    m: int
    replicate: int


class Material(NamedTuple):
    """The images of a task: real ones of the class, in order, the starts of its sets, and another class.

    real         N x C x H x W, N the largest n; the first of them are x, in the order of KINDS
    starts       name -> start of T (m x C x H x W); for "x" the pair of T's and of T without x
    other        real images of the other class, and the noise that its synthetic ones start from
    tests        test images of both classes
    """

    real: torch.Tensor
    starts: dict[str, tuple[torch.Tensor, torch.Tensor]]
    other: torch.Tensor
    other_start: torch.Tensor
    tests: torch.Tensor


class Case(NamedTuple):
    """T and T without x: where the two sets stand among those of the task."""

    start: str
    n: int
    x: str
    whole: int
    without: int


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return all extractors and m of the first replicate, then of the next; ValueError for too few images."""
    smallest = int(torch.bincount(dataset.train_labels, minlength=len(dataset.classes)).min())
    needed = max(*parameters.ns, parameters.most + len(KINDS) + 1)
    if smallest < needed:
        raise ValueError(
            f"{dataset.name}: a class of {smallest} images, allowed are {needed} or more for n up to {needed}"
        )
    if min(parameters.ns) < parameters.most + len(KINDS) + 1:
        raise ValueError(f"n {min(parameters.ns)}: allowed are {parameters.most + len(KINDS) + 1} or more")
    cells = [(extractor, m) for extractor, ms in parameters.extractors for m in ms]
    cells += [(GRADIENT, parameters.gradient_m)]
    cells += [("tanh", m) for m in parameters.smooth_ms]
    cells += [("tanh_minimum", m) for m in parameters.minimum_ms]
    return [Task(*cell, replicate) for replicate in range(parameters.replicates) for cell in cells]


def run_task(
    task: Task,
    parameters: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Condense a class with and without each x; a row for each pair of sets and number of steps."""
    material = _material(task, parameters, dataset, seed, device)
    if task.extractor in SMOOTH:
        return list(_smooth_rows(task, parameters, material, seed))
    if task.extractor == GRADIENT:
        return list(_gradient_rows(task, parameters, material, seed))
    return list(_network_rows(task, parameters, material, dataset, seed, checkpoint))


def _material(
    task: Task, parameters: Design, dataset: "Dataset", seed: int, device: torch.device
) -> Material:
    """Draw a replicate's classes, images and starts: the same for every extractor, and nested in m."""
    train, test = standardised(dataset, device)
    stream = generator(seed, "nonlinear images", task.replicate)
    own, other = torch.randperm(len(dataset.classes), generator=stream)[:2].tolist()
    places = []
    for c in (own, other):
        of_class = (dataset.train_labels == c).nonzero()[:, 0]
        places.append(of_class[torch.randperm(len(of_class), generator=stream)])
    size, m = max(parameters.ns), task.m
    real = torch.cat([places[0][:1], places[1][-1:], places[0][1 : size - 1]]).to(
        device
    )  # KINDS, then others
    images = train[real]
    shape = (2, parameters.most, *images.shape[1:])
    noise = torch.randn(shape, generator=stream, dtype=images.dtype).to(device)
    first = len(KINDS)
    starts = {"noise": (noise[0, :m],) * 2, "real": (images[first : first + m],) * 2}
    replaced = torch.cat([images[first + m : first + m + 1], images[first : first + m - 1]])
    starts["x"] = (torch.cat([images[:1], images[first : first + m - 1]]), replaced)
    tests = torch.cat([test[(dataset.test_labels == c).to(device)][: parameters.tests] for c in (own, other)])
    others = train[places[1][: min(len(places[1]) - 1, OTHERS)].to(device)]
    return Material(images, starts, others, noise[1, :m], tests)


# --- networks as extractors ------------------------------------------------------------------------------


class SmoothConvNet(networks.ConvNet):
    """The ConvNet with GELU, x Phi(x), in place of ReLU: as wide and deep, and smooth."""

    def features(self, parameters: networks.Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to the last block's output, flattened (B, feature_dim)."""
        for block in range(self.depth):
            padding = 1 + (self._padded - self.size) // 2 if block == 0 else 1
            weight, bias = parameters[f"{block}.weight"], parameters[f"{block}.bias"]
            images = F.conv2d(images, weight, bias, padding=padding)
            scale, shift = parameters[f"{block}.scale"], parameters[f"{block}.shift"]
            images = F.avg_pool2d(F.gelu(networks.instance_norm(images, scale, shift)), 2)
        return images.flatten(1)


def _network(extractor: str, shape: tuple[int, ...], width: int) -> networks.Network:
    if extractor == "convnet_gelu":
        return SmoothConvNet(shape[0], shape[1], 1, width)
    return networks.build(extractor, shape, 1, width)


def _cases(parameters: Design) -> tuple[list[Case], list[tuple[int, int | None, str]]]:
    """Return the pairs of sets, and of each set its n, the place of the image it lacks, and its start."""
    sets: list[tuple[int, int | None, str]] = []
    cases = []
    for start in STARTS:
        for n in parameters.ns:
            whole = len(sets)
            sets.append((n, None, start))
            for place, x in enumerate(TRIED[start]):
                cases.append(Case(start, n, x, whole, len(sets)))
                sets.append((n, place, start))
    return cases, sets


def _network_rows(
    task: Task,
    parameters: Design,
    material: Material,
    dataset: "Dataset",
    seed: int,
    checkpoint: Path | None,
) -> Iterator[dict[str, object]]:
    cases, sets = _cases(parameters)
    settings = augmentation.published_for(parameters.dm, dataset.name)
    membership = torch.zeros((len(sets), len(material.real)), dtype=torch.bool)
    for row, (n, lacking, _) in zip(membership, sets, strict=True):
        row[:n] = True
        if lacking is not None:
            row[lacking] = False
    start = torch.stack([material.starts[name][int(lacking is not None)] for _, lacking, name in sets])
    found = _condense(task, settings, parameters, material.real, membership, start, seed, checkpoint)
    final, losses, snapshots, seconds = found
    outputs = None
    if task.extractor == "convnet":
        outputs = _outputs(task, parameters, settings, material, final, sets, seed, checkpoint)
    for stop in parameters.stops:
        images = final if stop == settings.iterations else snapshots[stop]
        for case in cases:
            row = _row(task, case, images, start) | {"iterations": stop, "seconds": seconds}
            if stop == settings.iterations:
                row |= {"loss": float(losses[case.whole])} | (outputs(case) if outputs else {})
            yield row


def _condense(
    task: Task,
    settings: distribution_matching.DM,
    parameters: Design,
    real: torch.Tensor,
    membership: torch.Tensor,
    start: torch.Tensor,
    seed: int,
    checkpoint: Path | None,
) -> tuple[torch.Tensor, torch.Tensor, dict[int, torch.Tensor], float]:
    """Condense every set from a start of its own, K x m x C x H x W, with all its real images in every step.

    Return the images, the last losses (K), the images at earlier stops, and the seconds.
    """
    kind = task.extractor.removesuffix("_gelu")
    settings = dataclasses.replace(settings, extractor=kind, pool_batch=len(real))
    labels = torch.zeros(len(real), dtype=torch.int64, device=real.device)
    own = derived_seed(seed, "nonlinear extractors", task.replicate)
    problem = Problem.of(real, labels, membership.to(real.device), task.m, "noise", own)
    matcher = distribution_matching.Matcher(problem, settings)
    matcher.network = _network(task.extractor, tuple(real.shape[1:]), settings.width)
    matcher.features = compiled(matcher.network.features, settings.compile)
    images = start[:, None].clone().requires_grad_(True)
    optimiser = torch.optim.SGD([images], lr=settings.learning_rate, momentum=settings.momentum)

    def step(index: int) -> torch.Tensor:
        losses, images.grad = matcher.loss_and_gradient(index, images.detach())
        optimiser.step()
        return losses

    run = Run(checkpoint=checkpoint, snapshots=parameters.stops[:-1], progress=checkpoint is not None)
    losses, _, snapshots, seconds = descend(
        f"nonlinear shift, {task.extractor}",
        problem,
        settings,
        run,
        images,
        optimiser,
        step,
        settings.iterations,
    )
    kept = {stop: snapshot[:, 0].to(real.device) for stop, snapshot in snapshots.items()}
    return images.detach()[:, 0], losses[:, -1], kept, seconds


def _row(task: Task, case: Case, images: torch.Tensor, start: torch.Tensor) -> dict[str, object]:
    """Return how far the two sets of a case (of K x m x ...) are apart, and how far T's is from its start."""
    gap = (images[case.whole].double() - images[case.without].double()).flatten(1).norm(dim=1)
    moved = (images[case.whole].double() - start[case.whole].double()).flatten(1).norm(dim=1)
    return {
        "extractor": task.extractor,
        "init": "noise" if case.start == "noise" else "real",
        "in_initialisation": case.start == "x",
        "n": case.n,
        "m": task.m,
        "seed": task.replicate,
        "x": case.x,
        "shift": float(gap.norm()),
        "shift_image": float(gap.mean()),
        "shift_largest": float(gap.max()),
        "moved": float(moved.mean()),
    }


def _outputs(
    task: Task,
    parameters: Design,
    settings: distribution_matching.DM,
    material: Material,
    synthetic: torch.Tensor,
    sets: list[tuple[int, int | None, str]],
    seed: int,
    checkpoint: Path | None,
):
    """Train a ConvNet on each set and one synthetic set of the other class; return how a case's two differ.

    The same start and order for all. An output is the difference of the two logits of a test image:
    `output_change` is the root mean square change, `output_reseeded` that between two trainings of T's set,
    `output_spread` the spread of the outputs; `probability_change` is the largest change of a probability.
    """
    other = material.other
    everyone = torch.ones((1, len(other)), dtype=torch.bool)
    path = checkpoint and checkpoint.with_suffix(".other.checkpoint")
    start, draws = material.other_start[None], derived_seed(seed, "nonlinear other class")
    against, *_ = _condense(task, settings, parameters, other, everyone, start, draws, path)
    shape, m = tuple(synthetic.shape[2:]), task.m
    network = networks.build("convnet", shape, 2, parameters.width)
    labels = torch.tensor([0] * m + [1] * m, device=synthetic.device)

    def margins(k: int, name: int) -> torch.Tensor:
        images = torch.cat([synthetic[k], against[0]])
        named = derived_seed(seed, "nonlinear training", task.replicate)
        trained = training.train(network, images, labels, parameters.schedule, named, name)
        logits = training.logits(network, trained, material.tests, parameters.schedule.compile).double()
        return logits[:, 0] - logits[:, 1]

    first = [margins(k, 0) for k in range(len(sets))]
    second = {k: margins(k, 1) for k, (_, lacking, _) in enumerate(sets) if lacking is None}

    def found(case: Case) -> dict[str, float]:
        whole, without = first[case.whole], first[case.without]
        return {
            "output_change": float((whole - without).square().mean().sqrt()),
            "output_reseeded": float((whole - second[case.whole]).square().mean().sqrt()),
            "output_spread": float(whole.std()),
            "probability_change": float((whole.sigmoid() - without.sigmoid()).abs().max()),
        }

    return found


# --- is the gradient Lipschitz? --------------------------------------------------------------------------

DELTAS = tuple(float(f"{10 ** (power / 2):.3g}") for power in range(-8, 3))  # two a decade, 1e-4 to 10


def _gradient_rows(
    task: Task, parameters: Design, material: Material, seed: int
) -> Iterator[dict[str, object]]:
    """Yield the change of the gradient for each extractor, number of networks, start and displacement."""
    real = material.real[: min(parameters.ns) * 4].double()
    shape = tuple(real.shape[1:])
    for extractor, _ in parameters.extractors:
        network = _network(extractor, shape, parameters.dm.width)
        for start in STARTS[:2]:
            images = material.starts[start][0].double()
            stream = generator(seed, "nonlinear direction", task.replicate)
            direction = torch.randn(images.shape, generator=stream, dtype=torch.float64).to(real.device)
            direction /= direction.norm()
            total = torch.zeros((1 + len(DELTAS), *images.shape), dtype=torch.float64, device=real.device)
            for index in range(max(parameters.gradient_networks)):
                draws = generator(seed, "nonlinear gradient", task.replicate, index, device=real.device)
                theta = network.initial(draws, torch.float64, classifier=False)
                with torch.no_grad():
                    target = network.features(theta, real).mean(0)
                features = partial(network.features, theta)
                for place, delta in enumerate((0.0, *DELTAS)):
                    total[place] += stability.gradient(features, target, images + delta * direction)
                if index + 1 not in parameters.gradient_networks:
                    continue
                mean_gradient = total / (index + 1)
                for place, delta in enumerate(DELTAS):
                    yield {
                        "extractor": extractor,
                        "init": start,
                        "m": task.m,
                        "n": len(real),
                        "seed": task.replicate,
                        "networks": index + 1,
                        "delta": delta,
                        "gradient": float(mean_gradient[0].norm()),
                        "gradient_change": float((mean_gradient[1 + place] - mean_gradient[0]).norm()),
                    }


# --- the smooth extractor --------------------------------------------------------------------------------


def _smooth_rows(
    task: Task, parameters: Design, material: Material, seed: int
) -> Iterator[dict[str, object]]:
    pool = material.real.shape[-1] // parameters.smooth_side
    rows = linear.flatten(material.real, pool)
    d, m = rows.shape[1], task.m
    stream = generator(seed, "nonlinear smooth", task.replicate, device=rows.device)
    extractor = stability.smooth_extractor(parameters.smooth_networks, parameters.smooth_units, d, stream)
    starts = {
        name: tuple(linear.flatten(part, pool) for part in pair) for name, pair in material.starts.items()
    }
    at_minimum = task.extractor == "tanh_minimum"
    for start in STARTS[:1] if at_minimum else STARTS[:2]:
        for n in parameters.ns:
            for place, x in enumerate(KINDS if at_minimum else TRIED["real"]):
                case = Case(start, n, x, 0, 1)
                if at_minimum:
                    yield from _at_minimum(task, case, extractor, rows[:n], place, starts[start][0])
                    continue
                step_size = parameters.smooth_rate * m
                steps = max(parameters.smooth_steps)
                _, path, other = stability.shift_path(
                    extractor, rows[:n], place, starts[start][0], steps, step_size
                )
                proved = extractor.proved_constants(m)
                measured = stability.measured_constants(extractor, rows[:n], place, path, other)
                for stop in parameters.smooth_steps:
                    pair = torch.stack([path[stop], other[stop]])
                    row = _row(task, case, pair, path[:1].expand(2, -1, -1))
                    yield row | {
                        "iterations": stop,
                        "bound": stability.stability_bound(measured.c, n, measured.Lambda, step_size, stop),
                        "bound_proved": stability.stability_bound(
                            proved.c, n, proved.Lambda, step_size, stop
                        ),
                        "c": measured.c,
                        "Lambda": measured.Lambda,
                    }


def _at_minimum(
    task: Task,
    case: Case,
    extractor: stability.SmoothExtractor,
    real: torch.Tensor,
    place: int,
    start: torch.Tensor,
) -> Iterator[dict[str, object]]:
    """Yield the row of a minimiser, or none where the search from this start ends at a degenerate point."""
    mean, others = stability.targets(extractor, real, place)
    try:
        found = stability.minimise(extractor, mean, start)
        moved = stability.minimise(extractor, others, found.synthetic)
    except ValueError:
        return
    difference = stability.gradient(extractor, others, found.synthetic)
    difference = difference - stability.gradient(extractor, mean, found.synthetic)
    c = len(real) * float(difference.norm())
    pair = torch.stack([found.synthetic, moved.synthetic])
    yield _row(task, case, pair, start.expand(2, -1, -1)) | {
        "bound": c / (found.mu * len(real)),
        "predicted": float(stability.predicted_shift(extractor, real, place, found.synthetic).norm()),
        "mu": found.mu,
        "c": c,
    }
