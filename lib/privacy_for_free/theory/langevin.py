"""Langevin chains for the Gibbs posterior of a small network (section 1.4, where nothing is in closed form).

Stochastic gradient Langevin dynamics (Welling & Teh 2011): theta <- theta - h grad U + sqrt(2h) N(0, I),
grad U estimated on a minibatch of the synthetic images where they are more than the batch, exact where not.
The step h is constant and no move is rejected, so the chain's law differs from the posterior by O(h). The
domain is a product of balls; a move that leaves a ball is reflected at its sphere (Bossy, Gobet & Talay
2004). Many independent chains run side by side in one tensor; errors are computed between chains. float64.

Tensors: theta (chains, parameters); points (k, d), or (chains, k, d) when each chain has its own; labels +-1,
of the same shape without d; losses (chains, k).
"""

import math
from collections.abc import Callable, Sequence

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import FINITE, entrance
from privacy_for_free.theory import checks
from privacy_for_free.theory.gibbs import require_positive

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
Balls = Sequence[tuple[int, float]]  # (how many parameters, radius), in the order of theta's columns


@entrance
def network_balls(hidden: int, radius: float) -> Balls:
    """Return the domain of `network_loss`: a, W and b each in a ball of that radius (Frobenius for W)."""
    validate.whole("hidden", hidden, 1)
    require_positive(radius=radius)
    return ((hidden, radius), (2 * hidden, radius), (hidden, radius))


@entrance
@checks.naming("radius")
def network_lipschitz(radius: float) -> float:
    """Return the Lipschitz constant in s of `network_loss` on `network_balls`: ||a|| ||W|| <= radius^2."""
    require_positive(radius=radius)
    return radius**2


