"""The chapter's figures, numbers and verdicts on a table whose answers are known, and on the records."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from privacy_for_free.attacks.evaluation import FPRS
from privacy_for_free.book.chapters import tracing, tracing_condensed, tracing_numbers
from privacy_for_free.book.claims import effects
from privacy_for_free.experiments.plan import RECORDED
from privacy_for_free.experiments.tracing.design import Task
from privacy_for_free.lab.store import largest
from privacy_for_free.theory.simulation import Effect

COLUMNS = [
    "method", "extractor", "n", "m", "dimension", "shrinkage", "attacker", "calibration", "init",
    "population", "observed_tpr", "auc",
]  # fmt: skip
MEAN, NET = ("mean", "linear"), ("dm", "convnet")
LW, ALL = "ledoit_wolf", ("noise", "all")
ROWS = [
    ("dm", "linear", 500, 1, 49, LW, "pool", "raw", *ALL, 0.020, 0.60),
    ("dm", "linear", 500, 10, 49, LW, "pool", "raw", *ALL, 0.024, 0.60),
    (*MEAN, 500, 0, 784, LW, "pool", "raw", *ALL, 0.200, 0.90),
    (*MEAN, 500, 0, 784, LW, "pool", "standardised", *ALL, 0.300, 0.95),
    (*MEAN, 500, 0, 784, LW, "disjoint", "raw", *ALL, 0.050, 0.80),
    (*MEAN, 500, 0, 784, "1.0", "none", "raw", *ALL, 0.001, 0.50),
    (*MEAN, 500, 0, 784, "1.0", "pool", "raw", *ALL, 0.003, 0.55),
    (*MEAN, 500, 0, 49, LW, "pool", "raw", *ALL, 0.021, 0.60),
    (*MEAN, 150, 0, 784, LW, "pool", "raw", *ALL, 0.800, 0.99),
    (*NET, 500, 1, 784, "0.1", "pool", "raw", *ALL, 0.0020, 0.52),
    (*NET, 500, 10, 784, "0.1", "pool", "raw", *ALL, 0.0010, 0.56),
    (*NET, 150, 1, 784, "0.1", "pool", "raw", *ALL, 0.0030, 0.54),
    (*NET, 150, 10, 784, "0.1", "pool", "raw", *ALL, 0.0040, 0.53),
    (*NET, 150, 10, 784, LW, "pool", "raw", *ALL, 0.0060, 0.58),
    (*NET, 500, 1, 784, "0.1", "pool", "raw", "real", "not_in_initialisation", 0.0012, 0.51),
    (*NET, 500, 1, 784, "0.1", "pool", "raw", "real", "in_initialisation", 0.9000, 0.99),
    (*NET, 500, 1, 784, "0.1", "disjoint", "raw", "real", "in_initialisation", 0.8000, 0.98),
]


def attacks():
    """The rows as `tracing` records them: intervals reach 0.0005 to either side, exact rates 10 % higher."""
    table = pd.DataFrame(ROWS, columns=COLUMNS)
    table["tpr_bootstrap_low"] = table.observed_tpr - 0.0005
    table["tpr_bootstrap_high"] = table.observed_tpr + 0.0005
    table["shrinkage_used"] = table.shrinkage.map({LW: 0.05, "1.0": 1.0, "0.1": 0.1})
    known = table.method.eq("mean") & table.attacker.ne("none")
    roc = " ".join(f"{fpr:g}" for fpr in FPRS)
    for name, factor in (("exact", 1.1), ("predicted", 2.0)):
        table[f"{name}_tpr"] = (table.observed_tpr * factor).where(known)
        table[f"{name}_auc"] = (table.auc + 0.005 * factor).where(known)
        table[f"{name}_roc"] = pd.Series(roc, index=table.index).where(known)
    return table.assign(
        statistic="pixels", fpr=0.001, roc=roc, members=1000, targets=32, mean_error=1e-15, iterations=200
    )


@pytest.fixture(scope="module")
def view():
    design = {"auxiliary": 4000, "targets": 64, "predicted": 250}
    record = SimpleNamespace(table=attacks(), meta={"parameters": design}, provenance=lambda: "made by hand")
    gibbs = pd.DataFrame(
        {"model": ["gaussian", "logistic", "sgld"], "m": 5, "n": [500, 50, 5], "observed": 0.1}
    )
    return tracing.load({"fashion_mnist": record}, {"fashion_mnist": SimpleNamespace(table=gibbs)})


@pytest.fixture(scope="module")
def numbers(view):
    return tracing_numbers.numbers(view)


def test_view(view):
    assert view.provenance == "made by hand"
    assert view.sizes.to_dict() == {"fashion_mnist": 500}
    assert view.shown.attacker.tolist() == ["pool", "disjoint", "none"]
    assert view.posteriors.to_dict() == {("gaussian", 0.01): 0.1, ("logistic", 0.1): 0.1}
    assert view.strongest.what.iloc[1] == "pixels, n = 500, 10 images per class"


def test_means(numbers):
    assert numbers["members"] == 500
    assert numbers["pool.tpr"] == "20.0 % on FashionMNIST"
    assert (numbers["disjoint.tpr"], numbers["none.tpr"]) == ("5.0", "0.10")
    assert (numbers["auxiliary"], numbers["targets"]) == (4000, 64)
    assert (numbers["linear.ms"], numbers["linear.mean_error"]) == ("1, 10", 1e-15)


def test_predictions(numbers):
    assert numbers["predicted.count"] == 5
    assert numbers["predicted.inside"] == 1  # at 0.3 %, where a tenth is less than the interval
    assert numbers["observed_over_exact.lowest"] == pytest.approx(1 / 1.1)
    assert numbers["observed_over_exact.highest"] == pytest.approx(1 / 1.1)
    assert numbers["predicted.auc_gap"] == pytest.approx(0.0055)


def test_bound_of_the_network_and_leak_of_the_images(numbers):
    assert numbers["network.cap"] == pytest.approx(0.1 * np.exp(0.01))
    assert (numbers["linear.tpr"], numbers["linear.dimensions"]) == ("2.20", "49")
    assert numbers["linear.tpr.spread"] == pytest.approx(0.4)


@pytest.fixture(scope="module")
def condensed(view):
    return tracing_condensed.numbers(view)


def test_condensed_images(condensed):
    assert condensed["convnet.noise.tpr"] == "0.10 to 0.40 % on FashionMNIST"
    assert condensed["convnet.noise.auc"] == "0.52 to 0.56"
    assert condensed["convnet.noise.above"] == "3 of 4"
    assert condensed["convnet.others.tpr"] == "0.12 to 0.12 % on FashionMNIST"
    assert condensed["convnet.started.tpr"] == "90 to 90 % on FashionMNIST"
    assert (condensed["convnet.noise.tpr.most"], condensed["convnet.started.tpr.most"]) == ("0.40", "90")
    assert (condensed["means.tpr"], condensed["means.tpr.most"]) == ("20.0 to 80.0", "80")
    pairs = [
        condensed[f"convnet.noise.{kind}.{part}"]
        for kind in ("more_images", "fewer_members")
        for part in ("pairs", "higher")
    ]
    assert pairs == [
        2,
        1,
        2,
        1,
    ]  # m from 1 to 10: higher at 500 only; n from 500 to 150: higher for m = 1 only
    assert (condensed["convnet.noise.shrinkage.cells"], condensed["convnet.noise.shrinkage.best"]) == (4, 0)
    assert condensed["convnet.noise.any.attacks"] == 5
    assert condensed["convnet.noise.any.auc"] == 0.58
    assert condensed["convnet.noise.any.tpr"] == pytest.approx(0.6)


def test_guessing_stands_above_by_chance():
    """Simulated: a normal rate of variance 2 above an interval of variance 3."""
    drawn = np.random.default_rng(0).normal(0, np.sqrt(2), 400_000)
    expected = 100 * (drawn > 1.959964 * np.sqrt(3)).mean()
    assert tracing_condensed.guessing_above() == pytest.approx(expected, abs=0.06)


def test_verdicts(view):
    margins = tracing_numbers.verdicts(view)
    assert list(margins) == [
        f"verdict.{name}" for name in ("mean", "private", "smaller", "disjoint", "none", "auc")
    ]
    signs = {name: np.sign(np.ravel(margin)).tolist() for name, margin in margins.items()}
    assert signs["verdict.mean"] == signs["verdict.none"] == signs["verdict.auc"] == [1]
    assert signs["verdict.private"] == signs["verdict.disjoint"] == [-1]
    assert margins["verdict.smaller"] == pytest.approx(0.3)


def test_what_runs_live_is_the_small_mean_release():
    tasks = [Task("mean", 20, 4), Task("mean", 50, 4), Task("dm", 20, 1)]
    assert [tracing.live(task) for task in tasks] == [True, False, False]


def test_listed_leaves_out_what_is_missing():
    values = pd.DataFrame({"low": [1.0, np.nan, 3.0], "high": 4.0}, index=["a", "b", "c"])
    assert tracing_numbers.listed(values, "{:.0f} to {:.0f}", ["c", "b", "a", "d"]) == "3 to 4 and 1 to 4"
    assert tracing_numbers.listed(values.low, "{:g}", ["a", "c", "d"], named=True) == "1 on a and 3 on c"


def test_tables(view):
    table = tracing.table_attacked(view)
    assert table["TPR at 0.1 %"].iloc[0] == "20.00% [19.95%,\u00a020.05%]"
    assert table["predicted"].tolist() == ["22.00%", "5.50%", ""]
    condensed = tracing_condensed.table_condensed(view)
    pool = condensed.xs("the pool", level="attacker with").iloc[0]
    assert pool.tolist() == ["0.520 / 0.20%", "0.510 / 0.12%", "0.990 / 90.00%"]
    nan = float("nan")
    checks = {("fresh members", 10): Effect(0.5, 0.01, 0.49, nan, nan)}
    assert tracing.table_simulated(checks).iloc[0].tolist() == ["0.50", "0.01", "0.49", "", ""]


def test_figures_show_what_is_in_the_table(view):
    roc = tracing.figure_roc(view).axes[0]
    assert roc.get_legend_handles_labels()[1] == list(tracing.ATTACKERS.values())
    np.testing.assert_allclose(roc.lines[0].get_xdata(), FPRS)
    predicted = tracing.figure_predicted(view).axes[0]
    np.testing.assert_allclose(sorted(predicted.lines[1].get_xdata()), [0.33, 2.31, 22, 88])
    both = tracing.figure_both(view, pd.Series({"fashion_mnist": 95.0, "elsewhere": 50.0}))
    np.testing.assert_allclose(both.axes[0].lines[-1].get_ydata(), 95)
    np.testing.assert_allclose(both.axes[1].lines[-1].get_ydata(), 94.9)
    alone = tracing.figure_both(view, pd.Series(dtype=float))
    assert len(alone.axes[0].lines) < len(both.axes[0].lines)
    condensed = tracing_condensed.figure_condensed(view).axes[0]
    assert len(condensed.get_yticks()) == 4
    plt.close("all")


@pytest.fixture(scope="module")
def recorded():
    records = {name: largest("tracing", name) for name in RECORDED}
    gibbs = {name: largest("gibbs_ratio", name) for name in RECORDED}
    return tracing.load(records, {name: record for name, record in gibbs.items() if record})


def test_keys_are_those_of_the_prose(recorded, glue_keys):
    """Those of linear algebra and of secret starts are in their own modules, and tests."""
    prose, verdicts = glue_keys("tracing"), set(tracing_numbers.verdicts(recorded))
    others = {key for key in prose if key.startswith(("named.", "noise.", "secret.", "verdict."))}
    assert set(tracing_numbers.numbers(recorded)) == prose - others
    assert verdicts <= others


def test_the_claim_and_the_chapter_tell_the_same_rate(recorded):
    rates = tracing_numbers.attacked(recorded, tracing.POOL)
    for name, rows in recorded.table.groupby("dataset"):
        assert effects.mean_tpr(rows).value == pytest.approx(rates[name])
