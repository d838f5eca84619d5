"""Figures, tables, numbers and verdicts of the chapter "The price of a guarantee"."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.book import figures, published
from privacy_for_free.book.claims.catalogue import SMALL_DIFFERENCE_POINTS
from privacy_for_free.lab.record import Record
from privacy_for_free.stats import intervals
from privacy_for_free.stats.intervals import Interval

MECHANISMS = {
    "one_release": "one release",
    "ndpdc": "NDPDC",
    "dp_merf": "DP-MERF",
    "ldpdc": "LDPDC",
    "linear": "linear DM, noisy mean",
    "dp_sgd": "DP-SGD (a network)",
}
WITHOUT = {  # a guarantee: mechanism and initialisation
    ("full", ""): "all images",
    ("dm", "real"): "DM, from real images",
    ("dm", "noise"): "DM, from noise",
    ("random_subset", "real"): "random subset",
    ("gan", "noise"): "GAN",
}
SIZELESS = ("dp_sgd", "full")  # what releases no images, and stands beside every number of them


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the record.

    provenance  where the records come from, one line for each data set
    dataset     the data set that is drawn: the chapter's own where it is recorded
    releases    its rows of the kind `accuracy`, with test accuracy in `percent`; empty text for no init
    audits      rows of the kind `audit`, of all data sets
    sizes       numbers of images per class, ascending
    epsilons    ascending, infinity last
    """

    provenance: str
    dataset: str
    releases: pd.DataFrame
    audits: pd.DataFrame
    sizes: list[float]
    epsilons: pd.Index

    @property
    def proved(self) -> pd.DataFrame:
        """Audits of mechanisms as they should be."""
        return self.audits[self.audits.broken.isna()]

    @property
    def broken(self) -> pd.DataFrame:
        """Audits of mechanisms that were broken on purpose."""
        return self.audits[self.audits.broken.notna()]

    def rows(
        self,
        mechanism: str,
        *,
        init: str | None = None,
        epsilon: float | None = None,
        ipc: float | None = None,
    ) -> pd.DataFrame:
        """Return a mechanism's releases; of those without images (SIZELESS) every size is meant."""
        chosen = self.releases.mechanism == mechanism
        if init is not None:
            chosen &= self.releases.init == init
        if epsilon is not None:
            chosen &= self.releases.epsilon == epsilon
        if ipc is not None and mechanism not in SIZELESS:
            chosen &= self.releases.ipc == ipc
        return self.releases[chosen]


def is_live(task: NamedTuple) -> bool:
    """Return whether a task belongs to the chapter's live run: three mechanisms that take seconds."""
    return task.mechanism in ("linear", "one_release", "dp_merf")


def load(records: Mapping[str, Record], dataset: str) -> View:
    """Return what the chapter draws from records of `private_release` by data set; `dataset` is its own."""
    tables = [record.table.assign(dataset=name) for name, record in records.items()]
    table = pd.concat(tables, ignore_index=True)
    releases = table[table.kind == "accuracy"]
    releases = releases.assign(percent=100 * releases.test_accuracy, init=releases.init.fillna(""))
    grid = releases[releases.mechanism == "linear"]
    shown = dataset if dataset in set(releases.dataset) else releases.dataset.iloc[0]
    audits = table[table.kind == "audit"]
    return View(
        "\n".join(record.provenance() for record in records.values()),
        shown,
        releases[releases.dataset == shown],
        audits.assign(broken=audits.broken.where(audits.broken != "")),
        sorted(grid.ipc.unique()),
        pd.Index(sorted(grid.epsilon.unique())),
    )


def table_published_noise() -> pd.DataFrame:
    """Epsilons of published noise: as published, by Renyi accounting, and by privacy loss distributions."""
    epsilons = {
        name: (stated, mechanism.epsilon(accountant="rdp"), mechanism.epsilon(accountant="pld"))
        for name, (stated, mechanism) in published.NOISE.items()
    }
    table = pd.DataFrame.from_dict(epsilons, orient="index", columns=["published", "Rényi", "PLD"])
    return table.rename_axis("epsilon at delta = 1e-5").map("{:.2f}".format)


