"""The chapter's numbers on a table whose answers are known, and the keys of its prose on the records."""

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from privacy_for_free.book.chapters import condensation
from privacy_for_free.experiments.condensation import EXPERIMENT
from privacy_for_free.experiments.plan import RECORDED
from privacy_for_free.lab.settings import as_json
from privacy_for_free.lab.store import largest

CELLS = {  # method, init, ipc -> accuracies of two seeds, seconds to make and to train
    ("random_subset", "real", 1): ((0.40, 0.42), 0, 5),
    ("random_subset", "real", 10): ((0.60, 0.62), 0, 10),
    ("random_subset", "real", 50): ((0.70, 0.72), 0, 20),
    ("dm", "real", 1): ((0.40, 0.44), 30, 5),
    ("dm", "real", 10): ((0.70, 0.72), 40, 10),
    ("dm", "real", 50): ((0.80, 0.82), 60, 20),
    ("kip", "real", 10): ((0.50, 0.52), 80, 10),
    ("dsa", "real", 10): ((0.65, 0.67), 90, 10),
    ("dm", "noise", 10): ((0.69, 0.71), 40, 10),
    ("dsa", "noise", 10): ((0.68, 0.70), 90, 10),
    ("kip", "noise", 10): ((0.40, 0.42), 80, 10),
    ("full", "real", 6000): ((0.90, 0.92), 0, 50),
}


def rows():
    for (method, init, ipc), (accuracies, seconds, train_seconds) in CELLS.items():
        for accuracy in accuracies:
            for evaluator in ("convnet", "mlp", "kernel"):
                yield {
                    "method": method, "init": init, "ipc": ipc, "evaluator": evaluator, "seconds": seconds,
                    "train_seconds": train_seconds,
                    "test_accuracy": accuracy if evaluator == "convnet" else accuracy - 0.1,
                }  # fmt: skip
    yield {"method": "dm", "init": "real", "ipc": 1, "evaluator": "mlp", "test_accuracy": None}


@pytest.fixture(scope="module")
def view():
    design = as_json(EXPERIMENT.profiles["laptop"])
    table = pd.DataFrame(rows())
    record = SimpleNamespace(
        table=table.assign(test_accuracy=table.test_accuracy.astype(float)),
        provenance=lambda: "made here",
        meta={"parameters": design},
    )
    return condensation.load({"fashion_mnist": record})


def test_cells_of_the_table(view):
    assert view.provenance == "made here"
    assert view.datasets == ["fashion_mnist"]
    assert view.middle == 10
    assert view.accuracy("fashion_mnist", "dm", 10) == pytest.approx(71)
    assert view.accuracy("fashion_mnist", "full") == pytest.approx(91)
    assert math.isnan(view.accuracy("cifar10", "dm", 10))
    assert view.seconds("fashion_mnist", "dm", 50) == (60, 20)
    assert view.lost("fashion_mnist", "kip") == pytest.approx(10)


def test_gains_are_welchs_differences(view):
    gain = view.gains["fashion_mnist", 10, "dm"]
    # both means have an error of 1 point; Student's t at 2 degrees of freedom
    assert (gain.value, gain.half) == pytest.approx((10, 4.302653 * math.sqrt(2)))
    assert len(view.gains) == 5


def test_numbers_are_those_of_the_table(view):
    numbers = condensation.numbers(view)
    assert numbers["fashion_mnist.dm.10.accuracy"] == pytest.approx(71)
    assert numbers["fashion_mnist.dm.noise.accuracy"] == pytest.approx(70)
    assert numbers["fashion_mnist.dm.noise.lost"] == pytest.approx(1)
    assert numbers["fashion_mnist.dm.10.gain"] == pytest.approx(10)
    assert numbers["fashion_mnist.dm.10.gain.low"] == pytest.approx(10 - 4.302653 * math.sqrt(2))
    assert numbers["fashion_mnist.dm.10.make_seconds"] == 40
    assert numbers["fashion_mnist.dm.50.total_seconds"] == 80
    assert numbers["fashion_mnist.full.train_seconds"] == 50
    assert math.isnan(numbers["cifar10.dm.10.accuracy"])  # not in the table
    assert math.isnan(numbers["fairface.dm.1.gain.low"])
    assert (numbers["gains"], numbers["gains.above"], numbers["gains.below"]) == (5, 2, 1)
    assert (numbers["trainings"], numbers["trainings.diverged"]) == (2 * 2 * len(CELLS) + 1, 1)


