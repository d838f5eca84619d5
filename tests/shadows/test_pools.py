"""Pools: who is a member of which half, and where the images come from."""

import numpy as np
import pytest
import torch

from privacy_for_free import shadows


def test_halves_are_balanced_and_say_where_images_come_from(pool, training_set):
    images, labels = training_set
    assert torch.equal(pool.images, images[pool.indices])
    assert torch.equal(pool.labels, labels[pool.indices])
    assert pool.membership.shape == (6, 80)
    assert (pool.membership.sum(1) == 40).all()
    assert (pool.membership.sum(0) == 3).all()
    assert (pool.membership[:, pool.labels == 0].sum(1) == 20).all()
    few = pool.first(4)
    assert torch.equal(few.membership, pool.membership[:4])
    for wrong in (0, 7):
        with pytest.raises(ValueError, match=f"shadows {wrong}: allowed are whole numbers from 1 to 6"):
            pool.first(wrong)


def test_k1_a_pool_is_its_own(pool):
    given = [getattr(pool, name).clone() for name in ("images", "labels", "membership", "indices")]
    made = shadows.Pool(*given, 2)
    for value in given:
        value.zero_()
    for name in ("images", "labels", "membership", "indices"):
        assert torch.equal(getattr(made, name), getattr(pool, name))


def test_what_a_set_started_from(pool):
    initial = torch.tensor([[[0, 7], [-1, 3]]]).expand(6, 2, 2)
    started = shadows.in_initialisation(pool, initial)
    assert started.shape == (6, 80)
    assert (started.nonzero()[:, 1].view(6, 3) == torch.tensor([0, 3, 7])).all()
    assert not shadows.in_initialisation(pool, torch.full((6, 2, 2), -1)).any()


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (
            torch.arange(40) % 2 * 2,
            None,
            "labels without class 1: allowed are labels with images of each of 3",
        ),
        (torch.arange(40) % 2 + 1, None, "labels without class 0"),
        (torch.arange(40) % 2, 4, "labels without class 2: .* each of 4 classes"),
        (
            torch.arange(40) % 2 * 10**12,
            None,
            "labels up to 1000000000000 for 40 images: allowed are 0 to 39",
        ),
        (torch.arange(40) % 2, 10**9, "classes 1000000000: allowed are whole numbers from 2 to 40"),
    ],
)
def test_k3_labels_with_gaps_are_refused_when_a_pool_is_drawn(labels, classes, message):  # case 3
    with pytest.raises(ValueError, match=message):
        shadows.draw(torch.zeros(40, 1, 8, 8), labels, 8, 2, 0, classes)


def test_k2_arrays_and_numbers_of_numpy_are_what_they_stand_for(pool, training_set):  # cases 9 and 11
    images, labels = (values.numpy() for values in training_set)
    found = shadows.draw(images, labels.astype("int32"), np.int64(80), np.int16(6), np.int64(0))
    assert torch.equal(found.images, pool.images)
    assert torch.equal(found.membership, pool.membership)
    with pytest.raises(ValueError, match="size '80': allowed are whole numbers"):
        shadows.draw(images, labels, "80", 6, 0)
    with pytest.raises(ValueError, match=r"initial .*: allowed are whole numbers from -1 to 79, of 6 sets"):
        shadows.in_initialisation(pool, torch.full((6, 2, 2), 80))
