"""Figures and numbers of the chapter "Linear extractors: the numeric check"."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from privacy_for_free.book import figures
from privacy_for_free.lab import store
from privacy_for_free.lab.record import RESULTS, Record
from privacy_for_free.theory.linear_case import STANDARD_ERRORS, TOLERANCE

SHARES = {"half": 0.5, "below": 0.9, "above": 1.1}  # of the largest step with fresh extractors
FIRST_RECORD = "linear_dm/superseded/cifar10-laptop.1.csv"  # in the folder of results


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the records.

    provenance   where the records come from, one line for each data set
    exact        rows of exact statements, with the column `dataset`
    statistical  rows of statistical ones
    """

    provenance: str
    exact: pd.DataFrame
    statistical: pd.DataFrame

    @property
    def datasets(self) -> list[str]:
        """The data sets, in the order of the records."""
        return list(self.exact.dataset.unique())


def load(records: Mapping[str, Record]) -> View:
    """Return what the chapter draws from records of `linear_dm` by data set."""
    tables = [record.table.assign(dataset=name) for name, record in records.items()]
    table = pd.concat(tables, ignore_index=True)
    provenance = "\n".join(record.provenance() for record in records.values())
    return View(provenance, table[table.kind == "exact"], table[table.kind == "statistical"])


def figure_exact(view: View) -> Figure:
    """Draw the relative error of every exact check, by statement, beside the tolerance."""
    figure, (axis,) = figures.panels(1, height=4.6)
    order = _statements(axis, view.exact)
    for index, (name, rows) in enumerate(view.exact.groupby("dataset", sort=False)):
        heights = rows.check.map(order.index) + 0.16 * (1 - 2 * index)
        axis.plot(rows.relative_error.clip(lower=1e-17), heights, **_dots(index), label=figures.title(name))
    axis.axvline(TOLERANCE, color="0.3", linestyle="--", linewidth=1)
    axis.set(xscale="log", xlabel="relative error")
    axis.legend(loc="lower right", frameon=True)
    return figure


def figure_statistical(view: View) -> Figure:
    """Draw how many standard errors every statistical check is off, by statement, and their distribution."""
    figure, (left, right) = figures.panels(2, height=3.6, width_ratios=(3, 2))
    order = _statements(left, view.statistical)
    for index, (name, rows) in enumerate(view.statistical.groupby("dataset", sort=False)):
        heights = rows.check.map(order.index) + 0.16 * (1 - 2 * index)
        left.plot(rows.z, heights, **_dots(index), label=figures.title(name))
    for edge in (-STANDARD_ERRORS, STANDARD_ERRORS):
        left.axvline(edge, color="0.3", linestyle="--", linewidth=1)
    left.set(xlabel="standard errors off", xlim=(-4.6, 4.6))
    bins, grid = np.arange(-4, 4.25, 0.5), np.linspace(-4, 4, 200)
    right.hist(view.statistical.z, bins=bins, density=True, color=figures.COLOURS[7], label="observed")
    right.plot(grid, stats.norm.pdf(grid), color="black", label="standard normal")
    right.set(xlabel="standard errors off", ylabel="density")
    right.set_ylim(top=0.56)
    right.legend(loc="upper left", fontsize="small")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def _statements(axis: Axes, rows: pd.DataFrame) -> list[str]:
    """Name the statements on the vertical axis; return them from the lowest up."""
    order = sorted(rows.check.unique(), reverse=True)
    axis.set(yticks=range(len(order)))
    axis.set_yticklabels([name.replace("_", " ") for name in order])
    axis.grid(axis="y", color="0.92")
    return order


def _dots(index: int) -> dict[str, object]:
    return {**figures.series(index), "linestyle": "none", "alpha": 0.65}


