"""Every statement of "Linear extractors: the proof", checked on real images in float64.

A task is one case: an image size (by average pooling), a feature dimension k, n real images of one class and
m synthetic ones. Exact statements are compared as whole arrays, statistical ones as a mean of independent
draws against its expectation. Extractors have variance v = 1 except where a row says otherwise.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.theory import linear

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

TOLERANCE = 1e-10  # relative, for exact rows
STANDARD_ERRORS = 4.0  # for statistical rows


@dataclass(frozen=True)
class Design:
    """Sizes of the cases, and how much randomness a statistical check may draw."""

    pools: tuple[int, ...]  # side of the average pooling before flattening
    features: tuple[int, ...]  # k
    sizes: tuple[tuple[int, int], ...]  # (n, m), per class
    normals: int  # normal numbers a statistical check draws, at most
    chains: int  # independent minibatch chains


PROFILES = {
    "smoke": Design((2, 4), (8,), ((50, 1), (500, 10)), normals=2_000_000, chains=400),
    "laptop": Design(
        (1, 2, 4), (1, 8, 64), ((50, 1), (500, 10), (5000, 50)), normals=40_000_000, chains=2000
    ),
    "paper": Design(
        (1, 2, 4), (1, 8, 64, 256), ((50, 1), (500, 10), (5000, 50)), normals=1_000_000_000, chains=20_000
    ),
}


class Task(NamedTuple):
    """One case."""

    pool: int
    k: int
    n: int
    m: int
    class_index: int


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return the grid of cases; the classes take turns."""
    grid = [
        (pool, k, n, m) for pool in parameters.pools for k in parameters.features for n, m in parameters.sizes
    ]
    return [Task(*case, class_index=index % len(dataset.classes)) for index, case in enumerate(grid)]


@dataclass(frozen=True)
class Case:
    """One case with its images: what every check is given."""

    real: torch.Tensor  # (n, d)
    initial: torch.Tensor  # (m, d), uniform in [0, 1]
    k: int
    normals: int
    chains: int
    draw: Callable[..., torch.Generator]  # draw(purpose, *index) -> a generator of its own

    n = property(lambda self: self.real.shape[0])
    m = property(lambda self: self.initial.shape[0])
    d = property(lambda self: self.real.shape[1])
    gap = property(lambda self: self.real.mean(0) - self.initial.mean(0))

    @cached_property
    def balanced(self) -> torch.Tensor:
        """Extractors of variance 1 whose average is the expectation, (R, k, d)."""
        return linear.balanced_extractors(self.k, self.d, self.draw("basis"))

    def fresh(self, purpose: str) -> Callable[[int], torch.Tensor]:
        """A new Gaussian extractor (1, k, d) for every step."""
        return lambda step: linear.random_extractors(1, self.k, self.d, self.draw(purpose, step))


def run_task(
    task: Task, parameters: Design, dataset: "Dataset", seed: int, device: torch.device
) -> list[dict[str, object]]:
    """Run every check of one case; a row a statement."""

    def draw(purpose: str, *index: int) -> torch.Generator:
        return generator(seed, f"linear_dm {purpose}", *task, *index, device=device)

    images = dataset.of_class(task.class_index)
    if task.n > len(images):
        raise ValueError(
            f"n {task.n}: {dataset.name} has {len(images)} training images of class {task.class_index}"
        )
    chosen = torch.randperm(len(images), generator=generator(seed, "linear_dm images", *task))[: task.n]
    real = linear.flatten(images[chosen].to(device), task.pool)
    initial = torch.rand((task.m, real.shape[1]), generator=draw("initial"), dtype=real.dtype, device=device)
    case = Case(real, initial, task.k, parameters.normals, parameters.chains, draw)
    sizes = {"n": case.n, "m": case.m, "d": case.d, "k": case.k, "class_index": task.class_index}
    checks = (minimisers, descent, limits, one_sample, fresh_noise, batch_noise)
    return [{**sizes, **row} for check in checks for row in check(case)]


def exact(
    check: str, expected: torch.Tensor, observed: torch.Tensor, scale: float | None = None
) -> dict[str, object]:
    """A row of an exact statement: two arrays, their norms, and their distance over the expected norm."""
    norm = torch.linalg.vector_norm
    size = float(norm(expected)) if scale is None else scale
    return {
        "check": check,
        "kind": "exact",
        "expected": float(norm(expected)),
        "observed": float(norm(observed)),
        "relative_error": float(norm(observed - expected)) / size,
        "z": None,
        "samples": None,
    }


