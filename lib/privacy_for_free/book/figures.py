"""One plotting style for the whole book: readable in print, in grey, and by colour-blind readers.

Series differ by colour and by marker or line style. Needs matplotlib and seaborn (the extra `book`).
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.stats.intervals import Interval, rate

WIDTH = 7.2  # inches: the width of the book's text column
COLOURS = sns.color_palette("colorblind").as_hex()  # Okabe and Ito's palette, as seaborn orders it
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
TITLES = {
    "fashion_mnist_mini": "FashionMNIST (embedded subset)",
    "fashion_mnist": "FashionMNIST",
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "celeba": "CelebA",
    "fairface": "FairFace, in place of CelebA",
}


def use_style() -> None:
    """Set the book's style; call once, before the first figure."""
    sns.set_theme(context="paper", style="ticks", palette="colorblind", font="DejaVu Sans", font_scale=1.05)
    plt.rcParams.update(
        {
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 200,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "lines.markersize": 4.5,
            "svg.hashsalt": "privacy-for-free",
        }
    )


def panels(columns: int, rows: int = 1, height: float = 2.8, **options: object) -> tuple[Figure, np.ndarray]:
    """A figure of the text's width with rows x columns axes, as a flat array; `height` in inches per row."""
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows), squeeze=False, **options)
    return figure, axes.ravel()


def title(dataset: str) -> str:
    """The data set's name as a reader knows it."""
    return TITLES.get(dataset, dataset)


def short(dataset: str) -> str:
    """The same without its explanation.

    >>> short("fairface")
    'FairFace'
    """
    return title(dataset).split(",")[0]


def interval(value: float, low: float, high: float, form: str = "z.2f") -> str:
    """Return value and interval as a table shows them; a narrow column breaks before the bracket only.

    >>> interval(-0.001, -0.25, 0.5)
    '0.00 [-0.25,\\xa00.50]'
    """
    return f"{value:{form}} [{low:{form}},\u00a0{high:{form}}]"


def whiskers(
    rows: pd.DataFrame, column: str, interval: str | None = None, scale: float = 100.0
) -> np.ndarray:
    """Lengths of error bars below and above a column's values, 2 x rows, times `scale` (to percent).

    Their ends are the columns `interval`_low and `interval`_high, which are named after the column if not
    otherwise.
    """
    ends = rows[[f"{interval or column}_low", f"{interval or column}_high"]].to_numpy().T
    return scale * np.abs(ends - rows[column].to_numpy())


def points(row: object, column: str, interval: str | None = None) -> Interval:
    """The share or difference of shares in a row (of `itertuples`), in percent; columns as for `whiskers`."""
    names = (column, *(f"{interval or column}_{end}" for end in ("low", "high")))
    return Interval(*(100 * float(getattr(row, name)) for name in names))


def series(index: int) -> dict[str, object]:
    """Colour, marker and line style of the index-th series of a plot."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


def roc(
    axis: Axes, fprs: Sequence[float], tprs: Sequence[float], members: int, label: str, index: int
) -> None:
    """Draw a ROC curve, the index-th of its axis, with the exact 95 % interval of each rate as a band.

    The intervals are those of `members` independent pairs of a target and an image; where pairs share images
    or targets they are too narrow, and a caption has to say so.
    """
    bands = [rate(round(value * members), members) for value in tprs]
    style = series(index) | {"markersize": 3}
    axis.plot(fprs, tprs, label=label, **style)
    low, high = [band.low for band in bands], [band.high for band in bands]
    axis.fill_between(fprs, low, high, color=style["color"], alpha=0.15, linewidth=0)


def legend_below(figure: Figure, axis: Axes, columns: int, **options: object) -> None:
    """Put the legend of one axis under the whole figure; `options` are matplotlib's of a legend."""
    entries = axis.get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=columns, **options)


def pictures(axis: Axes, images: torch.Tensor, shape: Sequence[int], label: str = "", gap: int = 1) -> Axes:
    """Draw images (N, d) or (N, C, H, W) side by side on one axis; values are clipped to [0, 1].

    `shape` is (C, H, W). The label stands to the left, as a row's name.
    """
    channels, height, width = shape
    tiles = images.reshape(-1, channels, height, width).clamp(0, 1).cpu().float()
    strip = torch.ones(channels, height, len(tiles) * (width + gap) - gap)
    for index, tile in enumerate(tiles):
        strip[:, :, index * (width + gap) : index * (width + gap) + width] = tile
    pixels = strip[0] if channels == 1 else strip.permute(1, 2, 0)
    axis.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    sns.despine(ax=axis, left=True, bottom=True)
    axis.set_ylabel(label, rotation=0, ha="right", va="center")
    return axis
