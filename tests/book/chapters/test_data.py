"""What the chapter's figures show, of images and memberships made up."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch

from privacy_for_free.book.chapters import data


def test_each_class_has_a_row_and_an_empty_place_is_removed():
    images = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    made_up = SimpleNamespace(
        classes=("bag", "boot", "coat"), train_images=images, of_class=lambda index: images[index::3]
    )
    axes = data.figure_classes(made_up).axes
    assert [axis.get_ylabel() for axis in axes] == ["bag", "boot", "coat"]
    strip = np.asarray(axes[0].images[0].get_array())
    assert strip.shape == (4, 10 * 5 - 1)  # eight images, a gap and the mean, a pixel between them
    np.testing.assert_allclose(strip[:, 45:], images[::3].mean(0)[0], rtol=1e-6)
    plt.close("all")


def test_memberships_are_drawn_with_the_correlations_of_their_rows():
    membership = torch.rand(6, 40, generator=torch.Generator().manual_seed(0)) < 0.5
    left, right = data.figure_membership(membership).axes
    np.testing.assert_array_equal(left.images[0].get_array(), membership)
    widths = [bar.get_width() * bar.get_height() for bar in right.patches]
    assert np.isclose(sum(widths), 1)
    assert len(right.lines) == 1  # independent rows
    plt.close("all")
