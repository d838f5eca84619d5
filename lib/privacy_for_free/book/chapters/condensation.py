"""Figures, tables, numbers and verdicts of the chapter "Dataset condensation"."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.book import figures
from privacy_for_free.book.claims.catalogue import SMALL_DIFFERENCE_POINTS
from privacy_for_free.condensation import Condensed
from privacy_for_free.data import Dataset
from privacy_for_free.lab.record import Record
from privacy_for_free.stats.intervals import Interval, difference, mean

METHODS = {
    "dm": "DM",
    "dsa": "DSA",
    "dc": "DC",
    "kip": "KIP",
    "herding": "herding",
    "random_subset": "random subset",
}
FROM_NOISE = {"dm": "DM", "dsa": "DSA", "kip": "KIP"}  # methods that were started from noise too
STARTS = {
    "real": "real images",
    "noise_matched": "noise like the pixels",
    "noise": "standard normal noise",
}
LEARNERS = {"convnet": "ConvNet", "mlp": "MLP", "kernel": "kernel regression"}
DASHED = {"color": "black", "linestyle": "--"}
UNKNOWN = Interval(math.nan, math.nan, math.nan)

# What the prose has, by data set, method and images per class; each from real images.
ACCURACIES = (
    *("fashion_mnist.dm.10", "fashion_mnist.dm.50", "cifar10.dm.10", "cifar10.dm.50", "fairface.dm.10"),
    *("fashion_mnist.random_subset.10", "fashion_mnist.random_subset.50"),
    *("cifar10.random_subset.50", "fairface.random_subset.50"),
    *("fashion_mnist.herding.1", "cifar10.herding.50"),
    *("fashion_mnist.dc.10", "fashion_mnist.dsa.10", "cifar10.dc.10", "cifar10.dsa.10"),
)
GAINS = (
    *("fashion_mnist.dm.1", "fashion_mnist.dm.10", "fashion_mnist.dm.50"),
    *("cifar10.dm.1", "cifar10.dm.10", "cifar10.dm.50"),
    *("fairface.dm.1", "fairface.dm.10", "fairface.dm.50"),
)
GAINS_WITH_INTERVAL = ("fashion_mnist.dm.1", "fashion_mnist.dm.10", "fairface.dm.1")
TOTAL_SECONDS = ("fashion_mnist.dm.10", "fashion_mnist.dm.50", "cifar10.dm.10", "cifar10.dm.50")
# The same with ten images per class, by data set, method and start.
NOISE_ACCURACIES = (
    *("fashion_mnist.dm.noise", "fashion_mnist.dm.noise_matched"),
    *("cifar10.dm.noise", "cifar10.dm.noise_matched"),
)
LOST = (
    *("fashion_mnist.dm.noise", "fashion_mnist.dsa.noise", "fashion_mnist.kip.noise"),
    *("cifar10.dm.noise", "cifar10.dsa.noise", "cifar10.kip.noise"),
    *("fairface.dm.noise", "fairface.kip.noise"),
)


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the records of `condensation`.

    provenance  where they come from, one line for each data set
    table       their rows, with columns `dataset` and `percent`, the test accuracy
    settings    parameters of the first record, as its sidecar has them
    """

    provenance: str
    table: pd.DataFrame
    settings: Mapping[str, object] = field(repr=False)

    @property
    def datasets(self) -> list[str]:
        """The data sets, in their order."""
        return list(dict.fromkeys(self.table.dataset))

    @property
    def network(self) -> pd.DataFrame:
        """The rows of the ConvNet."""
        return self.table[self.table.evaluator == "convnet"]

    @property
    def middle(self) -> int:
        """The images per class at which methods were started from noise as well, on the first data set."""
        return int(self.network[self.network.init == "noise"].ipc.iloc[0])

    def rows(self, dataset: str, method: str, ipc: int | None = None, init: str = "real") -> pd.DataFrame:
        """Return the ConvNet's rows of a cell, one for each seed; of `full` without images per class."""
        rows = self.network
        chosen = (rows.dataset == dataset) & (rows.method == method) & (rows.init == init)
        return rows[chosen if ipc is None else chosen & (rows.ipc == ipc)]

    def accuracy(self, dataset: str, method: str, ipc: int | None = None, init: str = "real") -> float:
        """Return the mean accuracy of a cell in percent; not a number where it was not run."""
        return float(self.rows(dataset, method, ipc, init).percent.mean())

    def lost(self, dataset: str, method: str) -> float:
        """Return by how many points ten images per class are worse from noise than from real images."""
        return self.accuracy(dataset, method, 10) - self.accuracy(dataset, method, 10, "noise")

    def seconds(self, dataset: str, method: str, ipc: int | None = None) -> tuple[float, float]:
        """Return the median seconds to make a set of a cell, and to train the ConvNet on it."""
        median = self.rows(dataset, method, ipc)[["seconds", "train_seconds"]].median()
        return float(median.seconds), float(median.train_seconds)

    @property
    def gains(self) -> dict[tuple[str, int, str], Interval]:
        """Points above the random subset of the same size, by data set, images per class and method."""
        real = self.network[(self.network.init == "real") & (self.network.method != "full")]
        gains = {}
        for (dataset, ipc), rows in real.groupby(["dataset", "ipc"], sort=False):
            accuracies = rows.groupby("method").percent.apply(list)
            for method in accuracies.index.drop("random_subset"):
                gains[dataset, ipc, method] = difference(accuracies[method], accuracies["random_subset"])
        return gains


