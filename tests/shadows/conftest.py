"""A pool of images of two classes, and its halves."""

import pytest
import torch

from privacy_for_free import shadows
from privacy_for_free.core.randomness import generator


@pytest.fixture(scope="session")
def training_set():
    """200 images of two classes, and their labels."""
    labels = torch.arange(200) % 2
    images = torch.rand((200, 1, 8, 8), generator=generator(0, "images")) + labels[:, None, None, None]
    return images, labels


@pytest.fixture(scope="session")
def pool(training_set):
    """80 of them, and 6 halves."""
    return shadows.draw(*training_set, 80, 6, seed=0)
