"""Figures and tables of the chapter "Is condensed data private?"; `membership_numbers` has its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.attacks.evaluation import FPRS
from privacy_for_free.book import figures
from privacy_for_free.lab.record import Record
from privacy_for_free.stats.intervals import Interval, holm

METHODS = {
    "random_subset": "random subset",
    "dm": "DM",
    "kip": "KIP",
    "dsa": "DSA",
    "full": "all of the half",
}
UNCONDENSED = ("random_subset", "full")
STARTS = {"real": "from real images", "noise": "from noise"}
SHORT_STARTS = {"real": "real", "noise": "noise"}  # for the narrow columns of tables
STRONGEST = "lira_offline_fixed"  # on networks trained on condensed releases
ATTACKS = {
    "loss": "loss",
    "lira_online": "LiRA online",
    "lira_online_fixed": "online, fixed",
    "lira_offline": "LiRA offline",
    "lira_offline_fixed": "offline, fixed",
}
IMAGE_ATTACKS = {
    "nearest": "nearest image",
    "nearest_lira_online": "nearest, LiRA",
    "tracing": "class mean",
    "tracing_lira_online": "class mean, LiRA",
}
ALL, STARTED, OTHERS = "all", "in_initialisation", "not_in_initialisation"  # which members count
LEVEL = 0.05  # of the corrected p-values
BY_SIZE = (("random_subset", "real"), ("dm", "real"), ("dm", "noise"))
BY_SHADOWS = (
    ("full", "real", "online"),
    ("full", "real", "offline"),
    ("dm", "noise", "online"),
    ("dm", "noise", "offline"),
)


def release_name(method: str, init: str, starts: Mapping[str, str] = STARTS) -> str:
    """Return a release's name as a reader knows it.

    >>> release_name("dm", "noise"), release_name("full", "real"), release_name("kip", "real", SHORT_STARTS)
    ('DM, from noise', 'all of the half', 'KIP, real')
    """
    return METHODS[method] + ("" if method in UNCONDENSED else f", {starts[init]}")


def _names(rows: pd.DataFrame, starts: Mapping[str, str] = STARTS) -> list[str]:
    return [release_name(row.method, row.init, starts) for row in rows.itertuples()]


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the records.

    provenance  where the records come from, one line for each data set
    settings    those of the first record, as its sidecar has them
    table       the rows of all records, with `dataset`, and `seen`: network or images
    """

    provenance: str
    settings: Mapping[str, object]
    table: pd.DataFrame

    @cached_property
    def final(self) -> pd.DataFrame:
        """The rows with as many shadows as there are: of each data set and method the most."""
        most = self.table.groupby(["dataset", "method"]).shadows.transform("max")
        return self.table[self.table.shadows == most]

    @cached_property
    def middle(self) -> float:
        """The ratio m / n at which there are all methods: that of KIP."""
        return self.final[self.final.method == "kip"].ratio.iloc[0]

    @cached_property
    def middle_rows(self) -> pd.DataFrame:
        """Of the final rows those of the middle size, and of `full`."""
        return self.final[(self.final.ratio == self.middle) | (self.final.method == "full")]

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Of these, the strongest attack on networks, over all members."""
        rows = self.middle_rows
        return rows[(rows.attack == STRONGEST) & (rows.population == ALL)]

    @cached_property
    def compared(self) -> pd.DataFrame:
        """The comparisons with the random subset, corrected."""
        return comparisons(self.final)

    @cached_property
    def panels(self) -> list[str]:
        """The data sets, in the order of the records."""
        return list(dict.fromkeys(self.table.dataset))


def load(records: Mapping[str, Record]) -> View:
    """Return what the chapter draws from records of `membership` by data set."""
    tables = [record.table.assign(dataset=name) for name, record in records.items()]
    table = pd.concat(tables, ignore_index=True)
    table = table.assign(seen=np.where(table.release == "synthetic_set", "images", "network"))
    lines = "\n".join(record.provenance() for record in records.values())
    return View(lines, next(iter(records.values())).meta["parameters"], table)


def comparisons(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the differences to the random subset that the chapter counts, with Holm's correction over all.

    They are those of every condensed release, attack, population and size on every data set that the random
    subset was attacked as too: with as many shadows, over the same population; others have no p-value.
    `corrected` is the p-value corrected for the number of them all; `above` and `below` say whether it is
    below LEVEL and the release leaks more than the subset, or less.
    """
    compared = condensed(rows).dropna(subset=["p_value"])
    compared = compared.assign(corrected=holm(compared.p_value))
    significant = compared.corrected < LEVEL
    return compared.assign(
        above=significant & (compared.difference > 0), below=significant & (compared.difference < 0)
    )


