"""Distribution matching through a linear extractor: closed forms, the descent itself, and its noise.

Notation of the chapter "Linear extractors: the proof". Real images x_1..x_n in R^d with mean xbar, synthetic
images s_1..s_m with mean sbar, gap D = xbar - sbar. The extractor is psi_theta(x) = theta x with theta in
R^{k x d}, entries independent, mean 0, variance v. Distribution matching (Zhao & Bilen 2023) minimises
L(S) = E_theta || mean psi_theta(x_i) - mean psi_theta(s_j) ||^2. One class at a time: n and m are per class.

Images are rows: `real` is (n, d), `synthetic` (m, d), an extractor (k, d), a batch of extractors (R, k, d),
all of one floating dtype (float64 in the checks). Functions that take a gap accept any leading shape.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy import stats
from scipy.optimize import brentq

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import answers, checks
from privacy_for_free.theory.linear_extractors import balanced_extractors, random_extractors


@entrance(shapes="images N C H W")
def flatten(images: torch.Tensor, pool: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Average-pool images (N, C, H, W) by `pool` and flatten them to rows (N, d), d = C H W / pool^2."""
    validate.whole("pool", pool, 1)
    if images.shape[-1] % pool or images.shape[-2] % pool:
        raise ValueError(f"pool {pool}: allowed are divisors of the image size {tuple(images.shape[-2:])}")
    return torch.nn.functional.avg_pool2d(images.to(dtype), pool).flatten(1)


# --- loss, gradient, minimisers (1.1) --------------------------------------------------------------------


def matching_loss(extractors: torch.Tensor, real: torch.Tensor, synthetic: torch.Tensor) -> torch.Tensor:
    """DM's loss averaged over extractors (R, k, d), as the algorithm computes it: features, means, square."""
    gap = (real @ extractors.mT).mean(-2) - (synthetic @ extractors.mT).mean(-2)
    return gap.square().sum(-1).mean()


@entrance
def expected_loss(gap: torch.Tensor, k: int, variance: float = 1.0) -> torch.Tensor:
    """L(S) = v k ||D||^2, for gaps (..., d): the expectation of `matching_loss` over theta."""
    checks.setting(k=k, variance=variance)
    return variance * k * gap.square().sum(-1)


@entrance
def expected_gradient(gap: torch.Tensor, m: int, k: int, variance: float = 1.0) -> torch.Tensor:
    """The gradient of L in any one s_j: -(2 v k / m) D; it is the same for every j."""
    checks.setting(m=m, k=k, variance=variance)
    return -(2 * variance * k / m) * gap


