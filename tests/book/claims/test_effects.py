"""Effects of small tables whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from privacy_for_free.book.claims import effects
from privacy_for_free.book.claims.evidence import LEADING_ATTACK
from privacy_for_free.stats.intervals import Interval


def accuracy(mechanism, percents, **columns):
    rows = {"kind": "accuracy", "mechanism": mechanism, "test_accuracy": np.array(percents) / 100}
    return pd.DataFrame({**rows, "epsilon": np.inf, "ipc": 10.0, "init": "noise", "seconds": 1.0, **columns})


@pytest.fixture
def released():
    return pd.concat(
        [
            accuracy("one_release", [70, 72, 74], epsilon=1.0, seconds=[20, 40, 80]),
            accuracy("one_release", [90, 90, 90], epsilon=2.0),
            accuracy("ndpdc", [60, 61, 62], epsilon=1.0, seconds=[10, 20, 40]),
            accuracy("dp_merf", [60, 62, 64], epsilon=1.0, seconds=[4, 5, 6.25]),
            accuracy("dp_sgd", [80, 81, 82], epsilon=0.5, ipc=np.nan),
            accuracy("dp_sgd", [90, 91, 92], epsilon=1.0, ipc=np.nan),
            accuracy("dm", [75, 76, 77]),
            accuracy("dm", [78, 79, 80], init="real"),
            accuracy("dm", [85, 86, 87], init="real", ipc=50.0),
        ]
    )


def test_private_release(released):
    assert effects.gain_over_generator(released).value == pytest.approx(10)
    assert effects.private_loss(released).value == pytest.approx(-7)  # the better start
    assert effects.sgd_over_few(released).value == pytest.approx(2)  # at the smallest epsilon, on 10 a class
    assert effects.sgd_over_many(released).value == pytest.approx(-5)
    # Welch by hand: means 72 and 62, both with a standard deviation of 2 over 3 seeds, 4 degrees of freedom
    assert effects.gain_over_generator(released).high == pytest.approx(10 + 2.776445 * np.sqrt(8 / 3))


def test_cost_is_a_ratio_of_geometric_means(released):
    found = effects.cost_over_generator(released)
    assert found.value == pytest.approx(8)  # 20, 40 and 80 over 4, 5 and 6.25
    assert found.low * found.high == pytest.approx(64)


def test_one_seed_has_no_interval(released):
    once = released.groupby(["mechanism", "epsilon", "init", "ipc"], dropna=False).head(1)
    assert effects.gain_over_generator(once) is None


@pytest.mark.parametrize(("right", "value"), [(4, 100), (3, 75)])
def test_audits(right, value):
    audited = [0.9, 0.5, 4.0, 4.0 if right == 4 else 0.9]
    broken = [None, None, "no noise", "no noise"]
    table = pd.DataFrame({"kind": "audit", "epsilon": 1.0, "epsilon_audited": audited, "broken": broken})
    assert effects.audits_right(table).value == value


def attack(method, init, population, advantage, **columns):
    row = {"release": method, "method": method, "init": init, "population": population, "ratio": 0.01}
    row |= {"attack": LEADING_ATTACK, "shadows": 64, "advantage": advantage}
    row |= {"advantage_low": advantage - 0.01, "advantage_high": advantage + 0.02}
    row |= {"difference": -advantage, "difference_low": -2 * advantage, "difference_high": 0.0}
    return row | columns


def test_membership():
    table = pd.DataFrame(
        [
            attack("dm", "noise", "all", 0.02),
            attack("dm", "noise", "all", 0.5, shadows=16),
            attack("dm", "noise", "all", 0.5, ratio=0.02),
            attack("dm", "noise", "all", 0.5, release="synthetic_set"),
            attack("dm", "noise", "all", 0.5, attack="loss"),
            attack("dm", "real", "in_initialisation", 0.1),
            attack("dsa", "real", "in_initialisation", 0.4, shadows=16),
            attack("random_subset", "real", "in_initialisation", 0.9),
        ]
    )
    assert np.allclose(effects.network_advantage(table)[:3], (2, 1, 4))
    assert np.allclose(effects.started_advantage(table)[:3], (40, 39, 42))  # fewer shadows are DSA's all
    assert np.allclose(effects.over_subset(table)[:3], (-2, -4, 0))
    assert np.allclose(effects.over_subset_started(table)[:3], (-10, -20, 0))


def test_tails_are_compared_at_one_ratio():
    def own(method, init, tpr, **columns):
        ends = {"tpr_at_fpr_1e-3": tpr, "tpr_bootstrap_low": tpr - 0.003, "tpr_bootstrap_high": tpr + 0.003}
        return attack(method, init, "all", 0.0) | ends | columns

    rows = [own("dm", "noise", 0.001), own("random_subset", "real", 0.006), own("dm", "real", 0.5)]
    found = effects.over_subset_tpr(pd.DataFrame([*rows, own("dm", "noise", 0.5, ratio=0.02)]))
    assert found.value == pytest.approx(-0.5)
    assert found.high == pytest.approx(-0.5 + 0.3 * np.sqrt(2))
    assert effects.over_subset_tpr(pd.DataFrame(rows[:1])) is None


def test_a_point_less_a_point_is_a_point():
    assert effects.apart(Interval(3.0, 3.0, 3.0), Interval(1.0, 1.0, 1.0)) == (2.0, 2.0, 2.0)
    assert effects.apart(Interval(3.0, 0.0, 6.0), Interval(1.0, -3.0, 5.0)) == pytest.approx((2, -3, 7))


def posteriors(replicates, naive, m=(1, 2, 3)):
    return pd.DataFrame(
        {"n": 1, "m": size, "replicate": i, "model": model, "observed": value * size, "bound": 10.0}
        for i in range(replicates)
        for size in m
        for model, value in (("logistic_all_data", naive[i]), ("logistic_replace", 1.0), ("gaussian_kl", 99))
    )


def test_naive_method_is_compared_by_pairs_of_classes():
    """The mean of 1, 2 and 3; Student's t with two degrees of freedom, whatever the number of sizes."""
    found = effects.naive_over_condensed(posteriors(3, (1.0, 2.0, 3.0)))
    assert found.value == pytest.approx(2)
    assert found.high == pytest.approx(2 + 4.302653 / np.sqrt(3))
    assert effects.naive_over_condensed(posteriors(1, (1.0,))) is None


