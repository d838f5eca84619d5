"""Numbers and verdicts on linear statistics in the chapter "What the class mean gives away"."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from privacy_for_free.book import figures
from privacy_for_free.book.chapters.tracing import (
    DISJOINT,
    EPS0,
    FPR,
    NO_DATA,
    POOL,
    View,
)
from privacy_for_free.theory import tracing as theory

RATIO = 0.01  # r = m / n at which the network's cap is quoted


def listed(values: pd.Series | pd.DataFrame, form: str, datasets: Sequence[str], named: bool = False) -> str:
    """Return a number of each data set (or a row of numbers), as a phrase; without those that have none.

    >>> listed(pd.Series({"cifar10": 2.0, "mnist": 1.5}), "{:.1f} %", ["mnist", "cifar10"], named=True)
    '1.5 % on MNIST and 2.0 % on CIFAR-10'
    """
    rows = {name: row for name, *row in pd.DataFrame(values).dropna().itertuples()}
    texts = [
        form.format(*rows[name]) + (f" on {figures.short(name)}" if named else "")
        for name in datasets
        if name in rows
    ]
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def numbers(view: View) -> dict[str, object]:
    """Return the numbers of the prose: rates in percent, counts, AUCs, and phrases that list data sets."""
    return {**_design(view), **_means(view), **_prediction(view), **_both(view)}


def attacked(view: View, attacker: str) -> pd.Series:
    """Return the rate in percent of an attacker on the class means at the common size, by data set."""
    rows = view.shown[view.shown.attacker == attacker]
    return 100 * rows.set_index("dataset").observed_tpr


def _design(view: View) -> dict[str, object]:
    return {
        "linear.ms": ", ".join(map(str, sorted(view.linear.m.unique()))),
        "linear.mean_error": view.linear.mean_error.max(),
        "auxiliary": max(design["auxiliary"] for design in view.designs),
        "targets": max(design["targets"] for design in view.designs),
        "members": int(view.sizes.max()),
    }


def _means(view: View) -> dict[str, object]:
    """Return what attackers reach on the class means at full resolution."""
    return {
        "pool.tpr": listed(attacked(view, POOL), "{:.1f} %", view.datasets, named=True),
        "disjoint.tpr": listed(attacked(view, DISJOINT), "{:.1f}", view.datasets),
        "none.tpr": listed(attacked(view, NO_DATA), "{:.2f}", view.datasets),
    }


def auc_gap(view: View) -> float:
    """Return the largest difference of an observed AUC and the one predicted from the pool's moments."""
    return float((view.predicted.auc - view.predicted.exact_auc).abs().max())


def _prediction(view: View) -> dict[str, object]:
    """Return how well the rates on class means are predicted."""
    rows = view.predicted
    inside = rows.exact_tpr.between(rows.tpr_bootstrap_low, rows.tpr_bootstrap_high)
    ratio = rows.observed_tpr / rows.exact_tpr
    return {
        "predicted.count": len(rows),
        "predicted.inside": int(inside.sum()),
        "predicted.auc_gap": auc_gap(view),
        "observed_over_exact.lowest": ratio.min(),
        "observed_over_exact.highest": ratio.max(),
    }


def network_cap(ratio: float = RATIO) -> float:
    """Return the highest rate in percent against one draw from the Gibbs posterior, at r = m / n."""
    return 100 * float(theory.cap_private(FPR, ratio * EPS0, 0.0))


def spread_over_m(view: View) -> float:
    """Return by how many percentage points the rates for different m differ at most."""
    return 100 * float(view.matched.groupby("dataset").observed_tpr.agg(np.ptp).max())


def _both(view: View) -> dict[str, object]:
    """Return what the network's bound and the images' leak are beside each other."""
    by_dataset = view.matched.groupby("dataset")
    return {
        "network.eps0": EPS0,
        "network.cap": network_cap(),
        "linear.tpr": listed(100 * by_dataset.observed_tpr.mean(), "{:.2f}", view.datasets),
        "linear.tpr.spread": spread_over_m(view),
        "linear.dimensions": listed(by_dataset.dimension.first(), "{:.0f}", view.datasets),
    }


def verdicts(view: View) -> dict[str, object]:
    """Return the margins by which the statements of the chapter hold or fail, in the order of its table."""
    guessed = 100 * FPR
    return {
        "verdict.mean": 1e-9 - view.linear.mean_error.max(),
        "verdict.private": network_cap() - attacked(view, POOL),
        "verdict.smaller": spread_over_m(view) - guessed,
        "verdict.disjoint": guessed - attacked(view, DISJOINT),
        "verdict.none": 2 * guessed - attacked(view, NO_DATA),
        "verdict.auc": 0.01 - auc_gap(view),
    }