def load(records: Mapping[str, Record]) -> View:
    """Take from the records what the chapter draws."""
    table = pd.concat(
        [record.table.assign(dataset=name) for name, record in records.items()], ignore_index=True
    )
    provenance = "\n".join(record.provenance() for record in records.values())
    settings = next(iter(records.values())).meta["parameters"]
    return View(provenance, table.assign(percent=100 * table.test_accuracy), settings)


def figure_formed(formed: Mapping[tuple[str, str], Condensed], dataset: Dataset) -> Figure:
    """Draw one image of the last class over the steps, a method (its label) in each row, by its start."""
    classes, shape = len(dataset.classes), tuple(dataset.train_images.shape[1:])
    mean_pixel, spread = dataset.mean[:, None, None], dataset.std[:, None, None]
    labels = list(dict.fromkeys(label for label, _ in formed))
    figure, axes = figures.panels(2, len(labels), height=0.85)
    for row, label in enumerate(labels):
        for column, init in enumerate(("real", "noise")):
            steps = formed[label, init].snapshots
            images = torch.stack([steps[step].reshape(-1, classes, *shape)[0, -1] for step in sorted(steps)])
            axis = axes[2 * row + column]
            figures.pictures(axis, images * spread + mean_pixel, shape, "" if column else label)
            if row == 0:
                axis.set_title(f"from {'a real image' if init == 'real' else 'noise'}")
    return figure


def table_settings(view: View) -> pd.DataFrame:
    """Return the settings of the first record beside the published ones."""
    settings = view.settings
    dm, dsa, kip = (settings[method] for method in ("dm", "dsa", "kip"))
    rows = {
        "width of the ConvNet": (settings["width"], 128),
        "DM: steps": (dm["iterations"], 20_000),
        "DM: real images a class and step": (dm["batch_real"], 256),
        "DM: step size": (dm["learning_rate"], 1.0),
        "DC, DSA: networks": (dsa["iterations"], 1000),
        "DC, DSA: real images a class and step": (dsa["batch_real"], 256),
        "DC, DSA: matchings a network, at most": (dsa["outer_loop"], "1, 10, 50 at 1, 10, 50 images"),
        "DC, DSA: epochs between two, at most": (dsa["inner_loop"], "1, 50, 10 at 1, 10, 50 images"),
        "KIP: steps": (kip["iterations"], 300),
        "KIP: targets a step": (kip["batch_targets"], 5000),
        "epochs of training on a set": (settings["schedule"]["epochs"], "1,000"),
        "epochs of training on all images": (settings["full_schedule"]["epochs"], "1,000"),
        "independent sets a point": (settings["seeds"], 5),
    }
    return pd.DataFrame(rows, index=["here", "published"]).T.astype(str)


