"""Rows of records, and estimates from them, that claims and chapters share: the same numbers for both.

Each function takes the table of one record (columns: data/results/README.md), or rows of it.
"""

import pandas as pd

from privacy_for_free.stats import intervals, slopes
from privacy_for_free.stats.intervals import Interval

LEADING_ATTACK = "lira_offline_fixed"  # the one that the chapter on membership leads with


def over_condensed(table: pd.DataFrame, model: str) -> pd.Series:
    """Return the log ratios of a model of `gibbs_ratio` over those of condensation, at equal bounds.

    Both with one image replaced; index replicate, n, m, the cells that both have.
    """
    pair = table.pivot_table(index=["replicate", "n", "m"], columns="model", values="observed")
    if not {model, "logistic_replace"} <= set(pair):
        return pd.Series(index=pair.index[:0], dtype=float)
    return (pair[model] / pair["logistic_replace"]).dropna()


def median_over_pairs(ratios: pd.Series) -> Interval:
    """Return the mean with its t-interval, over pairs of classes (`replicate`), of the median over sizes.

    Not a number for fewer than two pairs.
    """
    medians = ratios.groupby("replicate").median()
    return intervals.mean(medians if len(medians) > 1 else [])


def shift_exponent(rows: pd.DataFrame, column: str = "shift", against: str = "n") -> Interval:
    """Return the exponent of a column of `nonlinear_shift` in n or m, with its t-interval over replicates.

    One intercept for each x and each value of the other size (m where `against` is n, n where it is m).
    Replicates (`seed`) are the clusters, since all rows of one share images and extractors. ValueError as
    from `stats.slopes.log_log`.
    """
    labels = rows[["x", {"n": "m", "m": "n"}[against]]]
    return slopes.log_log(rows[against], rows[column], within=labels, clusters=rows.seed)


def accuracies(table: pd.DataFrame, mechanism: str, **chosen: object) -> pd.Series:
    """Return test accuracies in percent of a mechanism of `private_release`, at these values of columns."""
    rows = table[(table.kind == "accuracy") & (table.mechanism == mechanism)]
    for column, value in chosen.items():
        rows = rows[rows[column] == value]
    return 100 * rows.test_accuracy


def images_per_class(table: pd.DataFrame) -> list[float]:
    """Return the numbers of images per class of plain DM, smallest first."""
    return sorted(table[(table.kind == "accuracy") & (table.mechanism == "dm")].ipc.dropna().unique())


def attacked(table: pd.DataFrame, population: str) -> pd.DataFrame:
    """Return rows of the leading attack on networks, each release at its largest number of shadows."""
    rows = table[
        (table.release == table.method) & (table.attack == LEADING_ATTACK) & (table.population == population)
    ]
    most = rows.groupby(["method", "init", "ratio"]).shadows.transform("max")
    return rows[rows.shadows == most]


def nearest_shares(table: pd.DataFrame, reference: str, init: str, population: str) -> pd.DataFrame:
    """Return the shares of a reference for the condensed images of an initialisation at their last step."""
    rows = table[(table.reference == reference) & (table.init == init) & (table.population == population)]
    rows = rows[rows.method.isin(["dm", "dsa", "kip"])]
    rows = rows[rows.ipc == rows.ipc.max()]
    return rows[rows.iterations == rows.groupby(["method", "metric"]).iterations.transform("max")]


def published_loop(table: pd.DataFrame, most: bool = False) -> pd.DataFrame:
    """Return the rows of `optimality` on images that the published loop condensed from noise, as they are.

    Fresh extractors and all members in every step, 10 images, no augmentation, the most steps; the attacker
    knows the architecture only, and draws as many extractors as in most cells or, with `most`, as many as in
    any. One row for each attack and number of members.
    """
    rows = table[table["bank"].isna() & (table.knowledge == "same_law")]
    usual = rows.extractors.isin(rows.extractors.mode()[:1])
    rows = rows if most else rows[usual]
    rows = rows[rows.batch_real.isna() & (rows.init == "noise")]
    rows = rows[(rows.release == "as_is") & (rows.pixels == "all")]
    rows = rows[(rows.augmentation == "none") & (rows.schedule == "cosine") & (rows.clamp == 0)]
    for column, chosen in {"ipc": 10, "width": rows.width.min(), "c": rows.c.min()}.items():
        rows = rows[rows[column] == chosen]
    rows = rows[rows.iterations == rows.iterations.max()]
    return rows[rows.extractors == rows.groupby("n").extractors.transform("max")]
