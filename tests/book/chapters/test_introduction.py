"""The keys of the introduction's prose, and that its numbers are the claims'."""

import math

import pytest

from privacy_for_free.book import claims
from privacy_for_free.book.chapters import introduction


@pytest.fixture(scope="module")
def found(root):
    return introduction.numbers(root / "data" / "results")


def test_the_prose_inserts_what_the_records_give(found, glue_keys):
    assert set(found) == glue_keys("introduction")
    assert all(map(math.isfinite, found.values()))


def test_numbers_are_the_effects_of_claims_and_sizes_have_no_sign(root, found):
    (a12,) = [claim for claim in claims.CLAIMS if claim.key == "A12"]
    effects = claims.judge(a12, root / "data" / "results").effects
    assert found["cifar10.A12"] == effects["cifar10"].value
    assert min(value for key, value in found.items() if key.endswith(".size")) > 0


def test_without_records_there_are_no_numbers(tmp_path):
    assert all(map(math.isnan, introduction.numbers(tmp_path).values()))
