"""Releases: made of members only, and each set the same alone and with others."""

import pytest
import torch

from privacy_for_free import shadows
from privacy_for_free.condensation import condense
from privacy_for_free.condensation.dm import DM
from privacy_for_free.core.randomness import generator

SETTINGS = DM(iterations=1, batch_real=8, width=4)


def test_releases_are_made_of_members_only(pool):
    sets = shadows.release(pool, "random_subset", "real", 3, None, 0)
    inside = shadows.in_initialisation(pool, sets.initial)
    assert (inside.sum(1) == 6).all()
    assert (inside <= pool.membership).all()
    for k in range(6):
        released = sets.images[k].flatten(0, 1)
        assert torch.equal(released.sort(0).values, pool.images[inside[k]].sort(0).values)
    noise = shadows.release(pool, "dm", "noise", 3, SETTINGS, 0)
    assert not shadows.in_initialisation(pool, noise.initial).any()


def test_a_release_is_a_condensation_of_the_halves(pool):
    sets = shadows.release(pool, "dm", "real", 2, SETTINGS, 5)
    stream = generator(5, "release", "dm", "real", 2)
    same = condense(
        pool.images, pool.labels, pool.membership, method=SETTINGS, ipc=2, init="real", generator=stream
    )
    assert torch.equal(sets.images, same.images)
    assert torch.equal(sets.initial, same.initial)


def test_some_halves_are_condensed_as_in_the_whole(pool):
    for method, init, settings in (("dm", "noise", SETTINGS), ("random_subset", "real", None)):
        whole = shadows.release(pool, method, init, 2, settings, 0)
        some = shadows.release(pool, method, init, 2, settings, 0, names=(1, 4))
        assert torch.equal(some.images, whole.images[[1, 4]])
        assert torch.equal(some.initial, whole.initial[[1, 4]])


def test_what_does_not_fit_is_refused(pool):
    with pytest.raises(ValueError, match="method of the settings 'dm': known are kip"):
        shadows.release(pool, "kip", "real", 2, SETTINGS, 0)
    with pytest.raises(ValueError, match="init 'noise': known are real"):
        shadows.release(pool, "random_subset", "noise", 2, None, 0)
    with pytest.raises(ValueError, match="method 'gan': known are dm"):
        shadows.release(pool, "gan", "real", 2, None, 0)
    with pytest.raises(ValueError, match="ipc 21: set 0 holds 20 images of class 0"):
        shadows.release(pool, "dm", "real", 21, SETTINGS, 0)
    with pytest.raises(ValueError, match="names 6: allowed are whole numbers from 0 to 5"):
        shadows.release(pool, "random_subset", "real", 2, None, 0, names=[6])
    with pytest.raises(ValueError, match="parameters 3: allowed are settings of a method, or None"):
        shadows.release(pool, "dm", "real", 2, 3, 0)
