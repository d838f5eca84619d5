"""The search against a loop over all pairs, and the groups of members that it goes through."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import image_distance
from privacy_for_free.attacks.image_distance import nearest
from privacy_for_free.attacks.image_distance.metrics import distance
from privacy_for_free.core.randomness import generator


def test_nearest_is_that_of_a_loop_over_all(metric, side, pictures, monkeypatch):
    monkeypatch.setattr(nearest, "CHUNK", 4)
    images, candidates = pictures(6, 1, side), pictures(11, 1, side, seed=1)
    candidates[7] = images[2]
    stream = generator(0, "allowed")
    allowed = torch.rand((3, 2, 11), generator=stream) < 0.5
    allowed[:, :, 7] = True
    owner = torch.tensor([0, 1, 1, 0, 0, 1])
    found = nearest.nearest(metric, images, candidates, allowed, owner)
    for g in range(3):
        for m in range(6):
            usable = allowed[g, owner[m]].nonzero()[:, 0]
            distances = distance(metric, images[m].expand(len(usable), -1, -1, -1), candidates[usable])
            assert found.index[g, m] == usable[distances.argmin()]
            assert found.distance[g, m] == pytest.approx(distances.min().item(), rel=1e-5, abs=1e-6)
    assert (found.index[:, 2] == 7).all()
    assert found.distance[:, 2].max() < (1e-6 if metric.precise else 1e-9)
    small = nearest.nearest(metric, images, candidates, allowed, owner, memory=1)  # a candidate at a time
    assert torch.equal(small.index, found.index)
    torch.testing.assert_close(small.distance, found.distance, rtol=1e-5, atol=1e-6)


def test_of_equally_near_candidates_the_first_is_taken(pictures):
    image = pictures(1, 1)
    candidates = torch.cat([1 - image, image, image])
    everything = torch.ones((1, 1, 3), dtype=torch.bool)
    for memory in (1, nearest.MEMORY):
        found = nearest.nearest(
            image_distance.build("l2"), image, candidates, everything, torch.tensor([0]), memory
        )
        assert found.index.item() == 1


def test_wrong_input_is_refused(pictures):
    l2, x = image_distance.build("l2"), pictures(2, 1)
    allowed, owner = torch.ones((1, 1, 2), dtype=torch.bool), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(
        ValueError, match=r"allowed torch.bool \(1, 1, 1\): allowed is G x K x N, with N = 2 as of candidates"
    ):
        nearest.nearest(l2, x, x, allowed[..., :1], owner)
    with pytest.raises(ValueError, match="group 0 allows owner 0 no candidate"):
        nearest.nearest(l2, x, x, ~allowed, owner)


@pytest.fixture(scope="module")
def pool(pictures):
    """A pool of 40 images of two classes, whose pixels are as they are shown, and four halves of it."""
    labels = torch.arange(80) % 2
    return shadows.draw(pictures(80, 1, 12), labels, 40, 4, 0, 2)


@pytest.fixture(scope="module")
def subset(pool):
    """Two members of each class for every half: what the search knows as a release from real images."""
    sets = shadows.release(pool, "random_subset", "real", 2, None, 0)
    moved = (sets.images + 0.05).clamp(0, 1)
    return nearest.Release("random_subset", "real", {0: sets.images, 5: moved}, sets.initial)


def test_the_search_is_that_of_a_loop(pool, subset):
    metric = image_distance.build("l2")
    found = nearest.search(metric, [subset], pool.images, pool.labels, pool.membership, 0)
    assert list(found) == [(subset, 0), (subset, 5)]
    for (_, step), result in found.items():
        for k, c, i in itertools.product(range(4), range(2), range(2)):
            image = subset.moments[step][k, c, i]
            for inside in (True, False):
                places = ((pool.labels == c) & (pool.membership[k] == inside)).nonzero()[:, 0]
                far = (pool.images[places] - image).square().mean((1, 2, 3)).sqrt()
                assert result.index["all", inside][k, 2 * c + i] == places[far.argmin()]
                assert result.distance["all", inside][k, 2 * c + i] == pytest.approx(
                    far.min().item(), abs=1e-6
                )
            began = set(subset.initial[k, c].tolist())
            places = [
                j for j in range(40) if pool.labels[j] == c and pool.membership[k, j] and j not in began
            ]
            far = (pool.images[places] - image).square().mean((1, 2, 3)).sqrt()
            assert result.index["not_in_initialisation", True][k, 2 * c + i] == places[far.argmin()]
            start = pool.images[subset.initial[k, c, i]]
            assert result.initial[k, 2 * c + i] == pytest.approx(
                (start - image).square().mean().sqrt().item(), abs=1e-6
            )


def test_releases_that_share_a_search_get_what_each_gets_alone(pool, subset):
    noise = nearest.Release(
        "dm", "noise", {3: subset.moments[5].flip(3)}, torch.full_like(subset.initial, -1)
    )
    metric = image_distance.build("l2")
    arguments = (pool.images, pool.labels, pool.membership, 0)
    together = nearest.search(metric, [subset, noise], *arguments)
    for release in (subset, noise):
        for key, alone in nearest.search(metric, [release], *arguments).items():
            for group in nearest.GROUPS:
                assert np.array_equal(alone.index[group], together[key].index[group])
                np.testing.assert_allclose(alone.distance[group], together[key].distance[group], atol=1e-7)
    assert together[noise, 3].initial is None
    assert noise.populations == ("all",)
    assert subset.populations == ("all", "not_in_initialisation")


def test_groups_are_of_equal_size_with_and_without_the_initial_images(pool, subset):
    for c in (0, 1):
        places = (pool.labels == c).nonzero()[:, 0]
        found = nearest.groups(subset, pool.labels, pool.membership, c, 0)
        assert found.shape == (5, 4 * 2, 20)
        assert found.sum(2)[:4].T.tolist() == [[10, 10, 8, 8]] * 8
        member, other, some, spared, alone = found
        assert torch.equal(member, pool.membership[:, places].repeat_interleave(2, 0))
        assert torch.equal(other, ~member)
        assert not (some & ~member).any()
        assert not (spared & member).any()
        assert places[alone.int().argmax(1)].tolist() == subset.initial[:, c].flatten().tolist()
        assert (alone.sum(1) == 1).all()
        assert not (alone & some).any()
        started = shadows.in_initialisation(pool, subset.initial)[:, places].repeat_interleave(2, 0)
        assert torch.equal(member & ~some, started)
    noise = dataclasses.replace(subset, initial=torch.full_like(subset.initial, -1))
    member, other, some, spared, alone = nearest.groups(noise, pool.labels, pool.membership, 0, 0)
    assert torch.equal(member, some)
    assert torch.equal(other, spared)
    assert alone.all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_k3_a_candidate_that_is_no_number_is_named(value):
    images = torch.rand((3, 1, 12, 12), generator=generator(0, "k3"))
    spoilt = images.clone()
    spoilt[2] = value
    everything, owner = torch.ones((1, 1, 3), dtype=torch.bool), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"candidates: (nan|inf) at \(2, 0, 0, 0\)"):  # case 29
        nearest.nearest(image_distance.build("l2"), images, spoilt, everything, owner)


def test_k3_an_owner_that_is_not_there_is_refused(pictures):
    x = pictures(2, 1)
    allowed = torch.ones((1, 2, 2), dtype=torch.bool)
    with pytest.raises(ValueError, match="owner up to 2: allowed are 0 to 1"):
        nearest.nearest(image_distance.build("l2"), x, x, allowed, torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"allowed .*: allowed is a tensor of dtype bool"):
        nearest.nearest(image_distance.build("l2"), x, x, allowed.long(), torch.tensor([0, 1]))


def test_k2_images_of_two_precisions_are_searched_in_the_higher_one(pictures):
    x, y = pictures(3, 1), pictures(4, 1, seed=1)
    allowed, owner = torch.ones((1, 1, 4), dtype=torch.bool), torch.zeros(3, dtype=torch.int32)
    found = nearest.nearest(image_distance.build("l2"), x, y.double().numpy(), allowed.numpy(), owner)
    expected = nearest.nearest(image_distance.build("l2"), x.double(), y.double(), allowed, owner)
    assert torch.equal(found.index, expected.index)
    assert torch.equal(found.distance, expected.distance)


def test_k3_a_search_refuses_releases_that_do_not_belong_to_the_pool(pool, subset):
    metric = image_distance.build("l2")
    arguments = (pool.images, pool.labels, pool.membership, 0)
    bright = dataclasses.replace(subset, moments={3: 2 * subset.moments[0]})
    with pytest.raises(
        ValueError, match=r"releases\[1\].moments\[3\] from .*: allowed are floats from 0 to 1"
    ):
        nearest.search(metric, [subset, bright], *arguments)  # case 27
    spoilt = pool.images.clone()
    spoilt[7] = torch.nan
    with pytest.raises(ValueError, match=r"candidates: nan at \(7, 0, 0, 0\)"):  # case 29
        nearest.search(metric, [subset], spoilt, *arguments[1:])
    with pytest.raises(ValueError, match="membership of 3 sets: allowed are those of the release, 4"):
        nearest.search(metric, [subset], *arguments[:2], pool.membership[:3], 0)
    with pytest.raises(ValueError, match="labels up to 2: allowed are 0 to 1"):
        nearest.search(metric, [subset], pool.images, pool.labels + 1, pool.membership, 0)
    with pytest.raises(ValueError, match="c 2: allowed are whole numbers from 0 to 1"):
        nearest.groups(subset, pool.labels, pool.membership, 2, 0)
    with pytest.raises(ValueError, match="labels: no pool image is of class 1"):
        nearest.groups(subset, pool.labels * 0, pool.membership, 1, 0)
    with pytest.raises(ValueError, match=r"release.initial up to 40: allowed are -1 to 39"):
        nearest.groups(
            dataclasses.replace(subset, initial=torch.full((4, 2, 2), 40)), pool.labels, pool.membership, 1, 0
        )
    with pytest.raises(ValueError, match="releases of none"):
        nearest.search(metric, [], *arguments)


def test_k3_a_release_of_shapes_that_do_not_belong_together_is_refused(subset):
    with pytest.raises(ValueError, match=r"moments\[0\] \(3, 2, 2, 1, 12, 12\): allowed is \(4, 2, 2\)"):
        dataclasses.replace(subset, moments={0: subset.moments[0][:3]})
    with pytest.raises(ValueError, match="moments of none: allowed are one or more"):
        dataclasses.replace(subset, moments={})
    with pytest.raises(ValueError, match=r"initial .* \(4, 2\): allowed are whole numbers from -1 up"):
        dataclasses.replace(subset, initial=subset.initial[..., 0])