def figure_threshold(view: View) -> Figure:
    """Draw the mean-square factor of a step with a fresh extractor against its step size, beside theory."""
    figure, (left, right) = figures.panels(2, height=3.0, width_ratios=(3, 2))
    steps = np.linspace(0, 1.25, 200)
    left.plot(steps, -4 * steps * (1 - steps), color="black", label="theory")
    left.axvline(1, color="0.3", linestyle="--", linewidth=1)
    for index, (name, rows) in enumerate(view.statistical.groupby("dataset", sort=False)):
        style = {**figures.series(index), "linestyle": "none", "markerfacecolor": "none"}
        for side, share in SHARES.items():
            part = rows[rows.check == f"fresh_factor_{side}_threshold"]
            scale, off = (part.k + part.d + 1) / part.k, part.observed - part.expected
            left.plot([share], [((part.observed - 1) * scale).mean()], **style, markersize=9 - 4 * index)
            x = share + 0.035 * (2 * index - 1) + np.linspace(-0.025, 0.025, len(part))
            error = 2 * (off / part.z).abs() * scale
            right.errorbar(x, off * scale, yerr=error, **style, markersize=2.5, elinewidth=0.7)
        left.plot([], [], **style, label=figures.title(name))
    for axis in (left, right):
        axis.axhline(0, color="0.6", linewidth=0.8)
        axis.set_xlabel("step size / threshold")
    left.set_ylabel("(factor $-$ 1) $\\cdot$ (k+d+1)/k")
    right.set(ylabel="run $-$ theory, same units", xticks=list(SHARES.values()))
    left.legend(loc="upper left")
    return figure


def figure_descents(runs: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> Figure:
    """Draw what `theory.linear.compare_descents` returns: lengths that were run, and closed forms dashed."""
    figure, (axis,) = figures.panels(1, height=3.2)
    for index, (name, (run, expected)) in enumerate(runs.items()):
        style = {**figures.series(index), "linestyle": "-", "markevery": 16}
        axis.plot(run.clip(min=1e-9), **style, label=name)
        axis.plot(expected.clip(min=1e-9), color="black", linestyle="--", linewidth=0.9)
    axis.set(yscale="log", xlabel="steps", ylabel="length of the gap / start", ylim=(1e-6, 3))
    axis.legend(loc="lower right")
    return figure


def figure_removal(view: View) -> Figure:
    """Draw how far removing the farthest image moves each synthetic one, against n, and the bound 2B/n."""
    figure, axes = figures.panels(len(view.datasets), height=2.9, sharey=True)
    for axis, (name, rows) in zip(axes, view.exact.groupby("dataset", sort=False), strict=True):
        for index, (size, part) in enumerate(rows[rows.check == "removal_norm"].groupby("d")):
            style = {**figures.series(index), "linestyle": "none"}
            axis.plot(part.n * (1 + 0.08 * (index - 1)), part.observed, **style, label=f"d = {size}")
            bound = rows[(rows.check == "removal_bound") & (rows.d == size)].groupby("n").expected.max()
            axis.plot(bound.index * (1 + 0.08 * (index - 1)), bound, "_", color="black", markersize=11)
        axis.set(xscale="log", yscale="log", xlabel="real images a class, n", title=figures.title(name))
        axis.legend()
    axes[0].set_ylabel("move of each synthetic image,\npixels in [0, 1]")
    return figure


def figure_release(images: Mapping[str, torch.Tensor], shape: tuple[int, int, int]) -> Figure:
    """Draw rows of images (N, d), each by its name; `shape` is (C, H, W)."""
    figure, axes = figures.panels(1, rows=len(images), height=0.85)
    for axis, (name, row) in zip(axes, images.items(), strict=True):
        figures.pictures(axis, row, shape, name)
    return figure


def first_failure(results_dir: Path = RESULTS) -> tuple[pd.Series, pd.Series]:
    """Return the row that failed in the first record of CIFAR-10, and the same check in today's record."""
    first = pd.read_csv(results_dir / FIRST_RECORD)
    failed = first.loc[first.z.abs().idxmax()]
    case = ["check", "n", "m", "d", "k"]
    again = store.read("linear_dm", "cifar10", "laptop", results_dir).table.set_index(case)
    return failed, again.loc[tuple(failed[case])]


def numbers(view: View, failed: pd.Series, again: pd.Series) -> dict[str, object]:
    """What the prose inserts; `failed` and `again` as from `first_failure`."""
    errors, z = view.exact.relative_error, view.statistical.z.abs()
    recovered = errors[view.exact.check == "real_initialisation_recovered"]
    return {
        "exact.checks": len(errors),
        "exact.worst": errors.max(),
        "exact.typical": errors[errors > 0].median(),
        "statistical.checks": len(z),
        "statistical.worst": z.max(),
        "statistical.expected_worst": stats.norm.isf((1 - 0.5 ** (1 / len(z))) / 2),  # its median
        "statistical.beyond_two": 100 * (z > 2).mean(),
        "first_failure.z": failed.z,
        "first_failure.samples": int(failed.samples),
        "first_failure.k": failed.k,
        "first_failure.d": failed.d,
        "again.z": again.z,
        "again.samples": int(again.samples),
        "recovered.worst": recovered.max(),
        "recovered.cases": len(recovered),
    }
