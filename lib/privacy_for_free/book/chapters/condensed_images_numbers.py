"""Numbers and verdicts of the chapter "What the condensed images give away"."""

import pandas as pd

from privacy_for_free.book import figures
from privacy_for_free.book.chapters import tracing, tracing_condensed
from privacy_for_free.book.chapters.condensed_images import VARIED, View
from privacy_for_free.stats.intervals import Interval

THROUGH_MEANS = ("convnet.noise.any.attacks", "convnet.noise.any.auc")  # what the prose says of these
MISSING = "(not recorded)"
ATTACKER = ("extractors", "release", "pixels")  # columns that are not the condenser's


def through_means(means: tracing.View) -> dict[str, object]:
    """Return the numbers of attacks through means that the prose has, from the record of `tracing`."""
    found = tracing_condensed.numbers(means)
    return {key: found[key] for key in THROUGH_MEANS}


def find(view: View, dataset: str, attack: str = "optimality", **wanted: object) -> pd.Series | None:
    """Return the first row of an attack that differs from the data set's base in what is wanted, and no more.

    None where there is none, or no base. `extractors` are as they come, unless they are wanted.
    """
    base = view.base(dataset)
    if base is None:
        return None
    rows = view.table[(view.table.dataset == dataset) & (view.table.attack == attack)]
    given = {"bank": base["bank"], "knowledge": base.knowledge} | {name: base[name] for name in VARIED}
    if "extractors" not in wanted:
        given.pop("extractors")
    for name, value in (given | wanted).items():
        rows = rows[rows[name].isna() if pd.isna(value) else rows[name] == value]
    if "extractors" not in wanted:  # the usual number first
        rows = rows.sort_values(
            "extractors", key=lambda count: (count - base.extractors).abs(), kind="stable"
        )
    return rows.iloc[0] if len(rows) else None


def interval(row: pd.Series | None) -> Interval:
    """Return the AUC with its interval; not a number for no row."""
    nan = float("nan")
    return Interval(nan, nan, nan) if row is None else Interval(row.auc, row.auc_low, row.auc_high)


def auc(row: pd.Series | None) -> str:
    """Return the AUC as prose has it.

    >>> auc(None)
    '(not recorded)'
    """
    return MISSING if row is None else f"{row.auc:.2f}"


def phrase(view: View, wanted: dict[str, object], named: bool = True, attack: str = "optimality") -> str:
    """Return the AUC of each data set that has it, as a phrase."""
    found = {name: find(view, name, attack, **wanted) for name in view.datasets}
    texts = [
        f"{auc(row)} on {figures.short(name)}" if named else auc(row)
        for name, row in found.items()
        if row is not None
    ]
    return " and ".join(texts) or MISSING


def shares(view: View, attack: str) -> str:
    """Return the share of members named without a false alarm in the base, by data set, as a phrase."""
    rows = {name: view.base(name, attack) for name in view.datasets}
    texts = [
        f"{100 * row.tpr_zero:.0f} % on {figures.short(name)}"
        for name, row in rows.items()
        if row is not None
    ]
    return " and ".join(texts) or MISSING


def numbers(view: View) -> dict[str, object]:
    """Return the numbers of the prose: AUCs and phrases, by their keys."""
    first = view.datasets[0]
    base = view.base(first)
    base = view.table.iloc[0] if base is None else base
    own = view.table[view.table.dataset == first]
    loop = own[own["bank"].isna() & (own.init == "noise")]
    loop = loop if len(loop) else own  # of a record that has only begun
    fewest, draws = int(loop.iterations.min()), loop.extractors
    banks = {name: view.bank(name) for name in view.datasets}
    banked = [
        f"{auc(row)} on {figures.short(name)} with {row.n:,.0f} members"
        for name, row in banks.items()
        if row is not None
    ]
    others = [
        auc(find(view, name, bank=row["bank"], n=row.n, **_of(row)))
        for name, row in banks.items()
        if row is not None
    ]
    return {
        "n": int(base.n),
        "ipc": int(base.ipc),
        "steps": int(base.iterations),
        "width": int(base.width),
        "extractors": int(base.extractors),
        "targets": int(base.targets),
        "tuned": int(base.tuned),
        "base.auc": phrase(view, {}),
        "base.named": shares(view, "optimality"),
        "natural.auc": phrase(view, {}, named=False, attack="linear_tracing"),
        "natural.named": shares(view, "linear_tracing"),
        "bank.auc": " and ".join(banked) or MISSING,
        "bank.others": " and ".join(others) or MISSING,
        "steps.fewest": fewest,
        "steps.fewest.auc": phrase(view, {"iterations": fewest}, named=False),
        "rounded.auc": phrase(view, {"release": "rounded"}, named=False),
        "clipped.auc": phrase(view, {"release": "clipped"}, named=False),
        "clipped.inside.auc": phrase(view, {"release": "clipped", "pixels": "inside"}, named=False),
        "depth_2.auc": phrase(view, {"knowledge": "convnet_depth_2"}, named=False),
        "mlp.auc": phrase(view, {"knowledge": "mlp"}, named=False),
        "extractors.fewest": int(draws.min()),
        "extractors.fewest.auc": phrase(view, {"extractors": draws.min()}, named=False),
        "extractors.most": int(draws.max()),
        "extractors.most.auc": phrase(view, {"extractors": draws.max()}, named=False),
    }


def _of(row: pd.Series) -> dict[str, object]:
    """Return the columns of a bank's condenser in which it may differ from the base."""
    return {name: row[name] for name in VARIED if name not in (*ATTACKER, "n")}


def _hidden(rows: list[pd.Series | None]) -> list[Interval]:
    """Return by how much less than guessing the attack does: above 0 where it is wholly below an AUC of 0.5.

    An attack that does no better than guessing leaves a statement open.
    """
    found = [interval(row) for row in rows if row is not None]
    return [Interval(0.5 - one.value, 0.5 - one.high, 0.5 - one.low) for one in found]


def verdicts(view: View) -> dict[str, object]:
    """Return the margins by which the statements of the chapter hold or fail, in the order of its table."""
    names = view.datasets

    def of(**wanted: object) -> list[Interval]:
        return _hidden([find(view, name, **wanted) for name in names])

    table = view.table[view.table.attack == "optimality"]
    table = table[table["bank"].isna()] if table["bank"].isna().any() else table
    fewest = table.iterations.min()
    banks = [view.bank(name) for name in names]
    strangers = [
        find(view, name, bank=row["bank"], n=row.n, **_of(row))
        for name, row in zip(names, banks, strict=True)
        if row is not None
    ]
    return {
        "verdict.few": of(),
        "verdict.bank": _hidden(banks),
        "verdict.seed": _hidden(strangers),
        "verdict.rounding": of(release="rounded"),
        "verdict.clipping": of(release="clipped", pixels="inside"),
        "verdict.early": of(iterations=fewest),
    }
