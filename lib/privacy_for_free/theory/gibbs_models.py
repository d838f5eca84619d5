"""Gibbs posteriors on images, and the largest log ratio when one image changes (sections 1.4 and 1.5).

Real images are scaled to norm at most B = 1 by a map that looks at no data, pixel p -> (2p - 1)/sqrt(d). The
models in the plane take their coordinates along two fixed orthonormal images, mean brightness and the slowest
vertical cosine, so norms do not grow. Synthetic images are condensed in closed form: moved onto the mean of
the real ones. Every function tries some removals or replacements of one image and returns, for each,
the largest |log ratio| over theta in nats (`LogRatios`). The temperature is 4 B L / eps0 throughout, so that
the bound is (m/n) eps0. Tensors are float64 and may live on any device; results are NumPy arrays.

  gaussian               ||theta - s||^2/2 in all d dimensions, theta in a ball, L = rho + B; closed form
  gaussian_kl            the same without the ball: KL(p||p'), of order m/n^2, not a log ratio
  logistic               two classes in the plane, theta in a disk, L = rho; quadrature
  logistic_all_data      the same on all real images at temperature tau n/m
  logistic_random_subset the same on m random real images of each class; enumeration
  network                <a, tanh(W s + b)> in the plane, logistic loss, Langevin chains: the largest over the
                         states visited, a lower estimate of the largest over the domain
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import SHOWN, entrance
from privacy_for_free.theory import checks, gibbs, langevin

RADIUS = 1.0  # B, the largest norm of a scaled image
FIRST_IMAGES = 10  # the followed image is one of so many that come first


@dataclass(frozen=True)
class LogRatios:
    """What was found for each of the k images tried.

    observed                  float64 (k,), nats: the largest |log ratio| over theta (`gaussian_kl`: KL)
    bounds                    (k,): the bound with the displacement of each
    shift_norms               (k,): how far each moves the synthetic images; replacements of real images: its
                              length
    lipschitz, temperature    of the model
    errors, log_normalisers   (k,): standard error of ln Z'/Z, and it itself; for chains, None where exact
    """

    observed: np.ndarray
    bounds: np.ndarray
    shift_norms: np.ndarray
    lipschitz: float
    temperature: float
    errors: np.ndarray | None = None
    log_normalisers: np.ndarray | None = None

    def worst(self, followed: int = -1) -> dict[str, float]:
        """Return what there is of the image whose log ratio is largest, and how many were tried.

        followed   the place of the image whose own log ratio is `observed_fixed_x`
        """
        if not -1 <= followed < len(self.observed):
            raise ValueError(f"followed {followed!r}: allowed are -1, the last, to {len(self.observed) - 1}")
        columns = {
            "observed": self.observed,
            "bound_this_x": self.bounds,
            "shift_norm": self.shift_norms,
            "std_error": self.errors,
            "log_normaliser": self.log_normalisers,
        }
        largest = int(np.argmax(self.observed))
        return {
            "lipschitz": self.lipschitz,
            "temperature": self.temperature,
            "tried": len(self.observed),
            "observed_fixed_x": float(self.observed[followed]),
            **{name: float(values[largest]) for name, values in columns.items() if values is not None},
        }


@entrance
@dataclass(frozen=True)
class Chains:
    """Settings of the Langevin chains, as `langevin.sgld` takes them.

    hidden, radius   width of the network; radius of each of its three balls
    count            independent chains
    """

    hidden: int = 8
    radius: float = 2.0
    count: int = 256
    step: float = 0.01
    burn_in: int = 200
    steps: int = 400
    keep_every: int = 20
    batch: int = 32

    def __post_init__(self) -> None:
        """Refuse what no chains can be run with."""
        counts = ("hidden", "count", "steps", "keep_every", "batch")
        checks.counts(**{name: getattr(self, name) for name in counts})
        checks.counts(0, burn_in=self.burn_in)
        checks.positive(radius=self.radius, step=self.step)

    def refined(self, factor: int) -> "Chains":
        """Return the same chains with a step that is `factor` times smaller, and as many more steps."""
        validate.whole("factor", factor, 1)
        lengths = (factor * number for number in (self.burn_in, self.steps, self.keep_every))
        return Chains(self.hidden, self.radius, self.count, self.step / factor, *lengths, self.batch)


# -------------------------------------------------------------------------------------- images, and which


@entrance(shapes="images k? C H W", images=SHOWN)
def scale(images: torch.Tensor) -> torch.Tensor:
    """Map pixels in [0, 1], (k, C, H, W), to rows (k, d) float64 of norm at most 1: (2p - 1)/sqrt(d).

    ValueError for other pixels.
    """
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"images: pixels from {images.min():g} to {images.max():g}, allowed are 0 to 1")
    flat = images.flatten(1).double()
    return (2 * flat - 1) / math.sqrt(flat.shape[1])


@entrance
def plane(shape: tuple[int, int, int]) -> torch.Tensor:
    """Return two orthonormal images as columns (d, 2): mean brightness, and the slowest vertical cosine."""
    checks.sizes(shape)
    channels, height, width = shape
    wave = torch.cos(math.pi * (torch.arange(height, dtype=torch.float64) + 0.5) / height)
    images = torch.stack([torch.ones_like(wave), wave])[:, None, :, None].expand(2, channels, height, width)
    return torch.nn.functional.normalize(images.flatten(1), dim=1).T


@entrance(shapes="images k C H W", images=SHOWN)
def project(images: torch.Tensor) -> torch.Tensor:
    """Return the coordinates (k, 2) of scaled images (k, C, H, W) in `plane`; a few at a time, for memory."""
    basis = plane(tuple(images.shape[1:]))
    return torch.cat([scale(part) @ basis for part in images.split(500)])


@entrance(shapes="points n d, pool k d")
def far_from_mean(points: torch.Tensor, pool: torch.Tensor) -> int:
    """Return the row among the first of `points` (n, d) that is farthest from the mean of `pool` (k, d).

    Its removal can be followed through nested sets, all of which begin with the same images.
    """
    checks.floats(points=points, pool=pool)
    return int((points[:FIRST_IMAGES] - pool.mean(0)).norm(dim=1).argmax())


@entrance(shapes="points n 2, pool k 2")
def replacements(points: torch.Tensor, pool: torch.Tensor, pairs: int) -> tuple[np.ndarray, torch.Tensor]:
    """Return which rows of points (n, 2) go, (k,), and what comes from pool for each, (k, 2).

    They are the `pairs` pairs of corners of the two hulls that are farthest apart; last comes the image of
    `far_from_mean`, with the corner of the pool that is farthest from it.
    """
    checks.floats(points=points, pool=pool)
    validate.whole("pairs", pairs, 1)
    corners, followed = pool[gibbs.extreme_rows(pool.numpy())], far_from_mean(points, pool)
    leaving = gibbs.extreme_rows(points.numpy())
    farthest = gibbs.farthest_pairs(points[leaving].numpy(), corners.numpy(), pairs)
    ((_, partner),) = gibbs.farthest_pairs(points[followed][None].numpy(), corners.numpy(), 1)
    return np.append(leaving[farthest[:, 0]], followed), corners[np.append(farthest[:, 1], partner)]


# ------------------------------------------------------------------------------------- l = ||theta - s||^2/2


@entrance(shapes="images n d")
@checks.naming("eps0", "ball_radius")
def gaussian(images: np.ndarray, m: int, eps0: float, ball_radius: float) -> LogRatios:
    """Remove each row of images (n, d) in turn; m synthetic images, theta in the ball of that radius."""
    checks.positive(eps0=eps0, ball_radius=ball_radius)
    lipschitz = ball_radius + RADIUS
    temperature = gibbs.temperature_of(eps0, RADIUS, lipschitz)
    shifts = gibbs.removal_shifts(images)
    norms = np.linalg.norm(shifts, axis=1)
    observed = gibbs.gaussian_log_ratio(images.mean(0), shifts, m, temperature, ball_radius)
    bounds = gibbs.shift_bound(m, 1.0, lipschitz, temperature) * norms
    return LogRatios(observed, bounds, norms, lipschitz, temperature)


@entrance(shapes="images n d")
@checks.naming("eps0", "ball_radius")
def gaussian_kl(images: np.ndarray, m: int, eps0: float, ball_radius: float) -> LogRatios:
    """Remove each row of images (n, d) in turn; theta in all of R^d, at the temperature of `gaussian`.

    The divergence is exact and so its own bound; there is no Lipschitz constant.
    """
    checks.positive(eps0=eps0, ball_radius=ball_radius)
    temperature = gibbs.temperature_of(eps0, RADIUS, ball_radius + RADIUS)
    norms = np.linalg.norm(gibbs.removal_shifts(images), axis=1)
    divergences = gibbs.gaussian_kl(norms, m, temperature)
    return LogRatios(divergences, divergences, norms, math.inf, temperature)


# ------------------------------------------------------------------------------ logistic loss in the plane


@entrance(shapes="synthetic m 2, other m 2, shifts k 2")
@checks.naming("eps0", "disk_radius")
def logistic(
    synthetic: torch.Tensor,
    other: torch.Tensor,
    shifts: torch.Tensor,
    eps0: float,
    disk_radius: float,
    grid: tuple[int, int, int],
) -> LogRatios:
    """Move the synthetic images (m, 2) of one class by each of shifts (k, 2); `other` (m, 2) stay.

    grid   radial, angular, ring: as `gibbs.disk_grid` takes them
    """
    checks.floats(synthetic=synthetic, other=other, shifts=shifts)
    temperature = gibbs.temperature_of(eps0, RADIUS, disk_radius)
    theta, prior = _disk(disk_radius, grid, synthetic.device)
    energy = gibbs.logistic_loss(theta, synthetic, 1.0).sum(0)
    energy = energy + gibbs.logistic_loss(theta, other, -1.0).sum(0)
    weights = gibbs.posterior_weights(energy / temperature, prior)
    change = gibbs.shift_change(theta, synthetic, shifts, 1.0, temperature)
    observed = gibbs.log_ratio(weights, change).abs().amax(1).cpu().numpy()
    norms = shifts.norm(dim=1).cpu().numpy()
    bounds = gibbs.shift_bound(len(synthetic), 1.0, disk_radius, temperature) * norms
    return LogRatios(observed, bounds, norms, disk_radius, temperature)


@entrance(shapes="points n 2, others l 2")
@checks.naming("eps0", "disk_radius")
def logistic_all_data(
    points: torch.Tensor,
    others: torch.Tensor,
    replaced: tuple[np.ndarray, torch.Tensor],
    m: int,
    eps0: float,
    disk_radius: float,
    grid: tuple[int, int, int],
) -> LogRatios:
    """Train on all real images (n, 2) of two classes at temperature tau n/m; `replaced`: `replacements`."""
    checks.replaced(replaced, points, others)
    validate.whole("m", m, 1, len(points))
    leaving, coming = replaced
    temperature = gibbs.temperature_of(eps0, RADIUS, disk_radius) * len(points) / m
    theta, prior = _disk(disk_radius, grid, points.device)
    energy = sum(
        gibbs.logistic_loss(theta, part, label).sum(0)
        for side, label in ((points, 1.0), (others, -1.0))
        for part in side.split(1000)
    )
    weights = gibbs.posterior_weights(energy / temperature, prior)
    coming = coming.to(points.device)
    shifts = coming - points[leaving]
    change = gibbs.logistic_loss(theta, coming, 1.0) - gibbs.logistic_loss(theta, points[leaving], 1.0)
    observed = gibbs.log_ratio(weights, change / temperature).abs().amax(1).cpu().numpy()
    norms = shifts.norm(dim=1).cpu().numpy()
    bounds = gibbs.shift_bound(1, 1.0, disk_radius, temperature) * norms
    return LogRatios(observed, bounds, norms, disk_radius, temperature)


@entrance(shapes="points n 2, others l 2")
@checks.naming("eps0", "disk_radius")
def logistic_random_subset(
    points: torch.Tensor,
    others: torch.Tensor,
    replaced: tuple[np.ndarray, torch.Tensor],
    m: int,
    eps0: float,
    disk_radius: float,
    grid: tuple[int, int, int],
) -> LogRatios:
    """Train on m random real images of each class, (n, 2) and (n, 2); `replaced` as from `replacements`.

    Exact, by enumeration of all subsets: m up to 3, and n small for m above 1. The bound is
    ln(1 + r (e^eps - 1)), eps that of one image at its own distance.
    """
    checks.replaced(replaced, points, others)
    validate.whole("m", m, 1, len(points))
    leaving, coming = replaced
    temperature = gibbs.temperature_of(eps0, RADIUS, disk_radius)
    theta, prior = _disk(disk_radius, grid, points.device)
    new = gibbs.logistic_loss(theta, coming.to(points.device), 1.0)
    ratios = gibbs.random_subset_log_ratio(
        gibbs.logistic_loss(theta, points, 1.0),
        gibbs.logistic_loss(theta, others, -1.0),
        list(zip(leaving.tolist(), new, strict=True)),
        m,
        temperature,
        prior,
    )
    norms = (coming.to(points.device) - points[leaving]).norm(dim=1).cpu().numpy()
    bounds = [_subset_bound(m / len(points), norm, disk_radius, temperature) for norm in norms]
    observed = ratios.abs().amax(1).cpu().numpy()
    return LogRatios(observed, np.array(bounds), norms, disk_radius, temperature)


def _subset_bound(ratio: float, norm: float, lipschitz: float, temperature: float) -> float:
    if norm == 0:
        return 0.0
    return gibbs.subset_epsilon(ratio, gibbs.shift_bound(1, norm, lipschitz, temperature))


def _disk(
    radius: float, grid: tuple[int, int, int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    points, prior = gibbs.disk_grid(radius, *checks.three("grid", grid))
    return points.to(device), prior.to(device)


# ------------------------------------------------------------------------------------------- small network


@entrance(shapes="synthetic m 2, other m 2, shifts k 2")
@checks.naming("eps0")
def network(
    synthetic: torch.Tensor,
    other: torch.Tensor,
    shifts: torch.Tensor,
    eps0: float,
    chains: Chains,
    generator: torch.Generator,
) -> LogRatios:
    """Move the synthetic images (m, 2) of one class by each of shifts (k, 2); `other` (m, 2) stay.

    The posterior of the unmoved images is sampled; `generator` lives on their device.
    """
    checks.floats(synthetic=synthetic, other=other, shifts=shifts)
    lipschitz = langevin.network_lipschitz(chains.radius)
    temperature = gibbs.temperature_of(eps0, RADIUS, lipschitz)
    balls = langevin.network_balls(chains.hidden, chains.radius)
    labels = torch.ones(len(synthetic), dtype=torch.float64, device=synthetic.device)
    visited = langevin.sgld(
        langevin.network_loss,
        torch.cat([synthetic, other]),
        torch.cat([labels, -labels]),
        temperature,
        langevin.uniform_in_balls(chains.count, balls, generator),
        step=chains.step,
        burn_in=chains.burn_in,
        steps=chains.steps,
        keep_every=chains.keep_every,
        generator=generator,
        balls=balls,
        batch=chains.batch,
    )
    change = langevin.shift_change(langevin.network_loss, visited, synthetic, labels, shifts, temperature)
    normaliser, error = (value.cpu() for value in langevin.log_normaliser_ratio(change))
    observed = (change.cpu() + normaliser[:, None, None]).abs().amax((1, 2)).numpy()
    norms = shifts.norm(dim=1).cpu().numpy()
    bounds = gibbs.shift_bound(len(synthetic), 1.0, lipschitz, temperature) * norms
    return LogRatios(observed, bounds, norms, lipschitz, temperature, error.numpy(), normaliser.numpy())
