"""How far the synthetic images move when one real image is removed, for a smooth extractor: proof and check.

Distribution matching descends on L(S; T) = || mean_T psi - mean_S psi ||^2; G(S; T) is its gradient in S. T
has n images and T\\x is T without one of them.

Theorem. Let S_0 = S'_0 and S_{t+1} = S_t - eta G_t(S_t; T), S'_{t+1} = S'_t - eta G_t(S'_t; T\\x). Assume
  (a) the same start, chosen without looking at x (x is not one of the initial images);
  (b) the same extractors in both runs (and the same augmentations): G_t may change from step to step, but is
      the same function in both;
  (c) || G_t(S; T) - G_t(S'; T) || <= Lambda || S - S' || on a convex region that holds both runs; the
      segments from S_t to S'_t are enough. This asks for a smooth activation;
  (d) || G_t(S'_t; T) - G_t(S'_t; T\\x) || <= c / n. Where the extractor drawn at step t has features of norm
      at most kappa and a Jacobian of norm at most beta, it follows from the shift of the target, which is at
      most 2 kappa / n (`theory.kernel`, with the kernel of that one extractor): c = 4 beta kappa / sqrt(m);
  (e) I, eta, Lambda and c do not depend on n.
Then || S_I - S'_I || <= (c / (n Lambda)) ((1 + eta Lambda)^I - 1), and c eta I / n for Lambda = 0.

Proof. Let e_t = || S_t - S'_t ||, so e_0 = 0 by (a). Subtract the two steps; by (b)
    S_{t+1} - S'_{t+1} = (S_t - S'_t) - eta [G_t(S_t; T) - G_t(S'_t; T)]
                                      - eta [G_t(S'_t; T) - G_t(S'_t; T\\x)].
By (c) and (d), e_{t+1} <= (1 + eta Lambda) e_t + eta c / n. This is the discrete Gronwall inequality: by
induction e_I <= (eta c / n) sum_{t < I} (1 + eta Lambda)^t, and the geometric sum is the claim; by (e) what
multiplies 1 / n is a constant. No convexity, no inverse. QED

Where G_t is monotone (L convex on the region) and eta <= 2 / Lambda, a step does not stretch e_t, and the
limit c eta I / n holds whatever Lambda is (Hardt, Recht & Singer, ICML 2016, lemma 3.7). Elsewhere the factor
(1 + eta Lambda)^I is the price of possible chaos. With momentum beta the pair (e_t, f_t) of image and
velocity differences obeys f <- beta f + Lambda e + c / n, e <- e + eta f at most: linear in c / n again, so
still O(1 / n).

At a non-degenerate minimiser S* (smallest Hessian eigenvalue mu > 0) and for large n
    S*' - S* = -H^{-1} G(S*; T\\x) + O(1 / n^2),    so || S*' - S* || <= c / (mu n) + O(1 / n^2),
with H the Hessian of L(.; T) at S*, G(S*; T) = 0 and || G(S*; T\\x) || <= c / n. It is assumed that on a ball
around S* the Hessians of L(.; T) and L(.; T\\x) differ by at most c' / n and the third derivatives of L(.; T)
are at most M, and that mu, c, c', M and the ball's radius do not depend on n: S -> S - H^{-1} G(S; T\\x) then
contracts the ball of radius 2 c / (mu n). The linear extractor has no such minimiser for m > 1: its Hessian
has rank d, of m d.

Images are rows, float64: real (n, d), synthetic (m, d). An extractor is a function of rows (N, d) to features
(N, F); R fixed extractors are one, their features joined and divided by sqrt(R) (`SmoothExtractor`).
Norms are Frobenius norms over all m images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.theory import answers, checks

Extractor = Callable[[torch.Tensor], torch.Tensor]
MOST_STEPS = 10_000_000  # of the recursion with momentum, some seconds


@entrance(shapes="weights R k d, biases R k")
@dataclass(frozen=True, eq=False)
class SmoothExtractor:
    """R random networks of one hidden layer, tanh(W x + b) / sqrt(k), as one extractor.

    weights (R, k, d) and biases (R, k), float64. Called on rows (N, d) it returns (N, R k), divided by
    sqrt(R), so that || mean_T psi - mean_S psi ||^2 is the average of the R losses.
    """

    weights: torch.Tensor
    biases: torch.Tensor

    def __post_init__(self) -> None:
        """Refuse weights and biases that are not floats of one dtype."""
        checks.floats(weights=self.weights, biases=self.biases)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the features of all R networks, joined."""
        hidden = torch.tanh(rows @ self.weights.flatten(0, 1).mT + self.biases.flatten())
        return hidden / math.sqrt(self.biases.numel())

    @property
    def jacobian_bound(self) -> float:
        """The root mean square of ||W_r|| / sqrt(k): no point has a Jacobian of larger spectral norm."""
        squares = torch.linalg.matrix_norm(self.weights, 2).square()
        return float((squares.mean() / self.weights.shape[1]).sqrt())

    def proved_constants(self, m: int) -> "Constants":
        """Return c and Lambda that hold for every T, x and S: |tanh'| <= 1, |tanh''| <= 4 / (3 sqrt 3).

        With B = `jacobian_bound`, features of norm at most 1, and differences of two of them at most 2:
        c = (2 / sqrt m) B 2, and Lambda = (2 / m) B^2 (1 + 2 * 4 / (3 sqrt 3)), the first term from the
        Gauss-Newton part of the Hessian, the second from the curvature of tanh.
        """
        checks.counts(m=m)
        bound = self.jacobian_bound
        return Constants(4 * bound / math.sqrt(m), 2 / m * bound**2 * (1 + 8 / (3 * math.sqrt(3))))


