"""Epsilon and noise: published figures, closed forms, and quadrature as the slow twin of each accountant."""

import math
import sys

import dp_accounting.pld
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import logsumexp
from scipy.stats import norm

from privacy_for_free.private.accounting import DELTA, LARGEST_NOISE, PLD_DELTA, Mechanism, calibrate

FASHION, CIFAR = 50 / 6000, 50 / 5000  # sampling rates of the published settings


def gaussian_delta(sigma, epsilon):
    """Balle & Wang 2018, theorem 8, for sensitivity 1."""
    return norm.cdf(1 / (2 * sigma) - epsilon * sigma) - math.exp(epsilon) * norm.cdf(
        -1 / (2 * sigma) - epsilon * sigma
    )


def hockey_stick(epsilon, p, q):
    """Return sup over events of P(event) - e^epsilon Q(event), by quadrature over the densities."""
    grid = np.linspace(-40, 40, 200_001)
    return integrate.trapezoid(np.maximum(p(grid) - math.exp(epsilon) * q(grid), 0), grid)


def mixture(rate, place, sigma):
    return lambda x: (1 - rate) * norm.pdf(x, 0, sigma) + rate * norm.pdf(x, place, sigma)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(FASHION, 1.06), (CIFAR, 1.14)],  # Zheng & Li, LDPDC with M = 50, L = 50, sigma~ = 1
)
def test_published_epsilon_of_ldpdc(rate, expected):
    assert Mechanism(1.0, 50, rate).epsilon(1e-5, "rdp") == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("epsilon", "rate", "expected"),
    [(1, FASHION, 3.46), (1, CIFAR, 4.13), (10, FASHION, 0.76), (10, CIFAR, 0.83)],  # NDPDC, 10,000 steps
)
def test_published_noise_of_ndpdc(epsilon, rate, expected):
    found = calibrate(epsilon, 10_000, rate, 1e-5, accountant="rdp")
    assert found.noise_multiplier == pytest.approx(expected, rel=0.02)
    assert Mechanism(expected, 10_000, rate).epsilon(1e-5, "rdp") == pytest.approx(epsilon, rel=0.02)


@pytest.mark.parametrize(
    ("noise_multiplier", "steps", "rate"),
    [(1.0, 50, FASHION), (3.46, 10_000, FASHION), (4.13, 10_000, CIFAR), (2.0, 1, 1.0), (1.0, 10, 0.2)],
)
def test_the_pld_is_tighter_than_renyi(noise_multiplier, steps, rate):
    mechanism = Mechanism(noise_multiplier, steps, rate)
    assert 0 < mechanism.epsilon(accountant="pld") < mechanism.epsilon(accountant="rdp")


@settings(max_examples=50, deadline=None)
@given(
    epsilon=st.floats(0.01, 20),
    delta=st.floats(1e-9, 0.1),
    steps=st.integers(1, 1000),
    adjacency=st.sampled_from(["add_remove", "replace_one"]),
)
def test_analytic_calibration_solves_the_closed_form(epsilon, delta, steps, adjacency):
    found = calibrate(epsilon, steps, 1.0, delta, adjacency, "analytic")
    sensitivity = 2 if adjacency == "replace_one" else 1
    sigma = found.noise_multiplier / math.sqrt(steps) / sensitivity
    assert gaussian_delta(sigma, epsilon) == pytest.approx(delta, rel=1e-5)
    assert gaussian_delta(sigma * (1 - 1e-5), epsilon) > delta
    assert found.epsilon(delta, "analytic") == pytest.approx(epsilon, rel=1e-6)


@pytest.mark.parametrize("adjacency", ["add_remove", "replace_one"])
@pytest.mark.parametrize("steps", [1, 9])
def test_without_sampling_the_pld_is_the_closed_form(adjacency, steps):
    mechanism = Mechanism(5.0, steps, 1.0, adjacency)
    exact = mechanism.epsilon(accountant="analytic")
    assert exact <= mechanism.epsilon(accountant="pld") <= exact * 1.001
    assert mechanism.epsilon(accountant="rdp") >= exact


