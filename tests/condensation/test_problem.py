"""What is refused before any work, and what a set starts from."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.condensation.problem import Problem, class_counts, initialise
from privacy_for_free.core.randomness import generator


def pool(count=24, channels=1, size=6, classes=3, dtype=torch.float32):
    images = torch.randn((count, channels, size, size), generator=generator(0, "pool"), dtype=dtype)
    return images, torch.arange(count) % classes


def without_class(c):
    membership = torch.ones((2, 24), dtype=torch.bool)
    membership[1, c::3] = False
    return membership


def spoilt(value):
    images, _ = pool()
    images[5, 0, 2, 3] = value
    return images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(24, 36)}, r"images torch.float32 \(24, 36\): allowed is N x C x S x S"),
        ({"images": torch.zeros((24, 1, 6, 6), dtype=torch.uint8)}, "images torch.uint8"),
        (
            {"images": torch.zeros(24, 1, 6, 5)},
            r"images torch.float32 \(24, 1, 6, 5\): allowed is N x C x S x S",
        ),
        ({"images": spoilt(float("nan"))}, r"images: nan at \(5, 0, 2, 3\); allowed are finite"),
        ({"images": spoilt(float("inf"))}, r"images: inf at \(5, 0, 2, 3\); allowed are finite"),
        (
            {"labels": torch.zeros(23, dtype=torch.int64)},
            r"labels torch.int64 \(23,\): allowed is N, with N = 24",
        ),
        ({"labels": torch.zeros(24)}, "labels Tensor torch.float32 .*: allowed are whole numbers"),
        ({"labels": torch.full((24,), -1)}, "labels .* from 0 up, the least is -1"),
        ({"classes": 2}, "classes 2: allowed are whole numbers from 3 to 24"),
        ({"classes": 4}, "set 0 holds no image of class 3"),
        (
            {"membership": torch.ones(24, dtype=torch.bool)},
            "membership torch.bool .*: allowed is K x N",
        ),
        ({"membership": torch.ones(2, 24)}, "membership Tensor torch.float32 .*: allowed is .* dtype bool"),
        (
            {"membership": torch.ones((0, 24), dtype=torch.bool)},
            "membership torch.bool .*: allowed is K x N, K from 1 up",
        ),
        ({"membership": without_class(2)}, "set 1 holds no image of class 2"),
        ({"ipc": 9}, "ipc 9: set 0 holds 8 images of class 0, allowed is at most that many"),
        ({"ipc": 0}, "ipc 0: allowed are whole numbers from 1 up"),
        ({"ipc": 1.5}, "ipc 1.5"),
        ({"ipc": True}, "ipc True"),
        ({"init": "zeros"}, "init 'zeros': known are real, noise, noise_matched"),
        ({"names": (0, 1)}, "names .*: allowed are 1 different whole numbers"),
        ({"membership": torch.ones((2, 24), dtype=torch.bool), "names": (3, 3)}, "names"),
    ],
)
def test_one_clear_error(changes, message):
    images, labels = pool()
    given_ = {"images": images, "labels": labels, "membership": None, "ipc": 2, "init": "real", "seed": 0}
    with pytest.raises(ValueError, match=message):
        Problem.of(**(given_ | changes))


def test_noise_needs_no_more_images_than_one_a_class():
    images, labels = pool()
    problem = Problem.of(images, labels, None, 50, "noise", 0)
    synthetic, initial = initialise(problem)
    assert synthetic.shape == (1, 3, 50, 1, 6, 6)
    assert bool((initial == -1).all())


@given(
    sets=st.integers(1, 4),
    ipc=st.integers(1, 3),
    channels=st.sampled_from([1, 3]),
    size=st.sampled_from([4, 7]),
    classes=st.sampled_from([2, 5]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=30, deadline=None)
def test_real_images_are_members_of_their_class_once(sets, ipc, channels, size, classes, seed):
    images, labels = pool(30, channels, size, classes)
    membership = torch.rand((sets, 30), generator=generator(seed, "members")) < 0.5
    membership[:, : 3 * classes] = True
    problem = Problem.of(images, labels, membership, ipc, "real", seed)
    synthetic, initial = initialise(problem)
    assert torch.equal(synthetic, images[initial])
    assert synthetic.shape == problem.shape
    for k in range(sets):
        assert bool(membership[k, initial[k]].all())
        assert torch.equal(labels[initial[k]], torch.arange(classes)[:, None].expand(classes, ipc))
        assert len(initial[k].unique()) == classes * ipc


@pytest.mark.parametrize("init", ["real", "noise", "noise_matched"])
def test_a_set_starts_the_same_whoever_is_there(init):
    images, labels = pool()
    membership = torch.rand((5, 24), generator=generator(1, "members")) < 0.7
    membership[:, :9] = True
    together = initialise(Problem.of(images, labels, membership, 2, init, 7, names=(4, 1, 9, 2, 5)))
    alone = initialise(Problem.of(images, labels, membership[2:3], 2, init, 7, names=(9,)))
    for whole, part in zip(together, alone, strict=True):
        assert torch.equal(whole[2], part[0])
    assert not torch.equal(together[0][0], together[0][1])
    other = initialise(Problem.of(images, labels, membership[2:3], 2, init, 8, names=(9,)))
    assert not torch.equal(other[0], alone[0])


def test_matched_noise_has_the_mean_and_spread_of_its_own_members():
    images, labels = pool(400, 3, 8, 2, torch.float64)
    images[::2] = images[::2] * torch.tensor([1.0, 4.0, 0.1])[:, None, None] + 5
    membership = torch.zeros((2, 400), dtype=torch.bool)
    membership[0, ::4] = membership[1, 1::4] = True
    membership[:, :2] = True
    synthetic, _ = initialise(Problem.of(images, labels, membership, 300, "noise_matched", 0))
    for k in range(2):
        own = images[membership[k]].transpose(0, 1).flatten(1)
        made = synthetic[k].flatten(0, 1).transpose(0, 1).flatten(1)
        torch.testing.assert_close(made.mean(1), own.mean(1), atol=5 * float(own.std()) / 190, rtol=0)
        torch.testing.assert_close(made.std(1), own.std(1), rtol=0.03, atol=0)


def test_counts_of_classes():
    labels, membership = torch.tensor([0, 1, 1, 2]), torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0]]).bool()
    assert class_counts(labels, membership, 4).tolist() == [[1, 1, 1, 0], [0, 2, 0, 0]]


def test_k11_the_seed_is_not_in_what_is_printed():
    problem = Problem.of(torch.zeros(4, 1, 8, 8), torch.arange(4) % 2, None, 1, "noise", seed=918273645)
    assert "918273645" not in repr(problem)
    fresh = {Problem.of(problem.images, problem.labels, None, 1, "noise").seed for _ in range(3)}
    assert len(fresh) == 3
    assert all(seed < 2**62 for seed in fresh)


def made(**changes):
    images, labels = pool()
    given_ = {"images": images, "labels": labels, "membership": torch.ones((2, 24), dtype=torch.bool)}
    given_ |= {"classes": 3, "ipc": 2, "init": "real", "seed": 2**50, "names": (0, 1)}
    return Problem(**(given_ | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": spoilt(float("nan"))}, r"images: nan at \(5, 0, 2, 3\); allowed are finite"),
        ({"images": torch.zeros((24, 1, 6, 6), dtype=torch.uint8)}, "images torch.uint8"),
        ({"labels": torch.zeros(23, dtype=torch.int64)}, "labels .*: allowed is N, with N = 24"),
        ({"membership": without_class(2)}, "set 1 holds no image of class 2"),
        ({"membership": torch.ones(2, 24)}, "membership .*: allowed is .* dtype bool"),
        ({"classes": 2}, "classes 2: allowed are whole numbers from 3 to 24"),
        ({"ipc": 9}, "ipc 9: set 0 holds 8 images of class 0"),
        ({"ipc": True}, "ipc True"),
        ({"init": "zeros"}, "init 'zeros': known are"),
        ({"seed": -1}, "seed -1"),
        ({"names": (3, 3)}, "names .*: allowed are 2 different whole numbers"),
        ({"start": torch.full((2, 3, 2), 24)}, "start .*: allowed are int64 from 0 to 23"),
        ({"noise": "none"}, "noise 'none': known are"),
    ],
)
def test_k1_the_constructor_and_replace_check_what_the_factory_checks(changes, message):
    problem = made()
    with pytest.raises(ValueError, match=message):
        made(**changes)
    with pytest.raises(ValueError, match=message):
        replace(problem, **changes)


def test_k2_a_problem_that_is_constructed_lies_in_no_memory_of_what_was_given():
    images, labels = pool()
    problem = made(images=images, labels=labels)
    images[:], labels[:] = float("nan"), 7
    assert bool(problem.images.isfinite().all())
    assert int(problem.labels.max()) == 2


@pytest.mark.parametrize("way", ["factory", "constructor", "replace"])
def test_every_way_to_make_a_problem_makes_the_same(way):
    images, labels = pool()
    membership = torch.ones((2, 24), dtype=torch.bool)
    problem = Problem.of(images, labels, membership, 2, "real", 2**50)
    other = {"factory": problem, "constructor": made(), "replace": replace(problem)}[way]
    assert repr(other) == repr(problem)
    assert other.digests == problem.digests
    draws = [one.noise_generator("noise", 1, settings=None).initial_seed() for one in (problem, other)]
    assert draws[0] == draws[1]
