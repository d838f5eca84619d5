"""Figures, tables, numbers and verdicts of the chapter "No free lunch"."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.attacks import power
from privacy_for_free.book import claims, figures
from privacy_for_free.book.claims import effects
from privacy_for_free.lab.record import Record
from privacy_for_free.stats.intervals import Interval
from privacy_for_free.theory import tables

LIRA = ("lira_online", "lira_online_fixed", "lira_offline", "lira_offline_fixed")
KINDS = {"ordinary": "ordinary", "mislabelled": "mislabelled", "out_of_distribution": "out of distribution"}
FULL, SUBSET = "all of the half", "random subset"
FROM_NOISE, FROM_REAL, FROM_CANARIES = "DM, from noise", "DM, from real images", "DM, from canaries"
RELEASES = {  # by release and initialisation
    ("full", ""): FULL,
    ("random_subset", "real"): SUBSET,
    ("dm", "noise"): FROM_NOISE,
    ("dm", "real"): FROM_REAL,
    ("dm", "canaries"): FROM_CANARIES,
}
ALL, STARTED, NOT_STARTED = "all", "yes", "no"  # which members count: in the release's initialisation or not


@dataclass(frozen=True)
class Study:
    """What a study of membership is to see: a true positive rate at a false positive rate, both 0 to 1.

    power   chance, 0 to 1, with which it sees it
    level   of the two-sided binomial test

    ValueError for values that no study can have.
    """

    tpr: float
    fpr: float
    power: float
    level: float

    def __post_init__(self) -> None:
        """Refuse what no number of members can see."""
        self.members(exact=False)

    def members(self, exact: bool = True) -> int:
        """Return how many members it takes, by the exact test or by the normal approximation."""
        return power.members_needed(self.tpr, self.fpr, self.power, self.level, exact)

    def detectable(self, members: int) -> float:
        """Return the smallest true positive rate that a number of members shows."""
        return power.detectable(members, self.fpr, self.power, self.level)


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the record.

    provenance  where the records come from, one line for each data set
    dataset     the data set that is drawn
    shadows     the largest number of halves
    releases    names of releases, in the order of the record
    networks    the best LiRA on each release's networks, by kind of image and members that count
    images      the best attack on each release's images, likewise
    """

    provenance: str
    dataset: str
    shadows: int
    releases: list[str]
    networks: pd.DataFrame
    images: pd.DataFrame


def is_live(task: NamedTuple) -> bool:
    """Return whether a task belongs to the chapter's live run: DM from canaries."""
    return task.init == "canaries"


def release_name(release: str, init: str, epsilon: float) -> str:
    """Return a release's name as a reader knows it.

    >>> release_name("dm", "noise", np.inf), release_name("dp_sgd", "", 2.0)
    ('DM, from noise', 'DP-SGD, ε = 2')
    """
    if release == "dp_sgd":
        return "DP-SGD, no noise" if np.isinf(epsilon) else f"DP-SGD, ε = {epsilon:g}"
    return RELEASES[release, init]


def load(records: Mapping[str, Record]) -> View:
    """Return what the chapter draws from records of `canaries` by data set: the first of them."""
    dataset, record = next(iter(records.items()))
    table = record.table.assign(init=record.table.init.fillna(""))
    table = table.rename(columns={"tpr_at_fpr_1e-3": "tpr"})
    names = [release_name(row.release, row.init, row.epsilon) for row in table.itertuples()]
    table = table.assign(made=names)
    groups = ["made", "canary", "in_initialisation"]
    networks = table[(table.attacked == "network") & table.attack.isin(LIRA)]
    return View(
        "\n".join(record.provenance() for record in records.values()),
        dataset,
        int(table.shadows.max()),
        list(dict.fromkeys(names)),
        effects.strongest(networks, groups),
        effects.strongest(table[table.attacked == "synthetic_set"], groups),
    )


def table_bounds() -> pd.DataFrame:
    """What bounds the influence of one image, of 5,000, on what is trained, at an epsilon_0 of 1."""
    bounds = tables.influence(5000, [10, 50, 100], 1.0)
    bounds = bounds.assign(r=bounds.ratio.map("{:g}".format), text=bounds.epsilon.map("{:.4f}".format))
    grid = bounds.set_index(["trained_on", "r"]).text.unstack(sort=False)
    return grid.rename_axis(index="trained on", columns="r = m / n")


def figure_power(study: Study) -> Figure:
    """Draw the chance to see a leak, and the least leak that is seen, against the number of members."""
    figure, (left, right) = figures.panels(2, height=3.2)
    sizes = np.unique(np.geomspace(100, 100_000, 60).astype(int))
    for index, tpr in enumerate((2 * study.fpr, study.tpr, 2 * study.tpr)):
        style = figures.series(index) | {"marker": ""}
        chances = power.power(sizes, tpr, study.fpr, study.level)
        left.plot(sizes, chances, label=f"TPR {100 * tpr:.2g} %", **style)
    left.axhline(study.power, color="grey", linewidth=1, linestyle=":")
    left.set(xscale="log", xlabel="members", ylabel="chance to see the leak", ylim=(0, 1.02))
    left.legend()
    least = [study.detectable(int(size)) for size in sizes]
    right.plot(sizes, 100 * np.array(least), color="black")
    right.axhline(100 * study.fpr, color="grey", linewidth=1, linestyle=":")
    right.set(xscale="log", yscale="log", xlabel="members", ylabel="smallest TPR that is seen, %")
    return figure


