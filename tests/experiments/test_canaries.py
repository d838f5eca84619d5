"""Planted images: who they are, which releases start from them, and what is found where it must be."""

import dataclasses
import math

import pandas as pd
import pytest
import torch

from privacy_for_free import data, shadows
from privacy_for_free.experiments.canaries import measure as experiment
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.lab import records

CPU = torch.device("cpu")
SMOKE = experiment.PROFILES["smoke"]


@pytest.fixture(scope="module")
def dataset():
    return data.load("fashion_mnist_mini")


@pytest.fixture(scope="module")
def table(dataset):
    return records.run(experiment, dataset, device="cpu", progress=False).table


@pytest.fixture(scope="module")
def drawn(dataset):
    images, _ = scaled_publicly(dataset, CPU)
    return shadows.draw(images, dataset.train_labels, 400, 8, 5, 10)


def test_planted_images_are_what_they_are_called(drawn):
    found = experiment.plant(drawn, 4, 5)
    pool, kinds = found.pool, found.kinds
    ordinary, wrong, strange = (kinds == number for number in range(3))
    assert [int(mask.sum()) for mask in (ordinary, wrong, strange)] == [320, 40, 40]
    assert (pool.labels[wrong] != drawn.labels[wrong]).all()
    assert torch.equal(pool.labels[~wrong], drawn.labels[~wrong])
    assert torch.equal(pool.images[~strange], drawn.images[~strange])
    assert torch.equal(pool.images[strange], -drawn.images[strange])
    for c in range(10):
        assert int((wrong & (drawn.labels == c)).sum()) == 4
        assert int((pool.labels == c).sum()) == 40  # the mislabelled are dealt evenly
        assert (pool.membership[:, pool.labels == c].sum(1) == 20).all()  # and the halves balanced anew


def test_the_pool_itself_is_left_as_it_is(drawn):
    before = drawn.images.clone(), drawn.labels.clone()
    experiment.plant(drawn, 4, 5)
    assert torch.equal(drawn.images, before[0])
    assert torch.equal(drawn.labels, before[1])


@pytest.mark.parametrize("ipc", [1, 3])
def test_the_start_takes_planted_members_first(drawn, ipc):
    planted = experiment.plant(drawn, 4, 5)
    start = experiment.canary_start(planted, ipc, 0)
    for k in range(8):
        for c in range(10):
            chosen = start[k, c]
            assert len(set(chosen.tolist())) == ipc
            assert planted.pool.membership[k, chosen].all()
            assert (planted.pool.labels[chosen] == c).all()
            candidates = planted.pool.membership[k] & (planted.pool.labels == c) & (planted.kinds > 0)
            assert int((planted.kinds[chosen] > 0).sum()) == min(ipc, int(candidates.sum()))


def test_rows(table):
    assert set(table.release) == {"random_subset", "dm", "dp_sgd", "full"}
    assert set(table.canary) == set(experiment.KINDS)
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
    rows = pd.DataFrame(
        experiment.run_task(experiment.Task("full", "", math.inf), parameters, dataset, 0, CPU)
    )
    rows = rows[(rows.attack == "lira_online_fixed") & (rows.in_initialisation == "all")].set_index("canary")
    assert rows.auc["mislabelled"] > 0.8
    assert rows.auc["mislabelled"] > rows.auc["ordinary"] + 0.1


def test_a_killed_task_goes_on_where_it_was(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "SAVE_SECONDS", 0.0)
    keep = [c for c in experiment.COLUMNS if not c.endswith("seconds")]
    for task in (experiment.Task("dm", "canaries", math.inf), experiment.Task("dp_sgd", "", math.inf)):
        whole = pd.DataFrame(experiment.run_task(task, SMOKE, dataset, 0, CPU))[keep]
        path = tmp_path / f"{task.release}.checkpoint"
        save, calls = experiment.save_state, []

        def dies(*arguments, save=save, calls=calls):
            save(*arguments)
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(experiment, "save_state", dies)
        with pytest.raises(KeyboardInterrupt):
            experiment.run_task(task, SMOKE, dataset, 0, CPU, path)
        monkeypatch.setattr(experiment, "save_state", save)
        resumed = pd.DataFrame(experiment.run_task(task, SMOKE, dataset, 0, CPU, path))[keep]
        pd.testing.assert_frame_equal(resumed, whole)


def test_no_room_for_the_planted(dataset):
    with pytest.raises(ValueError, match="planted 11: allowed are 1 to 10, of 40 images a class"):
        experiment.tasks(dataclasses.replace(SMOKE, planted=11), dataset)
