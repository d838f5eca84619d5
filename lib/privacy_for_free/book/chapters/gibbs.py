"""Figures, tables and numbers of the chapter "From synthetic data to parameters"."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from privacy_for_free.book import figures
from privacy_for_free.book.claims import evidence
from privacy_for_free.lab.record import Record
from privacy_for_free.stats.slopes import log_log
from privacy_for_free.theory.gibbs_models import RADIUS

MODELS = {  # on condensed images, drawn against m/n
    "gaussian": "Gaussian, in a ball",
    "logistic": "logistic, in a disk",
    "sgld_network": "small network",
}
STEPS = {"sgld_network": "step h", "sgld_network_half_step": "step h/2"}
BASELINES = {
    "logistic_replace": "condensed",
    "logistic_all_data": "all images, temperature $\\tau/r$",
    "logistic_random_subset": "random subset",
}
# Condensed, with a bound on the log ratio itself: not the divergence, nor the methods that condense nothing.
CONDENSED = (*MODELS, "logistic_replace", "sgld_network_half_step")
RATIO, IN_M, IN_N, ONE_IMAGE = "in m/n", "in m", "in n", "in n, one image"


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the records.

    provenance  where the records come from, one line for each data set
    table       their rows, with the column `dataset`, and observed over bound in `tightness`
    """

    provenance: str
    table: pd.DataFrame

    @property
    def datasets(self) -> list[str]:
        """The data sets, in the order of the records."""
        return list(self.table.dataset.unique())

    @cached_property
    def fits(self) -> pd.DataFrame:
        """The slopes of all models: columns dataset, model, in (RATIO, IN_M, ...), slope, low, high."""
        parts = []
        for name, rows in self.table.groupby("dataset", sort=False):
            fits = {
                IN_N: slopes(rows, "n"),
                IN_M: slopes(rows, "m"),
                ONE_IMAGE: slopes(rows, "n", "observed_fixed_x"),
            }
            fits = {RATIO: ratio_slopes(rows[rows.model.isin(fits[IN_N].model)]), **fits}
            parts += [fit.assign(**{"dataset": name, "in": label}) for label, fit in fits.items()]
        return pd.concat(parts, ignore_index=True)

    def fitted(self, label: str, *models: str) -> pd.DataFrame:
        """Return the slopes of some models of one kind (RATIO, IN_M, ...)."""
        return self.fits[(self.fits["in"] == label) & self.fits.model.isin(models)]


def load(records: Mapping[str, Record]) -> View:
    """Return what the chapter draws from records of `gibbs_ratio` by data set."""
    tables = [record.table.assign(dataset=name) for name, record in records.items()]
    table = pd.concat(tables, ignore_index=True)
    table["tightness"] = table.observed / table.bound
    return View("\n".join(record.provenance() for record in records.values()), table)


def slopes(table: pd.DataFrame, against: str, column: str = "observed") -> pd.DataFrame:
    """Fit ln `column` against ln n or ln m; columns model, slope, low, high.

    The other of n and m is held fixed (an intercept for each of its values). Replicates are independent pairs
    of classes, one slope each, and the 95 % t-interval is over them. Models with one replicate or one size
    are left out. ValueError for an unknown `against`.
    """
    if against not in ("n", "m"):
        raise ValueError(f"against {against!r}: known are n, m")
    held = {"n": "m", "m": "n"}[against]
    rows = []
    for model, part in table.groupby("model", sort=False):
        sizes_per_line = part.groupby(["replicate", held])[against].nunique()
        if part.replicate.nunique() < 2 or sizes_per_line.groupby("replicate").max().min() < 2:
            continue
        rows.append(
            (model, *log_log(part[against], part[column], within=part[held], clusters=part.replicate))
        )
    return pd.DataFrame(rows, columns=["model", "slope", "low", "high"])


