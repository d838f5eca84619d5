"""Tracing: who is in a released mean, from the mean itself (Homer et al., PLoS Genetics 4, 2008).

The statistic is T = (x - centre)^T M (xbar - centre), with the released mean xbar of the class of x and M the
inverse of a covariance of the images, shrunken towards a multiple of the identity: the likelihood-ratio
statistic of Gaussian images (Sankararaman et al., Nature Genetics 41, 2009; Dwork et al., FOCS 2015). Three
attackers differ in what the centre and M come from:

    pool      all pool images, members or not: `fit` on the pool
    disjoint  other images of the same distribution: `fit` on those; the pool enters nothing that is fitted
    none      nothing but the releases: `without_data`

Images are rows, N x d (`images.flatten(1)`), released means K x classes x d, everything computed in float64.
A synthetic set of any method is attacked through its means: of its pixels, or of features of random networks
(`Embedding`), the mean embedding that distribution matching matches.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from privacy_for_free.attacks.confidences import check_labels
from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets.networks import Network, Weights
from privacy_for_free.nets.weights import plain_weights

LEDOIT_WOLF = "ledoit_wolf"
MOST_FEATURES = 2**16
BYTES = 64 * 2**20  # activations of a chunk on its way through a network


@dataclass(frozen=True, eq=False)
class Whitening:
    """An inverse covariance M = U diag(precision) U^T, and the covariance U diag(values) U^T it came from.

    basis      float64, d x d, orthogonal: U
    values     float64, d: eigenvalues of the covariance, not shrunken
    precision  float64, d: eigenvalues of M
    shrinkage  0 to 1; at 1 M is a multiple of the identity
    """

    basis: torch.Tensor = field(repr=False)
    values: torch.Tensor = field(repr=False)
    precision: torch.Tensor = field(repr=False)
    shrinkage: float

    @entrance(shapes="rows ... d")
    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """Return M times each row, ... x d: float64."""
        rows = self._plain("rows", rows)
        return ((rows @ self.basis) * self.precision) @ self.basis.mT

    @entrance(shapes="rows N d")
    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """Return sqrt(y^T M C M y) for rows y (N x d), C the covariance: float64, N.

        T over the spread of x - centre is a standardised score: about as far from 0 for every non-member.
        """
        rows = self._plain("rows", rows)
        return self.spread_of_squares((rows @ self.basis).square())

    @entrance(shapes="squares N d")
    def spread_of_squares(self, squares: torch.Tensor) -> torch.Tensor:
        """Return the same of (y^T U)^2, N x d, which all shrinkages of one covariance share."""
        return (self._plain("squares", squares) @ (self.values * self.precision.square())).sqrt()

    def _plain(self, name: str, rows: torch.Tensor) -> torch.Tensor:
        if rows.shape[-1] != len(self.values):
            raise ValueError(f"{name} {tuple(rows.shape)}: allowed are rows of {len(self.values)} numbers")
        return rows.double()


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What an attacker has learnt from images: their class means and one covariance within classes.

    centres  float64, classes x d
    basis    float64, d x d, columns eigenvectors of the covariance; values float64, d
    shrinkage  of Ledoit and Wolf
    count    images it came from
    """

    centres: torch.Tensor = field(repr=False)
    basis: torch.Tensor = field(repr=False)
    values: torch.Tensor = field(repr=False)
    shrinkage: float
    count: int

    @entrance
    def whitening(self, shrinkage: float | str) -> Whitening:
        """Return M = ((1 - s) C + s tr(C)/d I)^-1 for a shrinkage s in 0..1, or "ledoit_wolf".

        ValueError for anything else, and for 0 where C has no inverse.
        """
        s = self.shrinkage if shrinkage == LEDOIT_WOLF else shrinkage
        if isinstance(s, str | bool) or not 0 <= s <= 1:
            raise ValueError(f"shrinkage {shrinkage!r}: allowed are 0 to 1, or {LEDOIT_WOLF!r}")
        d = len(self.values)
        rank = int((self.values > self.values.max() * d * torch.finfo(torch.float64).eps).sum())
        if s == 0 and rank < d:
            raise ValueError(
                f"shrinkage {shrinkage!r}: the covariance of {self.count} images has rank {rank} in {d} "
                "dimensions, so no inverse; allowed are numbers above 0, up to 1"
            )
        if not self.values.max() > 0:
            raise ValueError(
                f"shrinkage {shrinkage!r}: the {self.count} images do not differ within their classes"
            )
        return Whitening(self.basis, self.values, 1 / ((1 - s) * self.values + s * self.values.mean()), s)


