"""Figure, table, numbers and verdicts of a secret start: accuracy by epsilon, and attacks below the cap."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.book import figures
from privacy_for_free.core.randomness import generator
from privacy_for_free.lab.record import Record
from privacy_for_free.stats import intervals
from privacy_for_free.stats.intervals import Interval
from privacy_for_free.theory import linear, secret_start
from privacy_for_free.theory.linear_extractors import random_extractors

LEARNERS = {"nearest_mean": "nearest mean", "ridge": "ridge on pixels", "convnet": "ConvNet"}
FPR = 0.01  # at which rates are drawn
KNOWN = {"half": 0.5, "tenth": 0.1, "fiftieth": 0.02}  # step sizes, of the threshold of fresh extractors
D, K, M, KEPT = 49, 8, 10, 0.1  # of the table of known extractors


@dataclass(frozen=True, eq=False)
class View:
    """What is drawn of the record.

    provenance  where the records come from, one line for each data set
    dataset     the data set that is drawn: the chapter's own where it is recorded
    learnt      rows of releases and their learners, with the accuracy in `percent`
    attacks     rows of attacks, with `tpr`, `cap` and the ends of the interval in percent
    first       (m, spread) of the start that is attacked
    """

    provenance: str
    dataset: str
    learnt: pd.DataFrame
    attacks: pd.DataFrame
    first: tuple[int, float]

    def releases(self, kind: str, learner: str, start: tuple[int, float] | None = None) -> pd.DataFrame:
        """Return the rows of a learner; of `secret_start` from one start, the first if none is named."""
        rows = self.learnt[(self.learnt.kind == kind) & (self.learnt.learner == learner)]
        if kind != "secret_start":
            return rows
        m, spread = start or self.first
        return rows[(rows.m == m) & (rows.spread == spread)]

    def accuracy(self, kind: str, learner: str, epsilon: float | None = None) -> Interval:
        """Return the mean accuracy in percent over releases, with its interval."""
        rows = self.releases(kind, learner)
        return intervals.mean((rows if epsilon is None else rows[rows.epsilon == epsilon]).percent)

    def rates(self, kind: str, pair: str | None = None, fpr: float = FPR) -> pd.DataFrame:
        """Return the rows of an attack at one false positive rate, by epsilon."""
        rows = self.attacks[(self.attacks.kind == kind) & (self.attacks.fpr == fpr)]
        rows = rows if pair is None else rows[rows.pair == pair]
        return rows.set_index("epsilon").sort_index()


def load(records: Mapping[str, Record], dataset: str) -> View:
    """Return what is drawn of records of `secret_start` by data set; `dataset` is the chapter's own."""
    shown = dataset if dataset in records else next(iter(records))
    table = records[shown].table
    attacked = table.kind.isin(["pair", "tracing"])
    attacks = table[attacked].assign(
        **{name: 100 * table[of] for name, of in {"tpr": "observed_tpr", "cap": "cap_tpr"}.items()},
        predicted=100 * table.predicted_tpr,
    )
    first = attacks.iloc[0]
    return View(
        "\n".join(record.provenance() for record in records.values()),
        shown,
        table[~attacked].assign(percent=100 * table.test_accuracy),
        attacks,
        (int(first.m), float(first.spread)),
    )


def figure_front(view: View) -> Figure:
    """Draw accuracy against epsilon, and what attacks find of what they could."""
    figure, (front, found) = figures.panels(2, height=3.6)
    places = pd.Index(sorted(view.releases("secret_start", "nearest_mean").epsilon.unique()))
    for index, (learner, label) in enumerate(LEARNERS.items()):
        _draw(front, view.releases("secret_start", learner), places, label, figures.series(index))
    gaussian = figures.series(len(LEARNERS))
    _draw(front, view.releases("gaussian_mean", "convnet"), places, "ConvNet, noisy mean itself", gaussian)
    subset = view.accuracy("random_subset", "convnet").value
    front.axhline(subset, color="grey", linewidth=1, linestyle=":", label="ConvNet, real images")
    front.set(ylabel="test accuracy, %", title=f"{view.first[0]} images per class")
    attacked = view.rates("tracing").index
    _draw_attacks(found, view, attacked)
    for axis, shown in ((front, places), (found, attacked)):
        axis.set_xticks(range(len(shown)), shown.map("{:g}".format).str.replace("inf", "∞"), fontsize=7)
        axis.set_xlabel("$\\varepsilon$ at $\\delta = 10^{-5}$")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw(axis: Axes, rows: pd.DataFrame, places: pd.Index, label: str, style: dict[str, object]) -> None:
    means = {epsilon: intervals.mean(some.percent) for epsilon, some in rows.groupby("epsilon")}
    value, low, high = np.array([tuple(mean)[:3] for mean in means.values()]).T
    x = places.get_indexer(list(means))
    axis.plot(x, value, label=label, **style)
    axis.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _draw_attacks(axis: Axes, view: View, places: pd.Index) -> None:
    cap = view.rates("tracing").cap
    axis.plot(places.get_indexer(cap.index), cap, color="black", label="cap of any attack")
    shown = {"optimal, worst pair": ("pair", "worst"), "optimal, real pair": ("pair", "real")}
    for index, (label, chosen) in enumerate({**shown, "tracing in the pool": ("tracing",)}.items()):
        rows, style = view.rates(*chosen), figures.series(index) | {"linestyle": "none"}
        ends = [rows.tpr - 100 * rows.low, 100 * rows.high - rows.tpr]
        axis.errorbar(places.get_indexer(rows.index), rows.tpr, ends, label=label, **style)
    axis.axhline(100 * FPR, color="grey", linewidth=1, linestyle=":")
    axis.set(ylabel=f"TPR at {FPR:.0%} FPR, %", title="attacks", yscale="log")


