"""Figures, tables and numbers of the chapter "What the condensed images give away"."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_for_free.attacks import optimality, roc
from privacy_for_free.attacks.evaluation import FPRS
from privacy_for_free.book import figures
from privacy_for_free.book.claims import evidence
from privacy_for_free.condensation import BankedDM, Problem
from privacy_for_free.condensation.dm_bank import bank_of
from privacy_for_free.core.randomness import generator
from privacy_for_free.data import Dataset
from privacy_for_free.experiments.common import standardised
from privacy_for_free.lab.record import Record
from privacy_for_free.nets import networks
from privacy_for_free.theory import tracing as theory

ATTACKS = {"optimality": "stationarity equations", "linear_tracing": "mean features"}
KNOWLEDGE = {
    "bank": "bank known",
    "same_law": "architecture known",
    "mlp": "taken for an MLP",
    "convnet_depth_2": "taken for a ConvNet of depth 2",
}
VARIED = {  # columns of the record that a cell may change, and how a change is said
    "n": "{:.0f} members",
    "ipc": "{:.0f} images per class",
    "init": "from {} images",
    "iterations": "{:,.0f} steps",
    "schedule": "{} rate",
    "batch_real": "batches of {:.0f} members",
    "augmentation": "augmented",
    "width": "width {:.0f}",
    "clamp": "kept in the range of pixels",
    "release": "{} afterwards",
    "pixels": "equations {} the range only",
    "c": "class {:.0f}",
    "extractors": "{:.0f} extractors",
}
HELP = ("rounded", "clipped")  # what is done to the images after the condensation
CAP_EPSILON = 1.0


@dataclass(frozen=True, eq=False)
class View:
    """What the chapter draws from the records.

    provenance   where the records come from, one line for each data set
    table        rows of the records of `optimality`, with `dataset`
    networks     rows of the records of `membership`: the leading attack on networks trained on images
                 condensed from noise by DM, with `dataset`
    """

    provenance: str
    table: pd.DataFrame
    networks: pd.DataFrame

    @cached_property
    def datasets(self) -> list[str]:
        """The data sets, in the order of the records."""
        return list(dict.fromkeys(self.table.dataset))

    def base(self, dataset: str, attack: str = "optimality") -> pd.Series | None:
        """Return an attack's row on the published loop, the architecture known; None if it is missing."""
        rows = evidence.published_loop(self.table[self.table.dataset == dataset])
        rows = rows[rows.attack == attack]
        return rows.loc[rows.n.idxmin()] if len(rows) else None

    def bank(self, dataset: str) -> pd.Series | None:
        """Return the row of the optimality attack on the largest number of members of a known bank."""
        rows = self.table[(self.table.dataset == dataset) & (self.table.knowledge == "bank")]
        rows = rows[(rows.attack == "optimality") & (rows.release == "as_is")]
        return rows.loc[rows.n.idxmax()] if len(rows) else None


def load(records: Mapping[str, Record], membership: Mapping[str, Record]) -> View:
    """Return what the chapter draws from records of `optimality` and of `membership`, by data set."""
    table = pd.concat([record.table.assign(dataset=name) for name, record in records.items()])
    found = []
    for name, record in membership.items():
        rows = evidence.attacked(record.table, "all")
        rows = rows[(rows.method == "dm") & (rows.init == "noise")]
        found.append(rows.assign(dataset=name))
    return View(
        "\n".join(record.provenance() for record in records.values()),
        table.reset_index(drop=True),
        pd.concat(found) if found else pd.DataFrame(columns=["dataset", "roc", "ratio"]),
    )


def changes(row: pd.Series, base: pd.Series) -> str:
    """Say in what a row differs from the base: its condenser first, then its attacker."""
    said = []
    if pd.notna(row["bank"]):
        said.append(f"bank of {row['bank']:.0f}")
    for column, form in VARIED.items():
        value, usual = row[column], base[column]
        if column == "extractors" and pd.notna(row["bank"]):
            continue
        if not (value == usual or (pd.isna(value) and pd.isna(usual))):
            said.append(form.format(value))
    if row.knowledge != base.knowledge:
        said.append(KNOWLEDGE[row.knowledge])
    return ", ".join(said).replace("1 images", "1 image") or "published loop"


