"""Every release of the small profile: what it says of itself, what an audit finds, and how it resumes."""

import dataclasses
import math

import pandas as pd
import pytest
import torch

from privacy_for_free import data
from privacy_for_free.experiments.private_release import measure as experiment
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.lab import records
from privacy_for_free.private.accounting import Mechanism

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset():
    return data.load("fashion_mnist_mini")


SMALL = dataclasses.replace(experiment.PROFILES["smoke"], audit_runs=40, audit_pilots=10)
SMALL = dataclasses.replace(SMALL, ndpdc=dataclasses.replace(SMALL.ndpdc, iterations=1))
SMALL = dataclasses.replace(SMALL, dp_sgd=dataclasses.replace(SMALL.dp_sgd, steps=1), ipcs=(1,))


@pytest.fixture(scope="module")
def table(dataset):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "PROFILES", {"smoke": SMALL})
        yield records.run(experiment, dataset, device="cpu", progress=False).table


def test_every_mechanism_has_its_rows(table):
    made = table[table.kind == "accuracy"]
    assert set(made.mechanism) == {*experiment.CONDENSERS, "dp_sgd", *experiment.WITHOUT, "full"}
    for name in (*experiment.CONDENSERS, "dp_sgd"):
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
    made = table[table.mechanism.isin(experiment.CONDENSERS) & (table.epsilon == math.inf)]
    assert (made.noise_multiplier == 0).all()
    assert made.epsilon_rdp.isna().all()


def test_audits_stay_below_and_catch_what_is_broken(table):
    audits = table[table.kind == "audit"]
    kept = audits[audits.broken.isna()]
    assert len(kept) == 6
    assert (kept.epsilon_audited <= kept.epsilon).all()
    assert (audits[audits.broken.notna()].epsilon_audited > 1).all()


def test_a_released_set_is_the_mechanisms_own(dataset):
    """The task's image set, made by hand: seed, noise and scaling."""
    task = experiment.Task("accuracy", "linear", 0)
    first = experiment.run_task(task, SMALL, dataset, 3, CPU)
    again = experiment.run_task(task, SMALL, dataset, 3, CPU)
    keep = [c for c in experiment.COLUMNS if not c.endswith("seconds")]
    pd.testing.assert_frame_equal(pd.DataFrame(first)[keep], pd.DataFrame(again)[keep])
    images, _ = scaled_publicly(dataset, CPU)
    assert float(images.min()) == -1
    assert float(images.max()) == 1
    standardised = data.load("fashion_mnist_mini", normalise=True)
    torch.testing.assert_close(scaled_publicly(standardised, CPU)[0], images, rtol=0, atol=1e-5)


def test_a_killed_task_goes_on_where_it_was(dataset, tmp_path, monkeypatch):
    task = experiment.Task("accuracy", "one_release", 0)
    whole = experiment.run_task(task, SMALL, dataset, 0, CPU)
    path = tmp_path / "one.checkpoint"
    learn, calls = experiment.Bench.learn, []

    def dies(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return learn(self, *arguments)

    monkeypatch.setattr(experiment.Bench, "learn", dies)
    with pytest.raises(KeyboardInterrupt):
        experiment.run_task(task, SMALL, dataset, 0, CPU, path)
    monkeypatch.setattr(experiment.Bench, "learn", learn)
    monkeypatch.setattr(experiment.nc, "clipped_feature_sums", None)  # they are in the checkpoint
    resumed = experiment.run_task(task, SMALL, dataset, 0, CPU, path)
    keep = [c for c in experiment.COLUMNS if not c.endswith("seconds")]
    pd.testing.assert_frame_equal(pd.DataFrame(resumed)[keep], pd.DataFrame(whole)[keep])


def test_a_generator_is_trained_once_for_all_sizes(dataset):
    parameters = dataclasses.replace(SMALL, ipcs=(1, 3))
    task = experiment.Task("accuracy", "gan", 0)
    rows = experiment.run_task(task, parameters, dataset, 0, CPU)
    assert [row["images"] for row in rows] == [10, 30]
    assert rows[0]["seconds"] == rows[1]["seconds"]


def test_too_few_images_of_a_class(dataset):
    with pytest.raises(ValueError, match="2000 images of a class: fashion_mnist_mini has 1000"):
        experiment.tasks(dataclasses.replace(SMALL, ipcs=(2000,)), dataset)
