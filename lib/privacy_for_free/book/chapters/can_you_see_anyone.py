"""Figures, tables, numbers and verdicts of the chapter "Can you see anyone?"."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.book import figures
from privacy_for_free.book.claims import effects
from privacy_for_free.book.claims.effects import Effect
from privacy_for_free.book.claims.rules import Verdict, below, combine, refuted
from privacy_for_free.data.image_text import read_image
from privacy_for_free.lab.record import Record
from privacy_for_free.stats.intervals import holm

METRICS = {"l2": "L2", "ssim": "SSIM", "lpips_alex": "LPIPS (AlexNet)", "lpips_vgg": "LPIPS (VGG)"}
METHODS = {"dm": "DM", "dsa": "DSA", "kip": "KIP"}
LEARNT = {(method, init): f"{METHODS[method]}, {init}" for method in METHODS for init in ("real", "noise")}
CONTROLS = {("random_subset", "real"): "random subset", ("unseen", "real"): "unseen"}
RELEASES = LEARNT | CONTROLS
DRAWN = (("dm", "real"), ("dm", "noise"), ("dsa", "real"), ("kip", "real"), ("kip", "noise"))
DRAWN_OF_FACES = DRAWN[:2]
REAL_IMAGES = ("initial", "nearest_member", "nearest_nonmember")
NEAREST = {
    ("all", "nearest_member"): "nearest member",
    ("all", "nearest_nonmember"): "nearest non-member",
    ("not_in_initialisation", "nearest_member"): "nearest member it did not start from",
}
LEVEL = 0.05  # of the corrected p-values
HALF = 50.0  # percent: more images than these found again, and the start is called seen


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the records of `visual_privacy`, those of the most images per class.

    provenance  where the records come from, one line for each data set
    pictures    rows of the statistic `picture`
    rows        all others, with a column `dataset`
    """

    provenance: str
    pictures: pd.DataFrame
    rows: pd.DataFrame

    @property
    def datasets(self) -> list[str]:
        """The data sets, in their order."""
        return list(dict.fromkeys(self.rows.dataset))

    @property
    def metrics(self) -> dict[str, str]:
        """The distances that were measured, and their labels."""
        return {name: label for name, label in METRICS.items() if name in set(self.rows.metric)}

    @property
    def panels(self) -> list[tuple[str, str]]:
        """Distance and data set of each panel of a figure: of the first and the last distance."""
        names = list(self.metrics)
        return [(metric, name) for metric in names[:: max(1, len(names) - 1)] for name in self.datasets]

    @property
    def last(self) -> pd.DataFrame:
        """The rows of each release at its last step."""
        steps = self.rows.groupby(["dataset", "method", "init"]).iterations
        return self.rows[self.rows.iterations == steps.transform("max")]

    @property
    def initial_found(self) -> pd.DataFrame:
        """Shares of images whose nearest still is the one that they started from, of learnt releases."""
        last = self.last
        return last[(last.reference == "initial_nearest") & (last.method != "random_subset")]

    @property
    def tests(self) -> pd.DataFrame:
        """Shares of images whose nearest is a member, with p-values `corrected` for their number.

        For a set from real images without the members that it started from. The correction is Holm's, over
        all releases, distances and data sets at once.
        """
        tests = self.last[self.last.reference == "member_nearer"].copy()
        started = (tests.init == "real") & (tests.method != "unseen")
        tests = tests[tests.population == np.where(started, "not_in_initialisation", "all")]
        return tests.assign(corrected=holm(tests.p_value))


def load(records: Mapping[str, Record]) -> View:
    """Take from the records what the chapter draws."""
    table = pd.concat(
        [record.table.assign(dataset=name) for name, record in records.items()], ignore_index=True
    )
    table = table[table.ipc == table.groupby("dataset").ipc.transform("max")]
    picture = table.statistic == "picture"
    provenance = "\n".join(record.provenance() for record in records.values())
    return View(provenance, table[picture], table[~picture])


def of_release(rows: pd.DataFrame, release: tuple[str, str]) -> pd.DataFrame:
    """Return the rows of a release: (method, init)."""
    return rows[(rows.method == release[0]) & (rows.init == release[1])]


def strip(rows: pd.DataFrame) -> np.ndarray:
    """Return the pictures of one release and class side by side, N x C x H x W.

    First the synthetic image over the steps, then a white gap and REAL_IMAGES; what is missing is white.
    Neighbours are those under the last of the pictured distances.
    """
    rows = rows[rows.metric.isna() | (rows.metric == rows.metric.dropna().iloc[-1])]
    images = [read_image(row.shape, row.picture) for row in rows[rows.reference == "synthetic"].itertuples()]
    real = {row.reference: read_image(row.shape, row.picture) for row in rows.itertuples()}
    white = np.ones_like(images[0])
    return np.stack([*images, white, *(real.get(name, white) for name in REAL_IMAGES)])


