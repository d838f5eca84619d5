"""Releases that spend at most what was asked for, attacks that reach the law and stay below the cap, rows."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.secret_start import EXPERIMENT
from privacy_for_free.experiments.secret_start.design import Design, Task, kind, tasks
from privacy_for_free.experiments.secret_start.learners import ridge
from privacy_for_free.experiments.secret_start.measure import run
from privacy_for_free.lab.run import run as record_of
from privacy_for_free.nets.schedule import Schedule

CPU = torch.device("cpu")
COUNT = 400
LABELS = torch.arange(COUNT) % 2
IMAGES = torch.rand((COUNT, 1, 8, 8), generator=generator(0, "toy images")) / 2
IMAGES[:, :, :4] += 0.4 * LABELS[:, None, None, None]
DATA = SimpleNamespace(
    name="toy", sha256="0" * 64, normalised=False, classes=("a", "b"), train_images=IMAGES,
    train_labels=LABELS, test_images=IMAGES[:50], test_labels=LABELS[:50],
)  # fmt: skip
SMALL = Design(
    starts=((4, 1.0), (1, 0.5)),
    epsilons=(0.0, 0.5, 20.0, math.inf),
    network_epsilons=(20.0,),
    few_epsilons=(),
    seeds=1,
    width=4,
    schedule=Schedule(epochs=2),
    attack_epsilons=(2.0, 10.0, math.inf),
    runs=3000,
    traced=60,
    halves=20,
    check_steps=30,
)


@pytest.fixture(scope="module")
def table():
    rows = []
    for task in tasks(SMALL, DATA):
        rows += run(task, SMALL, DATA, 0, CPU)
    return rows


def of(table, kind, **values):
    return [
        row
        for row in table
        if row["kind"] == kind and all(row.get(name) == value for name, value in values.items())
    ]


def test_rows_fit_the_columns(table):
    assert {name for row in table for name in row} == set(EXPERIMENT.column_names)


def test_no_release_spends_more_than_was_asked_for(table):
    rows = [row for row in table if row.get("steps") is not None]
    assert len({row["steps"] for row in rows}) > 4
    for row in rows:
        assert row["epsilon_spent"] <= row["epsilon"] * (1 + 1e-6)
        assert row["epsilon"] == 0 or row["epsilon_spent"] > 0.8 * row["epsilon"]


def test_the_more_steps_the_better_the_means(table):
    for start in SMALL.starts:
        found = of(table, "secret_start", m=start[0], learner="nearest_mean")
        assert [row["epsilon"] for row in found] == list(SMALL.epsilons)
        assert found[-1]["test_accuracy"] > 0.95 > 0.8 > found[0]["test_accuracy"]


def test_a_network_learns_where_the_design_says(table):
    assert [row["epsilon"] for row in of(table, "secret_start", learner="convnet")] == [20.0]
    assert len(of(table, "random_subset", learner="convnet")) == 1


def test_the_optimal_attack_has_the_predicted_rates_and_reaches_the_cap_on_the_worst_pair(table):
    rows = of(table, "pair")
    assert len(rows) == 2 * 2 * 3
    inside = sum(row["low"] <= row["predicted_tpr"] <= row["high"] for row in rows)
    assert inside >= len(rows) - 2
    for row in rows:
        assert row["predicted_tpr"] <= row["cap_tpr"] * (1 + 1e-9)
        if row["pair"] == "worst":
            assert row["predicted_tpr"] == pytest.approx(row["cap_tpr"])
        assert row["descent_error"] < 1e-12


def test_tracing_stays_below_the_cap_and_finds_the_members_without_noise(table):
    rows = of(table, "tracing")
    assert {row["epsilon"] for row in rows} == set(SMALL.attack_epsilons)
    assert all(row["low"] <= row["cap_tpr"] for row in rows)
    aucs = [row["auc"] for row in rows if row["fpr"] == 0.1]
    assert aucs == sorted(aucs)
    assert aucs[0] < 0.6 < 0.8 < aucs[-1]


def test_ridge_regression_is_that_of_the_normal_equations():
    released = torch.randn((2, 5, 3), generator=generator(0, "points"), dtype=torch.float64)
    rows = torch.randn((7, 3), generator=generator(0, "rows"), dtype=torch.float64)
    points = (released - released.mean((0, 1))).flatten(0, 1)
    strength = 0.3 * points.square().sum(1).mean() * torch.eye(3, dtype=torch.float64)
    targets = torch.tensor([[0.5, -0.5]] * 5 + [[-0.5, 0.5]] * 5, dtype=torch.float64)
    weights = torch.linalg.solve(points.mT @ points + strength, points.mT @ targets)
    expected = (rows - released.mean((0, 1))) @ weights
    torch.testing.assert_close(ridge(released, rows, 0.3), expected)


def test_a_task_alone_gives_the_rows_of_the_whole_run(table):
    task = Task("tracing", 4, 1.0, 0)
    timed = {"seconds"}
    alone = [{k: v for k, v in row.items() if k not in timed} for row in run(task, SMALL, DATA, 0, CPU)]
    assert alone == [{k: v for k, v in row.items() if k not in timed} for row in of(table, "tracing")]


def test_too_few_images():
    with pytest.raises(ValueError, match="202 images of a class: toy has 200 of its smallest"):
        tasks(replace(SMALL, traced=101), DATA)


def test_a_single_image_is_a_kind_of_its_own():
    assert kind(Task("secret_start", 1, 1.0, 0)) != kind(Task("secret_start", 10, 1.0, 0))


def test_runs_through_records():
    changes = {"starts": ((2, 1.0),), "epsilons": (1.0,), "network_epsilons": (), "traced": 20, "runs": 20}
    data = SimpleNamespace(**vars(DATA), mean=IMAGES.mean((0, 2, 3)), std=IMAGES.std((0, 2, 3)))
    record = record_of(EXPERIMENT, data, "smoke", changes=changes, device="cpu", shown=False)
    assert record.meta["complete"]
    assert set(record.table.kind) == {"pair", "tracing", "secret_start", "gaussian_mean", "random_subset"}
