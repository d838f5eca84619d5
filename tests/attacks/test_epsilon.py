"""The bound on epsilon, where the true one is known."""

import math

import numpy as np
import pytest

from privacy_for_free.attacks.epsilon import epsilon_lower_bound


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_randomised_response_is_bounded_by_its_epsilon(epsilon):
    trials, p = 200_000, math.exp(epsilon) / (1 + math.exp(epsilon))
    expected = epsilon_lower_bound(round(p * trials), trials, round((1 - p) * trials), trials, 0.0)
    assert 0.97 * epsilon < expected < epsilon


def test_the_bound_errs_at_most_as_often_as_it_says():
    random, epsilon, trials, above = np.random.default_rng(0), 1.0, 300, 0
    p = math.exp(epsilon) / (1 + math.exp(epsilon))
    for _ in range(400):
        hits, false = random.binomial(trials, p), random.binomial(trials, 1 - p)
        above += epsilon_lower_bound(hits, trials, false, trials, 0.0, 0.9) > epsilon
    assert above <= 0.1 * 400


def test_either_side_of_the_curve_counts_and_delta_is_taken_off():
    # Few false negatives and many false positives: the second inequality carries it.
    assert epsilon_lower_bound(1000, 1000, 500, 1000, 0.0) > 4
    assert epsilon_lower_bound(500, 1000, 0, 1000, 0.0) == pytest.approx(
        math.log(0.468550 / 0.003682), rel=1e-3
    )
    assert epsilon_lower_bound(10, 1000, 0, 1000, 0.01) == 0.0
    assert epsilon_lower_bound(500, 1000, 500, 1000, 0.0) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 10, 1, 10, 1.0), "delta 1.0"),
        ((1, 10, 1, 10, 0.0, 1.0), "confidence 1.0"),
        ((11, 10, 1, 10, 0.0), "true_positives 11: allowed are whole numbers from 0 to 10"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        epsilon_lower_bound(*arguments)
