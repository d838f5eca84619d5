"""What several experiments begin with: the images of a data set, scaled."""

from typing import TYPE_CHECKING

import torch

from privacy_for_free.private.noisy_condensation import scale_publicly

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def standardised(dataset: "Dataset", device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the training and test images, less the training mean, over its spread, on `device`.

    float32 n x C x H x W each; mean and spread are of each channel.
    """
    images = (dataset.train_images, dataset.test_images)
    if not dataset.normalised:
        mean, std = dataset.mean[:, None, None], dataset.std[:, None, None]
        images = tuple((part - mean).div_(std) for part in images)
    return tuple(part.to(device) for part in images)


def scaled_publicly(dataset: "Dataset", device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the training and test images, float32 n x C x H x W, from [0, 1] to [-1, 1], on `device`."""
    images = (dataset.train_images, dataset.test_images)
    if dataset.normalised:
        mean, std = dataset.mean[:, None, None], dataset.std[:, None, None]
        images = tuple(part * std + mean for part in images)
    return tuple(scale_publicly(part).to(device) for part in images)
