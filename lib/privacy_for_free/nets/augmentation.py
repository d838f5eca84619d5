"""Differentiable siamese augmentation (Zhao & Bilen, ICML 2021, sections 3.2 and 3.3).

One kind of transform is drawn for a batch, then its parameters: one set of them for the whole batch (siamese
use: real and synthetic images are transformed alike) or one for each image (ordinary augmentation, for
training). Distributions and constants are those of the authors' code (VICO-UoE/DatasetCondensation, utils.py,
ParamDiffAug with aug_mode 'S'), which follows Zhao et al., "Differentiable Augmentation for Data-Efficient
GAN Training", NeurIPS 2020. A transform is three uniform numbers, which `apply` reads: the images' size does
not matter to a draw.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch.nn.functional import affine_grid, grid_sample, pad

from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance

KINDS = ("color", "crop", "cutout", "flip", "scale", "rotate")
STRATEGY = "color_crop_cutout_flip_scale_rotate"
DIGITS = "color_crop_cutout_scale_rotate"


@entrance
@dataclass(frozen=True)
class Strength:
    """How far each transform goes; the defaults are the published ones.

    flip        probability of a left-right flip
    scale       an axis is sampled at U(1/scale, scale) times its coordinates: above 1 the image shrinks
    rotate      degrees, U(-rotate, rotate)
    crop        share of the side by which an image moves at most; what moves in is 0
    cutout      side of the square that is set to 0, as a share of the image's side
    brightness  U(-1/2, 1/2) times this is added
    saturation  distances from the mean of a pixel's channels are multiplied by U(0, saturation)
    contrast    distances from the image's mean are multiplied by U(contrast, contrast + 1)
    factor      1 for the above; 0 for no transform at all; between, every distance from it shrinks by this
    """

    flip: float = 0.5
    scale: float = 1.2
    rotate: float = 15.0
    crop: float = 0.125
    cutout: float = 0.5
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5
    factor: float = 1.0

    def __post_init__(self) -> None:
        """Refuse constants outside their range."""
        ranges = {"flip": (0, 1), "scale": (1, 10), "rotate": (0, 180), "crop": (0, 1), "cutout": (0, 1)}
        ranges |= {"brightness": (0, 100), "saturation": (0, 100), "contrast": (0, 100), "factor": (0, 1)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value!r}: allowed are {low} to {high}")


@dataclass(frozen=True, eq=False)
class Transform:
    """One kind of transform and its parameters, for one image or for each of several.

    kind      one of KINDS, or "identity"
    uniform   float64, count x 3, values in [0, 1): what `apply` reads the parameters from
    strength  how far it goes
    """

    kind: str
    uniform: torch.Tensor = field(repr=False)
    strength: Strength

    @property
    def count(self) -> int:
        """Number of images it has parameters for; 1 is shared by any number."""
        return len(self.uniform)

    def part(self, rows: slice) -> "Transform":
        """Return the transform of images[rows]; one shared by all is its own part."""
        return self if self.count == 1 else Transform(self.kind, self.uniform[rows], self.strength)


def kinds(strategy: str) -> tuple[str, ...]:
    """Split a strategy such as "crop_flip" into its kinds; "" has none. ValueError for an unknown kind.

    >>> kinds("crop_flip")
    ('crop', 'flip')
    >>> kinds("crop_blur")
    Traceback (most recent call last):
    ValueError: strategy 'crop_blur', augmentation 'blur': known are color, crop, cutout, flip, scale, rotate
    """
    names = tuple(strategy.split("_")) if strategy else ()
    for name in names:
        if name not in KINDS:
            raise ValueError(f"strategy {strategy!r}, augmentation {name!r}: known are {', '.join(KINDS)}")
    return names


@entrance
def strategy(dataset_name: str) -> str:
    """Return the published strategy for a data set: every kind, but no flips of digits.

    >>> strategy("mnist")
    'color_crop_cutout_scale_rotate'
    """
    return DIGITS if dataset_name == "mnist" else STRATEGY


def published_for(settings: object, dataset_name: str) -> object:
    """Return settings whose augmentation, where they have one, is the published one for the data set.

    `settings` is a dataclass with a field `augmentation`, or anything else, which is returned as it is.
    """
    if not getattr(settings, "augmentation", ""):
        return settings
    return replace(settings, augmentation=strategy(dataset_name))


@entrance
def draw(
    strategy: str, count: int, generator: torch.Generator, strength: Strength | None = None
) -> Transform:
    """Draw one kind of the strategy, each equally likely, and its parameters for `count` images.

    Parameters live on the generator's device. A strategy of "" or a strength of factor 0 gives the identity.
    ValueError for an unknown kind, a count below 1, and one beyond the memory.
    """
    names = kinds(strategy)
    strength = strength or Strength()
    validate.whole("count", count, 1)
    device = generator.device
    devices.check_size("count", (count, 3), torch.float64, device)
    if not names or strength.factor == 0:
        return Transform("identity", torch.zeros((1, 3), dtype=torch.float64, device=device), strength)
    index = int(torch.randint(len(names), (), generator=generator, device=device))
    uniform = torch.rand((count, 3), generator=generator, dtype=torch.float64, device=device)
    return Transform(names[index], uniform, strength)


def apply(transform: Transform, images: torch.Tensor) -> torch.Tensor:
    """Transform images (B, C, H, W), float32 or float64; the result has their shape, dtype and memory format.

    Differentiable in the images. An image's result does not depend on the others, so a batch may be cut into
    chunks (with `Transform.part`). The identity returns `images` itself. ValueError where the transform has
    parameters for several images, but not for these.
    """
    if transform.count not in (1, len(images)):
        raise ValueError(
            f"{len(images)} images: the transform has parameters for {transform.count}, allowed are that many"
        )
    if transform.kind == "identity":
        return images
    # Parameters for all are plain numbers, those of each image tensors (B, 1, 1, 1).
    shared = transform.count == 1
    if shared:
        uniform = transform.uniform[0].tolist()
    else:
        uniform = transform.uniform.to(images.device).T[..., None, None, None]
    return _APPLY[transform.kind](images, uniform, transform.strength, shared)


def _layout(images: torch.Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _color(images, uniform, strength: Strength, shared: bool) -> torch.Tensor:
    """Brightness, saturation, contrast in this order, collected into one affine map.

    x + b, then its distances from the channel mean m times s, then from the image's mean mu times c, give
    c s x + c (1 - s) m + (1 - c) mu + b, because saturation leaves m and mu as they are.
    """
    brightness = (uniform[0] - 0.5) * strength.brightness * strength.factor
    saturation = 1 + (uniform[1] * strength.saturation - 1) * strength.factor
    contrast = 1 + (uniform[2] + strength.contrast - 1) * strength.factor
    a, b, c, d = contrast * saturation, contrast * (1 - saturation), 1 - contrast, brightness
    if not shared:
        a, b, c, d = (value.to(images.dtype) for value in (a, b, c, d))
    offset = images.mean((1, 2, 3), keepdim=True) * c + d
    return images * a + (images.mean(1, keepdim=True) * b + offset)


def _crop(images, uniform, strength: Strength, shared: bool) -> torch.Tensor:
    """Move an image by whole pixels; what comes from outside is 0."""
    batch, _, height, width = images.shape
    reach = [int(side * strength.crop * strength.factor + 0.5) for side in (height, width)]
    if shared:
        down, right = (math.floor(u * (2 * r + 1)) - r for u, r in zip(uniform, reach, strict=False))
        return pad(images, (-right, right, -down, down))
    device = images.device
    moved = [(u * (2 * r + 1)).floor().long() - r for u, r in zip(uniform, reach, strict=False)]
    rows = torch.arange(height, device=device)[None, :, None] + moved[0][:, 0] + 1
    columns = torch.arange(width, device=device)[None, None, :] + moved[1][:, 0] + 1
    padded = pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    index = torch.arange(batch, device=device)[:, None, None]
    moved = padded[index, rows.clamp(0, height + 1), columns.clamp(0, width + 1)].permute(0, 3, 1, 2)
    return moved.contiguous(memory_format=_layout(images))


def _cutout(images, uniform, strength: Strength, shared: bool) -> torch.Tensor:
    """Set a rectangle to 0; its centre may be anywhere, so part of it may lie outside."""
    inside = []
    for axis, side in enumerate(images.shape[2:]):
        size = int(side * strength.cutout * strength.factor + 0.5)
        centres = side + 1 - size % 2  # one more for even sizes, whose centre is between pixels
        if shared:
            first = math.floor(uniform[axis] * centres) - size // 2
        else:
            first = (uniform[axis] * centres).floor().long()[:, :, 0] - size // 2
        places = torch.arange(side, device=images.device)
        inside.append((places >= first) & (places < first + size))
    rows, columns = (
        (inside[0][:, None], inside[1]) if shared else (inside[0][..., None], inside[1][:, :, None])
    )
    return images * ~(rows & columns)


def _flip(images, uniform, strength: Strength, shared: bool) -> torch.Tensor:
    """Mirror left and right."""
    mirrored = uniform[0] < strength.flip * strength.factor
    if shared:
        return images.flip(3) if mirrored else images
    return torch.where(mirrored, images.flip(3), images)


def _scale(images, uniform, strength: Strength, shared: bool) -> torch.Tensor:
    """Shrink or enlarge each axis about the centre."""
    low, high = 1 / strength.scale, strength.scale
    x, y = (1 + (u * (high - low) + low - 1) * strength.factor for u in uniform[:2])
    return _resample(images, x, x * 0, x * 0, y, shared)


def _rotate(images, uniform, strength: Strength, shared: bool) -> torch.Tensor:
    """Turn about the centre."""
    angle = (2 * uniform[0] - 1) * math.radians(strength.rotate * strength.factor)
    cosine, sine = (math.cos(angle), math.sin(angle)) if shared else (angle.cos(), angle.sin())
    return _resample(images, cosine, -sine, sine, cosine, shared)


def _resample(images, xx, xy, yx, yy, shared: bool) -> torch.Tensor:
    """Sample images bilinearly at the linear map ((xx, xy), (yx, yy)) of their coordinates; outside is 0."""
    batch, channels, height, width = images.shape
    layout = _layout(images)
    if shared:
        # One grid for all: images become channels of one, and coordinates are worked out once.
        theta = torch.tensor([[[xx, xy, 0.0], [yx, yy, 0.0]]], dtype=images.dtype, device=images.device)
        grid = affine_grid(theta, (1, 1, height, width), align_corners=False)
        folded = images.reshape(1, batch * channels, height, width)
        sampled = grid_sample(folded, grid, align_corners=False).view(batch, channels, height, width)
    else:
        none = torch.zeros_like(xx)
        theta = torch.stack([xx, xy, none, yx, yy, none], 1).view(batch, 2, 3).to(images.dtype)
        grid = affine_grid(theta, (batch, 1, height, width), align_corners=False)
        sampled = grid_sample(images, grid, align_corners=False)
    return sampled.contiguous(memory_format=layout)


_APPLY = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}
