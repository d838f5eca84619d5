"""The tables against values computed by hand, and their answers to wrong parameters."""

import math

import pytest

from privacy_for_free.theory import tables


def percent(values, digits):
    return [f"{100 * value:.{digits}f}" for value in values]


def test_influence_of_one_image():
    found = tables.influence(5000, [10, 50, 100]).set_index(["trained_on", "ratio"]).epsilon
    condensed, subset = found["m condensed images"], found["a random m of them"]
    assert condensed.to_numpy() == pytest.approx([0.002, 0.01, 0.02], rel=1e-12)
    assert (found["all n, temperature tau/r"] == condensed).all()
    assert [f"{value:.4f}" for value in subset] == ["0.0034", "0.0170", "0.0338"]
    assert (tables.influence(10, 10, 0.0).epsilon == 0).all()
    assert tables.influence(10, 10, 3.0).epsilon.to_numpy() == pytest.approx([3, 3, 3], rel=1e-12)


def test_movement_of_the_target():
    assert tables.movement([10, 5000], 3.0).movement.tolist() == [0.6, 0.0012]
    assert tables.movement(8).movement.item() == 0.25


def test_rates_of_the_tracing_attack():
    found = tables.tracing([3000, 2500], [784, 3072]).set_index(["members", "n", "d_eff"])
    fresh = found.loc["fresh"]
    assert percent([fresh.tpr[3000, 784], fresh.tpr[2500, 3072]], 1) == ["0.5", "2.4"]
    assert fresh.effect[3000, 784] == pytest.approx(math.sqrt(784 / 3000), rel=1e-12)
    pool = found.loc["pool"]
    assert pool.effect.to_numpy() == pytest.approx(math.sqrt(2) * fresh.effect.to_numpy(), rel=1e-12)
    h = 784 / 5999
    assert found.loc["pool exact"].effect[3000, 784] == pytest.approx(2 * math.sqrt(h / (1 - h)), rel=1e-12)
    one = tables.tracing(100, 100.0, fpr=[0.001, 0.5]).query("members == 'fresh'")
    assert one.effect.tolist() == [1.0, 1.0]
    assert percent(one.auc, 2) == ["76.02", "76.02"]  # Phi(1 / sqrt 2)
    assert percent(one.tpr, 2) == ["1.83", "84.13"]  # Phi(Phi^-1(FPR) + 1)


@pytest.mark.parametrize(("n", "d_eff"), [(1, 0.5), (5, 9), (5, 1e6)])
def test_a_pool_with_too_many_dimensions_is_read_off_exactly(n, d_eff):
    exact = tables.tracing(n, d_eff).set_index("members").loc["pool exact"]
    assert exact[["effect", "tpr", "auc"]].tolist() == [math.inf, 1.0, 1.0]
    if n > 1:
        assert tables.tracing(n, 2 * n - 1.001).set_index("members").effect["pool exact"] < math.inf


def test_caps():
    found = tables.caps(5000, [10, 50, 100]).set_index(["release", "m"]).cap
    assert percent(found["random subset"], 3) == ["0.300", "1.099", "2.098"]
    private = [found[f"({epsilon}, 1e-05)-private"].iloc[0] for epsilon in (1, 2, 4, 8)]
    assert percent(private, 3) == ["0.273", "0.740", "5.461", "100.000"]
    assert found["the network"].to_numpy() == pytest.approx(
        [0.001 * math.exp(r) for r in (0.002, 0.01, 0.02)], rel=1e-12
    )
    assert (tables.caps(5000, 50, 0.0).query("release == 'the network'").cap == 0.001).all()


def test_one_row_a_combination():
    assert len(tables.influence([10, 20], [1, 5], [0.5, 1.0])) == 2 * 2 * 2 * 3
    found = tables.caps(10, 1, fpr=[0.001, 0.01], epsilons=(1.0,))
    assert list(zip(found.fpr, found.release, strict=True)) == [
        (fpr, release)
        for fpr in (0.001, 0.01)
        for release in ("the network", "random subset", "(1, 1e-05)-private")
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 1.0, 1.0), r"n 0: allowed are whole numbers from 1 up"),
        ((2.5, 1, 1.0, 1.0), r"n 2\.5: allowed are whole numbers"),
        ((True, 1, 1.0, 1.0), r"n True: allowed are whole numbers"),
        ((10, 0, 1.0, 1.0), r"m 0: allowed are whole numbers from 1 up"),
        ((10, 11, 1.0, 1.0), r"m 11: allowed are whole numbers from 1 to n, here 10"),
        ((10, 1, 0, 1.0), r"d_eff 0: allowed are finite numbers above 0"),
        ((10, 1, math.inf, 1.0), r"d_eff inf: allowed are finite numbers above 0"),
        ((10, 1, "784", 1.0), r"d_eff '784': allowed (are numbers|is a sequence of numbers)"),
        ((10, 1, 1.0, -0.1), r"eps0 -0\.1: allowed are numbers from 0 to 700"),
        ((10, 1, 1.0, math.nan), r"eps0 nan: allowed are numbers"),
        ((10, 1, 1.0, 701), r"eps0 701: allowed are numbers from 0 to 700"),
    ],
)
def test_a_wrong_value_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        tables.check(*values)
    n, m, d_eff, eps0 = values
    with pytest.raises(ValueError, match=message):
        (tables.influence(n, m, eps0), tables.tracing(n, d_eff))


def test_other_wrong_values_are_named():
    with pytest.raises(ValueError, match=r"kappa 0: allowed are finite numbers above 0"):
        tables.movement(10, 0)
    with pytest.raises(ValueError, match=r"n 0: allowed"):
        tables.movement([10, 0])
    with pytest.raises(ValueError, match=r"fpr 1\.5: allowed are rates from 0 to 1"):
        tables.tracing(10, 3, 1.5)
    with pytest.raises(ValueError, match=r"m 20: allowed are whole numbers from 1 to n, here 10"):
        tables.caps([30, 10], 20)
