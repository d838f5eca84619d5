"""Figures, tables, numbers and verdicts of the chapter "What it costs"."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.book import budget, figures
from privacy_for_free.book.claims.effects import Effect
from privacy_for_free.book.claims.rules import Verdict, above, below, combine, includes
from privacy_for_free.experiments.plan import RECORDED
from privacy_for_free.lab.record import Record
from privacy_for_free.lab.store import largest
from privacy_for_free.stats.intervals import Interval

OPERATIONS = {
    "dm_step": "DM step",
    "training": "training epoch",
    "evaluation": "pool scores",
    "lira": "LiRA",
    "class_mean": "tracing",
    "kip_step": "KIP step",
    "linear_dm": "linear DM, closed form",
}
VARIABLES = {
    "n": "n, real images",
    "m": "m, synthetic images",
    "K": "K, shadows",
    "ipc": "images a class",
}
COSTS = {"seconds": "time of a call, s", "megabytes": "peak memory, MB"}
WIDTHS = {"advantage": "advantage", "tpr": "TPR at 0.1 % FPR"}
EXPONENTS = {  # of the prose: key -> operation, variable
    "dm_step.images_per_class": ("dm_step", "ipc"),
    "dm_step.sets": ("dm_step", "K"),
    "kip_step.points": ("kip_step", "m"),
    "lira.shadows": ("lira", "K"),
    "lira.images": ("lira", "n"),
}
SQUARE_ROOT = -0.5  # exponent of a width that falls as one over the square root of the shadows


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the record of `scaling`.

    provenance  where it comes from; one line for each data set, of which the first is drawn
    dataset     the data set that it was measured on
    table       its table
    exponents   a row for each operation and variable (`budget.exponents`)
    """

    provenance: str
    dataset: str
    table: pd.DataFrame
    exponents: pd.DataFrame

    @property
    def at(self) -> pd.DataFrame:
        """The exponents by operation and variable."""
        return self.exponents.set_index(["operation", "variable"])


@dataclass(frozen=True, eq=False)
class Precision:
    """What the records of `membership` say of time and precision, and what a budget buys.

    provenance  where they come from, one line for each data set, or that there are none
    dataset     the data set that the budget is spent on: the chapter's own where it is recorded
    hours       the budget
    widths      rows of `budget.widths` of all data sets, with a column `dataset`; none without a record
    """

    provenance: str
    dataset: str
    hours: float
    widths: pd.DataFrame

    @property
    def known(self) -> bool:
        """Whether there is a record at all."""
        return len(self.widths) > 0

    @property
    def slopes(self) -> dict[str, Interval]:
        """The exponents of the widths in the number of shadows, by the quantity."""
        return {column: budget.width_exponent(self.widths, column) for column in WIDTHS}

    @property
    def bought(self) -> pd.DataFrame:
        """What the budget buys, one row per release, on one data set (`budget.afford`)."""
        rows = self.widths[self.widths.dataset == self.dataset]
        return budget.afford(rows, self.hours, self.slopes["advantage"].value)


def load(records: Mapping[str, Record]) -> View:
    """Take from the records what the chapter draws: the first of them."""
    dataset, record = next(iter(records.items()))
    provenance = "\n".join(record.provenance() for record in records.values())
    return View(provenance, dataset, record.table, budget.exponents(record.table))


def recorded_attacks(dataset: str, results_dir: str | os.PathLike | None = None) -> dict[str, Record]:
    """Return the records of `membership` that are there, of the book's data sets and the chapter's own."""
    records = {name: largest("membership", name, results_dir) for name in dict.fromkeys((*RECORDED, dataset))}
    return {name: record for name, record in records.items() if record}


def load_precision(records: Mapping[str, Record], dataset: str, hours: float) -> Precision:
    """Take from records of `membership` how wide intervals were, and set a budget beside them."""
    if not records:
        text = "No record of membership here, so nothing is known of widths: this part is left out."
        return Precision(text, dataset, hours, pd.DataFrame())
    parts = [budget.widths(record.table).assign(dataset=name) for name, record in records.items()]
    provenance = "\n".join(record.provenance() for record in records.values())
    spent_on = dataset if dataset in records else next(iter(records))
    return Precision(provenance, spent_on, hours, pd.concat(parts, ignore_index=True))


