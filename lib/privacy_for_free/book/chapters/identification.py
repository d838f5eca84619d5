"""Linear algebra on a class mean: candidates who were named, figures, numbers and verdicts of the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.attacks.identification import Identification
from privacy_for_free.book import figures
from privacy_for_free.book.chapter import beginning
from privacy_for_free.book.chapters.tracing import FPR
from privacy_for_free.book.chapters.tracing_numbers import listed
from privacy_for_free.core.randomness import generator
from privacy_for_free.data import Dataset
from privacy_for_free.lab.record import Record

MEMBERS = 500  # per class, where the record has that many
FLOAT, COARSE = 32, 8  # bits of a number of the mean: as usual, and as images have
SHOWN = 8  # candidates of a row
WRONG = figures.COLOURS[3]
ALGEBRA, LINEAR = "identification", "pool"  # statistics of the record: the second is T / (1 - h)
QUANTITIES = {  # by statistic and column
    (ALGEBRA, "right"): "images named right, linear algebra",
    (ALGEBRA, "named"): "members above all others, linear algebra",
    (LINEAR, "named"): "members above all others, T",
}
CAPS = ("percent", "permille")  # rates at which a cap is recorded
SHARP = 0.99  # of all images named right


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from records of `identification`.

    provenance   where the records come from, one line for each data set
    table        the rows of all records, with `dataset`; rates are shares
    """

    provenance: str
    table: pd.DataFrame

    @cached_property
    def datasets(self) -> list[str]:
        """The data sets, in the order of the records."""
        return list(dict.fromkeys(self.table.dataset))

    @cached_property
    def members(self) -> int:
        """Members per class that all data sets have: MEMBERS, or the nearest."""
        sizes = [set(rows.n) for _, rows in self.table.groupby("dataset")]
        return int(min(set.intersection(*sizes), key=lambda n: abs(n - MEMBERS)))

    def bits(self, wanted: int) -> int:
        """Return the number of bits nearest to the one wanted, of those recorded."""
        return int(min(self.table.bits.dropna(), key=lambda bits: abs(bits - wanted)))

    def rounded(self, statistic: str = ALGEBRA) -> pd.DataFrame:
        """Return the rows of rounded means and a statistic."""
        return self.table[(self.table.release == "rounded") & (self.table.statistic == statistic)]

    def noisy(self, statistic: str = ALGEBRA) -> pd.DataFrame:
        """Return the rows of noisy means and a statistic, at the common size."""
        rows = self.table[(self.table.release == "noisy") & (self.table.statistic == statistic)]
        return rows[rows.n == self.members]

    def percent(self, column: str, bits: int = FLOAT) -> pd.Series:
        """Return a share in percent, by data set, at the common size, of means rounded to so many bits."""
        rows = self.rounded()
        rows = rows[(rows.n == self.members) & (rows.bits == self.bits(bits))]
        return 100 * rows.set_index("dataset")[column]


def load(records: Mapping[str, Record]) -> View:
    """Return what the chapter draws from records of `identification` by data set."""
    tables = [record.table.assign(dataset=name) for name, record in records.items()]
    ends = {f"_{end}_halves": f"_halves_{end}" for end in ("low", "high")}
    table = pd.concat(tables, ignore_index=True)
    for written, read in ends.items():
        table.columns = table.columns.str.replace(written, read)
    return View("\n".join(record.provenance() for record in records.values()), table)