@entrance
def smooth_extractor(R: int, k: int, d: int, generator: torch.Generator) -> SmoothExtractor:
    """Draw R networks of k units on d pixels: weights of variance 1 / d, biases of variance 1, normal."""
    checks.counts(R=R, k=k, d=d)
    checks.memory(f"R {R}, k {k}, d {d}", R * k * d)
    draw = {"generator": generator, "dtype": torch.float64, "device": generator.device}
    return SmoothExtractor(torch.randn((R, k, d), **draw) / math.sqrt(d), torch.randn((R, k), **draw))


# --- loss, gradient, Hessian -----------------------------------------------------------------------------


def loss(extractor: Extractor, target: torch.Tensor, synthetic: torch.Tensor) -> torch.Tensor:
    """Return || target - mean_S psi ||^2, target (F,) the mean features of the real images."""
    return (target - extractor(synthetic).mean(0)).square().sum()


def gradient(extractor: Extractor, target: torch.Tensor, synthetic: torch.Tensor) -> torch.Tensor:
    """Return G (m, d), the gradient of `loss` in the synthetic images."""
    return torch.func.grad(lambda s: loss(extractor, target, s))(synthetic)


def hessian(extractor: Extractor, target: torch.Tensor, synthetic: torch.Tensor) -> torch.Tensor:
    """Return the Hessian (m d, m d) of `loss` in the synthetic images."""
    checks.memory(f"synthetic {tuple(synthetic.shape)}", synthetic.numel() ** 2)
    flat = synthetic.flatten()
    function = lambda s: loss(extractor, target, s.view_as(synthetic))  # noqa: E731
    return torch.func.jacrev(torch.func.grad(function))(flat)  # forward mode needs deprecated parts of torch


