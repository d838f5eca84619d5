"""A secret start against the book's own descent, the optimal attack run again and again, and its limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import generator
from privacy_for_free.stats import intervals
from privacy_for_free.theory import linear, secret_start
from privacy_for_free.theory.linear_extractors import balanced_extractors, random_extractors
from privacy_for_free.theory.tracing import tpr

N, M, K, D, STEP = 30, 4, 2, 6, 0.1
RHO = linear.contraction(STEP, M, K)  # 0.9


def normal(*shape, purpose="test", seed=0):
    return torch.randn(shape, generator=generator(seed, purpose), dtype=torch.float64)


REAL = normal(N, D, purpose="real")
BALANCED = balanced_extractors(K, D, generator(0, "basis"))


@pytest.mark.parametrize("steps", [0, 1, 7, 40])
def test_the_closed_form_is_where_the_descent_goes(steps):
    initial = normal(M, D, purpose="initial")
    expected = linear.descend(initial, REAL, BALANCED, steps, STEP)
    found = secret_start.released(initial, REAL.mean(0), secret_start.kept(steps, RHO))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_noise_of_descended_means_is_gaussian_of_the_stated_spread():
    steps, spread, runs = 5, 0.7, 400
    kept = secret_start.kept(steps, RHO)
    means = torch.stack(
        [
            linear.descend(normal(M, D, purpose="start", seed=i) * spread, REAL, BALANCED, steps, STEP).mean(
                0
            )
            for i in range(runs)
        ]
    )
    noise = (means - (1 - kept) * REAL.mean(0)) / (kept * spread / math.sqrt(M))
    count = runs * D
    assert abs(float(noise.mean())) < 4 / math.sqrt(count)
    assert abs(float(noise.var()) - 1) < 4 * math.sqrt(2 / count)


def test_the_shape_tells_nothing():
    """The shape is that of the start, whatever the images, and its numbers are uncorrelated with the mean."""
    starts = normal(4000, M, D, purpose="many")
    shapes, means = starts - starts.mean(1, keepdim=True), starts.mean(1)
    found = linear.descend(starts[0], REAL, BALANCED, 9, STEP)
    torch.testing.assert_close(found - found.mean(0), shapes[0], rtol=0, atol=1e-12)
    correlation = torch.corrcoef(torch.cat([shapes.flatten(1), means], 1).mT)[M * D :, : M * D]
    assert float(correlation.abs().max()) < 5 / math.sqrt(len(starts))


@pytest.mark.parametrize("steps", [6, 14])
def test_the_optimal_attack_has_the_rates_of_gaussian_privacy(steps):
    """Releases with one image or another in its place, told apart by the likelihood ratio."""
    runs, spread = 4000, 1.3
    kept = secret_start.kept(steps, RHO)
    direction = torch.nn.functional.normalize(normal(D, purpose="direction"), dim=0)
    bound = 3.0
    first, second = REAL.clone(), REAL.clone()
    first[0], second[0] = bound * direction, -bound * direction  # the worst pair there is
    mu = secret_start.mu(kept, N, M, bound, spread)
    scores = []
    for name, real in (("first", first), ("second", second)):
        starts = normal(runs, M, D, purpose=name) * spread
        found = torch.stack([secret_start.released(start, real.mean(0), kept) for start in starts])
        scores.append(secret_start.log_ratio(found.mean(1), first.mean(0), second.mean(0), kept, M, spread))
    without, with_it = (values.numpy() for values in scores)
    # Its law is known: normal with mean -mu^2/2 or mu^2/2 and variance mu^2.
    for values, mean in ((without, -(mu**2) / 2), (with_it, mu**2 / 2)):
        assert abs(values.mean() - mean) < 4 * mu / math.sqrt(runs)
        assert abs(values.std() / mu - 1) < 4 / math.sqrt(2 * runs)
    for fpr in (0.01, 0.1, 0.5):
        threshold = -(mu**2) / 2 - mu * float(np.sqrt(2) * _erfinv(2 * fpr - 1))
        false, true = (intervals.rate(int((v > threshold).sum()), runs, 0.999) for v in (without, with_it))
        assert false.low <= fpr <= false.high
        assert true.low <= float(tpr(fpr, mu)) <= true.high


def _erfinv(value):
    return float(torch.erfinv(torch.tensor(value, dtype=torch.float64)))


def test_limits():
    sizes = {"n": 100, "m": 10, "bound": 2.0}
    assert secret_start.mu(secret_start.kept(0, 0.5), **sizes) == 0
    assert secret_start.mu(0.0, **sizes) == math.inf
    grows = [secret_start.mu(secret_start.kept(t, 0.5), **sizes) for t in range(1000)]
    assert grows == sorted(grows)
    assert grows[-1] > 1e200
    assert secret_start.kept(5000, 0.5) == 0
    # A step that overshoots: the mean goes beyond the real one, and moves more than that one does.
    assert secret_start.mu(-0.5, **sizes) == pytest.approx(3 * secret_start.sensitivity(**sizes))
    assert secret_start.mu(0.1, 100, 40, 2.0, 2.0) == pytest.approx(secret_start.mu(0.1, **sizes))


@settings(deadline=None)
@given(
    st.floats(1e-3, 1e3),
    st.floats(0.05, 0.99),
    st.integers(1, 10**6),
    st.integers(1, 100),
    st.floats(0.1, 100),
)
def test_most_steps_is_the_last_one_that_is_allowed(mu, rho, n, m, bound):
    steps = secret_start.most_steps(mu, rho, n, m, bound)
    assert steps >= 0
    assert secret_start.mu(rho**steps, n, m, bound) <= mu * (1 + 1e-9)
    assert secret_start.mu(rho ** (steps + 1), n, m, bound) > mu * (1 - 1e-9)
    share = secret_start.kept_at(mu, n, m, bound)
    assert secret_start.mu(share, n, m, bound) == pytest.approx(mu, rel=1e-6)


@pytest.mark.parametrize("steps", [1, 20, 100])
def test_who_knows_the_start_has_the_mean(steps):
    initial = normal(M, D, purpose="public seed")
    later = linear.descend(initial, REAL, BALANCED, steps, STEP)
    found = secret_start.recover_mean(later, initial, secret_start.kept(steps, RHO))
    assert float((found - REAL.mean(0)).abs().max()) < 1e-8


def test_two_steps_of_one_run_have_the_mean_too():
    initial = normal(M, D, purpose="secret")
    earlier = linear.descend(initial, REAL, BALANCED, 10, STEP)
    later = linear.descend(earlier, REAL, BALANCED, 3, STEP)
    found = secret_start.recover_mean(later, earlier, secret_start.kept(3, RHO))
    assert float((found - REAL.mean(0)).abs().max()) < 1e-8


def test_a_seed_that_can_be_guessed_is_a_public_one():
    """The shape says which of the seeds it was."""
    seed, steps = 731, 12
    later = linear.descend(normal(M, D, purpose="guess", seed=seed), REAL, BALANCED, steps, STEP)
    guesses = torch.stack([normal(M, D, purpose="guess", seed=i) for i in range(1000)])
    errors = (guesses - guesses.mean(1, keepdim=True) - later + later.mean(0)).flatten(1).norm(dim=1)
    best = int(errors.argmin())
    assert best == seed
    assert float(errors[best]) < 1e-10 < 1e-2 < float(errors.sort().values[1])
    found = secret_start.recover_mean(later, guesses[best], secret_start.kept(steps, RHO))
    assert float((found - REAL.mean(0)).abs().max()) < 1e-8


def test_float32_swallows_the_noise_of_a_run_that_goes_on():
    """Once rho^t s / sqrt(m) is below the rounding of the images, runs of other seeds release one mean."""
    real = REAL.float() + 3
    basis = BALANCED.float()
    ends = torch.stack(
        [linear.descend(normal(1, D, seed=i).float(), real, basis, 400, STEP / M) for i in range(5)]
    )
    assert secret_start.kept(400, RHO) < 2**-24
    assert float(ends.std(0).max()) <= 4 * 3 * 2**-23


# --- extractors that are known ---------------------------------------------------------------------------


def test_mixing_is_what_the_descent_does_to_the_gap():
    def fresh(step):
        return random_extractors(2, K, D, generator(step, "theta"))

    initial = normal(M, D, purpose="initial")
    P = secret_start.mixing(fresh, 8, 0.2, M, D)
    found = linear.descend(initial, REAL, fresh, 8, 0.2).mean(0)
    torch.testing.assert_close(found, REAL.mean(0) - P @ (REAL.mean(0) - initial.mean(0)), rtol=0, atol=1e-12)


def test_on_the_expected_loss_the_matrix_is_a_number():
    P = secret_start.mixing(lambda step: BALANCED, 11, STEP, M, D)
    torch.testing.assert_close(P, RHO**11 * torch.eye(D, dtype=torch.float64), rtol=0, atol=1e-13)
    assert secret_start.mu_of_mixing(P, N, M, 2.0, 0.5) == pytest.approx(
        secret_start.mu(RHO**11, N, M, 2.0, 0.5), rel=1e-10
    )


def test_the_worst_direction_is_the_worst():
    P = secret_start.mixing(lambda step: random_extractors(1, K, D, generator(step, "theta")), 9, 0.2, M, D)
    worst = secret_start.mu_of_mixing(P, N, M, 1.0, 0.5)
    shifts = torch.nn.functional.normalize(normal(2000, D, purpose="shifts"), dim=1) * 2 / N
    found = secret_start.mu_between(P, shifts, M, 0.5)
    assert float(found.max()) <= worst * (1 + 1e-12)
    inverse = torch.linalg.inv(P)
    top = torch.linalg.svd(inverse - torch.eye(D, dtype=torch.float64)).Vh[:1] * 2 / N
    assert float(secret_start.mu_between(P, top, M, 0.5)) == pytest.approx(worst, rel=1e-9)
    # The definition, by the covariance of the released mean: mu^2 = v^T Sigma^-1 v.
    moved = shifts[0] - P @ shifts[0]
    sigma = 0.5**2 / M * P @ P.mT
    assert float(found[0]) ** 2 == pytest.approx(float(moved @ torch.linalg.solve(sigma, moved)), rel=1e-8)


def test_the_optimal_attack_with_known_extractors():
    """Simulated, along the worst direction: rates of the matrix's mu, above those of the expected loss."""
    runs, bound = 4000, 3.0
    P = secret_start.mixing(lambda step: random_extractors(1, K, D, generator(step, "theta")), 9, 0.2, M, D)
    inverse = torch.linalg.inv(P)
    u = torch.linalg.svd(inverse - torch.eye(D, dtype=torch.float64)).Vh[0] * 2 * bound / N
    mu = secret_start.mu_of_mixing(P, N, M, bound)
    assert mu > secret_start.mu(linear.contraction(0.2, M, K) ** 9, N, M, bound)
    moved, scores = u - P @ u, []
    weights = torch.linalg.solve(P @ P.mT, moved)
    for name, shift in (("without", 0.0), ("with", 1.0)):
        noise = normal(runs, D, purpose=name) / math.sqrt(M)
        scores.append((noise @ P.mT + shift * moved) @ weights)
    spread = float((weights @ P).norm()) / math.sqrt(M)
    for fpr in (0.05, 0.5):
        threshold = -spread * math.sqrt(2) * _erfinv(2 * fpr - 1)
        true = intervals.rate(int((scores[1] > threshold).sum()), runs, 0.999)
        assert true.low <= float(tpr(fpr, mu)) <= true.high


