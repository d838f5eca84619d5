"""Four ways from the equations of a released mean to who is a member; weights are N x K, about 0 to 1.

least squares     the solution of least norm: the only one where r = N - 1. At fewer equations it is the
                  linear statistic T of `attacks.tracing`, n/N (1 + T) with the pool's own covariance.
linear program    0 <= b <= 1 and the equations, each to within what the tolerance allows; HiGHS' simplex
                  method. Among the solutions that with the largest T.
bounded ridge     the most likely b in the box under Gaussian noise and a prior of variance n/N (1 - n/N):
                  the method of multipliers in the pool's directions (Boyd et al., Foundations and Trends in
                  Machine Learning 3, 2011).
message passing   the posterior of b in {0, 1} under Gaussian noise, by vector approximate message passing
                  (Rangan, Schniter and Fletcher, IEEE Transactions on Information Theory 65, 2019).
"""

import math

import numpy as np
import torch
from scipy import optimize

from privacy_for_free.attacks.identification.equations import Equations

STEPS = 500  # of the method of multipliers
PRIOR = 0.5  # precision of the prior of the bounded ridge, over 1 / (n/N (1 - n/N))
ROUNDS, DAMPING = 300, 0.3  # of message passing
TRUSTED = (1e-3, 100.0)  # least and largest precision of what is handed on
STILL = 1e-5  # change of all weights in a round at which they stay where they are
SETTLED = 1e-5  # mean variance of weights that are as good as 0 and 1
LEAST_LEFT = 1e-9  # of 1 - h
LEAST_VARIANCE = 1e-12  # of a right-hand side and of a weight
PROGRAM_BYTES = 200  # of HiGHS for each number in its matrix, about
MOST_BYTES = 4 * 2**30
QUICK = 2**21  # numbers in a matrix that HiGHS takes seconds for


def least_squares(found: Equations, released: torch.Tensor, members: int) -> torch.Tensor:
    """Return the solution nearest to n/N for all, N x K, for releases K x d; refined once."""
    weights = members / found.images + found.left @ found.sides(released, members)
    return found.refined(weights, released, members)


def ridge(found: Equations, released: torch.Tensor, members: int, variances: torch.Tensor) -> torch.Tensor:
    """Return the best linear estimate, N x K, under noise of these variances, r, of the right-hand sides."""
    share = members / found.images
    gain = 1 / (1 + variances / (share * (1 - share)))
    return share + found.left @ (gain[:, None] * found.sides(released, members))


def program_bytes(found: Equations) -> int:
    """Return about how much memory the linear program takes."""
    return PROGRAM_BYTES * found.images * (found.rank + 1)


class OutOfTimeError(Exception):
    """HiGHS reached its time limit."""


def linear_program(
    found: Equations, released: torch.Tensor, members: int, tolerance: float, time_limit: float
) -> torch.Tensor | None:
    """Return a vertex, N, for one release (d), or None where no b fits; OutOfTimeError after so many seconds.

    ValueError where the program would need more than 4 GiB.
    """
    N = found.images
    if (needed := program_bytes(found)) > MOST_BYTES:
        raise ValueError(
            f"method 'linear program' of {found.rank + 1} equations in {N} unknowns: needs about "
            f"{needed / 2**30:.1f} GiB, allowed are {MOST_BYTES / 2**30:.0f}"
        )
    sides = found.sides(released[None], members)[:, 0]
    off = found.bounds(released, members, tolerance)
    told = off < found.left.abs().sum(0) / 2  # the others say nothing of numbers between 0 and 1
    matrix = torch.cat([found.left[:, told].mT, torch.full((1, N), 1 / math.sqrt(N), dtype=torch.float64)])
    middle = torch.cat([sides[told], torch.tensor([members / math.sqrt(N)], dtype=torch.float64)])
    width = torch.cat([off[told], torch.zeros(1, dtype=torch.float64)]).clamp_min(1e-10)
    aim = -(found.left @ sides)
    with np.errstate(all="ignore"):
        solved = optimize.milp(
            aim.numpy() / max(1.0, float(aim.abs().max())),
            constraints=optimize.LinearConstraint(
                matrix.numpy(), (middle - width).numpy(), (middle + width).numpy()
            ),
            bounds=optimize.Bounds(0, 1),
            options={"time_limit": time_limit, "presolve": False},
        )
    if solved.status == 1:
        raise OutOfTimeError
    return None if solved.x is None else torch.from_numpy(solved.x)


