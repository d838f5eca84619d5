"""Linear distribution matching from a secret Gaussian start, stopped early: a Gaussian mechanism.

One class: n real images of norm at most B and mean xbar, m synthetic ones that start from s_j ~ N(0, s^2 I),
independent of the images. While the images move by a common vector and their mean to that of the real ones,

    sbar_t = (1 - c) xbar + c sbar_0 ,    s_j - sbar_t = s_j^0 - sbar_0 ,

with c = rho^t on the expected loss, rho of `linear.contraction` (c = the product of all steps' factors where
step sizes differ). sbar_0 ~ N(0, s^2/m I) is independent of the shape, so all that tells two data sets apart
is a Gaussian of spread |c| s / sqrt(m) around (1 - c) xbar. Replacing one image moves xbar by at most 2B/n:

    mu = |1 - c| / |c| * 2 B sqrt(m) / (n s)

of Gaussian differential privacy (Dong, Roth & Su, JRSS B 2022): no attack has a higher TPR than
Phi(Phi^-1(FPR) + mu), and one reaches it. With extractors that are random and known, the gap is multiplied
by a matrix P in place of c: `mixing`, `mu_of_mixing`.

It holds for one set, of one step, from one start that nobody knows, and for real numbers. `recover_mean` is
what anybody computes who knows the start, or has two steps of one run.
"""

import math
from collections.abc import Callable

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import answers, checks

LARGEST_SIDE = 4096  # of a square matrix that is inverted


@entrance
def kept(steps: int, contraction: float) -> float:
    """Return c = rho^t, the share of its start that the mean of the synthetic images still has.

    contraction   rho, above -1 and below 1: `linear.contraction`

    >>> round(kept(10, contraction=0.9), 4)
    0.3487
    """
    checks.counts(0, steps=steps)
    if not -1 < contraction < 1:
        raise ValueError(f"contraction {contraction!r}: allowed are numbers above -1, below 1")
    return contraction**steps


@entrance
@checks.naming("n", "m", "bound", "spread")
def sensitivity(n: int, m: int, bound: float, spread: float = 1.0) -> float:
    """Return 2 B sqrt(m) / (n s): how far one replaced image moves xbar, in spreads of the start's mean.

    >>> round(sensitivity(n=6000, m=10, bound=28.0), 4)
    0.0295
    """
    checks.counts(n=n, m=m)
    checks.positive(bound=bound, spread=spread)
    found = 2 * (bound / n) * math.sqrt(m) / spread
    if not 0 < found < math.inf:
        raise OverflowError
    return found


@entrance
@checks.naming("kept", "n", "m", "bound", "spread")
def mu(kept: float, n: int, m: int, bound: float, spread: float = 1.0) -> float:
    """Return mu of the Gaussian mechanism that is left when the mean still has a share `kept` of its start.

    Under replacement of one of n images; under removal of one of n it is an upper bound. 0 where nothing
    moved (kept 1), infinity where nothing of the start is left (kept 0).

    >>> round(mu(0.1, n=6000, m=10, bound=28.0), 4)
    0.2656
    """
    if not math.isfinite(kept):
        raise ValueError(f"kept {kept!r}: allowed are finite numbers")
    moved = sensitivity(n, m, bound, spread)
    if kept == 0:
        return math.inf
    return abs(1 - kept) / abs(kept) * moved


@entrance
@checks.naming("mu", "n", "m", "bound", "spread")
def kept_at(mu: float, n: int, m: int, bound: float, spread: float = 1.0) -> float:
    """Return the share of its start, 0 to 1, that a mean must keep for this mu, from 0 to infinity.

    >>> round(kept_at(0.2656, n=6000, m=10, bound=28.0), 4)
    0.1
    """
    if not mu >= 0:
        raise ValueError(f"mu {mu!r}: allowed are numbers from 0 up")
    return 1 / (1 + mu / sensitivity(n, m, bound, spread))


@entrance
@checks.naming("kept", "m", "spread")
def noise_of_mean(kept: float, m: int, spread: float = 1.0) -> float:
    """Return the standard deviation of the noise on xbar as everybody can read it off, sbar_t / (1 - c).

    It is 2B / (n mu), whatever m and s: the Gaussian mechanism on the class mean itself.

    >>> round(noise_of_mean(0.1, m=10), 4)
    0.0351
    """
    checks.counts(m=m)
    checks.positive(spread=spread)
    if not -1 <= kept < 1:
        raise ValueError(f"kept {kept!r}: allowed are numbers from -1, below 1")
    return abs(kept) / (1 - kept) * spread / math.sqrt(m)


@entrance
@checks.naming("mu", "contraction", "n", "m", "bound", "spread")
def most_steps(mu: float, contraction: float, n: int, m: int, bound: float, spread: float = 1.0) -> int:
    """Return the largest number of steps after which the release still has this mu; 0: not one is allowed.

    mu            above 0, finite
    contraction   rho, above 0 and below 1: with it mu grows from step to step

    >>> most_steps(0.27, contraction=0.9, n=6000, m=10, bound=28.0)
    21
    """
    validate.positive("mu", mu)
    if not 0 < contraction < 1:
        raise ValueError(f"contraction {contraction!r}: allowed are numbers above 0, below 1")
    allowed = mu / sensitivity(n, m, bound, spread)
    steps = int(math.log1p(allowed) / -math.log(contraction))
    if steps > checks.LARGEST_COUNT:
        raise OverflowError
    while contraction ** -(steps + 1) - 1 <= allowed:  # the logarithm was rounded
        steps += 1
    while contraction**-steps - 1 > allowed:
        steps -= 1
    return steps


