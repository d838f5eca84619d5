"""From a condensed set to the trained network: how much one image moves a Gibbs posterior (section 1.4).

Setting. A class has n real images x in R^d with norm at most B, and m synthetic ones condensed by linear
distribution matching from an initialisation that did not look at them, so that s_j = s_j^0 + (mean of the
real images - mean of the s^0). Removing x moves every s_j by the same vector (mean without x - x)/n, whose
norm is at most 2B/n; replacing x by x' moves it by (x' - x)/n, at most 2B/n too. The network is one draw from
the Gibbs posterior p(theta|S) = exp(-sum_j l(theta, s_j)/tau)/Z on a stated domain, tau the temperature. If
l(theta, .) is L-Lipschitz for every theta of the domain, the energy moves by at most m L (2B/n)/tau, its
normaliser by as much again, and so

    |ln p(theta|S) - ln p(theta|S')| <= 2 m L (2B/n)/tau = r eps0,   r = m/n,   eps0 = 4BL/tau.

The statement is about releasing one theta. It needs the random draw: S itself is a deterministic function of
the images. The functions here evaluate the left side exactly (closed form, or quadrature in two dimensions)
for posteriors with a known answer; `langevin` estimates it for a network.

Posterior sampling as a private mechanism: Wang, Fienberg & Smola 2015. Random subsets: Balle, Barthe &
Gaboardi 2018. All tensors are float64.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import special
from scipy.spatial import ConvexHull, QhullError

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import checks

LARGEST_EPSILON = 700.0  # its exponential is still a float
LARGEST_ENUMERATION = 100_000  # subsets of one class
BLOCK = 2**24  # terms of a series that are added up at once


def require_positive(**values: float) -> None:
    """Raise ValueError, naming the value, unless every argument is a finite number above 0."""
    for name, value in values.items():
        validate.positive(name, value)


def require_counts(n: int, m: int) -> None:
    """Raise ValueError unless n >= 2 real images (one of them can go) and m >= 1 synthetic ones."""
    validate.whole("n", n, 2)
    validate.whole("m", m, 1)


# ---------------------------------------------------------------------------------------------------- bounds


@entrance
@checks.naming("eps0", "radius", "lipschitz")
def temperature_of(eps0: float, radius: float, lipschitz: float) -> float:
    """Return tau = 4 B L / eps0, the temperature at which the bound is r eps0.

    >>> temperature_of(eps0=1, radius=1, lipschitz=2)
    8.0
    """
    require_positive(eps0=eps0, radius=radius, lipschitz=lipschitz)
    temperature = 4.0 * radius * lipschitz / eps0
    require_positive(temperature=temperature)
    return temperature


@entrance
def shift_bound(m: int, shift_norm: float, lipschitz: float, temperature: float) -> float:
    """Return 2 m L ||shift|| / tau, the bound for synthetic images that all moved by one known vector."""
    checks.counts(m=m)
    validate.not_negative("shift_norm", shift_norm)
    require_positive(lipschitz=lipschitz, temperature=temperature)
    return 2.0 * m * lipschitz * shift_norm / temperature


@entrance
def all_data_epsilon(ratio: float, eps0: float) -> float:
    """Return r eps0, the replace-one epsilon of condensing and of training on all images at tau/r (1.5a)."""
    require_positive(ratio=ratio, eps0=eps0)
    return ratio * eps0


@entrance
def subset_epsilon(ratio: float, eps0: float) -> float:
    """Return ln(1 + r (e^eps0 - 1)): replace-one epsilon of the posterior on m random real images (1.5b).

    Amplification by subsampling without replacement (Balle, Barthe & Gaboardi 2018): with probability 1 - r
    the image that differs is not drawn, and else the two posteriors are within a factor e^eps0.
    """
    require_positive(ratio=ratio, eps0=eps0)
    if ratio > 1 or eps0 > LARGEST_EPSILON:
        raise ValueError(
            f"ratio {ratio!r}, eps0 {eps0!r}: allowed are 1 at most, and {LARGEST_EPSILON:g} at most"
        )
    return math.log1p(ratio * math.expm1(eps0))


@entrance
def closed_form_table(eps0: float = 1.0, ratios: Sequence[float] = (0.002, 0.01, 0.02)) -> pd.DataFrame:
    """Return the two epsilons side by side, one row per ratio; columns ratio, condensed_or_all_data, subset.

    >>> closed_form_table().round(4).values.tolist()
    [[0.002, 0.002, 0.0034], [0.01, 0.01, 0.017], [0.02, 0.02, 0.0338]]
    """
    if not len(ratios):
        raise ValueError("ratios of length 0: allowed are one or more")
    rows = [(r, all_data_epsilon(r, eps0), subset_epsilon(r, eps0)) for r in ratios]
    return pd.DataFrame(rows, columns=["ratio", "condensed_or_all_data", "subset"])


# ---------------------------------------------------------------------------- displacements of the barycentre


@entrance(shapes="images n d")
def removal_shifts(images: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    """Return, for each row x of (n, d), how far removing it moves the mean: (mean - x)/(n - 1), shape (n, d).

    It equals (mean without x - x)/n, the form in which the bound 2B/n is read off.
    """
    require_counts(len(images), 1)
    if not (images.is_floating_point() if isinstance(images, torch.Tensor) else images.dtype.kind == "f"):
        raise ValueError(f"images {images.dtype} {tuple(images.shape)}: allowed are floats")
    return (images.mean(0) - images) / (len(images) - 1)


@entrance(shapes="points n 2")
def extreme_rows(points: np.ndarray) -> np.ndarray:
    """Return the indices of the rows of (n, 2) at the corners of their convex hull (all, where it is flat).

    To first order in the displacement the log ratio is linear in x for every theta, so the largest over
    theta is convex in x and is reached at a corner.
    """
    try:
        return np.sort(ConvexHull(points).vertices)
    except QhullError:
        return np.arange(len(points))


@entrance(shapes="points n d, others k d")
@checks.naming("points", "others")
def farthest_pairs(points: np.ndarray, others: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` pairs (row of points, row of others) farthest apart, (count, 2), worst first."""
    validate.whole("count", count, 1)
    checks.memory(f"points {points.shape}, others {others.shape}", len(points) * others.size)
    distance = np.linalg.norm(points[:, None] - others[None], axis=-1)
    order = np.argsort(-distance, axis=None, kind="stable")[:count]
    return np.stack(np.unravel_index(order, distance.shape), axis=1)