@entrance(shapes="images N d, labels N")
def fit(images: torch.Tensor, labels: torch.Tensor, classes: int) -> Knowledge:
    """Learn from an attacker's images: N x d, with labels int64, N, values 0 .. classes-1, all of them there.

    C is the covariance within classes, shared by them: (1/N) sum over images of (x - centre)(x - centre)^T.
    Shared, because a class alone often has fewer images than dimensions. One eigendecomposition serves every
    shrinkage.
    """
    validate.whole("classes", classes, 1, len(images))
    check_labels(labels, classes)
    if missing := sorted(set(range(classes)) - set(labels.unique().tolist())):
        raise ValueError(f"labels: allowed are 0 to {classes - 1}, each there; missing are {missing}")
    centres, lengths = [], []
    gram = torch.zeros((images.shape[1],) * 2, dtype=torch.float64, device=images.device)
    for c in range(classes):  # one class at a time: centred rows of all are as large as the images
        rows = images[labels == c].double()
        centres.append(rows.mean(0))
        rows -= centres[c]
        gram.addmm_(rows.mT, rows)
        lengths.append(rows.square_().sum(1))
    if not bool(gram.isfinite().all()):
        raise ValueError(f"images up to {images.abs().max():.3g}: allowed are those with finite squares")
    values, basis = torch.linalg.eigh(gram / len(images))
    values = values.clamp_min(0)
    shrinkage = ledoit_wolf(torch.cat(lengths), values)
    return Knowledge(torch.stack(centres), basis, values, shrinkage, len(images))


@entrance(shapes="lengths N, values d")
def ledoit_wolf(lengths: torch.Tensor, values: torch.Tensor) -> float:
    """Return the shrinkage of Ledoit and Wolf (Journal of Multivariate Analysis 88, 2004) for rows of mean 0.

    lengths  squared norms of the rows, N
    values   eigenvalues, d, of C = X^T X / N, X the rows, N x d

    The sum over images of ||x x^T - C||^2, over N^2, divided by ||C - tr(C)/d I||^2 (Frobenius norms, their
    lemma 3.2 to 3.4), at most 1. The sum is that of ||x||^4, less N ||C||^2.
    """
    lengths, values = lengths.double(), values.double()
    spread = float((values - values.mean()).square().sum())
    error = float(lengths.square().sum()) / len(lengths) ** 2
    error -= float(values.square().sum()) / len(lengths)
    if not math.isfinite(error) or not math.isfinite(spread):
        raise ValueError(f"values up to {values.max():.3g}: allowed are lengths and values of finite squares")
    return min(1.0, max(0.0, error / spread)) if spread > 0 else 1.0


@entrance(shapes="images N d, labels N, released K classes d, centres classes d")
def statistic(
    images: torch.Tensor,
    labels: torch.Tensor,
    released: torch.Tensor,
    centres: torch.Tensor,
    whitening: Whitening | None = None,
) -> torch.Tensor:
    """Return float64 K x N: T of each image and each release; None whitens nothing.

    images    N x d; labels int64, N, values 0 .. classes-1
    released  K x classes x d
    centres   classes x d
    """
    check_labels(labels, released.shape[1])
    images, released, centres = images.double(), released.double(), centres.double()
    if whitening is not None and len(whitening.values) != images.shape[1]:
        raise ValueError(
            f"whitening of {len(whitening.values)} dimensions: allowed is one of {images.shape[1]}"
        )
    gaps = released - centres
    weights = gaps if whitening is None else whitening.apply(gaps)
    scores = images.new_empty((len(released), len(images)))
    for c in labels.unique().tolist():
        rows = (labels == c).nonzero()[:, 0]
        scores[:, rows] = weights[:, c] @ (images[rows] - centres[c]).mT
    return scores


class Scores(NamedTuple):
    """T of images and releases under one whitening of an attacker, float64.

    shrinkage, shrinkage_used   as it was asked for (a number or "ledoit_wolf"), and what that came to
    raw      K x N: T, for one threshold on all images
    spread   N, above 0: T's spread over non-members under the attacker's own covariance, but for 1/sqrt(n)
    """

    shrinkage: float | str
    shrinkage_used: float
    raw: torch.Tensor
    spread: torch.Tensor

    @property
    def standardised(self) -> torch.Tensor:
        """T over its spread, K x N: about as far from 0 for every non-member."""
        return self.raw / self.spread


@entrance(shapes="images N d, labels N, released K classes d")
def scores(
    known: Knowledge,
    images: torch.Tensor,
    labels: torch.Tensor,
    released: torch.Tensor,
    shrinkages: Sequence[float | str],
) -> Iterator[Scores]:
    """Yield the scores for each shrinkage; the projections of the images serve them all.

    Arguments are those of `statistic`; ValueError as there, and where `Knowledge.whitening` refuses one.
    """
    if isinstance(shrinkages, str) or not isinstance(shrinkages, Iterable):
        raise ValueError(f"shrinkages {shrinkages!r}: allowed are several, each 0 to 1 or {LEDOIT_WOLF!r}")
    centres, wanted = tuple(known.centres.shape), tuple(released.shape[1:])
    if centres != wanted:
        raise ValueError(f"known of {centres} centres: allowed are {wanted}")
    check_labels(labels, len(known.centres))
    images = images.double()
    squares = torch.empty_like(images)
    for c, centre in enumerate(known.centres):
        rows = (labels == c).nonzero()[:, 0]
        squares[rows] = ((images[rows] - centre) @ known.basis).square_()
    for shrinkage in shrinkages:
        whitening = known.whitening(shrinkage)
        raw = statistic(images, labels, released, known.centres, whitening)
        spread = whitening.spread_of_squares(squares).clamp_min(torch.finfo(torch.float64).tiny)
        yield Scores(shrinkage, whitening.shrinkage, raw, spread)