def ratio_slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Fit ln observed against ln m/n over all sizes, one slope per replicate; columns as of `slopes`."""
    rows = [
        (model, *log_log(part.m / part.n, part.observed, clusters=part.replicate))
        for model, part in table.groupby("model", sort=False)
    ]
    return pd.DataFrame(rows, columns=["model", "slope", "low", "high"])


def figure_bound(view: View) -> Figure:
    """Draw the largest log ratio of three models against m/n, and the bound; bars from least to largest."""
    figure, axes = figures.panels(len(view.datasets), height=3.4, sharey=True)
    for axis, (name, rows) in zip(axes, view.table.groupby("dataset", sort=False), strict=True):
        for index, (model, label) in enumerate(MODELS.items()):
            part = rows[rows.model == model]
            middle = part.assign(r=part.m / part.n).groupby("r")["observed"].agg(["mean", "min", "max"])
            error = [middle["mean"] - middle["min"], middle["max"] - middle["mean"]]
            style = {**figures.series(index), "linestyle": "none", "capsize": 1.5, "elinewidth": 0.8}
            axis.errorbar(middle.index, middle["mean"], yerr=error, label=label, **style)
        ratios = rows[rows.model.isin(MODELS)].eval("m / n")
        ends = np.array([ratios.min(), ratios.max()])
        axis.plot(ends, ends, color="black", linestyle="--", linewidth=1, label="bound $r\\varepsilon_0$")
        axis.set(xscale="log", yscale="log", xlabel="r = m/n", title=figures.title(name))
    axes[0].set_ylabel("largest |log ratio|, nats")
    axes[0].legend(fontsize="small")
    return figure


def table_slopes(view: View) -> pd.DataFrame:
    """The slopes of all models with half the length of their intervals, as text."""
    halves = (view.fits.high - view.fits.low) / 2
    texts = [f"{slope:.3f} ± {half:.3f}" for slope, half in zip(view.fits.slope, halves, strict=True)]
    shown = view.fits.assign(
        model=view.fits.model.str.replace("_", " "), dataset=view.fits.dataset.map(figures.title), shown=texts
    )
    shown = shown.pivot(index=["dataset", "model"], columns="in", values="shown")
    return shown[[RATIO, IN_M, IN_N, ONE_IMAGE]].rename_axis(columns=None)


def figure_steps(view: View) -> Figure:
    """Draw the network's largest log ratio at both steps, with two standard errors and its bound."""
    figure, axes = figures.panels(len(view.datasets), height=3.0, sharey=True)
    for axis, (name, rows) in zip(axes, view.table.groupby("dataset", sort=False), strict=True):
        for index, (model, label) in enumerate(STEPS.items()):
            part = rows[(rows.model == model) & (rows.replicate == 0)].sort_values(["n", "m"])
            x = part.m / part.n * (1 + 0.08 * index)
            style = {**figures.series(index), "linestyle": "none", "capsize": 2}
            axis.errorbar(x, part.observed, yerr=2 * part.std_error, label=label, **style)
            axis.plot(x, part.bound_this_x, "_", color="black", markersize=9)
        axis.set(xscale="log", yscale="log", xlabel="r = m/n", title=figures.title(name))
    axes[0].set_ylabel("largest |log ratio|, nats")
    axes[0].legend()
    return figure


def figure_baselines(view: View) -> Figure:
    """Draw condensation beside two methods that condense nothing, one image replaced, with their bounds."""
    figure, axes = figures.panels(len(view.datasets), height=3.2, sharey=True)
    for axis, (name, rows) in zip(axes, view.table.groupby("dataset", sort=False), strict=True):
        for index, (model, label) in enumerate(BASELINES.items()):
            part = rows[rows.model == model]
            middle = part.assign(r=part.m / part.n).groupby("r")["observed"].mean()
            style = {**figures.series(index), "linestyle": "none"}
            axis.plot(middle.index, middle, **style, label=label)
        ratios = rows.m / rows.n
        r = np.geomspace(ratios.min(), ratios.max(), 50)
        axis.plot(r, r, color="black", linewidth=1, linestyle="--", label="$r\\varepsilon_0$")
        subset_bound = np.log1p(r * np.expm1(1))
        axis.plot(r, subset_bound, color="black", linewidth=1, linestyle=":", label="subset's bound")
        axis.set(xscale="log", yscale="log", xlabel="r = m/n", title=figures.title(name))
    axes[0].set_ylabel("largest |log ratio|, nats")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def halvings(view: View) -> pd.DataFrame:
    """The cells where the sampler ran with both steps; columns of the half step end in `_half`."""
    parts = [view.table[view.table.model == model] for model in STEPS]
    return pd.merge(*parts, on=["dataset", "n", "m", "replicate"], suffixes=("", "_half"))


