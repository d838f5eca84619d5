"""Exponents of exact powers, their intervals, and wrong input."""

import numpy as np
import pandas as pd
import pytest

from privacy_for_free.stats import slopes as exponents


def rows(slope, replicates=5, noise=0.0):
    stream = np.random.default_rng(0)
    cells = [(n, m, s, x) for n in (10, 30, 100) for m in (1, 4) for s in range(replicates) for x in "ab"]
    table = pd.DataFrame(cells, columns=["n", "m", "seed", "x"])
    scale = np.exp(stream.standard_normal(replicates))[table.seed]
    scatter = np.exp(noise * stream.standard_normal(len(table)))
    return table.assign(shift=3 * table.n**slope * table.m**0.5 * (1 + (table.x == "a")) * scale * scatter)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_powers(noise):
    assert exponents.exponent(rows(-1.0, noise=noise)).value == pytest.approx(-1, abs=1e-9 + 10 * noise)
    assert exponents.exponent(rows(-1.0, noise=noise), against="m").value == pytest.approx(
        0.5, abs=1e-9 + 10 * noise
    )


def test_same_as_one_fit_in_each_replicate():
    table = rows(-0.7, noise=0.3)
    slopes = []
    for _, own in table.groupby("seed"):
        levels = pd.get_dummies(own.x + own.m.astype(str)).to_numpy(dtype=float)
        design = np.column_stack([np.log(own.n), levels])
        slopes.append(np.linalg.lstsq(design, np.log(own["shift"]), rcond=None)[0][0])
    found = exponents.exponent(table)
    assert found.value == pytest.approx(np.mean(slopes), rel=1e-10)
    assert found.t_low < found.low < found.value < found.high < found.t_high


def test_interval_covers_what_it_should():
    """The t interval of 5 replicates holds the truth in about 57 of 60 tables."""
    stream = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        table = rows(0.0)
        slopes = -1 + 0.2 * stream.standard_normal(5)
        table["shift"] = table.n ** slopes[table.seed]
        found = exponents.exponent(table, resamples=50)
        held += found.t_low < -1 < found.t_high
    assert 50 <= held < 60


def test_wrong_input():
    with pytest.raises(ValueError, match="2 replicates: allowed are 3 or more"):
        exponents.exponent(rows(-1.0, replicates=2))
    with pytest.raises(ValueError, match="shift: allowed are finite numbers above 0"):
        exponents.exponent(rows(-1.0).assign(shift=0.0))
