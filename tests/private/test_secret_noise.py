"""One seed never gives two data sets one noise: releases whose difference would be the image between them."""

import dataclasses
import math
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.condensation.loop import Run
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.errors import CheckpointError
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.private import dp_merf, dp_sgd
from privacy_for_free.private import noisy_condensation as nc

SECRET = 2**61 + 12345
LOUD = 100.0  # a noise multiplier beside which an image is next to nothing
COUNT, SIZE = 40, 8
NETWORK = networks.MLP(1, SIZE, 2, width=8, depth=1)
LINEAR, LDPDC = nc.Linear(LOUD), nc.LDPDC(LOUD, sample=10)
NDPDC = nc.NDPDC(LOUD, sample=10, bound=0.1, extractor="mlp", width=8, iterations=2)
ONE = nc.OneRelease(LOUD, bound=0.1, extractors=2, extractor="mlp", width=8, centre=3, iterations=2)
MERF = dp_merf.DPMERF(LOUD, features=20, hidden=(8,), epochs=1, batch=10)
SGD = dp_sgd.DPSGD(LOUD, bound=0.1, sample=10, steps=1, learning_rate=10.0, momentum=0.0)


def problem(noise="members", seed=SECRET, less=None, names=None, **changes):
    images = torch.rand((COUNT, 1, SIZE, SIZE), generator=generator(0, "pool")) * 2 - 1
    membership = torch.ones((1, COUNT), dtype=torch.bool)
    if less is not None:
        membership[0, less] = False
    labels = torch.arange(COUNT) % 2
    made = Problem.of(images, labels, membership, 1, "noise", seed, names=names, noise=noise)
    return dataclasses.replace(made, **changes)


def members(case):
    rows = case.membership[0]
    return case.images[rows], case.labels[rows]


def counts(case):
    return torch.bincount(members(case)[1], minlength=2)[None]


def network(case):
    start = NETWORK.initial(generator(case.seed, "dp_sgd initial"))
    end = dp_sgd.train(NETWORK, *members(case), SGD, case.seed, noise=case.noise)
    return torch.cat([(start[name] - end[name]).flatten() for name in start]), 0.1 * LOUD


def released(method, case):
    """The noisy sums that a method releases, flat, and the spread of the noise on them."""
    if method == "linear":
        made = nc.condense_linear(case, LINEAR).images[0, :, 0] * counts(case)[0][:, None, None, None]
        return made.flatten(), SIZE * LOUD
    if method == "ldpdc":
        return nc.condense_ldpdc(case, LDPDC).images.flatten() * 10, SIZE * LOUD
    if method == "ndpdc":
        matcher = nc.NoisyMatcher(case, NDPDC, counts(case))
        return matcher.release(0, matcher.features.draw(case, "ndpdc", 0)).flatten(), 0.1 * LOUD
    if method == "one_release":
        made = nc.ReleasedMeans(case, ONE, counts(case)).means[0] * counts(case)[0][:, None, None]
        return made.flatten(), 0.1 * LOUD
    if method == "dp_merf":
        return dp_merf.release(case, MERF).flatten() * int(counts(case).sum()), LOUD
    return network(case)


METHODS = ("linear", "ldpdc", "ndpdc", "one_release", "dp_merf", "dp_sgd")
CONDENSERS = {"linear": LINEAR, "ldpdc": LDPDC, "ndpdc": NDPDC, "one_release": ONE, "dp_merf": MERF}


def test_k11_one_seed_and_one_image_less_do_not_give_that_image():  # case 25
    found = {}
    for noise in ("members", "seed"):
        whole, less = (
            nc.condense_linear(problem(noise, less=less), nc.Linear(3.7)).images[0, 1, 0]
            for less in (None, 7)
        )
        found[noise] = float((whole * 20 - less * 19 - problem().images[7]).abs().max())
    assert found["seed"] < 1e-4  # what the secret of the noise is needed for
    assert found["members"] > 10


@pytest.mark.parametrize("method", METHODS)
def test_k11_noise_does_not_repeat_on_other_data(method):  # case 25
    for noise, least, most in (("members", 1.0, 2.0), ("seed", 0.0, 0.1)):
        whole, spread = released(method, problem(noise))
        less, _ = released(method, problem(noise, less=7))
        moved = float((whole - less).double().norm()) / (spread * math.sqrt(len(whole)))
        assert least <= moved <= most


@pytest.mark.parametrize("method", METHODS)
def test_k11_one_seed_and_the_same_data_give_the_same_bits(method):
    for noise in ("members", "seed"):
        assert torch.equal(released(method, problem(noise))[0], released(method, problem(noise))[0])
    other = released(method, problem(seed=SECRET + 1))[0]
    assert not torch.equal(released(method, problem())[0], other)


def test_k11_other_settings_have_other_noise():
    """Two scales of one noise would take it away: twice the first release less the second."""
    once, twice = (nc.condense_linear(problem(), nc.Linear(z)).images.double() for z in (LOUD, 2 * LOUD))
    start = nc.condense_linear(problem(), nc.Linear(0.0)).images.double()
    assert float((2 * (once - start) - (twice - start)).abs().max()) > SIZE * LOUD / 40


def seeds(case):
    """The seeds of the noise of some methods and steps, of both kinds of streams."""
    return {
        case.noise_generator(purpose, name, step, settings=LINEAR).initial_seed()
        for purpose in ("noise", "sample")
        for name in case.names
        for step in range(3)
    }


