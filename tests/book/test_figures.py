"""The book's figures: strips of pictures are laid out as stated, and series differ by more than colour."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free.book import figures


@pytest.fixture(autouse=True)
def quiet():
    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_stand_side_by_side_and_are_clipped(channels):
    images = torch.linspace(-0.5, 1.5, 3 * channels * 4 * 5).reshape(3, channels * 4 * 5)
    axis = figures.pictures(plt.figure().subplots(), images, (channels, 4, 5), "row")
    shown = np.asarray(axis.images[0].get_array())
    assert shown.shape[:2] == (4, 3 * 5 + 2)
    assert (shown[:, [5, 11]] == 1).all()
    second = images[1].reshape(channels, 4, 5).clamp(0, 1).permute(1, 2, 0).squeeze(-1)
    np.testing.assert_array_equal(shown[:, 6:11], second)
    assert axis.get_ylabel() == "row"


def test_whiskers_end_at_the_interval():
    rows = pd.DataFrame(
        {"a": [0.5, 0.2], "a_low": [0.4, 0.2], "a_high": [0.9, 0.3], "b_low": 0.0, "b_high": 1.0}
    )
    np.testing.assert_allclose(figures.whiskers(rows, "a"), [[10, 0], [40, 10]], atol=1e-12)
    np.testing.assert_allclose(figures.whiskers(rows, "a", "b", scale=1), [[0.5, 0.2], [0.5, 0.8]])


def test_series_differ_without_colour():
    looks = {(style["marker"], style["linestyle"]) for style in map(figures.series, range(8))}
    assert len(looks) == 8


def test_panels_have_the_texts_width():
    figures.use_style()
    figure, axes = figures.panels(2, rows=3, height=1.5)
    assert tuple(figure.get_size_inches()) == (figures.WIDTH, 4.5)
    assert len(axes) == 6


def test_points_are_percent_with_the_interval_that_stands_beside_them():
    rows = pd.DataFrame({"tpr": [0.2], "tpr_low": [0.1], "tpr_high": [0.3], "b_low": [0.0], "b_high": [0.5]})
    (row,) = rows.itertuples()
    assert figures.points(row, "tpr") == pytest.approx((20, 10, 30))
    assert figures.points(row, "tpr", "b") == pytest.approx((20, 0, 50))
