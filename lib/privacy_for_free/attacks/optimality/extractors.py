"""The extractors an attacker has: those of the condenser, or others of the same law."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation
from privacy_for_free.nets.augmentation import Transform
from privacy_for_free.nets.augmentation import draw as draw_transform
from privacy_for_free.nets.networks import Network, Weights

BYTES = 64 * 2**20  # activations of a chunk on its way through a network
MANY = 2**20  # extractors


@entrance
@dataclass(frozen=True, eq=False)
class Extractors:
    """Feature maps phi_r(x) = features(weights_r, transform_r(x)), all of one network.

    network     what `networks.build` builds
    weights     one dictionary per extractor, as `network.initial` draws them
    transforms  one transform of `augmentation.draw` per extractor, shared by all images; None for none
    chosen      which features of each extractor are taken, int64, k of D, times sqrt(D / k); None for all

    Where the features of a network are alike in law, inner products of those chosen are on average those of
    all. What the equations cost grows with the features, and their error falls with the extractors, so that
    some features of many extractors are better than all of a few.

    ValueError without any extractor, and for transforms or features of another number, transforms with
    parameters for several images, and features there are not.
    """

    network: Network
    weights: tuple[Weights, ...] = field(repr=False)
    transforms: tuple[Transform, ...] | None = field(repr=False, default=None)
    chosen: tuple[torch.Tensor, ...] | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        """Refuse what is no extractor."""
        if not hasattr(self.network, "features"):
            raise ValueError(f"network {self.network!r}: allowed are networks of nets.networks")
        if not isinstance(self.weights, tuple | list) or not self.weights:
            raise ValueError(
                f"weights of type {type(self.weights).__name__}: allowed are a tuple of one or more "
                "dictionaries"
            )
        R, D = len(self.weights), self.network.feature_dim
        if self.transforms is not None and (
            len(self.transforms) != R or any(one.count != 1 for one in self.transforms)
        ):
            raise ValueError(
                f"transforms: {len(self.transforms)} for {R} weights; allowed are None, or one for each, "
                "with parameters that all images share"
            )
        if self.chosen is not None and (
            len(self.chosen) != R
            or len({len(one) for one in self.chosen}) != 1
            or any(len(one) == 0 or int(one.min()) < 0 or int(one.max()) >= D for one in self.chosen)
        ):
            raise ValueError(
                f"chosen: {len(self.chosen)} for {R} weights; allowed are None, or one for each, of equally "
                f"many features from 0 to {D - 1}"
            )

    def __len__(self) -> int:
        """Return R."""
        return len(self.weights)

    @classmethod
    @entrance
    def draw(
        cls,
        network: Network,
        count: int,
        seed: int,
        augmentation: str = "",
        features: int | None = None,
        device: torch.device | str = "cpu",
    ) -> "Extractors":
        """Draw `count` fresh extractors: initial weights, and a transform each of the strategy.

        What distribution matching draws at a step, but from other streams than any condensation. `features`
        of each, drawn at random, are taken; None takes all. ValueError for a count below 1, an unknown
        augmentation, and more features than there are.
        """
        validate.whole("count", count, 1, MANY)
        device = devices.present(device)
        stream = lambda purpose, r: generator(seed, f"optimality {purpose}", r, device=device)  # noqa: E731
        weights = tuple(network.initial(stream("extractor", r), classifier=False) for r in range(count))
        transforms = chosen = None
        if augmentation:
            transforms = tuple(
                draw_transform(augmentation, 1, stream("augmentation", r)) for r in range(count)
            )
        if features is not None:
            D = network.feature_dim
            validate.whole("features", features, 1, D)
            chosen = tuple(
                torch.randperm(D, generator=stream("features", r), device=device)[:features]
                for r in range(count)
            )
        return cls(network, weights, transforms, chosen)

    @property
    def width(self) -> int:
        """Number of features taken of each extractor."""
        return self.network.feature_dim if self.chosen is None else len(self.chosen[0])

    def transform(self, r: int, images: torch.Tensor) -> torch.Tensor:
        """Return extractor r's transform of images (B, C, H, W), laid out channels last; keeps a history."""
        if self.transforms is not None:
            images = augmentation.apply(self.transforms[r], images)
        return images.contiguous(memory_format=torch.channels_last)

    def weights_as(self, r: int, like: torch.Tensor) -> Weights:
        """Return extractor r's weights in the dtype and on the device of `like`."""
        return {name: value.to(like) for name, value in self.weights[r].items()}

    def chunk(self, dtype: torch.dtype) -> int:
        """Return how many images pass a network at once."""
        return max(1, BYTES // self.network.activation_bytes(dtype))

    def embed(self, r: int, weights: Weights, moved: torch.Tensor) -> torch.Tensor:
        """Return the features taken of transformed images, B x width; keeps a history."""
        features = self.network.features(weights, moved)
        if self.chosen is None:
            return features
        return features[:, self.chosen[r].to(features.device)] * math.sqrt(features.shape[1] / self.width)

    @torch.no_grad()
    def features(self, r: int, images: torch.Tensor) -> torch.Tensor:
        """Return extractor r's features of images (B, C, H, W), in chunks: B x width, of their dtype."""
        weights = self.weights_as(r, images)
        parts = images.split(self.chunk(images.dtype))
        return torch.cat([self.embed(r, weights, self.transform(r, part)) for part in parts])


@entrance(shapes="pool N C H W, released m C H W")
def linear_tracing(extractors: Extractors, pool: torch.Tensor, released: torch.Tensor) -> torch.Tensor:
    """Return <phi(x) - mean, phibar(S) - mean>, averaged over the extractors: float64, N.

    pool, released  N x C x H x W and m x C x H x W, of one class; mean is that of the pool's features

    The natural attack on what distribution matching matches: how far an image's features lie in the
    direction in which the released mean is off the pool's.
    """
    pool, released = checked(extractors, pool, released)
    scores = torch.zeros(len(pool), dtype=torch.float64, device=pool.device)
    with devices.steady_threads(pool.device):
        for features, _, mean, gap in centred(extractors, pool, released):
            scores += (features @ gap).double() / len(extractors)
            del mean
    return scores


def checked(
    extractors: Extractors, pool: torch.Tensor, released: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pool and released images in one dtype; ValueError for those the network does not take."""
    shape = (extractors.network.channels, extractors.network.size, extractors.network.size)
    for name, images in (("pool", pool), ("released", released)):
        if tuple(images.shape[1:]) != shape or not images.is_floating_point():
            raise ValueError(
                f"{name} {images.dtype} {tuple(images.shape)}: allowed are floats, images of the network, "
                f"{shape}"
            )
    if released.device != pool.device:
        raise ValueError(f"released on {released.device}: allowed is the pool's device, {pool.device}")
    dtype = torch.promote_types(pool.dtype, released.dtype)
    return pool.to(dtype), released.to(dtype)


def centred(
    extractors: Extractors, pool: torch.Tensor, released: torch.Tensor
) -> Iterator[tuple[torch.Tensor, int, torch.Tensor, torch.Tensor]]:
    """Yield the pool's features less their mean (N x D), r, the mean, phibar(S) less it, for each r."""
    for r in range(len(extractors)):
        features = extractors.features(r, pool)
        mean = features.mean(0)
        gap = extractors.features(r, released).mean(0) - mean
        yield features.sub_(mean), r, mean, gap
