"""Wrong numbers, shapes and sizes are refused by one ValueError that names the argument, before any work."""

import numpy as np
import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.theory import (
    checks,
    gibbs,
    gibbs_models,
    kernel,
    langevin,
    linear,
    linear_case,
    linear_extractors,
    shift,
    simulation,
    stability,
    tables,
    tracing,
    tracing_prediction,
)


def rows(n, d):
    return torch.arange(n * d, dtype=torch.float64).reshape(n, d).sin()


def stream():
    return generator(0, "checks")


SMOOTH = stability.smooth_extractor(2, 2, 3, stream())
FLAT = stability.SmoothExtractor(torch.zeros(2, 2, 3).double(), torch.zeros(2, 2).double())
FOUR = rows(4, 2), rows(4, 2)[:, 0], rows(4, 2)

K2 = [
    (linear.largest_step, (2.5, 1), "m 2.5: allowed are whole numbers"),
    (linear.largest_step, ("2", 1), "m '2': allowed are whole numbers"),
    (linear.minimiser, (rows(2, 3).float(), rows(4, 3)), "initial torch.float32: allowed are floats of one"),
    (tracing.effect_size, (["784"], 10), "mahalanobis_squared"),
    (kernel.monte_carlo_kernel, (kernel.RandomReLU(3), rows(2, 3), 2.0, stream()), "draws 2.0: allowed"),
    (tables.movement, ("10",), "n '10': allowed"),
    (tracing.effect_size_pool, (1.0, 5, 5.5), "pool 5.5: allowed are whole numbers"),
    (simulation.half_of_a_pool, (3, 2.5, 9), "n 2.5: allowed are whole numbers"),
    (
        linear.single_run_threshold,
        (2**70, 3),
        "k 1180591620717411303424: allowed are whole numbers from 1 to 9",
    ),
    (
        stability.targets,
        (SMOOTH, rows(4, 3).float(), 0),
        "real torch.float32 .* allowed are torch.float64, 3",
    ),
]
K3 = [
    (linear.without, (rows(4, 2), -1), "index -1: allowed are 0 to 3"),
    (linear.removal_shift, (rows(4, 2), 4), "index 4: allowed are 0 to 3"),
    (linear.recover_from_one, (rows(4, 2), -1, rows(1, 2)[0]), "known_index -1: allowed are whole"),
    (linear.expected_loss, (rows(1, 2), 1, -1.0), "variance -1.0: allowed are finite numbers above 0"),
    (linear.contraction, (-0.1, 1, 1), "step_size -0.1: allowed are finite numbers from 0 up"),
    (linear.fresh_step, (rows(3, 3), rows(2, 4), 0.1, 1), "theta .* allowed is ... x k x d, with"),
    (
        linear.minimiser,
        (rows(2, 3), rows(4, 1)),
        r"real torch.float64 \(4, 1\): allowed is n x d, with d = 3",
    ),
    (stability.targets, (torch.tanh, rows(4, 2), -1), "index -1: allowed are 0 to 3"),
    (stability.stability_bound, (1.0, 5, 1.0, float("inf"), 1), "step_size inf: allowed"),
    (shift.shift, (rows(2, 3), rows(1, 3), rows(2, 3)), r"without \(1, 3\): allowed is \(2, 3\)"),
    (gibbs.subset_epsilon, (1.5, 1.0), "ratio 1.5"),
    (gibbs.subset_epsilon, (0.5, float("inf")), "eps0 inf"),
    (gibbs.shift_bound, (1, -0.1, 1.0, 1.0), "shift_norm -0.1: allowed are finite numbers from 0 up"),
    (gibbs.posterior_weights, (rows(1, 2), -rows(1, 2)[0].abs()), "prior from"),
    (gibbs_models.Chains, (0,), "hidden 0: allowed are whole numbers from 1 up"),
    (gibbs_models.Chains, (8, -2.0), "radius -2.0: allowed are finite numbers above 0"),
    (langevin.uniform_in_balls, (2, ((0, 1.0),), stream()), "balls 0: allowed are whole numbers from 1"),
    (tracing.cap_private, (0.1, float("inf")), "epsilon inf"),
    (tracing.cap_private, (0.1, 1.0, 1.0), "delta 1.0"),
    (tracing.auc, ([],), r"effect \(0,\): allowed are one number or more"),
    (tracing.fresh_law, (np.ones((2, 1)), np.ones(2), 3), r"variance \(2,\): allowed"),
    (tables.tracing, ([], 1.0), "n of length 0"),
    (shift.gradient_changes, (None, [], *[rows(4, 4)[None, None]] * 3, [-1.0], [1]), "deltas -1.0: allowed"),
    (shift.smooth_shift, (SMOOTH, rows(4, 3), 4, rows(2, 3), [1], 0.1), "index 4: allowed are 0 to 3"),
    (stability.descend, (SMOOTH, rows(1, 5)[0], rows(2, 3), 1, 0.1), r"target \(5,\): allowed are the 4"),
    (stability.predicted_shift, (FLAT, rows(4, 3), 0, rows(2, 3)), "synthetic .* the Hessian has an inverse"),
    (stability.stability_bound, (1.0, 5, 1e300, 1.0, 9), r"c 1.0, Lambda 1e\+300, .*: allowed are numbers"),
    (gibbs.temperature_of, (5e-324, 1.0, 1.0), "eps0 5e-324, .*: temperature inf: allowed"),
    (gibbs.gaussian_kl, (np.full(2000, 1e300), 1, 1.0), r"^shift_norm float64 \(2000,\), m 1, .* allowed"),
    (
        gibbs_models.replacements,
        (rows(5, 2) * 1e200, rows(5, 2), 1),
        r"points float64 \(\d, 2\), others .* allowed",
    ),
    (gibbs.gaussian_kl, (1e300, 1, 1.0), r"shift_norm 1e\+300, m 1, temperature 1.0: allowed are numbers"),
    (gibbs_models.logistic, (*[rows(2, 2)] * 3, 1.0, 0.0, (4, 8, 0)), "eps0 1.0, disk_radius 0.0: lipschitz"),
    (gibbs_models.gaussian, (rows(5, 2).numpy(), 2, 1.0, 5e-324), "eps0 1.0, ball_radius 5e-324: "),
    (kernel.mean_embedding_bound, (kernel.linear(), rows(3, 2).float()), "real torch.float32 .* float64"),
    (langevin.network_lipschitz, (1e300,), r"radius 1e\+300: allowed are numbers that give"),
    (
        langevin.shift_change,
        (langevin.network_loss, rows(3, 3), *FOUR, 1.0),
        "theta .* 4 parameters for each",
    ),
    (linear.stationary_covariance, (torch.eye(2), 9.0, 1, 1), "step_size 9.0: stationary only between"),
    (
        linear_case.statistical,
        ("a check", 1.0, torch.ones(5)),
        "samples, all 1: allowed are ones that differ",
    ),
    (
        tracing_prediction.rates,
        (tracing.fresh_law([1.0], [1.0], 3), [0.1], 5e-324),
        "scale from 4.94066e-324",
    ),
]
K4 = [
    (linear_extractors.random_extractors, (10**6, 10**3, 10**3, stream()), "count 1000000, k 1000, d 1000: "),
    (
        linear_extractors.balanced_extractors,
        (1023, 3072, stream()),
        "k 1023, d 3072: .* entries of one array",
    ),
    (stability.smooth_extractor, (10**4, 10**4, 10**4, stream()), "R 10000, k 10000, d 10000: "),
    (stability.stability_bound, (1.0, 5, 1.0, 1.0, 10**12, 0.5), "steps 1000000000000: allowed are whole"),
    (gibbs.disk_grid, (1.0, 10**6, 10**6), "radial 1000000: allowed are whole numbers from 1 to 2000"),
    (
        gibbs.random_subset_log_ratio,
        (rows(60, 2), rows(60, 2), [], 30, 1.0, rows(1, 2)[0].abs()),
        "m 30: 1.2e.17 subsets of a class, allowed are 100000 at most",
    ),
    (simulation.fresh_members, (10**6, 10**6, 2), "d 1000000, n 1000000: "),
    (simulation.fresh_members, (10**2, 10**2, 10**12), "repetitions 1000000000000"),
    (tables.influence, (range(2, 1000), 1, [0.1] * 1000), "998000 combinations, allowed are 100000"),
]


