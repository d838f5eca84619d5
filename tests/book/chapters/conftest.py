"""Tables whose answers are known by hand, for more than one file of tests."""

from types import SimpleNamespace

import pandas as pd
import pytest

from privacy_for_free.attacks.evaluation import FPRS
from privacy_for_free.book.chapters import membership
from privacy_for_free.experiments.membership import EXPERIMENT

SUBSET, FULL = ("random_subset", "random_subset", "real"), ("full", "full", "real")
ROWS = [  # release, method, init, attack, population, shadows, advantage, TPR, difference and p-value
    (*SUBSET, "lira_offline_fixed", "all", 64, 0.010, 0.001, None, None),
    (*SUBSET, "lira_offline_fixed", "in_initialisation", 64, 0.800, 0.200, None, None),
    (*SUBSET, "lira_offline_fixed", "all", 16, 0.005, 0.001, None, None),
    ("dm", "dm", "noise", "lira_offline_fixed", "all", 64, 0.030, 0.002, 0.020, 0.001),
    ("dm", "dm", "real", "lira_offline_fixed", "all", 64, 0.012, 0.001, 0.002, 0.600),
    ("dm", "dm", "real", "lira_offline_fixed", "in_initialisation", 64, 0.400, 0.100, -0.400, 1e-9),
    ("dm", "dm", "real", "loss", "all", 64, 0.008, 0.001, -0.001, 0.020),
    ("kip", "kip", "noise", "lira_offline_fixed", "all", 64, 0.011, 0.001, 0.001, 0.800),
    ("synthetic_set", "kip", "noise", "tracing_lira_online", "all", 64, 0.240, 0.010, 0.200, 1e-6),
    ("synthetic_set", "dsa", "real", "nearest", "in_initialisation", 16, 0.950, 0.900, None, None),
    (*FULL, "lira_offline_fixed", "all", 64, 0.070, 0.010, None, None),
    (*FULL, "loss", "all", 64, 0.040, 0.001, None, None),
]
COLUMNS = [
    "release", "method", "init", "attack", "population", "shadows", "advantage", "tpr_at_fpr_1e-3",
    "difference", "p_value",
]  # fmt: skip


def membership_table() -> pd.DataFrame:
    """Rows as `membership` records them; intervals reach 0.01 to either side, of the TPR 0.002."""
    table = pd.DataFrame(ROWS, columns=COLUMNS)
    for column, half in (("advantage", 0.01), ("difference", 0.01)):
        table[f"{column}_low"], table[f"{column}_high"] = table[column] - half, table[column] + half
    rate = table["tpr_at_fpr_1e-3"]
    table["tpr_low"], table["tpr_high"] = rate - 0.001, rate + 0.001
    table["tpr_bootstrap_low"], table["tpr_bootstrap_high"] = rate - 0.002, rate + 0.002
    table["ratio"] = table.method.map(lambda method: 1.0 if method == "full" else 0.01)
    table["ipc"] = table.method.map(lambda method: 500 if method == "full" else 5)
    return table.assign(
        auc=0.6, members=1000, nonmembers=1000, roc=" ".join(f"{fpr:g}" for fpr in FPRS), examples=2000,
        member_accuracy=0.9, nonmember_accuracy=0.8, width=16, condense_seconds=1.0, train_seconds=1.0,
        task=0,
    )[[*EXPERIMENT.column_names, "task"]]  # fmt: skip


@pytest.fixture(scope="session")
def membership_view() -> membership.View:
    """The view of that table, recorded on FashionMNIST."""
    settings = {"pool": 10_000, "width": 16, "schedule": {"epochs": 100}}
    settings["full_schedule"] = {"epochs": 20, "augmentation": ""}
    record = SimpleNamespace(
        table=membership_table(), meta={"parameters": settings}, provenance=lambda: "made by hand"
    )
    return membership.load({"fashion_mnist": record})