def release_name(release: str, init: str, ipc: int) -> str:
    """Return a release as a reader knows it.

    >>> release_name("dm", "noise", 10)
    'DM from noise, 10 a class'
    """
    known = {"full": "all of the half", "random_subset": f"random subset, {ipc} a class"}
    start = "real images" if init == "real" else "noise"
    return known.get(release) or f"{release.upper()} from {start}, {ipc} a class"


def slope_text(row: object) -> str:
    """Return an exponent of time with its interval, of a row of `budget.exponents` (of `itertuples`)."""
    return figures.interval(row.time, row.time_low, row.time_high)


def figure_costs(view: View) -> Figure:
    """Draw time and memory of every operation against each size, on logarithmic axes."""
    figure, axes = figures.panels(4, rows=2, height=2.5, sharey="row", sharex="col")
    table = view.table.assign(megabytes=view.table.memory_bytes / 1e6)
    for (column, unit), row in zip(COSTS.items(), axes.reshape(2, 4), strict=True):
        for axis, (variable, label) in zip(row, VARIABLES.items(), strict=True):
            _draw_costs(axis, table[table.variable == variable], column)
            axis.set(xscale="log", yscale="log", xlabel=label if column == "megabytes" else "")
        row[0].set_ylabel(unit)
    labelled = [pair for axis in axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {text: line for line, text in labelled}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def _draw_costs(axis: Axes, rows: pd.DataFrame, column: str) -> None:
    for index, (operation, label) in enumerate(OPERATIONS.items()):
        line = rows[rows.operation == operation]
        if len(line):
            axis.plot(line.value, line[column], label=label, **figures.series(index))
            if column == "seconds":
                ends = (line.seconds_low, line.seconds_high)
                axis.fill_between(line.value, *ends, color=figures.COLOURS[index], alpha=0.2)


def table_exponents(view: View) -> pd.DataFrame:
    """Return the exponents of time, work and memory, and the share of the ceiling at the largest size."""
    rows = view.exponents
    cells = rows.assign(
        time=[slope_text(row) for row in rows.itertuples()],
        operation=rows.operation.map(OPERATIONS),
        variable=rows.variable.replace("ipc", "images a class"),
        ceiling=[f"{100 * row.fraction:.0f} %, {row.bound}" for row in rows.itertuples()],
    )
    digits = {"time_last": "{:.2f}", "work": "{:.2f}", "memory": "{:.2f}", "seconds": "{:.2g}"}
    cells = cells.assign(**{name: cells[name].map(form.format) for name, form in digits.items()})
    columns = {
        "time": "time",
        "time_last": "time, last two",
        "work": "work",
        "memory": "memory",
        "seconds": "s, largest",
        "ceiling": "of the ceiling",
    }
    cells = cells.set_index(["operation", "variable"])[[*columns]]
    return cells.rename(columns=columns).rename_axis(["", "against"])


def figure_widths(precision: Precision) -> Figure | None:
    """Draw the widths of intervals against the number of shadows; None without a record."""
    if not precision.known:
        return None
    figure, axes = figures.panels(2, height=3.6)
    for axis, (column, label) in zip(axes, WIDTHS.items(), strict=True):
        slope = precision.slopes[column].value
        _draw_widths(axis, precision.widths, column, slope)
        axis.set(xscale="log", yscale="log", xlabel="shadows", ylabel="width of the interval, points")
        axis.set_title(f"{label}: exponent {slope:.2f}".replace("-", "−"))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        axis.set_xticks([16, 32, 64, 128, 256])
        axis.yaxis.set_minor_formatter("{x:g}")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.tick_params(axis="y", which="minor", labelsize="x-small")
    figures.legend_below(figure, axes[0], 3)
    return figure


def _draw_widths(axis: Axes, widths: pd.DataFrame, column: str, slope: float) -> None:
    datasets = widths.dataset.nunique()
    for index, (name, rows) in enumerate(widths.groupby("dataset", sort=False)):
        style = figures.series(index) | {"linestyle": "none", "alpha": 0.6, "markersize": 4}
        shift = 1.06 ** (index - (datasets - 1) / 2)  # side by side
        axis.plot(shift * rows.shadows, 100 * rows[column], label=figures.short(name), **style)
    logs = np.log(widths[["shadows", column]])
    x = np.geomspace(widths.shadows.min(), 4 * widths.shadows.max(), 20)
    lines = {"mean exponent": (slope, "-"), "one over the square root": (SQUARE_ROOT, ":")}
    for text, (power, line) in lines.items():
        middle = logs[column].mean() + power * (np.log(x) - logs.shadows.mean())
        axis.plot(x, 100 * np.exp(middle), color="black", linestyle=line, label=text)


def table_budget(precision: Precision) -> pd.DataFrame | None:
    """Return the shadows that the budget buys of each release, and the width to expect; None without one."""
    if not precision.known:
        return None
    rows = precision.bought
    columns = {
        "release": [release_name(row.release, row.init, row.ipc) for row in rows.itertuples()],
        "s a shadow": rows.seconds.map("{:.1f}".format),
        "shadows": rows.shadows.map("{:,}".format),
        "width of the advantage, at least": (100 * rows.advantage).map("{:.2f}".format),
    }
    return pd.DataFrame(columns).set_index("release").replace("nan", "fewer than 4 shadows")


def steepest(view: View) -> pd.Series:
    """Return the row whose interval of the exponent of time lies highest, KIP left out.

    It is picked because it is the highest of many: its interval does not know of that.
    """
    others = view.exponents[view.exponents.operation != "kip_step"]
    return others.loc[others.time_low.idxmax()]


def numbers(view: View, precision: Precision) -> dict[str, object]:
    """Return the numbers of the prose, by key; those of the budget where there are records of attacks."""
    ceilings = view.table.groupby("dtype").ceiling_flops.max() / 1e9
    order, highest = view.exponents.sort_values("fraction"), steepest(view)
    best, worst = order.iloc[-1], order.iloc[0]
    found = {
        "measured_on": figures.title(view.dataset),
        "ceiling.float32": ceilings["float32"],
        "ceiling.float64": ceilings["float64"],
        "ceiling.bytes": view.table.ceiling_bytes.max() / 1e9,
        "best.operation": OPERATIONS[best.operation],
        "best.fraction": 100 * best.fraction,
        "worst.operation": OPERATIONS[worst.operation],
        "worst.fraction": 100 * worst.fraction,
        **{f"{key}.exponent": view.at.time[place] for key, place in EXPONENTS.items()},
        "kip_step.points.last_exponent": view.at.time_last["kip_step", "m"],
        "kip_step.points.work": view.at.work["kip_step", "m"],
        "steepest.exponent": f"{OPERATIONS[highest.operation]} in {highest.variable}, {slope_text(highest)}",
        "steepest.work": highest.work,
        "steepest.last_exponent": highest.time_last,
    }
    return found | (_budget_numbers(precision) if precision.known else {})


def _budget_numbers(precision: Precision) -> dict[str, object]:
    widths, bought = precision.widths, precision.bought
    sizes = widths.groupby(["dataset", *budget.RELEASE]).shadows.nunique()
    found: dict[str, object] = {
        "budget.hours": precision.hours,
        "budget.dataset": figures.title(precision.dataset),
        "widths.releases": int((sizes > 2).sum()),
        "widths.shadows": int(widths.shadows.max()),
    }
    for quantity, slope in precision.slopes.items():
        found[f"{quantity}.exponent"] = slope.value
        found[f"{quantity}.exponent.low"] = slope.low
        found[f"{quantity}.exponent.high"] = slope.high
        found[f"{quantity}.four_times_the_shadows"] = 4**slope.value
    for key, place in {"dearest": bought.seconds.idxmax(), "cheapest": bought.seconds.idxmin()}.items():
        row = bought.loc[place]
        found[f"{key}.release"] = release_name(row.release, row.init, row.ipc)
        found[f"{key}.seconds"] = row.seconds
        found[f"{key}.shadows"] = int(row.shadows)
    return found


def verdicts(view: View, precision: Precision) -> dict[str, Verdict]:
    """Return the verdicts of the prose, by key; those of widths where there are records of attacks.

    Time grows at most in proportion where no interval of an exponent, KIP's apart, is above 1, and KIP's is
    judged by its last step. A width falls as one over the square root where its interval includes -1/2.
    """
    others = view.exponents[view.exponents.operation != "kip_step"]
    exponents = [Effect(row.time, row.time_low, row.time_high) for row in others.itertuples()]
    kip = view.at.time_last["kip_step", "m"]
    found = {
        "verdict.at_most_linear": combine([below(1.0)(exponent) for exponent in exponents]),
        "verdict.kip_faster": above(1.0)(Effect(kip, kip, kip)),
    }
    for quantity, slope in precision.slopes.items() if precision.known else ():
        found[f"verdict.square_root.{quantity}"] = includes(SQUARE_ROOT)(Effect(*slope))
    return found
