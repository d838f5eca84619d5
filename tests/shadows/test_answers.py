"""Pool, releases and trained shadows: who is a member, and the same bits however the work is shared."""

import pytest
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks.confidences import logit_scaled_confidence
from privacy_for_free.condensation import dm
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks, training

SCHEDULE = training.Schedule(epochs=3, learning_rate=0.05, batch=16)
NETWORK = networks.ConvNet(1, 8, 2, 4)


def training_set(count=200):
    labels = torch.arange(count) % 2
    images = torch.rand((count, 1, 8, 8), generator=generator(0, "images")) + labels[:, None, None, None]
    return images, labels


@pytest.fixture(scope="module")
def pool():
    return shadows.draw(*training_set(), 80, 6, seed=0)


def test_halves_are_balanced_and_say_where_images_come_from(pool):
    images, labels = training_set()
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


def test_releases_are_made_of_members_only(pool):
    sets = shadows.release(pool, "random_subset", "real", 3, None, 0)
    inside = shadows.in_initialisation(pool, sets.initial)
    assert (inside.sum(1) == 6).all()
    assert (inside <= pool.membership).all()
    for k in range(6):
        released = sets.images[k].flatten(0, 1)
        assert torch.equal(released.sort(0).values, pool.images[inside[k]].sort(0).values)
    own = dm.DM(iterations=1, batch_real=8, width=4)
    noise = shadows.release(pool, "dm", "noise", 3, own, 0)
    assert not shadows.in_initialisation(pool, noise.initial).any()


def close(found, wanted):
    """One network alone and among others sums in another order, in float32, on some processors."""
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def answers(pool, sets, names, **options):
    found = list(shadows.confidences(NETWORK, pool, sets, SCHEDULE, 3, names, **options))
    return torch.stack([answer for answer, _ in found]), torch.stack([right for _, right in found])


def test_networks_are_those_of_a_loop(pool):
    sets = [shadows.release(pool, "random_subset", "real", 4, None, 0).flat(k) for k in range(6)]
    found, right = answers(pool, sets, range(6), queries=("identity", "flip"), workers=1)
    assert found.shape == (6, 80, 2)
    for k in range(6):
        trained = training.train(NETWORK, *sets[k], SCHEDULE, 3, k)
        for q, images in enumerate((pool.images, pool.images.flip(3))):
            logits = training.logits(NETWORK, trained, images)
            close(found[k, :, q], logit_scaled_confidence(logits, pool.labels))
            if q == 0:
                assert torch.equal(right[k], logits.argmax(1) == pool.labels)


def test_without_sets_a_network_learns_its_half(pool):
    found, _ = answers(pool, None, [2, 4], workers=1)
    for row, k in enumerate((2, 4)):
        inside = pool.membership[k]
        trained = training.train(NETWORK, pool.images[inside], pool.labels[inside], SCHEDULE, 3, k)
        logits = training.logits(NETWORK, trained, pool.images)
        close(found[row, :, 0], logit_scaled_confidence(logits, pool.labels))


def test_same_bits_in_workers_and_in_parts(pool):
    sets = [shadows.release(pool, "random_subset", "real", 4, None, 0).flat(k) for k in range(6)]
    whole, right = answers(pool, sets, range(6), workers=1)
    spread, its = answers(pool, sets, range(6), workers=2)
    assert torch.equal(whole, spread)
    assert torch.equal(right, its)
    later, _ = answers(pool, sets[4:], [4, 5], workers=1)
    assert torch.equal(whole[4:], later)


def test_stacked_as_on_a_gpu(pool, monkeypatch):
    sets = [shadows.release(pool, "random_subset", "real", 4, None, 0).flat(k) for k in range(6)]
    whole, _ = answers(pool, sets, range(6), workers=1)
    monkeypatch.setattr(shadows, "STACK_BYTES", 2 * sets[0][0].numel() * 4)
    jobs = [(k, *sets[k]) for k in range(6)]
    found = list(shadows._stacked(NETWORK, pool, jobs, SCHEDULE, 3, ("identity",)))
    close(torch.stack([answer for answer, _ in found]), whole)
    assert not list(shadows._stacked(NETWORK, pool, [], SCHEDULE, 3, ("identity",)))


def test_bad_queries_and_failing_workers(pool):
    with pytest.raises(ValueError, match="known are identity, flip, one or more"):
        answers(pool, None, [0], queries=("rotate",))
    with pytest.raises(ValueError, match="one or more"):
        answers(pool, None, [0], queries=())
    images, labels = training_set(4)
    with pytest.raises(ValueError, match="labels"):  # from a worker, as from this process
        answers(pool, [(images, labels.float())] * 2, [0, 1], workers=2)