@settings(max_examples=60, deadline=None)
@given(
    change=st.sampled_from(["pixel", "label", "less", "exchanged", "dtype"]),
    i=st.integers(0, COUNT - 1),
    row=st.integers(0, SIZE - 1),
    bit=st.floats(1e-7, 1e-3),
)
def test_k11_whatever_changes_in_the_members_changes_all_noise(change, i, row, bit):
    before = problem()
    images, labels = before.images.clone(), before.labels.clone()
    if change == "pixel":
        images[i, 0, row, 0] *= 1 - bit
    elif change == "label":
        labels[i] = 1 - labels[i]
    elif change == "exchanged":
        images[[i, i - 1]] = images[[i - 1, i]]
    elif change == "dtype":
        images = images.double()
    less = i if change == "less" else None
    after = problem(less=less, images=images, labels=labels)
    assert len(seeds(before)) == 6
    assert not seeds(before) & seeds(after)
    assert seeds(dataclasses.replace(before, noise="seed")) == seeds(dataclasses.replace(after, noise="seed"))


def test_k11_what_is_no_member_changes_no_noise():
    images = problem().images.clone()
    images[7] = 0.5
    before, after = problem(less=7), problem(less=7, images=images)
    assert seeds(before) == seeds(after)
    alone = dataclasses.replace(before, membership=before.membership.repeat(2, 1), names=(0, 5))
    assert seeds(before) < seeds(alone)


@pytest.mark.parametrize("method", CONDENSERS)
def test_k11_no_method_draws_noise_or_samples_from_the_seed_alone(method):
    public, original = [], Problem.generator

    def draw(self, purpose, *index, device="cpu"):
        public.append(purpose)
        return original(self, purpose, *index, device=device)

    with mock.patch.object(Problem, "generator", draw):
        CONDENSERS[method].condense(problem())
        assert {purpose for purpose in public if "noise" in purpose or "sample" in purpose} <= {
            "initial noise",  # of the synthetic images
            "dp_merf sample",  # of the generator's codes
        }
        public.clear()
        CONDENSERS[method].condense(problem("seed"))
    assert f"{method} noise" in public


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 7, 2**40 - 1])
def test_k11_a_seed_that_can_be_guessed_is_refused(method, seed):
    message = rf"seed {seed} of a private release.*allowed are None \(a fresh.*randbits.*noise='seed'"
    case = problem(seed=seed)
    release = CONDENSERS[method].condense if method in CONDENSERS else network
    with pytest.raises(ValueError, match=message):
        release(case)
    assert len(released(method, problem("seed", seed=seed))[0]) > 0


def test_k11_no_seed_is_a_fresh_secret_one():
    one, two = (problem(seed=None) for _ in range(2))
    assert one.seed != two.seed
    assert 0 <= one.seed < 2**62
    networks = [dp_sgd.train(NETWORK, *members(problem()), SGD) for _ in range(2)]
    assert not torch.equal(networks[0]["0.weight"], networks[1]["0.weight"])
    with pytest.raises(ValueError, match="noise 'data': known are members, seed"):
        problem("data")
    with pytest.raises(ValueError, match="noise 'data': known are members, seed"):
        dp_sgd.train(NETWORK, *members(problem()), SGD, SECRET, noise="data")


@pytest.mark.parametrize("method", ["ndpdc", "one_release"])
def test_k11_a_run_goes_on_with_its_own_noise_and_refuses_other_data(method, tmp_path):
    settings, run = dataclasses.replace(CONDENSERS[method], iterations=4), Run(tmp_path / "run", every=2)
    whole = settings.condense(problem())
    kept = []

    def stop(self, index, images):
        if index == 3:
            kept.append(index)
            raise KeyboardInterrupt
        return original(self, index, images)

    matcher = nc.NoisyMatcher if method == "ndpdc" else nc.ReleasedMeans
    original = matcher.loss_and_gradient
    with mock.patch.object(matcher, "loss_and_gradient", stop), pytest.raises(KeyboardInterrupt):
        settings.condense(problem(), run)
    assert kept == [3]
    for other in (problem(less=7), problem(seed=SECRET + 1), problem("seed")):
        with pytest.raises(CheckpointError):
            settings.condense(other, run)
    assert torch.equal(settings.condense(problem(), run).images, whole.images)


@pytest.mark.parametrize("method", METHODS)
def test_k3_images_out_of_range_are_refused_with_the_range_found(method):  # case 13
    for images, found in ((problem().images * 3, "-2.99"), ((problem().images + 1) * 127.5, "0.0")):
        case = problem(images=images)
        if method == "dp_sgd":  # clips gradients, and takes images of any scale that is public
            assert len(released(method, case)[0]) > 0
            continue
        with pytest.raises(
            ValueError, match=rf"images from {found}.* to .*: allowed are images in \[-1, 1\]"
        ):
            CONDENSERS[method].condense(case)
    rounded = problem(images=problem().images.sign() * (1 + 1e-7))
    assert len(released(method, rounded)[0]) > 0


@pytest.mark.parametrize("method", METHODS)
def test_k1_the_number_of_threads_changes_no_bit(method):
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            if method == "dp_sgd":
                found.append(released(method, problem())[0])
            else:
                found.append(CONDENSERS[method].condense(problem()).images)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)