# --------------------------------------------------------------------- l = ||theta - s||^2 / 2, any dimension


@entrance
@checks.naming("shift_norm", "m", "temperature")
def gaussian_kl(shift_norm: float | np.ndarray, m: int, temperature: float) -> float | np.ndarray:
    """Return KL(p||p') = m ||shift||^2 / (2 tau) of the posteriors N(mean of S, tau I / m) on all of R^d.

    Exact. The mean of the log ratio is of second order, m/n^2, where its largest value is of first order,
    m/n: on R^d the loss has no Lipschitz constant, the log ratio is unbounded, and only its tail is thin.
    """
    validate.whole("m", m, 1)
    require_positive(temperature=temperature)
    checks.spread("shift_norm", np.asarray(shift_norm))
    return m * shift_norm**2 / (2.0 * temperature)


@entrance(shapes="mean d, shifts k d")
@checks.naming("m", "temperature", "theta_radius")
def gaussian_log_ratio(
    mean: np.ndarray, shifts: np.ndarray, m: int, temperature: float, theta_radius: float
) -> np.ndarray:
    """Return the largest |ln p(theta|S) - ln p(theta|S')| over the ball ||theta|| <= rho, exact, shape (k,).

    `mean` (d,) is the mean of S, `shifts` (k, d) its displacements. The posterior is restricted to the ball
    because ||theta - s||^2/2 is Lipschitz in s only for bounded theta, with L = rho + B. With kappa = m/tau
    the posterior is an exponential family in theta, exp(kappa <theta, mean> - kappa ||theta||^2/2 -
    A(||mean||)), so the log ratio is linear: -kappa <theta, shift> + A(||mean + shift||) - A(||mean||). Over
    the ball it reaches kappa rho ||shift|| + |difference of A|; the difference is integrated from the
    derivative of A, without cancellation.
    """
    validate.whole("m", m, 1)
    require_positive(temperature=temperature, theta_radius=theta_radius)
    kappa = m / temperature
    before = float(np.linalg.norm(mean))
    after = np.linalg.norm(mean + shifts, axis=1)
    squared = np.einsum("kd,kd->k", shifts, shifts)
    rise = np.divide(2 * shifts @ mean + squared, before + after, where=after > 0, out=np.zeros_like(after))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    at = before + rise[:, None] * (1 + nodes) / 2
    derivative = ball_log_partition_derivative(at, kappa, theta_radius, mean.size)
    return kappa * theta_radius * np.sqrt(squared) + np.abs(rise * (derivative @ weights) / 2)


