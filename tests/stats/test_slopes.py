"""Exponents of exact powers, their intervals against regressions written out, and wrong input."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from privacy_for_free.stats.slopes import last_step, log_log, log_log_bootstrap, per_cluster

X, Y = [1, 2, 3], [1, 2, 3]


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(1e-3, 1e3), st.integers(3, 8))
def test_an_exact_power_is_found(power, scale, count):
    x = 2.0 ** np.arange(count)
    assert log_log(x, scale * x**power) == pytest.approx((power,) * 3, abs=1e-10)
    assert last_step(x, scale * x**power) == pytest.approx(power, abs=1e-10)


def test_a_constant_part_bends_the_line_and_the_last_slope_is_the_steeper():
    sizes = np.array([1, 2, 4, 8, 16])
    assert 0 < log_log(sizes, 10 + sizes).value < last_step(sizes, 10 + sizes) < 1
    assert last_step(sizes[::-1], 10 + sizes[::-1]) == pytest.approx(math.log2(26 / 18))


def test_without_groups_it_is_ordinary_least_squares():
    stream = np.random.default_rng(0)
    x = np.arange(1.0, 9)
    y = np.exp(stream.normal(size=8)) * x**2
    fit = stats.linregress(np.log(x), np.log(y))
    half = stats.t.ppf(0.95, 6) * fit.stderr
    expected = (fit.slope, fit.slope - half, fit.slope + half)
    assert log_log(x, y, confidence=0.9) == pytest.approx(expected, rel=1e-12)


def test_repeated_points_count_once():
    x, y = np.array([1.0, 2, 4, 8]), np.array([1.0, 3, 5, 20])
    twice = log_log(np.tile(x, 2), np.concatenate([y * 2, y / 2]))
    assert twice == pytest.approx(log_log(x, y))


def test_within_strata_it_is_a_regression_with_dummies():
    stream = np.random.default_rng(1)
    x, stratum = np.tile([1.0, 2, 5, 9], 3), np.repeat([0, 1, 2], 4)
    y = np.exp(stream.normal(size=12) + stratum) / x
    design = np.column_stack([np.log(x), *(stratum == s for s in range(3))]).astype(float)
    beta, squares, _, _ = np.linalg.lstsq(design, np.log(y))
    error = math.sqrt(squares[0] / 8 * np.linalg.inv(design.T @ design)[0, 0])
    centre, low, high = log_log(x, y, within=stratum)
    assert centre == pytest.approx(beta[0])
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 8) * error)


def test_over_clusters_it_is_the_t_interval_of_their_slopes():
    x = np.array([1.0, 10, 100])
    exponents = np.array([-0.9, -1.0, -1.2])
    y = np.concatenate([x**e for e in exponents])
    clusters = np.repeat(["c", "a", "b"], 3)
    fit = log_log(np.tile(x, 3), y, clusters=clusters)
    expected = stats.t.interval(0.95, 2, exponents.mean(), stats.sem(exponents))
    assert fit == pytest.approx((exponents.mean(), *expected))
    assert per_cluster(np.tile(x, 3), y, clusters) == pytest.approx([-1.0, -1.2, -0.9])


def replicates(slope, count=5, noise=0.0):
    """Measurements y = 3 n^slope sqrt(m) of two images, each replicate with a factor of its own."""
    stream = np.random.default_rng(0)
    cells = [(n, m, s, x) for n in (10, 30, 100) for m in (1, 4) for s in range(count) for x in "ab"]
    table = pd.DataFrame(cells, columns=["n", "m", "seed", "x"])
    scale = np.exp(stream.standard_normal(count))[table.seed]
    scatter = np.exp(noise * stream.standard_normal(len(table)))
    return table.assign(y=3 * table.n**slope * table.m**0.5 * (1 + (table.x == "a")) * scale * scatter)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize(("against", "fixed", "power"), [("n", "m", -1.0), ("m", "n", 0.5)])
@pytest.mark.parametrize("fit", [log_log, log_log_bootstrap])
def test_powers_beside_an_intercept_for_two_labels(fit, noise, against, fixed, power):
    rows = replicates(-1.0, noise=noise)
    found = fit(rows[against], rows.y, within=rows[["x", fixed]], clusters=rows.seed)
    assert found.value == pytest.approx(power, abs=1e-9 + 10 * noise)


def test_same_as_one_fit_in_each_cluster():
    rows, slopes = replicates(-0.7, noise=0.3), []
    for _, of_seed in rows.groupby("seed"):
        levels = pd.get_dummies(of_seed.x + of_seed.m.astype(str)).to_numpy(dtype=float)
        design = np.column_stack([np.log(of_seed.n), levels])
        slopes.append(np.linalg.lstsq(design, np.log(of_seed.y))[0][0])
    labels = {"within": rows[["x", "m"]], "clusters": rows.seed}
    assert per_cluster(rows.n, rows.y, **labels) == pytest.approx(slopes, rel=1e-10)
    exact, drawn = log_log(rows.n, rows.y, **labels), log_log_bootstrap(rows.n, rows.y, **labels)
    assert exact.value == drawn.value == pytest.approx(np.mean(slopes), rel=1e-10)
    assert exact.low < drawn.low < drawn.value < drawn.high < exact.high


def test_the_labels_of_rows_are_taken_in_order_whatever_their_index():
    rows = replicates(-0.7, noise=0.3)
    other = rows.set_index(np.arange(len(rows))[::-1])
    expected = log_log(rows.n.to_numpy(), rows.y.to_numpy(), within=rows[["x", "m"]], clusters=rows.seed)
    assert log_log(other.n, other.y, within=other[["x", "m"]], clusters=other.seed) == expected


def test_the_interval_over_clusters_covers_what_it_should():
    """The t interval of 5 clusters holds the truth in about 57 of 60 tables."""
    stream = np.random.default_rng(1)
    rows, held = replicates(0.0), 0
    for _ in range(60):
        slopes = -1 + 0.2 * stream.standard_normal(5)
        y = rows.n ** slopes[rows.seed]
        fit = log_log(rows.n, y, within=rows[["x", "m"]], clusters=rows.seed)
        held += fit.low < -1 < fit.high
    assert 50 <= held < 60


@pytest.mark.parametrize(
    ("x", "y", "labels", "message"),
    [
        (X, Y, {"confidence": 2}, "confidence 2: allowed are numbers between 0 and 1"),
        (X, [1, 0, 3], {}, "y 0.0: allowed are finite numbers above 0"),
        ([1, math.inf, 2], Y, {}, r"x\[1\] inf: allowed are finite numbers"),
        ([1, 2], [1, 2], {}, "x: an interval needs more distinct points"),
        ([1, 2, 2], [1, 1, 2], {}, "x: an interval needs more distinct points"),
        ([2, 2], [1, 2], {}, "x: a slope needs at least two distinct values"),
        (X, [1, 2, 3, 4], {}, "3 x for 4 y"),
        (X, Y, {"clusters": [0, 0, 0]}, "clusters: an interval needs at least 2 clusters"),
    ],
)
def test_what_has_no_interval(x, y, labels, message):
    with pytest.raises(ValueError, match=message):
        log_log(x, y, **labels)


def test_a_bootstrap_needs_three_clusters():
    with pytest.raises(ValueError, match="2 clusters: allowed are 3 or more"):
        log_log_bootstrap([1, 2, 1, 2], [1, 2, 1, 3], clusters=[0, 0, 1, 1])


def test_k3_what_has_no_slope_is_refused_by_name():
    with pytest.raises(ValueError, match=r"x -1.0: allowed are finite numbers above 0"):
        log_log([1, -1, 3], [1, 2, 3])
    with pytest.raises(ValueError, match=r"y 0.0: allowed are finite numbers above 0"):
        last_step([1, 2], [1, 0])
    for x, y in (([1], [1]), ([1, 2, 2], [1, 2, 3]), ([1, 2, 3], [1, 2])):
        with pytest.raises(ValueError, match=f"{len(x)} x for {len(y)} y: allowed are"):
            last_step(x, y)
    with pytest.raises(ValueError, match="clusters of 2 labels for 3 points: allowed is one for each"):
        log_log([1, 2, 3], [1, 2, 3], clusters=[0, 1])
    with pytest.raises(ValueError, match="within of 4 labels for 3 points: allowed is one for each"):
        log_log([1, 2, 3], [1, 2, 3], within=[0, 1, 0, 1])
    with pytest.raises(ValueError, match="clusters: allowed are numbers or texts, one for each point"):
        log_log([1, 2, 3], [1, 2, 3], clusters=[[1], [1], [2]])
    with pytest.raises(ValueError, match="0 x for 0 y: allowed are as many, two or more"):
        log_log([], [])
    with pytest.raises(ValueError, match="resamples 1: allowed are whole numbers from 20 up"):
        log_log_bootstrap([1, 2] * 3, [1, 2, 1, 3, 1, 4], clusters=[0, 0, 1, 1, 2, 2], resamples=1)