@entrance(shapes="initial m d, mean d")
def released(initial: torch.Tensor, mean: torch.Tensor, kept: float) -> torch.Tensor:
    """Return the synthetic images (m, d) from their start (m, d) and the real mean (d,), at a share `kept`.

    The closed form of `linear.descend` on the expected loss: s_j^0 + (1 - c) (xbar - sbar_0).
    """
    checks.floats(initial=initial, mean=mean)
    if not abs(kept) <= 1:
        raise ValueError(f"kept {kept!r}: allowed are numbers from -1 to 1")
    return initial + (1 - kept) * (mean - initial.mean(0))


@entrance(shapes="later m d, earlier m d")
def recover_mean(later: torch.Tensor, earlier: torch.Tensor, kept: float) -> torch.Tensor:
    """Return the real mean (d,) from two sets (m, d) of one run: (later mean - c earlier mean) / (1 - c).

    `earlier` may be the start itself, which a public seed tells everybody. `kept` is the share of the
    earlier gap that is left in the later set: rho to the power of the steps between them. The error is about
    the rounding of the images over 1 - c.
    """
    checks.floats(later=later, earlier=earlier)
    if not -1 <= kept < 1:
        raise ValueError(f"kept {kept!r}: allowed are numbers from -1, below 1")
    return (later.mean(0) - kept * earlier.mean(0)) / (1 - kept)


@entrance(shapes="means ... d, first d, second d")
@checks.naming("kept", "m", "spread")
def log_ratio(
    means: torch.Tensor, first: torch.Tensor, second: torch.Tensor, kept: float, m: int, spread: float = 1.0
) -> torch.Tensor:
    """Return log p(sbar | xbar = second) / p(sbar | xbar = first) of released means (..., d): (...).

    No other statistic of the release tells the two data sets apart better (Neyman & Pearson): the shape has
    the same law under both, and is independent of the mean.

    first, second   the real means (d,) with one image and with another in its place
    """
    checks.floats(means=means, first=first, second=second)
    checks.counts(m=m)
    checks.positive(spread=spread)
    if kept == 0 or not math.isfinite(kept):
        raise ValueError(f"kept {kept!r}: allowed are finite numbers but 0, which leaves no noise")
    precision = m / (kept * spread) ** 2
    towards = (1 - kept) * (second - first)
    return (means - (1 - kept) * (first + second) / 2) @ towards * precision


# --- extractors that are random, and known ---------------------------------------------------------------


@entrance
def mixing(
    extractors: Callable[[int], torch.Tensor], steps: int, step_size: float, m: int, d: int
) -> torch.Tensor:
    """Return P (d, d), float64: the gap after `steps` steps of full-batch descent is P times the first gap.

    extractors   the step's number -> its extractors (R, k, d), float64, of which the loss is averaged
    step_size    eta; a step multiplies by I - (2 eta / m) times the average of theta^T theta

    ValueError names the step whose extractors are none; DivergenceError where P stops being finite.
    """
    checks.setting(step_size=step_size, m=m, d=d)
    checks.counts(0, steps=steps)
    checks.memory(f"d {d}", d**2, LARGEST_SIDE**2)
    product = torch.eye(d, dtype=torch.float64)
    for step in range(steps):
        theta = answers.extractors(extractors, step, product)
        rows = theta.flatten(0, 1)
        product -= (2 * step_size / (m * len(theta))) * (rows.mT @ (rows @ product))
    return answers.finite("mixing", product, "P")


@entrance(shapes="mixing d d")
@checks.naming("n", "m", "bound", "spread")
def mu_of_mixing(mixing: torch.Tensor, n: int, m: int, bound: float, spread: float = 1.0) -> float:
    """Return mu for attackers who know the extractors: sqrt(m)/s * 2B/n * ||P^-1 - I||, its largest value.

    mixing   P of `mixing` (d, d), float64. The released mean is (I - P) xbar + P sbar_0: two means that
             differ by u are told apart with mu(u) = sqrt(m)/s ||P^-1 (I - P) u||. The worst u is the first
             right singular vector of P^-1 - I. Infinity where P has no inverse: the left kernel of P sees
             xbar itself.
    """
    checks.floats(mixing=mixing)
    moved = sensitivity(n, m, bound, spread)
    checks.memory(f"mixing {tuple(mixing.shape)}", mixing.numel(), LARGEST_SIDE**2)
    inverse, failed = torch.linalg.inv_ex(mixing.double())
    if failed or not bool(inverse.isfinite().all()):
        return math.inf
    largest = torch.linalg.matrix_norm(inverse - torch.eye(len(mixing)).to(inverse), 2)
    return float(largest) * moved


@entrance(shapes="mixing d d, shifts q d")
def mu_between(mixing: torch.Tensor, shifts: torch.Tensor, m: int, spread: float = 1.0) -> torch.Tensor:
    """Return mu(u) = sqrt(m)/s ||P^-1 (I - P) u|| for moves u (q, d) of the real mean: float64, q.

    Infinity in every row where P has no inverse.
    """
    checks.floats(mixing=mixing, shifts=shifts)
    checks.counts(m=m)
    checks.positive(spread=spread)
    P, moves = mixing.double(), shifts.double().mT
    found, failed = torch.linalg.solve_ex(P, moves - P @ moves)
    lengths = found.norm(dim=0)
    if failed or not bool(lengths.isfinite().all()):
        return torch.full((len(shifts),), math.inf, dtype=torch.float64)
    return math.sqrt(m) / spread * lengths