def figure_accuracy(view: View) -> Figure:
    """Draw the accuracy against the images per class, a line for each method, started from real images."""
    figure, axes = figures.panels(len(view.datasets), height=3.3)
    for axis, (name, rows) in zip(axes, view.network.groupby("dataset", sort=False), strict=True):
        _draw_accuracy(axis, rows)
        ticks = sorted(rows[rows.method == "dm"].ipc.unique())
        title = figures.short(name)
        axis.set(xscale="log", xlabel="images a class", title=title, xticks=ticks, xticklabels=ticks)
        axis.minorticks_off()
    axes[0].set_ylabel("test accuracy, %")
    figures.legend_below(figure, axes[0], 4)
    return figure


def _draw_accuracy(axis: Axes, rows: pd.DataFrame) -> None:
    for index, (method, label) in enumerate(METHODS.items()):
        sizes = rows[(rows.method == method) & (rows.init == "real")].groupby("ipc").percent
        points = {ipc * 1.04 ** (index - 2.5): mean(values) for ipc, values in sizes}
        style = figures.series(index) | (DASHED if method == "random_subset" else {})
        bars = [point.half for point in points.values()]
        heights = [point.value for point in points.values()]
        axis.errorbar(list(points), heights, yerr=bars, label=label, capsize=2, **style)
    full = rows[rows.method == "full"].percent.mean()
    axis.axhline(full, color="black", linestyle=":", linewidth=1, label="all images")


def table_gains(view: View) -> pd.DataFrame:
    """Return the points above the random subset of the same size, with half their intervals."""
    cells = pd.Series(
        {
            (figures.short(name), ipc, METHODS[method]): f"{gain.value:+z.1f} ± {gain.half:.1f}"
            for (name, ipc, method), gain in view.gains.items()
        }
    )
    table = cells.unstack(sort=False).fillna("not run")
    table = table.rename_axis(index=["data set", "images a class"], columns=None)
    return table[[label for label in METHODS.values() if label in table]]


def table_learners(view: View) -> pd.DataFrame:
    """Return means and standard errors of three learners' accuracy on the same sets."""
    rows = view.table[(view.table.ipc == view.middle) & (view.table.init == "real")]
    rows = rows.assign(
        dataset=rows.dataset.map(figures.short),
        method=rows.method.map(METHODS),
        evaluator=rows.evaluator.map(LEARNERS),
    )
    cells = rows.groupby(["dataset", "method", "evaluator"], sort=False).percent.agg(["mean", "sem"])
    texts = cells["mean"].map("{:.1f}".format) + " ± " + cells["sem"].map("{:.1f}".format)
    return texts.unstack(sort=False).rename_axis(
        index=["data set", f"{view.middle} images a class"], columns=None
    )


def figure_starts(view: View) -> Figure:
    """Draw the accuracy of each method and start, beside that of the random subset with its interval."""
    figure, axes = figures.panels(len(view.datasets), height=3.0)
    for axis, (name, rows) in zip(axes, view.network.groupby("dataset", sort=False), strict=True):
        middle = rows[rows.init == "noise"].ipc.iloc[0]
        _draw_starts(axis, rows[rows.ipc == middle])
        title = f"{figures.short(name)}, {middle} a class"
        axis.set(xticks=range(len(FROM_NOISE)), xticklabels=FROM_NOISE.values(), title=title)
    axes[0].set_ylabel("test accuracy, %")
    figures.legend_below(figure, axes[0], 3)
    return figure


def _draw_starts(axis: Axes, rows: pd.DataFrame) -> None:
    base = mean(rows[rows.method == "random_subset"].percent)
    axis.axhspan(base.low, base.high, color="black", alpha=0.12, linewidth=0)
    axis.axhline(base.value, color="black", linestyle="--", linewidth=1)
    for index, (init, label) in enumerate(STARTS.items()):
        started = rows[rows.init == init]
        points = [mean(started[started.method == method].percent) for method in FROM_NOISE]
        x = [place + 0.15 * (index - 1) for place in range(len(points))]
        style = {**figures.series(index), "linestyle": "none", "capsize": 2, "label": label}
        axis.errorbar(x, [point.value for point in points], yerr=[point.half for point in points], **style)


def figure_seconds(view: View) -> Figure:
    """Draw the accuracy against the seconds to make a set and to train on it; larger sets are larger."""
    figure, axes = figures.panels(len(view.datasets), height=3.2)
    for axis, (name, rows) in zip(axes, view.network.groupby("dataset", sort=False), strict=True):
        _draw_seconds(axis, rows[rows.init == "real"].assign(total=rows.seconds + rows.train_seconds))
        axis.set(xscale="log", xlabel="seconds, both together", title=figures.short(name))
    axes[0].set_ylabel("test accuracy, %")
    figures.legend_below(figure, axes[0], 4)
    return figure


