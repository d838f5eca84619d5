"""Rows worked out by hand, and minibatches against batches drawn one by one."""

import math

import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.theory.linear_case import Minibatches, at_most, exact, scalar, statistical


def test_an_exact_row_has_norms_and_their_distance():
    row = exact("made_up", torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5]))
    assert (row["check"], row["kind"], row["expected"]) == ("made_up", "exact", 5.0)
    assert row["relative_error"] == pytest.approx(0.1)
    assert exact("zero", scalar(0), scalar(0.5), scale=10)["relative_error"] == pytest.approx(0.05)


def test_a_bound_is_off_by_how_much_it_is_exceeded():
    assert at_most("bound", 2.0, 1.5)["relative_error"] == 0
    assert at_most("bound", 2.0, 3.0)["relative_error"] == pytest.approx(0.5)


def test_a_statistical_row_counts_standard_errors():
    row = statistical("mean", 2.5, torch.tensor([1.0, 2.0, 3.0]))
    assert (row["observed"], row["samples"]) == (2.0, 3)
    assert row["z"] == pytest.approx(-0.5 * math.sqrt(3))
    assert row["relative_error"] == pytest.approx(0.2)


def test_means_of_minibatches_have_their_covariance():
    real = torch.randn((40, 3), generator=generator(0, "real"), dtype=torch.float64) * torch.tensor([1, 2, 5])
    batches = Minibatches.of(real)
    assert batches.size == 4
    means = batches.means(generator(0, "batches"), 20_000)
    assert (means.mean(0).abs() < 5 * means.std(0) / math.sqrt(20_000)).all()
    torch.testing.assert_close(means.T.cov(), batches.covariance, rtol=0.1, atol=0.02)
    assert batches.main.norm() == pytest.approx(1)
    assert batches.main[2].abs() > 0.9