def cells(view: View, dataset: str) -> pd.DataFrame:
    """Return one row per cell and attacker of a data set: what it changes, and both attacks' columns.

    Columns what, optimality and linear_tracing (Series of the record, None where missing), in the record's
    order, the base first.
    """
    base = view.base(dataset)
    rows = view.table[view.table.dataset == dataset]
    if base is None:
        base = rows.iloc[0]
    found: dict[str, dict[str, pd.Series]] = {}
    for _, row in rows.iterrows():
        found.setdefault(changes(row, base), {}).setdefault(row.attack, row)
    ordered = sorted(found, key=lambda what: what != "published loop")
    return pd.DataFrame([{"what": what} | found[what] for what in ordered]).astype(object)


def figure_cells(view: View) -> Figure:
    """Draw the AUC of both attacks in every cell, with intervals over halves; a panel for each data set."""
    tables = {name: cells(view, name) for name in view.datasets}
    most = max(map(len, tables.values()))
    figure, axes = figures.panels(1, rows=len(tables), height=0.75 + 0.2 * most)
    for axis, (name, table) in zip(axes, tables.items(), strict=True):
        for index, (attack, label) in enumerate(ATTACKS.items()):
            _draw_attack(axis, table, attack, label, index)
        axis.axvline(0.5, color="black", linestyle=":", linewidth=1)
        axis.set_yticks(range(len(table)), table.what, fontsize="small")
        axis.set(xlim=(0.4, 1.02), title=figures.short(name))
        axis.invert_yaxis()
        axis.grid(axis="y", linewidth=0.3)
    axes[-1].set_xlabel("AUC (0.5: guessing), mean and 95 % interval over halves")
    figures.legend_below(figure, axes[0], 2)
    return figure


def _draw_attack(axis: Axes, table: pd.DataFrame, attack: str, label: str, index: int) -> None:
    rows = [(place, row) for place, row in enumerate(table[attack]) if isinstance(row, pd.Series)]
    places = np.array([place for place, _ in rows]) + 0.14 * (2 * index - 1)
    values, low, high = (
        np.array([row[name] for _, row in rows], dtype=float) for name in ("auc", "auc_low", "auc_high")
    )
    lengths = [values - low.clip(0), high.clip(max=1) - values]
    style = figures.series(index) | {"linestyle": "none", "markersize": 4, "elinewidth": 1, "label": label}
    axis.errorbar(values, places, xerr=np.abs(lengths), **style)


def rates(row: pd.Series) -> np.ndarray:
    """Return the true positive rates of a row at `FPRS`."""
    return np.array(str(row.roc).split(), dtype=float)


def figure_whole(view: View) -> Figure:
    """Draw TPR against FPR of every attacker, and the caps of a private release and of a random subset."""
    figure, axes = figures.panels(len(view.datasets), height=3.9, sharey=True)
    fprs = np.array(FPRS)
    for axis, name in zip(axes, view.datasets, strict=True):
        base, bank = view.base(name), view.bank(name)
        curves = {
            "images, bank known": bank,
            "images, architecture known": base,
            "images, mean features": view.base(name, "linear_tracing"),
        }
        network = view.networks[view.networks.dataset == name]
        if len(network):
            curves["through a network"] = network.loc[network.ratio.idxmax()]
        for index, (label, row) in enumerate(curves.items()):
            if row is not None:
                least = 1 / row.n if "n" in row.index else 0.0  # non-members of one half
                shown = fprs >= min(least, 1.0) * 0.999
                axis.plot(fprs[shown], rates(row)[shown], label=label, **figures.series(index))
        axis.plot(fprs, theory.cap_private(fprs, CAP_EPSILON), color="grey", linewidth=1, label="cap, ε = 1")
        axis.plot(fprs, fprs, color="black", linestyle=":", linewidth=1, label="guessing")
        axis.set(xscale="log", xlim=(9e-4, 1.1), ylim=(-0.02, 1.02), title=figures.short(name))
        axis.set_xlabel("false positive rate")
    axes[0].set_ylabel("true positive rate")
    figures.legend_below(figure, axes[0], 3)
    return figure


