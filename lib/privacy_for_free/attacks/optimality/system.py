"""The equations that released images satisfy in who is a member, for one class.

Distribution matching makes L(S) = mean_r || (1/n) sum_i b_i phi_r(x_i) - phibar_r(S) ||^2 small, b_i = 1 for
the members among the pool's images. Where it is stationary, with J_r the Jacobian of phibar_r at S,

    A b = c,   A = (1/n) mean_r J_r^T [phi_r(x_1) ... phi_r(x_N)],   c = mean_r J_r^T phibar_r(S)

and everywhere A b - c is minus half the gradient's negative: grad L(S) = -2 (A b - c). Features are taken
less their mean mu_r over the pool, A = A_0 + (1/n) a 1^T with a = mean_r J_r^T mu_r, so that for sum b = n

    A_0 (b - n/N) = gap,   gap = mean_r J_r^T (phibar_r(S) - mu_r).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from privacy_for_free.attacks.optimality.extractors import Extractors, centred, checked
from privacy_for_free.attacks.optimality.linearised import Linearised
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import MASK, entrance

MEMORY = 4 * 2**30  # bytes that equations and their solution may take
FORMS = ("auto", "dense", "matrix_free")
PASSES = 220  # products from either side that a solution takes without the matrix, at most
SLOWER = 8  # times that an operation of a network takes what one of a matrix product does, on a CPU


@dataclass(frozen=True, eq=False)
class Equations:
    """A b = c in b, N numbers, by products; everything given and returned is float64.

    members    n
    candidates N
    offset     a, float64, rows
    gap        float64, rows: what A_0 (b - n/N) is to be
    gradients  R x rows: J_r^T (mu_r - phibar_r(S)) of each extractor, whose mean is -gap
    matrix     A_0, rows x N, or None where there are only products
    forward, backward   A_0 b and A_0^T y
    """

    members: int
    candidates: int
    offset: torch.Tensor = field(repr=False)
    gap: torch.Tensor = field(repr=False)
    gradients: torch.Tensor = field(repr=False)
    matrix: torch.Tensor | None = field(repr=False)
    forward: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    backward: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)

    @property
    def rows(self) -> int:
        """Number of equations."""
        return len(self.gap)

    @property
    def target(self) -> torch.Tensor:
        """c, float64, rows."""
        return self.gap + self.offset

    def matvec(self, b: torch.Tensor) -> torch.Tensor:
        """Return A b, float64, rows, of b, N."""
        b = b.double()
        return self.forward(b) + self.offset * (b.sum() / self.members)

    def rmatvec(self, y: torch.Tensor) -> torch.Tensor:
        """Return A^T y, float64, N, of y, rows."""
        y = y.double()
        return self.backward(y) + (self.offset @ y) / self.members

    def residual(self, b: torch.Tensor) -> torch.Tensor:
        """Return A b - c, float64, rows: minus half the gradient of the loss at the released images."""
        b = b.double()
        return self.forward(b) - self.gap + self.offset * (b.sum() / self.members - 1)

    def dense(self) -> torch.Tensor:
        """Return A, float64, rows x N; from products, one per row, where there is no matrix."""
        check_memory("dense equations", 8 * self.rows * self.candidates)
        if self.matrix is not None:
            return self.matrix.double() + self.offset[:, None] / self.members
        units = torch.eye(self.rows, dtype=torch.float64, device=self.gap.device)
        return torch.stack([self.rmatvec(unit) for unit in units])


def check_memory(name: str, needed: float) -> None:
    """Refuse what takes more than MEMORY bytes."""
    if needed > MEMORY:
        raise ValueError(
            f"{name} of {needed / 2**30:.3g} GiB: allowed are {MEMORY / 2**30:.3g} GiB; take fewer "
            "candidates, extractors or released images"
        )


@entrance(inside=MASK, shapes="pool N C H W, released m C H W, inside m C H W")
def equations(
    extractors: Extractors,
    pool: torch.Tensor,
    released: torch.Tensor,
    members: int,
    inside: torch.Tensor | None = None,
    form: str = "auto",
) -> Equations:
    """Return the equations of the released images of one class in the members of a pool.

    pool      N x C x H x W, candidates of the class, about `members` of which are members
    released  m x C x H x W; computed in the dtype of the two that is wider
    members   n, known or guessed
    inside    bool, m x C x H x W: the pixels whose equations hold, for images kept in a box those strictly
              inside; None for all
    form      "dense" (the matrix, from min(features, N) passes of the released images per extractor),
              "matrix_free" (two passes per product, the pool's features are kept), or "auto": what takes
              fewer operations, where it fits

    ValueError where the form takes more than MEMORY bytes.
    """
    validate.one_of("form", form, FORMS)
    validate.whole("members", members, 1, len(pool))
    pool, released = checked(extractors, pool, released)
    kept = None if inside is None else inside.flatten().nonzero()[:, 0].to(pool.device)
    if kept is not None and len(kept) == 0:
        raise ValueError(f"inside: 0 of {inside.numel()} pixels; allowed are one or more")
    rows = released.numel() if kept is None else len(kept)
    form = _chosen(form, extractors, pool, released, rows)
    with devices.steady_threads(pool.device):
        build = _dense if form == "dense" else _matrix_free
        return build(extractors, pool, released, members, kept)


def costs(
    extractors: Extractors, pool: torch.Tensor, released: torch.Tensor, rows: int
) -> dict[str, tuple[float, float]]:
    """Return operations, those of networks weighed, and bytes of both forms, their solution included."""
    N, m, R, D = len(pool), len(released), len(extractors), extractors.width
    image = SLOWER * m * getattr(extractors.network, "operations", 0)  # a pass of the released images
    small, size = min(N, rows), pool.element_size()
    dense = R * (min(D, N) * image + 2 * rows * min(D, N) * N) + 2 * small * N * rows + 10 * small**3
    free = PASSES * R * (6 * image + 4 * N * D)
    return {
        "dense": (dense, size * (rows * N + R * rows + min(D, N) * (rows + N)) + 8 * 4 * small**2),
        "matrix_free": (free, size * R * (N * D + rows) + 8 * PASSES * (N + rows)),
    }


def _chosen(form: str, extractors: Extractors, pool: torch.Tensor, released: torch.Tensor, rows: int) -> str:
    counted = costs(extractors, pool, released, rows)
    if form == "auto":
        fitting = [name for name, (_, needed) in counted.items() if needed <= MEMORY] or list(counted)
        form = min(fitting, key=lambda name: counted[name][0])
    check_memory(f"{form} equations of {len(pool)} candidates and {rows} pixels", counted[form][1])
    return form


def _dense(
    extractors: Extractors,
    pool: torch.Tensor,
    released: torch.Tensor,
    members: int,
    kept: torch.Tensor | None,
) -> Equations:
    R, N = len(extractors), len(pool)
    rows = released.numel() if kept is None else len(kept)
    matrix, offset, gradients = pool.new_zeros((rows, N)), pool.new_zeros(rows), pool.new_empty((R, rows))
    for features, r, mean, gap in centred(extractors, pool, released):
        part = Linearised(extractors, r, released)
        by_feature = features.shape[1] <= N
        inner = torch.eye(len(mean), dtype=pool.dtype, device=pool.device) if by_feature else features
        found = part.pull(torch.cat([torch.stack([mean, -gap]), inner]))
        found = found if kept is None else found[:, kept]
        offset += found[0] / R
        gradients[r] = found[1]
        if by_feature:
            matrix.addmm_(found[2:].T, features.T, alpha=1 / (members * R))
        else:
            matrix.add_(found[2:].T, alpha=1 / (members * R))

    def forward(b: torch.Tensor) -> torch.Tensor:
        return (matrix @ (b - b.mean()).to(matrix)).double()

    def backward(y: torch.Tensor) -> torch.Tensor:
        return (matrix.T @ y.to(matrix)).double()

    gap = -gradients.double().mean(0)
    return Equations(members, N, offset.double(), gap, gradients, matrix, forward, backward)


def _matrix_free(
    extractors: Extractors,
    pool: torch.Tensor,
    released: torch.Tensor,
    members: int,
    kept: torch.Tensor | None,
) -> Equations:
    R, N = len(extractors), len(pool)
    rows = released.numel() if kept is None else len(kept)
    offset, gradients = pool.new_zeros(rows), pool.new_empty((R, rows))
    parts, features_of = [], []
    for features, r, mean, gap in centred(extractors, pool, released):
        parts.append(Linearised(extractors, r, released))
        features_of.append(features)
        found = parts[r].pull(torch.stack([mean, -gap]))
        found = found if kept is None else found[:, kept]
        offset += found[0] / R
        gradients[r] = found[1]

    def forward(b: torch.Tensor) -> torch.Tensor:
        with devices.steady_threads(pool.device):
            b = (b - b.mean()).to(pool)
            total = pool.new_zeros(released.numel())
            for part, features in zip(parts, features_of, strict=True):
                total += part.pull((b @ features)[None])[0]
            total = total if kept is None else total[kept]
            return total.double() / (members * R)

    def backward(y: torch.Tensor) -> torch.Tensor:
        with devices.steady_threads(pool.device):
            full = pool.new_zeros(released.numel())
            full[slice(None) if kept is None else kept] = y.to(pool)
            total = pool.new_zeros(N)
            for part, features in zip(parts, features_of, strict=True):
                total += features @ part.push(full)
            return total.double() / (members * R)

    gap = -gradients.double().mean(0)
    return Equations(members, N, offset.double(), gap, gradients, None, forward, backward)
