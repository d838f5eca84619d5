"""The experiment's rows, on images that are easy to tell apart."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from privacy_for_free.condensation import Run, dm, gradient_matching, kip
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.condensation import EXPERIMENT, measure
from privacy_for_free.experiments.condensation.design import Task
from privacy_for_free.lab import store
from privacy_for_free.lab.run import run
from privacy_for_free.nets import augmentation
from privacy_for_free.nets.schedule import Schedule

CPU = torch.device("cpu")
TIMES = ["seconds", "train_seconds"]


def easy(count, seed):
    """Images of two classes: a bright left or a bright right half, and noise."""
    labels = torch.arange(count) % 2
    images = torch.rand((count, 1, 8, 8), generator=generator(seed, "easy"))
    images[labels == 0, :, :, :4] += 2
    images[labels == 1, :, :, 4:] += 2
    return images, labels


def dataset(name="toy"):
    images, labels = easy(80, 0)
    test_images, test_labels = easy(40, 1)
    return SimpleNamespace(
        name=name, sha256="0" * 64, normalised=False, classes=("left", "right"),
        train_images=images, train_labels=labels, test_images=test_images, test_labels=test_labels,
        mean=images.mean((0, 2, 3)), std=images.std((0, 2, 3)),
    )  # fmt: skip


SMALL = dataclasses.replace(
    EXPERIMENT.profiles["smoke"],
    dm=dm.DM(iterations=4, batch_real=10, width=4),
    dsa=gradient_matching.GradientMatching(iterations=2, batch_real=8, width=4, inner_loop=1),
    kip=kip.KIP(iterations=3, batch_targets=20),
    schedule=Schedule(epochs=40, learning_rate=0.1),
    full_schedule=Schedule(epochs=20, learning_rate=0.1),
)


@pytest.fixture(scope="module")
def table():
    data = dataset()
    return pd.DataFrame(
        [row for task in EXPERIMENT.tasks(SMALL, data) for row in EXPERIMENT.run(task, SMALL, data, 0, CPU)]
    )


def test_rows_fit_the_columns_and_the_grid(table):
    assert set(table.columns) == set(EXPERIMENT.column_names)
    cells = table.groupby(["method", "init", "ipc"], sort=False).evaluator.agg(list)
    assert len(cells) == len(SMALL.cells)
    for (method, _, _), evaluators in cells.items():
        assert evaluators == (["convnet", "mlp"] if method == "full" else ["convnet", "mlp", "kernel"])
    assert (table.images == 2 * table.ipc).all()
    assert (table.ratio == table.images / 80).all()
    assert (table[TIMES] > 0).all(axis=None)
    assert table.seed.nunique() == len(SMALL.cells)
    iterations = table.groupby("method").iterations.unique().map(list)
    assert iterations.to_dict() == {
        "dm": [4], "dc": [2], "dsa": [2], "kip": [3], "herding": [0], "random_subset": [0], "full": [0]
    }  # fmt: skip
    assert (table.loss_first.notna() == table.method.isin(["dm", "dc", "dsa", "kip"])).all()


def test_what_is_easy_is_learnt(table):
    started = table[(table.init == "real") & (table.method != "full")]
    assert (started.test_accuracy > 0.9).all()
    assert (table[(table.method == "full") & (table.evaluator == "convnet")].test_accuracy > 0.9).all()


def test_a_task_gives_the_same_alone_and_another_seed_does_not(table):
    data = dataset()
    index = 3 * SMALL.cells.index(("dm", "real", 1))
    task = EXPERIMENT.tasks(SMALL, data)[SMALL.cells.index(("dm", "real", 1))]
    again = pd.DataFrame(EXPERIMENT.run(task, SMALL, data, 0, CPU))
    expected = table.iloc[index : index + 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(again.drop(columns=TIMES), expected.drop(columns=TIMES))
    other = pd.DataFrame(EXPERIMENT.run(task, SMALL, data, 1, CPU))
    assert (other.loss_last != again.loss_last).all()


def test_a_task_cut_off_in_a_condensation_goes_on(tmp_path, monkeypatch):
    data, seen = dataset(), []
    few = dataclasses.replace(SMALL, cells=(("dm", "real", 2),))
    draw = dm.Matcher.loss_and_gradient
    experiment = dataclasses.replace(EXPERIMENT, profiles={"smoke": few})
    monkeypatch.setattr(measure, "Run", lambda **given: Run(every=1, **given))

    def killed(self, index, images):
        seen.append(index)
        if seen == [0, 1, 2]:
            raise KeyboardInterrupt
        return draw(self, index, images)

    monkeypatch.setattr(dm.Matcher, "loss_and_gradient", killed)
    options = {"device": "cpu", "shown": False}
    with pytest.raises(KeyboardInterrupt):
        run(experiment, data, results_dir=tmp_path, **options)
    assert [path.name for path in (tmp_path / "condensation").glob("*checkpoint*")] == [
        "toy-smoke.0.checkpoint"
    ]
    resumed = run(experiment, data, results_dir=tmp_path, **options)
    assert seen == [0, 1, 2, 2, 3]
    assert not list((tmp_path / "condensation").glob("*checkpoint*"))
    whole = run(experiment, data, **options)
    pd.testing.assert_frame_equal(resumed.table.drop(columns=TIMES), whole.table.drop(columns=TIMES))


def test_digits_are_not_flipped_and_loops_are_at_most_the_published_ones(monkeypatch):
    found = {}
    monkeypatch.setattr(
        measure, "condense", lambda *_, method, **given: found.update({method.name: method}) or 1 / 0
    )
    for name, strategy in (("mnist", augmentation.DIGITS), ("toy", augmentation.STRATEGY)):
        for method in ("dm", "dsa", "dc"):
            with pytest.raises(ZeroDivisionError):
                EXPERIMENT.run(Task(method, "real", 1, 0), SMALL, dataset(name), 0, CPU)
            assert found[method].augmentation == ("" if method == "dc" else strategy)
    laptop = EXPERIMENT.profiles["laptop"]
    loops = [
        (settings.outer_loop, settings.inner_loop)
        for settings in (laptop.settings("dsa", n) for n in (1, 10, 50))
    ]
    assert loops == [(1, 1), (3, 10), (3, 10)]
    paper = EXPERIMENT.profiles["paper"].settings("dc", 10)
    assert (paper.outer_loop, paper.inner_loop) == (10, 50)


def test_the_published_settings_are_the_paper_profile():
    paper = EXPERIMENT.profiles["paper"]
    assert (paper.width, paper.dm.iterations, paper.dm.batch_real, paper.dm.learning_rate) == (
        128,
        20_000,
        256,
        1.0,
    )
    assert (paper.dsa.iterations, paper.dsa.batch_real, paper.dsa.learning_rate) == (1000, 256, 0.1)
    assert (paper.kip.iterations, paper.kip.batch_targets) == (300, 5000)
    assert paper.schedule.epochs == 1001
    assert paper.seeds == 5


def test_a_network_that_diverges_is_an_outcome():
    hasty = dataclasses.replace(SMALL, schedule=Schedule(epochs=60, learning_rate=1e6))
    rows = EXPERIMENT.run(Task("random_subset", "real", 1, 0), hasty, dataset(), 0, CPU)
    found = {row["evaluator"]: row["test_accuracy"] for row in rows}
    assert found["mlp"] is None
    assert found["kernel"] > 0.9
    assert all(row["train_seconds"] > 0 for row in rows)


def test_dm_beats_a_random_subset_in_the_record():
    """On FashionMNIST with 10 images per class, by 5 points at least: the laptop record's mean over seeds."""
    table = store.read("condensation", "fashion_mnist", "laptop").table
    own = table[(table.evaluator == "convnet") & (table.ipc == 10)]
    dm = own[(own.method == "dm") & (own.init == "real")].test_accuracy
    random_subset = own[own.method == "random_subset"].test_accuracy
    assert len(dm) == len(random_subset) == 3
    assert dm.mean() >= random_subset.mean() + 0.05


def test_a_data_set_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="ipc 41: a class of toy has 40 images"):
        EXPERIMENT.tasks(dataclasses.replace(SMALL, cells=(("dm", "real", 41),)), dataset())
    with pytest.raises(ValueError, match="seeds 0: allowed are whole numbers from 1 up"):
        EXPERIMENT.tasks(dataclasses.replace(SMALL, seeds=0), dataset())
