"""The page's tables and numbers against the formulas by hand, and the keys of its prose."""

import math

import pytest

from privacy_for_free.book.chapters import formulas
from privacy_for_free.theory import tracing


@pytest.fixture(scope="module")
def view():
    return formulas.View(n=1000, m=10, d_eff=100.0, eps0=2.0)


def test_columns_are_one_ten_and_a_hundred_times_the_images(view):
    assert view.sizes == [1000, 10_000, 100_000]
    for table in (formulas.table_influence(view), formulas.table_leak(view), formulas.table_caps(view)):
        assert list(table.columns) == view.sizes


def test_tables_by_hand(view):
    influence = formulas.table_influence(view)
    assert influence.loc["m condensed images"].tolist() == ["0.02", "0.002", "0.0002"]
    subset = math.log1p(0.01 * (math.exp(2) - 1))
    assert influence.loc["a random m of them"].iloc[0] == f"{subset:.3g}"
    assert formulas.table_movement(view).loc["movement / kappa"].tolist() == ["0.002", "0.0002", "2e-05"]
    leak = formulas.table_leak(view)
    assert leak.loc["effect size", "fresh"].tolist() == ["0.316", "0.100", "0.032"]
    assert leak.loc["effect size", "pool"].iloc[0] == f"{math.sqrt(0.2):.3f}"
    assert leak.loc["TPR at 0.1 % FPR", "fresh"].iloc[0] == formulas.percent(tracing.tpr(0.001, 0.1**0.5))
    caps = formulas.table_caps(view)
    assert caps.loc["the network"].iloc[0] == f"{0.1 * math.exp(0.02):.3f} %"
    assert caps.loc["random subset"].iloc[0] == f"{100 * (0.01 + 0.99 * 0.001):.3f} %"
    quoted = formulas.table_quoted()["TPR at 0.1 % FPR"]
    assert quoted["cap of a random subset, m / n = 0.01"] == "1.099 %"
    assert quoted["fresh members, d_eff = 784, n = 3,000"].startswith("0.49")


def test_numbers(view):
    numbers = formulas.numbers(view)
    assert (numbers["n"], numbers["n.times_ten"], numbers["m"]) == (1000, 10_000, 10)
    assert (numbers["d_eff"], numbers["eps0"]) == (100.0, 2.0)
    assert (numbers["epsilon"], numbers["epsilon.times_ten"]) == pytest.approx((0.02, 0.002))
    assert (numbers["effect"], numbers["effect.times_ten"]) == pytest.approx((0.1**0.5, 0.1))
    assert numbers["tpr"] == pytest.approx(100 * float(tracing.tpr(0.001, 0.1**0.5)))


def test_values_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="m 20: allowed are whole numbers from 1 to n, here 10"):
        formulas.View(10, 20, 1.0, 1.0)


def test_keys_are_those_of_the_prose(view, glue_keys):
    assert set(formulas.numbers(view)) == glue_keys("formulas")
