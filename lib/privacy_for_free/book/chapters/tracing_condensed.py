"""Images condensed with a ConvNet, attacked through means."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from privacy_for_free.book import figures
from privacy_for_free.book.chapters.tracing import (
    ATTACKERS,
    FPR,
    MEMBERS,
    NOISE,
    OTHERS,
    POOL,
    SHRINKAGE_OF_CONDENSED,
    SMALLEST_DRAWN,
    STARTED,
    View,
)
from privacy_for_free.book.chapters.tracing_numbers import listed


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


def condensed_rates(view: View, who: str) -> pd.DataFrame:
    """Return the attacker's with the pool on some members (NOISE, OTHERS, STARTED): one row per data set.

    Columns tpr_least, tpr_most (percent), auc_least, auc_most over sizes and statistics; above, the number of
    rates whose bootstrap interval lies above the false positive rate, of `count`.
    """
    rows = view.strongest[(view.strongest.attacker == POOL) & (view.strongest.who == who)]
    rows = rows.assign(percent=100 * rows.observed_tpr, above=rows.tpr_bootstrap_low > FPR)
    return rows.groupby("dataset").agg(
        tpr_least=("percent", "min"),
        tpr_most=("percent", "max"),
        auc_least=("auc", "min"),
        auc_most=("auc", "max"),
        above=("above", "sum"),
        count=("above", "size"),
    )


def mean_rates(view: View) -> pd.DataFrame:
    """Return least and most of the rate in percent on class means of as many members as were condensed."""
    rows = view.full[(view.full.attacker == POOL) & view.full.n.isin(view.strongest.n)]
    return (100 * rows.set_index("dataset").observed_tpr).groupby("dataset").agg(["min", "max"])


def numbers(view: View) -> dict[str, object]:
    """Return what the attack through means finds in images condensed with a ConvNet, for the prose."""
    noise, others, started = (condensed_rates(view, who) for who in (NOISE, OTHERS, STARTED))
    means, names = mean_rates(view), view.datasets
    tpr, auc, above = ["tpr_least", "tpr_most"], ["auc_least", "auc_most"], ["above", "count"]
    return {
        "convnet.noise.tpr": listed(noise[tpr], "{:.2f} to {:.2f} %", names, named=True),
        "convnet.noise.tpr.most": listed(noise.tpr_most, "{:.2f}", names),
        "convnet.noise.auc": listed(noise[auc], "{:.2f} to {:.2f}", names),
        "convnet.noise.above": listed(noise[above], "{} of {}", names),
        "convnet.others.tpr": listed(others[tpr], "{:.2f} to {:.2f} %", names, named=True),
        "convnet.others.auc": listed(others[auc], "{:.2f} to {:.2f}", names),
        "convnet.others.above": listed(others[above], "{} of {}", names),
        "convnet.started.tpr": listed(started[tpr], "{:.0f} to {:.0f} %", names, named=True),
        "convnet.started.tpr.most": listed(started.tpr_most, "{:.0f}", names),
        "convnet.steps": int(view.condensed.iterations.max()),
        "means.tpr": listed(means, "{:.1f} to {:.1f}", names),
        "means.tpr.most": listed(means["max"], "{:.0f}", names),
        "guessing.above": guessing_above(),
        **_from_noise(view),
    }


def guessing_above() -> float:
    """Return in how many percent of cases an attack that guesses stands above guessing by the bootstrap.

    Of independent pairs the bootstrap of halves and images has three times the variance of the rate, where
    the rate and its threshold together have two.
    """
    return 100 * float(stats.norm.sf(stats.norm.isf(0.025) * np.sqrt(3 / 2)))


def _from_noise(view: View) -> dict[str, object]:
    """Return what counts in releases from noise: images, members, shrinkage; and the most of any attack."""
    rows = view.strongest
    rows = rows[(rows.attacker == POOL) & (rows.who == NOISE)]
    by_m = rows.pivot_table(index=["dataset", "n", "statistic"], columns="m", values="auc")
    by_n = rows.pivot_table(index=["dataset", "m", "statistic"], columns="n", values="auc")
    every = view.condensed[view.condensed.init == "noise"]
    cells = every[(every.calibration == "raw") & (every.attacker == POOL)]
    cells = cells.pivot(index=["dataset", "n", "m", "statistic"], columns="shrinkage", values="auc")
    others = cells.drop(columns=SHRINKAGE_OF_CONDENSED).max(axis=1)
    return {
        "convnet.noise.more_images.pairs": len(by_m),
        "convnet.noise.more_images.higher": int((by_m[by_m.columns.max()] > by_m[by_m.columns.min()]).sum()),
        "convnet.noise.fewer_members.pairs": len(by_n),
        "convnet.noise.fewer_members.higher": int(
            (by_n[by_n.columns.min()] > by_n[by_n.columns.max()]).sum()
        ),
        "convnet.noise.shrinkage.cells": len(cells),
        "convnet.noise.shrinkage.best": int((cells[SHRINKAGE_OF_CONDENSED] > others).sum()),
        "convnet.noise.any.attacks": len(every),
        "convnet.noise.any.auc": every.auc.max(),
        "convnet.noise.any.tpr": 100 * every.observed_tpr.max(),
    }