@entrance(shapes="initial m d, real n d")
def minimiser(initial: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """The minimiser that gradient descent reaches from `initial` (m, d): s_j + (xbar - sbar)."""
    checks.floats(real=real, initial=initial)
    return initial + (real.mean(0) - initial.mean(0))


# --- dynamics (1.2) --------------------------------------------------------------------------------------


@entrance
def contraction(step_size: float, m: int, k: int, variance: float = 1.0) -> float:
    """The factor of D in one step on the expected loss, 1 - 2 eta v k / m."""
    checks.setting(step_size=step_size, m=m, k=k, variance=variance)
    return 1 - 2 * step_size * variance * k / m


@entrance
def largest_step(m: int, k: int, variance: float = 1.0) -> float:
    """Step sizes below m / (v k) converge on the expected loss, steps above diverge.

    >>> largest_step(m=10, k=4)
    2.5
    """
    checks.setting(m=m, k=k, variance=variance)
    return m / (variance * k)


@entrance
@checks.naming("step_size", "m", "variance")
def mean_square_factor(step_size: float, m: int, k: int, d: int, variance: float = 1.0) -> float:
    """E||D'||^2 / ||D||^2 of one step with a fresh Gaussian theta: 1 - 2 a k + a^2 k (k+d+1), a = 2 eta v/m.

    Source: E[Theta^2] = k (k + d + 1) I for Theta = theta^T theta a standard Wishart matrix.
    """
    checks.setting(step_size=step_size, m=m, k=k, d=d, variance=variance)
    a = 2 * step_size * variance / m
    return 1 - 2 * a * k + a**2 * k * (k + d + 1)


@entrance
def largest_step_fresh(m: int, k: int, d: int, variance: float = 1.0) -> float:
    """Fresh Gaussian extractors are mean-square stable below m / (v (k + d + 1)), unstable above.

    >>> round(mean_square_factor(largest_step_fresh(m=10, k=4, d=7), m=10, k=4, d=7), 12)
    1.0
    """
    checks.setting(m=m, k=k, d=d, variance=variance)
    return m / (variance * (k + d + 1))


@entrance
@checks.naming("step_size", "m", "variance")
def mean_log_factor(
    step_size: float, m: int, k: int, d: int, variance: float = 1.0, nodes: int = 200
) -> float:
    """E ln(||D'||^2 / ||D||^2) of one step with a fresh Gaussian theta, d >= 2.

    Its sign decides whether a single run converges almost surely, which is a weaker demand than mean-square
    stability. With q ~ chi2(k) and c ~ chi2(d - 1) independent, the ratio is (1 - a q)^2 + a^2 q c: the
    first term along D, the second across it. Integrated by Gauss-Legendre in the two quantiles.
    """
    checks.setting(step_size=step_size, m=m, k=k, variance=variance)
    checks.counts(2, d=d)
    validate.whole("nodes", nodes, 1, 2000)
    a = 2 * step_size * variance / m
    points, weights = np.polynomial.legendre.leggauss(nodes)
    points, weights = (points + 1) / 2, weights / 2
    q, c = stats.chi2.ppf(points, k)[:, None], stats.chi2.ppf(points, d - 1)[None, :]
    return float(weights @ np.log((1 - a * q) ** 2 + a**2 * q * c) @ weights)


@entrance
def single_run_threshold(k: int, d: int) -> float:
    """Return the step size at which single runs stop converging, over `largest_step_fresh`; d >= 2, any m.

    There `mean_log_factor` is 0; up to 3 times the mean-square threshold is searched.
    """
    largest = largest_step_fresh(1, k, d)
    return brentq(lambda share: mean_log_factor(share * largest, 1, k, d), 0.9, 3)


@entrance(shapes="initial m d, real n d, extractors R k d")
def descend(
    initial: torch.Tensor,
    real: torch.Tensor,
    extractors: torch.Tensor | Callable[[int], torch.Tensor],
    steps: int,
    step_size: float,
    *,
    batches: Callable[[int], torch.Tensor] | None = None,
    optimiser: Callable[[list[torch.Tensor]], torch.optim.Optimizer] | None = None,
) -> torch.Tensor:
    """Run distribution matching itself, by automatic differentiation of `matching_loss`; return S (m, d).

    `extractors` is a fixed set (R, k, d) or a function of the step that returns a fresh one; `batches`
    returns the indices of the real images that step sees (all, if left out); `optimiser` makes a torch
    optimiser of [S] (plain descent, if left out). ValueError names a function that returns something else,
    and the step; DivergenceError the step at which S stops being finite.
    """
    checks.floats(initial=initial, real=real, extractors=None if callable(extractors) else extractors)
    checks.setting(step_size=step_size)
    checks.counts(0, steps=steps)
    synthetic = initial.detach().clone().requires_grad_(True)
    descent = answers.optimiser(optimiser or partial(torch.optim.SGD, lr=step_size), synthetic)
    for step in range(steps):
        theta = answers.extractors(extractors, step, real) if callable(extractors) else extractors
        seen = real if batches is None else real[answers.batch(batches, step, len(real))]
        descent.zero_grad()
        matching_loss(theta, seen, synthetic).backward()
        descent.step()
        answers.finite(f"step_size {step_size}, step {step}", synthetic.detach(), "the set")
    return synthetic.detach()


@entrance(shapes="initial m d, real n d")
@checks.naming("step_size", "k")
def compare_descents(
    initial: torch.Tensor,
    real: torch.Tensor,
    k: int,
    steps: int,
    step_size: float,
    batch: int,
    draw: Callable[..., torch.Generator],
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Follow the length of the gap under four ways to draw, from one start, with Gaussian theta of v = 1.

    Returns, for "expected loss", "fresh extractors", "fresh extractors, minibatches" and "one extractor", the
    lengths that were run and the root mean squares that theory predicts, each (steps + 1,) and relative to
    the start; for one extractor the prediction is where it ends, sqrt(1 - k/d) on average over theta.
    `draw(purpose, *index)` makes the generators.
    """
    checks.floats(initial=initial, real=real)
    checks.setting(step_size=step_size, k=k, steps=steps)
    validate.whole("batch", batch, 1, len(real))
    (m, d), mean = initial.shape, real.mean(0, keepdim=True)
    kept = random_extractors(1, k, d, draw("kept"))
    ways = {
        "expected loss": (balanced_extractors(k, d, draw("balanced")), None),
        "fresh extractors": (lambda step: random_extractors(1, k, d, draw("fresh", step)), None),
        "fresh extractors, minibatches": (
            lambda step: random_extractors(1, k, d, draw("both", step)),
            lambda step: torch.randperm(len(real), generator=draw("batch", step), device=real.device)[:batch],
        ),
        "one extractor": (kept, None),
    }
    factor = mean_square_factor(step_size, m, k, d)
    added = (2 * step_size / m) ** 2 * k * (k + d + 1) * float(batch_covariance(real, batch).trace())
    start = (mean - initial.mean(0)).norm()
    descents = {}
    for name, (extractors, batches) in ways.items():
        synthetic, lengths, square = initial, [1.0], [1.0]
        for step in range(steps):
            theta = extractors(step) if callable(extractors) else extractors
            seen = mean if batches is None else real[batches(step)]
            moved = synthetic.clone().requires_grad_(True)  # one step of `descend`, which wants finite images
            matching_loss(theta, seen, moved).backward()
            torch.optim.SGD([moved], lr=step_size).step()
            synthetic = moved.detach()
            lengths.append(float((mean - synthetic.mean(0)).norm() / start))
            square.append(factor * square[-1] + (added / float(start) ** 2 if batches else 0.0))
        if name == "expected loss":
            square = [contraction(step_size, m, k) ** (2 * step) for step in range(steps + 1)]
        if name == "one extractor":
            square = [1 - k / d] * (steps + 1)
        descents[name] = torch.tensor(lengths), torch.tensor(square).sqrt()
    return descents


@entrance(shapes="gap ... d, theta ... k d")
def fresh_step(gap: torch.Tensor, theta: torch.Tensor, step_size: float, m: int) -> torch.Tensor:
    """The gap after one step: (I - (2 eta/m) theta^T theta) D, for gaps (..., d), extractors (..., k, d)."""
    checks.floats(gap=gap, theta=theta)
    checks.setting(step_size=step_size, m=m)
    along = theta @ gap.unsqueeze(-1)
    return gap - (2 * step_size / m) * (theta.mT @ along).squeeze(-1)


@entrance(shapes="theta k d, vector d")
def row_space_projection(theta: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Project a vector (d,) on the row space of one extractor (k, d): what a theta kept for ever can see."""
    checks.floats(theta=theta, vector=vector)
    basis = torch.linalg.svd(theta, full_matrices=False).Vh
    return basis.mT @ (basis @ vector)


# --- minibatches (1.2) -----------------------------------------------------------------------------------


@entrance(shapes="real n d")
def batch_covariance(real: torch.Tensor, batch: int) -> torch.Tensor:
    """Covariance (d, d) of the mean of `batch` of the n images drawn without replacement.

    (Sigma / b) (n - b) / (n - 1), with Sigma the covariance of the images with divisor n.
    """
    checks.floats(real=real)
    checks.memory(f"real {tuple(real.shape)}", real.shape[1] ** 2)
    if (n := len(real)) < 2 or not 1 <= batch <= n:
        raise ValueError(f"batch {batch}: allowed are 1 to the number of real images, {n} (at least 2)")
    centred = real - real.mean(0)
    return (centred.mT @ centred / n) * ((n - batch) / (batch * (n - 1)))


@entrance(shapes="batch_cov d d")
def stationary_covariance(batch_cov: torch.Tensor, step_size: float, m: int, k: int) -> torch.Tensor:
    """Covariance (d, d) of sbar around xbar on the expected loss: g / (2 - g) C, g = 2 eta k / m (v = 1)."""
    checks.floats(batch_cov=batch_cov)
    checks.counts(m=m, k=k)
    rate = 2 * step_size * k / m
    if not 0 < rate < 2:
        raise ValueError(f"step_size {step_size}: stationary only between 0 and {largest_step(m, k)}")
    return rate / (2 - rate) * batch_cov


@entrance(shapes="covariance d d, batch_cov d d")
@checks.naming("step_size", "m", "k")
def covariance_step(
    covariance: torch.Tensor, batch_cov: torch.Tensor, step_size: float, m: int, k: int
) -> torch.Tensor:
    """One step of the covariance (d, d) of sbar - xbar with minibatches and fresh Gaussian theta (v = 1).

    M' = M - 2 a k M + a^2 k [(k+1)(M + C) + tr(M + C) I], a = 2 eta / m, from
    E[Theta M Theta] = k (k+1) M + k tr(M) I for the Wishart matrix Theta = theta^T theta.
    """
    checks.floats(covariance=covariance, batch_cov=batch_cov)
    checks.setting(step_size=step_size, m=m, k=k)
    a = 2 * step_size / m
    both = covariance + batch_cov
    spread = (k + 1) * both + both.trace() * torch.eye(len(both)).to(both)
    return (1 - 2 * a * k) * covariance + a**2 * k * spread


@entrance(shapes="batch_cov d d")
def stationary_covariance_fresh(batch_cov: torch.Tensor, step_size: float, m: int, k: int) -> torch.Tensor:
    """The fixed point (d, d) of `covariance_step`: fresh extractors spread the noise over every direction.

    A statement of the proof; nothing computes with it, tests check `covariance_step` and SymPy against it.
    With a = 2 eta / m: tr M = a (k+d+1) / (2 - a (k+d+1)) tr C and
    M = a [(k+1) C + tr(M + C) I] / (2 - a (k+1)).
    """
    checks.floats(batch_cov=batch_cov)
    checks.counts(m=m, k=k)
    d = len(batch_cov)
    a = 2 * step_size / m
    if not 0 < a * (k + d + 1) < 2:
        raise ValueError(
            f"step_size {step_size}: stationary only between 0 and {largest_step_fresh(m, k, d)}"
        )
    trace = batch_cov.trace() * (1 + a * (k + d + 1) / (2 - a * (k + d + 1)))
    return a * ((k + 1) * batch_cov + trace * torch.eye(d).to(batch_cov)) / (2 - a * (k + 1))


# --- one sample (1.3) ------------------------------------------------------------------------------------


@entrance(shapes="real n d")
def removal_shift(real: torch.Tensor, index: int) -> torch.Tensor:
    """How every s_j (d,) moves when image `index` is removed, the initialisation being the same.

    mean of the others - mean of all = (mean of the others - x) / n; its norm is at most 2 B / n if
    ||x|| <= B for every image.
    """
    checks.floats(real=real)
    checks.place(index, n := len(real))
    others = (real.sum(0) - real[index]) / (n - 1)
    return (others - real[index]) / n


@entrance(shapes="real n d")
def without(real: torch.Tensor, index: int) -> torch.Tensor:
    """The real images (n - 1, d) without image `index`."""
    checks.place(index, len(real))
    return torch.cat([real[:index], real[index + 1 :]])


@entrance(shapes="synthetic m d, known d")
def recover_from_one(synthetic: torch.Tensor, known_index: int, known: torch.Tensor) -> torch.Tensor:
    """The initial images (m, d) of a linear run from real images, given one of them: s_j - s_i + x_i."""
    checks.floats(synthetic=synthetic, known=known)
    validate.whole("known_index", known_index, 0, len(synthetic) - 1)
    return synthetic - synthetic[known_index] + known


@entrance(shapes="synthetic m d")
def recover_from_black(synthetic: torch.Tensor) -> torch.Tensor:
    """A guess at the initial images (m, d) with no image known: the darkest of the m at each pixel is black.

    Real initialisation adds one common image to all, s_j = x_j + c. Where some x_j is black (0), c is the
    minimum over j, and every image is right there. Photographs have few black pixels, line drawings many.
    """
    checks.floats(synthetic=synthetic)
    return synthetic - synthetic.amin(0)
