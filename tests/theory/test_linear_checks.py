"""The checks pass on images that obey the theory, and fail when a statement is bent."""

import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.theory import linear, linear_checks
from privacy_for_free.theory.linear_case import STANDARD_ERRORS, TOLERANCE, Case


def draw(purpose, *index):
    return generator(0, f"linear checks {purpose}", *index)


@pytest.fixture
def case():
    images = torch.rand((40, 3, 8, 8), generator=draw("images"))
    real = linear.flatten(images, 2)
    initial = torch.rand((3, real.shape[1]), generator=draw("initial"), dtype=real.dtype)
    return Case(real, initial, k=3, normals=300_000, chains=300, draw=draw)


def test_every_statement_holds(case):
    rows = list(linear_checks.rows(case))
    assert len({row["check"] for row in rows}) == len(rows) == 32
    assert max(row["relative_error"] for row in rows if row["kind"] == "exact") < TOLERANCE
    assert max(abs(row["z"]) for row in rows if row["kind"] == "statistical") < STANDARD_ERRORS


@pytest.mark.parametrize(
    ("function", "bent", "check"),
    [
        ("expected_loss", lambda gap, k, variance=1.0: (k + 1) * gap.square().sum(-1), "loss_closed_form"),
        ("largest_step", lambda m, k, variance=1.0: 2.6 * m / k, "limit_expected_loss"),
        ("minimiser", lambda initial, real: initial + real.mean(0), "limit_expected_loss"),
        ("removal_shift", lambda real, index: real[index] / len(real), "removal_moves_all_alike"),
    ],
)
def test_a_bent_statement_is_caught(case, monkeypatch, function, bent, check):
    monkeypatch.setattr(linear, function, bent)
    wrong = {
        row["check"]
        for row in linear_checks.rows(case)
        if row["kind"] == "exact" and row["relative_error"] > 1e-3
    }
    assert check in wrong


def test_a_bent_statistic_is_caught(case, monkeypatch):
    monkeypatch.setattr(linear, "mean_square_factor", lambda step, m, k, d: 1 - 4 * step * k / m)
    z = {row["check"]: row["z"] for row in linear_checks.rows(case) if row["kind"] == "statistical"}
    assert abs(z["fresh_factor_above_threshold"]) > 10