def test_a_direction_that_lost_the_start_gives_the_mean_away():
    """A step as long as an eigenvalue of one extractor: P has no inverse, and one number of xbar is exact."""
    theta = torch.zeros((1, 1, D), dtype=torch.float64)
    theta[0, 0, 2] = 1.0
    P = secret_start.mixing(lambda step: theta, 1, M / 2, M, D)
    assert secret_start.mu_of_mixing(P, N, M, 1.0) == math.inf
    assert torch.isinf(secret_start.mu_between(P, normal(3, D), M)).all()
    found = linear.descend(normal(M, D, purpose="secret"), REAL, theta, 1, M / 2).mean(0)
    assert float((found - REAL.mean(0))[2].abs()) < 1e-12


def test_an_unseen_direction_gives_nothing_away():
    theta = normal(1, K, D, purpose="kept")
    P = secret_start.mixing(lambda step: theta, 5, 0.05, M, D)
    unseen = torch.linalg.svd(theta[0]).Vh[K:]
    assert float(secret_start.mu_between(P, unseen, M).max()) < 1e-12


def test_small_steps_of_known_extractors_cost_what_the_expected_loss_does():
    """With the same share kept on average, mu goes down to that of the expected loss as steps get smaller."""
    ratios = []
    for steps in (8, 80, 800):
        rho = 0.3 ** (1 / steps)
        step_size = (1 - rho) * M / (2 * K)

        def fresh(step, steps=steps):
            return random_extractors(1, K, D, generator(step, "theta", steps))

        P = secret_start.mixing(fresh, steps, step_size, M, D)
        ratios.append(secret_start.mu_of_mixing(P, N, M, 1.0) / secret_start.mu(0.3, N, M, 1.0))
    assert ratios[0] > ratios[1] > ratios[2] > 1
    assert ratios[2] < 1.5