@entrance(shapes="real n d")
def targets(extractor: Extractor, real: torch.Tensor, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean features (F,) of T and of T without image `index`; ValueError for no such image."""
    checks.floats(real=real)
    checks.place(index, len(real))
    _fits(extractor, real=real)
    features = extractor(real)
    mean = features.mean(0)
    others = torch.cat([features[:index], features[index + 1 :]]).mean(0)
    return mean, others


# --- a fixed number of steps -----------------------------------------------------------------------------


class Constants(NamedTuple):
    """c and Lambda of the theorem."""

    c: float
    Lambda: float


@entrance(shapes="target F, initial m d")
def descend(
    extractor: Extractor,
    target: torch.Tensor,
    initial: torch.Tensor,
    steps: int,
    step_size: float,
    momentum: float = 0.0,
) -> torch.Tensor:
    """Return the path (steps + 1, m, d) of descent on `loss` from `initial`; DivergenceError names a step."""
    checks.floats(target=target, initial=initial)
    _fits(extractor, target, initial=initial)
    checks.counts(0, steps=steps)
    validate.not_negative("step_size", step_size)
    validate.fraction("momentum", momentum)
    checks.memory(f"steps {steps}, initial {tuple(initial.shape)}", (steps + 1) * initial.numel())
    path, velocity = [initial], torch.zeros_like(initial)
    for step in range(steps):
        velocity = momentum * velocity + gradient(extractor, target, path[-1])
        path.append(path[-1] - step_size * velocity)
        answers.finite(f"step_size {step_size}, step {step}", path[-1], "the path")
    return torch.stack(path)


@entrance(shapes="real n d, initial m d")
def shift_path(
    extractor: Extractor,
    real: torch.Tensor,
    index: int,
    initial: torch.Tensor,
    steps: int,
    step_size: float,
    momentum: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run T and T\\x from one start; return || S_t - S'_t || (steps + 1,) and both paths."""
    checks.floats(real=real, initial=initial)
    paths = [
        descend(extractor, target, initial, steps, step_size, momentum)
        for target in targets(extractor, real, index)
    ]
    return (paths[0] - paths[1]).flatten(1).norm(dim=1), paths[0], paths[1]


@entrance(shapes="real n d, path T m d, other T m d")
def measured_constants(
    extractor: Extractor,
    real: torch.Tensor,
    index: int,
    path: torch.Tensor,
    other: torch.Tensor,
    points: int = 3,
) -> Constants:
    """Measure c and Lambda along the two runs that `shift_path` returned.

    Lambda is the largest spectral norm of the Hessian of L(.; T) at `points` (2 to 1,000) points of each
    segment from S_t to S'_t, both ends included; c is n times the largest || G(S; T) - G(S; T\\x) || at the
    ends. Lambda is a maximum over samples, not proved; those of `SmoothExtractor.proved_constants` are.
    """
    checks.floats(real=real, path=path, other=other)
    _fits(extractor, real=real)
    validate.whole("points", points, 2, 1000)
    checks.memory(f"path {tuple(path.shape)}", path[0].numel() ** 2)
    mean, others = targets(extractor, real, index)
    largest = difference = 0.0
    for s, s_other in zip(path, other, strict=True):
        for share in torch.linspace(0, 1, points).tolist():
            between = s + share * (s_other - s)
            norm = torch.linalg.eigvalsh(hessian(extractor, mean, between)).abs().max()
            largest = max(largest, float(norm))
        for end in (s, s_other):
            moved = gradient(extractor, mean, end) - gradient(extractor, others, end)
            difference = max(difference, float(moved.norm()))
    return Constants(len(real) * difference, largest)


@entrance
@checks.naming("c", "Lambda", "step_size", "steps")
def stability_bound(
    c: float, n: int, Lambda: float, step_size: float, steps: int, momentum: float = 0.0
) -> float:
    """Return the theorem's bound on || S_I - S'_I ||: (c / (n Lambda)) ((1 + eta Lambda)^I - 1).

    Its limit c eta I / n at Lambda = 0. With momentum, the recursion of the module's docstring.

    >>> stability_bound(c=3.0, n=100, Lambda=0.0, step_size=0.5, steps=10)
    0.15
    >>> round(stability_bound(c=3.0, n=100, Lambda=2.0, step_size=0.5, steps=3), 6)
    0.105
    """
    for name, value in (("c", c), ("Lambda", Lambda), ("step_size", step_size)):
        validate.not_negative(name, value)
    validate.whole("n", n, 1)
    validate.fraction("momentum", momentum)
    validate.whole("steps", steps, 0, MOST_STEPS)
    if momentum:
        image = velocity = 0.0
        for _ in range(steps):
            velocity = momentum * velocity + Lambda * image + c / n
            image += step_size * velocity
        return image
    if Lambda == 0:
        return c * step_size * steps / n
    return c / (n * Lambda) * math.expm1(steps * math.log1p(step_size * Lambda))


# --- a non-degenerate minimiser --------------------------------------------------------------------------


class DegenerateError(DivergenceError):
    """The search for a minimiser ended at a point that is none, or is a degenerate one."""


class Minimiser(NamedTuple):
    """A stationary point (m, d), the norm of the gradient there, and the smallest Hessian eigenvalue."""

    synthetic: torch.Tensor
    gradient_norm: float
    mu: float


@entrance(shapes="target F, initial m d")
def minimise(
    extractor: Extractor,
    target: torch.Tensor,
    initial: torch.Tensor,
    tolerance: float = 1e-12,
    iterations: int = 200,
) -> Minimiser:
    """Find a minimiser of `loss` from `initial` (m, d) by damped Newton steps (Levenberg's damping).

    DegenerateError when the gradient does not fall below the tolerance or the point is degenerate (mu <= 0):
    such a point is no minimiser that the theorem speaks of.
    """
    checks.floats(target=target, initial=initial)
    _fits(extractor, target, initial=initial)
    checks.positive(tolerance=tolerance)
    validate.whole("iterations", iterations, 1)
    checks.memory(f"initial {tuple(initial.shape)}", initial.numel() ** 2)
    s, damping = initial, 1.0
    for _ in range(iterations):
        slope = gradient(extractor, target, s).flatten()
        if float(slope.norm()) < tolerance:
            break
        H = hessian(extractor, target, s)
        values, vectors = torch.linalg.eigh(H)
        step = vectors @ ((vectors.mT @ slope) / (values.abs() + damping))
        moved = s - step.view_as(s)
        if loss(extractor, target, moved) <= loss(extractor, target, s):
            s, damping = moved, damping / 10
        elif float(slope.norm()) < 1e-8:  # too close for the loss to tell: plain Newton
            s = s - torch.linalg.solve(H, slope).view_as(s)
        else:
            damping = max(damping * 10, 1e-12)
    norm = float(gradient(extractor, target, s).norm())
    mu = float(torch.linalg.eigvalsh(hessian(extractor, target, s))[0])
    if not norm < tolerance or not mu > 0:
        raise DegenerateError(
            f"initial {tuple(initial.shape)}: the search from this start ends at gradient {norm:.1e}, "
            f"mu {mu:.1e}: allowed are below {tolerance:.1e}, above 0"
        )
    return Minimiser(s, norm, mu)


@entrance(shapes="real n d, synthetic m d")
def predicted_shift(
    extractor: Extractor, real: torch.Tensor, index: int, synthetic: torch.Tensor
) -> torch.Tensor:
    """Return -H^{-1} [G(S*; T\\x) - G(S*; T)] (m, d): how S* moves to first order when image `index` goes."""
    checks.floats(real=real, synthetic=synthetic)
    checks.memory(f"synthetic {tuple(synthetic.shape)}", synthetic.numel() ** 2)
    _fits(extractor, real=real, synthetic=synthetic)
    mean, others = targets(extractor, real, index)
    moved = gradient(extractor, others, synthetic) - gradient(extractor, mean, synthetic)
    H = hessian(extractor, mean, synthetic)
    try:
        return -torch.linalg.solve(H, moved.flatten()).view_as(synthetic)
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f"synthetic {tuple(synthetic.shape)}: allowed are points where the Hessian has an inverse"
        ) from error


def _fits(extractor: Extractor, target: torch.Tensor | None = None, **rows: torch.Tensor) -> None:
    """Refuse images, by name, and mean features that are not those of the extractor, and what it returns."""
    if not isinstance(extractor, SmoothExtractor):
        width = 0 if target is None else len(target)
        for name, images in rows.items():
            answers.features(f"extractor({name})", extractor, images, width)
        return
    dtype, d, features = extractor.weights.dtype, extractor.weights.shape[-1], extractor.biases.numel()
    for name, images in rows.items():
        if images.dtype != dtype or images.shape[-1] != d:
            raise ValueError(
                f"{name} {images.dtype} {tuple(images.shape)}: allowed are {dtype}, {d} numbers in a row, "
                "as the extractor takes them"
            )
    if target is not None and target.shape != (features,):
        raise ValueError(
            f"target {tuple(target.shape)}: allowed are the {features} features of the extractor"
        )