def candidates(dataset: Dataset, label: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return up to 1,000 training images of a class (N, C, H, W), and who of them are members: a random half.

    In random order; bool, N, for the members.
    """
    small = beginning(dataset)
    images = small.train_images[small.train_labels == label]
    images = images[torch.randperm(len(images), generator=generator(seed, "candidates", label))]
    inside = torch.zeros(len(images), dtype=torch.bool)
    chosen = torch.randperm(len(images), generator=generator(seed, "members", label))
    inside[chosen[: len(images) // 2]] = True
    return images, inside


def figure_candidates(
    found: Mapping[str, tuple[torch.Tensor, torch.Tensor, Identification]],
) -> Figure:
    """Draw the first candidates of each pool, and whether they were named in or out, and rightly.

    found   by a text that is their title: images (N, C, H, W), members (bool, N), what was found
    """
    figure = figures.plt.figure(figsize=(figures.WIDTH, 1.5 * len(found)))
    rows = figure.subfigures(len(found), 1, squeeze=False).ravel()
    for row, (title, (images, inside, result)) in zip(rows, found.items(), strict=True):
        right = result.chosen == inside
        share = f"{int(right.sum()):,} of {len(right):,} right"
        row.suptitle(f"{title}: {share}", x=0.01, ha="left", fontsize="medium", fontweight="bold")
        for index, axis in enumerate(row.subplots(1, SHOWN)):
            _draw_candidate(axis, images[index], bool(result.chosen[index]), bool(right[index]))
    return figure


def _draw_candidate(axis: Axes, image: torch.Tensor, named: bool, right: bool) -> None:
    figures.pictures(axis, image[None], image.shape)
    style = {"color": "black"} if right else {"color": WRONG, "fontweight": "bold"}
    axis.set_xlabel(f"{'in' if named else 'out'} {'✓' if right else '✗'}", fontsize="large", **style)
    if not right:
        for spine in axis.spines.values():
            spine.set(visible=True, color=WRONG, linewidth=2.5)


def figure_named(view: View) -> Figure:
    """Draw whom linear algebra names, against the members and against the bits of the mean."""
    figure, axes = figures.panels(len(view.datasets), rows=2, height=2.5, sharey=True)
    by_members, by_bits = axes.reshape(2, -1)
    places = pd.Index(sorted(view.table.bits.dropna().unique()))
    for upper, lower, name in zip(by_members, by_bits, view.datasets, strict=True):
        for index, ((statistic, column), label) in enumerate(QUANTITIES.items()):
            rows = view.rounded(statistic)
            rows = rows[rows.dataset == name]
            some = rows[rows.bits == view.bits(FLOAT)].sort_values("n")
            _draw(upper, some, some.n, column, index, label)
            some = rows[rows.n == view.members].sort_values("bits")
            _draw(lower, some, places.get_indexer(some.bits), column, index, label)
        sizes = sorted(view.table.n[view.table.dataset == name].unique())
        upper.set(xscale="log", xlabel="n, members per class", title=figures.short(name))
        upper.set_xticks(sizes, [f"{n:g}" for n in sizes], rotation=60)
        upper.minorticks_off()
        lower.set(xlabel=f"bits of the mean, n = {view.members}")
        lower.set_xticks(range(len(places)), [f"{bits:g}" for bits in places])
        for axis in (upper, lower):
            axis.axhline(50, color="grey", linestyle=":", linewidth=1)
            axis.set(ylim=(-4, 104))
    for axis in (by_members[0], by_bits[0]):
        axis.set_ylabel("share, %")
    figures.legend_below(figure, by_members[0], 2)
    return figure


def _draw(axis: Axes, rows: pd.DataFrame, x: object, column: str, index: int, label: str) -> None:
    bars = figures.whiskers(rows, column, f"{column}_halves")
    axis.errorbar(x, 100 * rows[column], yerr=bars, label=label, capsize=2, **figures.series(index))


def figure_noise(view: View) -> Figure:
    """Draw what the attacks find in means with the noise of a guarantee, and what no attack exceeds."""
    figure, axes = figures.panels(len(view.datasets), height=3.1, sharey=True)
    for axis, name in zip(axes, view.datasets, strict=True):
        rows = view.noisy()
        cap = rows[rows.dataset == name].sort_values("mu")
        axis.plot(cap.mu, 100 * cap.cap_percent, color="black", label="cap of any attack")
        for index, (statistic, label) in enumerate(((ALGEBRA, "linear algebra"), (LINEAR, "T"))):
            rows = view.noisy(statistic)
            rows = rows[rows.dataset == name].sort_values("mu")
            bars = figures.whiskers(rows, "tpr_percent", "tpr_percent_halves")
            style = figures.series(index) | {"linestyle": "none", "capsize": 2, "label": label}
            axis.errorbar(rows.mu, 100 * rows.tpr_percent, yerr=bars, **style)
        axis.axhline(1, color="grey", linestyle=":", linewidth=1)
        axis.set(xscale="log", yscale="log", xlabel="µ of the noise", title=figures.short(name))
        axis.yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("TPR at 1 % FPR, %")
    figures.legend_below(figure, axes[0], 3)
    return figure


def rates(view: View) -> pd.Series:
    """Return the share in percent of members above all others, of means in float32 at the common size."""
    return view.percent("named")


def gaps(view: View) -> pd.DataFrame:
    """Return where T falls behind most, by data set: n, and percent of members above all others by both.

    Columns n, algebra, linear, of means in float32.
    """
    columns = {"named_x": "algebra", "named_y": "linear"}
    both = view.rounded().merge(view.rounded(LINEAR), on=["dataset", "n", "bits"]).rename(columns=columns)
    both = both[both.bits == view.bits(FLOAT)].assign(gap=both.algebra - both.linear)
    widest = both.loc[both.groupby("dataset").gap.idxmax()].set_index("dataset")
    return widest[["n"]].join(100 * widest[list(columns.values())])


def over_cap(view: View) -> pd.Series:
    """Return cap less attack, in percent: each rate on noisy means, by the lower end of its interval.

    The interval is the wider one: exact for pairs, or over halves.
    """
    rows = view.table[view.table.release == "noisy"]
    least = [
        100 * (rows[f"cap_{name}"] - rows[[f"tpr_{name}_low", f"tpr_{name}_halves_low"]].min(axis=1))
        for name in CAPS
    ]
    return pd.concat(least, ignore_index=True)


def numbers(view: View) -> dict[str, object]:
    """Return the numbers of the prose: shares and rates in percent, by data set as phrases."""
    names, rounded, noisy = view.datasets, view.rounded(), view.noisy()
    largest = rounded[rounded.bits == view.bits(FLOAT)].sort_values("n").groupby("dataset").last()
    largest = largest[["n", "right"]].assign(right=100 * largest.right)
    guarded = noisy.sort_values("mu").groupby("dataset").first()
    sharp = noisy[noisy.right >= SHARP].sort_values("mu").groupby("dataset").first()
    margins = over_cap(view)
    even = (
        view.members * (rates(view) / 100 - FPR) / (1 - FPR)
    )  # m at which a random subset's cap is the leak
    return {
        "named.members": view.members,
        "named.right": listed(view.percent("right"), "{:.1f} %", names, named=True),
        "named.named": listed(rates(view), "{:.1f}", names),
        "named.gap": listed(gaps(view), "{1:.0f} against {2:.0f} % with n = {0:,.0f}", names, named=True),
        "named.most": listed(largest, "{1:.1f} % with n = {0:,.0f}", names, named=True),
        "named.coarse.bits": view.bits(COARSE),
        "named.coarse": listed(view.percent("right", COARSE), "{:.0f}", names),
        "named.wrong": int(rounded.wrongly_decided.sum()),
        "named.even": listed(even, "{:.0f}", names),
        "noise.rates": len(margins),
        "noise.over": int((margins < 0).sum()),
        "noise.least": float(guarded.mu.min()),
        "noise.least.tpr": listed(100 * guarded.tpr_percent, "{:.1f}", names),
        "noise.least.cap": 100 * float(guarded.cap_percent.max()),
        "noise.sharp": listed(sharp.mu, "{:g}", names, named=True) or "none that was tried",
    }


def verdicts(view: View) -> dict[str, object]:
    """Return margins of the statements of the chapter on linear algebra.

    Of T less linear algebra, by the members above all others, where T falls behind most, if it does; of ten
    points more than an even chance less the images named right, where a mean has as few bits as images have;
    of the cap less the attack.
    """
    widest = gaps(view)
    more = widest.linear - widest.algebra
    return {
        "verdict.linear": more[more < 0],
        "verdict.rounding": 60 - view.percent("right", COARSE),
        "verdict.noise": over_cap(view).min(),
    }
