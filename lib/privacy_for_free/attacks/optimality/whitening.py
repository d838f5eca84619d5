"""What the attacker's own error in the equations looks like, from the spread of extractors.

The equations are means over R extractors; those of one extractor differ from the mean by what its draw adds.
Their covariance at the released images, shrunken towards a multiple of the identity as Ledoit and Wolf do,
weighs the equations: low rank and shrinkage, never a square matrix of all pixels.
"""

from dataclasses import dataclass, field

import torch

from privacy_for_free.attacks.tracing import ledoit_wolf


@dataclass(frozen=True, eq=False)
class LowRank:
    """W^T W = M^-1 for M = U diag(values) U^T + floor I, scaled so that its mean eigenvalue is 1.

    basis   float64, rows x k, orthonormal columns U
    values  float64, k, above 0
    floor   above 0
    """

    basis: torch.Tensor = field(repr=False)
    values: torch.Tensor = field(repr=False)
    floor: float

    def root(self, rows: torch.Tensor) -> torch.Tensor:
        """Return W times each column of rows x q (or a vector): M to the power -1/2, symmetric."""
        less = 1 - (self.floor / (self.values + self.floor)).sqrt()
        inner = self.basis.T @ rows
        inner = inner * (less if rows.dim() == 1 else less[:, None])
        return (rows - self.basis @ inner) / self.floor**0.5


def low_rank(gradients: torch.Tensor) -> LowRank | None:
    """Return the shrunken covariance of the rows of gradients (R x rows); None where they do not differ."""
    if len(gradients) < 2:
        return None
    deviations = gradients.double()
    deviations = deviations - deviations.mean(0)
    R, rows = deviations.shape
    values, vectors = torch.linalg.eigh(deviations @ deviations.T / R)
    kept = values > max(float(values[-1]), 0.0) * 1e-10
    if not bool(kept.any()) or not float(values[-1]) > 0:
        return None
    values, vectors = values[kept], vectors[:, kept]
    basis = deviations.T @ vectors / (R * values).sqrt()
    every = torch.cat([values, values.new_zeros(max(0, rows - len(values)))])[:rows]
    scale = float(every.mean())
    shrinkage = max(ledoit_wolf(deviations.square().sum(1) / scale, every / scale), 1e-6)
    return LowRank(basis, (1 - shrinkage) * values / scale, shrinkage)