def test_verdicts_are_decided_by_margins(view):
    verdicts = condensation.verdicts(view)
    assert [gain.low > 0 for gain in verdicts["verdict.gain.few"]] == [True, True]
    assert [gain.low > 0 for gain in verdicts["verdict.gain.one"]] == [False]
    assert verdicts["verdict.replaces_all"] == pytest.approx([5 - 10])
    assert verdicts["verdict.saves_time.once"] == [50 - 80]
    assert verdicts["verdict.saves_time.often"] == [50 - 10]
    assert verdicts["verdict.start"] == pytest.approx([5 - 10])  # of KIP


def test_tables(view):
    gains = condensation.table_gains(view)
    assert gains.loc[("FashionMNIST", 10), "DM"] == "+10.0 ± 6.1"
    assert gains.loc[("FashionMNIST", 1), "KIP"] == "not run"
    learners = condensation.table_learners(view)
    assert learners.loc[("FashionMNIST", "DM"), "ConvNet"] == "71.0 ± 1.0"
    assert learners.loc[("FashionMNIST", "DM"), "MLP"] == "61.0 ± 1.0"
    settings = condensation.table_settings(view)
    assert settings.loc["DM: steps"].tolist() == ["400", "20000"]


def test_figures(view):
    accuracy = condensation.figure_accuracy(view)
    (axis,) = accuracy.axes
    heights = {bars.get_label(): bars.lines[0].get_ydata().tolist() for bars in axis.containers}
    assert heights["DM"] == pytest.approx([42, 71, 81])
    assert heights["herding"] == []
    starts = condensation.figure_starts(view)
    heights = {bars.get_label(): bars.lines[0].get_ydata().tolist() for bars in starts.axes[0].containers}
    assert heights["standard normal noise"] == pytest.approx([70, 69, 41])
    seconds = condensation.figure_seconds(view)
    dots = {dots.get_label(): dots.get_offsets().tolist() for dots in seconds.axes[0].collections}
    assert dots["all images"] == [pytest.approx([50, 91])]
    for figure in (accuracy, starts, seconds):
        plt.close(figure)


def test_images_as_they_form_are_drawn_in_the_order_of_the_steps():
    def condensed(value):
        steps = {0: torch.zeros(1, 2, 1, 1, 4, 4), 10: torch.full((1, 2, 1, 1, 4, 4), value)}
        return SimpleNamespace(snapshots=steps)

    dataset = SimpleNamespace(
        classes=("a", "b"), train_images=torch.zeros(3, 1, 4, 4), mean=torch.zeros(1), std=torch.ones(1)
    )
    formed = {(label, init): condensed(0.5) for label in ("DM", "KIP") for init in ("real", "noise")}
    figure = condensation.figure_formed(formed, dataset)
    assert [axis.get_ylabel() for axis in figure.axes] == ["DM", "", "KIP", ""]
    assert "from a real image" in (figure.axes[0].get_title(loc) for loc in ("left", "center"))
    drawn = figure.axes[3].get_images()[0].get_array()
    assert drawn.shape == (4, 4 + 1 + 4)
    assert (drawn[0, 0], drawn[0, -1]) == (0, 0.5)
    plt.close(figure)


def test_the_prose_uses_every_number(glue_keys):
    view = condensation.load({name: largest("condensation", name) for name in RECORDED})
    assert {*condensation.numbers(view), *condensation.verdicts(view)} == glue_keys("condensation")
