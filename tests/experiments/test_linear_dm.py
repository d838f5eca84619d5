"""The checks pass on data that obeys the theory, and fail when a statement is bent."""

from types import SimpleNamespace

import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.linear_dm import measure as linear_dm
from privacy_for_free.lab import records
from privacy_for_free.theory import linear

IMAGES = torch.rand((40, 3, 8, 8), generator=generator(0, "toy images"))
DATA = SimpleNamespace(
    name="toy", sha256="0" * 64, normalised=False, classes=("a", "b"), of_class=lambda index: IMAGES + index
)
SMALL = linear_dm.Design((2, 4), (3, 7), ((12, 1), (40, 3)), normals=300_000, chains=300)


@pytest.fixture(scope="module")
def table():
    rows = []
    for task in linear_dm.tasks(SMALL, DATA):
        rows += linear_dm.run_task(task, SMALL, DATA, 0, torch.device("cpu"))
    return rows


def test_every_exact_statement_holds(table):
    exact = [row for row in table if row["kind"] == "exact"]
    assert max(row["relative_error"] for row in exact) < linear_dm.TOLERANCE
    assert len({row["check"] for row in exact}) == 19


def test_every_statistical_statement_holds(table):
    z = [abs(row["z"]) for row in table if row["kind"] == "statistical"]
    assert max(z) < linear_dm.STANDARD_ERRORS
    assert sum(value > 2 for value in z) < 0.2 * len(z)


def test_rows_fit_the_columns(table):
    assert all(set(row) == set(linear_dm.COLUMNS) for row in table)
    assert {row["d"] for row in table} == {48, 12}


@pytest.mark.parametrize(
    ("function", "bent", "check"),
    [
        ("expected_loss", lambda gap, k, variance=1.0: (k + 1) * gap.square().sum(-1), "loss_closed_form"),
        ("largest_step", lambda m, k, variance=1.0: 2.6 * m / k, "limit_expected_loss"),
        ("minimiser", lambda initial, real: initial + real.mean(0), "limit_expected_loss"),
        ("removal_shift", lambda real, index: real[index] / len(real), "removal_moves_all_alike"),
    ],
)
def test_a_bent_statement_is_caught(monkeypatch, function, bent, check):
    monkeypatch.setattr(linear, function, bent)
    task = linear_dm.tasks(SMALL, DATA)[1]
    rows = linear_dm.run_task(task, SMALL, DATA, 0, torch.device("cpu"))
    wrong = {row["check"] for row in rows if row["kind"] == "exact" and row["relative_error"] > 1e-3}
    assert check in wrong


def test_a_bent_statistic_is_caught(monkeypatch):
    monkeypatch.setattr(linear, "mean_square_factor", lambda step, m, k, d: 1 - 4 * step * k / m)
    case_rows = linear_dm.run_task(linear_dm.tasks(SMALL, DATA)[0], SMALL, DATA, 0, torch.device("cpu"))
    z = {row["check"]: row["z"] for row in case_rows if row["kind"] == "statistical"}
    assert abs(z["fresh_factor_above_threshold"]) > 10


def test_a_task_alone_gives_the_rows_of_the_whole_run(table):
    tasks = linear_dm.tasks(SMALL, DATA)
    alone = linear_dm.run_task(tasks[-1], SMALL, DATA, 0, torch.device("cpu"))
    assert alone == table[-len(alone) :]


def test_more_images_than_there_are():
    with pytest.raises(ValueError, match="n 50: toy has 40"):
        linear_dm.run_task(linear_dm.Task(2, 2, 50, 1, 0), SMALL, DATA, 0, torch.device("cpu"))


def test_runs_through_records(monkeypatch):
    monkeypatch.setitem(linear_dm.PROFILES, "smoke", linear_dm.Design((4,), (2,), ((12, 2),), 20_000, 50))
    record = records.run(linear_dm, DATA, "smoke", progress=False)
    assert record.meta["complete"]
    assert set(record.table.kind) == {"exact", "statistical"}
