"""The attack: choose a method, solve, and say what is proved."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from privacy_for_free.attacks.identification import solvers
from privacy_for_free.attacks.identification.equations import USABLE, Equations, decompose
from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.stats.counting import inseparable

LEAST_SQUARES, LINEAR_PROGRAM = "least squares", "linear program"
BOUNDED_RIDGE, MESSAGE_PASSING = "bounded ridge", "message passing"
METHODS = ("auto", LEAST_SQUARES, LINEAR_PROGRAM, BOUNDED_RIDGE, MESSAGE_PASSING)
EITHER = "either"  # what "auto" comes to where errors count
EXACT = 1 / 8  # standard deviation of a least-squares weight up to which rounding it is no guess


@dataclass(frozen=True, eq=False)
class Identification:
    """Who is a member of one release.

    weights   float64, N, 0 to 1: how likely each image is in; exact where the equations have one solution
    scores    float64, N: about log odds. They part weights that are all but 0 or 1, and those of
              bounded ridge are divided by what is open of an image (1 - h), so that one threshold serves all
    chosen    bool, N: the n of the highest scores
    decided   bool, N: those whose answer, in or out, is proved to be the only one that the release allows,
              the tolerance being the most that any number of it is off. None under noise
    fits      whether the mean of those chosen is the release, to the tolerance; False under noise
    method    by which they were found: one of `METHODS`
    residual  root mean square of the release less the mean of the images under `weights`
    amplification   the most by which an error of the release (its norm) counts in the least-squares weights
                    (theirs): n over the smallest singular value; infinite with fewer equations than unknowns
    status    what came of it, in a sentence
    """

    weights: torch.Tensor = field(repr=False)
    scores: torch.Tensor = field(repr=False)
    chosen: torch.Tensor = field(repr=False)
    decided: torch.Tensor = field(repr=False)
    fits: bool
    method: str
    residual: float
    amplification: float
    status: str


@entrance(shapes="pool N d, released d")
def identify(
    pool: torch.Tensor,
    released: torch.Tensor,
    members: int,
    *,
    tolerance: float = 0.0,
    noise: float = 0.0,
    method: str = "auto",
    time_limit: float = 60.0,
) -> Identification:
    """Find the n `members` among N images of one class, the pool (N x d), whose mean is `released` (d).

    tolerance   the most that a number of the release is off: half a step of its rounding
    noise       standard deviation of Gaussian noise on each number of the release
    method      "auto": least squares where the equations have one solution, and errors leave no doubt of it;
                the linear program where they have one within 0 to 1 with a chance of a half or more, and up
                to 1,000 images make it quick; else
                message passing where its n likeliest explain the release, bounded ridge where they do not
    time_limit  seconds for the linear program, above 0; infinity for none

    ValueError for anything else, and for problems beyond 6 GiB (4 for the linear program). Finding the
    decomposition and solving take about a second for 1,000 images, minutes for 6,000 of 3,072 numbers.
    """
    _check(len(pool), members, tolerance, noise, method, time_limit)
    found = decompose(pool)
    options = {"tolerance": tolerance, "noise": noise, "method": method, "time_limit": time_limit}
    return next(_solved(found, released[None], members, **options))


@entrance(shapes="released K d")
def solve(
    found: Equations,
    released: torch.Tensor,
    members: int,
    *,
    tolerance: float = 0.0,
    noise: float = 0.0,
    method: str = "auto",
    time_limit: float = 60.0,
) -> list[Identification]:
    """Return what `identify` finds for each of K releases, K x d, of members of one pool."""
    _check_fit(found, released)
    _check(found.images, members, tolerance, noise, method, time_limit)
    options = {"tolerance": tolerance, "noise": noise, "method": method, "time_limit": time_limit}
    return list(_solved(found, released, members, **options))


class Statistics(NamedTuple):
    """Linear statistics of the same equations, float64, N x K, and two ways to make one threshold serve all.

    linear   T, with M the inverse of the pool's own covariance C (the pseudo-inverse where it has none);
             under noise that of C plus what the noise adds: the best linear estimate
    fresh    T - q/(2n): the log likelihood ratio of fresh Gaussian members
    pool     T/(1 - h): the same of a random half of the pool
    """

    linear: torch.Tensor
    fresh: torch.Tensor
    pool: torch.Tensor


@entrance(shapes="released K d")
def linear_statistics(
    found: Equations, released: torch.Tensor, members: int, *, tolerance: float = 0.0, noise: float = 0.0
) -> Statistics:
    """Return T of each pool image and release (K x d), with q = (x - p)^T M (x - p) and h = q / (N - 1)."""
    _check_fit(found, released)
    _check(found.images, members, tolerance, noise, "auto", 1.0)
    share = members / found.images
    variances = found.variances(members, tolerance, noise)
    weights = solvers.ridge(found, released, members, variances)
    linear, h = (weights - share) / share, solvers.leverage(found, members, variances)
    calibrated = solvers.calibrated(found, weights, members, variances)
    q = (found.images - 1) * h
    return Statistics(linear, linear - q[:, None] / (2 * members), calibrated * (1 - share))


def _check(N: int, members: int, tolerance: float, noise: float, method: str, time_limit: float) -> None:
    validate.whole("members", members, 1, N - 1)
    validate.not_negative("tolerance", tolerance)
    validate.not_negative("noise", noise)
    validate.one_of("method", method, METHODS)
    if not time_limit > 0:
        raise ValueError(f"time_limit {time_limit!r}: allowed are seconds above 0")
    if noise > 0 and method == LINEAR_PROGRAM:
        raise ValueError(f"noise {noise!r} with method {method!r}: allowed is 0, or another method")
    if max(tolerance, noise) > 1e100:
        raise ValueError(f"tolerance {tolerance!r} and noise {noise!r}: allowed are numbers up to 1e100")


def _check_fit(found: Equations, released: torch.Tensor) -> None:
    if released.shape[1] != len(found.centre):
        raise ValueError(f"released {tuple(released.shape)}: allowed are K x {len(found.centre)}")


def _solved(
    found: Equations,
    released: torch.Tensor,
    members: int,
    *,
    tolerance: float,
    noise: float,
    method: str,
    time_limit: float,
) -> Iterator[Identification]:
    released = released.double()
    if released.numel() and float(released.abs().max()) > 1e100:
        raise ValueError(f"released up to {released.abs().max():.3g}: allowed are numbers up to 1e100")
    variances = found.variances(members, tolerance, noise)
    asked = method
    if method == "auto":
        method = _chosen(found, released, members, tolerance, noise)
    likelier = method == EITHER
    method = MESSAGE_PASSING if likelier else method
    if method == LINEAR_PROGRAM:
        for one in released:
            result = _by_program(found, one, members, tolerance, time_limit)
            if asked == "auto" and not result.fits and tolerance > 0:
                options = {"tolerance": tolerance, "noise": noise, "time_limit": time_limit}
                (result,) = _solved(found, one[None], members, method=EITHER, **options)
            yield result
        return
    way, scores, weights = [method] * len(released), None, None
    if method == LEAST_SQUARES:
        weights = solvers.least_squares(found, released, members)
        scores = solvers.odds(found, weights, members)
    if method == MESSAGE_PASSING:
        scores = solvers.message_passing(found, released, members, variances)
        weights = scores.sigmoid()
        off = solvers.misfit(found, released, members, variances, scores)
        if likelier:
            unlikely = off > solvers.explained(found)
            way = [BOUNDED_RIDGE if one else method for one in unlikely.tolist()]
    if BOUNDED_RIDGE in way:
        pressed = solvers.bounded_ridge(found, released, members, variances)
        divided = solvers.calibrated(found, pressed, members, variances)
        instead = torch.tensor([one == BOUNDED_RIDGE for one in way])
        scores = divided if scores is None else torch.where(instead, divided, scores)
        weights = pressed if weights is None else torch.where(instead, pressed, weights)
    for k, one in enumerate(released):
        of_one = weights[:, k].clamp(0, 1)
        yield _judged(found, one, members, tolerance, noise, way[k], of_one, scores[:, k])


def _chosen(found: Equations, released: torch.Tensor, members: int, tolerance: float, noise: float) -> str:
    """Return the method that suits the equations and their errors."""
    if found.complete and float(found.spread(members, tolerance, noise).max()) <= EXACT:
        return LEAST_SQUARES
    usable = int((found.bounds(released, members, tolerance) < USABLE).sum())
    quick = found.images * (found.rank + 1) <= solvers.QUICK
    if noise == 0 and quick and usable > 0 and inseparable(found.images, usable) < 0.5:
        return LINEAR_PROGRAM
    return EITHER


def _by_program(
    found: Equations, one: torch.Tensor, members: int, tolerance: float, time_limit: float
) -> Identification:
    said = ""
    try:
        weights = solvers.linear_program(found, one, members, tolerance, time_limit)
        if weights is None:
            said = (
                "no weights between 0 and 1 give the release to the tolerance: not a mean of these images; "
            )
    except solvers.OutOfTimeError:
        weights, said = None, f"time limit of {time_limit:g} s reached; "
    if weights is None:  # the statistic T is what there is
        weights = solvers.least_squares(found, one[None], members)[:, 0]
    scores, weights = solvers.odds(found, weights, members), weights.clamp(0, 1)
    return _judged(found, one, members, tolerance, 0.0, LINEAR_PROGRAM, weights, scores, said)


def _judged(
    found: Equations,
    one: torch.Tensor,
    members: int,
    tolerance: float,
    noise: float,
    method: str,
    weights: torch.Tensor,
    scores: torch.Tensor,
    said: str = "",
) -> Identification:
    N = found.images
    chosen = solvers.highest(scores[:, None], members)[:, 0]
    fits = noise == 0 and found.fits(chosen, one, tolerance)
    decided = torch.zeros(N, dtype=torch.bool)
    if fits:
        decided = found.proved(chosen, one, members, tolerance)
    mean = found.centre + weights @ found.rows / weights.sum().clamp_min(1e-300)
    residual = float((mean - one).square().mean().sqrt())
    amplification = members / float(found.values[-1]) if found.complete else math.inf
    status = said + _sentence(found, int(decided.sum()), fits, noise, method)
    return Identification(weights, scores, chosen, decided, fits, method, residual, amplification, status)


def _sentence(found: Equations, decided: int, fits: bool, noise: float, method: str) -> str:
    N, count = found.images, found.rank + 1
    if decided == N:
        return f"names all {N:,} images: no other members have this mean, found by {method}"
    if noise > 0:
        return f"cannot decide: under noise no answer is proved; the likeliest, by {method}"
    equations_of = f"{count:,} equations for {N:,} unknowns"
    if fits:
        return f"members found whose mean this is, by {method} from {equations_of}; {decided:,} are proved"
    chance = inseparable(N, found.rank) if found.rank else 1.0
    return (
        f"cannot decide: {method} has {equations_of}, which exact numbers leave open with a probability of "
        f"{chance:.2g}, and found no members whose mean this is; 0 images are proved"
    )
