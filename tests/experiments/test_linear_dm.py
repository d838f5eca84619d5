"""The checks pass on data that obeys the theory; tasks, rows and records."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.linear_dm import EXPERIMENT
from privacy_for_free.experiments.linear_dm.design import Design, Task, tasks
from privacy_for_free.experiments.linear_dm.measure import run
from privacy_for_free.lab.run import run as record_of
from privacy_for_free.theory.linear_case import STANDARD_ERRORS, TOLERANCE

IMAGES = torch.rand((40, 3, 8, 8), generator=generator(0, "toy images"))
DATA = SimpleNamespace(
    name="toy",
    sha256="0" * 64,
    normalised=False,
    classes=("a", "b"),
    train_labels=torch.arange(80) % 2,
    of_class=lambda index: IMAGES + index,
)
CPU = torch.device("cpu")
SMALL = Design((2, 4), (3, 7), ((12, 1), (40, 3)), normals=300_000, chains=300)


@pytest.fixture(scope="module")
def table():
    rows = []
    for task in tasks(SMALL, DATA):
        rows += run(task, SMALL, DATA, 0, CPU)
    return rows


def test_every_exact_statement_holds(table):
    exact = [row for row in table if row["kind"] == "exact"]
    assert max(row["relative_error"] for row in exact) < TOLERANCE
    assert len({row["check"] for row in exact}) == 19


def test_every_statistical_statement_holds(table):
    z = [abs(row["z"]) for row in table if row["kind"] == "statistical"]
    assert max(z) < STANDARD_ERRORS
    assert sum(value > 2 for value in z) < 0.2 * len(z)


def test_rows_fit_the_columns(table):
    assert all(set(row) == set(EXPERIMENT.column_names) for row in table)
    assert {row["d"] for row in table} == {48, 12}


def test_a_task_alone_gives_the_rows_of_the_whole_run(table):
    alone = run(tasks(SMALL, DATA)[-1], SMALL, DATA, 0, CPU)
    assert alone == table[-len(alone) :]


def test_more_images_than_there_are():
    with pytest.raises(ValueError, match="n 50: toy has 40 training images of class 1"):
        tasks(replace(SMALL, sizes=((40, 1), (50, 1))), DATA)


def test_a_single_synthetic_image_is_a_kind_of_its_own():
    assert EXPERIMENT.kind(Task(4, 2, 50, 1, 0)) != EXPERIMENT.kind(Task(4, 2, 50, 2, 0))


def test_runs_through_records():
    small = {"pools": (4,), "features": (2,), "sizes": ((12, 2),), "normals": 20_000, "chains": 50}
    record = record_of(EXPERIMENT, DATA, "smoke", changes=small, device="cpu", shown=False)
    assert record.meta["complete"]
    assert set(record.table.kind) == {"exact", "statistical"}