def test_only_condensed_posteriors_are_held_against_their_bound():
    assert effects.closest_to_bound(posteriors(2, (50.0, 60.0)))[:3] == pytest.approx((0.3,) * 3)


@pytest.mark.parametrize("power", [-1.0, -0.25])
def test_slopes_are_of_the_last_step_and_the_right_start(power):
    rows = [
        {"extractor": extractor, "init": init, "in_initialisation": inside, "x": "typical", "n": n, "m": 1}
        | {"seed": seed, "iterations": step, "shift": (seed + 1) * n**exponent}
        for n in (10, 100, 1000)
        for seed in range(3)
        for extractor, init, inside, step, exponent in (
            ("convnet", "noise", None, 20, power),
            ("convnet", "noise", None, 10, 3.0),
            ("convnet", "real", True, 20, 3.0),
            ("convnet", "real", False, 20, 3.0),
            ("convnet_gelu", "noise", None, 20, -0.5),
        )
    ]
    table = pd.DataFrame(rows)
    assert effects.slope_relu(table).value == pytest.approx(power)
    assert effects.slope_smooth(table).value == pytest.approx(-0.5)
    assert effects.slope_relu(table[table.seed < 2]) is None


def test_errors_are_powers_of_ten_and_zero_has_one():
    checks = ["closed_form", "closed_form", "real_initialisation_recovered"]
    table = pd.DataFrame({"kind": "exact", "check": checks, "relative_error": [1e-12, 1e-11, 0.0]})
    assert effects.exact_error(table).value == pytest.approx(-11)
    assert effects.recovery_error(table).value < -300


