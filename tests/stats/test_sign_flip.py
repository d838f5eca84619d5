"""Flips of signs against a loop over all of them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.stats import sign_flip


@given(st.lists(st.integers(-8, 8), min_size=2, max_size=7))
@settings(max_examples=20, deadline=None)
def test_sign_flips_are_those_of_a_loop(values):
    values = np.array(values, dtype=float)
    sums = [np.dot(signs, values) for signs in itertools.product((1, -1), repeat=len(values))]
    slow = np.mean([abs(value) >= abs(values.sum()) - 1e-9 for value in sums])
    assert sign_flip.p_value(values) == pytest.approx(slow)


def test_values_of_one_sign_have_the_smallest_p_value():
    assert sign_flip.p_value(np.linspace(1, 2, 6)) == 2 / 2**6
    assert sign_flip.p_value(np.linspace(-1, -2, 6)) == 2 / 2**6


def test_of_many_values_flips_are_drawn_from_the_seed():
    values = np.random.default_rng(0).normal(0.2, 1, 20)
    first, again, other = (sign_flip.p_value(values, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first == pytest.approx(other, abs=0.03)


def test_without_any_difference_nothing_is_found():
    assert sign_flip.p_value(np.zeros(5)) == 1


def test_k3_no_values_are_refused_and_one_says_nothing():
    with pytest.raises(ValueError, match=r"values float64 \(0,\): allowed is K, K from 1 up"):
        sign_flip.p_value(np.array([]))
    with pytest.raises(ValueError, match=r"values float64 \(2, 2\): allowed is K"):
        sign_flip.p_value(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"values bool \(2,\): allowed are numbers"):
        sign_flip.p_value(np.array([True, False]))
    with pytest.raises(ValueError, match=r"values: nan at \(1,\); allowed are finite numbers"):
        sign_flip.p_value(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match=r"values up to 1e\+308: allowed are numbers up to 1e\+150"):
        sign_flip.p_value(np.array([1e308, 1e308]))
    assert sign_flip.p_value(np.array([1.0])) == 1.0
