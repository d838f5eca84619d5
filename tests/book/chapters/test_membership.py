"""What the chapter draws, on a table whose answers are known by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from privacy_for_free.book.chapters import membership


@pytest.fixture
def view(membership_view):
    yield membership_view
    plt.close("all")


def test_what_is_loaded(view):
    assert view.provenance == "made by hand"
    assert view.panels == ["fashion_mnist"]
    assert view.middle == 0.01
    assert len(view.table) == 12
    assert len(view.final) == 11  # the random subset's row with fewer shadows is left out
    assert set(view.table.seen[view.table.release == "synthetic_set"]) == {"images"}
    assert set(view.table.seen[view.table.release != "synthetic_set"]) == {"network"}
    assert view.curves.method.tolist() == ["random_subset", "dm", "dm", "kip", "full"]


def test_comparisons_that_enter_the_correction(view):
    """Six of seven condensed rows: DSA's were attacked with fewer shadows than the subset's."""
    compared = view.compared
    assert compared.method.tolist() == ["dm", "dm", "dm", "dm", "kip", "kip"]
    # Holm by hand: 1e-9 x 6, 1e-6 x 5, 0.001 x 4, 0.02 x 3, 0.6 x 2 and 0.8, none below the one before.
    np.testing.assert_allclose(compared.corrected, [0.004, 1.0, 6e-9, 0.06, 1.0, 5e-6])
    assert compared.above.tolist() == [True, False, False, False, False, True]
    assert compared.below.tolist() == [False, False, True, False, False, False]


def test_significance_is_after_the_correction(view):
    """The loss attack's p-value of 0.02 is below the level, and corrected it is not."""
    row = view.compared[view.compared.attack == "loss"].iloc[0]
    assert row.p_value < membership.LEVEL < row.corrected
    assert not row.above
    assert not row.below


def test_tables(view):
    learnt = membership.table_learnt(view)
    assert learnt.loc["DM, from real images", "FashionMNIST"] == "80 (90)"
    assert learnt.index.tolist() == ["DM, from real images", "all of the half"]
    advantage = membership.table_advantage(view)
    assert advantage.loc[("FashionMNIST", "DM, noise"), "offline, fixed"] == "3.0 [2.0,\u00a04.0]"
    released = membership.table_released(view)
    assert released.loc[("FashionMNIST", "KIP, from noise", "all"), "class mean, LiRA"] == "0.600"
    assert released.loc[("FashionMNIST", "KIP, from noise", "all"), "nearest image"] == ""


def test_the_table_of_comparisons(view):
    table = membership.table_comparisons(view)
    assert table["comparisons"].sum() == 6
    row = table.loc[("FashionMNIST", "network", "DM, real", "started from")]
    assert row.tolist() == [1, 0, 1, "-40.0 [-41.0, -39.0]", "< 0.001"]
    row = table.loc[("FashionMNIST", "network", "DM, noise", "all")]
    assert row.tolist() == [1, 1, 0, "+2.0 [+1.0, +3.0]", "0.004"]
    both = table.loc[("FashionMNIST", "network", "DM, real", "all")]  # the larger of two differences
    assert both.tolist() == [2, 0, 0, "+0.2 [-0.8, +1.2]", "1.000"]


def test_the_figure_of_curves(view):
    figure = membership.figure_roc(view)
    (axis,) = figure.axes
    assert len(axis.lines) == 5 + 1 + 3 + 1  # releases, the subset's cap, three epsilons, guessing
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "random subset",
        "DM, from noise",
        "DM, from real images",
        "KIP, from noise",
        "all of the half",
    ]
    cap = axis.lines[5]
    np.testing.assert_allclose(cap.get_ydata(), 0.01 + 0.99 * cap.get_xdata())


def test_the_figure_of_populations(view):
    figure = membership.figure_populations(view)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "random subset",
        "DM, from noise",
        "DM, from real images",
        "KIP, from noise",
    ]
    started, others, everyone = axis.containers
    assert sorted(started.lines[0].get_xdata()) == pytest.approx([40, 80])
    assert len(others.lines[0].get_xdata()) == 0
    assert everyone.lines[0].get_xdata() == pytest.approx([3, 1.1])  # of releases from noise only


def test_the_figures_of_size_and_of_shadows(view):
    (axis,) = membership.figure_ratio(view).axes
    assert [line.lines[0].get_ydata().tolist() for line in axis.containers] == [
        pytest.approx([1.0]),
        pytest.approx([1.2]),
        pytest.approx([3.0]),
    ]
    figure = membership.figure_shadows(view)
    assert len(figure.legends[0].get_texts()) == 4
    (axis,) = figure.axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["16", "64"]
    assert axis.get_xlabel() == "shadow models"