def figure_accuracy(view: View) -> Figure:
    """Draw accuracy against epsilon, one panel for each number of images per class."""
    figure, axes = figures.panels(len(view.sizes), height=4.3, sharey=True)
    for axis, ipc in zip(axes, view.sizes, strict=True):
        for index, (mechanism, label) in enumerate(MECHANISMS.items()):
            _draw_private(axis, view, mechanism, label, index, ipc)
        for index, ((mechanism, init), label) in enumerate(WITHOUT.items()):
            _draw_plain(axis, view, mechanism, init, label, index, ipc)
        axis.set_xticks(range(len(view.epsilons)), view.epsilons.map("{:g}".format).str.replace("inf", "∞"))
        axis.set(title=f"{ipc:.0f} images a class", xlabel="$\\varepsilon$ at $\\delta = 10^{-5}$")
        axis.set_xlim(-0.3, len(view.epsilons) - 0.5)
    axes[0].set_ylabel("test accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_private(axis: Axes, view: View, mechanism: str, label: str, index: int, ipc: float) -> None:
    """Draw a mechanism's line with its interval, and a star where an accuracy was published."""
    rows, style = view.rows(mechanism, ipc=ipc), figures.series(index)
    if not len(rows):
        return
    means = {epsilon: intervals.mean(some.percent) for epsilon, some in rows.groupby("epsilon")}
    value, low, high = np.array(list(means.values())).T
    x = view.epsilons.get_indexer(list(means))
    if len(x) > 1 or mechanism in SIZELESS:
        axis.plot(x, value, label=label, **style)
    axis.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    if len(x) == 1:  # side by side
        axis.errorbar(x + 0.15 * (index - 2), value, value - low, **style)
    for known in published.ACCURACIES:
        same = (known.mechanism, known.dataset, known.ipc) == (mechanism, view.dataset, ipc)
        if same and known.epsilon in view.epsilons:
            x = view.epsilons.get_loc(known.epsilon)
            axis.plot(x, known.test_accuracy, "*", color=style["color"], mfc="white", markersize=11)


def _draw_plain(
    axis: Axes, view: View, mechanism: str, init: str, label: str, index: int, ipc: float
) -> None:
    """Draw a line across for a release without a guarantee."""
    rows = view.rows(mechanism, init=init, ipc=ipc)
    if not len(rows):
        return
    height = intervals.mean(rows.percent).value
    axis.axhline(height, color="grey", linewidth=1, linestyle=figures.LINES[index % 4])
    place = (len(view.epsilons) - 0.45, height)
    axis.annotate(label, place, fontsize=6, va="center", annotation_clip=False)


def mean_text(values: pd.Series) -> str:
    """Return a mean and half its interval as text, or the one value there is.

    >>> mean_text(pd.Series([1.0, 2.0, 3.0])), mean_text(pd.Series([1.0]))
    ('2.0 ± 2.5', '1.0')
    """
    mean = intervals.mean(values)
    return f"{mean.value:.1f} ± {mean.half:.1f}" if len(values) > 1 else f"{mean.value:.1f}"


def table_accuracy(view: View) -> pd.DataFrame:
    """Accuracies with their intervals: mechanisms and numbers of images down, epsilons across."""
    rows = view.releases.assign(
        release=view.releases.mechanism.map(MECHANISMS), epsilon=view.releases.epsilon.map("{:g}".format)
    )
    rows["images"] = rows.ipc.map("{:.0f}".format).mask(rows.mechanism == "dp_sgd", "all")
    groups = rows.dropna(subset="release").groupby(["release", "images", "epsilon"], sort=False)
    grid = groups.percent.apply(mean_text).unstack(sort=False).fillna("")
    grid = grid.reindex(MECHANISMS.values(), level=0)
    return grid.rename_axis(index=["mechanism", "images a class"], columns="epsilon")


def table_bill(view: View) -> pd.DataFrame:
    """What each release costs at the smallest number of images, and epsilon 1 where it has one."""
    rows = view.releases[(view.releases.ipc == view.sizes[0]) | view.releases.mechanism.isin(SIZELESS)]
    rows = rows[(rows.epsilon == 1) | rows.mechanism.isin([mechanism for mechanism, _ in WITHOUT])]
    bill = {}
    for (mechanism, init), some in rows.groupby(["mechanism", "init"], sort=False):
        label = MECHANISMS.get(mechanism) or WITHOUT[mechanism, init]
        bill[label] = (
            f"{some.seconds.mean():.0f}",
            "" if some.train_seconds.isna().all() else f"{some.train_seconds.mean():.0f}",
            mean_text(some.percent),
            "" if some.epsilon_replace_one.isna().all() else f"{some.epsilon_replace_one.mean():.2f}",
        )
    columns = ["make, s", "train, s", "accuracy, %", "ε, one image exchanged"]
    return pd.DataFrame.from_dict(bill, orient="index", columns=columns).rename_axis("release")


def table_audits(view: View) -> pd.DataFrame:
    """Audited epsilons of the drawn data set: mechanisms down, proved epsilon and what was broken across."""
    audits = view.audits[view.audits.dataset == view.dataset]
    cells = pd.DataFrame(
        {
            "mechanism": audits.mechanism.map(MECHANISMS),
            "epsilon": audits.epsilon.map("{:g}".format),
            "way": audits.broken.fillna("as it should be"),
            "text": audits.epsilon_audited.map("{:.2f}".format),
        }
    )
    grid = cells.set_index(["mechanism", "epsilon", "way"]).text.unstack(["epsilon", "way"], sort=False)
    return grid.rename_axis(index="audited epsilon", columns=["proved", ""])


def accuracy(view: View, mechanism: str, epsilon: float, ipc: float | None = None) -> Interval:
    """Mean accuracy in percent over seeds at the smallest number of images, or at `ipc`."""
    return intervals.mean(view.rows(mechanism, epsilon=epsilon, ipc=ipc or view.sizes[0]).percent)


def plain_accuracy(view: View, mechanism: str, init: str, ipc: float | None = None) -> Interval:
    """The same of a release without a guarantee, from its initialisation."""
    return intervals.mean(view.rows(mechanism, init=init, ipc=ipc or view.sizes[0]).percent)


def ahead(view: View, release: str, base: str, ipc: float | None = None) -> Interval:
    """By how many points a release is more accurate than another, Welch's interval over seeds.

    Each is a mechanism, meant at epsilon 1, or one without a guarantee, with where it starts: "dm real".
    """
    pair = []
    for name in (release, base):
        mechanism, _, init = name.partition(" ")
        chosen = {"init": init} if init else {"epsilon": 1}
        pair.append(view.rows(mechanism, ipc=ipc or view.sizes[0], **chosen).percent)
    return intervals.difference(*pair)


def seconds(view: View, mechanism: str) -> float:
    """Mean seconds of a mechanism's release at epsilon 1 and the smallest number of images."""
    return view.rows(mechanism, epsilon=1, ipc=view.sizes[0]).seconds.mean()


def replace_one(view: View, mechanism: str) -> float:
    """The least epsilon for exchanging one image for another, where epsilon is 1."""
    return view.rows(mechanism, epsilon=1).epsilon_replace_one.min()


def numbers(view: View) -> dict[str, object]:
    """The numbers in the prose, by their keys; accuracies, and differences of them, in percent."""
    many, proved, broken = view.sizes[-1], view.proved, view.broken
    gain = ahead(view, "one_release", "ndpdc")
    highest = proved.epsilon.max()
    return {
        "data": figures.title(view.dataset),
        "seeds": int(view.releases.groupby("mechanism").seed.nunique().min()),
        "ipc.few": int(view.sizes[0]),
        "ipc.many": int(many),
        "one_release.epsilon_half": accuracy(view, "one_release", 0.5).value,
        "one_release.epsilon_1": accuracy(view, "one_release", 1.0).value,
        "one_release.epsilon_1.half_interval": accuracy(view, "one_release", 1.0).half,
        "one_release.epsilon_1.many": accuracy(view, "one_release", 1.0, many).value,
        "one_release.no_noise": accuracy(view, "one_release", np.inf).value,
        "ndpdc.epsilon_half": accuracy(view, "ndpdc", 0.5).value,
        "ndpdc.epsilon_1": accuracy(view, "ndpdc", 1.0).value,
        "ndpdc.epsilon_1.half_interval": accuracy(view, "ndpdc", 1.0).half,
        "ndpdc.epsilon_1.many": accuracy(view, "ndpdc", 1.0, many).value,
        "ndpdc.no_noise": accuracy(view, "ndpdc", np.inf).value,
        "ndpdc.published": published.accuracy("ndpdc", "fashion_mnist", 10),
        "dp_merf.epsilon_half": accuracy(view, "dp_merf", 0.5).value,
        "dp_merf.epsilon_1": accuracy(view, "dp_merf", 1.0).value,
        "dp_merf.no_noise": accuracy(view, "dp_merf", np.inf).value,
        "dp_merf.published": published.accuracy("dp_merf", "fashion_mnist", 10),
        "ldpdc.epsilon_half": accuracy(view, "ldpdc", 0.5).value,
        "ldpdc.epsilon_1": accuracy(view, "ldpdc", 1.0).value,
        "ldpdc.no_noise": accuracy(view, "ldpdc", np.inf).value,
        "linear.epsilon_half": accuracy(view, "linear", 0.5).value,
        "linear.epsilon_1": accuracy(view, "linear", 1.0).value,
        "linear.no_noise": accuracy(view, "linear", np.inf).value,
        "dp_sgd.epsilon_1": accuracy(view, "dp_sgd", 1.0).value,
        "dm.noise": plain_accuracy(view, "dm", "noise").value,
        "dm.real": plain_accuracy(view, "dm", "real").value,
        "dm.real.many": plain_accuracy(view, "dm", "real", many).value,
        "gan": plain_accuracy(view, "gan", "noise").value,
        "random_subset": plain_accuracy(view, "random_subset", "real").value,
        "random_subset.many": plain_accuracy(view, "random_subset", "real", many).value,
        "one_release.over_ndpdc": gain.value,
        "one_release.over_ndpdc.low": gain.low,
        "one_release.over_ndpdc.high": gain.high,
        "random_subset.many.over_dp_sgd": figures.interval(
            *ahead(view, "random_subset real", "dp_sgd", many), "+.1f"
        ),
        "dm.real.many.over_dp_sgd": figures.interval(*ahead(view, "dm real", "dp_sgd", many), "+.1f"),
        "one_release.seconds": seconds(view, "one_release"),
        "ndpdc.seconds": seconds(view, "ndpdc"),
        "dp_merf.seconds": seconds(view, "dp_merf"),
        "dp_sgd.seconds": seconds(view, "dp_sgd"),
        "gan.seconds": view.rows("gan").seconds.mean(),
        "one_release.replace_one": replace_one(view, "one_release"),
        "ndpdc.replace_one": replace_one(view, "ndpdc"),
        "dp_sgd.replace_one": replace_one(view, "dp_sgd"),
        "audits.runs": int(view.audits.runs.max()),
        "audits.broken": len(broken),
        "audits.caught": int((broken.epsilon_audited > broken.epsilon).sum()),
        "audits.highest_bound": broken.epsilon_audited.max(),
        "audits.proved": highest,
        "audits.confirmed": proved.epsilon_audited[proved.epsilon == highest].max(),
    }


def verdicts(view: View) -> dict[str, object]:
    """What decides each statement of the chapter's table: it holds where all are above 0."""
    many = view.sizes[-1]
    makers = np.array([seconds(view, mechanism) for mechanism in ("one_release", "ndpdc")])
    return {
        "verdict.poor": [ahead(view, mechanism, "dp_merf") for mechanism in ("one_release", "ndpdc")],
        "verdict.expensive": seconds(view, "dp_merf") - makers,
        "verdict.little_loss": ahead(view, "one_release", "dm real").shifted(SMALL_DIFFERENCE_POINTS),
        "verdict.little_loss.many": ahead(view, "one_release", "dm real", many).shifted(
            SMALL_DIFFERENCE_POINTS
        ),
        "verdict.one_release": ahead(view, "one_release", "ndpdc"),
        "verdict.one_release.many": ahead(view, "one_release", "ndpdc", many),
        "verdict.network": ahead(view, "one_release", "dp_sgd"),
    }
