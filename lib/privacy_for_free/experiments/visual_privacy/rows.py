"""The rows of `visual_privacy`: distances and shares with their intervals and tests, and pictures.

Are members nearer? A half has as many members as non-members of each class. So where a set does not depend on
its half, the nearest image is a member with probability 1/2, and exchanging the two turns a set's share of
such images, or mean difference of the two distances, into its opposite. The images of one set are not
independent: each is made from all of the set's members. The K sets are the unit of every interval and of the
test, which flips the signs of their differences (`stats.sign_flip`). Halves of one pool are nearly, not
quite, independent: a column of the membership matrix sums to K/2, which makes the spread of the mean smaller
than the test assumes.
"""

from collections.abc import Iterator

import numpy as np
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks.image_distance.nearest import NearestOfSets, Release
from privacy_for_free.data.image_text import write_image
from privacy_for_free.stats import intervals, sign_flip

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


def measurements(release: Release, nearest: NearestOfSets, seed: int) -> Iterator[dict[str, object]]:
    """Yield the rows of one release, moment and metric."""
    for population in release.populations:
        member, other = (nearest.distance[population, inside] for inside in (True, False))
        common = {"population": population, "images": member.size}
        yield common | {"reference": "nearest_member"} | distance_columns(member)
        yield common | {"reference": "nearest_nonmember"} | distance_columns(other)
        tested = {"p_value": sign_flip.p_value((other - member).mean(1), seed)}
        yield common | {"reference": "difference"} | distance_columns(other - member) | tested
        nearer = (member < other) + 0.5 * (member == other)
        tested = {"p_value": sign_flip.p_value((nearer - 0.5).mean(1), seed)}
        yield common | {"reference": "member_nearer"} | share_columns(nearer) | tested
    if nearest.initial is not None:
        common = {"population": "all", "images": nearest.initial.size}
        yield common | {"reference": "initial"} | distance_columns(nearest.initial)
        member, other = (nearest.distance["all", inside] for inside in (True, False))
        same = nearest.index["all", True] == release.initial.flatten(1).numpy()
        yield common | {"reference": "initial_nearest"} | share_columns(same & (member <= other))


def mean_columns(values: np.ndarray) -> dict[str, object]:
    """Return mean, low and high of values K x images, the sets being the unit (Student's t)."""
    means = values.mean(1)
    if np.ptp(means) <= 1e-12 * np.abs(means).max():  # all the same: no spread to estimate
        return dict.fromkeys(("mean", "low", "high"), float(means[0]))
    interval = intervals.mean(means)
    return {"mean": interval.value, "low": interval.low, "high": interval.high}


def distance_columns(values: np.ndarray) -> dict[str, object]:
    """Return the columns of distances K x images: mean with interval, and quantiles over all images."""
    quantiles = zip(QUANTILES, np.quantile(values, list(QUANTILES.values())), strict=True)
    return {"statistic": "mean"} | mean_columns(values) | dict(quantiles)


def share_columns(hits: np.ndarray) -> dict[str, object]:
    """Return the columns of a share of images, hits K x images from 0 to 1.

    images_low and images_high take the images for independent (Clopper-Pearson).
    """
    exact = intervals.rate(int(hits.sum()), hits.size)
    ends = {"images_low": exact.low, "images_high": exact.high}
    return {"statistic": "share"} | mean_columns(hits.astype(float)) | ends


def images_kept(
    release: Release, classes: list[int], pool: shadows.Pool, candidates: torch.Tensor
) -> Iterator[dict[str, object]]:
    """Yield pictures of a release's own images, and of the real ones they started from."""
    for c in classes:
        common = {"statistic": "picture", "class_index": c}
        for step, images in release.moments.items():
            yield common | {"reference": "synthetic", "iterations": step} | picture_columns(images[0, c, 0])
        start = int(release.initial[0, c, 0])
        if start >= 0:
            common |= {"reference": "initial", "train_index": int(pool.indices[start])}
            yield common | picture_columns(candidates[start])


def neighbours_kept(
    nearest: NearestOfSets, classes: list[int], pool: shadows.Pool, candidates: torch.Tensor
) -> Iterator[dict[str, object]]:
    """Yield pictures of the nearest member and non-member, with their distance as `mean`."""
    for c in classes:
        for inside, reference in ((True, "nearest_member"), (False, "nearest_nonmember")):
            images = nearest.index["all", inside].shape[1] // pool.classes
            place = int(nearest.index["all", inside][0, c * images])
            common = {"statistic": "picture", "reference": reference, "class_index": c}
            common |= {"population": "all", "train_index": int(pool.indices[place])}
            distance = {"mean": nearest.distance["all", inside][0, c * images]}
            yield common | distance | picture_columns(candidates[place])


def picture_columns(image: torch.Tensor) -> dict[str, object]:
    """Return the columns of an image, C x H x W, in [0, 1]."""
    shape, text = write_image(image)
    return {"shape": shape, "picture": text}
