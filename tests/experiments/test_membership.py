"""The experiment's rows, where the leaks are known: raw images, and nothing at all."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free.attacks import evaluation
from privacy_for_free.condensation import dm, gradient_matching, kip
from privacy_for_free.experiments.membership import EXPERIMENT
from privacy_for_free.experiments.membership.design import FULL, Design, images_per_class, tasks
from privacy_for_free.experiments.membership.inputs import hard_labelled
from privacy_for_free.experiments.membership.measure import run
from privacy_for_free.lab import provenance, settings
from privacy_for_free.lab import run as lab_run
from privacy_for_free.nets import training
from privacy_for_free.nets.schedule import Schedule

CPU = torch.device("cpu")
TIMES = ["condense_seconds", "train_seconds"]


SMALL = Design(
    pool=200,
    shadows=12,
    fewer=(8,),
    cells=(
        ("random_subset", "real", 0.1, 12),
        ("dm", "real", 0.1, 12),
        ("dm", "noise", 0.1, 12),
        ("kip", "noise", 0.1, 8),
        ("dsa", "real", 0.1, 8),
        ("full", "real", FULL, 12),
    ),
    width=16,
    dm=dm.DM(iterations=0, batch_real=8, width=4),
    dsa=gradient_matching.GradientMatching(iterations=1, batch_real=8, width=4, inner_loop=1, outer_loop=1),
    kip=kip.KIP(iterations=1, batch_targets=20),
    schedule=Schedule(epochs=40, learning_rate=0.03),
    full_schedule=Schedule(epochs=60, learning_rate=0.05, batch=32),
    resamples=200,
)


@pytest.fixture(scope="module")
def table(memorable):
    found = tasks(SMALL, memorable)
    assert [task.ratio for task in found] == [0.1, 0.0]
    return pd.DataFrame([row for task in found for row in run(task, SMALL, memorable, 0, CPU)])


def pick(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def test_rows_fit_the_columns_and_the_grid(table):
    assert set(table.columns) == set(EXPERIMENT.column_names)
    networks = table[table.release != "synthetic_set"]
    assert set(networks.attack) == set(evaluation.NETWORK)
    released = table[table.release == "synthetic_set"]
    assert set(released.attack) == {"nearest", "nearest_lira_online", "tracing", "tracing_lira_online"}
    assert "full" not in set(released.method)
    assert set(table[table.init == "noise"].population) == {"all"}
    real = table[(table.init == "real") & (table.method != "full")]
    assert set(real.population) == {"all", "in_initialisation", "not_in_initialisation"}
    assert (table[(table.population == "all") & (table.shadows == 12)].members == 1200).all()
    assert (pick(table, population="in_initialisation", shadows=12).members == 12 * 10).all()
    assert set(pick(table, method="kip").shadows) == {8}
    assert set(pick(table, release="dm").shadows) == {12, 8}
    assert (pick(table, method="dm").ipc == 5).all()
    assert pick(table, method="full")[["ipc", "ratio"]].to_numpy().tolist()[0] == [50, 1.0]
    assert (table[TIMES] >= 0).all(axis=None)
    curves = np.array([list(map(float, text.split())) for text in table.roc])
    assert curves.shape[1] == len(evaluation.FPRS)
    assert (np.diff(curves) >= 0).all()
    assert (table.advantage_low <= table.advantage_high).all()


def test_the_baseline_is_in_every_comparison(table):
    with_base = table[~table.method.isin(["random_subset", "full"]) & (table.method != "dm")]
    assert pick(table, method="random_subset").difference.isna().all()
    assert pick(table, method="full").difference.isna().all()
    assert pick(table, method="dm").difference.notna().all()
    for row in with_base.itertuples():
        base = pick(
            table, method="random_subset", attack=row.attack, population=row.population, shadows=row.shadows
        )
        assert len(base) <= 1
        assert (len(base) == 1) == (row.difference == row.difference)
    row = pick(table, release="dm", init="noise", attack="loss", shadows=12).iloc[0]
    base = pick(table, release="random_subset", attack="loss", population="all", shadows=12).iloc[0]
    assert row.difference == row.advantage - base.advantage


def test_networks_that_saw_raw_images_give_them_away(table):
    full = pick(table, release="full", attack="lira_online_fixed", shadows=12).iloc[0]
    assert full.auc > 0.6
    assert full.advantage_low > 0.1
    assert full.member_accuracy > full.nonmember_accuracy + 0.2
    subset = pick(table, release="random_subset", attack="loss", shadows=12)
    assert pick(subset, population="in_initialisation").auc.item() > 0.7
    assert abs(pick(subset, population="not_in_initialisation").auc.item() - 0.5) < 0.06


def test_real_initialisation_without_steps_is_found_at_once(table):
    """DM of no iterations releases its initial images."""
    found = pick(table, release="synthetic_set", method="dm", init="real", attack="nearest", shadows=12)
    assert pick(found, population="in_initialisation").auc.item() == 1.0
    assert pick(found, population="in_initialisation")["tpr_at_fpr_1e-3"].item() == 1.0
    assert pick(found, population="in_initialisation").advantage.item() > 0.98
    assert abs(pick(found, population="not_in_initialisation").auc.item() - 0.5) < 0.06
    noise = pick(table, method="dm", init="noise", shadows=12, population="all")
    assert (noise[noise.attack != "lira_online"].auc - 0.5).abs().max() < 0.1


def test_a_task_cut_off_goes_on_where_it_was(tmp_path, monkeypatch, memorable):
    cells = tuple((*cell[:3], 8) for cell in SMALL.cells[:2])
    few = dataclasses.replace(
        SMALL, cells=cells, dm=dataclasses.replace(SMALL.dm, iterations=3), shadows=8, fewer=()
    )
    small = dataclasses.replace(EXPERIMENT, profiles={"smoke": few})
    monkeypatch.setattr("privacy_for_free.shadows.answers.SAVE_SECONDS", -1.0)
    options = {"device": "cpu", "shown": False}
    whole = lab_run.run(small, memorable, **options)
    trained, train = [], training.train

    def killed(*given):
        trained.append(given[-1])
        if len(trained) == 12:
            raise KeyboardInterrupt
        return train(*given)

    monkeypatch.setattr(training, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        lab_run.run(small, memorable, results_dir=tmp_path, **options)
    left = sorted(path.name for path in (tmp_path / "membership").glob("*checkpoint"))
    assert left == [
        "toy-smoke.0.dm-real.checkpoint",
        "toy-smoke.0.dm-real.sets.checkpoint",
        "toy-smoke.0.random_subset-real.checkpoint",
    ]
    resumed = lab_run.run(small, memorable, results_dir=tmp_path, **options)
    assert trained == [*range(8), 0, 1, 2, 3, 3, 4, 5, 6, 7]
    assert not list((tmp_path / "membership").glob("*checkpoint*"))
    pd.testing.assert_frame_equal(resumed.table.drop(columns=TIMES), whole.table.drop(columns=TIMES))


def numbers_of(design):
    return {cell[0]: cell[3] for cell in design.cells}


def test_cells_follow_the_number_of_shadows():
    laptop = EXPERIMENT.profiles["laptop"]
    design, _ = lab_run.designed(EXPERIMENT, "laptop", {"shadows": 32})
    assert numbers_of(design) == {"random_subset": 32, "dm": 32, "kip": 32, "dsa": 16, "full": 32}
    assert [cell[:3] for cell in design.cells] == [cell[:3] for cell in laptop.cells]
    assert (design.shadows, design.fewer) == (32, (16,))
    few, _ = lab_run.designed(EXPERIMENT, "laptop", {"shadows": 8})
    assert (set(numbers_of(few).values()), few.fewer) == ({8}, ())
    more, _ = lab_run.designed(EXPERIMENT, "smoke", {"shadows": 16})
    assert set(numbers_of(more).values()) == {16}
    other, _ = lab_run.designed(EXPERIMENT, "laptop", {"dm.iterations": 100})
    assert (other.cells, other.fewer) == (laptop.cells, laptop.fewer)


def test_cells_that_are_given_stay_as_they_are():
    cells = (("dm", "real", 0.05, 4), ("full", "real", FULL, 6))
    design, _ = lab_run.designed(EXPERIMENT, "smoke", {"shadows": 6, "cells": cells})
    assert design.cells == cells
    kept, _ = lab_run.designed(EXPERIMENT, "laptop", {"shadows": 32, "fewer": (24,)})
    assert kept.fewer == (24,)
    with pytest.raises(ValueError, match="cells with 6 shadows: allowed are at most the 4 of shadows"):
        lab_run.designed(EXPERIMENT, "smoke", {"shadows": 4, "cells": cells})
    with pytest.raises(ValueError, match="cells with 9 shadows: allowed are at most the 8 of shadows"):
        lab_run.designed(EXPERIMENT, "smoke", {"cells": (("dm", "real", 0.05, 9),)})
    reduced, _ = lab_run.designed(EXPERIMENT, "laptop", EXPERIMENT.reduced)
    assert reduced == settings.change(EXPERIMENT.profiles["laptop"], EXPERIMENT.reduced)


def test_a_smoke_run_attacks_with_the_shadows_it_is_told(memorable):
    changes = {"shadows": 10, "schedule.epochs": 1, "resamples": 20, "dm.iterations": 1, "kip.iterations": 1}
    design, _ = lab_run.designed(EXPERIMENT, "smoke", changes)
    first = tasks(design, memorable)[0]
    rows = run(first, design, memorable, 0, CPU)
    assert {row["method"] for row in rows} == {"random_subset", "dm", "kip", "dsa"}
    assert {row["shadows"] for row in rows} == {10}


def test_records_do_not_depend_on_what_adapts_a_design():
    found = provenance.definitions_of(EXPERIMENT.roots)
    assert any("membership.design" in name for name in found)
    assert not any("membership.adapting" in name for name in found)


def labelled(classes, per_class):
    """A data set of which only the labels are looked at."""
    labels = torch.arange(classes).repeat(per_class)
    return SimpleNamespace(classes=range(classes), train_labels=labels)


def test_sizes_that_are_no_whole_images_are_refused(memorable):
    odd = dataclasses.replace(SMALL, cells=(("dm", "real", 0.03, 12),))
    with pytest.raises(
        ValueError, match=r"ratio 0.03: 1.5 images per class, allowed are whole numbers from 1"
    ):
        tasks(odd, memorable)
    for profile in ("laptop", "paper"):
        for classes in (2, 10):
            data = labelled(classes, 50_000 // classes)
            assert len(tasks(EXPERIMENT.profiles[profile], data)) == 4


def test_a_pool_larger_than_the_data_set_is_refused(memorable):
    with pytest.raises(ValueError, match="pool of 402 images: allowed are positive multiples of 4"):
        tasks(dataclasses.replace(SMALL, pool=402), memorable)
    large = dataclasses.replace(SMALL, pool=800)
    with pytest.raises(ValueError, match="pool of 800 images: 400 of class 0 asked for, there are 200"):
        tasks(large, memorable)


def test_images_per_class_of_a_ratio():
    assert images_per_class(0.1, SMALL, 2) == 5
    assert images_per_class(FULL, SMALL, 2) == 0


def test_learnt_labels_are_taken_for_their_largest():
    images, hard = torch.zeros(2, 1, 2, 2), torch.tensor([1, 0])
    assert hard_labelled(images, hard)[1] is hard
    learnt = torch.tensor([[-0.5, 0.5], [0.4, -0.4]])
    assert hard_labelled(images, learnt)[1].tolist() == [1, 0]


def test_the_reduced_design_has_tasks_of_every_kind(memorable):
    reduced = settings.change(EXPERIMENT.profiles["laptop"], EXPERIMENT.reduced)
    found = tasks(reduced, labelled(10, 40))
    assert {EXPERIMENT.kind(task) for task in found} == {0.05, 0.1, FULL}
    assert reduced.dm.compile
    assert reduced.every == 5
