"""The models' log ratios against plain sums, and the images that are tried against trying all."""

import math

import numpy as np
import pytest
import torch

from privacy_for_free.core.randomness import generator, numpy_generator
from privacy_for_free.theory import gibbs, gibbs_models, langevin
from privacy_for_free.theory.gibbs_models import Chains

GRID, DISK = (16, 48, 256), 10.0


def images(count=12, shape=(3, 6, 5), purpose="images"):
    stream = generator(0, f"gibbs models {purpose}")
    tone = torch.rand(count, 1, 1, 1, generator=stream)
    return 0.5 * tone + 0.5 * torch.rand(count, *shape, generator=stream)


@pytest.fixture(scope="module")
def points():
    return gibbs_models.project(images())


@pytest.fixture(scope="module")
def others():
    return gibbs_models.project(images(purpose="others"))


@pytest.fixture(scope="module")
def pool():
    return gibbs_models.project(images(40, purpose="pool"))


def every_pair(points, pool):
    leaving, coming = (part.flatten() for part in np.indices((len(points), len(pool))))
    return leaving, pool[coming]


# ---------------------------------------------------------------------------------------------------- images


def test_scale_keeps_norms_at_or_below_one():
    extreme = torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2), torch.full((3, 2, 2), 0.5)])
    assert gibbs_models.scale(extreme).norm(dim=1).tolist() == pytest.approx([1, 1, 0])
    with pytest.raises(ValueError, match="images from 0 to 2: allowed are floats from 0 to 1"):
        gibbs_models.scale(2 * extreme)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 4)])
def test_plane_is_orthonormal(shape):
    basis = gibbs_models.plane(shape)
    torch.testing.assert_close(basis.T @ basis, torch.eye(2, dtype=torch.float64))
    bright = gibbs_models.scale(torch.ones(1, *shape)) @ basis
    torch.testing.assert_close(bright, torch.tensor([[1.0, 0.0]], dtype=torch.float64))


def test_project_is_scaling_then_the_plane():
    many = images(600)  # more than are projected at a time
    naive = gibbs_models.scale(many) @ gibbs_models.plane((3, 6, 5))
    torch.testing.assert_close(gibbs_models.project(many), naive)


def test_the_followed_image_is_one_of_the_first(pool):
    points = torch.zeros(20, 2, dtype=torch.float64) + pool.mean(0)
    points[7, 0] += 0.1
    points[15, 0] += 0.5
    assert gibbs_models.far_from_mean(points, pool) == 7


def test_replacements_are_the_farthest_pairs_and_last_the_followed_one(points, pool):
    leaving, coming = gibbs_models.replacements(points, pool, 5)
    distances = (points[:, None] - pool[None]).norm(dim=-1)
    tried = (points[leaving] - coming).norm(dim=1)
    assert tried[0] == pytest.approx(distances.max())
    assert (tried[:5].diff() <= 0).all()
    corners = set(gibbs.extreme_rows(points.numpy()).tolist())
    assert set(leaving[:5].tolist()) <= corners
    followed = gibbs_models.far_from_mean(points, pool)
    assert leaving[-1] == followed
    assert tried[-1] == pytest.approx(distances[followed].max())


# -------------------------------------------------------------------------------------------------- gaussian


def test_gaussian_removes_each_image():
    rows = gibbs_models.scale(images()).numpy()
    mean = rows.mean(0)
    found = gibbs_models.gaussian(rows, 4, 1.0, 1.0)
    shifts = [np.delete(rows, i, 0).mean(0) - mean for i in range(12)]
    each = [gibbs.gaussian_log_ratio(mean, shift[None], 4, 8.0, 1.0)[0] for shift in shifts]
    assert found.observed == pytest.approx(np.array(each), rel=1e-12)
    assert (found.temperature, found.lipschitz) == (8.0, 2.0)
    assert (found.observed <= found.bounds).all()


def test_kl_is_the_mean_of_an_unbounded_log_ratio():
    rows = gibbs_models.scale(images()).numpy()
    found = gibbs_models.gaussian_kl(rows, 4, 1.0, 1.0)
    assert found.observed == pytest.approx(4 * found.shift_norms**2 / 16)
    assert math.isinf(found.lipschitz)


