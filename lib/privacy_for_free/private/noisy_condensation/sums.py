"""What the guarantees rest on: clipped vectors, Poisson samples, and sums with noise of their own."""

import torch

from privacy_for_free.core.entrance import SHOWN, entrance

LONGEST_NORM = 1e150  # norms from here up are taken for infinite: their squares overflow
BOUND_SHARE = 1 - 1e-9  # what a clipped norm stays below, of the bound: more than float64 rounds off


@entrance(images=SHOWN)
def scale_publicly(images: torch.Tensor) -> torch.Tensor:
    """Map images (of any shape) in [0, 1] to [-1, 1], by constants that do not depend on them."""
    return images * 2 - 1


def clip(vectors: torch.Tensor, bound: float) -> torch.Tensor:
    """Scale rows (..., D) down to a Euclidean norm of at most `bound`; return float64.

    In float64 and to BOUND_SHARE times the bound, so that rounding cannot lift a norm above it (D up to
    10^6). A row with a value that is not finite, or with a norm of LONGEST_NORM or more, becomes 0: the bound
    holds for every example there can be. Differentiable.
    """
    vectors = vectors.double()
    norm = torch.linalg.vector_norm(vectors.detach(), dim=-1, keepdim=True)
    finite = norm < LONGEST_NORM
    vectors = torch.where(finite, vectors, 0.0)
    inside = (norm <= bound * BOUND_SHARE) | ~finite
    norm = torch.linalg.vector_norm(torch.where(inside, 1.0, vectors), dim=-1, keepdim=True)
    return torch.where(inside, vectors, vectors * (bound * BOUND_SHARE / norm))


def clip_by_constant(vectors: torch.Tensor, bound: float) -> torch.Tensor:
    """Return `clip(vectors, bound)` with the gradient of a scaling by constant factors."""
    clipped = clip(vectors.detach(), bound)
    norm = torch.linalg.vector_norm(vectors.detach().double(), dim=-1, keepdim=True)
    factor = torch.linalg.vector_norm(clipped, dim=-1, keepdim=True) / norm.clamp_min(1e-300)
    return clipped + (vectors.double() - vectors.detach().double()) * factor


def noisy_sums(
    vectors: torch.Tensor,
    classes: torch.Tensor,
    count: int,
    bound: float,
    noise_multiplier: float,
    stream: torch.Generator,
) -> torch.Tensor:
    """Return float64 count x D: for each class the sum of its rows, clipped, plus noise.

    vectors   N x D
    classes   int64, N: the row of the result a vector is added to
    stream    the noise's own generator; noise N(0, (noise_multiplier bound)^2) in every coordinate, drawn on
              the generator's device whether or not a class has vectors
    """
    sums = clipped_sums(vectors, classes, count, bound)
    return sums + noise(tuple(sums.shape), noise_multiplier * bound, stream).to(sums.device)


def clipped_sums(vectors: torch.Tensor, classes: torch.Tensor, count: int, bound: float) -> torch.Tensor:
    """Return float64 count x D: for each class the sum of its rows, clipped; not private."""
    sums = torch.zeros((count, vectors.shape[1]), dtype=torch.float64, device=vectors.device)
    return sums.index_add_(0, classes.to(vectors.device), clip(vectors, bound))


def sampling_rate(sample: int, counts: torch.Tensor) -> float:
    """Return the Poisson rate for `sample` expected images of the smallest class; counts: int64.

    ValueError for more than there are.
    """
    smallest = int(counts.min())
    if sample > smallest:
        raise ValueError(f"sample {sample!r}: allowed are 1 to {smallest}, the images of the smallest class")
    return sample / smallest


def poisson_sample(members: torch.Tensor, rate: float, stream: torch.Generator) -> torch.Tensor:
    """Return those of `members` (int64) that a Poisson sample takes: each with probability `rate`, whatever
    becomes of the others.
    """
    taken = torch.rand(len(members), generator=stream, dtype=torch.float64, device=stream.device) < rate
    return members[taken.to(members.device)]


def noise(shape: tuple[int, ...], spread: float, stream: torch.Generator) -> torch.Tensor:
    """Return float64 N(0, spread^2), independent, of this shape, on the generator's device."""
    return torch.randn(shape, generator=stream, dtype=torch.float64, device=stream.device) * spread
