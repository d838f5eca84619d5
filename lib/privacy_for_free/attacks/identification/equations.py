"""The linear equations that a released class mean puts on who is a member, in the pool's own directions.

Images of one class are rows, N x d; b, N, is 1 for the n members and 0 for the others. The released mean m
says X^T b = n m, and the known count sum b = n. With p the pool's mean and X - p = V diag(s) U^T, of rank
r <= N - 1,

    V^T b = diag(1/s) U^T n (m - p),   1^T b = n,

r + 1 equations with orthonormal rows. An error of the release in direction k counts n / s_k times.
"""

from dataclasses import dataclass, field

import torch

from privacy_for_free.core.entrance import entrance

RANK = 1e-11  # of the largest singular value: below it a direction is none, with float64 images
MOST_BYTES = 6 * 2**30  # of the decomposition
PROJECTIONS = 400  # in the search for a separating hyperplane
USABLE = 0.05  # error of an equation up to which a proof uses it
EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True, eq=False)
class Equations:
    """A pool and the decomposition of its centred images, all float64.

    centre   d: p
    rows     N x d: X - p
    left     N x r, orthonormal columns that sum to 0: V
    values   r, falling: s
    right    r x d, orthonormal rows: U^T
    """

    centre: torch.Tensor = field(repr=False)
    rows: torch.Tensor = field(repr=False)
    left: torch.Tensor = field(repr=False)
    values: torch.Tensor = field(repr=False)
    right: torch.Tensor = field(repr=False)

    @property
    def rank(self) -> int:
        """r: the equations besides the count."""
        return len(self.values)

    @property
    def images(self) -> int:
        """N: the unknowns."""
        return len(self.rows)

    @property
    def complete(self) -> bool:
        """Whether the equations have one solution, whatever it holds: r = N - 1."""
        return self.rank == self.images - 1

    def sides(self, released: torch.Tensor, members: int) -> torch.Tensor:
        """Return the right-hand sides V^T b of releases, K x d: r x K."""
        return self._solved(members * (released.double() - self.centre).mT)

    def refined(self, weights: torch.Tensor, released: torch.Tensor, members: int) -> torch.Tensor:
        """Return weights, N x K, with what they miss of the release added: a step of iterative refinement."""
        missed = members * (released.double() - self.centre).mT - self.rows.mT @ weights
        weights = weights + self.left @ self._solved(missed)
        return weights + (members - weights.sum(0)) / self.images

    def _solved(self, sums: torch.Tensor) -> torch.Tensor:
        return (self.right @ sums) / self.values[:, None]

    def variances(self, members: int, tolerance: float, noise: float) -> torch.Tensor:
        """Return the variances of the right-hand sides, r: of noise, and of rounding up to the tolerance."""
        return (members / self.values).square() * (noise**2 + tolerance**2 / 3)

    def spread(self, members: int, tolerance: float, noise: float) -> torch.Tensor:
        """Return the standard deviation of each least-squares weight, N, by noise and rounding."""
        return (self.left.square() @ self.variances(members, tolerance, noise)).sqrt()

    def bounds(self, released: torch.Tensor, members: int, tolerance: float) -> torch.Tensor:
        """Return by how much each right-hand side can be off, r: by the tolerance, and float64's rounding."""
        off = tolerance + 4 * EPS * float(released.abs().max() + self.centre.abs().max())
        return members * off * self.right.abs().sum(1) / self.values

    def fits(self, chosen: torch.Tensor, released: torch.Tensor, tolerance: float) -> bool:
        """Return whether the mean of the chosen images (bool, N) is the release (d), to the tolerance."""
        mean = self.centre + self.rows[chosen].mean(0)
        slack = 64 * EPS * float(self.rows.abs().max() + self.centre.abs().max())
        return bool((mean - released).abs().max() <= tolerance * (1 + 1e-9) + slack)

    def proved(
        self, chosen: torch.Tensor, released: torch.Tensor, members: int, tolerance: float
    ) -> torch.Tensor:
        """Return which images are proved to be in or out, bool, N; `chosen` (bool, N) are taken for members.

        Let f_i = w.(x_i - p) + c be above 0 for those chosen and below 0 for the others. The release says
        what sum b_i f_i is, up to n times the tolerance times |w|_1; it cannot exceed the sum of the positive
        f. What is left between the two is G >= 0, and whoever has |f_i| > G is in or out by the sign of f_i:
        with another answer the sum would be too small. At G = 0 all are decided. A hyperplane is looked for
        among the equations whose errors are small, by projections in turn: they end after a while, so where
        one only just separates, more is decided than is proved.
        """
        usable = self.bounds(released, members, tolerance) < USABLE
        left, sign = self.left[:, usable], chosen.double() * 2 - 1
        target = sign
        for _ in range(PROJECTIONS):
            values = left @ (left.mT @ target) + target.mean()
            if bool((sign * values).min() > 0.5):
                break
            target = target + 1.5 * (sign * (sign * values).clamp_min(1) - values)
        weights = (left.mT @ target / self.values[usable]) @ self.right[usable]
        offset = float(target.mean())
        values = self.rows @ weights + offset
        said = members * (float(weights @ (released - self.centre)) + offset)
        size = float(released.abs().max() + self.centre.abs().max())
        error = members * (tolerance + 4 * EPS * size) * float(weights.abs().sum())
        gap = max(0.0, float(values.clamp_min(0).sum()) - said) + error
        return (values.abs() > gap) & ((values > 0) == chosen)


@entrance(shapes="pool N d")
def decompose(pool: torch.Tensor) -> Equations:
    """Decompose the images of one class, N x d, N from 2 up: a minute for 3,000 images of 3,072 numbers.

    ValueError for fewer than two images, and where the decomposition would need more than 6 GiB.
    """
    N, d = pool.shape
    if N < 2:
        raise ValueError(f"pool {tuple(pool.shape)}: allowed are two images or more")
    needed = 8 * (4 * N * d + 4 * min(N, d) ** 2)
    if needed > MOST_BYTES:
        raise ValueError(
            f"pool {tuple(pool.shape)}: its decomposition needs {needed / 2**30:.1f} GiB, "
            f"allowed are {MOST_BYTES / 2**30:.0f}"
        )
    rows = pool.double()
    if not bool((rows.abs().max() <= 1e100).all()):
        raise ValueError(f"pool up to {rows.abs().max():.3g}: allowed are numbers up to 1e100")
    centre = rows.mean(0)
    rows = rows - centre
    left, values, right = torch.linalg.svd(rows, full_matrices=False)
    # An image's rounding is a direction too; so is what centring leaves: there is none beyond N - 1.
    floor = max(float(values[0]) * RANK, 64 * EPS * float(centre.abs().max()) * (N * d) ** 0.5)
    rank = min(int((values > floor).sum()), N - 1)
    return Equations(centre, rows, left[:, :rank], values[:rank], right[:rank])