def bounded_ridge(
    found: Equations, released: torch.Tensor, members: int, variances: torch.Tensor
) -> torch.Tensor:
    """Return the most likely weights, N x K, whose part beyond 0 and 1 says how hard the equations press.

    variances   r, of the right-hand sides
    """
    share = members / found.images
    pull = 1 / (share * (1 - share))
    prior = PRIOR * pull
    sides = found.sides(released, members)
    precision = 1 / variances.clamp_min(LEAST_VARIANCE)
    gain = (precision / (precision + prior + pull))[:, None]
    inside = torch.full((found.images, sides.shape[1]), share, dtype=torch.float64)
    owed = torch.zeros_like(inside)
    for _ in range(STEPS):
        start = (prior * share + pull * (inside - owed)) / (prior + pull)
        start += share - start.mean(0)
        pressed = start + found.left @ (gain * (sides - found.left.mT @ start)) + owed
        before, inside = inside, pressed.clamp(0, 1)
        owed = pressed - inside
        if bool((inside - before).abs().max() < STILL):
            break
    return pressed


def calibrated(
    found: Equations, weights: torch.Tensor, members: int, variances: torch.Tensor
) -> torch.Tensor:
    """Return `odds` over 1 - h, N x K: one threshold then serves images near and far."""
    left = (1 - leverage(found, members, variances)).clamp_min(LEAST_LEFT)
    return odds(found, weights, members) / left[:, None]


def odds(found: Equations, weights: torch.Tensor, members: int) -> torch.Tensor:
    """Return weights less n/N, over n/N (1 - n/N): log odds to first order, so that methods compare."""
    share = members / found.images
    return (weights - share) / (share * (1 - share))


def leverage(found: Equations, members: int, variances: torch.Tensor) -> torch.Tensor:
    """Return h, N: how much of an image's ridge weight is its own, q / (N - 1), 1 where it is all."""
    share = members / found.images
    gain = 1 / (1 + variances / (share * (1 - share)))
    return found.left.square() @ gain * (found.images / (found.images - 1))


def message_passing(
    found: Equations, released: torch.Tensor, members: int, variances: torch.Tensor
) -> torch.Tensor:
    """Return the log odds of being a member, N x K.

    Two estimates take turns, each handing on what it adds: the Gaussian one of the equations, whose errors
    have these variances, r, and the exact one of numbers that are 0 or 1. A release is left alone once its
    weights are as good as 0 and 1, or stay where they are.
    """
    N, r = found.left.shape
    share = members / N
    sides = found.sides(released, members)
    precision = (1 / variances.clamp_min(LEAST_VARIANCE))[:, None]
    given = torch.full((N, sides.shape[1]), share, dtype=torch.float64)
    trust = torch.full((1, sides.shape[1]), 1 / (share * (1 - share)), dtype=torch.float64)
    told = added = None
    before = given
    scores, left = torch.empty_like(given), torch.arange(sides.shape[1])
    for _ in range(ROUNDS):
        start = given + share - given.mean(0)
        linear = start + found.left @ ((sides - found.left.mT @ start) * precision / (precision + trust))
        variance = ((1 / (precision + trust)).sum(0, keepdim=True) + (N - 1 - r) / trust) / N
        new = (1 / variance - trust).clamp(*TRUSTED)
        handed = linear + trust / new * (linear - given)
        told = handed if told is None else torch.lerp(told, handed, DAMPING)
        added = new if added is None else torch.lerp(added, new, DAMPING)
        scores[:, left] = likely = added * (told - 0.5) + math.log(share / (1 - share))
        binary = likely.sigmoid()
        spread = (binary * (1 - binary)).mean(0, keepdim=True)
        new = (1 / spread.clamp_min(LEAST_VARIANCE) - added).clamp(*TRUSTED)
        given = torch.lerp(given, binary + added / new * (binary - told), DAMPING)
        trust = torch.lerp(trust, new, DAMPING)
        going = (spread[0] > SETTLED) & ((binary - before).abs().amax(0) > STILL)
        before = binary
        if bool(going.all()):
            continue
        left, sides, given, trust = left[going], sides[:, going], given[:, going], trust[:, going]
        told, added, before = told[:, going], added[:, going], before[:, going]
        if len(left) == 0:
            break
    return scores


def misfit(
    found: Equations, released: torch.Tensor, members: int, variances: torch.Tensor, scores: torch.Tensor
) -> torch.Tensor:
    """Return how badly the n of the highest scores (N x K) explain each release: their chi-square, K.

    For the members it is about r, the equations, and rarely above `explained`.
    """
    off = found.left.mT @ highest(scores, members).double() - found.sides(released, members)
    return (off.square() / variances.clamp_min(LEAST_VARIANCE)[:, None]).sum(0)


def explained(found: Equations) -> float:
    """Return a chi-square of r degrees of freedom that members stay below: six standard deviations."""
    return found.rank + 6 * math.sqrt(2 * max(1, found.rank))


def highest(scores: torch.Tensor, members: int) -> torch.Tensor:
    """Return where the n highest scores of each column are, bool, N x K; of equal ones the first."""
    order = scores.argsort(dim=0, descending=True, stable=True)[:members]
    return torch.zeros(scores.shape, dtype=torch.bool).scatter_(0, order, True)