def condensed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of releases that were condensed."""
    return rows[~rows.method.isin(UNCONDENSED)]


def table_learnt(view: View) -> pd.DataFrame:
    """What the networks learnt: percent right on others, in brackets on members."""
    rows = view.middle_rows
    rows = rows[(rows.seen == "network") & (rows.attack == "loss") & (rows.population == ALL)]
    percent = [(100 * row.nonmember_accuracy, 100 * row.member_accuracy) for row in rows.itertuples()]
    cells = rows.assign(
        release=_names(rows),
        dataset=rows.dataset.map(figures.short),
        text=[f"{others:.0f} ({members:.0f})" for others, members in percent],
    )
    grid = cells.set_index(["release", "dataset"]).text.unstack(sort=False).fillna("not run")
    return grid.rename_axis(index="trained on", columns="% right on others (on members)")


def figure_roc(view: View) -> Figure:
    """Draw ROC curves of the strongest attack on networks, and what none can exceed."""
    figure, axes = figures.panels(len(view.panels), height=4.0)
    x = np.array(FPRS)
    for axis, (name, rows) in zip(axes, view.curves.groupby("dataset", sort=False), strict=True):
        for index, row in enumerate(rows.itertuples()):
            curve = np.array([float(value) for value in row.roc.split()])
            figures.roc(axis, x, curve, row.members, release_name(row.method, row.init), index)
        axis.plot(x, view.middle + (1 - view.middle) * x, linestyle="--", linewidth=1, color="grey")
        for epsilon in (1, 2, 4):
            axis.plot(x, np.minimum(1, np.exp(epsilon) * x + 1e-5), linewidth=0.5, color="grey")
        axis.plot(x, x, color="black", linestyle=":", linewidth=1)
        axis.set(xscale="log", yscale="log", title=figures.short(name), xlim=(1e-4, 1), ylim=(5e-5, 1))
        axis.set_xlabel("false positive rate")
    axes[0].set_ylabel("true positive rate")
    figures.legend_below(figure, axes[0], 3)
    return figure


def table_advantage(view: View) -> pd.DataFrame:
    """Advantage in points of every attack on networks, over all members."""
    rows = view.middle_rows
    rows = rows[(rows.seen == "network") & (rows.population == ALL)]
    cells = rows.assign(
        release=_names(rows, SHORT_STARTS),
        dataset=rows.dataset.map(figures.short),
        attack=rows.attack.map(ATTACKS),
        text=[figures.interval(*figures.points(row, "advantage"), "z.1f") for row in rows.itertuples()],
    )
    grid = cells.set_index(["dataset", "release", "attack"]).text.unstack(sort=False)
    return grid.rename_axis(index=["data set", "release"], columns=None)


def figure_populations(view: View) -> Figure:
    """Draw the advantage by release, and by whether it started from the member's image."""
    populations = {STARTED: "started from", OTHERS: "other members", ALL: "all (noise)"}
    rows = view.middle_rows
    rows = rows[(rows.attack == STRONGEST) & (rows.method != "full")]
    rows = rows[(rows.population != ALL) | (rows.init == "noise")]
    figure, axes = figures.panels(len(view.panels), height=3.6)
    for axis, (name, of_dataset) in zip(axes, rows.groupby("dataset", sort=False), strict=True):
        releases = list(dict.fromkeys((row.method, row.init) for row in of_dataset.itertuples()))
        for index, (population, label) in enumerate(populations.items()):
            some = of_dataset[of_dataset.population == population]
            y = [releases.index((row.method, row.init)) + 0.18 * (index - 1) for row in some.itertuples()]
            style = {**figures.series(index), "linestyle": "none", "capsize": 2, "label": label}
            axis.errorbar(100 * some.advantage, y, xerr=figures.whiskers(some, "advantage"), **style)
        axis.axvline(0, color="black", linestyle=":", linewidth=1)
        axis.set(yticks=range(len(releases)), xlabel="advantage, points", title=figures.short(name))
        axis.set_yticklabels([release_name(*release) for release in releases] if axis is axes[0] else [])
        axis.invert_yaxis()
    figures.legend_below(figure, axes[0], 3)
    return figure


