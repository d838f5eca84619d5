"""What the tests of several experiments are run on."""

from types import SimpleNamespace

import pytest
import torch

from privacy_for_free.core.randomness import generator


@pytest.fixture(scope="session")
def memorable():
    """Images of two classes that are hard to tell apart: what is learnt of an image is the image."""
    count = 400
    labels = torch.arange(count) % 2
    images = torch.randn((count, 1, 8, 8), generator=generator(0, "noise"))
    images += 0.1 * labels[:, None, None, None]
    return SimpleNamespace(
        name="toy", sha256="0" * 64, normalised=False, classes=("a", "b"), train_images=images,
        train_labels=labels, test_images=images, test_labels=labels,
        mean=images.mean((0, 2, 3)), std=images.std((0, 2, 3)),
    )  # fmt: skip
