"""Linear statistics in the chapter "What the class mean gives away"; `tracing_numbers` has its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.attacks.evaluation import FPRS
from privacy_for_free.book import figures
from privacy_for_free.experiments.tracing.design import MEAN_RELEASE, Task
from privacy_for_free.lab.record import Record
from privacy_for_free.stats.intervals import rate
from privacy_for_free.theory import tracing as theory
from privacy_for_free.theory.simulation import Effect

FPR = 0.001  # at which true positive rates are taken
LIVE_MEMBERS = 20  # of what the chapter runs live
EPS0 = 1.0  # the temperature, chosen here, at which the Gibbs posterior's bound is drawn
POOL, DISJOINT, NO_DATA = "pool", "disjoint", "none"
ATTACKERS = {POOL: "with the pool", DISJOINT: "with disjoint images", NO_DATA: "without data"}
SHRINKAGE = "ledoit_wolf"  # where nothing else is said
SHRINKAGE_OF_CONDENSED = "0.1"  # chosen after a look at the first FashionMNIST sets, as the prose says
NOISE, OTHERS, STARTED = (
    "from noise, all members",
    "from real images, other members",
    "from real images, started from",
)
MEMBERS = {  # of images condensed with a ConvNet: by start and population
    ("noise", "all"): NOISE,
    ("real", "not_in_initialisation"): OTHERS,
    ("real", "in_initialisation"): STARTED,
}
SMALLEST_DRAWN = 0.02  # percent: rates below are drawn there, on a logarithmic axis


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the records.

    provenance  where the records come from, one line for each data set
    designs     the settings of each record, as its sidecar has them
    table       the rows of all records, with `dataset`; shrinkages are texts
    posteriors  largest observed log ratio of exact Gibbs posteriors, by model and r = m / n
    """

    provenance: str
    designs: Sequence[Mapping[str, object]]
    table: pd.DataFrame
    posteriors: pd.Series

    @cached_property
    def datasets(self) -> list[str]:
        """The data sets, in the order of the records."""
        return list(dict.fromkeys(self.table.dataset))

    @cached_property
    def linear(self) -> pd.DataFrame:
        """Attacks on linear distribution matching."""
        return self.table[(self.table.extractor == "linear") & (self.table.method == "dm")]

    @cached_property
    def sizes(self) -> pd.Series:
        """Members per class, by data set: the same for all figures at one size."""
        return self.linear.groupby("dataset").n.max()

    @cached_property
    def matched(self) -> pd.DataFrame:
        """Attacks with the pool on linear distribution matching, at that size, one threshold for all."""
        rows = self.linear
        rows = rows[(rows.calibration == "raw") & (rows.attacker == POOL)]
        return rows[rows.n == rows.dataset.map(self.sizes)]

    @cached_property
    def means(self) -> pd.DataFrame:
        """Attacks on the class means, one threshold for all images."""
        return self.table[(self.table.method == "mean") & (self.table.calibration == "raw")]

    @cached_property
    def predicted(self) -> pd.DataFrame:
        """Of these those that are predicted: of attackers who have images."""
        return self.means[self.means.attacker != NO_DATA]

    @cached_property
    def best(self) -> pd.DataFrame:
        """Attacks on the class means with the usual shrinkage, and without data."""
        return self.means[self.means.shrinkage.eq(SHRINKAGE) | self.means.attacker.eq(NO_DATA)]

    @cached_property
    def full(self) -> pd.DataFrame:
        """Of these those at full resolution."""
        return self.best[self.best.dimension == self.best.groupby("dataset").dimension.transform("max")]

    @cached_property
    def shown(self) -> pd.DataFrame:
        """Of these those at the common size: one row per data set and attacker."""
        return self.full[self.full.n == self.full.dataset.map(self.sizes)]

    @cached_property
    def condensed(self) -> pd.DataFrame:
        """Attacks on images condensed with a ConvNet."""
        return self.table[(self.table.method == "dm") & (self.table.extractor != "linear")]

    @cached_property
    def strongest(self) -> pd.DataFrame:
        """Of these those with the shrinkage drawn, by members (`who`) and what is compared (`what`)."""
        rows = self.condensed
        rows = rows[(rows.shrinkage == SHRINKAGE_OF_CONDENSED) & (rows.calibration == "raw")]
        return rows.assign(
            who=[MEMBERS.get((row.init, row.population)) for row in rows.itertuples()],
            what=[
                f"{row.statistic}, n = {row.n}, {row.m} image{'s' * (row.m > 1)} per class"
                for row in rows.itertuples()
            ],
        ).dropna(subset="who")