def network_loss(theta: torch.Tensor, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return ln(1 + exp(-y f(s))) with f(s) = <a, tanh(W s + b)>, s in the plane, theta = (a, W, b) flat."""
    hidden = theta.shape[1] // 4
    a, W, b = theta.split([hidden, 2 * hidden, hidden], dim=1)
    W = W.reshape(-1, hidden, 2)
    logits = torch.tanh(points @ W.mT + b[:, None]) @ a[:, :, None]
    return torch.nn.functional.softplus(-labels * logits[..., 0])


@entrance
def uniform_in_balls(chains: int, balls: Balls, generator: torch.Generator) -> torch.Tensor:
    """Draw from the uniform law on a product of balls, (chains, parameters), on the generator's device."""
    validate.whole("chains", chains, 1)
    if not len(balls):
        raise ValueError("balls of length 0: allowed are one or more")
    for size, radius in balls:
        checks.counts(balls=size)
        checks.positive(balls=radius)
    checks.memory(f"chains {chains}", chains * sum(size for size, _ in balls))
    parts = []
    for size, radius in balls:
        options = {"generator": generator, "device": generator.device, "dtype": torch.float64}
        direction = torch.nn.functional.normalize(torch.randn(chains, size, **options), dim=1)
        parts.append(radius * torch.rand(chains, 1, **options) ** (1 / size) * direction)
    return torch.cat(parts, dim=1)


def reflect(theta: torch.Tensor, balls: Balls) -> torch.Tensor:
    """Reflect at its sphere every block of theta that has left its ball; one past the centre stops there."""
    parts = []
    for part, (_, radius) in zip(theta.split([size for size, _ in balls], dim=1), balls, strict=True):
        norm = part.norm(dim=1, keepdim=True)
        inside = torch.where(norm > radius, (2 * radius - norm).clamp(min=0), norm)
        parts.append(part * (inside / norm.clamp(min=torch.finfo(norm.dtype).tiny)))
    return torch.cat(parts, dim=1)


@entrance(shapes="points k d, labels k, start chains p", labels=FINITE)
def sgld(
    loss: Loss,
    points: torch.Tensor,
    labels: torch.Tensor,
    temperature: float,
    start: torch.Tensor,
    *,
    step: float,
    burn_in: int,
    steps: int,
    keep_every: int,
    generator: torch.Generator,
    balls: Balls | None = None,
    batch: int | None = None,
) -> torch.Tensor:
    """Run chains for exp(-sum_j loss(theta, s_j)/tau) and return what they visit, (kept, chains, parameters).

    `start` (chains, parameters) is where they begin; after `burn_in` steps every `keep_every`-th of `steps`
    is kept. `points` (k, d). With `batch` below k each chain draws that many points anew in each step, with
    replacement, and scales the sum by k/batch. `balls` None means all of R^p. The generator lives on the
    tensors' device.
    """
    require_positive(temperature=temperature, step=step)
    validate.whole("keep_every", keep_every, 1)
    if burn_in < 0 or steps < keep_every:
        raise ValueError(
            f"burn_in {burn_in!r}, steps {steps!r}: allowed are burn_in >= 0, steps >= keep_every"
        )
    if batch is not None:
        validate.whole("batch", batch, 1)
    if balls is not None and sum(size for size, _ in balls) != start.shape[1]:
        raise ValueError(
            f"balls {balls!r}: allowed are blocks of the {start.shape[1]} parameters, all of them"
        )
    for _, radius in balls or ():
        checks.positive(balls=radius)
    checks.floats(points=points, labels=labels, start=start)
    _fits(loss, points, start=start)
    checks.memory(f"steps {steps}, keep_every {keep_every}", steps // keep_every * start.numel())
    chains, count = len(start), len(points)
    minibatch = batch is not None and batch < count
    theta, kept = start, []
    for done in range(1, burn_in + steps + 1):
        if minibatch:
            chosen = torch.randint(count, (chains, batch), generator=generator, device=points.device)
            batch_points, batch_labels, scale = points[chosen], labels[chosen], count / batch
        else:
            batch_points, batch_labels, scale = points, labels, 1.0
        theta = theta.detach().requires_grad_()
        energy = loss(theta, batch_points, batch_labels).sum() * (scale / temperature)
        (gradient,) = torch.autograd.grad(energy, theta)
        noise = torch.randn(theta.shape, generator=generator, dtype=theta.dtype, device=theta.device)
        theta = theta.detach() - step * gradient + math.sqrt(2 * step) * noise
        if balls is not None:
            theta = reflect(theta, balls)
        if done > burn_in and (done - burn_in) % keep_every == 0:
            kept.append(theta)
    return torch.stack(kept)


@entrance(shapes="theta ... p, points m d, labels m, shifts k d", labels=FINITE)
def shift_change(
    loss: Loss,
    theta: torch.Tensor,
    points: torch.Tensor,
    labels: torch.Tensor,
    shifts: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Return U(S + shift) - U(S) for shifts (k, d) at theta (..., parameters); shape (k, ...).

    `points` (m, d) are those that move; the others cancel.
    """
    require_positive(temperature=temperature)
    checks.floats(theta=theta, points=points, labels=labels, shifts=shifts)
    _fits(loss, points, theta=theta)
    flat = theta.reshape(-1, theta.shape[-1])
    before = loss(flat, points, labels)
    changes = [(loss(flat, points + shift, labels) - before).sum(1) / temperature for shift in shifts]
    return torch.stack(changes).reshape(len(shifts), *theta.shape[:-1])


@entrance(shapes="change ... kept chains")
def log_normaliser_ratio(change: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate ln Z'/Z = ln E exp(-change) under p(.|S), with its standard error.

    `change` (..., kept, chains) is U(S') - U(S) on the states of independent chains. The error is that of the
    mean of the chains' means, carried through the logarithm; states of one chain may be as dependent as they
    like. Both results have the leading shape.
    """
    checks.floats(change=change)
    chains = change.shape[-1]
    if chains < 2:
        raise ValueError(
            f"chains {chains!r}: allowed are whole numbers from 2 up, or there is no error estimate"
        )
    means = torch.expm1(-change).mean(-2)
    centre = means.mean(-1)
    return torch.log1p(centre), means.std(-1) / math.sqrt(chains) / (1 + centre)


def _fits(loss: Loss, points: torch.Tensor, **theta: torch.Tensor) -> None:
    """Refuse points and parameters, by name, that are none of the small network's."""
    if loss is not network_loss:
        return
    if points.shape[-1] != 2:
        raise ValueError(f"points {tuple(points.shape)}: allowed are points of the plane, (k, 2)")
    for name, values in theta.items():
        if values.shape[-1] % 4:
            raise ValueError(f"{name} {tuple(values.shape)}: allowed are 4 parameters for each hidden unit")