# -------------------------------------------------------------------------------------------------- logistic


def test_corners_of_the_hull_are_the_worst_removals(points, others):
    """Trying all 12 images finds none worse, beyond second order."""
    synthetic = points[:4] + points.mean(0) - points[:4].mean(0)
    shifts = gibbs.removal_shifts(points)
    corners = gibbs.extreme_rows(points.numpy())
    some, everything = (
        gibbs_models.logistic(synthetic, others[:4], tried, 1.0, DISK, GRID)
        for tried in (shifts[corners], shifts)
    )
    assert len(some.observed) < len(everything.observed) == 12
    assert some.observed.max() == pytest.approx(everything.observed.max(), rel=1e-9)
    assert (everything.observed <= everything.bounds).all()


@pytest.mark.parametrize(
    ("model", "m"), [("logistic_all_data", 4), ("logistic_random_subset", 1), ("logistic_random_subset", 2)]
)
def test_replacements_tried_are_close_to_the_worst_of_all(points, others, pool, model, m):
    function = getattr(gibbs_models, model)
    settings = (m, 1.0, DISK, (12, 24, 128))
    some = function(points, others, gibbs_models.replacements(points, pool, 16), *settings)
    everything = function(points, others, every_pair(points, pool), *settings)
    largest = everything.observed.max()
    assert len(everything.observed) == 12 * 40
    assert 0.97 * largest <= some.observed.max() <= largest * (1 + 1e-12)
    assert (everything.observed <= everything.bounds * (1 + 1e-12)).all()


def test_all_data_against_plain_sums(points, others, pool):
    leaving, coming = gibbs_models.replacements(points, pool, 6)
    theta, prior = gibbs.disk_grid(DISK, *GRID)
    tau = 4 * DISK * 12 / 4

    def log_density(points):
        losses = torch.log1p(torch.exp(-points @ theta.T)), torch.log1p(torch.exp(others @ theta.T))
        energy = (losses[0].sum(0) + losses[1].sum(0)) / tau
        return -energy - torch.log(prior @ torch.exp(-energy))

    ratios = []
    for i, new in zip(leaving, coming, strict=True):
        replaced = points.clone()
        replaced[i] = new
        ratios.append((log_density(points) - log_density(replaced)).abs().max().item())
    found = gibbs_models.logistic_all_data(points, others, (leaving, coming), 4, 1.0, DISK, GRID)
    assert found.observed == pytest.approx(np.array(ratios), rel=1e-9)
    assert found.temperature == pytest.approx(tau)


# --------------------------------------------------------------------------------------------------- network


def test_an_image_that_does_not_move_changes_nothing_and_one_that_does_stays_under_its_bound(points, others):
    chains = Chains(count=8, burn_in=5, steps=10, keep_every=5)
    shifts = torch.tensor([[0.0, 0.0], [0.01, -0.02]], dtype=torch.float64)
    found = gibbs_models.network(points[:3], others[:3], shifts, 1.0, chains, generator(0, "chains"))
    assert found.observed[0] == found.bounds[0] == found.errors[0] == found.log_normalisers[0] == 0
    assert 0 < found.observed[1] <= found.bounds[1]
    assert found.lipschitz == langevin.network_lipschitz(2.0)


def test_refined_chains_cover_the_same_time():
    chains = Chains(step=0.02, burn_in=10, steps=20, keep_every=5)
    half = chains.refined(2)
    assert (half.step, half.burn_in, half.steps, half.keep_every) == (0.01, 20, 40, 10)
    assert chains.refined(1) == chains


def test_worst_is_the_row_of_the_largest_log_ratio():
    values = numpy_generator(0, "ratios").uniform(size=(3, 5))
    values[0] = [0.1, 0.4, 0.9, 0.2, 0.3]
    row = gibbs_models.LogRatios(*values, lipschitz=2.0, temperature=8.0).worst(followed=1)
    assert (row["observed"], row["observed_fixed_x"], row["tried"]) == (0.9, 0.4, 5)
    assert (row["bound_this_x"], row["shift_norm"]) == (values[1, 2], values[2, 2])
    assert not {"std_error", "log_normaliser"} & set(row)
