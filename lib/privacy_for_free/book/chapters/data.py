"""Figures of the chapter "The images"."""

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats

from privacy_for_free.book import figures
from privacy_for_free.data import Dataset

PICTURED = 8  # training images per class


def figure_classes(dataset: Dataset) -> Figure:
    """Draw the first training images of each class, and last, after a gap, the mean of all of them."""
    rows = (len(dataset.classes) + 1) // 2
    figure, axes = figures.panels(2, rows=rows, height=0.62)
    for index, name in enumerate(dataset.classes):
        images = dataset.of_class(index)
        gap = torch.ones_like(images[:1])
        strip = torch.cat([images[:PICTURED], gap, images.mean(0, keepdim=True)])
        figures.pictures(axes[index], strip, dataset.train_images.shape[1:], name)
    for axis in axes[len(dataset.classes) :]:
        axis.remove()
    return figure


def figure_membership(membership: torch.Tensor) -> Figure:
    """Draw a membership matrix, bool (K, N), and how its rows correlate, beside independent rows."""
    figure, (left, right) = figures.panels(2, height=2.9, width_ratios=(3, 2))
    left.imshow(membership.numpy(), aspect="auto", cmap="Greys", interpolation="nearest")
    left.set(xlabel="image of the pool", ylabel="network")
    correlations = np.corrcoef(membership.numpy())[np.triu_indices(len(membership), 1)]
    right.hist(correlations, bins=30, density=True, color=figures.COLOURS[0], label="observed")
    grid = np.linspace(correlations.min(), correlations.max(), 200)
    independent = stats.norm.pdf(grid, scale=membership.shape[1] ** -0.5)
    right.plot(grid, independent, color="black", label="independent")
    right.set(xlabel="correlation of two rows", ylabel="density")
    right.legend(fontsize="small")
    return figure
