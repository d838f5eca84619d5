"""A bank against the published loop and a naive loop, in other company, and after a kill."""

import dataclasses
import math

import pytest
import torch

from privacy_for_free.condensation import dm, dm_bank
from privacy_for_free.condensation.dm_bank import Bank, BankedDM, bank_of
from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation, networks

SMALL = BankedDM(bank=5, iterations=6, learning_rate=0.5, width=4)


def problem(sets=3, ipc=2, init="noise", names=None, dtype=torch.float32, only=None, seed=5):
    """Two classes of 20 images, and sets of half of each."""
    images = torch.randn((40, 1, 8, 8), generator=generator(0, "pool"), dtype=dtype)
    labels = torch.arange(40) % 2
    membership = torch.zeros((sets, 40), dtype=torch.bool)
    for k in range(sets):
        for c in range(2):
            order = torch.randperm(20, generator=generator(k, "half", c))
            membership[k, (labels == c).nonzero()[:, 0][order[:10]]] = True
    if only is not None:
        membership, names = membership[only : only + 1], (only,)
    return Problem.of(images, labels, membership, ipc, init, seed, names=names)


def bank(case, settings):
    return Bank(dm.Matcher(case, settings.matching), settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [4, None])
@pytest.mark.parametrize("kept", [True, False])
def test_each_extractor_once_in_order_is_the_published_loop(dtype, batch, kept):
    """A bank of as many extractors as steps, or none at all: bitwise what DM gives on the same draws."""
    case = problem(dtype=dtype)
    settings = BankedDM(
        bank=6 if kept else None, order="cycle", batch_real=batch, iterations=6, learning_rate=0.5,
        schedule="constant", width=4,
    )  # fmt: skip
    published = dm.DM(iterations=6, learning_rate=0.5, batch_real=batch or 10, width=4)
    found, expected = settings.condense(case), published.condense(case)
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.loss, expected.loss)


@pytest.mark.parametrize("batch", [None, 4])
def test_means_are_those_of_a_loop_over_members(batch):
    case = problem(dtype=torch.float64)
    settings = dataclasses.replace(SMALL, batch_real=batch)
    made = bank(case, settings)
    weights, transforms = bank_of(case, settings)
    network = networks.build("convnet", (1, 8, 8), 2, 4)
    assert made.means.shape == (5, 3, 2, network.feature_dim)
    assert bool(made.present.all())
    for r in range(5):
        seen = made.matcher.batches(r)
        assert [len(rows) for rows in seen] == [8 if batch else 20] * 2
        for k in range(3):
            for c in range(2):
                own = [
                    network.features(weights[r], augmentation.apply(transforms[r], case.images[i : i + 1]))[0]
                    for i in seen[c].tolist()
                    if case.membership[k, i]
                ]
                expected = torch.stack(own).mean(0)
                torch.testing.assert_close(made.means[r, k, c], expected, rtol=1e-11, atol=1e-13)


def test_a_step_is_the_mean_over_its_extractors():
    case = problem(dtype=torch.float64)
    images, _ = initialise(case)
    whole = bank(case, dataclasses.replace(SMALL, per_step=None)).loss_and_gradient(3, images)
    single = bank(case, dataclasses.replace(SMALL, order="cycle"))
    each = [single.loss_and_gradient(r, images) for r in range(5)]
    for part in (0, 1):
        torch.testing.assert_close(whole[part], torch.stack([one[part] for one in each]).mean(0))


def test_which_extractors_a_step_matches():
    case = problem()
    two = bank(case, dataclasses.replace(SMALL, per_step=2))
    drawn = [two.chosen(index) for index in range(300)]
    assert all(a < b for a, b in drawn)
    counts = torch.bincount(torch.tensor(drawn).flatten(), minlength=5)
    assert ((counts - 120).abs() < 4 * math.sqrt(300 * 0.4 * 0.6)).all()
    cycle = bank(case, dataclasses.replace(SMALL, per_step=2, order="cycle"))
    assert [cycle.chosen(index) for index in range(3)] == [[0, 1], [2, 3], [4, 0]]
    fresh = bank(case, dataclasses.replace(SMALL, bank=None, per_step=2))
    assert fresh.means is None
    assert [fresh.chosen(index) for index in range(2)] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("kind", [5, None])
@pytest.mark.parametrize("batch", [None, 4])
def test_a_set_is_bitwise_what_it_is_alone(kind, batch):
    settings = dataclasses.replace(SMALL, bank=kind, batch_real=batch)
    together = settings.condense(problem(sets=9))
    for k in (0, 4, 8):
        alone = settings.condense(problem(sets=9, only=k))
        assert torch.equal(alone.images[0], together.images[k])
    other = settings.condense(problem(sets=9, only=4, seed=6))
    assert not torch.equal(other.images[0], together.images[4])


@pytest.mark.parametrize("kind", [5, None])
def test_killed_and_resumed_is_the_whole(tmp_path, monkeypatch, kind):
    case, settings = problem(), dataclasses.replace(SMALL, bank=kind, iterations=7, clamp=True)
    whole = settings.condense(case, Run(snapshots=(0, 3, 7)))
    kept = Run(checkpoint=tmp_path / "bank.checkpoint", every=2, snapshots=(0, 3, 7))
    original = Bank.loss_and_gradient

    def dying(self, index, images):
        if index == 5:
            raise KeyboardInterrupt
        return original(self, index, images)

    monkeypatch.setattr(Bank, "loss_and_gradient", dying)
    with pytest.raises(KeyboardInterrupt):
        settings.condense(case, kept)
    monkeypatch.undo()
    resumed = settings.condense(case, kept)
    assert torch.equal(resumed.images, whole.images)
    assert torch.equal(resumed.loss, whole.loss)
    assert all(torch.equal(resumed.snapshots[at], whole.snapshots[at]) for at in (0, 3, 7))


