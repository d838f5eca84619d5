"""Numbers and verdicts of the chapter "Is condensed data private?"."""

import os

import numpy as np
import pandas as pd

from privacy_for_free.book import claims, figures
from privacy_for_free.book.chapters.membership import ALL, OTHERS, STARTED, STRONGEST, View, condensed
from privacy_for_free.book.claims import effects
from privacy_for_free.book.claims.catalogue import SMALL_DIFFERENCE_POINTS
from privacy_for_free.experiments.plan import RECORDED  # the data sets whose numbers the prose has
from privacy_for_free.stats.intervals import Interval

FASHION, CIFAR, FACES = RECORDED
PLACES = {  # of a key: seen, attack and population
    "": ("network", STRONGEST, ALL),
    "loss": ("network", "loss", ALL),
    "started": ("network", STRONGEST, STARTED),
    "others": ("network", STRONGEST, OTHERS),
    "nearest": ("images", "nearest", STARTED),
    "class_mean": ("images", "tracing_lira_online", ALL),
}
QUANTITIES = {  # of a key: column, the columns of its interval, scale and form
    "advantage": ("advantage", "advantage", 100, "z.1f"),
    "tpr": ("tpr_at_fpr_1e-3", "tpr_bootstrap", 100, "z.2f"),
    "auc": ("auc", "", 1, ""),
    "right": ("nonmember_accuracy", "", 100, ""),
    "ipc": ("ipc", "", 1, ""),
}
CELLS = {  # method . init [. place] . quantity [. interval] -> data sets of which the prose has it
    "full.real.ipc": (FASHION, FACES),
    "full.real.right": (CIFAR,),
    "full.real.advantage": RECORDED,
    "full.real.loss.advantage": (FASHION,),
    "random_subset.real.right": (CIFAR,),
    "random_subset.real.advantage": RECORDED,
    "random_subset.real.tpr": (CIFAR,),
    "random_subset.real.tpr.interval": RECORDED,
    "random_subset.real.started.advantage": RECORDED,
    "random_subset.real.started.tpr": RECORDED,
    "random_subset.real.others.advantage.interval": (CIFAR,),
    "random_subset.real.nearest.advantage": (FASHION,),
    "dm.real.ipc": (FASHION, FACES),
    "dm.real.advantage": (FASHION, CIFAR),
    "dm.real.started.advantage": RECORDED,
    "dm.real.started.tpr": RECORDED,
    "dm.real.others.advantage.interval": (CIFAR,),
    "dm.real.nearest.advantage": RECORDED,
    "dm.noise.right": (CIFAR,),
    "dm.noise.advantage": RECORDED,
    "dm.noise.advantage.interval": RECORDED,
    "dm.noise.tpr": (CIFAR,),
    "dm.noise.tpr.interval": RECORDED,
    "kip.real.advantage": (FASHION, CIFAR),
    "kip.real.started.advantage": (FASHION, CIFAR),
    "kip.real.nearest.advantage": RECORDED,
    "kip.noise.advantage": (CIFAR, FACES),
    "kip.noise.class_mean.advantage": (CIFAR,),
    "kip.noise.class_mean.auc": (CIFAR,),
    "dsa.real.started.advantage": RECORDED,
    "dsa.real.nearest.advantage": RECORDED,
    "dsa.noise.advantage": (FASHION, FACES),
}


def cell(view: View, key: str) -> object:
    """Return a quantity of a release, named as in CELLS behind a data set: a number, or an interval's text.

    Percent and percentage points; an AUC and images per class as they are. Not a number where there is no
    such row, or more than one.
    """
    dataset, method, init, *place, quantity = key.removesuffix(".interval").split(".")
    seen, attack, population = PLACES[".".join(place)]
    column, interval, scale, form = QUANTITIES[quantity]
    rows = view.middle_rows
    rows = rows[(rows.dataset == dataset) & (rows.method == method) & (rows.init == init)]
    rows = rows[(rows.seen == seen) & (rows.attack == attack) & (rows.population == population)]
    columns = [column, f"{interval}_low", f"{interval}_high"] if key.endswith(".interval") else [column]
    values = [scale * float(rows[name].iloc[0]) if len(rows) == 1 else np.nan for name in columns]
    return figures.interval(*values, form) if len(values) > 1 else values[0]


