"""Planted images are found where they must be."""

import dataclasses
import math

import pandas as pd
import pytest
import torch

from privacy_for_free import data
from privacy_for_free.core import checkpoint
from privacy_for_free.experiments.canaries import EXPERIMENT
from privacy_for_free.experiments.canaries.design import Task, tasks
from privacy_for_free.experiments.canaries.measure import run
from privacy_for_free.lab import run as lab_run
from privacy_for_free.lab import settings
from privacy_for_free.shadows.canaries import KINDS

CPU = torch.device("cpu")
SMOKE = EXPERIMENT.profiles["smoke"]


@pytest.fixture(scope="module")
def dataset():
    return data.load("fashion_mnist_mini")


@pytest.fixture(scope="module")
def table(dataset):
    return lab_run.run(EXPERIMENT, dataset, device="cpu", shown=False).table


def test_rows(table):
    assert set(table.release) == {"random_subset", "dm", "dp_sgd", "full"}
    assert set(table.canary) == set(KINDS)
    assert table.auc.between(0, 1).all()
    whole = table[table.in_initialisation == "all"]
    assert (whole.members == whole.nonmembers).all()
    assert whole[whole.canary == "mislabelled"].members.unique().tolist() == [160]
    split = table[(table.attack == "loss") & (table.init == "canaries") & (table.canary == "mislabelled")]
    parts = split.set_index("in_initialisation").members
    assert parts["yes"] + parts["no"] == parts["all"]


def test_canaries_that_a_release_starts_from_are_found_in_it(table):
    found = table[
        (table.init == "canaries") & (table.attack == "nearest") & (table.in_initialisation == "yes")
    ]
    assert set(found.canary) >= {"mislabelled", "out_of_distribution"}
    assert (found.auc > 0.9).all()
    others = table[
        (table.init == "canaries") & (table.attack == "nearest") & (table.in_initialisation == "no")
    ]
    assert (others.auc < 0.7).all()


def test_an_overfitted_network_gives_mislabelled_members_away(dataset):
    schedule = dataclasses.replace(SMOKE.full_schedule, epochs=40)
    parameters = dataclasses.replace(SMOKE, pool=200, shadows=16, planted=2, full_schedule=schedule)
    rows = pd.DataFrame(run(Task("full", "", math.inf), parameters, dataset, 0, CPU))
    rows = rows[(rows.attack == "lira_online_fixed") & (rows.in_initialisation == "all")].set_index("canary")
    assert rows.auc["mislabelled"] > 0.8
    assert rows.auc["mislabelled"] > rows.auc["ordinary"] + 0.1


def test_a_killed_task_goes_on_where_it_was(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("privacy_for_free.shadows.answers.SAVE_SECONDS", 0.0)
    keep = [c for c in EXPERIMENT.column_names if not c.endswith("seconds")]
    for task in (Task("dm", "canaries", math.inf), Task("dp_sgd", "", math.inf)):
        whole = pd.DataFrame(run(task, SMOKE, dataset, 0, CPU))[keep]
        path = tmp_path / f"{task.release}.checkpoint"
        save, calls = checkpoint.save, []

        def dies(*arguments, save=save, calls=calls):
            save(*arguments)
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(checkpoint, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            run(task, SMOKE, dataset, 0, CPU, path)
        monkeypatch.setattr(checkpoint, "save", save)
        resumed = pd.DataFrame(run(task, SMOKE, dataset, 0, CPU, path))[keep]
        pd.testing.assert_frame_equal(resumed, whole)


def test_no_room_for_the_planted(dataset):
    with pytest.raises(ValueError, match="planted 11: allowed are 1 to 10, of 40 images per class"):
        tasks(dataclasses.replace(SMOKE, planted=11), dataset)


def test_a_pool_larger_than_the_data_set_is_refused(dataset):
    with pytest.raises(ValueError, match="pool of 12000 images: 1200 of class 0 asked for, there are 1000"):
        tasks(dataclasses.replace(SMOKE, pool=12_000), dataset)


def test_the_reduced_design_has_tasks_of_every_kind(dataset):
    laptop = EXPERIMENT.profiles["laptop"]
    found = tasks(settings.change(laptop, EXPERIMENT.reduced), dataset)
    assert {EXPERIMENT.kind(task) for task in found} == set(map(EXPERIMENT.kind, tasks(laptop, dataset)))
    assert len({EXPERIMENT.kind(task) for task in found}) == 7
