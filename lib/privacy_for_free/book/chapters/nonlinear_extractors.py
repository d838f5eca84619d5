"""Figures and tables of the chapter "Non-linear extractors"; its numbers are in another module."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.book import figures
from privacy_for_free.book.claims import evidence
from privacy_for_free.data import Dataset
from privacy_for_free.experiments.common import standardised
from privacy_for_free.lab.record import Record
from privacy_for_free.stats import slopes

RELU, GELU, MLP = "convnet", "convnet_gelu", "mlp"
EXTRACTORS = {RELU: "ConvNet, ReLU", GELU: "ConvNet, GELU", MLP: "MLP, ReLU"}
STARTED = "x"  # the start of a run that has x among the real images it starts from
STARTS = {"noise": "noise", "real": "real", STARTED: "real, x among them"}
FROM = {"noise": "from noise", "real": "from real images", STARTED: "from real images, x among them"}


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the records.

    provenance  where the records come from, one line for each data set
    designs     the settings of each record, as its sidecar has them
    table       the rows of all records, with `dataset`, and `start`: noise, real, or STARTED
    """

    provenance: str
    designs: Sequence[Mapping[str, object]]
    table: pd.DataFrame

    @cached_property
    def datasets(self) -> list[str]:
        """The data sets, in the order of the records."""
        return list(dict.fromkeys(self.table.dataset))

    @cached_property
    def tanh(self) -> pd.DataFrame:
        """The smooth extractor from noise, at the largest m, after the most steps."""
        rows = self.table[(self.table.extractor == "tanh") & (self.table.init == "noise")]
        return rows[(rows.m == rows.m.max()) & (rows.iterations == rows.iterations.max())]

    @cached_property
    def minimum(self) -> pd.DataFrame:
        """The smooth extractor at minimisers, at the largest n."""
        return self.table[(self.table.extractor == "tanh_minimum") & (self.table.n == self.table.n.max())]

    @cached_property
    def networks(self) -> pd.DataFrame:
        """The networks' shifts, with `total`: the sum of the norms over the m images."""
        rows = self.table[self.table.delta.isna() & self.table.extractor.isin(EXTRACTORS)]
        return rows.assign(total=rows.m * rows.shift_image)

    @cached_property
    def typical(self) -> pd.DataFrame:
        """Of these those where x is an image of the class."""
        return self.networks[self.networks.x == "typical"]

    @cached_property
    def plain(self) -> pd.DataFrame:
        """Of these those from noise."""
        return self.typical[self.typical.start == "noise"]

    @cached_property
    def middle(self) -> int:
        """The number m of synthetic images that is drawn: the smallest of the GELU ConvNet."""
        return int(self.plain.m[self.plain.extractor == GELU].min())

    @cached_property
    def stops(self) -> list[float]:
        """The numbers of steps that are drawn: about three of them, if there are many."""
        stops = sorted(self.plain.iterations.unique())
        return stops[:: max(1, len(stops) // 3)] if len(stops) > 4 else stops

    @cached_property
    def fits(self) -> pd.DataFrame:
        """The slope in n of each data set, extractor, start and number of steps (the index).

        Columns slope, low, high (Student's t over replicates), bootstrap_low, bootstrap_high.
        """
        fits = {}
        keys = ["dataset", "extractor", "start", "iterations"]
        for key, rows in self.typical[self.typical.iterations.isin(self.stops)].groupby(keys, sort=False):
            drawn = slopes.log_log_bootstrap(
                rows.n, rows["shift"], within=rows[["x", "m"]], clusters=rows.seed
            )
            fits[key] = (*evidence.shift_exponent(rows), drawn.low, drawn.high)
        columns = ["slope", "low", "high", "bootstrap_low", "bootstrap_high"]
        table = pd.DataFrame.from_dict(fits, orient="index", columns=columns)
        return table.set_axis(pd.MultiIndex.from_tuples(table.index, names=keys))

    @cached_property
    def kicked(self) -> pd.DataFrame:
        """How the ConvNets' gradients change when S moves, `relative` to them: first data set, real start."""
        rows = self.table[self.table.delta.notna() & (self.table.init == "real")]
        rows = rows[rows.extractor.isin([RELU, GELU]) & (rows.dataset == self.datasets[0])]
        return rows.assign(relative=rows.gradient_change / rows.gradient)

    def final(self, dataset: str, start: str, **chosen: object) -> pd.DataFrame:
        """Return rows of a data set and a start after all steps, with an ordinary x and these values."""
        rows = self.typical[(self.typical.dataset == dataset) & (self.typical.start == start)]
        rows = rows[rows.iterations == max(self.stops)]
        for column, value in chosen.items():
            rows = rows[rows[column] == value]
        return rows


def load(records: Mapping[str, Record]) -> View:
    """Return what the chapter draws from records of `nonlinear_shift` by data set."""
    tables = [record.table.assign(dataset=name) for name, record in records.items()]
    table = pd.concat(tables, ignore_index=True)
    started = table.in_initialisation.eq(True)
    return View(
        "\n".join(record.provenance() for record in records.values()),
        [record.meta["parameters"] for record in records.values()],
        table.assign(start=np.where(started, STARTED, table.init)),
    )


def circle(points: int = 13, pixels: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Return angles from 0 to pi, and images of so many pixels and that angle to the first one; float64.

    The images are rows of norm sqrt(pixels).
    """
    angles = torch.linspace(0, math.pi, points, dtype=torch.float64)
    plane = torch.stack([angles.cos(), angles.sin()], 1)
    return angles, math.sqrt(pixels) * torch.nn.functional.pad(plane, (0, pixels - 2))


def figure_kernel(
    angles: torch.Tensor, drawn: Mapping[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
) -> Figure:
    """Draw closed form, estimate and standard error of the kernel against the angle, by number of layers."""
    figure, axes = figures.panels(2, height=2.8)
    for index, (depth, (exact, estimate, error)) in enumerate(drawn.items()):
        style = figures.series(index)
        marks = {**style, "linestyle": "none"}
        axes[0].plot(angles, exact, color=style["color"], linewidth=1)
        axes[0].errorbar(angles, estimate, 2 * error, **marks, label=f"{depth} layer{'s' * (depth > 1)}")
        shifted = angles + 0.03 * (index - 1)
        axes[1].errorbar(shifted, (estimate - exact) * 1e3, 2e3 * error, **marks)
    axes[1].axhline(0, color="black", linestyle=":", linewidth=1)
    axes[0].set(xlabel="angle between two images, radians", ylabel="kernel K(x, z)")
    axes[1].set(xlabel="angle between two images, radians", ylabel="(network $-$ closed form) × 1000")
    axes[0].legend()
    return figure


def table_embedding(moves: Sequence[tuple[int, float, float, float]]) -> pd.DataFrame:
    """How far one image moves the mean embedding: n, and n times the first shift, the largest, the bound."""
    columns = ["n", "n x shift, one image", "n x largest shift", "bound 2κ"]
    return pd.DataFrame(moves, columns=columns).set_index("n")


def figure_bound(view: View) -> Figure:
    """Draw the smooth extractor's shift and its bounds against n."""
    lines = {
        "shift": "measured",
        "bound": "bound, constants along the run",
        "bound_proved": "bound, proved constants",
    }
    figure, axes = figures.panels(len(view.datasets), height=3.0, sharey=True)
    for axis, (name, rows) in zip(axes, view.tanh.groupby("dataset", sort=False), strict=True):
        for index, (column, label) in enumerate(lines.items()):
            _draw_band(axis, rows, column, index, label)
        axis.set(xscale="log", yscale="log", xlabel="real images of the class, n", title=figures.title(name))
    axes[0].set_ylabel("$\\Vert S_I - S'_I \\Vert$, standardised pixels")
    figures.legend_below(figure, axes[0], 3)
    return figure


def figure_networks(view: View) -> Figure:
    """Draw the networks' shifts against n after several numbers of steps, one row per data set."""
    figure, axes = figures.panels(3, rows=len(view.datasets), height=2.6, sharex=True, sharey="row")
    drawn = view.plain[view.plain.m == view.middle]
    for place, (name, of_dataset) in enumerate(drawn.groupby("dataset", sort=False)):
        for axis, (extractor, label) in zip(axes[3 * place :], EXTRACTORS.items(), strict=False):
            rows = of_dataset[of_dataset.extractor == extractor]
            for index, stop in enumerate(view.stops):
                steps = f"{stop:.0f} steps" if stop > 1 else "1 step"
                _draw_band(axis, rows[rows.iterations == stop], "shift", index, steps)
            _draw_slope(axis, rows[rows.iterations == view.stops[0]], "shift", -1)
            axis.set(xscale="log", yscale="log", title=label)
        axes[3 * place].set_ylabel(f"{figures.title(name)}\n$\\Vert S_I - S'_I \\Vert$, standardised pixels")
    axes[-2].set_xlabel("real images of the class, n")
    figures.legend_below(figure, axes[0], 5)
    return figure


def _draw_band(axis: Axes, rows: pd.DataFrame, column: str, index: int, label: str, x: str = "n") -> None:
    """Draw the geometric mean over replicates, and a band from the smallest to the largest."""
    values = rows.groupby(x)[column]
    middle = np.exp(np.log(rows[column]).groupby(rows[x]).mean())
    style = figures.series(index)
    axis.plot(middle.index, middle, **style, label=label)
    axis.fill_between(middle.index, values.min(), values.max(), color=style["color"], alpha=0.15, linewidth=0)


def _draw_slope(axis: Axes, rows: pd.DataFrame, column: str, power: float) -> None:
    """Draw a dotted line of a slope in n, below the points."""
    ends = np.array([rows.n.min(), rows.n.max()], dtype=float)
    first = 0.5 * rows[rows.n == ends[0]][column].min()
    axis.plot(ends, first * (ends / ends[0]) ** power, color="black", linestyle=":", linewidth=1)


def table_slopes(view: View) -> pd.DataFrame:
    """The slope in n after the fewest, a middle and the most steps, with Student's t intervals."""
    stops = view.stops
    fits = view.fits.reset_index()
    fits = fits[fits.iterations.isin((stops[0], stops[len(stops) // 2], stops[-1]))]
    cells = {
        (
            figures.title(row.dataset),
            EXTRACTORS[row.extractor],
            STARTS[row.start],
            int(row.iterations),
        ): figures.interval(row.slope, row.low, row.high)
        for row in fits.itertuples()
    }
    grid = pd.Series(cells).unstack(sort=False)
    return grid.rename_axis(index=["data set", "extractor", "start"], columns="slope in n after steps")


def standardised_images(dataset: Dataset, count: int) -> torch.Tensor:
    """Return the first images of class 0, standardised: float64, count x C x H x W."""
    images, _ = standardised(dataset, torch.device("cpu"))
    return images[dataset.train_labels == 0][:count].double()


def figure_kinks(view: View, deltas: Sequence[float], apart: Mapping[str, torch.Tensor]) -> Figure:
    """Draw how a gradient changes when S moves, and how far runs are apart that start `deltas` apart.

    apart   extractor -> distances, deltas x (steps + 1), as `theory.kinks.distances` returns them
    """
    kicked, (fewest, most) = view.kicked, (view.kicked.networks.min(), view.kicked.networks.max())
    figure, axes = figures.panels(2, height=3.0)
    for index, (extractor, count) in enumerate(((RELU, fewest), (RELU, most), (GELU, fewest))):
        rows = kicked[(kicked.extractor == extractor) & (kicked.networks == count)]
        networks = f"{count:.0f} networks" if count > 1 else "1 network"
        _draw_band(axes[0], rows, "relative", index, f"{EXTRACTORS[extractor]}, {networks}", x="delta")
    for index, extractor in ((0, RELU), (2, GELU)):
        last = apart[extractor][:, -1]
        axes[1].plot(deltas, last, **figures.series(index), label=EXTRACTORS[extractor])
    for axis in axes:
        axis.set(xscale="log", yscale="log", xlabel="displacement δ, standardised pixels")
        axis.legend(fontsize="small")
    axes[0].set_ylabel("relative change of the gradient")
    axes[1].set_ylabel(f"distance after {apart[RELU].shape[1] - 1} steps, std. pixels")
    return figure


def table_sizes(view: View) -> pd.DataFrame:
    """The slope in m of the shift of the set, and of the sum over its images, after few and many steps."""
    moved = {"shift": "$\\Vert S - S'\\Vert$", "total": "$\\sum_j \\Vert s_j - s'_j \\Vert$"}
    rows = view.typical[view.typical.start != STARTED]
    rows = rows[rows.iterations.isin((min(view.stops), max(view.stops)))]
    lines: dict[tuple, dict[str, str]] = {}
    keys = ["dataset", "extractor", "iterations"]
    for (name, extractor, steps), some in rows.groupby(keys, sort=False):
        for column, label in moved.items() if some.m.nunique() > 1 else ():
            fit = evidence.shift_exponent(some, column, against="m")
            line = lines.setdefault((figures.title(name), EXTRACTORS[extractor], label), {})
            line[f"slope in m, {steps:.0f} steps"] = figures.interval(*fit)
    table = pd.DataFrame.from_dict(lines, orient="index")
    return table.rename_axis(index=["data set", "extractor", "what moves"])


def figure_outputs(view: View) -> Figure:
    """Draw how the outputs of networks change when x goes, against r = m/n, beside another seed's change."""
    trained = view.typical[(view.typical.extractor == RELU) & view.typical.output_change.notna()]
    figure, axes = figures.panels(len(view.datasets), height=3.2, sharey=True)
    for axis, (name, rows) in zip(axes, trained.groupby("dataset", sort=False), strict=True):
        for index, (start, label) in enumerate(FROM.items()):
            some = rows[rows.start == start]
            change = np.exp(np.log(some.output_change).groupby([some.m, some.n]).mean()).reset_index()
            style = {**figures.series(index), "linestyle": "none"}
            axis.plot(change.m / change.n, change.output_change, **style, label=label)
            for _, of_m in change.groupby("m"):
                axis.plot(of_m.m / of_m.n, of_m.output_change, color=style["color"], linewidth=0.6)
        reseeded = np.exp(np.log(rows.output_reseeded).groupby(rows.m).mean())
        axis.axhspan(reseeded.min(), reseeded.max(), color="grey", alpha=0.3, label="another seed, same S")
        axis.set(xscale="log", yscale="log", xlabel="r = m/n", title=figures.title(name))
    axes[0].set_ylabel("change of the outputs, logits")
    figures.legend_below(figure, axes[0], 2)
    return figure