def _draw_seconds(axis: Axes, rows: pd.DataFrame) -> None:
    for index, (method, label) in enumerate({**METHODS, "full": "all images"}.items()):
        points = rows[rows.method == method].groupby("ipc")[["total", "percent"]].median()
        sizes = [70] if method == "full" else [14 + 14 * place for place in range(len(points))]
        style = {"color": "black" if method in ("random_subset", "full") else figures.COLOURS[index]}
        marker = "*" if method == "full" else figures.MARKERS[index]
        axis.scatter(points.total, points.percent, s=sizes, marker=marker, label=label, **style)


def numbers(view: View) -> dict[str, object]:
    """Return the numbers of the prose, by key; accuracies in percent, differences in points."""
    found, gains = {}, view.gains
    for key in ACCURACIES:
        dataset, method, ipc = key.split(".")
        found[f"{key}.accuracy"] = view.accuracy(dataset, method, int(ipc))
    for key in NOISE_ACCURACIES:
        dataset, method, init = key.split(".")
        found[f"{key}.accuracy"] = view.accuracy(dataset, method, 10, init)
    for key in LOST:
        dataset, method, _ = key.split(".")
        found[f"{key}.lost"] = view.lost(dataset, method)
    found["fairface.dsa.noise.gained"] = -view.lost("fairface", "dsa")
    for key in GAINS:
        dataset, method, ipc = key.split(".")
        gain = gains.get((dataset, int(ipc), method), UNKNOWN)
        found[f"{key}.gain"] = gain.value
        if key in GAINS_WITH_INTERVAL:
            found |= {f"{key}.gain.low": gain.low, f"{key}.gain.high": gain.high}
    for key in TOTAL_SECONDS:
        dataset, method, ipc = key.split(".")
        found[f"{key}.total_seconds"] = sum(view.seconds(dataset, method, int(ipc)))
    make, train = view.seconds("fashion_mnist", "dm", 10)
    found |= {"fashion_mnist.dm.10.make_seconds": make, "fashion_mnist.dm.10.train_seconds": train}
    for dataset in ("fashion_mnist", "cifar10"):
        found[f"{dataset}.full.accuracy"] = view.accuracy(dataset, "full")
        found[f"{dataset}.full.train_seconds"] = view.seconds(dataset, "full")[1]
    trained = view.table[view.table.evaluator != "kernel"]
    return found | {
        "gains": len(gains),
        "gains.above": sum(gain.low > 0 for gain in gains.values()),
        "gains.below": sum(gain.high < 0 for gain in gains.values()),
        "trainings": len(trained),
        "trainings.diverged": int(trained.test_accuracy.isna().sum()),
    }


def verdicts(view: View) -> dict[str, list]:
    """Return the margins that decide the verdicts of the prose, by key: of data sets with fifty per class.

    Differences of accuracy are small below SMALL_DIFFERENCE_POINTS.
    """
    datasets = [name for name in view.datasets if len(view.rows(name, "dm", 50))]
    gains = view.gains
    kept = {name: view.accuracy(name, "full") - view.accuracy(name, "dm", 50) for name in datasets}
    everything = {name: view.seconds(name, "full")[1] for name in datasets}
    lost = [[view.lost(name, method) for method in FROM_NOISE] for name in datasets]
    return {
        "verdict.gain.few": [gains.get((name, ipc, "dm"), UNKNOWN) for name in datasets for ipc in (10, 50)],
        "verdict.gain.one": [gains.get((name, 1, "dm"), UNKNOWN) for name in datasets],
        "verdict.replaces_all": [SMALL_DIFFERENCE_POINTS - kept[name] for name in datasets],
        "verdict.saves_time.once": [
            everything[name] - sum(view.seconds(name, "dm", 50)) for name in datasets
        ],
        "verdict.saves_time.often": [everything[name] - view.seconds(name, "dm", 10)[1] for name in datasets],
        "verdict.start": [SMALL_DIFFERENCE_POINTS - np.max(points) for points in lost],
    }
