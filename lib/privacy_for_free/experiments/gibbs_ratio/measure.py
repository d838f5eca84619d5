"""The largest log ratio of two Gibbs posteriors, on real images, against its bound r eps0 (1.4 and 1.5).

Real images are scaled to norm at most B = 1 by a map that looks at no data, pixel p -> (2p - 1)/sqrt(d). A
replicate is an ordered pair of classes and an order of their images: T is the first n of each, so the T of
one replicate are nested. S is condensed in closed form, m images a class of uniform noise moved onto the
class mean. One image of the first class is removed or replaced; `observed` is the largest |log ratio| over
theta and over the images tried, in nats. The temperature of each model is 4 B L / eps0, so that its bound is
(m/n) eps0.

Models (column `model`):
  gaussian                ||theta - s||^2/2 in all d dimensions, theta in a ball, so that L = rho + B;
                          removal of every x of T; closed form
  gaussian_kl             the same without the ball: KL(p||p'), of order m/n^2, not a log ratio;
                          bound m (2B/n)^2/(2 tau)
  logistic                two classes in the plane, theta in a disk, L = rho; removal of the x at the
                          corners of T's hull; quadrature
  logistic_replace        the same, replace-one, comparable with the next two
  logistic_all_data       the posterior on all 2n real images at temperature tau n/m; replace-one;
                          bound r eps0
  logistic_random_subset  the posterior on m random real images a class; replace-one;
                          bound ln(1 + r(e^eps0 - 1)); exact by enumeration, so m <= 3 and n small for m > 1
  sgld_network            <a, tanh(W s + b)> in the plane, logistic loss, Langevin chains; removal. `observed`
                          is the largest over the states visited, a lower estimate of the largest over the
                          domain; its std_error is the normaliser's, between independent chains
  sgld_network_half_step  the same with half the step and twice the steps: does the discretisation matter?

The plane is the span of two fixed orthonormal images, mean brightness and the slowest vertical cosine, so
norms do not grow. Replacements come from all images of the class, and are the pairs (x, x') farthest apart.

The largest over x in T falls more slowly than 1/n on real images: a larger T holds stranger x.
`observed_fixed_x` follows one x (and one x') through all the nested T, and shows the rate of the theorem.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.stats.slopes import log_log
from privacy_for_free.theory import gibbs, langevin

RADIUS = 1.0  # B
FOLLOWED = 10  # observed_fixed_x: one far from the mean, among this many first images of T


@dataclass(frozen=True)
class Design:
    """What is run; a size larger than a class of the dataset is left out."""

    sizes: tuple[int, ...]  # n
    images_per_class: tuple[int, ...]  # m; only m <= n/2 is run
    replicates: int
    epsilon0: float = 1.0
    ball_radius: float = 1.0  # rho of the gaussian model
    disk_radius: float = 10.0  # rho of the logistic models
    grid: tuple[int, int, int] = (32, 96, 512)  # radial, angular, ring
    pairs: int = 16  # replacements tried
    subset_sizes: tuple[int, ...] = (10, 30, 100)
    subset_images: tuple[int, ...] = (1, 2, 3)
    largest_enumeration: int = 5000  # subsets of one class
    subset_grid: tuple[int, int, int] = (16, 32, 256)
    chain_sizes: tuple[int, ...] = ()
    chain_images: tuple[int, ...] = ()
    chain_replicates: int = 1
    removals: int = 8  # tried on the chains: those farthest from the mean among the hull's corners
    hidden: int = 8
    network_radius: float = 2.0
    chains: int = 256
    step: float = 0.01
    burn_in: int = 200
    steps: int = 400
    keep_every: int = 20
    batch: int = 32


PROFILES = {
    "smoke": Design(
        sizes=(100, 300, 1000),
        images_per_class=(1, 5, 20),
        replicates=3,
        grid=(24, 64, 512),
        subset_sizes=(10, 30, 100, 300),
        largest_enumeration=500,
        chain_sizes=(100, 1000),
        chain_images=(1, 10),
        chain_replicates=2,
        removals=4,
        chains=32,
        burn_in=60,
        steps=60,
    ),
    "laptop": Design(
        sizes=(150, 300, 600, 1200, 2500, 5000),
        images_per_class=(1, 2, 5, 10, 20, 50),
        replicates=5,
        subset_sizes=(10, 20, 30, 50, 100, 300, 1000, 2500),
        chain_sizes=(150, 500, 1500, 5000),
        chain_images=(1, 5, 20, 50),
        chain_replicates=3,
    ),
    "paper": Design(
        sizes=(100, 200, 400, 800, 1600, 3000, 5000),
        images_per_class=(1, 2, 5, 10, 20, 50),
        replicates=20,
        pairs=64,
        subset_sizes=(10, 20, 30, 50, 100, 300, 1000, 2500, 5000),
        chain_sizes=(100, 200, 400, 800, 1600, 3000, 5000),
        chain_images=(1, 2, 5, 10, 20, 50),
        chain_replicates=10,
        removals=16,
        chains=2048,
        step=0.005,
        burn_in=400,
        steps=2000,
    ),
}


def scale(images: torch.Tensor) -> torch.Tensor:
    """Map pixels in [0, 1], (k, C, H, W), to rows (k, d) float64 of norm at most 1: (2p - 1)/sqrt(d)."""
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"images: pixels from {images.min():g} to {images.max():g}, allowed are 0 to 1")
    flat = images.flatten(1).double()
    return (2 * flat - 1) / math.sqrt(flat.shape[1])


def plane(shape: tuple[int, int, int]) -> torch.Tensor:
    """Return two orthonormal images as columns (d, 2): mean brightness, and the slowest vertical cosine."""
    channels, height, width = shape
    wave = torch.cos(math.pi * (torch.arange(height, dtype=torch.float64) + 0.5) / height)
    images = torch.stack([torch.ones_like(wave), wave])[:, None, :, None].expand(2, channels, height, width)
    return torch.nn.functional.normalize(images.flatten(1), dim=1).T


def project(images: torch.Tensor) -> torch.Tensor:
    """Return the coordinates (k, 2) of scaled images (k, C, H, W) in `plane`; a few at a time, for memory."""
    basis = plane(tuple(images.shape[1:]))
    return torch.cat([scale(part) @ basis for part in images.split(500)])


def fitting_sizes(sizes: tuple[int, ...], dataset) -> list[int]:
    """Return the sizes no larger than the smallest class; ValueError when there is none."""
    smallest = int(dataset.train_labels.bincount(minlength=len(dataset.classes)).min())
    fitting = [n for n in sizes if n <= smallest]
    if sizes and not fitting:
        raise ValueError(f"sizes {sizes}: allowed are 2 to {smallest}, the smallest class of {dataset.name}")
    return fitting


def tasks(parameters: Design, dataset) -> list[tuple[str, int, int]]:
    """Return (model, n, replicate); a task covers every m that fits its n."""
    exact = ("gaussian", "gaussian_kl", "logistic", "logistic_replace", "logistic_all_data")
    chains = ("sgld_network", "sgld_network_half_step")
    plan = [
        (exact, parameters.sizes, parameters.replicates),
        (("logistic_random_subset",), parameters.subset_sizes, parameters.replicates),
        (chains[:1], parameters.chain_sizes, parameters.chain_replicates),
        (chains[1:], parameters.chain_sizes, 1),
    ]
    return [
        task
        for models, sizes, replicates in plan
        for task in product(models, fitting_sizes(sizes, dataset), range(replicates))
    ]


def run_task(
    task: tuple[str, int, int], parameters: Design, dataset, seed: int, device: torch.device
) -> list[dict]:
    """Return one row for each m of the task."""
    model, n, replicate = task
    problem = _Problem(parameters, dataset, seed, n, replicate, device)
    measure = {
        "gaussian": _gaussian,
        "gaussian_kl": _gaussian_kl,
        "logistic": _logistic,
        "logistic_replace": _logistic_replace,
        "logistic_all_data": _logistic_all_data,
        "logistic_random_subset": _logistic_random_subset,
        "sgld_network": _network,
        "sgld_network_half_step": _network_half_step,
    }[model]
    common = {
        "model": model,
        "n": n,
        "std_error": 0.0,
        "statistic": "largest_log_ratio",
        "adjacency": "remove",
        "replicate": replicate,
        "class_of_x": problem.classes[0],
        "other_class": problem.classes[1],
        "epsilon0": parameters.epsilon0,
        "dimension": 2,
        "log_normaliser": math.nan,
        "step": math.nan,
    }
    rows = []
    for m in _images_per_class(model, n, parameters):
        lipschitz, row = measure(problem, m)
        row = {"bound": m / n * parameters.epsilon0, "lipschitz": lipschitz} | row
        rows.append(common | {"m": m} | row)
    return rows


def slopes(table: pd.DataFrame, against: str, column: str = "observed") -> pd.DataFrame:
    """Fit ln `column` against ln n or ln m, one slope a replicate.

    Columns model, against, slope, low, high, replicates; `column` is "observed" or "observed_fixed_x".

    The other of n and m is held fixed (an intercept for each of its values). Replicates are independent pairs
    of classes and the 95 % t-interval is over them; models with one replicate or one size are left out.
    """
    if against not in ("n", "m"):
        raise ValueError(f"against {against!r}: known are n, m")
    held = {"n": "m", "m": "n"}[against]
    rows = []
    for model, part in table.groupby("model", sort=False):
        sizes_per_line = part.groupby(["replicate", held])[against].nunique()
        if part["replicate"].nunique() < 2 or sizes_per_line.groupby("replicate").max().min() < 2:
            continue
        fit = log_log(part[against], part[column], within=part[held], clusters=part["replicate"])
        rows.append((model, against, *fit, part["replicate"].nunique()))
    return pd.DataFrame(rows, columns=["model", "against", "slope", "low", "high", "replicates"])


def _images_per_class(model: str, n: int, parameters: Design) -> list[int]:
    if model == "logistic_random_subset":
        return [m for m in parameters.subset_images if math.comb(n, m) <= parameters.largest_enumeration]
    chosen = parameters.chain_images if model.startswith("sgld") else parameters.images_per_class
    return [m for m in chosen if 2 * m <= n]


class _Problem:
    """The images of one (n, replicate): which classes, which T, which S."""

    def __init__(self, parameters, dataset, seed, n, replicate, device):
        gibbs.require_counts(n, 1)
        self.parameters, self.seed, self.n, self.replicate, self.device = (
            parameters,
            seed,
            n,
            replicate,
            device,
        )
        order = torch.randperm(
            len(dataset.classes), generator=generator(seed, "gibbs_ratio classes", replicate)
        )
        self.classes = [int(c) for c in order[:2]]
        self._pools = [dataset.of_class(c).cpu() for c in self.classes]
        self.shape = tuple(self._pools[0].shape[1:])
        self._orders = [
            torch.randperm(len(pool), generator=generator(seed, "gibbs_ratio images", replicate, c))
            for pool, c in zip(self._pools, self.classes, strict=True)
        ]

    @cached_property
    def in_full(self) -> tuple[np.ndarray, int]:
        """T of the class of x, (n, d), and the row of the x that is followed."""
        images = scale(self._pools[0][self._orders[0][: self.n]])
        return images.numpy(), _followed(images, images[:FOLLOWED])

    @cached_property
    def in_plane(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """T of both classes, and all images of the class of x, projected: (n, 2), (n, 2), (pool, 2)."""
        pool, other_order = project(self._pools[0]), self._orders[1][: self.n]
        return pool[self._orders[0][: self.n]], project(self._pools[1][other_order]), pool

    def synthetic(self, points: torch.Tensor, side: int, m: int) -> torch.Tensor:
        """S of one class in the plane, (m, 2): noise images, moved so that their mean is that of `points`."""
        stream = generator(self.seed, "gibbs_ratio initial", self.replicate, self.classes[side], m)
        initial = project(torch.rand(m, *self.shape, generator=stream))
        return initial + points.mean(0) - initial.mean(0)

    def temperature(self, lipschitz: float) -> float:
        return 4 * RADIUS * lipschitz / self.parameters.epsilon0


def _followed(points: torch.Tensor, pool: torch.Tensor) -> int:
    """The row of `points` whose removal is followed through all T: far from the mean of `pool`."""
    return int((points[:FOLLOWED] - pool.mean(0)).norm(dim=1).argmax())


def _worst(observed, bounds, shift_norms, followed: int = -1, **more) -> dict:
    """The row's values at the largest of `observed`; arrays (k,) over what was tried, the fixed x last."""
    worst = int(np.argmax(observed))
    values = {"observed": observed, "bound_this_x": bounds, "shift_norm": shift_norms, **more}
    row = {name: float(value[worst]) for name, value in values.items()}
    return row | {"tried": len(observed), "observed_fixed_x": float(observed[followed])}


