"""Epsilon of a run from a secret start, the last step that has one, and the release."""

import math

import pytest
import torch
from scipy.stats import norm

from privacy_for_free.core.randomness import generator
from privacy_for_free.private import secret_start
from privacy_for_free.private.secret_start import SecretStart
from privacy_for_free.theory import secret_start as theory

SECRET = 2**61 + 99
IMAGES = torch.randn((40, 9), generator=generator(0, "images")) * 2
RUN = SecretStart(n=40, m=3, bound=5.0, spread=1.5, contraction=0.8)


@pytest.mark.parametrize("mu", [0.01, 0.3, 1.0, 4.0])
def test_epsilon_is_that_of_the_trade_off(mu):
    """At the epsilon found the curve of Gaussian privacy spends delta exactly (Dong, Roth & Su 2022)."""
    epsilon = secret_start.epsilon_of(mu)
    spent = norm.cdf(-epsilon / mu + mu / 2) - math.exp(epsilon) * norm.cdf(-epsilon / mu - mu / 2)
    assert spent == pytest.approx(1e-5, rel=1e-4)
    assert secret_start.mu_at(epsilon) == pytest.approx(mu, rel=1e-4)


def test_limits():
    assert secret_start.epsilon_of(0.0) == 0
    assert secret_start.epsilon_of(math.inf) == secret_start.epsilon_of(1e10) == math.inf
    assert 0 <= secret_start.epsilon_of(1e-300) < 1e-6
    assert secret_start.mu_at(math.inf) == math.inf
    assert RUN.epsilon(0) == 0
    assert RUN.epsilon(100_000) == math.inf


@pytest.mark.parametrize("mu", [0.05, 1.0, 5.0])
def test_several_alike_are_one(mu):
    assert secret_start.epsilon_of_several([mu] * 3) == pytest.approx(secret_start.epsilon_of(mu), rel=1e-6)


def test_several_spend_their_average():
    mus = [0.1, 0.5, 2.0]
    epsilon = secret_start.epsilon_of_several(mus)
    each = [norm.cdf(-epsilon / m + m / 2) - math.exp(epsilon) * norm.cdf(-epsilon / m - m / 2) for m in mus]
    assert sum(each) / 3 == pytest.approx(1e-5, rel=1e-6)
    assert secret_start.epsilon_of(0.5) < epsilon < secret_start.epsilon_of(2.0)
    assert secret_start.epsilon_of_several([0.1, math.inf]) == math.inf
    rare = [0.1] * 999_999 + [math.inf]  # with a chance below delta it may give everything away
    assert secret_start.epsilon_of_several(rare) == pytest.approx(
        secret_start.epsilon_of(0.1, 9e-6), rel=1e-3
    )
    assert secret_start.epsilon_of_several([0.0, 0.0]) == 0.0


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 30.0])
def test_most_steps_is_the_last_one_that_is_allowed(epsilon):
    steps = RUN.most_steps(epsilon)
    assert RUN.epsilon(steps) <= epsilon * (1 + 1e-6)
    assert RUN.epsilon(steps + 1) > epsilon * (1 - 1e-6)


def test_the_release_has_the_mean_and_the_noise_that_are_accounted_for():
    steps, runs = 6, 600
    kept = theory.kept(steps, RUN.contraction)
    clipped = IMAGES.double() * (5 / IMAGES.double().norm(dim=1, keepdim=True)).clamp(max=1)
    found = torch.stack([RUN.release(IMAGES, steps, seed, "seed") for seed in range(runs)])
    assert found.dtype == torch.float64
    noise = (found.mean(1) - (1 - kept) * clipped.mean(0)) / (kept * 1.5 / math.sqrt(3))
    assert abs(float(noise.mean())) < 4 / math.sqrt(noise.numel())
    assert abs(float(noise.var()) - 1) < 4 * math.sqrt(2 / noise.numel())


def test_no_image_moves_the_mean_further_than_its_bound():
    huge = IMAGES.clone()
    huge[3] *= 1e6
    moved = RUN.release(huge, 30, SECRET, "seed") - RUN.release(IMAGES, 30, SECRET, "seed")
    assert float(moved.mean(0).norm()) <= 2 * RUN.bound / RUN.n


def test_no_two_releases_share_a_start():
    """Under one seed: other images, other steps and other settings have other shapes."""
    other = IMAGES.clone()
    other[0] += 1e-3
    made = [
        RUN.release(IMAGES, 4, SECRET),
        RUN.release(other, 4, SECRET),
        RUN.release(IMAGES, 5, SECRET),
        SecretStart(40, 3, 5.0, 1.5, 0.81).release(IMAGES, 4, SECRET),
        RUN.release(IMAGES, 4),
        RUN.release(IMAGES, 4),
    ]
    shapes = torch.stack([one - one.mean(0) for one in made]).flatten(1)
    apart = torch.cdist(shapes, shapes) + 10 * torch.eye(len(made))
    assert float(apart.min()) > 0.1
    assert torch.equal(RUN.release(IMAGES, 4, SECRET), made[0])


def test_a_public_seed_voids_it():
    """Who knows the seed makes the start himself, and has the mean of the members."""
    images, steps = IMAGES.double() / 10, 10
    made = RUN.release(images, steps, 7, "seed")
    start = RUN.release(torch.zeros_like(images), 0, 7, "seed")
    found = theory.recover_mean(made, start, theory.kept(steps, RUN.contraction))
    assert float((found - images.mean(0)).abs().max()) < 1e-8


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: SecretStart(0, 1, 1.0), "n 0"),
        (lambda: SecretStart(1, 1, 1.0, contraction=1.0), "contraction 1.0"),
        (lambda: SecretStart(1, 1, 1.0, contraction=-0.5), "contraction -0.5"),
        (lambda: SecretStart(1, 1, 1.0, spread=0.0), "spread 0.0"),
        (lambda: RUN.epsilon(-1), "steps -1"),
        (lambda: RUN.epsilon(1, delta=0.0), "delta 0.0"),
        (lambda: RUN.epsilon(0, delta=0.0), "delta 0.0"),
        (lambda: RUN.most_steps(math.inf), "epsilon inf"),
        (lambda: RUN.most_steps(-1.0), "epsilon -1.0"),
        (lambda: secret_start.epsilon_of(-1.0), "mu -1.0"),
        (lambda: secret_start.epsilon_of_several([1.0, -1.0]), "mus"),
        (lambda: secret_start.epsilon_of_several([]), "mus"),
        (lambda: RUN.release(IMAGES[:5], 3), r"images \(5, 9\): allowed are n 40"),
        (lambda: RUN.release(IMAGES, 60), "steps 60: keep .*, allowed are 0 to 37"),
        (lambda: RUN.release(IMAGES, 3, noise="none"), "noise 'none'"),
    ],
)  # fmt: skip
def test_refusals_name_the_value(call, said):
    with pytest.raises(ValueError, match=said):
        call()
