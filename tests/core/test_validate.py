"""Checks of arguments: numbers of numpy are numbers, and what is none is refused by name."""

import math

import numpy as np
import pytest
import torch

from privacy_for_free.core import validate
from privacy_for_free.core.randomness import derived_seed

REAL = (validate.positive, validate.not_negative, validate.fraction)
NO_NUMBERS = ["7", "", None, True, np.True_, torch.tensor(True), math.nan, np.float32("nan"), [1], 1j, "nan"]


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_k2_a_whole_number_is_one_whatever_made_it(value):  # case 11
    found = validate.whole("ipc", value, 1, 3)
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize("value", [*NO_NUMBERS, 3.0, np.float64(3), math.inf, "٣"])
def test_k2_what_is_no_whole_number_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^ipc .*: allowed are whole numbers from 0 up$"):
        validate.whole("ipc", value)


@pytest.mark.parametrize("check", REAL)
@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5), torch.tensor(0.5), np.array(0.5)])
def test_k2_a_number_comes_back_as_pythons(check, value):
    found = check("rate", value)
    assert found == 0.5
    assert type(found) is float


@pytest.mark.parametrize("check", REAL)
@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, -1, math.inf, pytest.param(10**400, id="10**400"), np.float64(-0.5)]
)
def test_k2_what_is_no_such_number_is_refused_by_name(check, value):
    with pytest.raises(ValueError, match=r"^rate .*: allowed are "):
        check("rate", value)


def test_k2_whole_numbers_stay_whole_and_seeds_of_numpys_give_the_same_bits():  # case 11
    assert type(validate.positive("rate", 3)) is int
    assert type(validate.not_negative("rate", np.int32(0))) is int
    for kind in (np.int64, np.uint64, np.int8, torch.tensor):
        assert derived_seed(kind(7), "noise", 1) == derived_seed(7, "noise", 1)
