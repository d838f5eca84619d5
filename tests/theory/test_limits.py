"""Counts that no float holds, and dtypes that nothing can be computed with, are refused by name."""

import numpy as np
import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.gibbs_ratio.design import Design
from privacy_for_free.theory import gibbs, linear, tracing

HUGE = 10**400


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: tracing.effect_size(3.0, HUGE), "n"),
        (lambda: tracing.effect_size_pool(3.0, HUGE), "n"),
        (lambda: tracing.effect_size_pool(3.0, 5, HUGE), "pool"),
        (lambda: gibbs.shift_bound(HUGE, 1.0, 1.0, 1.0), "m"),
    ],
)
def test_k3_counts_that_no_float_holds_are_refused(call, name):
    with pytest.raises(ValueError, match=rf"^{name} (10+|beyond 1e308): allowed are "):
        call()


@pytest.mark.parametrize("images", [torch.arange(6).view(3, 2), np.arange(6).reshape(3, 2)])
def test_k3_whole_numbers_have_no_shift(images):
    with pytest.raises(ValueError, match=r"images .*int64 .*: allowed are floats"):
        gibbs.removal_shifts(images)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_k3_extractors_are_floats(dtype):
    for draw in (
        lambda stream: linear.random_extractors(1, 2, 3, stream, dtype=dtype),
        lambda stream: linear.balanced_extractors(2, 3, stream, dtype=dtype),
    ):
        with pytest.raises(ValueError, match=f"dtype {dtype}: allowed are torch.float32"):
            draw(generator(0, "theta"))


def test_k5_settings_of_chains_are_refused_when_the_design_is_made():
    with pytest.raises(ValueError, match="chains 0: allowed are whole numbers from 1"):
        Design((10,), (1,), 1, chains=0)
    with pytest.raises(ValueError, match="burn_in -1: allowed are whole numbers"):
        Design((10,), (1,), 1, burn_in=-1)