def figure_canaries(view: View) -> Figure:
    """Draw advantages by release and kind of image: through the network, and from the released images."""
    figure, axes = figures.panels(2, height=3.8, sharey=True)
    titles = ("through the network", "from the released images")
    for axis, rows, title in zip(axes, (view.networks, view.images), titles, strict=True):
        for index, kind in enumerate(KINDS):
            _draw_kind(axis, view, rows, kind, index)
        axis.axvline(0, color="black", linestyle=":", linewidth=1)
        axis.set(yticks=range(len(view.releases)), xlabel="advantage, percentage points", title=title)
        axis.set_yticklabels(view.releases)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_kind(axis: Axes, view: View, rows: pd.DataFrame, kind: str, index: int) -> None:
    """Draw one kind of image: all members filled, those that a release started from hollow."""
    style = figures.series(index) | {"linestyle": "none", "capsize": 1.5, "elinewidth": 1}
    hollow = {"label": f"{KINDS[kind]}, started from", "markerfacecolor": "white"}
    for members, look in ((ALL, {"label": KINDS[kind]}), (STARTED, hollow)):
        some = rows[(rows.canary == kind) & (rows.in_initialisation == members)]
        heights = [view.releases.index(made) + 0.22 * (index - 1) for made in some.made]
        whiskers = figures.whiskers(some, "advantage")
        axis.errorbar(100 * some.advantage, heights, xerr=whiskers, **style, **look)


def figure_trade(view: View) -> Figure:
    """Draw accuracy on ordinary non-members against the best LiRA's advantage on mislabelled members."""
    figure, (axis,) = figures.panels(1, height=3.4)
    rows = view.networks[view.networks.canary == "mislabelled"]
    rows = rows[rows.in_initialisation == ALL]
    for index, row in enumerate(rows.itertuples()):
        style = figures.series(index) | {"linestyle": "none", "markersize": 6}
        whiskers = figures.whiskers(rows.iloc[index : index + 1], "advantage")
        axis.errorbar(
            100 * row.advantage, 100 * row.nonmember_accuracy, xerr=whiskers, label=row.made,
            capsize=2, elinewidth=1, **style,
        )  # fmt: skip
    axis.axvline(0, color="black", linestyle=":", linewidth=1)
    axis.set(
        xlabel="advantage of the best LiRA on mislabelled members, points",
        ylabel="accuracy on non-members, %",
    )
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper")
    return figure


def table_networks(view: View) -> pd.DataFrame:
    """AUC and TPR at 0.1 % FPR of the best LiRA: releases and members down, kinds of images across."""
    rows = view.networks[view.networks.in_initialisation != NOT_STARTED]
    cells = pd.DataFrame(
        {
            "made": rows.made,
            "members": rows.in_initialisation.map({ALL: "all", STARTED: "started from"}),
            "kind": rows.canary.map(KINDS),
            "text": [_rates(row) for row in rows.itertuples()],
        }
    )
    grid = cells.set_index(["made", "members", "kind"]).text.unstack(sort=False)
    grid = grid.reindex(view.releases, level=0).fillna("")
    return grid.rename_axis(index=["release", "members"], columns="AUC; TPR at 0.1 % FPR, %")


def _rates(row: object) -> str:
    return f"{row.auc:.3f}; {figures.interval(*figures.points(row, 'tpr', 'tpr_bootstrap'), '.1f')}"


def advantage(rows: pd.DataFrame, release: str, kind: str, members: str = ALL) -> Interval:
    """The advantage in points of the best attack on a release; not a number where it was not attacked.

    rows     `View.networks` or `View.images`
    kind     of image, one of KINDS
    members  ALL, or those that the release STARTED from, or did not
    """
    rows = rows[(rows.made == release) & (rows.canary == kind) & (rows.in_initialisation == members)]
    return figures.points(rows.iloc[0], "advantage") if len(rows) else Interval(np.nan, np.nan, np.nan)


def accuracy(view: View, release: str) -> float:
    """Accuracy in percent on ordinary non-members; not a number where the release is not in the record."""
    rows = view.networks[(view.networks.made == release) & (view.networks.canary == "ordinary")]
    rows = rows[rows.in_initialisation == ALL]
    return 100 * float(rows.nonmember_accuracy.iloc[0]) if len(rows) else np.nan


def odd_over_ordinary(view: View, release: str) -> Interval:
    """By how many points mislabelled members are found more surely than ordinary ones, by networks."""
    odd, ordinary = (advantage(view.networks, release, kind) for kind in ("mislabelled", "ordinary"))
    return effects.apart(odd, ordinary)