def table_front(view: View) -> pd.DataFrame:
    """Accuracies in percent with half their intervals: releases and learners down, epsilons across."""
    grid = {}
    for (kind, m, spread, learner), rows in view.learnt.groupby(
        ["kind", "m", "spread", "learner"], sort=False, dropna=False
    ):
        name = f"{m:g}, s = {spread:g}" if kind == "secret_start" else f"{m:g}, {kind.replace('_', ' ')}"
        for epsilon, some in rows.groupby("epsilon", dropna=False):
            mean = intervals.mean(some.percent)
            at = "no guarantee" if math.isnan(epsilon) else f"{epsilon:g}"
            text = f"{mean.value:.1f} ± {mean.half:.1f}" if len(some) > 1 else f"{mean.value:.1f}"
            grid[name, LEARNERS[learner], at] = text
    table = pd.Series(grid).unstack(sort=False).fillna("")
    columns = sorted(table.columns, key=lambda at: math.inf if at == "no guarantee" else float(at))
    return table[columns].rename_axis(index=["images per class", "learner"], columns="epsilon")


def known_extractors(seed: int = 0) -> dict[str, float]:
    """Return mu for who knows fresh extractors, over that of the expected loss, by step size (KNOWN).

    For images of D pixels, K features, M images per class, after as many steps as leave KEPT of the start on
    average; the worst direction.
    """
    found = {}
    for name, share in KNOWN.items():
        step_size = share * linear.largest_step_fresh(M, K, D)
        rho = linear.contraction(step_size, M, K)
        steps = round(math.log(KEPT) / math.log(rho))

        def fresh(step: int, name: str = name) -> torch.Tensor:
            return random_extractors(1, K, D, generator(seed, "known extractors", name, step))

        mixing = secret_start.mixing(fresh, steps, step_size, M, D)
        expected = secret_start.mu(secret_start.kept(steps, rho), 1, M, 1.0)
        found[name] = secret_start.mu_of_mixing(mixing, 1, M, 1.0) / expected
    return found


def numbers(view: View) -> dict[str, object]:
    """The numbers in the prose, by their keys; accuracies and rates in percent."""
    at_one = view.releases("secret_start", "nearest_mean")
    at_one = at_one[at_one.epsilon == 1].iloc[0]
    pairs = view.attacks[view.attacks.kind == "pair"]
    within = (pairs.low <= pairs.predicted_tpr) & (pairs.predicted_tpr <= pairs.high)
    traced = view.rates("tracing").tpr
    known = known_extractors()

    def accuracy(kind: str, learner: str, epsilon: float | None = None) -> str:
        mean = view.accuracy(kind, learner, epsilon)
        return figures.interval(mean.value, mean.low, mean.high, ".1f")

    least = float(view.learnt.epsilon[view.learnt.epsilon > 0].min())
    return {
        "secret.data": figures.title(view.dataset),
        "secret.n": int(at_one.n),
        "secret.releases": int(view.learnt.replicate.nunique()),
        "secret.steps": int(at_one.steps),
        "secret.kept": 100 * at_one.kept,
        "secret.least": least,
        "secret.mean.least": accuracy("secret_start", "nearest_mean", least),
        "secret.mean.one": accuracy("secret_start", "nearest_mean", 1.0),
        "secret.convnet": accuracy("secret_start", "convnet", 1.0),
        "secret.subset": accuracy("random_subset", "convnet"),
        "secret.pairs": len(pairs),
        "secret.pairs.inside": int(within.sum()),
        "secret.traced": traced.get(10.0, math.nan),
        "secret.traced.limit": traced.get(math.inf, math.nan),  # which a smoke run does not attack
        "secret.known.half": known["half"],
        "secret.known.tenth": known["tenth"],
    }


def verdicts(view: View) -> dict[str, object]:
    """Return the margins of the chapter's statements on a secret start.

    Of the share of attacks whose exact interval of 95 % lies above the cap, and of a ConvNet's accuracy at
    epsilon 1 less that on as many real images.
    """
    over = (view.attacks.low > view.attacks.cap_tpr).mean()
    private = view.releases("secret_start", "convnet")
    real = view.releases("random_subset", "convnet")
    return {
        "verdict.secret": 0.05 - over,
        "verdict.useful": intervals.difference(private[private.epsilon == 1].percent, real.percent),
    }