@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_pld_of_one_sampled_release_against_quadrature(rate):
    sigma = 1.1
    epsilon = Mechanism(sigma, 1, rate).epsilon(1e-4, "pld")
    without, with_it = mixture(rate, 0, sigma), mixture(rate, 1, sigma)
    deltas = hockey_stick(epsilon, with_it, without), hockey_stick(epsilon, without, with_it)
    assert max(deltas) == pytest.approx(1e-4, rel=0.01)
    assert max(deltas) <= 1e-4 * (1 + 1e-6)
    epsilon = Mechanism(sigma, 1, rate, "replace_one").epsilon(1e-4, "pld")
    assert hockey_stick(epsilon, with_it, mixture(rate, -1, sigma)) == pytest.approx(1e-4, rel=0.01)


def test_renyi_against_quadrature():
    """The conversion of Balle et al. 2020, theorem 21, over integrals of the densities' powers."""
    sigma, rate, steps, delta = 1.2, 0.1, 20, 1e-5
    grid = np.linspace(-60, 60, 240_001)
    log_ratio = np.logaddexp(math.log(1 - rate), math.log(rate) + (2 * grid - 1) / (2 * sigma**2))
    best = math.inf
    for order in [1 + x / 10 for x in range(1, 100)] + list(range(11, 64)):
        moment = logsumexp(log_ratio * order + norm.logpdf(grid, 0, sigma)) + math.log(grid[1] - grid[0])
        renyi = steps * moment / (order - 1)
        best = min(best, renyi + math.log1p(-1 / order) - math.log(delta * order) / (order - 1))
    assert Mechanism(sigma, steps, rate).epsilon(delta, "rdp") == pytest.approx(best, rel=1e-3)


def test_replacing_costs_twice_the_distance():
    """The sum moves by 2C instead of C: the same epsilon needs twice the noise."""
    for accountant in ("analytic", "rdp", "pld"):
        one = Mechanism(3.0).epsilon(accountant=accountant)
        assert Mechanism(6.0, adjacency="replace_one").epsilon(accountant=accountant) == pytest.approx(
            one, rel=1e-3
        )


@pytest.mark.parametrize(
    ("epsilon", "steps", "rate", "accountant"),
    [(0.9, 7, 0.2, "rdp"), (6.0, 200, 0.005, "rdp"), (0.2, 3, 0.1, "pld"), (1.0, 1, 1.0, "pld")],
)
def test_calibration_meets_the_target_and_hardly_more(epsilon, steps, rate, accountant):
    found = calibrate(epsilon, steps, rate, accountant=accountant)
    assert found.epsilon(accountant=accountant) <= epsilon
    less = Mechanism(found.noise_multiplier * (1 - 1e-3), steps, rate)
    assert less.epsilon(accountant=accountant) > epsilon


@settings(max_examples=10, deadline=None)
@given(noise_multiplier=st.floats(0.6, 50), factor=st.floats(1.01, 3), steps=st.integers(1, 50))
def test_more_noise_and_fewer_steps_give_less_epsilon(noise_multiplier, factor, steps):
    base = Mechanism(noise_multiplier, steps, 0.1).epsilon(accountant="rdp")
    assert Mechanism(noise_multiplier * factor, steps, 0.1).epsilon(accountant="rdp") <= base
    assert Mechanism(noise_multiplier, steps + 1, 0.1).epsilon(accountant="rdp") >= base
    assert Mechanism(noise_multiplier, steps, 0.05).epsilon(accountant="rdp") <= base


def test_no_noise_and_no_target():
    assert Mechanism(0.0, 3, 0.1).epsilon() == math.inf
    assert calibrate(math.inf, 3, 0.1) == Mechanism(0.0, 3, 0.1)
    assert DELTA == 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0,), r"epsilon 0.0: allowed are numbers above 0"),
        ((-2,), r"epsilon -2: allowed are numbers above 0"),
        ((math.nan,), r"epsilon nan: allowed"),
        ((1.0, 0), r"steps 0: allowed are whole numbers from 1 to"),
        ((1.0, True), r"steps True: allowed"),
        ((1.0, 1, 0.0), r"rate 0.0: allowed are numbers above 0, up to 1"),
        ((1.0, 1, 1.01), r"rate 1.01: allowed"),
        ((1.0, 1, 1.0, 0.0), r"delta 0.0: allowed are numbers between 0 and 1"),
        ((1.0, 1, 1.0, 1), r"delta 1: allowed"),
        ((1.0, 1, 1.0, 1e-5, "remove"), r"adjacency 'remove': known are add_remove, replace_one"),
        ((1.0, 1, 1.0, 1e-5, "add_remove", "gdp"), r"accountant 'gdp': known are least, analytic, pld, rdp"),
        ((1.0, 1, 0.5, 1e-5, "add_remove", "analytic"), r"'analytic' at rate 0.5: allowed are rdp and pld"),
        ((1.0, 1, 0.5, 1e-5, "replace_one", "rdp"), r"'rdp' for replace_one at rate 0.5: allowed are pld"),
        (
            (1e-5, 1, 1.0, 1e-9, "add_remove", "rdp"),
            r"epsilon 1e-05: not reached .* allowed are numbers from",
        ),
        ((1e6, 1, 1.0, 1e-5, "add_remove", "rdp"), r"epsilon 1000000.0: needs a noise multiplier below"),
    ],
)
def test_bad_targets(arguments, message):
    with pytest.raises(ValueError, match=message):
        calibrate(*arguments)