def _gaussian(problem: _Problem, m: int) -> tuple[float, dict]:
    rho = problem.parameters.ball_radius
    lipschitz = rho + RADIUS
    temperature = problem.temperature(lipschitz)
    images, followed = problem.in_full
    shifts = gibbs.removal_shifts(images)
    norms = np.linalg.norm(shifts, axis=1)
    observed = gibbs.gaussian_log_ratio(images.mean(0), shifts, m, temperature, rho)
    row = _worst(observed, gibbs.shift_bound(m, 1.0, lipschitz, temperature) * norms, norms, followed)
    return lipschitz, row | {"temperature": temperature, "dimension": images.shape[1]}


def _gaussian_kl(problem: _Problem, m: int) -> tuple[float, dict]:
    temperature = problem.temperature(problem.parameters.ball_radius + RADIUS)
    images, followed = problem.in_full
    norms = np.linalg.norm(gibbs.removal_shifts(images), axis=1)
    observed = gibbs.gaussian_kl(norms, m, temperature)
    more = {
        "bound": gibbs.gaussian_kl(2 * RADIUS / problem.n, m, temperature),
        "temperature": temperature,
        "statistic": "kl_divergence",
        "dimension": images.shape[1],
    }
    return math.inf, _worst(observed, observed, norms, followed) | more