def table_cells(view: View) -> pd.DataFrame:
    """AUC and share of members named without a false alarm, by data set, cell and attacker."""
    lines = {}
    for name in view.datasets:
        for line in cells(view, name).itertuples():
            row = line.optimality
            if not isinstance(row, pd.Series):
                continue
            other = line.linear_tracing
            lines[figures.short(name), line.what] = {
                "AUC": figures.interval(row.auc, max(0, row.auc_low), min(1, row.auc_high), ".3f"),
                "named, %": f"{100 * row.tpr_zero:.0f}",
                "TPR at 1 %, %": f"{100 * row.tpr:.0f}",
                "residual": f"{row.residual:.2f}",
                "AUC, mean features": f"{other.auc:.3f}" if isinstance(other, pd.Series) else "",
            }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis(["data set", "what is changed"])


@dataclass(frozen=True, eq=False)
class Demonstration:
    """A small release, attacked live.

    candidates  floats, 2n x C x H x W, as they are shown; members bool, 2n
    released    the condensed images, standardised, m x C x H x W
    scores      float64, 2n: of the optimality attack; natural: of mean features
    """

    candidates: torch.Tensor
    members: torch.Tensor
    released: torch.Tensor
    scores: torch.Tensor
    natural: torch.Tensor

    @property
    def aucs(self) -> tuple[float, float]:
        """The AUC of the optimality attack, and of mean features."""
        return roc.auc(self.scores, self.members), roc.auc(self.natural, self.members)


def demonstrate(
    dataset: Dataset, seed: int, n: int = 30, ipc: int = 10, steps: int = 400, label: int = 0
) -> Demonstration:
    """Condense a half of 2n images of one class, from noise, by a fixed bank of extractors, and attack it.

    The attacker has the candidates, the released images and the bank.
    """
    places = (dataset.train_labels == label).nonzero()[: 2 * n, 0]
    images = standardised(dataset, torch.device("cpu"))[0][places]
    membership = torch.zeros((1, 2 * n), dtype=torch.bool)
    membership[0, torch.randperm(2 * n, generator=generator(seed, "demonstration"))[:n]] = True
    settings = BankedDM(bank=6, iterations=steps, learning_rate=3.0, width=8, augmentation="")
    problem = Problem.of(images, torch.zeros(2 * n).long(), membership, ipc, "noise", seed, noise="seed")
    released = settings.condense(problem).images[0, 0]
    network = networks.build(settings.extractor, tuple(images.shape[1:]), problem.classes, settings.width)
    extractors = optimality.Extractors(network, *bank_of(problem, settings))
    system = optimality.equations(extractors, images, released, n)
    return Demonstration(
        dataset.train_images[places],
        membership[0],
        released,
        optimality.solve(system, ridge=1e-3),
        optimality.linear_tracing(extractors, images, released),
    )


def figure_named(shown: Demonstration, most: int = 10) -> Figure:
    """Show the released images, and the candidates that the attack is surest of; a wrong one is crossed."""
    figure, axes = figures.panels(1, rows=3, height=0.95)
    order = shown.scores.argsort(descending=True)
    shape = tuple(shown.candidates.shape[1:])
    released = shown.released[:most]
    low, high = released.min(), released.max()
    figures.pictures(axes[0], (released - low) / (high - low), shape, "released")
    for axis, places, label, wanted in (
        (axes[1], order[:most], "named as\nmembers", True),
        (axes[2], order[-most:].flip(0), "named as\noutsiders", False),
    ):
        figures.pictures(axis, shown.candidates[places], shape, label)
        for number, place in enumerate(places.tolist()):
            right = bool(shown.members[place]) == wanted
            x = number * (shape[2] + 1) + shape[2] / 2 - 0.5
            axis.text(x, -2, "✓" if right else "✗", ha="center", va="bottom", fontsize=9)
    return figure