def test_schedules():
    constant = dataclasses.replace(SMALL, schedule="constant", learning_rate=3.0)
    assert {constant.rate(step) for step in range(6)} == {3.0}
    cosine = BankedDM(iterations=4, learning_rate=3.0)
    expected = [3.0, 1.5 * (1 + math.sqrt(0.5)), 1.5, 1.5 * (1 - math.sqrt(0.5))]
    assert [cosine.rate(step) for step in range(4)] == pytest.approx(expected)


def test_steps_move_by_the_rate_of_the_schedule():
    """Without momentum, step t moves the images by rate(t) times the gradient at them."""
    case = problem()
    settings = dataclasses.replace(SMALL, momentum=0.0)
    found = settings.condense(case, Run(snapshots=(0, 4, 5, 6)))
    for step in (4, 5):
        before, after = found.snapshots[step], found.snapshots[step + 1]
        _, gradient = bank(case, settings).loss_and_gradient(step, before)
        torch.testing.assert_close(after, before - settings.rate(step) * gradient)


def test_clamped_images_stay_in_the_range_of_each_channel():
    images = (
        torch.rand((20, 3, 8, 8), generator=generator(0, "shown")) * torch.tensor([1.0, 2, 3])[:, None, None]
    )
    case = Problem.of(images, torch.arange(20) % 2, None, 3, "noise", 0)
    settings = dataclasses.replace(SMALL, clamp=True)
    clamped, free = (replaced.condense(case).images for replaced in (settings, SMALL))
    low, high = images.amin((0, 2, 3))[:, None, None], images.amax((0, 2, 3))[:, None, None]
    assert bool(((clamped >= low) & (clamped <= high)).all())
    assert not bool(((free >= low) & (free <= high)).all())
    inside = (clamped > low) & (clamped < high)
    assert 0.1 < float(inside.double().mean()) < 0.99


def test_a_bank_fits_its_own_extractors():
    """The loss on the bank falls, and below that on extractors outside of it."""
    settings = dataclasses.replace(SMALL, bank=2, iterations=200, learning_rate=3.0, per_step=None)
    case = problem(sets=1)
    found = settings.condense(case)
    assert found.loss[0, -1] < 0.2 * found.loss[0, 0]
    matcher = dm.Matcher(case, settings.matching)
    outside = [matcher.loss_and_gradient(r, found.images)[0] for r in range(2, 12)]
    assert torch.cat(outside).mean() > 2 * found.loss[0, -1]


def test_the_bank_is_what_was_matched_and_needs_no_image():
    case = problem(sets=1, dtype=torch.float64)
    settings = dataclasses.replace(SMALL, bank=2, per_step=None, iterations=1)
    blind = dataclasses.replace(case, images=torch.zeros_like(case.images))
    weights, transforms = bank_of(blind, settings)
    network = networks.build("convnet", (1, 8, 8), 2, 4)
    images, _ = initialise(case)
    loss = 0.0
    for theta, transform in zip(weights, transforms, strict=True):
        features = lambda x: network.features(theta, augmentation.apply(transform, x)).mean(0)  # noqa: B023, E731
        for c in range(2):
            own = case.images[case.membership[0] & (case.labels == c)]
            loss = loss + (features(own) - features(images[0, c])).square().sum() / 2
    assert float(settings.condense(case).loss[0, 0]) == pytest.approx(float(loss), rel=1e-10)
    assert bank_of(case, dataclasses.replace(settings, augmentation=""))[1] is None
    with pytest.raises(ValueError, match="bank None: allowed are settings with a bank"):
        bank_of(case, dataclasses.replace(settings, bank=None, per_step=1))


def test_a_bank_beyond_the_memory_is_refused_before_any_work():
    with pytest.raises(ValueError, match=r"bank 1099511627776: means of shape .*GiB; allowed are"):
        dm_bank.condense(problem(), dataclasses.replace(SMALL, bank=2**40))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bank": 0}, "bank 0: allowed are"),
        ({"per_step": 0}, "per_step 0: allowed are"),
        ({"per_step": 6}, "per_step 6: allowed are 1 to 5"),
        ({"bank": None, "per_step": None}, "per_step None without a bank: allowed are"),
        ({"order": "sorted"}, "order 'sorted': known are random, cycle"),
        ({"batch_real": -1}, "batch_real -1: allowed are"),
        ({"pool_batch": 0}, "pool_batch 0: allowed are"),
        ({"iterations": -1}, "iterations -1: allowed are"),
        ({"learning_rate": 0.0}, "learning_rate 0.0: allowed are"),
        ({"momentum": 1.0}, "momentum 1.0: allowed are"),
        ({"schedule": "linear"}, "schedule 'linear': known are constant, cosine"),
        ({"extractor": "forest"}, "extractor 'forest': known are"),
        ({"width": 0}, "width 0: allowed are"),
        ({"augmentation": "blur"}, "augmentation 'blur': known are"),
        ({"memory_mib": 0}, "memory_mib 0: allowed are"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **changes)