def live(task: Task) -> bool:
    """Return whether the chapter runs a smoke task of `tracing` live: the quickest with linear matching."""
    return task.method == MEAN_RELEASE and task.n <= LIVE_MEMBERS


def load(records: Mapping[str, Record], gibbs_records: Mapping[str, Record]) -> View:
    """Return what the chapter draws from records of `tracing`, and of `gibbs_ratio`, by data set."""
    tables = [record.table.assign(dataset=name) for name, record in records.items()]
    table = pd.concat(tables, ignore_index=True)
    table = table.assign(shrinkage=table.shrinkage.astype(str))
    posteriors = pd.concat([record.table for record in gibbs_records.values()])
    posteriors = posteriors[posteriors.model.isin(("gaussian", "logistic"))].eval("ratio = m / n")
    return View(
        "\n".join(record.provenance() for record in records.values()),
        [record.meta["parameters"] for record in records.values()],
        table,
        posteriors.groupby(["model", "ratio"])["observed"].max(),
    )


def table_simulated(checks: Mapping[tuple[str, int], Effect]) -> pd.DataFrame:
    """Simulated effect sizes for 50 members, by what is drawn and dimension, beside the formulas."""
    columns = ["observed", "standard error", "√(q/n)", "√(2q/n)", "2√(h/(1−h))"]
    table = pd.DataFrame.from_dict(checks, orient="index", columns=columns).sort_index(ascending=False)
    table.index = pd.MultiIndex.from_tuples(table.index, names=["n = 50", "d"])
    return table.map(lambda value: "" if np.isnan(value) else f"{value:.2f}")


def figure_roc(view: View) -> Figure:
    """Draw observed and predicted ROC curves of the attackers, and what no attack can exceed."""
    figure, axes = figures.panels(len(view.datasets), height=3.9, sharey=True)
    fprs = np.array(FPRS)
    for axis, (name, rows) in zip(axes, view.shown.groupby("dataset", sort=False), strict=True):
        for index, attacker in enumerate(ATTACKERS):
            _draw_roc(axis, fprs, rows[rows.attacker == attacker].iloc[0], index)
        axis.plot(fprs, theory.cap_random_subset(fprs, 0.01), color="grey", linestyle="--", linewidth=1)
        for epsilon in (1, 2, 4):
            axis.plot(fprs, theory.cap_private(fprs, epsilon), color="grey", linewidth=0.5)
        axis.plot(fprs, fprs, color="black", linestyle=":", linewidth=1)
        axis.set(xscale="log", yscale="log", xlim=(8e-5, 1.2), ylim=(5e-5, 1.2), title=figures.short(name))
        axis.set_xlabel("false positive rate")
    axes[0].set_ylabel("true positive rate")
    figures.legend_below(figure, axes[0], 3)
    return figure


def _draw_roc(axis: Axes, fprs: np.ndarray, row: pd.Series, index: int) -> None:
    """Draw predictions as lines, rates with exact intervals as marks, the bootstrap interval as a bar."""
    style = figures.series(index)
    for column, line in (("exact_roc", "-"), ("predicted_roc", ":")) if row.attacker != NO_DATA else ():
        axis.plot(fprs, rates_of(row[column]), color=style["color"], linestyle=line, linewidth=1.2)
    seen = rates_of(row.roc)
    exact = [rate(round(value * row.members), row.members) for value in seen]
    lengths = np.abs([[one.low for one in exact] - seen, [one.high for one in exact] - seen])
    style |= {"linestyle": "none", "markersize": 3.5, "elinewidth": 0.8}
    axis.errorbar(fprs, seen, yerr=lengths, label=ATTACKERS[row.attacker], **style)
    ends = (row.tpr_bootstrap_low, row.tpr_bootstrap_high)
    axis.vlines(row.fpr, *ends, color=style["color"], linewidth=4, alpha=0.4)


def rates_of(text: str) -> np.ndarray:
    """Return the rates of a column `roc`, float64.

    >>> rates_of("0.1 0.25").tolist()
    [0.1, 0.25]
    """
    return np.array(text.split(), dtype=float)


def table_attacked(view: View) -> pd.DataFrame:
    """Rates of the attackers on the class means at full resolution, observed and predicted."""
    lines = {}
    for row in view.shown.itertuples():
        known = row.attacker != NO_DATA
        ends = (row.tpr_bootstrap_low, row.tpr_bootstrap_high)
        lines[figures.short(row.dataset), row.n, row.dimension, ATTACKERS[row.attacker]] = {
            "TPR at 0.1 %": figures.interval(row.observed_tpr, *ends, ".2%"),
            "predicted": f"{row.exact_tpr:.2%}" if known else "",
            "leading order": f"{row.predicted_tpr:.2%}" if known else "",
            "AUC": f"{row.auc:.3f}",
            "predicted AUC": f"{row.exact_auc:.3f}" if known else "",
        }
    table = pd.DataFrame.from_dict(lines, orient="index")
    return table.rename_axis(["data set", "n", "d", "attacker"])