@entrance(shapes="images N d, labels N, membership K N")
def class_means(
    images: torch.Tensor, labels: torch.Tensor, membership: torch.Tensor, classes: int
) -> torch.Tensor:
    """Return the mean of each half's images in each class: of the floats of `images`, K x classes x d.

    images      the pool's, N x d; labels int64, N, values 0 .. classes-1
    membership  bool, K x N, on the CPU; every half has members of every class
    """
    validate.whole("classes", classes, 1, len(images))
    check_labels(labels, classes)
    images = images if images.is_floating_point() else images.double()
    means = images.new_empty((len(membership), classes, images.shape[1]))
    for c in range(classes):
        rows = (labels == c).nonzero()[:, 0]
        members = membership[:, rows.cpu()].to(images)
        for half in (members.sum(1) == 0).nonzero()[:, 0].tolist():
            raise ValueError(f"membership: half {half} has 0 members of class {c}; allowed are one or more")
        means[:, c] = members @ images[rows] / members.sum(1, keepdim=True)
    return means


@entrance(shapes="images N d, labels N, released K classes d")
def without_data(images: torch.Tensor, labels: torch.Tensor, released: torch.Tensor) -> torch.Tensor:
    """Return float64 K x N: T of an attacker who has nothing but the releases and the image in question.

    M is the identity and the centre of release k the average of its class means, for all classes. What tells
    the class from the others is in the score too, and hides the members. Arguments: those of `statistic`.
    """
    check_labels(labels, released.shape[1])
    images, released = images.double(), released.double()
    centres = released.mean(1)
    scores = images.new_empty((len(released), len(images)))
    for c in labels.unique().tolist():
        rows = (labels == c).nonzero()[:, 0]
        gaps = released[:, c] - centres
        scores[:, rows] = gaps @ images[rows].mT - (gaps * centres).sum(1, keepdim=True)
    return scores


@dataclass(frozen=True, eq=False)
class Embedding:
    """Random extractors, side by side, and a random map of all their features to `dimension` numbers.

    network, parameters   what `networks.build` builds; its weights, float32, one per network
    projections  feature_dim x dimension each: independent normals of variance 1 / (dimension networks)
    """

    network: Network
    parameters: tuple[Weights, ...] = field(repr=False)
    projections: tuple[torch.Tensor, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse weights, by name, that are not those of the network, in float32."""
        for r, weights in enumerate(self.parameters):
            plain_weights(self.network, weights, torch.float32, f"parameters[{r}]")

    @classmethod
    @entrance
    def draw(
        cls, network: Network, count: int, dimension: int, seed: int, device: str | torch.device = "cpu"
    ) -> "Embedding":
        """Draw `count` initial networks, and the projections; ValueError for fewer than one of either."""
        validate.whole("count", count, 1)
        validate.whole("dimension", dimension, 1, MOST_FEATURES)
        device = devices.present(device)
        parameters, projections = [], []
        for r in range(count):
            stream = generator(seed, "tracing extractor", r, device=device)
            parameters.append(network.initial(stream, classifier=False))
            stream = generator(seed, "tracing projection", r, device=device)
            drawn = torch.randn((network.feature_dim, dimension), generator=stream, device=device)
            projections.append(drawn / math.sqrt(dimension * count))
        return cls(network, tuple(parameters), tuple(projections))

    @entrance(shapes="images N channels H W")
    @torch.no_grad()
    def project(self, images: torch.Tensor) -> torch.Tensor:
        """Map images, as float32, N x C x H x W, to features, float64, N x dimension, in chunks.

        The features of all networks, concatenated, times one random matrix, which preserves inner products on
        average (Johnson and Lindenstrauss); the concatenation is never held.
        """
        images = self._fitting("images", images)
        chunk = max(1, BYTES // self.network.activation_bytes(images.dtype))
        features = []
        for batch in images.split(chunk):
            batch = batch.contiguous(memory_format=torch.channels_last)
            features.append(
                sum(
                    (self.network.features(theta, batch) @ projection).double()
                    for theta, projection in zip(self.parameters, self.projections, strict=True)
                )
            )
        return torch.cat(features)

    def _fitting(self, name: str, images: torch.Tensor) -> torch.Tensor:
        shape = (self.network.channels, self.network.size, self.network.size)
        if tuple(images.shape[-3:]) != shape:
            raise ValueError(f"{name} {tuple(images.shape)}: allowed are the network's images, {shape}")
        return images.float()

    @entrance(shapes="synthetic K classes ipc channels H W")
    def means(self, synthetic: torch.Tensor) -> torch.Tensor:
        """Return the mean features of each class, float64, K x classes x dimension.

        synthetic  K x classes x ipc x C x H x W
        """
        synthetic = self._fitting("synthetic", synthetic)
        return self.project(synthetic.flatten(0, 2)).unflatten(0, synthetic.shape[:3]).mean(2)