def test_a_mixing_that_diverges_says_so():
    with pytest.raises(DivergenceError, match="P is not finite any more"):
        secret_start.mixing(lambda step: BALANCED, 400, 1e3, M, D)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: secret_start.kept(-1, 0.5), "steps -1"),
        (lambda: secret_start.kept(3, 1.0), "contraction 1.0"),
        (lambda: secret_start.mu(0.5, 0, 1, 1.0), "n 0"),
        (lambda: secret_start.mu(0.5, 5, 1, -1.0), "bound -1.0"),
        (lambda: secret_start.mu(math.inf, 5, 1, 1.0), "kept inf"),
        (lambda: secret_start.kept_at(-0.1, 5, 1, 1.0), "mu -0.1"),
        (lambda: secret_start.most_steps(math.inf, 0.5, 5, 1, 1.0), "mu inf"),
        (lambda: secret_start.most_steps(1.0, -0.5, 5, 1, 1.0), "contraction -0.5"),
        (lambda: secret_start.recover_mean(REAL, REAL, 1.0), "kept 1.0"),
        (lambda: secret_start.released(REAL, REAL[0], 1.5), "kept 1.5"),
        (lambda: secret_start.log_ratio(REAL, REAL[0], REAL[1], 0.0, 4), "kept 0.0"),
        (lambda: secret_start.mixing(lambda step: REAL, 1, 0.1, 4, D), r"extractors\(0\)"),
        (lambda: secret_start.mixing(lambda step: None, 1, 0.1, 4, D), r"extractors\(0\)"),
    ],
)  # fmt: skip
def test_refusals_name_the_value(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_the_noise_as_it_is_read_off_is_that_of_the_gaussian_mechanism():
    """Whatever m and s: a release of this mu has the class mean with a noise of 2B / (n mu)."""
    for kept, m, spread in ((0.1, 10, 1.0), (0.7, 3, 0.2), (-0.4, 1, 2.0)):
        mu = secret_start.mu(kept, 50, m, 3.0, spread)
        assert secret_start.noise_of_mean(kept, m, spread) == pytest.approx(2 * 3.0 / (50 * mu))
    with pytest.raises(ValueError, match=r"kept 1\.0"):
        secret_start.noise_of_mean(1.0, 3)
