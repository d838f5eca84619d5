"""The experiment's contract, its bounds on real images, and its images of each case."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free import data
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.gibbs_ratio import EXPERIMENT
from privacy_for_free.experiments.gibbs_ratio.cases import case
from privacy_for_free.experiments.gibbs_ratio.design import fitting_sizes, tasks
from privacy_for_free.experiments.gibbs_ratio.measure import run
from privacy_for_free.experiments.gibbs_ratio.profiles import PROFILES
from privacy_for_free.stats.slopes import log_log
from privacy_for_free.theory import gibbs_models

CPU = torch.device("cpu")
MODELS = (
    "gaussian",
    "gaussian_kl",
    "logistic",
    "logistic_replace",
    "logistic_all_data",
    "logistic_random_subset",
    "sgld_network",
    "sgld_network_half_step",
)
TINY = replace(
    PROFILES["smoke"],
    sizes=(12, 40),
    images_per_class=(1, 4),
    subset_sizes=(12, 40),
    largest_enumeration=70,
    chain_sizes=(12,),
    chain_images=(3,),
    grid=(16, 48, 256),
    subset_grid=(12, 24, 128),
    chains=16,
    burn_in=5,
    steps=10,
    keep_every=5,
)


def dataset(classes=3, each=40, shape=(3, 6, 5)):
    stream = generator(0, "test images")
    tone = torch.rand(classes * each, 1, 1, 1, generator=stream)
    images = 0.5 * tone + 0.5 * torch.rand(classes * each, *shape, generator=stream)
    labels = torch.arange(classes * each) % classes
    return SimpleNamespace(
        train_images=images,
        train_labels=labels,
        of_class=lambda c: images[labels == c],
        classes=tuple("abc"[:classes]),
        name="made_up",
    )


def rows_of(model, n, parameters=TINY, replicate=0, images=None):
    return run((model, n, replicate), parameters, images or dataset(), 5, CPU)


# -------------------------------------------------------------------------------------------------- contract


def test_tasks_are_distinct_hashable_and_cover_every_model():
    planned = tasks(TINY, dataset())
    assert len(set(planned)) == len(planned)
    assert {EXPERIMENT.kind(task) for task in planned} == set(MODELS)
    assert planned == tasks(TINY, dataset())


@pytest.mark.parametrize("model", MODELS)
def test_rows_have_the_columns_and_do_not_depend_on_what_ran_before(model):
    alone = rows_of(model, 12)
    rows_of("sgld_network", 12)
    assert all(set(row) == set(EXPERIMENT.column_names) for row in alone)
    pd.testing.assert_frame_equal(pd.DataFrame(alone), pd.DataFrame(rows_of(model, 12)))


def test_first_columns_are_those_the_book_reads():
    assert EXPERIMENT.column_names[:5] == ("model", "n", "m", "bound", "observed")


def test_m_stays_at_or_below_half_of_n_and_enumerations_small():
    assert [row["m"] for row in rows_of("logistic", 12, replace(TINY, images_per_class=(1, 6, 7)))] == [1, 6]
    assert [row["m"] for row in rows_of("logistic_random_subset", 12)] == [1, 2]  # 220 triples are too many


def test_sizes_beyond_the_smallest_class_are_left_out():
    assert fitting_sizes((10, 40, 41), dataset()) == [10, 40]
    with pytest.raises(ValueError, match=r"sizes \(41,\): allowed are 2 to 40"):
        tasks(replace(TINY, sizes=(41,)), dataset())


def test_profiles_run_every_model():
    images = dataset(each=5000, shape=(1, 1, 1))
    for parameters in PROFILES.values():
        assert {task[0] for task in tasks(parameters, images)} == set(MODELS)


# ---------------------------------------------------------------------------------------------- real images


def test_smoke_on_real_images_keeps_every_bound():
    images = data.load("fashion_mnist_mini")
    parameters = PROFILES["smoke"]
    rows = [
        row
        for task in tasks(parameters, images)
        if task[2] == 0
        for row in run(task, parameters, images, 0, CPU)
    ]
    table = pd.DataFrame(rows)
    assert set(table["model"]) == set(MODELS)
    assert (table["observed"] > 0).all()
    assert (table["observed_fixed_x"] <= table["observed"]).all()
    assert (table["observed"] <= table["bound_this_x"] * (1 + 1e-12)).all()
    assert (table["bound_this_x"] <= table["bound"] * (1 + 1e-12)).all()
    chains = table[table["model"].str.startswith("sgld")]
    assert (chains["std_error"] < 0.1 * chains["observed"]).all()
    exact = table[~table["model"].str.startswith("sgld")]
    assert (exact["std_error"] == 0).all()
    first_order = exact[exact["model"] != "gaussian_kl"]
    lines = first_order["model"] + first_order["m"].astype(str)
    rate = log_log(first_order["n"], first_order["observed_fixed_x"], within=lines)
    assert rate[0] == pytest.approx(-1, abs=0.1)


# ----------------------------------------------------------------------------------------------------- cases


def drawn(n, images=None):
    return case(("logistic", n, 0), TINY, images or dataset(), 5, CPU)


def test_sets_of_one_replicate_are_nested_and_synthetic_means_are_right():
    small, large = drawn(12), drawn(40)
    assert small.classes == large.classes
    (images, followed), (more_images, also_followed) = small.in_full, large.in_full
    np.testing.assert_array_equal(images, more_images[:12])
    assert followed == also_followed
    points, others, pool = small.in_plane
    assert len(pool) == 40
    for synthetic, real in zip(small.synthetic(4), (points, others), strict=True):
        torch.testing.assert_close(synthetic.mean(0), real.mean(0))


def test_chains_remove_the_corners_that_move_most_and_the_followed_image():
    everything, two = drawn(40).removals(), drawn(40).removals(2)
    norms = everything[:-1].norm(dim=1).sort(descending=True).values
    assert two[:-1].norm(dim=1).tolist() == norms[:2].tolist()
    torch.testing.assert_close(two[-1], everything[-1])


def test_one_image_cannot_go():
    with pytest.raises(ValueError, match="n 1: allowed are whole numbers from 2 up"):
        drawn(1)


# ------------------------------------------------------------------------------------------------------ rows


def test_a_row_is_the_worst_of_all_removals():
    row = {row["m"]: row for row in rows_of("gaussian", 12)}[4]
    assert (row["tried"], row["dimension"], row["temperature"]) == (12, 90, 8.0)
    found = gibbs_models.gaussian(drawn(12).in_full[0], 4, 1.0, 1.0)
    assert row["observed"] == found.observed.max()
    assert row["bound"] == pytest.approx(4 / 12)


def test_the_divergence_has_a_bound_of_its_own():
    row = {row["m"]: row for row in rows_of("gaussian_kl", 12)}[4]
    assert row["bound"] == pytest.approx(4 * (2 / 12) ** 2 / 16)
    assert row["statistic"] == "kl_divergence"


def test_replacements_say_so_and_have_their_bounds():
    rows = {model: rows_of(model, 12)[0] for model in MODELS}
    assert {model for model, row in rows.items() if row["adjacency"] == "replace"} == {
        "logistic_replace", "logistic_all_data", "logistic_random_subset",
    }  # fmt: skip
    assert rows["logistic_all_data"]["bound"] == rows["logistic_replace"]["bound"] == pytest.approx(1 / 12)
    assert rows["logistic_random_subset"]["bound"] == pytest.approx(math.log1p(math.expm1(1) / 12))
    assert rows["sgld_network_half_step"]["step"] == rows["sgld_network"]["step"] / 2
