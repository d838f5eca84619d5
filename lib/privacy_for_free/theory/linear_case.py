"""What the checks of `linear_checks` are given, one `Case`, and the rows that they yield.

Exact statements are compared as whole arrays; they hold where the relative error is below TOLERANCE.
Statistical ones compare the mean of independent draws with its expectation; they hold within STANDARD_ERRORS.
A row is a dict: check (the statement's name), kind ("exact" or "statistical"), expected, observed,
relative_error, z (standard errors off) and samples (independent draws), the last two None where exact.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import checks, linear

TOLERANCE = 1e-10  # relative error of an exact statement
STANDARD_ERRORS = 4.0  # distance of a statistical statement from its expectation

Row = dict[str, object]


@entrance(shapes="real n d, initial m d")
@dataclass(frozen=True)
class Case:
    """One case with its images: what every check is given.

    real      float64 (n, d)
    initial   float64 (m, d), uniform in [0, 1]: where the synthetic images start
    k         dimension of a feature
    normals   normal numbers that a statistical check draws, at most
    chains    independent minibatch chains, at most
    draw      draw(purpose, *index) -> a generator of its own, on the images' device
    """

    real: torch.Tensor
    initial: torch.Tensor
    k: int
    normals: int
    chains: int
    draw: Callable[..., torch.Generator]

    def __post_init__(self) -> None:
        """Refuse what no check can be done with."""
        checks.floats(real=self.real, initial=self.initial)
        checks.counts(k=self.k, normals=self.normals, chains=self.chains)
        if len(self.real) < 2:
            raise ValueError(f"real {tuple(self.real.shape)}: allowed are 2 images or more")

    @property
    def n(self) -> int:
        """The number of real images."""
        return self.real.shape[0]

    @property
    def m(self) -> int:
        """The number of synthetic images."""
        return self.initial.shape[0]

    @property
    def d(self) -> int:
        """The dimension of an image."""
        return self.real.shape[1]

    @property
    def gap(self) -> torch.Tensor:
        """The mean of the real images less that of the initial ones, (d,)."""
        return self.real.mean(0) - self.initial.mean(0)

    @cached_property
    def balanced(self) -> torch.Tensor:
        """Extractors of variance 1 whose average is the expectation, (R, k, d)."""
        return linear.balanced_extractors(self.k, self.d, self.draw("basis"))

    @cached_property
    def batches(self) -> "Minibatches":
        """Minibatches of the real images."""
        return Minibatches.of(self.real)

    def fresh(self, purpose: str) -> Callable[[int], torch.Tensor]:
        """Return a function of the step: a new Gaussian extractor (1, k, d)."""
        return lambda step: linear.random_extractors(1, self.k, self.d, self.draw(purpose, step))


@entrance
@dataclass(frozen=True)
class Minibatches:
    """Minibatches of a case's real images.

    size         images per batch
    centred      float64 (n, d): the real images less their mean
    covariance   (d, d): of a batch's mean
    main         (d,): a unit vector, about the direction of most noise
    """

    size: int
    centred: torch.Tensor
    covariance: torch.Tensor
    main: torch.Tensor

    @classmethod
    def of(cls, real: torch.Tensor) -> "Minibatches":
        """Take a tenth of the real images (n, d) for a batch."""
        size, centred = max(1, len(real) // 10), real - real.mean(0)
        covariance = linear.batch_covariance(real, size)
        main = torch.ones(real.shape[1], dtype=centred.dtype, device=centred.device)
        for _ in range(30):  # power iteration; any direction would do, that of most noise tells most
            main = covariance @ main
            main = main / main.norm()
        return cls(size, centred, covariance, main)

    def means(self, generator: torch.Generator, chains: int) -> torch.Tensor:
        """Draw means of independent batches relative to xbar (chains, d): one 0-1 matrix product."""
        n, device = len(self.centred), self.centred.device
        keys = torch.rand((chains, n), generator=generator, device=device)
        inside = keys.argsort(dim=1)[:, : self.size]
        weights = torch.zeros((chains, n), dtype=self.centred.dtype, device=device)
        return weights.scatter_(1, inside, 1 / self.size) @ self.centred

    def start(self, chains: int) -> torch.Tensor:
        """Return no offset from xbar, (chains, d)."""
        return torch.zeros(
            (chains, self.centred.shape[1]), dtype=self.centred.dtype, device=self.centred.device
        )


def exact(check: str, expected: torch.Tensor, observed: torch.Tensor, scale: float | None = None) -> Row:
    """Return the row of an exact statement: the norms of two arrays and of their difference.

    scale   what the difference is divided by; left out, the expected norm
    """
    if expected.shape != observed.shape:
        raise ValueError(f"observed {tuple(observed.shape)}: allowed is {tuple(expected.shape)}, as expected")
    checks.floats(expected=expected, observed=observed)
    norm = torch.linalg.vector_norm
    scale = float(norm(expected)) if scale is None else scale
    checks.positive(scale=scale)
    return {
        "check": check,
        "kind": "exact",
        "expected": float(norm(expected)),
        "observed": float(norm(observed)),
        "relative_error": float(norm(observed - expected)) / scale,
        "z": None,
        "samples": None,
    }


@entrance
def at_most(check: str, bound: float, observed: float) -> Row:
    """Return the row of an inequality: its relative error is by how much the bound is exceeded."""
    checks.positive(bound=bound)
    row = exact(check, scalar(bound), scalar(observed))
    return {**row, "relative_error": max(0.0, observed / bound - 1)}


@entrance
def scalar(value: float) -> torch.Tensor:
    """Return a number as a float64 tensor, as `exact` takes it."""
    return torch.tensor(float(value), dtype=torch.float64)


@entrance(shapes="samples N")
def statistical(check: str, expected: float, samples: torch.Tensor) -> Row:
    """Return the row of a statistical statement: the mean of independent draws (N,) and its z."""
    checks.floats(samples=samples)
    if len(samples) < 2 or not expected or not math.isfinite(expected):
        raise ValueError(
            f"expected {expected!r}, {len(samples)} samples: allowed are finite ones but 0, 2 or more"
        )
    mean, error = float(samples.mean()), float(samples.std()) / math.sqrt(len(samples))
    if not error:
        raise ValueError(f"samples, all {mean:g}: allowed are ones that differ")
    return {
        "check": check,
        "kind": "statistical",
        "expected": expected,
        "observed": mean,
        "relative_error": abs(mean / expected - 1),
        "z": (mean - expected) / error,
        "samples": len(samples),
    }
