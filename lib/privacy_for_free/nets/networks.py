"""Networks as frozen descriptions: what they compute is a function of a dictionary of parameters.

A description knows its shapes; `initial` draws parameters from a generator, `features` and `logits` apply
them. Nothing is hidden in a module, so the same function is compiled, differentiated, stacked or handed to a
worker. The ConvNet is that of the condensation literature (Gidaris & Komodakis 2018; Zhao, Mopuri & Bilen,
ICLR 2021; Zhao & Bilen, WACV 2023): `depth` blocks of 3x3 convolution, instance norm, ReLU, 2x2 average
pooling, then a linear classifier. GELU in place of ReLU makes it smooth. It pads images of 28 pixels to 32 in
its first convolution, as the published code does.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812

from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance

Weights = dict[str, torch.Tensor]
LARGEST = 2**20  # number of units, classes, layers or pixels of a side
EPSILON = 1e-5  # of the instance norm, torch's default
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"relu": F.relu, "gelu": F.gelu}


class Network(Protocol):
    """What condensation, training and attacks ask of a network."""

    classes: int

    @property
    def feature_dim(self) -> int:
        """Number of features before the classifier."""

    def activation_bytes(self, dtype: torch.dtype) -> int:
        """About how much memory one image takes on its way through, forward and backward."""

    def initial(
        self, generator: torch.Generator, dtype: torch.dtype = torch.float32, classifier: bool = True
    ) -> Weights:
        """Draw parameters on the generator's device."""

    def features(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to features (B, feature_dim)."""

    def logits(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to class scores (B, classes)."""


def _uniform(
    shape: tuple[int, ...], fan_in: int, generator: torch.Generator, dtype: torch.dtype
) -> torch.Tensor:
    """Draw U(-1/sqrt(fan_in), 1/sqrt(fan_in)): torch's default for convolutions and linear layers."""
    bound = 1 / math.sqrt(fan_in)
    devices.check_size("network width: weights", shape, dtype, generator.device)
    values = torch.rand(shape, generator=generator, dtype=dtype, device=generator.device)
    return values.mul_(2 * bound).sub_(bound)


def _layer(name: str, inputs: int, outputs: int, generator: torch.Generator, dtype: torch.dtype) -> Weights:
    weight = _uniform((outputs, inputs), inputs, generator, dtype)
    return {f"{name}.weight": weight, f"{name}.bias": _uniform((outputs,), inputs, generator, dtype)}


def _check_sizes(network: object, names: tuple[str, ...]) -> None:
    for name in names:
        validate.whole(f"{type(network).__name__} {name}", getattr(network, name), 1, LARGEST)


def check_labels(labels: torch.Tensor, classes: int) -> None:
    """Refuse labels, int64, one or more, that are not 0 .. classes-1."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels from {low} to {high}: allowed are 0 to {classes - 1}")


def instance_norm(images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Normalise each channel of each image (B, C, H, W) to mean 0 and variance 1, then scale and shift it.

    Written out because the compiler fuses this form with what follows, and vmap and double backward take it.
    """
    variance, mean = torch.var_mean(images, (2, 3), correction=0, keepdim=True)
    scale = torch.rsqrt(variance + EPSILON) * weight[:, None, None]
    return (images - mean) * scale + bias[:, None, None]


@entrance
@dataclass(frozen=True)
class ConvNet:
    """`depth` blocks of `width` channels for square images of `size` pixels.

    activation   "relu", max(x, 0), as published; or "gelu", x Phi(x), which is smooth
    """

    channels: int
    size: int
    classes: int
    width: int = 128
    depth: int = 3
    activation: str = "relu"

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive, images too small for the depth, and unknown activations."""
        _check_sizes(self, ("channels", "size", "classes", "width", "depth"))
        validate.one_of("ConvNet activation", self.activation, ACTIVATIONS)
        if self._padded >> self.depth < 1:
            raise ValueError(
                f"ConvNet depth {self.depth}: images of {self.size} pixels are too small for it, allowed are "
                "an image_shape of at least 2 to the depth pixels"
            )

    @property
    def _padded(self) -> int:
        return 32 if self.size == 28 else self.size

    @property
    def feature_dim(self) -> int:
        """width x (side after pooling)^2."""
        return self.width * (self._padded >> self.depth) ** 2

    @property
    def operations(self) -> int:
        """Floating-point operations of a forward pass of one image, convolutions only (2 a product)."""
        sides = [self._padded >> block for block in range(self.depth)]
        inputs = [self.channels] + [self.width] * (self.depth - 1)
        return sum(2 * 9 * c * self.width * side**2 for c, side in zip(inputs, sides, strict=True))

    def activation_bytes(self, dtype: torch.dtype) -> int:
        """Three arrays of each block's size before pooling: output, normalised output, gradient."""
        sides = [self._padded >> block for block in range(self.depth)]
        return 3 * dtype.itemsize * self.width * sum(side**2 for side in sides)

    def initial(
        self, generator: torch.Generator, dtype: torch.dtype = torch.float32, classifier: bool = True
    ) -> Weights:
        """Draw parameters as torch initialises them; without `classifier`, just those of the features."""
        parameters, inputs = {}, self.channels
        for block in range(self.depth):
            fan_in = inputs * 9
            weight = _uniform((self.width, inputs, 3, 3), fan_in, generator, dtype)
            parameters[f"{block}.weight"] = weight.contiguous(memory_format=torch.channels_last)
            parameters[f"{block}.bias"] = _uniform((self.width,), fan_in, generator, dtype)
            parameters[f"{block}.scale"] = torch.ones(self.width, dtype=dtype, device=generator.device)
            parameters[f"{block}.shift"] = torch.zeros(self.width, dtype=dtype, device=generator.device)
            inputs = self.width
        if classifier:
            parameters |= _layer("classifier", self.feature_dim, self.classes, generator, dtype)
        return parameters

    def features(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to the last block's output, flattened (B, feature_dim)."""
        activation = ACTIVATIONS[self.activation]
        for block in range(self.depth):
            padding = 1 + (self._padded - self.size) // 2 if block == 0 else 1
            weight, bias = parameters[f"{block}.weight"], parameters[f"{block}.bias"]
            images = F.conv2d(images, weight, bias, padding=padding)
            images = instance_norm(images, parameters[f"{block}.scale"], parameters[f"{block}.shift"])
            images = F.avg_pool2d(activation(images), 2)
        return images.flatten(1)

    def logits(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to class scores (B, classes)."""
        features = self.features(parameters, images)
        return F.linear(features, parameters["classifier.weight"], parameters["classifier.bias"])


@entrance
@dataclass(frozen=True)
class MLP:
    """`depth` hidden layers of `width` ReLU units on flattened images."""

    channels: int
    size: int
    classes: int
    width: int = 128
    depth: int = 2

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive."""
        _check_sizes(self, ("channels", "size", "classes", "width", "depth"))

    @property
    def feature_dim(self) -> int:
        """Units of the last hidden layer."""
        return self.width

    @property
    def operations(self) -> int:
        """Floating-point operations of a forward pass of one image up to the features (2 a product)."""
        return 2 * self.width * (self.channels * self.size**2 + (self.depth - 1) * self.width)

    def activation_bytes(self, dtype: torch.dtype) -> int:
        """Three arrays of each layer's size, and the image."""
        return dtype.itemsize * (3 * self.depth * self.width + self.channels * self.size**2)

    def initial(
        self, generator: torch.Generator, dtype: torch.dtype = torch.float32, classifier: bool = True
    ) -> Weights:
        """Draw parameters as torch initialises them; without `classifier`, just those of the features."""
        parameters, inputs = {}, self.channels * self.size**2
        for layer in range(self.depth):
            parameters |= _layer(str(layer), inputs, self.width, generator, dtype)
            inputs = self.width
        if classifier:
            parameters |= _layer("classifier", self.width, self.classes, generator, dtype)
        return parameters

    def features(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to the last hidden layer (B, width)."""
        hidden = images.flatten(1)
        for layer in range(self.depth):
            hidden = F.relu(F.linear(hidden, parameters[f"{layer}.weight"], parameters[f"{layer}.bias"]))
        return hidden

    def logits(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to class scores (B, classes)."""
        features = self.features(parameters, images)
        return F.linear(features, parameters["classifier.weight"], parameters["classifier.bias"])


@entrance
@dataclass(frozen=True)
class Linear:
    """The linear extractor of the proof: theta x, theta (width, d) of independent normals of variance
    1/width.

    With that variance E[theta^T theta] is the identity, so step sizes do not depend on the width.
    """

    channels: int
    size: int
    classes: int
    width: int = 128

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive."""
        _check_sizes(self, ("channels", "size", "classes", "width"))

    @property
    def feature_dim(self) -> int:
        """k, the number of rows of theta."""
        return self.width

    @property
    def operations(self) -> int:
        """Floating-point operations of a forward pass of one image (2 a product)."""
        return 2 * self.width * self.channels * self.size**2

    def activation_bytes(self, dtype: torch.dtype) -> int:
        """The image and its features."""
        return dtype.itemsize * (3 * self.width + self.channels * self.size**2)

    def initial(
        self, generator: torch.Generator, dtype: torch.dtype = torch.float32, classifier: bool = True
    ) -> Weights:
        """Draw theta, and a classifier on top of it unless told otherwise."""
        shape = (self.width, self.channels * self.size**2)
        devices.check_size("network width: weights", shape, dtype, generator.device)
        theta = torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
        parameters = {"theta": theta / math.sqrt(self.width)}
        return parameters | (
            _layer("classifier", self.width, self.classes, generator, dtype) if classifier else {}
        )

    def features(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to theta x (B, width)."""
        return F.linear(images.flatten(1), parameters["theta"])

    def logits(self, parameters: Weights, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, H, W) to class scores (B, classes)."""
        features = self.features(parameters, images)
        return F.linear(features, parameters["classifier.weight"], parameters["classifier.bias"])


KINDS: dict[str, Callable[..., Network]] = {"convnet": ConvNet, "mlp": MLP, "linear": Linear}


@entrance
def build(kind: str, image_shape: tuple[int, int, int], classes: int, width: int = 128) -> Network:
    """Describe a network for images (C, H, W); ValueError for an unknown kind or images that are not square.

    >>> build("convnet", (3, 32, 32), 10).feature_dim
    2048
    >>> build("transformer", (3, 32, 32), 10)
    Traceback (most recent call last):
    ValueError: kind of network 'transformer': known are convnet, mlp, linear
    """
    validate.one_of("kind of network", kind, KINDS)
    if len(image_shape) != 3:
        raise ValueError(f"image_shape {tuple(image_shape)}: allowed are channels, height and width")
    channels, height, wide = (validate.whole("image_shape", value, 1, LARGEST) for value in image_shape)
    if height != wide:
        raise ValueError(f"image_shape of {height} x {wide} pixels: allowed are square ones")
    return KINDS[kind](channels, height, classes, width)


def steady_threads(
    network: Network, dtype: torch.dtype, device: torch.device
) -> AbstractContextManager[None]:
    """Apply a network with `devices.threads()` threads, where their number would change a result.

    dtype, device   of the images

    A ConvNet's features of float32 images, and their gradient in the images, are the same bits with any
    number: each sum is made by one thread. So it may have all of the caller's.
    """
    free = isinstance(network, ConvNet) and dtype == torch.float32
    return devices.given_threads() if free else devices.steady_threads(device)
