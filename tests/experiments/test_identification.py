"""The experiment's rows, where the answer is known: exact means of few images, noise, and other members."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.identification import EXPERIMENT, measure
from privacy_for_free.experiments.identification.design import Design, Task, kind, tasks
from privacy_for_free.lab import settings, table_text
from privacy_for_free.theory import tracing

CPU = torch.device("cpu")
SMALL = Design(sizes=((15, 4, 2), (40, 3, 1), (1000, 2, 2)), bits=(64, 32, 16, 3), mus=(1.0, 1e6))


@pytest.fixture(scope="module")
def dataset():
    """Two classes of images of 48 numbers in [0, 1]."""
    labels = torch.arange(200) % 2
    images = torch.rand((200, 3, 4, 4), generator=generator(0, "toy")) * 0.5 + labels[:, None, None, None] / 4
    return SimpleNamespace(
        name="toy", sha256="0" * 64, normalised=False, classes=("a", "b"), train_images=images,
        train_labels=labels, test_images=images[:4], test_labels=labels[:4],
        mean=images.mean((0, 2, 3)), std=images.std((0, 2, 3)),
    )  # fmt: skip


def rows(task, dataset):
    columns = EXPERIMENT.column_names
    block = table_text.block(EXPERIMENT.run(task, SMALL, dataset, 0, CPU), columns, 0, sparse=True)
    return table_text.frame(table_text.whole(columns, {0: block}))


@pytest.fixture(scope="module")
def few(dataset):
    return rows(Task(15, 4, 2), dataset)


@pytest.fixture(scope="module")
def many(dataset):
    return rows(Task(40, 3, 1), dataset)


def test_tasks_are_the_sizes_there_are_images_for(dataset):
    assert tasks(SMALL, dataset) == [(15, 4, 2), (40, 3, 1)]
    with pytest.raises(ValueError, match=r"sizes \(\(1000, 2, 2\),\): toy has images for up to 50 members"):
        tasks(Design(sizes=((1000, 2, 2),)), dataset)


def test_rows_fit_the_columns_and_the_grid(few, many):
    for table, halves, classes in ((few, 4, 2), (many, 3, 1)):
        assert set(table.columns) == {*EXPERIMENT.column_names, "task"}
        assert len(table) == (len(SMALL.bits) + len(SMALL.mus)) * 4
        assert (table.members == halves * classes * table.n).all()
        for name in ("tpr_percent", "tpr_permille"):
            assert (table[f"{name}_low"] <= table[name]).all()
            assert (table[name] <= table[f"{name}_high"]).all()
        for name in ("auc", "right", "named"):
            assert (table[f"{name}_low_halves"] <= table[f"{name}_high_halves"]).all()
            assert table[name].between(0, 1).all()


def test_few_images_are_named_by_least_squares(few):
    table = few[(few.statistic == "identification") & few.bits.isin((64, 32, 16))]
    assert (table.methods == "least squares: 8").all()
    assert (table.right == 1).all()
    assert (table.all_right == 1).all()
    assert (table.named == 1).all()
    assert (table.failure == 0).all()
    assert table.set_index("bits").decided[[64, 32]].eq(1).all()
    assert (few.wrongly_decided.dropna() == 0).all()


def test_more_images_than_numbers_are_named_by_the_linear_program(many):
    table = many[many.release == "rounded"].set_index(["bits", "statistic"])
    assert table.methods[64, "identification"] == "linear program: 3"
    assert table.all_right[64, "identification"] == 1
    assert table.auc[64, "linear"] < 1
    assert table.auc[3, "identification"] < table.auc[64, "linear"]


def test_noise_keeps_its_cap(few, many):
    for table in (few, many):
        noisy = table[table.release == "noisy"]
        for name, fpr in (("percent", 0.01), ("permille", 0.001)):
            for row in noisy.itertuples():
                cap = getattr(row, f"cap_{name}")
                assert cap == pytest.approx(float(tracing.tpr(fpr, row.mu)), abs=1e-9)
                assert getattr(row, f"tpr_{name}_low") <= cap + 0.01
        strongest = noisy[noisy.mu == 1.0]
        assert (strongest.auc - 0.5).abs().max() < 0.2
        assert strongest.noise.iloc[0] == pytest.approx(2 * math.sqrt(48) / strongest.n.iloc[0])
        assert (noisy[noisy.mu == 1e6].auc > 0.8).all()


def test_members_that_are_others_are_not_found(dataset, monkeypatch):
    real = measure.identification.linear_statistics, measure.identification.solve

    def of_others(found, released, members, **options):
        return real[1](found, released.flip(0), members, **options)

    monkeypatch.setattr(measure.identification, "solve", of_others)
    table = rows(Task(15, 4, 2), dataset)
    exact = table[(table.statistic == "identification") & (table.bits == 64)].iloc[0]
    assert exact.decided == 1  # of another half
    assert abs(exact.auc - 0.5) < 4 * math.sqrt(1 / (6 * exact.members))


def test_a_task_gives_the_same_rows_again(dataset, many):
    measured = [column.name for column in EXPERIMENT.columns if column.measured]
    again = rows(Task(40, 3, 1), dataset)
    pd.testing.assert_frame_equal(again.drop(columns=measured), many.drop(columns=measured), check_exact=True)


def test_reduced_design_has_every_kind_of_task():
    laptop = EXPERIMENT.profiles["laptop"]
    full = SimpleNamespace(name="full", classes=("a",), train_labels=torch.zeros(6000, dtype=torch.int64))
    reduced = settings.change(laptop, EXPERIMENT.reduced)
    assert {kind(task) for task in tasks(reduced, full)} == {kind(task) for task in tasks(laptop, full)}
