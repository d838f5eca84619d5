"""The experiment's contract, its bounds on real images, and its shortcuts against trying every image."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free import data
from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.gibbs_ratio import measure as gibbs_ratio
from privacy_for_free.stats.slopes import log_log
from privacy_for_free.theory import gibbs

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
    gibbs_ratio.PROFILES["smoke"],
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
    return gibbs_ratio.run_task((model, n, replicate), parameters, images or dataset(), 5, CPU)


# -------------------------------------------------------------------------------------------------- contract


def test_tasks_are_distinct_hashable_and_cover_every_model():
    tasks = gibbs_ratio.tasks(TINY, dataset())
    assert len(set(tasks)) == len(tasks)
    assert {model for model, _, _ in tasks} == set(MODELS)
    assert tasks == gibbs_ratio.tasks(TINY, dataset())


@pytest.mark.parametrize("model", MODELS)
def test_rows_have_the_columns_and_do_not_depend_on_what_ran_before(model):
    alone = rows_of(model, 12)
    rows_of("sgld_network", 12)
    assert [tuple(row) for row in alone] == [gibbs_ratio.COLUMNS] * len(alone)
    pd.testing.assert_frame_equal(pd.DataFrame(alone), pd.DataFrame(rows_of(model, 12)))


def test_first_columns_are_those_the_book_reads():
    assert gibbs_ratio.COLUMNS[:5] == ("model", "n", "m", "bound", "observed")


def test_m_stays_at_or_below_half_of_n_and_enumerations_small():
    assert [row["m"] for row in rows_of("logistic", 12, replace(TINY, images_per_class=(1, 6, 7)))] == [1, 6]
    assert [row["m"] for row in rows_of("logistic_random_subset", 12)] == [1, 2]  # 220 triples are too many


def test_sizes_beyond_the_smallest_class_are_left_out():
    assert gibbs_ratio.fitting_sizes((10, 40, 41), dataset()) == [10, 40]
    with pytest.raises(ValueError, match=r"sizes \(41,\): allowed are 2 to 40"):
        gibbs_ratio.tasks(replace(TINY, sizes=(41,)), dataset())


def test_profiles_run_every_model():
    images = dataset(each=5000, shape=(1, 1, 1))
    for parameters in gibbs_ratio.PROFILES.values():
        assert {task[0] for task in gibbs_ratio.tasks(parameters, images)} == set(MODELS)


# ---------------------------------------------------------------------------------------------- real images


def test_smoke_on_real_images_keeps_every_bound():
    images = data.load("fashion_mnist_mini")
    parameters = gibbs_ratio.PROFILES["smoke"]
    rows = [
        row
        for task in gibbs_ratio.tasks(parameters, images)
        if task[2] == 0
        for row in gibbs_ratio.run_task(task, parameters, images, 0, CPU)
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


# ------------------------------------------------------------------------------------------------- shortcuts


def test_scale_keeps_norms_at_or_below_one():
    extreme = torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2), torch.full((3, 2, 2), 0.5)])
    assert gibbs_ratio.scale(extreme).norm(dim=1).tolist() == pytest.approx([1, 1, 0])
    with pytest.raises(ValueError, match="pixels from 0 to 2, allowed are 0 to 1"):
        gibbs_ratio.scale(2 * extreme)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 4)])
def test_plane_is_orthonormal(shape):
    basis = gibbs_ratio.plane(shape)
    torch.testing.assert_close(basis.T @ basis, torch.eye(2, dtype=torch.float64))
    bright = gibbs_ratio.scale(torch.ones(1, *shape)) @ basis
    torch.testing.assert_close(bright, torch.tensor([[1.0, 0.0]], dtype=torch.float64))


def test_project_is_scaling_then_the_plane():
    images = dataset(each=200).train_images  # more than are projected at a time
    naive = gibbs_ratio.scale(images) @ gibbs_ratio.plane((3, 6, 5))
    torch.testing.assert_close(gibbs_ratio.project(images), naive)


def test_sets_of_one_replicate_are_nested_and_synthetic_means_are_right():
    small, large = (gibbs_ratio._Problem(TINY, dataset(), 5, n, 0, CPU) for n in (12, 40))
    assert small.classes == large.classes
    (images, followed), (more_images, also_followed) = small.in_full, large.in_full
    np.testing.assert_array_equal(images, more_images[:12])
    assert followed == also_followed
    points, _, pool = small.in_plane
    assert len(pool) == 40
    torch.testing.assert_close(small.synthetic(points, 0, 4).mean(0), points.mean(0))


def test_logistic_tries_the_worst_removal():
    # The row tries the corners of the hull; trying all 40 images finds none worse, beyond second order.
    problem = gibbs_ratio._Problem(TINY, dataset(), 5, 40, 0, CPU)
    points, others, _ = problem.in_plane
    _, everything = gibbs_ratio._condensed_logistic(problem, 4, points, others, gibbs.removal_shifts(points))
    corners = {row["m"]: row for row in rows_of("logistic", 40)}[4]
    assert corners["tried"] < everything["tried"] == 40
    assert corners["observed"] == pytest.approx(everything["observed"], rel=1e-9)


@pytest.mark.parametrize("model", ["logistic_replace", "logistic_all_data", "logistic_random_subset"])
def test_replacements_tried_are_close_to_the_worst_of_all(monkeypatch, model):
    def all_pairs(problem, points, pool):
        leaving, coming = (part.flatten() for part in np.indices((len(points), len(pool))))
        return leaving, pool[coming]

    few = rows_of(model, 12)
    monkeypatch.setattr(gibbs_ratio, "_replacements", all_pairs)
    for some, everything in zip(few, rows_of(model, 12), strict=True):
        assert everything["tried"] == 12 * 40
        assert 0.97 * everything["observed"] <= some["observed"] <= everything["observed"] * (1 + 1e-12)


def test_all_data_row_against_plain_sums():
    problem = gibbs_ratio._Problem(TINY, dataset(), 5, 12, 0, CPU)
    points, others, pool = problem.in_plane
    leaving, coming = gibbs_ratio._replacements(problem, points, pool)
    theta, prior = gibbs.disk_grid(TINY.disk_radius, *TINY.grid)
    tau = 4 * TINY.disk_radius / TINY.epsilon0 * 12 / 4

    def log_density(points):
        losses = torch.log1p(torch.exp(-points @ theta.T)), torch.log1p(torch.exp(others @ theta.T))
        energy = (losses[0].sum(0) + losses[1].sum(0)) / tau
        return -energy - torch.log(prior @ torch.exp(-energy))

    ratios = []
    for i, new in zip(leaving, coming, strict=True):
        replaced = points.clone()
        replaced[i] = new
        ratios.append((log_density(points) - log_density(replaced)).abs().max().item())
    row = {row["m"]: row for row in rows_of("logistic_all_data", 12)}[4]
    assert row["observed"] == pytest.approx(max(ratios), rel=1e-9)
    assert row["temperature"] == pytest.approx(tau)


def test_gaussian_rows_take_the_worst_of_all_removals():
    images = gibbs_ratio._Problem(TINY, dataset(), 5, 12, 0, CPU).in_full[0]
    mean = images.mean(0)
    row = {row["m"]: row for row in rows_of("gaussian", 12)}[4]
    shifts = [np.delete(images, i, 0).mean(0) - mean for i in range(12)]
    each = [gibbs.gaussian_log_ratio(mean, shift[None], 4, 8.0, 1.0) for shift in shifts]
    assert row["observed"] == pytest.approx(max(each)[0], rel=1e-12)
    assert (row["tried"], row["dimension"], row["temperature"]) == (12, 90, 8.0)


def test_kl_is_the_mean_of_an_unbounded_log_ratio():
    row = {row["m"]: row for row in rows_of("gaussian_kl", 12)}[4]
    assert row["observed"] == pytest.approx(4 * row["shift_norm"] ** 2 / 16)
    assert row["bound"] == pytest.approx(4 * (2 / 12) ** 2 / 16)
    assert math.isinf(row["lipschitz"])


# ----------------------------------------------------------------------------------------------------- slopes


def test_slopes_recover_known_exponents():
    table = pd.DataFrame(
        [
            {"model": "a", "n": n, "m": m, "replicate": k, "observed": (1 + k) * m**1.5 / n ** (1 + 0.1 * k)}
            for n in (10, 100, 300)
            for m in (1, 2, 7)
            for k in range(3)
        ]
    ).assign(observed_fixed_x=lambda t: t["observed"] ** 2)
    once = table[table["replicate"] == 0].assign(model="single")
    both = pd.concat([table, once])
    against_n = gibbs_ratio.slopes(both, "n")
    assert against_n["model"].tolist() == ["a"]
    assert against_n["slope"].item() == pytest.approx(-1.1)
    assert against_n["low"].item() < -1.2 < -1.0 < against_n["high"].item()
    assert gibbs_ratio.slopes(both, "m")[["slope", "low", "high"]].values[0] == pytest.approx(1.5)
    assert gibbs_ratio.slopes(both, "m", "observed_fixed_x")["slope"].item() == pytest.approx(3)
    with pytest.raises(ValueError, match="against 'k': known are n, m"):
        gibbs_ratio.slopes(table, "k")
