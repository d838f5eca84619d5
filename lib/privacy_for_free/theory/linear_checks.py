"""Every statement of "Linear extractors: the proof", checked on images in float64.

A check takes one `linear_case.Case`, n real images of one class and m synthetic ones, and yields rows.
Extractors have variance v = 1 except where a row says otherwise. Numbers such as 1.2 are parts of the proof.
"""

import math
from collections.abc import Iterator

import torch

from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import linear
from privacy_for_free.theory.linear_case import Case, Row, at_most, exact, scalar, statistical
from privacy_for_free.theory.linear_extractors import LAWS


@entrance
def minimisers(case: Case) -> Iterator[Row]:
    """1.1: the loss is v k ||D||^2, and only matching means minimise it."""
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


@entrance
def extractors_needed(case: Case) -> Iterator[Row]:
    """1.1: how many extractors it takes to see every difference of two means."""
    enough = linear.random_extractors(math.ceil(case.d / case.k), case.k, case.d, case.draw("finite"))
    if case.d <= 250:  # a rank costs d^3
        rank = torch.linalg.matrix_rank(enough.flatten(0, 1))
        yield exact("enough_extractors_see_all", scalar(case.d), rank.double())
    if len(enough) > 1:
        few = enough[:-1]
        basis = torch.linalg.qr(few.flatten(0, 1).mT).Q
        blind = torch.randn(case.d, generator=case.draw("blind"), dtype=basis.dtype, device=basis.device)
        for _ in range(2):  # the second pass removes what rounding left
            blind = blind - basis @ (basis.mT @ blind)
        moved = case.initial + blind / blind.norm() * case.gap.norm()
        before = linear.matching_loss(few, case.real, case.initial)
        yield exact("too_few_extractors_are_blind", before, linear.matching_loss(few, case.real, moved))


@entrance
def loss_means(case: Case) -> Iterator[Row]:
    """1.1: the loss averaged over extractors of three laws; only mean and variance matter."""
    count = max(200, min(20_000, case.normals // (case.k * case.d)))
    for law in LAWS:
        draws = linear.random_extractors(count, case.k, case.d, case.draw(f"loss {law}"), law=law)
        values = (draws @ case.gap).square().sum(-1)
        yield statistical(f"loss_mean_{law}", float(linear.expected_loss(case.gap, case.k)), values)


@entrance
def descent(case: Case) -> Iterator[Row]:
    """1.2 on the expected loss: the path, and the step size's threshold from both sides."""
    theta, mean, edge = case.balanced, case.real.mean(0, keepdim=True), linear.largest_step(case.m, case.k)
    steps = 12
    shrunk = linear.contraction(0.3 * edge, case.m, case.k) ** steps
    path = linear.descend(case.initial, mean, theta, steps, 0.3 * edge)
    yield exact("path_closed_form", case.initial + (1 - shrunk) * case.gap, path)
    for name, share in (("step_below_threshold", 0.95), ("step_above_threshold", 1.05)):
        end = linear.descend(case.initial, mean, theta, steps, share * edge)
        factor = linear.contraction(share * edge, case.m, case.k) ** steps
        yield exact(name, scalar(abs(factor)), (mean[0] - end.mean(0)).norm() / case.gap.norm())


@entrance
def shape(case: Case) -> Iterator[Row]:
    """1.2: no optimiser changes the differences between synthetic images."""
    steps, small = 12, 0.5 * linear.largest_step_fresh(case.m, case.k, case.d)
    optimisers = {
        "descent": lambda s: torch.optim.SGD(s, lr=small),
        "momentum": lambda s: torch.optim.SGD(s, lr=small, momentum=0.5),
        "adam": lambda s: torch.optim.Adam(s, lr=0.01),
    }
    batch = max(1, case.n // 4)
    expected = case.initial - case.initial.mean(0)
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
        yield exact(f"shape_kept_by_{name}", expected, end - end.mean(0))


@entrance
def limits(case: Case) -> Iterator[Row]:
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


@entrance
def one_sample(case: Case) -> Iterator[Row]:
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


@entrance
def fresh_noise(case: Case) -> Iterator[Row]:
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


@entrance
def batch_noise(case: Case) -> Iterator[Row]:
    """1.2: the noise of sbar around xbar with minibatches, in total and along the images' main direction."""
    batches, chains = case.batches, max(200, min(case.chains, 2_500_000 // case.n))
    rate = 0.5  # 2 eta k / m
    step = rate * case.m / (2 * case.k)
    offset = batches.start(chains)
    for index in range(30):  # 0.5^30 of the start is left
        offset = offset + rate * (batches.means(case.draw("minibatch", index), chains) - offset)
    settled = linear.stationary_covariance(batches.covariance, step, case.m, case.k)
    along = float(batches.main @ settled @ batches.main)
    yield statistical("minibatch_noise_total", float(settled.trace()), offset.square().sum(1))
    yield statistical("minibatch_noise_main", along, (offset @ batches.main).square())


@entrance
def both_noises(case: Case) -> Iterator[Row]:
    """1.2: the same after two steps with minibatches and fresh extractors.

    Along one direction a step is a product of two squared normals for each row of theta: with few rows the
    tail is heavy, and a mean needs more draws before its standard error can be believed.
    """
    batches, chains, steps = case.batches, max(case.chains, 10 * case.chains // case.k), 2
    step = 0.5 * linear.largest_step_fresh(case.m, case.k, case.d)
    size = max(1, min(2_500_000 // case.n, 4_000_000 // (case.k * case.d)))
    total, along = [], []
    for part, count in enumerate(len(block) for block in torch.arange(chains).split(size)):
        offset = batches.start(count)
        for index in range(steps):
            theta = linear.random_extractors(count, case.k, case.d, case.draw("both", part, index))
            pulled = batches.means(case.draw("both batch", part, index), count) - offset
            offset = offset + (pulled - linear.fresh_step(pulled, theta, step, case.m))
        total.append(offset.square().sum(1))
        along.append((offset @ batches.main).square())
    grown = torch.zeros_like(batches.covariance)
    for _ in range(steps):
        grown = linear.covariance_step(grown, batches.covariance, step, case.m, case.k)
    expected_along = float(batches.main @ grown @ batches.main)
    yield statistical("both_noises_total", float(grown.trace()), torch.cat(total))
    yield statistical("both_noises_main", expected_along, torch.cat(along))


CHECKS = (
    minimisers,
    extractors_needed,
    loss_means,
    descent,
    shape,
    limits,
    one_sample,
    fresh_noise,
    batch_noise,
    both_noises,
)


@entrance
def rows(case: Case) -> Iterator[Row]:
    """Run every check of a case, in the order of the proof."""
    for check in CHECKS:
        yield from check(case)