@pytest.mark.parametrize("noise_multiplier", [-1.0, math.nan, math.inf])
def test_bad_noise(noise_multiplier):
    with pytest.raises(ValueError, match=r"noise_multiplier .*allowed are (finite )?numbers"):
        Mechanism(noise_multiplier)


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"dp_accounting: pip install '\.\[private\]' in a checkout"
    ):
        Mechanism(1.0).epsilon()
    assert Mechanism(0.0).epsilon() == math.inf  # nothing to compute


def test_bad_questions():
    with pytest.raises(ValueError, match="delta 2"):
        Mechanism(1.0).epsilon(2)
    with pytest.raises(ValueError, match="accountant 'none'"):
        Mechanism(1.0).epsilon(accountant="none")
    assert calibrate(1e6, accountant="analytic").noise_multiplier > 0
    assert calibrate(1e-4, accountant="pld").noise_multiplier < LARGEST_NOISE


# --- what is allowed can be computed ------------------------------------------------------------------


@pytest.mark.parametrize(("delta", "noise"), [(1e-5, 3.73), (1e-16, 7.77), (1e-18, 8.32), (1e-300, 36.9)])
def test_k4_small_deltas_need_little_more_noise(delta, noise):  # case 21, and case 20
    found = calibrate(1.0, delta=delta)
    assert found.noise_multiplier == pytest.approx(noise, rel=1e-3)
    assert found.epsilon(delta) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("steps", [1, 30, 10**9])
@pytest.mark.parametrize("adjacency", ["add_remove", "replace_one"])
def test_k4_without_sampling_the_least_bound_is_the_exact_one(steps, adjacency):
    for epsilon in (1e-3, 1.0, 20.0):
        for delta in (1e-3, 1e-9, 1e-18):
            exact = calibrate(epsilon, steps, 1.0, delta, adjacency, "analytic")
            assert calibrate(epsilon, steps, 1.0, delta, adjacency) == exact
            assert exact.epsilon(delta) == pytest.approx(epsilon, rel=1e-5)
            assert exact.epsilon(delta) <= epsilon


@pytest.mark.parametrize(("steps", "noise_multiplier"), [(1, 5.0), (50, 40.0)])
def test_k4_every_bound_that_is_computed_is_one(steps, noise_multiplier):
    mechanism = Mechanism(noise_multiplier, steps)
    for delta in (1e-3, 1e-8, 1e-12, PLD_DELTA):
        exact = mechanism.epsilon(delta, "analytic")
        assert mechanism.epsilon(delta, "pld") >= exact * (1 - 1e-9)
        assert mechanism.epsilon(delta, "rdp") >= exact


@pytest.mark.parametrize("delta", [1e-5, 1e-12, 1e-16, 1e-18])
def test_k4_with_sampling_the_least_bound_is_the_smallest_of_those_that_can(delta):  # case 21
    mechanism = Mechanism(2.0, 10, 0.1)
    bounds = [mechanism.epsilon(delta, "rdp")]
    if delta >= PLD_DELTA:
        bounds.append(mechanism.epsilon(delta, "pld"))
    assert mechanism.epsilon(delta) == min(bounds) < 4
    assert Mechanism(2.0, 10**6, 1e-8).epsilon(delta) < 4


def test_k4_calibration_takes_the_accountant_that_asks_for_the_least_noise():
    each = {name: calibrate(1.0, 10, 0.1, accountant=name) for name in ("pld", "rdp")}
    assert calibrate(1.0, 10, 0.1) == each["pld"] != each["rdp"]
    found = calibrate(1.0, 10, 0.1, 1e-16)
    assert found == calibrate(1.0, 10, 0.1, 1e-16, accountant="rdp")
    assert found.noise_multiplier < 4
    assert found.epsilon(1e-16) <= 1.0