def at_most(check: str, bound: float, observed: float) -> dict[str, object]:
    """A row of an inequality: the relative error is how far the bound is exceeded, 0 where it holds."""
    row = exact(check, _scalar(bound), _scalar(observed))
    return {**row, "relative_error": max(0.0, observed / bound - 1)}


def _scalar(value: float) -> torch.Tensor:
    return torch.tensor(float(value), dtype=torch.float64)


def statistical(check: str, expected: float, samples: torch.Tensor) -> dict[str, object]:
    """A row of a statistical statement: the mean of independent draws (N,), in standard errors off."""
    mean, error = float(samples.mean()), float(samples.std()) / math.sqrt(len(samples))
    return {
        "check": check,
        "kind": "statistical",
        "expected": expected,
        "observed": mean,
        "relative_error": abs(mean / expected - 1),
        "z": (mean - expected) / error,
        "samples": len(samples),
    }


def minimisers(case: Case) -> Iterator[dict[str, object]]:
    """1.1: the loss is v k ||D||^2; only matching means minimise it; how many extractors that takes."""
    variance = 0.5
    theta = math.sqrt(variance) * case.balanced
    synthetic = case.initial.clone().requires_grad_(True)
    loss = linear.matching_loss(theta, case.real, synthetic)
    (gradient,) = torch.autograd.grad(loss, synthetic)
    expected = linear.expected_gradient(case.gap, case.m, case.k, variance)
    yield exact("loss_closed_form", linear.expected_loss(case.gap, case.k, variance), loss.detach())
    yield exact("gradient_closed_form", expected.expand(case.m, -1), gradient)
    best = linear.minimiser(case.initial, case.real)
    at_best = linear.matching_loss(theta, case.real, best)
    yield exact("loss_zero_at_minimiser", torch.zeros_like(at_best), at_best, scale=float(loss.detach()))

    rows = linear.random_extractors(math.ceil(case.d / case.k), case.k, case.d, case.draw("finite"))
    if case.d <= 250:  # a rank costs d^3
        rank = torch.linalg.matrix_rank(rows.flatten(0, 1))
        yield exact("enough_extractors_see_all", _scalar(case.d), rank.double())
    if len(rows) > 1:
        few = rows[:-1]
        basis = torch.linalg.qr(few.flatten(0, 1).mT).Q
        blind = torch.randn(case.d, generator=case.draw("blind"), dtype=basis.dtype, device=basis.device)
        for _ in range(2):  # the second pass removes what rounding left
            blind = blind - basis @ (basis.mT @ blind)
        moved = case.initial + blind / blind.norm() * case.gap.norm()
        before = linear.matching_loss(few, case.real, case.initial)
        yield exact("too_few_extractors_are_blind", before, linear.matching_loss(few, case.real, moved))

    count = max(200, min(20_000, case.normals // (case.k * case.d)))
    for law in linear.LAWS:
        draws = linear.random_extractors(count, case.k, case.d, case.draw(f"loss {law}"), law=law)
        values = (draws @ case.gap).square().sum(-1)
        yield statistical(f"loss_mean_{law}", float(linear.expected_loss(case.gap, case.k)), values)


def descent(case: Case) -> Iterator[dict[str, object]]:
    """1.2 on the expected loss: the path, the step size's threshold, the shape no optimiser changes."""
    theta, mean, edge = case.balanced, case.real.mean(0, keepdim=True), linear.largest_step(case.m, case.k)
    steps = 12
    shrunk = linear.contraction(0.3 * edge, case.m, case.k) ** steps
    path = linear.descend(case.initial, mean, theta, steps, 0.3 * edge)
    yield exact("path_closed_form", case.initial + (1 - shrunk) * case.gap, path)
    for name, share in (("step_below_threshold", 0.95), ("step_above_threshold", 1.05)):
        end = linear.descend(case.initial, mean, theta, steps, share * edge)
        factor = linear.contraction(share * edge, case.m, case.k) ** steps
        yield exact(name, _scalar(abs(factor)), (mean[0] - end.mean(0)).norm() / case.gap.norm())

    small = 0.5 * linear.largest_step_fresh(case.m, case.k, case.d)
    optimisers = {
        "descent": lambda s: torch.optim.SGD(s, lr=small),
        "momentum": lambda s: torch.optim.SGD(s, lr=small, momentum=0.5),
        "adam": lambda s: torch.optim.Adam(s, lr=0.01),
    }
    batch = max(1, case.n // 4)
    shape = case.initial - case.initial.mean(0)
    for name, make in optimisers.items():
        if case.m == 1:  # a single image has no shape to keep
            break
        end = linear.descend(
            case.initial,
            case.real,
            case.fresh("shape"),
            steps,
            small,
            batches=lambda step: torch.randperm(
                case.n, generator=case.draw("batch", step), device=case.real.device
            )[:batch],
            optimiser=make,
        )
        yield exact(f"shape_kept_by_{name}", shape, end - end.mean(0))


def limits(case: Case) -> Iterator[dict[str, object]]:
    """1.2: where descent ends, with the expected loss, with fresh extractors, and with one kept for ever."""
    mean, best = case.real.mean(0, keepdim=True), linear.minimiser(case.initial, case.real)
    edge = linear.largest_step(case.m, case.k)
    yield exact(
        "limit_expected_loss", best, linear.descend(case.initial, mean, case.balanced, 24, 0.4 * edge)
    )
    step = 0.5 * linear.largest_step_fresh(case.m, case.k, case.d)
    steps = math.ceil(math.log(1e-24) / math.log(linear.mean_square_factor(step, case.m, case.k, case.d)))
    if steps <= 4000:
        end = linear.descend(case.initial, mean, case.fresh("limit"), steps, step)
        yield exact("limit_fresh_extractors", best, end)
    if case.k < case.d:
        theta = linear.random_extractors(1, case.k, case.d, case.draw("kept"))
        values = torch.linalg.svdvals(theta[0]).square()
        step = case.m / float(values.max() + values.min())
        rate = max(1 - 2 * step * float(values.min()) / case.m, 1e-6)
        end = linear.descend(case.initial, mean, theta, math.ceil(-36 / math.log(rate)), step)
        seen = linear.row_space_projection(theta[0], case.gap)
        yield exact("limit_one_extractor", case.initial + seen, end)


def one_sample(case: Case) -> Iterator[dict[str, object]]:
    """1.3: removing one image, outside and inside the initialisation; the leak of real initialisation."""
    theta, step = case.balanced, 0.4 * linear.largest_step(case.m, case.k)

    def condense(initial: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        return linear.descend(initial, real.mean(0, keepdim=True), theta, 24, step)

    outlier = int((case.real - case.real.mean(0)).norm(dim=1).argmax())
    others = linear.without(case.real, outlier)
    moved = condense(case.initial, others) - condense(case.initial, case.real)
    shift = linear.removal_shift(case.real, outlier)
    yield exact("removal_moves_all_alike", shift.expand(case.m, -1), moved)
    yield exact("removal_norm", (case.real[outlier] - others.mean(0)).norm() / case.n, moved[0].norm())
    largest = float(case.real.norm(dim=1).max())
    yield at_most("removal_bound", 2 * largest / case.n, float(shift.norm()))

    chosen = torch.randperm(case.n, generator=case.draw("real init"), device=case.real.device)
    started = case.real[chosen[: case.m]]
    released = condense(started, case.real)
    if case.m > 1:
        yield exact(
            "real_initialisation_recovered", started, linear.recover_from_one(released, 0, started[0])
        )
    if case.m < case.n:
        leaver, stand_in = int(chosen[0]), case.real[chosen[case.m]]
        replaced = torch.cat([stand_in[None], started[1:]])
        moved = condense(replaced, linear.without(case.real, leaver))[0] - released[0]
        jump = (stand_in - started[0]) * (1 - 1 / case.m) + linear.removal_shift(case.real, leaver)
        yield exact("removal_from_initialisation", jump, moved)


def fresh_noise(case: Case) -> Iterator[dict[str, object]]:
    """1.2: the mean-square factor of a step with a fresh extractor, on both sides of its threshold."""
    edge = linear.largest_step_fresh(case.m, case.k, case.d)
    count = max(200, min(20_000, case.normals // (case.k * case.d)))
    unit = case.gap / case.gap.norm()

    def stepped(purpose: str, share: float, steps: int, draws: int) -> torch.Tensor:
        gaps = unit.expand(draws, -1)
        size = max(1, 4_000_000 // (case.k * case.d))
        for step in range(steps):
            chunks = []
            for index, chunk in enumerate(gaps.split(size)):
                theta = linear.random_extractors(len(chunk), case.k, case.d, case.draw(purpose, step, index))
                chunks.append(linear.fresh_step(chunk, theta, share * edge, case.m))
            gaps = torch.cat(chunks)
        return gaps

    for name, share in (("half", 0.5), ("below", 0.9), ("above", 1.1)):
        after = stepped(f"fresh {name}", share, 1, count)
        factor = linear.mean_square_factor(share * edge, case.m, case.k, case.d)
        yield statistical(f"fresh_factor_{name}_threshold", factor, after.square().sum(1))
        if name == "half":
            mean = linear.contraction(share * edge, case.m, case.k)
            yield statistical("fresh_mean_along_gap", mean, after @ unit)
        if name == "above":
            log_factor = linear.mean_log_factor(share * edge, case.m, case.k, case.d)
            yield statistical("fresh_log_factor_above_threshold", log_factor, after.square().sum(1).log())
    steps = 4
    factor = linear.mean_square_factor(0.5 * edge, case.m, case.k, case.d) ** steps
    after = stepped("fresh path", 0.5, steps, max(100, count // steps))
    yield statistical("fresh_factor_four_steps", factor, after.square().sum(1))


def batch_noise(case: Case) -> Iterator[dict[str, object]]:
    """1.2: the noise of sbar around xbar with minibatches, in total and along the images' main direction."""
    batch = max(1, case.n // 10)
    covariance = linear.batch_covariance(case.real, batch)
    centred = case.real - case.real.mean(0)
    main = torch.ones(case.d, dtype=centred.dtype, device=centred.device)
    for _ in range(30):  # power iteration: any direction would do, the one of most noise is the telling one
        main = covariance @ main
        main = main / main.norm()

    def batch_means(generator: torch.Generator, chains: int) -> torch.Tensor:
        """Means of independent minibatches relative to xbar (chains, d): one 0-1 matrix product."""
        keys = torch.rand((chains, case.n), generator=generator, device=centred.device)
        inside = keys.argsort(dim=1)[:, :batch]
        weights = torch.zeros((chains, case.n), dtype=centred.dtype, device=centred.device)
        return weights.scatter_(1, inside, 1 / batch) @ centred

    chains = max(200, min(case.chains, 2_500_000 // case.n))
    rate = 0.5  # 2 eta k / m
    step = rate * case.m / (2 * case.k)
    offset = torch.zeros((chains, case.d), dtype=centred.dtype, device=centred.device)
    for index in range(30):  # 0.5^30 of the start is left
        offset = offset + rate * (batch_means(case.draw("minibatch", index), chains) - offset)
    settled = linear.stationary_covariance(covariance, step, case.m, case.k)
    yield statistical("minibatch_noise_total", float(settled.trace()), offset.square().sum(1))
    yield statistical("minibatch_noise_main", float(main @ settled @ main), (offset @ main).square())

    # Along one direction a step is a product of two squared normals for each row of theta: with few rows the
    # tail is heavy, and a mean needs more draws before its standard error can be believed.
    chains, steps = max(case.chains, 10 * case.chains // case.k), 2
    step = 0.5 * linear.largest_step_fresh(case.m, case.k, case.d)
    size = max(1, min(2_500_000 // case.n, 4_000_000 // (case.k * case.d)))
    total, along = [], []
    for part, count in enumerate(len(block) for block in torch.arange(chains).split(size)):
        offset = torch.zeros((count, case.d), dtype=centred.dtype, device=centred.device)
        for index in range(steps):
            theta = linear.random_extractors(count, case.k, case.d, case.draw("both", part, index))
            pulled = batch_means(case.draw("both batch", part, index), count) - offset
            offset = offset + (pulled - linear.fresh_step(pulled, theta, step, case.m))
        total.append(offset.square().sum(1))
        along.append((offset @ main).square())
    grown = torch.zeros_like(covariance)
    for _ in range(steps):
        grown = linear.covariance_step(grown, covariance, step, case.m, case.k)
    yield statistical("both_noises_total", float(grown.trace()), torch.cat(total))
    yield statistical("both_noises_main", float(main @ grown @ main), torch.cat(along))
