"""What theory predicts of the tracing attack on the class means of random halves of a pool of real images.

`theory.tracing` has the laws of the statistic T(x) = w.(xbar - centre), w = M (x - centre), given an image's
moments. Here the moments are taken from images, for an attacker with any centre and matrix M, and the laws of
many images become one ROC. There are two predictions:

    leading  from mean and covariance of a reference, all training images of the class, to leading order in
             1/n. Who knows the pool knows its mean, which leaves half of the variance
    exact    from the pool's own mean and covariance, with the variances of sampling without replacement; all
             that is left to approximate is that sums over members are Gaussian

Images are rows, float64.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from privacy_for_free.core.entrance import entrance
from privacy_for_free.theory import checks, tracing

Rows = Callable[[torch.Tensor], torch.Tensor]


class Moments(NamedTuple):
    """What a law needs to know of each image: float64 arrays, images.

    own       w.(x - mean): what the image itself adds
    variance  w^T Sigma w
    offset    w.(mean - centre): by how much the attacker's centre is off
    """

    own: np.ndarray
    variance: np.ndarray
    offset: np.ndarray


class Prediction(NamedTuple):
    """The predicted laws of the raw statistic, for some images of a pool.

    places   int64: which images of the pool these are
    """

    leading: tracing.Law
    exact: tracing.Law
    places: torch.Tensor

    @property
    def effect(self) -> float:
        """Root mean square over images of the effect size, to leading order."""
        return float(np.sqrt(np.mean(self.leading.effect**2)))


class Rates(NamedTuple):
    """An ROC as predicted: TPR (float64, in the shape of the FPRs asked for) and the area under it."""

    tpr: np.ndarray
    auc: float


@entrance(shapes="weights P d, images P d, source N d, centre d")
def moments(
    weights: torch.Tensor, images: torch.Tensor, source: torch.Tensor, centre: torch.Tensor
) -> Moments:
    """Return the moments of images (P x d) with weights w (P x d), mean and Sigma those of the source's rows.

    source   N x d; Sigma has the divisor N
    centre   d: the attacker's
    """
    checks.floats(weights=weights, images=images, source=source, centre=centre)
    mean = source.mean(0)
    variance = (weights @ (source - mean).mT).square().mean(1)
    own, offset = (weights * (images - mean)).sum(1), weights @ (mean - centre)
    return Moments(*(values.cpu().numpy() for values in (own, variance, offset)))


@entrance
def laws(
    pool: Moments, reference: Moments, members: int, knows_pool: bool
) -> tuple[tracing.Law, tracing.Law]:
    """Return the leading and the exact law of images of one class, half of whose pool images are members.

    members      of the class, half of its pool images
    knows_pool   whether the attacker's centre is the pool's mean, so that half of the variance is left
    """
    checks.counts(members=members)
    exact = tracing.pool_law(pool.own, pool.variance, members, 2 * members, pool.offset)
    if knows_pool:
        return tracing.fresh_law(pool.own, reference.variance / 2, members), exact
    return tracing.fresh_law(reference.own, reference.variance, members, reference.offset), exact


@entrance(shapes="images N d, labels N, centres classes d")
def predict(
    images: torch.Tensor,
    labels: torch.Tensor,
    reference: Callable[[int], torch.Tensor],
    centres: torch.Tensor,
    whitenings: Mapping[Hashable, Rows],
    knows_pool: bool,
    images_per_class: int | None = None,
) -> dict[Hashable, Prediction]:
    """Predict the laws of T for each whitening, and the first images of each class.

    images      the pool's, 2 n of each class, N x d
    labels      int64, N, values 0 .. classes-1
    reference   class -> all images of the class to be had, rows of d; called once for each class, so that
                only one class's rows are held
    centres     the attacker's, classes x d
    whitenings  name -> rows (P x d) to M times each of them
    knows_pool  whether the attacker's centres are the pool's means
    images_per_class   images of each class that a law is given for, at most; None for all
    """
    checks.floats(images=images, centres=centres)
    if images_per_class is not None:
        checks.counts(images_per_class=images_per_class)
    if int(labels.max()) >= len(centres):
        raise ValueError(
            f"labels to {int(labels.max())}: allowed are 0 to {len(centres) - 1}, one per centre"
        )
    sizes = labels.bincount(minlength=len(centres)).tolist()
    for label, size in enumerate(sizes):
        if size < 4 or size % 2:
            raise ValueError(
                f"labels: {size} images of class {label}, of {len(centres)} centres; allowed are an even "
                "number from 4 up of each class that has a centre"
            )
    by_class: dict[Hashable, list[tuple]] = {name: [] for name in whitenings}
    for c, centre in enumerate(centres):
        places = (labels == c).nonzero()[:, 0]
        whole, places = images[places], places[:images_per_class]
        everything = reference(c)
        for name, whiten in whitenings.items():
            weights = whiten(images[places] - centre)
            of_pool, of_reference = (
                moments(weights, images[places], source, centre) for source in (whole, everything)
            )
            by_class[name].append((*laws(of_pool, of_reference, len(whole) // 2, knows_pool), places))
    predictions = {}
    for name, parts in by_class.items():
        leading, exact, places = zip(*parts, strict=True)
        joined = (tracing.Law(*map(np.concatenate, zip(*law, strict=True))) for law in (leading, exact))
        predictions[name] = Prediction(*joined, torch.cat(places))
    return predictions


@entrance
def rates(law: tracing.Law, fprs: Sequence[float], scale: np.ndarray | float = 1.0) -> Rates:
    """Return the ROC of scores of this law, divided by `scale` (one number, or one per image).

    One threshold for all images, which are drawn uniformly.
    """
    if not len(fprs):
        raise ValueError("fprs of length 0: allowed are one or more")
    scaled = law.over(scale)
    return Rates(tracing.mixture_tpr(fprs, scaled), tracing.mixture_auc(scaled))