def table_released(view: View) -> pd.DataFrame:
    """AUC of every attack on released images, at the middle size."""
    rows = view.final
    rows = rows[(rows.seen == "images") & (rows.ratio == view.middle)]
    cells = rows.assign(
        release=_names(rows),
        attack=rows.attack.map(IMAGE_ATTACKS),
        population=rows.population.str.replace("_", " "),
        dataset=rows.dataset.map(figures.short),
        text=rows.auc.map("{:.3f}".format),
    )
    grid = cells.set_index(["dataset", "release", "population", "attack"]).text.unstack(sort=False)
    return grid.rename_axis(index=["data set", "release", "members"], columns="AUC").fillna("")


def figure_ratio(view: View) -> Figure:
    """Draw the advantage of the strongest attack against the size of the release, over all members."""
    rows = view.final
    rows = rows[(rows.seen == "network") & (rows.population == ALL)]
    figure, axes = figures.panels(len(view.panels), height=3.2)
    for axis, (name, of_dataset) in zip(axes, rows.groupby("dataset", sort=False), strict=True):
        attacked = of_dataset[of_dataset.attack == STRONGEST]
        for index, (method, init) in enumerate(BY_SIZE):
            some = attacked[(attacked.method == method) & (attacked.init == init)]
            _draw_advantage(axis, some, "ratio", index, release_name(method, init))
        sizes = sorted(of_dataset.ratio[of_dataset.method == "dm"].unique())
        _finish(axis, name, "r = m / n", sizes)
    axes[0].set_ylabel("advantage, percentage points")
    figures.legend_below(figure, axes[0], 3)
    return figure


def figure_shadows(view: View) -> Figure:
    """Draw the advantage at the middle size against the number of shadows, over all members."""
    rows = view.table
    rows = rows[(rows.seen == "network") & (rows.population == ALL)]
    rows = rows[(rows.ratio == view.middle) | (rows.method == "full")]
    figure, axes = figures.panels(len(view.panels), height=3.2)
    for axis, (name, of_dataset) in zip(axes, rows.groupby("dataset", sort=False), strict=True):
        for index, (method, init, how) in enumerate(BY_SHADOWS):
            some = of_dataset[(of_dataset.method == method) & (of_dataset.init == init)]
            some = some[some.attack == f"lira_{how}_fixed"]
            _draw_advantage(axis, some, "shadows", index, f"{release_name(method, init)}, {how}")
        _finish(axis, name, "shadow models", sorted(of_dataset.shadows.unique()))
    axes[0].set_ylabel("advantage, percentage points")
    figures.legend_below(figure, axes[0], 2)
    return figure


def _draw_advantage(axis: Axes, rows: pd.DataFrame, x: str, index: int, label: str) -> None:
    """Draw advantages in points with their intervals; series are drawn side by side."""
    rows = rows.sort_values(x)
    style = {**figures.series(index), "capsize": 2, "label": label}
    bars = figures.whiskers(rows, "advantage")
    axis.errorbar(rows[x] * 1.06 ** (index - 1), 100 * rows.advantage, yerr=bars, **style)


def _finish(axis: Axes, dataset: str, label: str, ticks: Sequence[float]) -> None:
    axis.axhline(0, color="black", linestyle=":", linewidth=1)
    axis.set(xscale="log", xlabel=label, title=figures.short(dataset))
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


def table_comparisons(view: View) -> pd.DataFrame:
    """How many comparisons there are of each kind, how many are significant, and the largest difference."""
    who = {ALL: "all", STARTED: "started from", OTHERS: "others"}
    compared = view.compared
    compared = compared.assign(made=_names(compared, SHORT_STARTS), who=compared.population.map(who))
    lines = {}
    for (name, *key), some in compared.groupby(["dataset", "seen", "made", "who"], sort=False):
        largest = some.loc[some.difference.abs().idxmax()]
        points = Interval(*(100 * largest[["difference", "difference_low", "difference_high"]]))
        p = "< 0.001" if largest.corrected < 0.001 else f"{largest.corrected:.3f}"
        lines[(figures.short(name), *key)] = (len(some), some.above.sum(), some.below.sum(), str(points), p)
    counted = pd.DataFrame.from_dict(lines, orient="index")
    counted.columns = ["comparisons", "leaks more", "leaks less", "largest difference", "corrected p"]
    names = ["data set", "attacked", "release", "members"]
    counted.index = pd.MultiIndex.from_tuples(counted.index, names=names)
    return counted
