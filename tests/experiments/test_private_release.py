"""Every release of the small profile: what it says of itself, what an audit finds, and how it resumes."""

import dataclasses
import math

import pandas as pd
import pytest
import torch

from privacy_for_free import data
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.errors import CheckpointError
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.experiments.private_release import EXPERIMENT, releases
from privacy_for_free.experiments.private_release.bench import Bench
from privacy_for_free.experiments.private_release.design import CONDENSERS, WITHOUT, Task
from privacy_for_free.lab.run import run
from privacy_for_free.nets import augmentation, networks, training
from privacy_for_free.private import calibrated
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.noisy_condensation import Linear

CPU = torch.device("cpu")
MEASURED = [column.name for column in EXPERIMENT.columns if column.measured]
SMALL = dataclasses.replace(EXPERIMENT.profiles["smoke"], audit_runs=40, audit_pilots=10)
SMALL = dataclasses.replace(SMALL, ndpdc=dataclasses.replace(SMALL.ndpdc, iterations=1))
SMALL = dataclasses.replace(SMALL, dp_sgd=dataclasses.replace(SMALL.dp_sgd, steps=1), ipcs=(1,))


@pytest.fixture(scope="module")
def dataset():
    return data.load("fashion_mnist_mini")


@pytest.fixture(scope="module")
def table(dataset):
    small = dataclasses.replace(EXPERIMENT, profiles={"smoke": SMALL})
    return run(small, dataset, device="cpu", shown=False).table


def unmeasured(rows):
    """Rows as a table, without what differs from run to run."""
    return pd.DataFrame(rows).drop(columns=MEASURED)


def test_every_mechanism_has_its_rows(table):
    made = table[table.kind == "accuracy"]
    assert set(made.mechanism) == {*CONDENSERS, "dp_sgd", *WITHOUT, "full"}
    for name in (*CONDENSERS, "dp_sgd"):
        assert made.epsilon[made.mechanism == name].tolist() == [1.0, math.inf]
    assert made.test_accuracy.between(0, 1).all()
    assert made[made.mechanism == "dm"].init.tolist() == ["noise", "real"]
    assert made.images[made.mechanism == "linear"].eq(10).all()


def test_noise_is_what_the_epsilon_needs(table):
    made = table[(table.kind == "accuracy") & (table.epsilon == 1)]
    for row in made.itertuples():
        mechanism = Mechanism(row.noise_multiplier, int(row.steps), row.rate)
        assert mechanism.epsilon(accountant="pld") <= 1 + 1e-3  # the grid of the PLD, for single releases
        assert mechanism.epsilon(accountant="rdp") == pytest.approx(row.epsilon_rdp)
        assert row.epsilon_rdp > 1  # the looser account of the same noise
        assert row.epsilon_replace_one > 1
    single = made[made.rate == 1].noise_multiplier
    assert len(single) == 3
    assert single.to_numpy() == pytest.approx(3.7306, abs=1e-4)


def test_without_noise_there_is_none(table):
    made = table[table.mechanism.isin(CONDENSERS) & (table.epsilon == math.inf)]
    assert (made.noise_multiplier == 0).all()
    assert made.epsilon_rdp.isna().all()


def test_audits_stay_below_and_catch_what_is_broken(table):
    audits = table[table.kind == "audit"]
    kept = audits[audits.broken.isna()]
    assert len(kept) == 6
    assert (kept.epsilon_audited <= kept.epsilon).all()
    assert (audits[audits.broken.notna()].epsilon_audited > 1).all()


def test_images_are_scaled_by_constants(dataset):
    images, _ = scaled_publicly(dataset, CPU)
    assert float(images.min()) == -1
    assert float(images.max()) == 1
    standardised = data.load("fashion_mnist_mini", normalise=True)
    torch.testing.assert_close(scaled_publicly(standardised, CPU)[0], images, rtol=0, atol=1e-5)


def test_a_release_made_by_hand(dataset):
    """Seed, scaling, noise, training and test of the first release of the noisy mean."""
    task = Task("accuracy", "linear", 0)
    row = EXPERIMENT.run(task, SMALL, dataset, 3, CPU)[0]
    images, test_images = scaled_publicly(dataset, CPU)
    seed = derived_seed(3, "private_release", *task)
    problem = Problem.of(images, dataset.train_labels, None, 1, "noise", seed, 10, noise="seed")
    released = calibrated.release(problem, Linear(0.0), 1.0)
    network = networks.build("convnet", (1, 28, 28), 10, SMALL.width)
    schedule = augmentation.published_for(SMALL.schedule, dataset.name)
    weights = training.train(
        network, *released.sets.flat(), schedule, derived_seed(seed, "learn", "1", "1.0", "noise")
    )
    assert row["test_accuracy"] == training.accuracy(network, weights, test_images, dataset.test_labels)
    assert row["noise_multiplier"] == released.mechanism.noise_multiplier
    assert (row["epsilon"], row["ipc"], row["images"], row["iterations"]) == (1.0, 1, 10, 0)


def test_a_killed_task_goes_on_where_it_was(dataset, tmp_path, monkeypatch):
    task = Task("accuracy", "one_release", 0)
    whole = EXPERIMENT.run(task, SMALL, dataset, 0, CPU)
    path = tmp_path / "one.checkpoint"
    learn, calls = Bench.learn, []

    def dies(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return learn(self, *arguments)

    monkeypatch.setattr(Bench, "learn", dies)
    with pytest.raises(KeyboardInterrupt):
        EXPERIMENT.run(task, SMALL, dataset, 0, CPU, path)
    monkeypatch.setattr(Bench, "learn", learn)
    monkeypatch.setattr(releases, "clipped_feature_sums", None)  # they are in the checkpoint
    resumed = EXPERIMENT.run(task, SMALL, dataset, 0, CPU, path)
    pd.testing.assert_frame_equal(unmeasured(resumed), unmeasured(whole))


def test_another_seed_does_not_go_on_with_a_checkpoint(dataset, tmp_path):
    task, path = Task("accuracy", "linear", 0), tmp_path / "one.checkpoint"
    EXPERIMENT.run(task, SMALL, dataset, 0, CPU, path)
    with pytest.raises(CheckpointError, match="begun with other data, parameters or seed"):
        EXPERIMENT.run(task, SMALL, dataset, 1, CPU, path)


def test_a_generator_is_trained_once_for_all_sizes(dataset):
    design = dataclasses.replace(SMALL, ipcs=(1, 3))
    rows = EXPERIMENT.run(Task("accuracy", "gan", 0), design, dataset, 0, CPU)
    assert [row["images"] for row in rows] == [10, 30]
    assert rows[0]["seconds"] == rows[1]["seconds"]


def test_too_few_images_of_a_class(dataset):
    with pytest.raises(ValueError, match="2000 images of a class: fashion_mnist_mini has 1000"):
        EXPERIMENT.tasks(dataclasses.replace(SMALL, ipcs=(2000,)), dataset)
