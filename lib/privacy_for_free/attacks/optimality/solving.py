"""Solutions of the equations: scores of the pool's images, higher for members."""

import math
from collections.abc import Callable, Sequence

import torch

from privacy_for_free.attacks.optimality.system import Equations, check_memory
from privacy_for_free.attacks.optimality.whitening import LowRank, low_rank
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator

STEPS = 200  # of the bidiagonalisation without a matrix
PROBES = 16  # random signs from which the scale of the equations is estimated there
BOX_STEPS = 500  # of projected gradient descent
ROUNDING = 1e-14  # of the largest eigenvalue: what is below is none
BLOCK = 1024  # rows of the matrix made float64 at a time


@entrance
def solve(equations: Equations, ridge: float, whiten: bool = False, box: bool = False) -> torch.Tensor:
    """Return the scores of the pool's images for one ridge, float64, N: see `solve_all`."""
    return solve_all(equations, (ridge,), whiten, box)[0]


@entrance
def solve_all(
    equations: Equations, ridges: Sequence[float], whiten: bool = False, box: bool = False
) -> torch.Tensor:
    """Return the estimates of b for each ridge: float64, ridges x N, each of sum n.

    ridges  in units of the mean eigenvalue of A_0^T A_0 (over the min(N - 1, rows) that may differ from 0).
            The estimate is the posterior mean of b under a Gaussian prior of mean n/N and variance 1/4 if the
            equations have independent errors of variance ridge/4, in these units
    whiten  weigh the equations by the inverse of the shrunken covariance of the extractors' own ones
    box     the same minimum within 0 <= b <= 1, by accelerated projected gradient descent (Beck and
            Teboulle, SIAM Journal on Imaging Sciences 2, 2009), at most BOX_STEPS steps

    With the matrix one eigendecomposition serves all ridges; without it one Golub-Kahan bidiagonalisation,
    the steps of LSQR (Paige and Saunders, ACM TOMS 8, 1982), of at most STEPS steps. ValueError for ridges
    that are not above 0.
    """
    for ridge in ridges:
        validate.positive("ridge", ridge)
    if not ridges:
        raise ValueError("ridges (): allowed are one or more numbers above 0")
    with devices.steady_threads(equations.gap.device):
        covariance = low_rank(equations.gradients) if whiten else None
        solver = Products(equations, covariance) if equations.matrix is None else Gram(equations, covariance)
        found = torch.stack([solver.ridge(ridge) for ridge in ridges])
        if box:
            base = equations.members / equations.candidates
            found = torch.stack(
                [
                    boxed(solver, ridge * solver.scale, start, base)[1]
                    for ridge, start in zip(ridges, found, strict=True)
                ]
            )
    return found + equations.members / equations.candidates


class Gram:
    """The normal equations with the matrix, in the smaller of their two forms."""

    def __init__(self, equations: Equations, covariance: LowRank | None) -> None:
        """Decompose the smaller Gram matrix; `scale` is the unit of ridges, `largest` an eigenvalue."""
        matrix, rows, N = equations.matrix, equations.rows, equations.candidates
        small = min(rows, N)
        check_memory("normal equations", 8 * 5 * small**2 + matrix.numel() * (16 if rows < N else 4))
        self.wide = rows < N
        gap = equations.gap
        if self.wide:
            wide = matrix.double()
            self.weighted = wide if covariance is None else covariance.root(wide)
            self.right = gap if covariance is None else covariance.root(gap)
            gram = self.weighted @ self.weighted.T
        else:
            gram, self.right = _normal(matrix, gap, covariance)
            self.gram = gram
        self.values, self.vectors = torch.linalg.eigh(gram)
        self.values = self.values.clamp_min(0)
        self.scale = float(self.values.sum()) / max(1, min(rows, N - 1))
        self.largest = float(self.values[-1])
        self.share = max(1, min(rows, N - 1)) / N
        self.projected = self.vectors.T @ self.right
        self.moment = self.weighted.T @ self.right if self.wide else self.right

    def ridge(self, ridge: float) -> torch.Tensor:
        """Return b - n/N of the ridge."""
        damped = (self.values + ridge * self.scale).clamp_min(ROUNDING * self.largest)
        # Equations that are all 0 say nothing.
        found = self.vectors @ (self.projected / damped) if self.scale > 0 else self.vectors[:, 0] * 0
        return self.weighted.T @ found if self.wide else found

    def normal(self, b: torch.Tensor) -> torch.Tensor:
        """Return A_0^T A_0 b, weighted."""
        return self.weighted.T @ (self.weighted @ b) if self.wide else self.gram @ b


