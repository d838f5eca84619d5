"""What a distance of images is, and the two that need no network: root mean square and SSIM."""

import math
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Protocol

import torch

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import SHOWN, entrance

CHUNK = 256  # images that are embedded at a time
BLOCK = 2**16  # pairs at a time, where a metric goes through them window by window


class Metric(Protocol):
    """A distance of images, and what it needs to know of each.

    Where it is not `precise`, `matrix` has to be followed by `pairs`: it finds which is nearest, not how far.
    """

    name: str
    precise: bool

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return what is compared, N x ..., computed once per image."""

    def pairs(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N) of x[i] and y[i], both embedded: 0 for equal ones."""

    def matrix(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N x M) of all x[i] and y[j], both embedded."""


@entrance(x=SHOWN, y=SHOWN, shapes="x N? 1|3 H W, y N? 1|3 H W")
def distance(metric: Metric, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the distances (N) of the images x[i] and y[i], a chunk at a time.

    Two of different dtypes are compared in float64. ValueError for two of different shapes, and for images of
    another type, shape or range: x and y are as they are shown, floats from 0 to 1.

    >>> images = torch.rand((2, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    >>> distance(RootMeanSquare(), images / 2, images / 2 + 0.5)
    tensor([0.5000, 0.5000])
    """
    check_metric(metric)
    if x.shape != y.shape:
        raise ValueError(f"x {tuple(x.shape)} and y {tuple(y.shape)}: allowed are two of one shape")
    x, y = same_type(x, y)
    parts = zip(checked(x).split(CHUNK), checked(y).split(CHUNK), strict=True)
    return torch.cat([metric.pairs(metric.embed(a), metric.embed(b)) for a, b in parts])


def check_metric(metric: Metric) -> None:
    """Refuse what is no metric, its name above all."""
    if not all(hasattr(metric, part) for part in ("name", "precise", "embed", "pairs", "matrix")):
        raise ValueError(f"metric {metric!r}: allowed is one that image_distance.build returns")


def same_type(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two tensors as they are, or both in float64 where their dtypes differ."""
    return (x, y) if x.dtype == y.dtype else (x.double(), y.double())


def checked(images: torch.Tensor) -> torch.Tensor:
    """Return the images; ValueError unless they are floats, N x 1 or 3 x height x width."""
    if images.dim() != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
        raise ValueError(
            f"images {images.dtype} {tuple(images.shape)}: allowed are floats, N x 1 or 3 x height x width"
        )
    return images


@dataclass(frozen=True)
class RootMeanSquare:
    """The Euclidean distance over the root of the number of pixel values."""

    name: str = "l2"
    precise: bool = True

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pixels, N x d, over the root of d."""
        rows = images.flatten(1)
        return rows / math.sqrt(rows.shape[1])

    def pairs(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N)."""
        return (x - y).norm(dim=1)

    def matrix(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N x M), from differences and not from products."""
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


@entrance
@dataclass(frozen=True)
class StructuralSimilarity:
    """1 - SSIM, for pixel values of a range of 1.

    Local covariances are products of windows from which the local mean is taken away first: in flat parts of
    an image that mean is many times the spread, and its square would drown it.

    deviation, size   of the Gaussian window, in pixels; constants are added to squared means and variances
    """

    name: str = "ssim"
    precise: bool = True
    deviation: float = 1.5
    size: int = 11
    constants: tuple[float, float] = (0.01**2, 0.03**2)

    def __post_init__(self) -> None:
        """Refuse windows without pixels or width, and constants that are not two above 0."""
        validate.whole("size", self.size, 1)
        validate.positive("deviation", self.deviation)
        if len(self.constants) != 2:
            raise ValueError(f"constants {self.constants!r}: allowed are two")
        for constant in self.constants:
            validate.positive("constants", constant)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images as they are; ValueError where no window fits in."""
        if min(images.shape[2:]) < self.size:
            raise ValueError(
                f"images of {tuple(images.shape[2:])} pixels: allowed are {self.size} a side or more"
            )
        return images

    def pairs(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N)."""
        total, (c1, c2) = x.new_zeros(len(x)), self.constants
        for at in self._places(x):
            (p, v, a), (q, w, b) = self._window(x, at), self._window(y, at)
            luminance = (2 * p * q + c1) / (p * p + q * q + c1)
            total += luminance * (2 * (a * b).sum(1) + c2) / (v + w + c2)
        return 1 - total / len(self._places(x))

    def matrix(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N x M): one product of matrices for each place of the window."""
        rows = max(1, BLOCK // len(y))
        return (
            torch.cat([self._block(part, y) for part in x.split(rows)]) if len(x) else x.new_zeros(0, len(y))
        )

    def _block(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        total, (c1, c2) = x.new_zeros((len(x), len(y))), self.constants
        for at in self._places(x):
            (p, v, a), (q, w, b) = self._window(x, at), self._window(y, at)
            numerator = torch.outer(2 * p, q).add_(c1).mul_((a @ b.T).mul_(2).add_(c2))
            below = torch.add((p * p)[:, None], q * q + c1).mul_(torch.add(v[:, None], w + c2))
            total.addcdiv_(numerator, below)
        return 1 - total / len(self._places(x))

    def _places(self, images: torch.Tensor) -> list[tuple[int, int, int]]:
        channels, height, width = images.shape[1:]
        return list(product(range(channels), range(height - self.size + 1), range(width - self.size + 1)))

    def _window(
        self, images: torch.Tensor, at: tuple[int, int, int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return local mean and variance (N), and the centred window times the root of its weights."""
        c, row, column = at
        patch = images[:, c, row : row + self.size, column : column + self.size].flatten(1)
        weights = _gaussian(self.size, self.deviation).to(patch)
        mean = patch @ weights
        centred = (patch - mean[:, None]) * weights.sqrt()
        return mean, centred.square().sum(1), centred


@cache
def _gaussian(size: int, deviation: float) -> torch.Tensor:
    """Return the weights of a size x size window, of sum 1, in rows; float64."""
    line = torch.exp(-((torch.arange(size, dtype=torch.float64) - size // 2) ** 2) / (2 * deviation**2))
    line = line / line.sum()
    return torch.outer(line, line).flatten()
