"""The extractors an attacker has: those of the condenser, or others of the same law."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation
from privacy_for_free.nets.augmentation import Transform
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

    ValueError without any extractor, and for transforms of another number or with parameters for several
    images.
    """

    network: Network
    weights: tuple[Weights, ...] = field(repr=False)
    transforms: tuple[Transform, ...] | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        """Refuse what is no extractor."""
        if not hasattr(self.network, "features"):
            raise ValueError(f"network {self.network!r}: allowed are networks of nets.networks")
        if not isinstance(self.weights, tuple | list) or not self.weights:
            raise ValueError(
                f"weights of type {type(self.weights).__name__}: allowed are a tuple of one or more "
                "dictionaries"
            )
        if self.transforms is None:
            return
        if len(self.transforms) != len(self.weights) or any(one.count != 1 for one in self.transforms):
            raise ValueError(
                f"transforms: {len(self.transforms)} for {len(self.weights)} weights; allowed are None, or "
                "one for each, with parameters that all images share"
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
        device: torch.device | str = "cpu",
    ) -> "Extractors":
        """Draw `count` fresh extractors: initial weights, and a transform each of the strategy.

        What distribution matching draws at a step, but from other streams than any condensation. ValueError
        for a count below 1 and an unknown augmentation.
        """
        validate.whole("count", count, 1, MANY)
        device = devices.present(device)
        names = ("optimality extractor", "optimality augmentation")
        weights = tuple(
            network.initial(generator(seed, names[0], r, device=device), classifier=False)
            for r in range(count)
        )
        if not augmentation:
            return cls(network, weights)
        return cls(network, weights, _transforms(augmentation, count, seed, names[1], device))

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

    @torch.no_grad()
    def features(self, r: int, images: torch.Tensor) -> torch.Tensor:
        """Return extractor r's features of images (B, C, H, W), in chunks: B x feature_dim, their dtype."""
        weights = self.weights_as(r, images)
        return torch.cat(
            [
                self.network.features(weights, self.transform(r, part))
                for part in images.split(self.chunk(images.dtype))
            ]
        )


def _transforms(
    strategy: str, count: int, seed: int, purpose: str, device: torch.device
) -> tuple[Transform, ...]:
    streams = (generator(seed, purpose, r, device=device) for r in range(count))
    return tuple(augmentation.draw(strategy, 1, stream) for stream in streams)


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