def _grid(problem: _Problem, sizes: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    radial, angular, ring = sizes
    points, prior = gibbs.disk_grid(problem.parameters.disk_radius, radial, angular, ring)
    return points.to(problem.device), prior.to(problem.device)


def _condensed_logistic(
    problem: _Problem, m: int, points, others, shifts: torch.Tensor
) -> tuple[float, dict]:
    """The largest log ratio when the m synthetic images of the first class move by each of shifts (k, 2)."""
    lipschitz = problem.parameters.disk_radius
    temperature = problem.temperature(lipschitz)
    theta, prior = _grid(problem, problem.parameters.grid)
    mine = problem.synthetic(points, 0, m).to(problem.device)
    other = problem.synthetic(others, 1, m).to(problem.device)
    energy = gibbs.logistic_loss(theta, mine, 1.0).sum(0) + gibbs.logistic_loss(theta, other, -1.0).sum(0)
    weights = gibbs.posterior_weights(energy / temperature, prior)
    change = gibbs.shift_change(theta, mine, shifts.to(problem.device), 1.0, temperature)
    observed = gibbs.log_ratio(weights, change).abs().amax(1).cpu().numpy()
    norms = shifts.norm(dim=1).numpy()
    row = _worst(observed, gibbs.shift_bound(m, 1.0, lipschitz, temperature) * norms, norms)
    return lipschitz, row | {"temperature": temperature}


def _logistic(problem: _Problem, m: int) -> tuple[float, dict]:
    points, others, pool = problem.in_plane
    corners = np.append(gibbs.extreme_rows(points.numpy()), _followed(points, pool))
    shifts = gibbs.removal_shifts(points)[corners]
    return _condensed_logistic(problem, m, points, others, shifts)


def _replacements(
    problem: _Problem, points: torch.Tensor, pool: torch.Tensor
) -> tuple[np.ndarray, torch.Tensor]:
    """Which rows of T go, (k,), and what comes for each, (k, 2); the last is the pair that is followed."""
    corners, followed = pool[gibbs.extreme_rows(pool.numpy())], _followed(points, pool)
    leaving = gibbs.extreme_rows(points.numpy())
    pairs = gibbs.farthest_pairs(points[leaving].numpy(), corners.numpy(), problem.parameters.pairs)
    ((_, farthest),) = gibbs.farthest_pairs(points[followed][None].numpy(), corners.numpy(), 1)
    return np.append(leaving[pairs[:, 0]], followed), corners[np.append(pairs[:, 1], farthest)]


def _logistic_replace(problem: _Problem, m: int) -> tuple[float, dict]:
    points, others, pool = problem.in_plane
    leaving, coming = _replacements(problem, points, pool)
    lipschitz, row = _condensed_logistic(problem, m, points, others, (coming - points[leaving]) / problem.n)
    return lipschitz, row | {"adjacency": "replace"}


def _logistic_all_data(problem: _Problem, m: int) -> tuple[float, dict]:
    points, others, pool = (part.to(problem.device) for part in problem.in_plane)
    leaving, coming = _replacements(problem, points.cpu(), pool.cpu())
    lipschitz = problem.parameters.disk_radius
    temperature = problem.temperature(lipschitz) * problem.n / m
    theta, prior = _grid(problem, problem.parameters.grid)
    energy = sum(
        gibbs.logistic_loss(theta, part, label).sum(0)
        for side, label in ((points, 1.0), (others, -1.0))
        for part in side.split(1000)
    )
    weights = gibbs.posterior_weights(energy / temperature, prior)
    coming = coming.to(problem.device)
    shifts = coming - points[leaving]
    change = gibbs.logistic_loss(theta, coming, 1.0) - gibbs.logistic_loss(theta, points[leaving], 1.0)
    observed = gibbs.log_ratio(weights, change / temperature).abs().amax(1).cpu().numpy()
    norms = shifts.norm(dim=1).cpu().numpy()
    row = _worst(observed, gibbs.shift_bound(1, 1.0, lipschitz, temperature) * norms, norms)
    return lipschitz, row | {"temperature": temperature, "adjacency": "replace"}


def _logistic_random_subset(problem: _Problem, m: int) -> tuple[float, dict]:
    points, others, pool = (part.to(problem.device) for part in problem.in_plane)
    leaving, coming = _replacements(problem, points.cpu(), pool.cpu())
    lipschitz, ratio = problem.parameters.disk_radius, m / problem.n
    temperature = problem.temperature(lipschitz)
    theta, prior = _grid(problem, problem.parameters.subset_grid)
    new = gibbs.logistic_loss(theta, coming.to(problem.device), 1.0)
    ratios = gibbs.random_subset_log_ratio(
        gibbs.logistic_loss(theta, points, 1.0),
        gibbs.logistic_loss(theta, others, -1.0),
        list(zip(leaving.tolist(), new, strict=True)),
        m,
        temperature,
        prior,
    )
    norms = (coming - points[leaving].cpu()).norm(dim=1).numpy()
    bounds = [
        gibbs.subset_epsilon(ratio, gibbs.shift_bound(1, norm, lipschitz, temperature)) if norm > 0 else 0.0
        for norm in norms
    ]
    row = _worst(ratios.abs().amax(1).cpu().numpy(), bounds, norms)
    bound = gibbs.subset_epsilon(ratio, problem.parameters.epsilon0)
    return lipschitz, row | {"bound": bound, "temperature": temperature, "adjacency": "replace"}


def _network(problem: _Problem, m: int, refine: int = 1) -> tuple[float, dict]:
    p, device = problem.parameters, problem.device
    points, others, pool = problem.in_plane
    shifts = gibbs.removal_shifts(points)
    corners = shifts[gibbs.extreme_rows(points.numpy())]
    farthest = corners.norm(dim=1).argsort(descending=True, stable=True)[: p.removals]
    shifts = torch.cat([corners[farthest], shifts[[_followed(points, pool)]]])
    lipschitz = langevin.network_lipschitz(p.network_radius)
    temperature = problem.temperature(lipschitz)
    balls = langevin.network_balls(p.hidden, p.network_radius)
    mine, other = (problem.synthetic(part, side, m).to(device) for side, part in enumerate((points, others)))
    labels = torch.ones(m, dtype=torch.float64, device=device)
    stream = generator(
        problem.seed, "gibbs_ratio chains", problem.replicate, problem.n, m, refine, device=device
    )
    visited = langevin.sgld(
        langevin.network_loss,
        torch.cat([mine, other]),
        torch.cat([labels, -labels]),
        temperature,
        langevin.uniform_in_balls(p.chains, balls, stream),
        step=p.step / refine,
        burn_in=p.burn_in * refine,
        steps=p.steps * refine,
        keep_every=p.keep_every * refine,
        generator=stream,
        balls=balls,
        batch=p.batch,
    )
    change = langevin.shift_change(
        langevin.network_loss, visited, mine, labels, shifts.to(device), temperature
    )  # (removals, kept, chains)
    normaliser, error = (value.cpu() for value in langevin.log_normaliser_ratio(change))
    observed = (change.cpu() + normaliser[:, None, None]).abs().amax((1, 2)).numpy()
    norms = shifts.norm(dim=1).numpy()
    bounds = gibbs.shift_bound(m, 1.0, lipschitz, temperature) * norms
    row = _worst(observed, bounds, norms, std_error=error, log_normaliser=normaliser)
    return lipschitz, row | {
        "temperature": temperature,
        "dimension": visited.shape[2],
        "step": p.step / refine,
    }


def _network_half_step(problem: _Problem, m: int) -> tuple[float, dict]:
    return _network(problem, m, refine=2)
