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
    linear_extractors,
    shift,
    simulation,
    stability,
    tables,
    tracing,
)


def rows(n, d):
    return torch.arange(n * d, dtype=torch.float64).reshape(n, d).sin()


def stream():
    return generator(0, "checks")


K2 = [
    (linear.largest_step, (2.5, 1), "m 2.5: allowed are whole numbers"),
    (linear.largest_step, ("2", 1), "m '2': allowed are whole numbers"),
    (linear.minimiser, (rows(2, 3).float(), rows(4, 3)), "initial torch.float32: allowed are floats of one"),
    (tracing.effect_size, (["784"], 10), "mahalanobis_squared"),
    (kernel.monte_carlo_kernel, (kernel.RandomReLU(3), rows(2, 3), 2.0, stream()), "draws 2.0: allowed"),
    (tables.movement, ("10",), "n '10': allowed"),
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
