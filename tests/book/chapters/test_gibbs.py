"""The chapter's numbers on a table whose answers are known, and the keys of its prose on the real records."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from privacy_for_free.book.chapter import RECORDED
from privacy_for_free.book.chapters import gibbs
from privacy_for_free.lab.store import largest

SCALE = {  # observed over its bound
    "gaussian": 0.1,
    "logistic": 0.2,
    "logistic_replace": 0.25,
    "logistic_all_data": 0.2,
    "logistic_random_subset": 0.4,
    "sgld_network": 0.05,
}


def posteriors():
    """Log ratios that are exact powers of n and m: observed = scale m/n, one image's divergence as 1/n^2."""
    cells = [(n, m, pair) for n in (100, 1000) for m in (1, 10) for pair in range(3)]
    rows = [
        {"model": model, "n": n, "m": m, "replicate": pair, "bound": m / n, "lipschitz": 2.0}
        | {
            "observed": scale * (1 + factor * pair) * m / n,
            "observed_fixed_x": scale * m / n / 2,
            "bound_this_x": m / n / 2,
        }
        | {"std_error": 0.01, "shift_norm": 1 / n, "log_normaliser": 0.1}
        for n, m, pair in cells
        for model, scale in SCALE.items()
        for factor in [0.5 if model in ("logistic_all_data", "logistic_random_subset") else 0.0]
    ]
    half = [row | {"model": "sgld_network_half_step", "observed": 2 * row["observed"], "log_normaliser": 0.2}
            for row in rows if row["model"] == "sgld_network" and row["replicate"] == 0]  # fmt: skip
    half[0] = half[0] | {
        "shift_norm": 0.5,
        "log_normaliser": 9.0,
    }  # another worst image: not counted
    divergence = [row | {"model": "gaussian_kl", "observed_fixed_x": row["m"] / row["n"] ** 2}
                  for row in rows if row["model"] == "gaussian"]  # fmt: skip
    return pd.DataFrame([*rows, *half, *divergence])


@pytest.fixture(scope="module")
def view():
    record = SimpleNamespace(table=posteriors(), provenance=lambda: "made here")
    return gibbs.load({"fashion_mnist": record, "cifar10": record})


def test_what_is_loaded(view):
    assert view.provenance == "made here\nmade here"
    assert view.datasets == ["fashion_mnist", "cifar10"]
    assert view.table.tightness.max() == pytest.approx(0.8)


def test_slopes_of_exact_powers(view):
    fits = view.fits[view.fits.dataset == "cifar10"].set_index(["model", "in"])
    for label, slope in {gibbs.RATIO: 1, gibbs.IN_M: 1, gibbs.IN_N: -1, gibbs.ONE_IMAGE: -1}.items():
        assert tuple(fits.loc[("logistic", label), ["slope", "low", "high"]]) == pytest.approx((slope,) * 3)
    assert fits.loc[("gaussian_kl", gibbs.ONE_IMAGE), "slope"] == pytest.approx(-2)
    assert "sgld_network_half_step" not in fits.index.unique("model")  # one replicate has no interval


def test_slopes_recover_known_exponents_and_their_spread():
    cells = [(n, m, k) for n in (10, 100, 300) for m in (1, 2, 7) for k in range(3)]
    table = pd.DataFrame(cells, columns=["n", "m", "replicate"]).assign(model="a")
    table["observed"] = (1 + table.replicate) * table.m**1.5 / table.n ** (1 + 0.1 * table.replicate)
    table["observed_fixed_x"] = table.observed**2
    both = pd.concat([table, table[table.replicate == 0].assign(model="single")])
    against_n = gibbs.slopes(both, "n")
    assert against_n.model.tolist() == ["a"]
    assert against_n.slope.item() == pytest.approx(-1.1)
    assert against_n.low.item() < -1.2 < -1.0 < against_n.high.item()
    assert gibbs.slopes(both, "m")[["slope", "low", "high"]].values[0] == pytest.approx(1.5)
    assert gibbs.slopes(both, "m", "observed_fixed_x").slope.item() == pytest.approx(3)
    with pytest.raises(ValueError, match="against 'k': known are n, m"):
        gibbs.slopes(table, "k")


def test_numbers(view):
    found = gibbs.numbers(view)
    assert found["condensed.posteriors"] == 2 * (4 * 12 + 4)  # four models, and the half step of one pair
    assert found["condensed.largest"] == "0.25 on FashionMNIST and 0.25 on CIFAR-10"
    assert (found["condensed.slack_low"], found["condensed.slack_high"]) == pytest.approx((4, 20))
    assert found["gaussian.slack"] == pytest.approx(2)  # rho + B = 2, rho = 1
    assert (found["all.posteriors"], found["all.above_bound"]) == (2 * (7 * 12 + 4), 0)
    assert (found["one_image.slope_low"], found["one_image.slope_high"]) == pytest.approx((-1, -1))
    assert found["one_image.cases"] == 6
    assert found["divergence.slope"] == pytest.approx(-2)
    assert (found["half_step.cases"], found["half_step.same_image"]) == (8, 6)
    assert found["half_step.ratio_median"] == pytest.approx(2)
    assert found["half_step.largest_z"] == pytest.approx(0.1 / (0.01 * np.sqrt(2)))
    half = 4.302653 * 0.4 / np.sqrt(3)  # the pairs of classes have 0.8, 1.2 and 1.6
    expected = f"1.20 [{1.2 - half:.2f},\xa0{1.2 + half:.2f}]"
    assert found["all_data.over_condensed"] == f"{expected} on FashionMNIST and {expected} on CIFAR-10"
    assert (found["all_data.low"], found["all_data.cases"], found["all_data.pairs"]) == pytest.approx(
        (0.8, 24, 3)
    )
    assert found["random_subset.over_condensed"].startswith("2.40 [")


def test_table_of_slopes(view):
    table = gibbs.table_slopes(view)
    assert list(table) == ["in m/n", "in m", "in n", "in n, one image"]
    assert table.loc[("CIFAR-10", "gaussian kl"), "in n, one image"] == "-2.000 ± 0.000"


@pytest.mark.parametrize(
    ("draw", "labels"),
    [
        (gibbs.figure_bound, ["bound $r\\varepsilon_0$", *gibbs.MODELS.values()]),
        (gibbs.figure_steps, list(gibbs.STEPS.values())),
        (gibbs.figure_baselines, [*gibbs.BASELINES.values(), "$r\\varepsilon_0$", "subset's bound"]),
    ],
)
def test_figures_have_a_panel_for_each_data_set(view, draw, labels):
    figure = draw(view)
    assert [axis.get_title(loc="left") or axis.get_title() for axis in figure.axes] == [
        "FashionMNIST",
        "CIFAR-10",
    ]
    assert figure.axes[0].get_legend_handles_labels()[1] == labels
    plt.close(figure)


def test_the_prose_inserts_what_the_records_give(root, glue_keys):
    results = root / "data" / "results"
    records = {name: largest("gibbs_ratio", name, results) for name in RECORDED}
    found = gibbs.load({name: record for name, record in records.items() if record})
    assert set(gibbs.numbers(found)) == glue_keys("gibbs")