@entrance
@checks.naming("kappa", "radius")
def ball_log_partition_derivative(t: np.ndarray, kappa: float, radius: float, dimension: int) -> np.ndarray:
    """Return A'(t), A(t) = ln integral of exp(kappa t theta_1 - kappa ||theta||^2/2) over a ball of R^d.

    A'(t) = kappa t F_{d+2}/F_d with F_d the noncentral chi-square distribution function of d degrees of
    freedom, noncentrality kappa t^2, at kappa radius^2. Both are Poisson mixtures of incomplete gamma
    functions with positive terms, summed in logarithms: for d in the thousands F itself underflows. Any shape
    of t.
    """
    validate.whole("dimension", dimension, 1)
    require_positive(kappa=kappa, radius=radius)
    half, edge = kappa * np.asarray(t, float) ** 2 / 2, kappa * radius**2 / 2
    require_positive(kappa_radius_squared=edge)
    largest = max(float(half.max(initial=0.0)), edge)
    checks.memory(f"kappa {kappa}, radius {radius}, t to {np.abs(t).max(initial=0):g}: terms", largest, BLOCK)
    k = np.arange(math.ceil(largest + 12 * math.sqrt(largest)) + 60, dtype=float)
    shape = dimension / 2 + k
    # P(a, x) = sum over i >= 0 of e^-x x^(a+i) / Gamma(a+i+1): add up from the far end.
    terms = special.xlogy(shape, edge) - edge - special.gammaln(shape + 1)
    gamma_cdf = np.logaddexp.accumulate(terms[::-1])[::-1]

    def ratio(half: np.ndarray) -> np.ndarray:
        poisson = special.xlogy(k[:-1], half[..., None]) - special.gammaln(k[:-1] + 1)
        return special.logsumexp(poisson + gamma_cdf[1:], -1) - special.logsumexp(
            poisson + gamma_cdf[:-1], -1
        )

    if half.size * len(k) <= BLOCK:
        return kappa * t * np.exp(ratio(half))
    parts = np.array_split(half.reshape(-1), math.ceil(half.size * len(k) / BLOCK))
    return kappa * t * np.exp(np.concatenate([ratio(part) for part in parts]).reshape(half.shape))


# ---------------------------------------------------------------- logistic loss, theta in a disk of the plane