def figure_images(view: View) -> Figure:
    """Draw a release in each row and a class in each column: images over the steps, and the real ones."""
    rows = [
        (name, release)
        for name in view.datasets
        for release in (DRAWN_OF_FACES if name == "fairface" else DRAWN)
    ]
    classes = max(view.pictures.groupby("dataset").class_index.nunique())
    places = [(row, c) for row in rows for c in range(classes)]
    figure, axes = figures.panels(classes, len(rows), height=0.62)
    for axis, ((name, release), c) in zip(axes, places, strict=True):
        chosen = (view.pictures.dataset == name) & (view.pictures.class_index == c)
        pictures = of_release(view.pictures[chosen], release)
        label = f"{figures.short(name)}\n{RELEASES[release]}" if c == 0 else ""
        if len(pictures):
            images = strip(pictures)
            figures.pictures(axis, torch.from_numpy(images), images.shape[1:], label)
            axis.yaxis.label.set_size("x-small")
        else:
            axis.axis("off")
    return figure


def figure_steps(view: View) -> Figure:
    """Draw the mean distance to the nearest member over the steps, with that of unseen images."""
    figure, axes = figures.panels(len(view.datasets), len(view.panels) // len(view.datasets), height=2.7)
    for axis, (metric, name) in zip(axes, view.panels, strict=True):
        chosen = (view.rows.metric == metric) & (view.rows.dataset == name) & (view.rows.population == "all")
        nearest = view.rows[chosen & (view.rows.reference == "nearest_member")]
        for index, (release, label) in enumerate(LEARNT.items()):
            line = of_release(nearest, release).sort_values("iterations")
            bars = np.abs(line[["low", "high"]].to_numpy().T - line["mean"].to_numpy())
            style = figures.series(index // 2) | {"capsize": 2}
            style["linestyle"] = "-" if release[1] == "real" else ":"
            share = line.iterations / line.iterations.max()
            axis.errorbar(share, line["mean"], yerr=bars, label=label, **style)
        level = of_release(nearest, ("unseen", "real"))["mean"].item()
        axis.axhline(level, color="black", linestyle="--", linewidth=1, label="unseen")
        axis.set(xlabel="share of the steps", title=figures.short(name), ylim=(0, None))
        axis.set_ylabel(METRICS[metric] if name == view.datasets[0] else "")
    figures.legend_below(figure, axes[0], 4)
    return figure


def figure_nearest(view: View) -> Figure:
    """Draw quantiles and means of the distances to the nearest member and non-member, at the last step."""
    figure, axes = figures.panels(len(view.datasets), len(view.panels) // len(view.datasets), height=3.3)
    for axis, (metric, name) in zip(axes, view.panels, strict=True):
        _draw_quantiles(axis, view.last[(view.last.metric == metric) & (view.last.dataset == name)])
        axis.set(yticks=range(len(RELEASES)), xlabel=METRICS[metric], title=figures.short(name))
        axis.set_xlim(0, None)
        axis.set_yticklabels(RELEASES.values() if name == view.datasets[0] else [])
        axis.invert_yaxis()
    figures.legend_below(figure, axes[0], 3)
    return figure


def _draw_quantiles(axis: Axes, rows: pd.DataFrame) -> None:
    for index, ((population, reference), label) in enumerate(NEAREST.items()):
        chosen = rows[(rows.population == population) & (rows.reference == reference)]
        places = [list(RELEASES).index(key) for key in zip(chosen.method, chosen.init, strict=True)]
        y, colour = np.array(places) + 0.24 * (index - 1), figures.COLOURS[index]
        axis.hlines(y, chosen.q05, chosen.q95, color=colour, linewidth=0.8)
        axis.hlines(y, chosen.q25, chosen.q75, color=colour, linewidth=3, alpha=0.5)
        axis.plot(chosen["mean"], y, figures.MARKERS[index], color=colour, markersize=3.5, label=label)


def table_initial(view: View) -> pd.DataFrame:
    """Return the distance to the initial image, and the share of images that are still nearest to it."""
    cells: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for row in view.last[view.last.reference.isin(["initial_nearest", "initial"])].itertuples():
        found = row.reference == "initial_nearest"
        column = METRICS[row.metric], "found" if found else "distance"
        key = figures.short(row.dataset), RELEASES[row.method, row.init]
        cells.setdefault(key, {})[column] = f"{row.mean:.0%}" if found else f"{abs(row.mean):.3f}"
    order = [(label, what) for label in view.metrics.values() for what in ("distance", "found")]
    table = pd.DataFrame.from_dict(cells, orient="index")[order]
    table.index = pd.MultiIndex.from_tuples(table.index, names=["data set", "release"])
    return table


def table_nearer(view: View) -> pd.DataFrame:
    """Return the shares of images whose nearest is a member, in percent; a star: significant, corrected."""
    tests = view.tests
    texts = [figures.interval(*figures.points(row, "mean", "images"), ".1f") for row in tests.itertuples()]
    cells = tests.assign(
        text=texts + np.where(tests.corrected < LEVEL, " *", ""),
        release=[RELEASES[key] for key in zip(tests.method, tests.init, strict=True)],
        dataset=tests.dataset.map(figures.short),
        metric=tests.metric.map(METRICS),
    )
    table = cells.set_index(["dataset", "release", "metric"]).text.unstack(sort=False)
    return table.rename_axis(index=["data set", "release"], columns="nearest is a member, %")


def significant(tests: pd.DataFrame) -> pd.DataFrame:
    """Return the tests that find members nearer, after the correction."""
    return tests[(tests.corrected < LEVEL) & (tests["mean"] > 0.5)]


def clearest(tests: pd.DataFrame) -> Effect:
    """Return the share, in percent, of the least corrected p-value among those above one half.

    Where no share is above one half, the largest, without a p-value: nothing speaks for members.
    """
    nearer = tests[tests["mean"] > 0.5].sort_values(["corrected", "mean"], ascending=[True, False])
    row = (nearer if len(nearer) else tests.nlargest(1, "mean")).iloc[0]
    effect = Effect(100 * row["mean"], 100 * row.low, 100 * row.high)
    return effect._replace(p_value=row.corrected) if len(nearer) else effect


def chosen_tests(view: View) -> dict[str, pd.DataFrame]:
    """Return the tests of releases from noise, of those from real images, and of the two controls."""
    tests = view.tests
    return {
        "noise": tests[tests.init == "noise"],
        "real": tests[(tests.init == "real") & tests.method.isin(METHODS)],
        "controls": tests[~tests.method.isin(METHODS)],
    }


def numbers(view: View) -> dict[str, object]:
    """Return the numbers of the prose, by key; shares are in percent."""
    found = {"sets": ", ".join(map(str, view.rows.groupby("dataset").sets.max().unique()))}
    for method in METHODS:
        shares = view.initial_found[view.initial_found.method == method]
        found[f"{method}.initial.least"] = 100 * shares["mean"].min()
        found[f"{method}.initial.most"] = 100 * shares["mean"].max()
        if method == "dm":
            found["dm.initial.where"] = figures.short(shares.loc[shares["mean"].idxmax()].dataset)
    for key, tests in chosen_tests(view).items():
        found[f"{key}.tests"] = len(tests)
        found[f"{key}.significant"] = len(significant(tests))
        if key != "controls":
            found[f"{key}.nearer.least"] = 100 * tests["mean"].min()
            found[f"{key}.nearer.most"] = 100 * tests["mean"].max()
            found[f"{key}.where"] = _places(significant(tests))
    kip = view.tests[(view.tests.method == "kip") & (view.tests.init == "noise")]
    for name in ("fashion_mnist", "cifar10", "fairface"):
        shares = kip[(kip.metric == "ssim") & (kip.dataset == name)]
        found[f"{name}.kip.noise.ssim.nearer"] = 100 * shares["mean"].max()
    return found | {"smallest_p_value": 2 / 2 ** int(view.tests.sets.max())}


def _places(tests: pd.DataFrame) -> str:
    texts = [
        f"{METHODS[row.method]} under {METRICS[row.metric]}, {figures.short(row.dataset)}"
        for row in tests.itertuples()
    ]
    return "; ".join(dict.fromkeys(texts)) or "none"


def verdicts(view: View) -> dict[str, Verdict]:
    """Return the verdicts of the prose, by key.

    The initial image is not seen where, on every data set and under every distance, half of a release's
    images or fewer are still nearest to it; members are nearer where a corrected test finds so.
    """
    tables, found = [table for _, table in view.rows.groupby("dataset", sort=False)], {}
    for method in METHODS:
        shares = [effects.initial_found(table, method) for table in tables]
        found[f"verdict.initial.{method}"] = combine([below(HALF)(share) for share in shares if share])
    tests = chosen_tests(view)
    for key in ("real", "noise"):
        found[f"verdict.nearer.{key}"] = refuted(LEVEL)(clearest(tests[key]))
    return found