@settings(max_examples=20, deadline=None)
@given(
    noise_multiplier=st.floats(0.3, 50),
    factor=st.floats(1.01, 3),
    steps=st.integers(1, 20),
    rate=st.sampled_from([1.0, 0.05]),
    delta=st.floats(1e-18, 1e-2),
)
def test_k4_more_noise_and_a_larger_delta_cost_no_more_epsilon(noise_multiplier, factor, steps, rate, delta):
    mechanism = Mechanism(noise_multiplier, steps, rate)
    names = ("analytic", "least") if rate == 1 else ("rdp",)
    for name in names:
        spent = mechanism.epsilon(delta, name)
        assert Mechanism(noise_multiplier * factor, steps, rate).epsilon(delta, name) <= spent
        assert mechanism.epsilon(min(delta * factor, 0.5), name) <= spent
    if rate == 1:
        other = Mechanism(noise_multiplier, steps, rate, "replace_one")
        assert mechanism.epsilon(delta) <= other.epsilon(delta)


def test_k4_with_sampling_replacing_costs_more_than_leaving_out():
    for steps, rate in ((1, 0.3), (20, 0.02)):
        one, two = (Mechanism(1.5, steps, rate, a).epsilon() for a in ("add_remove", "replace_one"))
        assert one < two


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: Mechanism(1.0).epsilon(1e-301), "delta 1e-301: allowed are numbers .* from 1e-300 up"),
        (
            lambda: Mechanism(1.0).epsilon(1e-16, "pld"),
            "delta 1e-16 for .*'pld': allowed are .* from 1e-13 up",
        ),
        (lambda: calibrate(1.0, delta=1e-18, accountant="pld"), "delta 1e-18 for .*'pld': allowed"),
        (
            lambda: Mechanism(1.0, 10**9, 1e-9).epsilon(accountant="pld"),
            "steps 1000000000 for .*: allowed are 1",
        ),
        (
            lambda: Mechanism(1.0, 10**13),
            "steps 10000000000000: allowed are whole numbers from 1 to 1000000000000",
        ),
        (
            lambda: Mechanism(1e-3, 2, 0.1).epsilon(accountant="pld"),
            "noise_multiplier 0.001 for .*from 0.25 up",
        ),
        (
            lambda: Mechanism(0.25, 10**6, 0.5).epsilon(accountant="pld"),
            "Mechanism.*: allowed are 1000 at most",
        ),
        (
            lambda: Mechanism(2.0, 2, 0.1, "replace_one").epsilon(1e-16),
            "analytic.*pld': allowed.*rdp.*allowed",
        ),
        (
            lambda: Mechanism(1e-300).epsilon(),
            "noise_multiplier 1e-300 of 1 steps: allowed are 0, and 1e-09 to",
        ),
        (lambda: Mechanism(1e300, 5, 0.1).epsilon(), r"noise_multiplier 1e\+300 of 5 steps: allowed are 0"),
        (lambda: calibrate(1e-9, 10**9, 1e-9), "epsilon 1e-09: allowed are numbers above 0, from 1e-06 to"),
        (lambda: calibrate(1e9), r"epsilon 1000000000.0: allowed are .*to 1e\+06, and infinity"),
        (lambda: calibrate(1.0, 1, 1e-9), "epsilon 1.0: needs .* spends 0 with that; allowed are infinity"),
    ],
)
def test_k4_what_cannot_be_computed_is_refused_before_work(ask, message, monkeypatch):
    """At most one distribution is composed, of one step at a rate of next to nothing."""
    composed = []
    original = dp_accounting.pld.PLDAccountant.compose
    monkeypatch.setattr(
        dp_accounting.pld.PLDAccountant, "compose", lambda s, e, n=1: composed.append(e) or original(s, e, n)
    )
    with pytest.raises(ValueError, match=message):
        ask()
    assert all(event.count == 1 for event in composed)


@pytest.mark.parametrize(
    "mechanism",
    [Mechanism(1e-3, 10**9, 1e-9), Mechanism(1.0, 10**9, 1e-9), Mechanism(1e-3), Mechanism(5e4, 10**9)],
)
def test_k4_extreme_mechanisms_need_no_distribution(mechanism, monkeypatch):
    monkeypatch.setattr(dp_accounting.pld, "PLDAccountant", None)
    assert 0 < mechanism.epsilon() < math.inf