def _normal(
    matrix: torch.Tensor, gap: torch.Tensor, covariance: LowRank | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A_0^T M^-1 A_0 (N x N) and A_0^T M^-1 gap (N), float64, from blocks of the matrix's rows."""
    N, float64 = matrix.shape[1], torch.float64
    gram = torch.zeros((N, N), dtype=float64, device=matrix.device)
    right = torch.zeros(N, dtype=float64, device=matrix.device)
    rank = 0 if covariance is None else len(covariance.values)
    inner = torch.zeros((rank, N), dtype=float64, device=matrix.device)
    for start in range(0, len(matrix), BLOCK):
        rows = slice(start, start + BLOCK)
        block = matrix[rows].double()
        gram.addmm_(block.T, block)
        right.addmv_(block.T, gap[rows])
        if covariance is not None:
            inner.addmm_(covariance.basis[rows].T, block)
    if covariance is not None:
        share = covariance.values / (covariance.values + covariance.floor)
        gram.addmm_(inner.T, share[:, None] * inner, alpha=-1)
        right -= inner.T @ (share * (covariance.basis.T @ gap))
        gram /= covariance.floor
        right /= covariance.floor
    return gram, right


class Products:
    """The same without a matrix: bidiagonalisation with every direction kept and orthogonal to all others."""

    def __init__(self, equations: Equations, covariance: LowRank | None) -> None:
        """Bidiagonalise; `scale` is estimated from PROBES random signs."""
        self.equations = equations
        weigh = (lambda y: y) if covariance is None else covariance.root
        self.forward = lambda b: weigh(equations.forward(b))
        self.backward = lambda y: equations.backward(weigh(y))
        rows, N = equations.rows, equations.candidates
        right = weigh(equations.gap)
        random = generator(0, "optimality probes")
        total = 0.0
        for _ in range(PROBES):
            signs = torch.randint(0, 2, (rows,), generator=random).double() * 2 - 1
            total += float(self.backward(signs.to(right.device)).square().sum()) / PROBES
        self.scale = total / max(1, min(rows, N - 1))
        self.share = max(1, min(rows, N - 1)) / N
        self.moment = self.backward(right)
        self._bidiagonalise(right, min(STEPS, rows, N - 1))
        self.largest = float(torch.linalg.matrix_norm(self.small, 2)) ** 2 * 1.05 if self.size else 1.0

    def _bidiagonalise(self, right: torch.Tensor, steps: int) -> None:
        """Find V (N x k) and the lower bidiagonal B (k+1 x k) with A_0 V = U B, U of first column gap."""
        self.beta = float(right.norm())
        self.size, diagonal, below, V = 0, [], [], []
        U = [right / self.beta] if self.beta > 0 else []
        v, alpha = self.moment / self.beta if U else self.moment, 0.0
        first = None
        while U and len(V) < steps:
            v = _apart(v, V)
            alpha = float(v.norm())
            first = alpha if first is None else first
            if not alpha > 1e-12 * first:
                break
            V.append(v / alpha)
            diagonal.append(alpha)
            u = _apart(self.forward(V[-1]) - alpha * U[-1], U)
            beta = float(u.norm())
            below.append(beta)
            if not beta > 1e-12 * first:
                break
            U.append(u / beta)
            v = self.backward(U[-1]) - beta * V[-1]
        self.size = len(V)
        self.basis = torch.stack(V, 1) if V else self.moment.new_zeros((len(self.moment), 0))
        self.small = self.moment.new_zeros((self.size + 1, self.size))
        for k in range(self.size):
            self.small[k, k], self.small[k + 1, k] = diagonal[k], below[k]

    def ridge(self, ridge: float) -> torch.Tensor:
        """Return b - n/N of the ridge."""
        if not self.size:
            return torch.zeros_like(self.moment)
        U, values, V = torch.linalg.svd(self.small, full_matrices=False)
        damped = (values.square() + ridge * self.scale).clamp_min(ROUNDING * self.largest)
        inner = V.T @ (values / damped * (U[0] * self.beta))
        return self.basis @ inner

    def normal(self, b: torch.Tensor) -> torch.Tensor:
        """Return A_0^T A_0 b, weighted."""
        return self.backward(self.forward(b))


def _apart(vector: torch.Tensor, others: list[torch.Tensor]) -> torch.Tensor:
    """Return the vector less its parts in orthonormal directions, twice, as rounding asks."""
    if others:
        basis = torch.stack(others, 1)
        for _ in range(2):
            vector = vector - basis @ (basis.T @ vector)
    return vector


def boxed(
    solver: "Gram | Products", damping: float, start: torch.Tensor, base: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the minimiser of 1/2 b^T (G + damping) b - moment^T b with -base <= b <= 1 - base, sum 0, and
    scores that tell those at a bound apart.

    A score is where the candidate's own parabola has its minimum, with the multiplier of the sum taken off
    and the mean curvature of all: the estimate itself where that lies inside of the bounds.
    """
    b = project(start, -base, 1 - base)
    if not math.isfinite(solver.largest + damping):
        return b, b
    rate = 1 / (solver.largest + damping) if solver.largest + damping > 0 else 1.0
    ahead, momentum = b, 1.0
    steps = BOX_STEPS if isinstance(solver, Gram) else STEPS
    for _ in range(steps):
        gradient = solver.normal(ahead) + damping * ahead - solver.moment
        new = project(ahead - rate * gradient, -base, 1 - base)
        if float(gradient @ (new - b)) > 0:  # going up: start again without momentum
            momentum = 1.0
        grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        change = new - b
        ahead, b, momentum = new + (momentum - 1) / grown * change, new, grown
        if float(change.abs().max()) < 1e-7:
            break
    gradient = solver.normal(b) + damping * b - solver.moment
    free = (b > -base) & (b < 1 - base)
    level = gradient[free].mean() if bool(free.any()) else gradient.mean()
    curvature = solver.scale * solver.share + damping
    pull = torch.where(free, 0.0, (gradient - level) / curvature if curvature > 0 else 0.0)
    return b, b - pull


def project(b: torch.Tensor, low: float, high: float, total: float = 0.0) -> torch.Tensor:
    """Return the nearest point with low <= b <= high and sum `total`, by bisection of its shift."""
    shifted: Callable[[float], torch.Tensor] = lambda shift: (b - shift).clamp(low, high)  # noqa: E731
    least, most = float(b.min()) - high, float(b.max()) - low
    for _ in range(60):
        middle = (least + most) / 2
        if float(shifted(middle).sum()) > total:
            least = middle
        else:
            most = middle
    return shifted((least + most) / 2)