def test_nearest_images():
    common = {"ipc": 3, "metric": "l2", "population": "all", "low": 0.4, "high": 0.9, "p_value": 0.9}
    rows = [
        common
        | {"reference": "initial_nearest", "init": "real", "method": "dm", "iterations": 0, "mean": 1.0},
        common
        | {"reference": "initial_nearest", "init": "real", "method": "dm", "iterations": 9, "mean": 0.6},
        common
        | {"reference": "initial_nearest", "init": "real", "method": "dsa", "iterations": 5, "mean": 0.8},
        common
        | {
            "reference": "initial_nearest",
            "init": "real",
            "method": "random_subset",
            "iterations": 0,
            "mean": 1,
        },
    ]
    nearer = common | {"reference": "member_nearer", "init": "noise", "iterations": 9}
    rows += [
        nearer | {"method": "dm", "mean": 0.55, "p_value": 0.02},
        nearer | {"method": "dsa", "mean": 0.2, "p_value": 0.001},  # non-members are nearer
        nearer | {"method": "kip", "mean": 0.7, "p_value": 0.01},
        nearer | {"method": "unseen", "mean": 0.7, "p_value": 0.0001},
    ]
    table = pd.DataFrame(rows)
    assert effects.initial_found_dm(table)[:3] == pytest.approx((60, 40, 90))
    assert effects.initial_found_others(table)[:3] == pytest.approx((80, 40, 90))
    found = effects.member_nearer_noise(table)
    assert found.value == pytest.approx(70)
    assert found.p_value == pytest.approx(0.02)  # the second of three, by Holm
    below = table[table.method.isin(["dsa", "random_subset"])]
    assert effects.member_nearer_noise(below)[::3] == (pytest.approx(20), None)
    assert effects.member_nearer_others(table) is None


def test_class_mean_at_its_largest_dimension():
    row = {"extractor": "linear", "method": "mean", "attacker": "pool", "n": 50, "calibration": "raw"}
    row |= {"shrinkage": "ledoit_wolf", "dimension": 784, "observed_tpr": 0.03}
    row |= {"tpr_bootstrap_low": 0.02, "tpr_bootstrap_high": 0.04}
    others = [row | {"dimension": 100, "observed_tpr": 0.5}, row | {"n": 500, "observed_tpr": 0.5}]
    table = pd.DataFrame([row, *others, row | {"method": "dm"}])
    assert effects.mean_tpr(table)[:3] == pytest.approx((3, 2, 4))


def test_canaries_compare_networks_on_ordinary_images():
    row = {"attacked": "network", "in_initialisation": "all", "canary": "ordinary", "shadows": 64}
    row |= {"nonmembers": 64 * 1000, "epsilon": 2.0}
    rows = [
        row | {"release": "dp_sgd", "init": None, "nonmember_accuracy": 0.60},
        row | {"release": "dp_sgd", "init": None, "nonmember_accuracy": 0.90, "epsilon": 8.0},
        row | {"release": "dm", "init": "noise", "nonmember_accuracy": 0.70},
        row | {"release": "dm", "init": "real", "nonmember_accuracy": 0.80},
        row | {"release": "dm", "init": "noise", "nonmember_accuracy": 0.10, "canary": "mislabelled"},
    ]
    found = effects.sgd_over_canaries(pd.DataFrame(rows))
    assert found.value == pytest.approx(-10)
    spread = 1.96 * 100 * np.sqrt((0.6 * 0.4 + 0.7 * 0.3) / 1000)
    assert found.high - found.value == pytest.approx(spread, rel=0.05)  # Clopper-Pearson is a little wider


def test_the_strongest_attack_is_the_one_with_the_largest_advantage_in_each_group():
    rows = pd.DataFrame(
        {
            "made": ["a", "b", "a", "b", "a"],
            "attack": ["first", "first", "second", "second", "third"],
            "advantage": [0.1, 0.5, 0.4, 0.2, 0.4],
            "advantage_low": [0.0, 0.45, 0.3, 0.1, 0.35],
        }
    )
    found = effects.strongest(rows, ["made"])
    assert found.made.tolist() == ["a", "b"]
    assert found.attack.tolist() == ["second", "first"]  # the first of equal ones
    assert found.advantage_low.tolist() == [0.3, 0.45]  # its own interval, whole