@entrance
def disk_grid(radius: float, radial: int, angular: int, ring: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points (q, 2) of the disk and weights (q,) that sum to 1: its uniform law.

    Gauss-Legendre in the radius times the trapezoid rule in the angle, which converges geometrically for
    analytic integrands. The last `ring` points lie on the circle with weight 0: there one looks for a
    maximum.
    """
    require_positive(radius=radius)
    validate.whole("radial", radial, 1, 2000)
    validate.whole("angular", angular, 1)
    validate.whole("ring", ring, 0)
    checks.memory(f"radial {radial}, angular {angular}, ring {ring}", 2 * (radial * angular + ring))
    nodes, node_weights = np.polynomial.legendre.leggauss(radial)
    r = radius * (1 + nodes) / 2
    angle = 2 * np.pi * np.arange(angular) / angular
    edge = 2 * np.pi * np.arange(ring) / max(ring, 1)
    inside = np.stack([np.outer(r, np.cos(angle)).ravel(), np.outer(r, np.sin(angle)).ravel()], axis=1)
    circle = radius * np.stack([np.cos(edge), np.sin(edge)], axis=1)
    weights = np.repeat(node_weights * r / (radius * angular), angular)
    return torch.from_numpy(np.concatenate([inside, circle])), torch.from_numpy(np.pad(weights, (0, ring)))


def logistic_loss(theta: torch.Tensor, points: torch.Tensor, label: float | torch.Tensor) -> torch.Tensor:
    """Return ln(1 + exp(-y <theta, s>)) for theta (q, d) and points (k, d), y = +-1; shape (k, q).

    Lipschitz in s with constant ||theta||. `label` is one number, or one per point as a column (k, 1).
    """
    return torch.nn.functional.softplus(-label * (points @ theta.T))


@entrance(shapes="energy ... q, prior q")
def posterior_weights(energy: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Return weights proportional to prior * exp(-energy) along the last dimension, summing to 1."""
    checks.floats(energy=energy, prior=prior)
    if bool((prior < 0).any()) or not bool((prior > 0).any()):
        raise ValueError(f"prior from {prior.min():g} to {prior.max():g}: allowed are 0 and more, not all 0")
    return torch.softmax(prior.log() - energy, dim=-1)


@entrance(shapes="weights q, change ... q")
def log_ratio(weights: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Return ln p(theta|S) - ln p(theta|S') at every point of a grid.

    `weights` (q,) is the posterior of S on the grid, `change` (..., q) the energy's change U(S') - U(S), both
    already divided by the temperature; ln Z'/Z is the logarithm of the mean of exp(-change).
    """
    checks.floats(weights=weights, change=change)
    if bool((weights < 0).any()) or abs(float(weights.sum()) - 1) > 1e-3:
        raise ValueError(f"weights of sum {weights.sum():g}: allowed are numbers from 0 up, of sum 1")
    return change + torch.log1p(torch.expm1(-change) @ weights)[..., None]


@entrance(shapes="theta q d, synthetic m d, shifts k d")
def shift_change(
    theta: torch.Tensor, synthetic: torch.Tensor, shifts: torch.Tensor, label: float, temperature: float
) -> torch.Tensor:
    """Return U(S + shift) - U(S) for the logistic loss; synthetic (m, d), shifts (k, d), result (k, q)."""
    checks.floats(theta=theta, synthetic=synthetic, shifts=shifts)
    checks.memory(f"theta {tuple(theta.shape)}, shifts {tuple(shifts.shape)}", len(theta) * len(shifts))
    require_positive(temperature=temperature)
    before = logistic_loss(theta, synthetic, label)
    after = (logistic_loss(theta, synthetic + shift, label) - before for shift in shifts)
    return torch.stack([change.sum(0) for change in after]) / temperature


@entrance(shapes="losses n q, other_losses k q, prior q")
def random_subset_log_ratio(
    losses: torch.Tensor,
    other_losses: torch.Tensor,
    replacements: Sequence[tuple[int, torch.Tensor]],
    m: int,
    temperature: float,
    prior: torch.Tensor,
) -> torch.Tensor:
    """Return ln p(theta|T') - ln p(theta|T), exact, for training on m random real images per class (1.5b).

    p(theta|T) is the mixture, over all subsets of m of the n images of the class and all subsets of m of the
    other class, of their Gibbs posteriors. `losses` (n, q) and `other_losses` (n', q) hold the loss of each
    image at each grid point; a replacement (i, row) puts an image with losses `row` (q,) in the place of
    image i. Result (replacements, q). Time and memory grow with the product of the two numbers of subsets.
    """
    require_positive(temperature=temperature)
    if not 1 <= m <= min(len(losses), len(other_losses)):
        raise ValueError(
            f"m {m!r}: allowed are 1 to {min(len(losses), len(other_losses))}, the images there are"
        )
    sets = max(math.comb(len(losses), m), math.comb(len(other_losses), m))
    if sets > LARGEST_ENUMERATION:
        raise ValueError(f"m {m}: {sets:.2g} subsets of a class, allowed are {LARGEST_ENUMERATION} at most")
    checks.memory(f"losses {tuple(losses.shape)}, m {m}", sets * max(sets, losses.shape[1] * m))
    checks.floats(losses=losses, other_losses=other_losses, prior=prior)
    for index, row in replacements:
        if not 0 <= index < len(losses) or row.shape != losses.shape[1:]:
            raise ValueError(
                f"replacements {index!r}, {tuple(row.shape)}: allowed are images 0 to {len(losses) - 1}, "
                f"and losses {tuple(losses.shape[1:])}"
            )
    device = losses.device
    subsets = torch.combinations(torch.arange(len(losses), device=device), m)
    other_subsets = torch.combinations(torch.arange(len(other_losses), device=device), m)
    energy = losses[subsets].sum(1) / temperature
    other = torch.exp(-other_losses[other_subsets].sum(1) / temperature)

    def densities(energy: torch.Tensor) -> torch.Tensor:  # each subset's posterior, averaged over the other's
        mine = torch.exp(-energy)
        normalisers = (mine * prior) @ other.T
        return mine * (normalisers.reciprocal_() @ other) / len(other)

    each = densities(energy)
    total = each.sum(0)
    ratios = []
    for index, row in replacements:
        affected = (subsets == index).any(1)
        changed = densities(energy[affected] + (row - losses[index]) / temperature)
        ratios.append(torch.log1p((changed - each[affected]).sum(0) / total))
    return torch.stack(ratios)
