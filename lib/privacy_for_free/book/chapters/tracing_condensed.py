"""Of the chapter "What the barycentre gives away" the figures and the table of condensed images."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.book import figures
from privacy_for_free.book.chapters.tracing import (
    ATTACKERS,
    EPS0,
    FPR,
    MEMBERS,
    POOL,
    SMALLEST_DRAWN,
    View,
)
from privacy_for_free.theory import tracing as theory


def figure_both(view: View) -> Figure:
    """Draw what no attack on a Gibbs draw can exceed, and what the images it is trained on give away."""
    figure, axes = figures.panels(2, height=4.2)
    for axis, base in zip(axes, (0, 100 * FPR), strict=True):
        _draw_networks(axis, view, base)
        _draw_images(axis, view, base)
        axis.set(xscale="log", yscale="log", xlabel="r = m / n")
    axes[0].set(ylabel="TPR at 0.1 % FPR, %", title="true positive rate")
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[1].set(ylabel="TPR − FPR, percentage points", title="above guessing")
    figures.legend_below(figure, axes[0], 3, fontsize="small")
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


def _draw_images(axis: Axes, view: View, base: float) -> None:
    """Draw what images of linear matching and class means give away, as rates in percent less `base`."""
    pooled = view.shown[view.shown.attacker == POOL].set_index("dataset")
    for index, (name, rows) in enumerate(view.matched.groupby("dataset", sort=False)):
        style = figures.series(index) | {"linestyle": "-", "capsize": 2}
        label = f"{figures.short(name)}, d = {rows.dimension.iloc[0]}"
        bars = figures.whiskers(rows, "observed_tpr", "tpr_bootstrap")
        axis.errorbar(rows.m / rows.n, 100 * rows.observed_tpr - base, yerr=bars, label=label, **style)
        mean = pooled.loc[name]
        style = {"color": style["color"], "linestyle": figures.LINES[1 + index], "linewidth": 1}
        label = f"{figures.short(name)}, d = {mean.dimension}"
        axis.axhline(100 * mean.observed_tpr - base, label=label, **style)


def figure_condensed(view: View) -> Figure:
    """Draw the rates on images condensed with a ConvNet, by what is compared, and by members."""
    figure, axes = figures.panels(len(view.datasets), height=4.2, sharex=True)
    by_pool = view.strongest[view.strongest.attacker == POOL].groupby("dataset", sort=False)
    for axis, (name, rows) in zip(axes, by_pool, strict=True):
        ordered = rows.sort_values(["statistic", "n", "m"], ascending=[False, True, True])
        what = list(dict.fromkeys(ordered.what))
        for index, who in enumerate(MEMBERS.values()):
            some = rows[rows.who == who]
            places = some.what.map(what.index) + 0.22 * (index - 1)
            style = figures.series(index) | {"linestyle": "none", "label": who, "elinewidth": 1}
            bars = figures.whiskers(some, "observed_tpr", "tpr_bootstrap")
            axis.errorbar((100 * some.observed_tpr).clip(SMALLEST_DRAWN), places, xerr=bars, **style)
        axis.axvline(100 * FPR, color="black", linestyle=":", linewidth=1)
        axis.set(xscale="log", xlim=(0.8 * SMALLEST_DRAWN, 150), title=figures.short(name))
        axis.set(yticks=range(len(what)), xlabel="TPR at 0.1 % FPR, %")
        axis.xaxis.set_major_formatter("{x:g}")
        lines = ["\n".join(text.rsplit(", ", 1)) for text in what]
        axis.set_yticklabels(lines if axis is axes[0] else [], fontsize="small")
        axis.invert_yaxis()
    figures.legend_below(figure, axes[0], 3, fontsize="small")
    return figure


def table_condensed(view: View) -> pd.DataFrame:
    """AUC and rate of both attackers on images condensed with a ConvNet."""
    rows = view.strongest
    cells = rows.assign(
        text=[f"{row.auc:.3f} / {row.observed_tpr:.2%}" for row in rows.itertuples()],
        dataset=rows.dataset.map(figures.short),
        attacker=rows.attacker.map(ATTACKERS).str.removeprefix("with "),
    )
    grid = cells.set_index(["dataset", "what", "attacker", "who"]).text.unstack(sort=False)
    grid = grid.rename_axis(["data set", "statistic", "attacker with"], axis=0)
    return grid.rename_axis("AUC / TPR at 0.1 %", axis=1)