def started_over_others(view: View) -> Interval:
    """The same of mislabelled members that DM started from, over those it did not, from the images."""
    return effects.apart(
        advantage(view.images, FROM_CANARIES, "mislabelled", STARTED),
        advantage(view.images, FROM_CANARIES, "mislabelled", NOT_STARTED),
    )


def _text(interval: Interval, form: str = ".1f") -> str:
    return figures.interval(*interval, form)


def numbers(view: View, study: Study) -> dict[str, object]:
    """The numbers in the prose, by their keys; advantages in points, rates and accuracies in percent."""
    networks, images = view.networks, view.images
    sgd_2, sgd_8 = (release_name("dp_sgd", "", epsilon) for epsilon in (2.0, 8.0))
    return {
        "data": figures.title(view.dataset),
        "shadows": view.shadows,
        "study.tpr": 100 * study.tpr,
        "study.fpr": 100 * study.fpr,
        "study.power": 100 * study.power,
        "study.level": 100 * study.level,
        "study.members": study.members(),
        "study.members.normal": study.members(exact=False),
        "study.tpr_of_1000": 100 * study.detectable(1000),
        "study.tpr_of_10000": 100 * study.detectable(10_000),
        "full.accuracy": accuracy(view, FULL),
        "full.mislabelled.network": advantage(networks, FULL, "mislabelled").value,
        "full.mislabelled.network.interval": _text(advantage(networks, FULL, "mislabelled")),
        "full.ordinary.network": advantage(networks, FULL, "ordinary").value,
        "full.ordinary.network.interval": _text(advantage(networks, FULL, "ordinary")),
        "subset.accuracy": accuracy(view, SUBSET),
        "subset.mislabelled.started.network": advantage(networks, SUBSET, "mislabelled", STARTED).value,
        "subset.ordinary.started.images": advantage(images, SUBSET, "ordinary", STARTED).value,
        "noise.accuracy": accuracy(view, FROM_NOISE),
        "noise.mislabelled.network": advantage(networks, FROM_NOISE, "mislabelled").value,
        "noise.mislabelled.network.interval": _text(advantage(networks, FROM_NOISE, "mislabelled")),
        "noise.mislabelled.images": advantage(images, FROM_NOISE, "mislabelled").value,
        "noise.ordinary.network": advantage(networks, FROM_NOISE, "ordinary").value,
        "noise.ordinary.network.interval": _text(advantage(networks, FROM_NOISE, "ordinary")),
        "noise.ordinary.images": advantage(images, FROM_NOISE, "ordinary").value,
        "noise.mislabelled_over_ordinary": _text(odd_over_ordinary(view, FROM_NOISE), "+.1f"),
        "canaries.started.network": advantage(networks, FROM_CANARIES, "mislabelled", STARTED).value,
        "canaries.others.network": advantage(networks, FROM_CANARIES, "mislabelled", NOT_STARTED).value,
        "canaries.started.images": advantage(images, FROM_CANARIES, "mislabelled", STARTED).value,
        "canaries.others.images": advantage(images, FROM_CANARIES, "mislabelled", NOT_STARTED).value,
        "canaries.started_over_others": _text(started_over_others(view), "+.1f"),
        "dp_sgd.epsilon_2.accuracy": accuracy(view, sgd_2),
        "dp_sgd.epsilon_2.mislabelled.network.interval": _text(advantage(networks, sgd_2, "mislabelled")),
        "dp_sgd.epsilon_8.accuracy": accuracy(view, sgd_8),
        "dp_sgd.epsilon_8.mislabelled.network.interval": _text(advantage(networks, sgd_8, "mislabelled")),
        "dp_sgd.epsilon_8.ordinary.network.interval": _text(advantage(networks, sgd_8, "ordinary")),
    }


def verdicts(view: View, results_dir: str | os.PathLike | None = None) -> dict[str, object]:
    """What decides each argument of the chapter's table, or the verdict of the claim that it is.

    results_dir   folder of the records that claims are judged from; None for the repository's
    """
    return {
        "verdict.subset_accuracy": accuracy(view, SUBSET) - accuracy(view, FROM_NOISE),
        "verdict.odd_ones.full": odd_over_ordinary(view, FULL),
        "verdict.odd_ones.noise": odd_over_ordinary(view, FROM_NOISE),
        "verdict.canaries": started_over_others(view),
        "verdict.naive_bound": str(claims.verdict("C1", results_dir)),
        "verdict.subset_average": str(claims.verdict("C2", results_dir)),
        "verdict.subset_started": str(claims.verdict("C3", results_dir)),
        "verdict.subset_tail": str(claims.verdict("C7", results_dir)),
        "verdict.dp_sgd.few_members": str(claims.verdict("C6", results_dir)),
        "verdict.dp_sgd.many_members": str(claims.verdict("C4", results_dir)),
    }
