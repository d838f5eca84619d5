"""A release that is asked for by its epsilon: the noise it gets, what is said of it, and what is refused."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.randomness import generator
from privacy_for_free.private import calibrated
from privacy_for_free.private import noisy_condensation as nc
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.dp_merf import DPMERF
from privacy_for_free.private.dp_sgd import DPSGD

ONE = nc.OneRelease(0.0, bound=0.05, extractors=3, width=4, centre=5, iterations=2, learning_rate=500.0)
ALL = {
    "linear": nc.Linear(0.0),
    "ldpdc": nc.LDPDC(0.0, sample=6),
    "ndpdc": nc.NDPDC(0.0, sample=6, iterations=2, width=4, learning_rate=0.1),
    "one_release": ONE,
    "dp_merf": DPMERF(0.0, "add_remove", features=20, hidden=(8,), epochs=1, batch=10),
}


def problem(sets=2, ipc=2, count=60):
    images = torch.rand((count, 1, 8, 8), generator=generator(0, "pool")) * 2 - 1
    membership = torch.rand((sets, count), generator=generator(0, "halves")) < 0.7
    return Problem.of(images, torch.arange(count) % 3, membership, ipc, "noise", 5, noise="seed")


def smallest_class(case):
    return min(
        int((case.membership[k] & (case.labels == c)).sum()) for k in range(case.sets) for c in range(3)
    )


@pytest.mark.parametrize("name", ALL)
def test_what_is_accounted_back_is_what_was_asked_for(name):
    case = problem()
    released = calibrated.release(case, ALL[name], 2.0)
    accountant = "analytic" if released.mechanism.rate == 1 else "pld"
    assert 2.0 * (1 - 1e-3) <= released.mechanism.epsilon(1e-5, accountant) <= 2.0
    assert released.epsilon == 2.0
    assert released.epsilons.add_remove == released.mechanism.epsilon(1e-5, accountant)
    assert released.epsilons.renyi == released.mechanism.epsilon(1e-5, "rdp")
    assert released.epsilons.add_remove < min(released.epsilons.renyi, released.epsilons.replace_one)
    assert released.sets.images.shape == (2, 3, 2, 1, 8, 8)


@pytest.mark.parametrize("name", ALL)
def test_the_sets_are_those_of_the_noise_that_is_reported(name):
    case = problem()
    released = calibrated.release(case, ALL[name], 3.0, 1e-3)
    noisy = dataclasses.replace(ALL[name], noise_multiplier=released.mechanism.noise_multiplier)
    assert torch.equal(released.sets.images, noisy.condense(case).images)


def test_rate_and_steps_are_those_of_the_smallest_class_of_any_set():
    case = problem(ipc=3)
    rate = 6 / smallest_class(case)
    ldpdc, ndpdc = (calibrated.release(case, ALL[name], 4.0).mechanism for name in ("ldpdc", "ndpdc"))
    assert (ldpdc.steps, ldpdc.rate) == (3, rate)  # a noisy sum for each image of a class
    assert (ndpdc.steps, ndpdc.rate) == (2, rate)


@pytest.mark.parametrize("name", ALL)
def test_an_infinite_epsilon_has_no_noise(name):
    case = problem()
    released = calibrated.release(case, ALL[name], math.inf)
    assert released.mechanism.noise_multiplier == 0
    assert dataclasses.astuple(released.epsilons) == (1e-5, math.inf, math.inf, math.inf)
    assert torch.equal(released.sets.images, ALL[name].condense(case).images)


@pytest.mark.parametrize("epsilon", [0.5, 8.0, math.inf])
def test_sums_computed_once_give_the_same_release_bitwise(epsilon):
    case = problem()
    sums = nc.clipped_feature_sums(case, ONE)
    shared, twin = (calibrated.release(case, ONE, epsilon, sums=given) for given in (sums, None))
    assert torch.equal(shared.sets.images, twin.sets.images)
    assert shared.mechanism == twin.mechanism


@pytest.mark.parametrize("changes", [{"bound": 1000.0}, {"width": 8}, {"extractors": 5}])
def test_sums_of_other_settings_or_data_are_refused(changes):
    """With a larger bound they would get the noise of a smaller one."""
    case = problem()
    others = nc.clipped_feature_sums(case, dataclasses.replace(ONE, **changes))
    with pytest.raises(ValueError, match="allowed are those of `clipped_feature_sums` for this problem"):
        calibrated.release(case, ONE, 1.0, sums=others)
    elsewhere = dataclasses.replace(case, images=case.images.flip(0))
    with pytest.raises(ValueError, match="allowed are those of `clipped_feature_sums` for this problem"):
        calibrated.release(elsewhere, ONE, 1.0, sums=nc.clipped_feature_sums(case, ONE))


def test_the_adjacency_of_the_settings_is_what_epsilon_is_about():
    case = problem()
    added = calibrated.release(case, nc.Linear(0.0), 1.0)
    replaced = calibrated.release(case, nc.Linear(0.0, adjacency="replace_one"), 1.0)
    assert replaced.mechanism.noise_multiplier == pytest.approx(2 * added.mechanism.noise_multiplier)
    assert replaced.epsilons.replace_one == pytest.approx(1.0)
    assert added.epsilons.add_remove == pytest.approx(1.0)
    assert replaced.epsilons.add_remove < 1 < added.epsilons.replace_one


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 20), st.floats(1e-9, 0.1), st.integers(1, 100))
def test_the_least_noise_of_a_single_release_is_exact(epsilon, delta, steps):
    """Without sampling the accountant is exact: what is spent is nearly all of what was asked for."""
    mechanism = calibrated.least_noise(Mechanism(7.0, steps), epsilon, delta)
    spent = mechanism.epsilon(delta, "analytic")
    assert epsilon * (1 - 1e-4) <= spent <= epsilon
    assert (mechanism.steps, mechanism.rate) == (steps, 1.0)


def test_the_least_noise_of_sampled_steps_is_nearly_exact():
    mechanism = calibrated.least_noise(DPSGD(0.0, sample=60, steps=5).mechanism(300), 2.0)
    assert (mechanism.steps, mechanism.rate) == (5, 0.2)
    assert 2.0 * (1 - 1e-3) <= mechanism.epsilon(accountant="pld") <= 2.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0.0}, "epsilon 0.0: allowed are numbers above 0"),
        ({"epsilon": -1.0}, "epsilon -1.0: allowed are numbers above 0"),
        ({"epsilon": math.nan}, "epsilon nan: allowed are numbers, and this is none"),
        ({"delta": 0.0}, "delta 0.0: allowed are numbers between 0 and 1"),
        ({"settings": DPSGD(0.0)}, "settings DPSGD.*: allowed are Linear, LDPDC, NDPDC, OneRelease, DPMERF"),
        ({"settings": nc.NDPDC()}, "noise_multiplier 3.46 beside an epsilon: allowed is 0"),
        ({"settings": nc.LDPDC(0.0)}, "sample 50: allowed are 1 to"),
        ({"sums": torch.zeros((2, 3))}, "sums Tensor .*: allowed is a privacy_for_free ClippedSums"),
        ({"sums": nc.ClippedSums(torch.zeros((2, 3)), "")}, "sums for Linear.*: allowed are sums for OneRel"),
        ({"problem": dataclasses.replace(problem(), init="real")}, "init 'real': allowed is 'noise'"),
    ],
)
def test_what_cannot_be_released(change, message):
    given = {"problem": problem(), "settings": nc.Linear(0.0), "epsilon": 1.0}
    with pytest.raises(ValueError, match=message):
        calibrated.release(**given | change)
