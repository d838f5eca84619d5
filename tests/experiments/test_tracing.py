"""The experiment's rows, where the answer is known: Gaussian images, exact means, and no leak at all."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import tracing
from privacy_for_free.attacks.tracing import LEDOIT_WOLF
from privacy_for_free.condensation import dm
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.tracing import EXPERIMENT, measure
from privacy_for_free.experiments.tracing.design import Design, Task, kind, tasks
from privacy_for_free.experiments.tracing.releases import Sample, disjoint
from privacy_for_free.lab import settings, table_text
from privacy_for_free.lab.run import run
from privacy_for_free.shadows.halves import random_halves
from privacy_for_free.theory import linear

CPU = torch.device("cpu")
RATES = (0.001, 0.01, 0.1, 0.3, 0.6, 1.0)


def dataset(train=280, test=120):
    """Two classes of Gaussian images with a covariance, 1 x 8 x 8."""
    stream = generator(0, "toy tracing")
    root = torch.linspace(0.3, 2.0, 64).diag() + 0.1
    labels = torch.arange(train + test) % 2
    images = torch.randn((train + test, 64), generator=stream) @ root + labels[:, None]
    images = images.reshape(-1, 1, 8, 8)
    return SimpleNamespace(
        name="toy", sha256="0" * 64, normalised=False, classes=("a", "b"), train_images=images[:train],
        train_labels=labels[:train], test_images=images[train:], test_labels=labels[train:],
        mean=images.mean((0, 2, 3)), std=images.std((0, 2, 3)),
    )  # fmt: skip


SMALL = Design(
    ns=(20, 50, 1000),
    factors=(2,),
    linear_ns=(50,),
    linear_ms=(1, 40),
    targets=40,
    dm_ns=(20, 1000),
    ipcs=(2,),
    dm=dm.DM(iterations=0, batch_real=8, width=4),
    dm_targets=12,
    extractors=2,
    features=12,
    auxiliary=100,
    shrinkages=(1.0, 0.01, LEDOIT_WOLF),
    dm_shrinkages=(0.1, LEDOIT_WOLF),
    predicted=1000,
    resamples=50,
)


def rows(task, parameters=SMALL):
    """The rows of a task run alone, through the same text as a record's."""
    columns = EXPERIMENT.column_names
    block = table_text.block(EXPERIMENT.run(task, parameters, dataset(), 0, CPU), columns, 0, sparse=True)
    return table_text.frame(table_text.whole(columns, {0: block}))