@pytest.mark.parametrize(("call", "wrong", "message"), K2)
def test_k2_what_is_no_number_of_its_kind_is_refused_by_name(call, wrong, message):
    with pytest.raises(ValueError, match=message):
        call(*wrong)


@pytest.mark.parametrize(("call", "wrong", "message"), K3)
def test_k3_values_that_would_give_a_plausible_number_are_refused_by_name(call, wrong, message):
    with pytest.raises(ValueError, match=message):
        call(*wrong)


@pytest.mark.parametrize(("call", "wrong", "message"), K4)
def test_k4_sizes_that_no_memory_holds_are_refused_before_work(call, wrong, message):
    with pytest.raises(ValueError, match=message):
        call(*wrong)


def test_k2_whole_numbers_of_numpy_are_whole_numbers():
    assert linear.largest_step(np.int64(10), np.int32(4)) == linear.largest_step(10, 4)
    assert tables.movement(np.array([10, 20])).equals(tables.movement([10, 20]))


def test_spread_and_rows():
    with pytest.raises(ValueError, match="sd down to -1: allowed are finite numbers from 0 up"):
        checks.spread("sd", np.array([-1.0, 1.0]))
    with pytest.raises(ValueError, match="replaced 0 to 4, by"):
        checks.replaced((np.array([0, 4]), rows(2, 2)), rows(4, 2))


def test_k3_a_descent_that_diverges_is_followed_to_infinity():
    lengths, _ = linear.compare_descents(
        rows(2, 30), rows(5, 30), 1, 150, 10.0, 2, lambda purpose, *index: generator(0, purpose, *index)
    )["one extractor"]
    assert not torch.isfinite(lengths[-1])


def test_k3_who_is_infinitely_far_away_is_found_at_every_rate():
    assert tracing.tpr([0.0, 0.5, 1.0], np.inf).tolist() == [1.0, 1.0, 1.0]
    assert tables.tracing(20, 50.0, 0.0).tpr.tolist() == [0.0, 0.0, 1.0]


def test_only_a_degenerate_minimum_is_an_error_of_its_own():
    with pytest.raises(stability.DegenerateError, match=r"initial .* the search from this start ends at"):
        shift.minimum_shift(SMOOTH, rows(6, 3), 0, rows(1, 3).repeat(3, 1))
    with pytest.raises(ValueError, match="index 6"):
        shift.minimum_shift(SMOOTH, rows(6, 3), 6, rows(1, 3))