def figure_predicted(view: View) -> Figure:
    """Draw all observed rates and AUCs against the predicted ones."""
    figure, axes = figures.panels(2, height=3.6)
    for index, attacker in enumerate((POOL, DISJOINT)):
        rows, label = view.predicted[view.predicted.attacker == attacker], ATTACKERS[attacker]
        style = figures.series(index) | {"linestyle": "none"}
        hollow = style | {"markerfacecolor": "none", "markeredgewidth": 0.7, "alpha": 0.5}
        observed = 100 * rows.observed_tpr
        axes[0].plot(100 * rows.predicted_tpr, observed, **hollow, label=f"{label}, leading order")
        axes[1].plot(rows.predicted_auc, rows.auc, **hollow)
        bars = figures.whiskers(rows, "observed_tpr", "tpr_bootstrap")
        style |= {"elinewidth": 0.5, "markersize": 3, "alpha": 0.7, "label": label}
        axes[0].errorbar(100 * rows.exact_tpr, observed, yerr=bars, **style)
        axes[1].plot(
            rows.exact_auc, rows.auc, **figures.series(index) | {"linestyle": "none", "markersize": 3}
        )
    axes[0].xaxis.set_major_formatter("{x:g}")
    axes[0].yaxis.set_major_formatter("{x:g}")
    for axis, ends in zip(axes, ([0.08, 100], [0.5, 1]), strict=True):
        axis.plot(ends, ends, color="black", linestyle=":", linewidth=1)
    axes[0].set(xscale="log", yscale="log", title="TPR at 0.1 % FPR")
    axes[0].set(xlabel="predicted, %", ylabel="observed, %")
    axes[1].set(xlabel="predicted", ylabel="observed", title="AUC")
    figures.legend_below(figure, axes[0], 2)
    return figure


def figure_both(view: View, named: pd.Series) -> Figure:
    """Draw what no attack on a Gibbs draw can exceed, and what the images it is trained on give away.

    named   by data set: share in percent of the members that linear algebra on the class mean puts above
            every non-member; data sets without one have no line
    """
    figure, axes = figures.panels(2, height=4.4)
    for axis, base in zip(axes, (0, 100 * FPR), strict=True):
        _draw_networks(axis, view, base)
        _draw_images(axis, view, named, base)
        axis.set(xscale="log", yscale="log", xlabel="r = m / n")
    axes[0].set(ylabel="TPR at 0.1 % FPR, %", title="true positive rate")
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[1].set(ylabel="TPR − FPR, percentage points", title="above guessing")
    figures.legend_below(figure, axes[0], 2)
    return figure


def _draw_networks(axis: Axes, view: View, base: float) -> None:
    """Draw the caps for networks, and log ratios of exact posteriors, as rates in percent less `base`."""
    ratios = np.geomspace(view.posteriors.index.get_level_values("ratio").min(), 1, 60)
    network = 100 * np.array([theory.cap_private(FPR, r * EPS0, 0.0) for r in ratios])
    subset = 100 * np.array([theory.cap_random_subset(FPR, r) for r in ratios])
    axis.plot(ratios, network - base, color="black", label="cap, Gibbs draw")
    axis.plot(ratios, subset - base, color="grey", linestyle="--", label="cap, random subset")
    for model, mark in (("gaussian", "x"), ("logistic", "+")):
        observed = view.posteriors[model]
        style = {"color": "black", "marker": mark, "linestyle": "none", "markersize": 4, "alpha": 0.6}
        label = f"exact posterior, {model}"
        axis.plot(observed.index, 100 * FPR * np.exp(observed) - base, label=label, **style)


def _draw_images(axis: Axes, view: View, named: pd.Series, base: float) -> None:
    """Draw what images of linear matching give away, and means to linear algebra, in percent less `base`."""
    for index, (name, rows) in enumerate(view.matched.groupby("dataset", sort=False)):
        style = figures.series(index) | {"linestyle": "-", "capsize": 2}
        label = f"{figures.short(name)}, T, d = {rows.dimension.iloc[0]}"
        bars = figures.whiskers(rows, "observed_tpr", "tpr_bootstrap")
        axis.errorbar(rows.m / rows.n, 100 * rows.observed_tpr - base, yerr=bars, label=label, **style)
        if name in named:
            style = {"color": style["color"], "linestyle": figures.LINES[1 + index], "linewidth": 1.2}
            label = f"{figures.short(name)}, linear algebra"
            axis.axhline(named[name] - base, label=label, **style)
