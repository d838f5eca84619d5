"""Tables and numbers of the chapter "The formulas as tables"."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from privacy_for_free.theory import tables

MORE_IMAGES = (1, 10, 100)  # the columns: as many images as there are, and what more would do


@dataclass(frozen=True)
class View:
    """The four numbers of the page: n real and m synthetic images of a class, d_eff and eps0.

    ValueError for values that make no sense, as `theory.tables.check` says.
    """

    n: int
    m: int
    d_eff: float
    eps0: float

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        tables.check(self.n, self.m, self.d_eff, self.eps0)

    @cached_property
    def sizes(self) -> list[int]:
        """The numbers of real images of the columns."""
        return [factor * self.n for factor in MORE_IMAGES]

    @cached_property
    def influence(self) -> pd.DataFrame:
        """`theory.tables.influence` at these sizes."""
        return tables.influence(self.sizes, self.m, self.eps0)

    @cached_property
    def leak(self) -> pd.DataFrame:
        """`theory.tables.tracing` at these sizes."""
        return tables.tracing(self.sizes, self.d_eff)


def percent(rate: float) -> str:
    """Return a rate in percent, with three significant digits at least where it is small.

    >>> percent(0.00101), percent(0.5)
    ('0.101 %', '50.0 %')
    """
    return f"{100 * rate:.3f} %" if rate < 0.1 else f"{100 * rate:.1f} %"


def by_size(table: pd.DataFrame, of: str, value: str, shown: Callable[[float], str]) -> pd.DataFrame:
    """Return texts of a column: one column per size n, one line for each value of the column `of`."""
    texts = table.assign(text=table[value].map(shown)).pivot(index=of, columns="n", values="text")
    return texts.loc[list(dict.fromkeys(table[of]))].rename_axis(index=None, columns="n")


def table_influence(view: View) -> pd.DataFrame:
    """How much one image moves the network, for three ways to train it."""
    return by_size(view.influence, "trained_on", "epsilon", "{:.3g}".format)


def table_movement(view: View) -> pd.DataFrame:
    """How far one image moves the mean embedding at most, in units of kappa."""
    movement = tables.movement(view.sizes).assign(of="movement / kappa")
    return by_size(movement, "of", "movement", "{:.3g}".format)


def table_leak(view: View) -> pd.DataFrame:
    """What the released class mean gives away: effect size, TPR and AUC."""
    parts = {
        "effect size": by_size(view.leak, "members", "effect", "{:.3f}".format),
        "TPR at 0.1 % FPR": by_size(view.leak, "members", "tpr", percent),
        "AUC": by_size(view.leak, "members", "auc", "{:.3f}".format),
    }
    return pd.concat(parts).rename_axis(["", "members"])


def table_caps(view: View) -> pd.DataFrame:
    """The highest TPR of any attack on the network, a random subset, and private releases."""
    return by_size(tables.caps(view.sizes, view.m, view.eps0), "release", "cap", percent)


def table_quoted() -> pd.DataFrame:
    """The numbers that other chapters quote, whatever the four are."""
    quoted = {
        f"fresh members, d_eff = {d}, n = {size:,}": tables.tracing(size, d).tpr[0]
        for d, size in ((784, 3000), (3072, 2500))
    }
    subsets = tables.caps(5000, [10, 50, 100]).query("release == 'random subset'")
    quoted |= {f"cap of a random subset, m / n = {row.m / row.n:g}": row.cap for row in subsets.itertuples()}
    return pd.Series(quoted, name="TPR at 0.1 % FPR").map(percent).to_frame()


def numbers(view: View) -> dict[str, object]:
    """Return the numbers of the prose: the four, and what they come to at n and at ten times as many."""
    of_network = view.influence[view.influence.trained_on == "m condensed images"].epsilon.tolist()
    fresh = view.leak[view.leak.members == "fresh"]
    effects, rates = fresh.effect.tolist(), (100 * fresh.tpr).tolist()
    return {
        "n": view.n,
        "n.times_ten": view.sizes[1],
        "m": view.m,
        "d_eff": view.d_eff,
        "eps0": view.eps0,
        "epsilon": of_network[0],
        "epsilon.times_ten": of_network[1],
        "effect": effects[0],
        "effect.times_ten": effects[1],
        "tpr": rates[0],
        "tpr.times_ten": rates[1],
    }
