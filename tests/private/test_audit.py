"""Audits of the package's own mechanisms, kept and broken."""

import math

import numpy as np
import pytest
import torch

from privacy_for_free.attacks.epsilon import epsilon_lower_bound
from privacy_for_free.core.randomness import generator
from privacy_for_free.private import worst_case
from privacy_for_free.private.accounting import Mechanism, calibrate
from privacy_for_free.private.audit import audit, lower_bounds
from privacy_for_free.private.noisy_condensation import sums


def mean_release(noise_multiplier, seed, bound=2.0, others=20):
    """One noisy sum of three coordinates; the canary has all of the bound in the first of them."""

    def statistic(present, index):
        vectors = torch.zeros((others + present, 3), dtype=torch.float64)
        vectors[:others, 1] = 0.3
        if present:
            vectors[-1, 0] = 1e3  # clipped to the bound
        stream = generator(seed(index, present), "noise")
        rows = torch.zeros(len(vectors), dtype=torch.int64)
        return float(sums.noisy_sums(vectors, rows, 1, bound, noise_multiplier, stream)[0, 0])

    return statistic


def fresh(index, present):
    return 2 * index + present


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_a_correct_release_stays_below_its_epsilon(epsilon):
    mechanism = calibrate(epsilon, accountant="analytic")
    found = audit(mean_release(mechanism.noise_multiplier, fresh), runs=1500, pilots=500)
    assert found.epsilon < epsilon
    assert found.runs == 1500
    # The attack is not a blind one: it finds a good part of a large epsilon.
    assert epsilon < 4 or found.epsilon > 1


def test_64_runs_are_few_but_valid():
    mechanism = calibrate(1.0, accountant="analytic")
    assert audit(mean_release(mechanism.noise_multiplier, fresh), runs=64, pilots=64).epsilon < 1


def test_too_small_a_noise_is_caught():
    """As where the noise is scaled to the mean of n examples, but added to their sum."""
    mechanism = calibrate(1.0, accountant="analytic")
    found = audit(mean_release(mechanism.noise_multiplier / 20, fresh), runs=64, pilots=64)
    assert found.epsilon > 2 * mechanism.epsilon(accountant="analytic")


def test_a_quarter_of_the_noise_is_caught_by_more_runs():
    mechanism = calibrate(1.0, accountant="analytic")
    found = audit(mean_release(mechanism.noise_multiplier / 4, fresh), runs=2000, pilots=1000)
    assert found.epsilon > mechanism.epsilon(accountant="analytic")


def test_noise_that_is_the_same_in_every_run_is_caught():
    mechanism = calibrate(1.0, accountant="analytic")
    found = audit(mean_release(mechanism.noise_multiplier, lambda index, present: 7), runs=64, pilots=8)
    assert (found.true_positives, found.false_positives) == (64, 0)
    assert found.epsilon > 2.5


@pytest.mark.parametrize("name", worst_case.MECHANISMS)
def test_every_mechanism_keeps_its_promise_and_breaks_it_with_less_noise(name):
    epsilon, rate = 2.0, worst_case.MECHANISMS[name][1]
    noise_multiplier = calibrate(epsilon, 1, rate, accountant="rdp").noise_multiplier
    kept = audit(worst_case.statistic(name, noise_multiplier, fresh), runs=64, pilots=16)
    assert kept.epsilon < epsilon
    broken = audit(worst_case.statistic(name, noise_multiplier / 100, fresh), runs=64, pilots=16)
    assert broken.epsilon > epsilon


@pytest.mark.parametrize("name", worst_case.MECHANISMS)
def test_noise_with_one_seed_is_caught_in_every_mechanism(name):
    rate = worst_case.MECHANISMS[name][1]
    noise_multiplier = calibrate(2.0, 1, rate, accountant="rdp").noise_multiplier
    found = audit(worst_case.statistic(name, noise_multiplier, lambda index, present: 7), runs=64, pilots=8)
    assert (found.true_positives, found.false_positives) == (64, 0)


def test_the_bound_is_that_of_the_counts():
    random = np.random.default_rng(0)
    with_it, without = random.normal(1, 1, 300), random.normal(0, 1, 300)
    found = audit(lambda present, i: (with_it if present else without)[i], runs=200, pilots=100)
    hits = int((found.sign * with_it[100:] > found.threshold).sum())
    false = int((found.sign * without[100:] > found.threshold).sum())
    assert (hits, false) == (found.true_positives, found.false_positives)
    assert found.epsilon == epsilon_lower_bound(hits, 200, false, 200, 1e-5)
    mirrored = audit(lambda present, i: -(with_it if present else without)[i], runs=200, pilots=100)
    assert mirrored.epsilon == pytest.approx(found.epsilon)
    assert mirrored.sign == -found.sign


def test_thresholds_are_ranked_by_the_bound_itself():
    counts = [(0, 0), (30, 0), (30, 3), (30, 30), (17, 5), (3, 29), (0, 30), (12, 12)]
    true, false = map(np.array, zip(*counts, strict=True))
    expected = [epsilon_lower_bound(t, 30, f, 30, 1e-2, 0.9) for t, f in counts]
    np.testing.assert_allclose(lower_bounds(true, false, 30, 1e-2, 0.9), expected, rtol=1e-9, atol=1e-12)


def test_a_valid_bound_errs_no_more_often_than_it_may():
    random, epsilon, above = np.random.default_rng(1), 1.0, 0
    sigma = calibrate(epsilon, accountant="analytic").noise_multiplier
    for _ in range(60):
        values = random.normal(0, sigma, (2, 150))
        found = audit(lambda present, i, v=values: v[int(present), i] + present, runs=100, pilots=50)
        above += found.epsilon > epsilon
    assert above <= 0.1 * 60
    assert Mechanism(sigma).epsilon(accountant="analytic") == pytest.approx(epsilon)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lambda p, i: 0.0, 0, 5), "runs 0: allowed are whole numbers from 1 up"),
        ((lambda p, i: 0.0, 5, 0), "pilots 0: allowed"),
        ((lambda p, i: math.nan, 5, 5), "statistic nan of run 0: allowed are finite numbers"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        audit(*arguments)
