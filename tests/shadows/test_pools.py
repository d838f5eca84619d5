"""Pools: who is a member of which half, and where the images come from."""

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
        with pytest.raises(ValueError, match=f"{wrong} shadows: allowed are 1 to 6"):
            pool.first(wrong)


def test_what_a_set_started_from(pool):
    initial = torch.tensor([[[0, 7], [-1, 3]]]).expand(6, 2, 2)
    started = shadows.in_initialisation(pool, initial)
    assert started.shape == (6, 80)
    assert (started.nonzero()[:, 1].view(6, 3) == torch.tensor([0, 3, 7])).all()
    assert not shadows.in_initialisation(pool, torch.full((6, 2, 2), -1)).any()
