"""Attacks on the released images themselves: the attacker sees S, and trains no network on it.

Each gives a statistic of K releases on N pool images, higher where an image looks like a member. It is a
score as it stands, and what `lira.scores` calibrates with the other K - 1 releases as shadows.
"""

from collections.abc import Callable, Mapping

import torch

from privacy_for_free.attacks.confidences import check_labels
from privacy_for_free.core.entrance import entrance

PAIRS = 2**24  # of images, whose distances are held at a time


@entrance
def nearest(images: torch.Tensor, labels: torch.Tensor, synthetic: torch.Tensor) -> torch.Tensor:
    """Return float64 K x N: minus the distance of each image to the nearest synthetic one of its class.

    images     N x ..., float; labels int64, N, values 0 .. classes-1
    synthetic  K x classes x ipc x ..., of the images' pixels

    Euclidean, over pixels. An image that was released as it is scores 0, the highest there is.
    """
    flat, released = _flat(images, labels, synthetic)
    K, _, ipc, _ = released.shape
    scores = flat.new_empty((K, len(flat)))
    for c in labels.unique().tolist():
        members = (labels == c).nonzero()[:, 0]
        points = released[:, c].flatten(0, 1)
        for rows in members.split(max(1, PAIRS // len(points))):
            # Differences, not products: the distance of an image to itself is exactly 0.
            distances = torch.cdist(flat[rows], points, compute_mode="donot_use_mm_for_euclid_dist")
            scores[:, rows] = -distances.unflatten(1, (K, ipc)).amin(2).T
    return scores


@entrance
def class_mean(images: torch.Tensor, labels: torch.Tensor, synthetic: torch.Tensor) -> torch.Tensor:
    """Return float64 K x N: <x - mu_c, sbar_kc - mu_c>, mu_c the pool's mean of the image's class c.

    The likelihood-ratio statistic for the mean of Gaussian images of unit covariance (Homer et al., PLoS
    Genetics 4, 2008; Sankararaman et al., Nature Genetics 41, 2009), for an attacker who knows the pool.
    Arguments are those of `nearest`.
    """
    flat, released = _flat(images, labels, synthetic)
    scores = flat.new_empty((len(released), len(flat)))
    for c in labels.unique().tolist():
        rows = (labels == c).nonzero()[:, 0]
        centre = flat[rows].mean(0)
        scores[:, rows] = (released[:, c].mean(1) - centre) @ (flat[rows] - centre).T
    return scores


def _flat(
    images: torch.Tensor, labels: torch.Tensor, synthetic: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    classes = synthetic.shape[1] if synthetic.dim() > 1 else 0
    if synthetic.dim() < 4 or synthetic.shape[3:] != images.shape[1:] or labels.shape != images.shape[:1]:
        raise ValueError(
            f"images {tuple(images.shape)}, labels {tuple(labels.shape)}, "
            f"synthetic {tuple(synthetic.shape)}: "
            "allowed are N x pixels, N, and K x classes x ipc x the same pixels"
        )
    if synthetic.numel() == 0 or len(labels) == 0:
        raise ValueError(
            f"synthetic {tuple(synthetic.shape)} for labels {tuple(labels.shape)}: allowed are one or more"
        )
    check_labels(labels, classes)
    return images.flatten(1).double(), synthetic.flatten(3).double()


# By the names that tables call them: (images, labels, synthetic) -> float64, K x N.
STATISTICS: Mapping[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "nearest": nearest,
    "tracing": class_mean,
}