def over_condensed(view: View, model: str) -> dict[str, pd.Series]:
    """The log ratios of a method over those of condensation, at equal bounds, by data set."""
    by_dataset = view.table.groupby("dataset", sort=False)
    return {name: evidence.over_condensed(rows, model) for name, rows in by_dataset}


def numbers(view: View) -> dict[str, object]:
    """What the prose inserts."""
    return {**_bound_numbers(view), **_sampler_numbers(view), **_baseline_numbers(view)}


def _bound_numbers(view: View) -> dict[str, object]:
    condensed = view.table[view.table.model.isin(CONDENSED)]
    largest = condensed.groupby("dataset", sort=False).tightness.max()
    lipschitz = view.table[view.table.model == "gaussian"].lipschitz  # rho + B, where rho would do
    one_image = view.fitted(ONE_IMAGE, *MODELS)
    return {
        "condensed.posteriors": len(condensed),
        "condensed.largest": _listed({name: f"{value:.2f}" for name, value in largest.items()}),
        "condensed.slack_low": 1 / condensed.tightness.max(),
        "condensed.slack_high": 1 / condensed.tightness.min(),
        "gaussian.slack": (lipschitz / (lipschitz - RADIUS)).max(),
        "all.posteriors": len(view.table),
        "all.above_bound": int((view.table.observed > view.table.bound).sum()),
        "one_image.slope_low": one_image.slope.min(),
        "one_image.slope_high": one_image.slope.max(),
        "one_image.holding_minus_one": int(((one_image.low <= -1) & (one_image.high >= -1)).sum()),
        "one_image.cases": len(one_image),
        "worst_image.slope_high": view.fitted(IN_N, *MODELS).slope.max(),
        "divergence.slope": view.fitted(ONE_IMAGE, "gaussian_kl").slope.mean(),
    }


def _sampler_numbers(view: View) -> dict[str, object]:
    both = halvings(view)
    ratios = both.observed_half / both.observed
    same = both[np.isclose(both.shift_norm, both.shift_norm_half)]
    errors = np.hypot(same.std_error, same.std_error_half)
    return {
        "half_step.cases": len(both),
        "half_step.ratio_median": ratios.median(),
        "half_step.ratio_low": ratios.min(),
        "half_step.ratio_high": ratios.max(),
        "half_step.same_image": len(same),
        "half_step.largest_z": ((same.log_normaliser - same.log_normaliser_half) / errors).abs().max(),
    }


def _baseline_numbers(view: View) -> dict[str, object]:
    subset, everything = (over_condensed(view, f"logistic_{name}") for name in ("random_subset", "all_data"))
    ratios = pd.concat(everything)
    return {
        "random_subset.over_condensed": _means(subset),
        "random_subset.cases": sum(map(len, subset.values())),
        "all_data.over_condensed": _means(everything),
        "all_data.low": ratios.min(),
        "all_data.high": ratios.max(),
        "all_data.cases": len(ratios),
        "all_data.pairs": max(part.index.unique("replicate").size for part in everything.values()),
    }


def _means(ratios: Mapping[str, pd.Series]) -> str:
    """Of each data set, the mean over pairs of classes of the median over sizes, with its interval."""
    means = {name: evidence.median_over_pairs(part) for name, part in ratios.items() if len(part)}
    return _listed({name: figures.interval(*mean, ".2f") for name, mean in means.items()})


def _listed(texts: Mapping[str, str]) -> str:
    return " and ".join(f"{text} on {figures.short(name)}" for name, text in texts.items())
