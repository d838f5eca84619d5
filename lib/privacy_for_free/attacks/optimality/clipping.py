"""Released images that were clipped: the pixels that were cut off are unknowns like the members.

Clipping moves a stationary set to where it is none. A pixel at a bound was there or beyond, and that is all
the release says of it. For known b the loss says where: its minimum over those pixels, the others as released
(`unclipped`). The pool's mean, b = n/N, is near enough to begin with; then members and pixels are found by
turns (`solve_clipped`), from the equations of the pixels inside alone, as those of the others hold for
whatever b they were found with.
"""

import numpy as np
import torch
from scipy.optimize import minimize

from privacy_for_free.attacks.optimality.extractors import Extractors, centred, checked
from privacy_for_free.attacks.optimality.linearised import Linearised
from privacy_for_free.attacks.optimality.solving import solve
from privacy_for_free.attacks.optimality.system import equations
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance

MOST_ROUNDS = 100
STEPS = 40  # of L-BFGS-B over the clipped pixels


@entrance(shapes="released m C H W, low C, high C")
def at_bounds(released: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Return which pixels lie at or beyond the bounds of their channel: bool, m x C x H x W.

    low, high  the range that images were clipped to, in their units, C each; ValueError where low >= high
    """
    low, high = _bounds(released, low, high)
    return (released <= low) | (released >= high)


@entrance(shapes="pool N C H W, released m C H W, low C, high C, b N")
def unclipped(
    extractors: Extractors,
    pool: torch.Tensor,
    released: torch.Tensor,
    members: int,
    low: torch.Tensor,
    high: torch.Tensor,
    b: torch.Tensor | None = None,
    steps: int = STEPS,
) -> torch.Tensor:
    """Return the images with their clipped pixels where the loss for b is least, at or beyond the bounds.

    b      float, N: an estimate of the members, of sum n; None for n/N each
    steps  of L-BFGS-B (Byrd, Lu, Nocedal and Zhu, SIAM Journal on Scientific Computing 16, 1995), each some
           passes of the released images per extractor; 0 leaves them as they are

    Images that are computed with are the pool's and the released ones, in the wider dtype of the two.
    """
    validate.whole("members", members, 1, len(pool))
    validate.whole("steps", steps)
    pool, released = checked(extractors, pool, released)
    clipped = at_bounds(released, low, high)
    if steps == 0 or not bool(clipped.any()):
        return released
    above = (released >= _bounds(released, low, high)[1])[clipped].cpu().numpy()
    with devices.steady_threads(pool.device):
        shares = torch.zeros(len(pool)).to(pool) if b is None else (b - b.mean()).to(pool) / members
        targets = [mean + shares @ features for features, _, mean, _ in centred(extractors, pool, released)]

        def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
            images = released.clone()
            images[clipped] = torch.from_numpy(values).to(images)
            total, gradient = 0.0, torch.zeros_like(images)
            for r, target in enumerate(targets):
                part = Linearised(extractors, r, images)
                gap = part.means() - target
                total += float(gap.square().sum())
                gradient += 2 * part.pull(gap[None]).reshape(images.shape)
            scale = 1 / len(targets)
            return total * scale, (gradient[clipped] * scale).double().cpu().numpy()

        start = released[clipped].double().cpu().numpy()
        ends = [(value, np.inf) if up else (-np.inf, value) for value, up in zip(start, above, strict=True)]
        # The scale of the first step is that of the loss: gradients of one mean over many pixels are small.
        scale = 1 / max(float(np.abs(loss(start)[1]).max()), np.finfo(float).tiny)
        found = minimize(
            lambda values: tuple(scale * part for part in loss(values)),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=ends,
            options={"maxiter": steps, "ftol": 0.0, "gtol": 1e-9},
        )
    images = released.clone()
    images[clipped] = torch.from_numpy(found.x).to(images)
    return images


@entrance(shapes="pool N C H W, released m C H W, low C, high C")
def solve_clipped(
    extractors: Extractors,
    pool: torch.Tensor,
    released: torch.Tensor,
    members: int,
    low: torch.Tensor,
    high: torch.Tensor,
    ridge: float,
    whiten: bool = False,
    box: bool = False,
    rounds: int = 2,
) -> torch.Tensor:
    """Return scores as `solve`, float64, N, of images clipped to low..high after they were condensed.

    rounds  how often pixels, then members are found; 0 takes the equations of the pixels inside of the
            bounds where the images are

    Other arguments are those of `unclipped` and `solve`. ValueError where all pixels are at bounds.
    """
    validate.whole("rounds", rounds, 0, MOST_ROUNDS)
    inside = ~at_bounds(released, low, high)
    if not bool(inside.any()):
        raise ValueError("released: all pixels are at bounds; allowed are images with some inside of them")
    b, images = None, released
    for turn in range(max(1, rounds)):
        if rounds:
            images = unclipped(extractors, pool, images, members, low, high, b)
        made = equations(extractors, pool, images, members, inside)
        scores = solve(made, ridge, whiten, box or turn + 1 < rounds)
        b = scores.clamp(0, 1)
    return scores


def _bounds(
    released: torch.Tensor, low: torch.Tensor, high: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = (bound.to(released)[:, None, None] for bound in (low, high))
    if bool((low >= high).any()):
        raise ValueError(
            f"low {low.flatten().tolist()}: allowed are numbers below high, {high.flatten().tolist()}"
        )
    return low, high
