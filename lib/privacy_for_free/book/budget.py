"""What measurements cost: exponents in sizes, and what a budget of hours buys in shadows and precision."""

import math

import numpy as np
import pandas as pd

from privacy_for_free.attacks.confidences import MINIMUM_MODELS
from privacy_for_free.core import validate
from privacy_for_free.stats import slopes
from privacy_for_free.stats.intervals import Interval, mean

RELEASE = ["release", "init", "ipc"]


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each operation and variable of a record of `scaling`, in its order.

    Columns operation, variable; time, time_low, time_high, time_last: the exponent of seconds, its 95 %
    interval, and the exponent between the two largest sizes; memory, work: exponents of memory and of counted
    operations; seconds, fraction, bound: at the largest size. ValueError for fewer than three sizes.
    """
    rows = []
    for (operation, variable), part in table.groupby(["operation", "variable"], sort=False):
        time, largest = slopes.log_log(part.value, part.seconds), part.loc[part.value.idxmax()]
        rows.append(
            {
                "operation": operation,
                "variable": variable,
                "time": time.value,
                "time_low": time.low,
                "time_high": time.high,
                "time_last": slopes.last_step(part.value, part.seconds),
                "memory": slopes.log_log(part.value, part.memory_bytes).value,
                "work": slopes.log_log(part.value, part.flops).value,
                "seconds": largest.seconds,
                "fraction": largest.fraction,
                "bound": largest.bound,
            }
        )
    return pd.DataFrame(rows)


def check_hours(hours: float) -> float:
    """Return a budget in hours; ValueError unless it is a finite number above 0.

    >>> check_hours(-1)
    Traceback (most recent call last):
    ValueError: budget_hours -1: allowed are finite numbers above 0
    """
    return float(validate.positive("budget_hours", hours))


def widths(table: pd.DataFrame, attack: str = "lira_online_fixed") -> pd.DataFrame:
    """Return interval widths of one attack on networks, one row per release and number of shadows.

    table   a record of `membership`; rows of all members are used

    Columns release, init, ipc, shadows; seconds: to make and train one shadow, of as many as the release has;
    advantage, tpr: lengths of their bootstrap intervals, the TPR's at an FPR of .1 %. ValueError for an
    attack that is not in the table.
    """
    rows = table[(table.attack == attack) & (table.population == "all") & (table.release != "synthetic_set")]
    if rows.empty:
        known = ", ".join(dict.fromkeys(table.attack))
        raise ValueError(f"attack {attack!r}: known are {known}")
    most = rows.groupby(RELEASE)["shadows"].transform("max")  # what its seconds are for
    return pd.DataFrame(
        {
            **rows[[*RELEASE, "shadows"]],
            "seconds": (rows.condense_seconds + rows.train_seconds) / most,
            "advantage": rows.advantage_high - rows.advantage_low,
            "tpr": rows.tpr_bootstrap_high - rows.tpr_bootstrap_low,
        }
    ).reset_index(drop=True)


def width_exponent(rows: pd.DataFrame, column: str) -> Interval:
    """Return the exponent of a width in the number of shadows: the mean over releases, with its t-interval.

    rows     rows of `widths`; several data sets are told apart by a column `dataset`
    column   "advantage" or "tpr". Releases with fewer than three numbers of shadows are left out. Of a single
             release the interval is a point, and without any there is none: not a number.
    """
    names = [name for name in ("dataset", *RELEASE) if name in rows]
    releases = rows.groupby(names).ngroup()
    kept = rows.groupby(names).shadows.transform("nunique") >= 3
    if not kept.any():
        return mean([])
    rows, releases = rows[kept], releases[kept]
    if releases.nunique() == 1:
        return mean(slopes.per_cluster(rows.shadows, rows[column], releases))
    return slopes.log_log(rows.shadows, rows[column], clusters=releases)


def shadows_within(hours: float, seconds: float) -> int:
    """Return how many shadows of so many seconds each fit a budget: an even number, halves come in pairs.

    ValueError unless both are finite numbers above 0.

    >>> shadows_within(1, 7)
    514
    """
    return int(3600 * check_hours(hours) / validate.positive("seconds", seconds)) // 2 * 2


def afford(rows: pd.DataFrame, hours: float, slope: float) -> pd.DataFrame:
    """Return what a budget buys, one row per release: shadows, and the width of the advantage to expect.

    rows    rows of `widths`, of one data set
    slope   exponent of that width in the shadows: a release's own widths, averaged as logarithms, are carried
            on with it, however far

    Columns release, init, ipc, seconds (a shadow), shadows, advantage; the last is not a number for fewer
    shadows than an attack takes.
    """
    bought = []
    for (release, init, ipc), part in rows.groupby(RELEASE, sort=False):
        seconds = part.seconds[part.shadows.idxmax()]
        shadows = shadows_within(hours, seconds)
        row = {"release": release, "init": init, "ipc": ipc, "seconds": seconds, "shadows": shadows}
        row["advantage"] = math.nan
        if shadows >= MINIMUM_MODELS:
            away = math.log(shadows) - np.log(part.shadows).mean()
            row["advantage"] = float(np.exp(np.log(part.advantage).mean() + slope * away))
        bought.append(row)
    return pd.DataFrame(bought)
