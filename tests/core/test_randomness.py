"""Derived generators: a stream a purpose, and the global state left alone."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privacy_for_free.core.randomness import derived_seed, generator, numpy_generator

names = st.tuples(st.integers(0, 2**70), st.text(max_size=5), st.lists(st.integers(0, 9), max_size=3))


@given(names, names)
def test_seeds_agree_only_for_the_same_name(one, other):
    a, b = (derived_seed(seed, purpose, *index) for seed, purpose, index in (one, other))
    assert 0 <= a < 2**63
    if "\x1f" not in one[1] + other[1]:
        assert (a == b) == (one == other)


def test_global_state_is_untouched():
    before = torch.get_rng_state().clone(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    torch.randn(3, generator=generator(0, "noise"))
    numpy_generator(0, "noise").normal(size=3)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[2] == random.getstate()


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None, True])
def test_bad_seed_is_named(seed):
    with pytest.raises(ValueError, match="from 0 up"):
        generator(seed, "noise")