@pytest.fixture(scope="module")
def whole():
    """All tasks, as a record in memory; the fewer rates, the fewer intervals that take their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "FPRS", RATES)
        small = dataclasses.replace(EXPERIMENT, profiles={"smoke": SMALL})
        yield run(small, dataset(), device="cpu", shown=False).table


@pytest.fixture(scope="module")
def means(whole):
    return whole[whole.task == 1]


@pytest.fixture(scope="module")
def matched(whole):
    return whole[whole.task == 2]


def curves(table, column):
    return np.array([list(map(float, text.split())) for text in table[column]])


def test_tasks_are_the_sizes_there_are_images_for():
    found = tasks(SMALL, dataset())
    assert found == [("mean", 20, 2), ("mean", 50, 2), ("dm", 20, 1)]
    one = dataset(train=44, test=0)  # 22 per class: 20 members need 40
    with pytest.raises(
        ValueError, match=r"n \(20, 50, 1000\): toy has images for up to 10 members per class"
    ):
        tasks(SMALL, one)
    assert tasks(SMALL, dataset(train=84, test=0)) == [("mean", 20, 2), ("dm", 20, 1)]


def test_rows_fit_the_columns_and_the_grid(means, matched):
    for table in (means, matched):
        assert set(table.columns) == {*EXPERIMENT.column_names, "task"}
        assert (table.low <= table.observed_tpr).all()
        assert (table.observed_tpr <= table.high).all()
        assert (np.diff(curves(table, "roc")) >= 0).all()
    assert set(means.m) == {0, 1, 40}
    mean = means[means.method == "mean"]
    assert (
        len(mean) == 2 * len(SMALL.shrinkages) * 2 + 1
    )  # attackers, shrinkages, calibrations; and without data
    assert set(mean.attacker) == {"pool", "disjoint", "none"}
    assert (means.dimension == 16).all()
    assert (mean.members == 40 * 50 * 2).all()
    assert set(matched.statistic) == {"pixels", "features"}
    assert set(matched[matched.init == "noise"].population) == {"all"}
    started = matched[matched.population == "in_initialisation"]
    assert (started.members == 12 * 2 * 2).all()
    assert (matched[matched.population == "not_in_initialisation"].members == 12 * 2 * 18).all()


def test_observed_rates_are_the_exact_ones(means):
    """Within 4 binomial standard errors of TPR and FPR, pairs taken as independent."""
    mean = means[means.method == "mean"].dropna(subset="exact_roc")
    x, exact, observed = np.array(RATES), curves(mean, "exact_roc"), curves(mean, "roc")
    slope = np.gradient(exact, x, axis=1)
    pairs = mean.members.to_numpy()[:, None]
    error = np.sqrt(exact * (1 - exact) / pairs + slope**2 * x * (1 - x) / pairs)
    middle = (x >= 0.01) & (x < 1)
    assert np.abs((observed - exact)[:, middle] / error[:, middle]).max() < 4
    assert (mean.auc - mean.exact_auc).abs().max() < 4 * np.sqrt(1 / (6 * pairs.min()))
    pool = mean[(mean.attacker == "pool") & (mean.calibration == "standardised")]
    assert pool.set_index("shrinkage").auc["0.01"] > pool.set_index("shrinkage").auc["1.0"] > 0.55


def test_the_more_is_known_the_more_is_found(means):
    best = means[means.method == "mean"].groupby("attacker").auc.max()
    assert best["pool"] > best["disjoint"] > best["none"]


def test_linear_matching_leaks_what_the_means_do_whatever_m(means):
    chosen = means[means.shrinkage == "ledoit_wolf"]
    assert (chosen[chosen.method == "dm"].mean_error < 1e-10).all()
    attacks = chosen.groupby(["attacker", "calibration"])
    assert len(attacks) == 4
    for _, own in attacks:
        assert set(own.m) == {0, 1, 40}
        for column in ("roc", "observed_tpr", "auc"):
            assert own[column].nunique() == 1


def test_members_that_are_others_are_not_found(monkeypatch):
    real = tracing.class_means

    def of_other_halves(images, labels, membership, classes):
        drawn = random_halves(len(membership), labels, generator(1, "other halves"))
        return real(images, labels, drawn, classes)

    monkeypatch.setattr(tracing, "class_means", of_other_halves)
    few = dataclasses.replace(SMALL, linear_ns=())
    table = rows(Task("mean", 50, 2), parameters=few)
    assert (table.auc - 0.5).abs().max() < 4 * np.sqrt(1 / (6 * 40 * 50 * 2))
    assert (table.tpr_bootstrap_low <= 0.001).all()


def test_real_initialisation_is_found(matched):
    """DM of no iterations releases its initial images, two a class."""
    found = matched[(matched.init == "real") & (matched.attacker == "pool")]
    auc = found[found.calibration == "standardised"].groupby(["population", "statistic"]).auc.max()
    assert auc["in_initialisation", "pixels"] > 0.95
    assert auc["in_initialisation", "features"] > 0.9
    others = found[found.population == "not_in_initialisation"]
    assert (others.auc < 0.6).all()
    noise = matched[matched.init == "noise"]
    assert (noise.auc - 0.5).abs().max() < 0.15


def test_disjoint_images_are_never_pool_images():
    data = dataset()
    train, test = (
        Sample(images, labels)
        for images, labels in zip(standardised(data, CPU), (data.train_labels, data.test_labels), strict=True)
    )
    pool = shadows.draw(train.images, train.labels, 240, 4, 0, 2)
    other = disjoint(pool, train, test, 1000, 0)
    assert len(other.labels) == 280 + 120 - 240  # all that are left, from both sets
    distances = torch.cdist(linear.flatten(other.images), linear.flatten(pool.images))
    assert distances.min() > 1e-3
    everything = torch.cat([train.images, test.images])
    within = torch.cdist(linear.flatten(other.images), linear.flatten(everything))
    assert (within.argmin(1).unique(return_counts=True)[1] == 1).all()
    at = within.argmin(1)
    assert torch.equal(torch.cat([train.labels, test.labels])[at], other.labels)
    few = disjoint(pool, train, test, 5, 0)
    assert torch.bincount(few.labels).tolist() == [5, 5]


@pytest.mark.parametrize("number", [0, 2])
def test_a_task_alone_gives_the_rows_of_a_whole_run(number, whole):
    alone = rows(tasks(SMALL, dataset())[number])
    part = whole[whole.task == number].reset_index(drop=True)
    constant = ["task", "seconds"]
    assert len(part) > 0
    pd.testing.assert_frame_equal(
        alone.drop(columns=constant).astype({"shrinkage": str}),
        part.drop(columns=constant).astype({"shrinkage": str}),
        check_exact=True, check_dtype=False,
    )  # fmt: skip


def test_reduced_design_has_every_kind_of_task():
    laptop = EXPERIMENT.profiles["laptop"]
    reduced = settings.change(laptop, EXPERIMENT.reduced)
    assert reduced.dm.compile
    full = SimpleNamespace(
        name="full", classes=("a",), train_labels=torch.zeros(5000, dtype=torch.int64),
        test_labels=torch.zeros(1000, dtype=torch.int64),
    )  # fmt: skip
    assert {kind(task) for task in tasks(reduced, full)} == {kind(task) for task in tasks(laptop, full)}