def numbers(view: View) -> dict[str, object]:
    """Return the numbers of the prose: percent and points, counts, and texts of intervals."""
    final, compared, settings = view.final, view.compared, view.settings
    wider = view.curves.tpr_bootstrap_high - view.curves.tpr_bootstrap_low
    wider /= view.curves.tpr_high - view.curves.tpr_low
    augmented = settings["full_schedule"]["augmentation"]
    values = {
        "pool": settings["pool"],
        "half": settings["pool"] // 2,
        "width": settings["width"],
        "epochs": settings["schedule"]["epochs"],
        "full.epochs": settings["full_schedule"]["epochs"],
        "full.augmented": f"with{'' if augmented else 'out'} augmentation",
        "ratio": 100 * view.middle,
        "shadows": int(final.shadows.max()),
        "dsa.shadows": final.shadows[final.method == "dsa"].max(),
        "small": SMALL_DIFFERENCE_POINTS,
        "bootstrap.wider.least": wider.min(),
        "bootstrap.wider.most": wider.max(),
        "compared": len(compared),
        "compared.above": int(compared.above.sum()),
        "compared.below": int(compared.below.sum()),
        "compared.left_out": len(condensed(final)) - len(compared),
    }
    values |= {f"{name}.{key}": cell(view, f"{name}.{key}") for key, names in CELLS.items() for name in names}
    for name in RECORDED:
        values[f"{name}.full.real.most.advantage"] = full_most(view, name)
        values |= {f"{name}.compared.{key}": count for key, count in counts(compared, name).items()}
        table = view.table[view.table.dataset == name]
        for key, effect, form in (
            ("advantage", effects.over_subset(table), "+z.1f"),
            ("tpr", effects.over_subset_tpr(table), "+z.2f"),
        ):
            ends = effect[:3] if effect else (np.nan,) * 3
            values[f"{name}.dm.noise.{key}.difference"] = figures.interval(*ends, form)
    return values


def full_most(view: View, dataset: str) -> float:
    """Return the largest advantage in points of all attacks on networks trained on all of a half."""
    rows = view.middle_rows
    rows = rows[(rows.dataset == dataset) & (rows.method == "full") & (rows.population == ALL)]
    return 100 * float(rows.advantage.max())


def counts(compared: pd.DataFrame, dataset: str) -> dict[str, int]:
    """Return how many comparisons a data set has by population, and how many are above or below the subset.

    `network` is those over all members that see the network.
    """
    rows = compared[compared.dataset == dataset]
    parts = {
        "all": rows[rows.population == ALL],
        "network": rows[(rows.population == ALL) & (rows.seen == "network")],
        "started": rows[rows.population == STARTED],
        "others": rows[rows.population == OTHERS],
    }
    found = {key: len(part) for key, part in parts.items()}
    for side in ("above", "below"):
        found |= {f"{key}.{side}": int(part[side].sum()) for key, part in parts.items()}
    return found


def verdicts(view: View, results_dir: str | os.PathLike | None = None) -> dict[str, object]:
    """Return what `Chapter.publish` makes verdicts of; two are those of claims, from records in a folder."""
    names = [name for name in RECORDED if name in view.panels]
    found = {name: counts(view.compared, name) for name in names}
    images = [cell(view, f"{name}.kip.noise.class_mean.advantage") for name in names]
    tails = [effects.over_subset_tpr(view.table[view.table.dataset == name]) for name in names]
    return {
        "verdict.average": str(claims.verdict("A12", results_dir)),
        "verdict.hidden": str(claims.verdict("A13", results_dir)),
        "verdict.all": [found[name]["all.below"] - found[name]["all.above"] for name in names],
        "verdict.started": [found[name]["started.below"] - found[name]["started.above"] for name in names],
        "verdict.tail": [Interval(-e.value, -e.high, -e.low) for e in tails if e],
        "verdict.images": [SMALL_DIFFERENCE_POINTS - points for points in images],
    }
