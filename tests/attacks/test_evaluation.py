"""Planted leaks are found, nothing is found where nothing is, and no target helps in its own attack."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats

from privacy_for_free.attacks import evaluation, lira, released_images, roc
from privacy_for_free.attacks.confidences import logit_scaled_confidence, loss
from privacy_for_free.core.randomness import generator
from privacy_for_free.shadows.halves import random_halves

ATTACKS = evaluation.NETWORK


def planted(shift, models=32, examples=600, seed=0):
    """Statistics that are N(shift, 1) for members and N(0, 1) for others."""
    membership = random_halves(models, torch.zeros(examples, dtype=torch.int64), generator(seed, "halves"))
    noise = torch.randn((models, examples), generator=generator(seed, "noise"), dtype=torch.float64)
    return noise + shift * membership, membership


def everyone(membership):
    return {"all": torch.ones_like(membership)}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_planted_leak_gives_the_analytic_advantage(attack):
    statistics, membership = planted(2.0, 48, 1000)
    found = evaluation.evaluate(ATTACKS[attack], statistics, membership, everyone(membership))["all"]
    best = 2 * stats.norm.cdf(1.0) - 1
    loss = 0.04 if attack in ("lira_online", "lira_offline") else 0.015  # variances from 24 shadows
    assert best - loss < found.advantage[0] < best + 0.01
    assert found.advantage[1] < found.advantage[0] < found.advantage[2]
    assert abs(found.auc - stats.norm.cdf(math.sqrt(2))) < loss
    assert found.members == found.nonmembers == 24_000
    assert found.shadows == 48
    assert np.isclose(found.curve[-1], 1)
    assert (np.diff(found.curve) >= 0).all()
    assert found.tpr.value == found.curve[evaluation.FPRS.index(0.001)]
    assert found.tpr.low < found.tpr.value < found.tpr.high
    assert found.tpr_bootstrap[0] < found.tpr.value < found.tpr_bootstrap[1]


@pytest.mark.parametrize("attack", ATTACKS)
def test_shuffled_membership_is_worth_nothing(attack):
    """Online LiRA comes out a little below a half: see the next test."""
    statistics, _ = planted(2.0)
    membership = random_halves(32, torch.zeros(600, dtype=torch.int64), generator(1, "other halves"))
    found = evaluation.evaluate(ATTACKS[attack], statistics, membership, everyone(membership))["all"]
    allowed = 0.04 if "online" in attack else 0.015
    assert abs(found.auc - 0.5) < allowed
    assert found.advantage[1] < 0 < found.advantage[2] or abs(found.advantage[0]) < 0.01


def test_balanced_halves_cost_online_lira_a_little():
    """An image is in exactly half of the shadows, so its own side is short of one when the target is taken
    out: K/2 - 1 against K/2. The true side then has the noisier mean and fits worse. Halves drawn
    independently have no such side; the bias falls as 1 / K, and it is the attacker who pays.
    """
    attack, found = ATTACKS["lira_online_fixed"], {}
    for models in (12, 48):
        statistics, balanced = planted(0.0, models, 20_000)
        free = torch.rand((models, 20_000), generator=generator(0, "independent")) < 0.5
        kept = evaluation.usable(free, 2)
        for name, halves in (("balanced", balanced[:, kept]), ("free", free[:, kept])):
            found[name, models] = roc.auc(attack(statistics[:, kept], halves), halves) - 0.5
    assert found["balanced", 12] < -0.01
    assert abs(found["free", 12]) < 0.005
    assert abs(found["balanced", 48]) < abs(found["balanced", 12]) / 2


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_target_plays_no_part_in_its_threshold(attack):
    statistics, membership = planted(1.0, 16, 100)
    before = evaluation.thresholds(ATTACKS[attack], statistics, membership, everyone(membership))["all"]
    changed, swapped = statistics.clone(), membership.clone()
    changed[5] = 100.0
    swapped[5] = ~swapped[5]
    after = evaluation.thresholds(ATTACKS[attack], changed, swapped, everyone(swapped))["all"]
    assert after[5] == before[5]


def test_populations_are_counted_apart():
    """Every tenth member of a model leaks, the others do not."""
    statistics, membership = planted(0.0, 16, 800)
    leaking = membership & (torch.arange(800) % 10 == 0)
    statistics = statistics + 6.0 * leaking
    populations = everyone(membership) | {"leaking": ~membership | leaking, "rest": ~membership | ~leaking}
    found = evaluation.evaluate(ATTACKS["loss"], statistics, membership, populations)
    assert found["leaking"].advantage[0] > 0.95
    assert found["leaking"].members == int(leaking.sum())
    assert abs(found["rest"].auc - 0.5) < 0.02
    assert found["all"].members == found["leaking"].members + found["rest"].members
    share = found["leaking"].members / found["all"].members
    mixture = share * found["leaking"].auc + (1 - share) * found["rest"].auc
    assert math.isclose(found["all"].auc, mixture, rel_tol=1e-9)


def test_some_examples_suffice_for_the_thresholds():
    statistics, membership = planted(2.0)
    every = evaluation.evaluate(ATTACKS["loss"], statistics, membership, everyone(membership))["all"]
    some = evaluation.evaluate(
        ATTACKS["loss"], statistics, membership, everyone(membership), torch.arange(0, 600, 5)
    )["all"]
    assert some.auc == every.auc
    assert abs(some.advantage[0] - every.advantage[0]) < 0.01


def test_the_loss_is_a_function_of_the_confidence():
    stream = generator(0, "logits")
    logits = torch.randn((16, 100, 10), generator=stream, dtype=torch.float64) * 5
    labels = torch.randint(10, (100,), generator=stream).expand(16, 100)
    _, membership = planted(0.0, 16, 100)
    found = ATTACKS["loss"](logit_scaled_confidence(logits, labels), membership)
    torch.testing.assert_close(found, -loss(logits, labels))


def test_several_queries():
    statistics, membership = planted(1.0, 32, 600)
    again, _ = planted(1.0, 32, 600, seed=0)
    noise = torch.randn(statistics.shape, generator=generator(9, "noise"), dtype=torch.float64)
    two = torch.stack([statistics, noise + membership], 2)
    for name, attack in ATTACKS.items():
        one_query = evaluation.evaluate(attack, again, membership, everyone(membership))["all"]
        both = evaluation.evaluate(attack, two, membership, everyone(membership))["all"]
        assert both.auc > one_query.auc + 0.02, name


def test_difference_to_a_baseline():
    """The same noise twice: the pairing takes it out of the difference."""
    statistics, membership = planted(1.0)
    strong, weak, same = (
        evaluation.evaluate(
            ATTACKS["loss"], statistics + extra * membership, membership, everyone(membership)
        )["all"]
        for extra in (0.5, 0.0, 0.0)
    )
    difference, low, high, p_value = evaluation.compare(strong, weak)
    assert difference == strong.advantage[0] - weak.advantage[0]
    assert 0 < low < difference < high
    assert high - low < strong.advantage[2] - strong.advantage[1]
    assert p_value < 1e-6
    assert evaluation.compare(same, weak) == (0.0, 0.0, 0.0, 1.0)
    few, its = planted(1.0, 16)
    other = evaluation.evaluate(ATTACKS["loss"], few, its, everyone(its))["all"]
    with pytest.raises(ValueError, match="16 and 32 models"):
        evaluation.compare(other, weak)


def test_examples_in_all_or_no_models_are_left_out():
    statistics, membership = planted(1.0, 16, 100)
    membership[:, 3], membership[:, 5] = True, False
    membership[1:4, 7], membership[4:, 7] = True, False
    kept = evaluation.usable(membership)
    assert (~kept).nonzero()[:, 0].tolist() == [3, 5, 7]
    scores = lira.scores(statistics[:, kept], membership[:, kept])
    assert scores.shape == (16, 97)
    with pytest.raises(ValueError, match="3 models: allowed are 4 or more"):
        evaluation.usable(membership[:3])
    with pytest.raises(ValueError, match="no example is in and out of 4 of 4 models"):
        evaluation.usable(membership[:4])


def test_the_columns_of_an_outcome():
    statistics, membership = planted(1.0, 16, 100)
    found = evaluation.evaluate(ATTACKS["loss"], statistics, membership, everyone(membership))["all"]
    columns = found.columns()
    assert columns["shadows"] == 16
    assert columns["members"] == columns["nonmembers"] == 800
    assert (columns["advantage"], columns["advantage_low"], columns["advantage_high"]) == found.advantage
    assert columns["tpr_at_fpr_1e-3"] == found.tpr.value
    assert (columns["tpr_low"], columns["tpr_high"]) == (found.tpr.low, found.tpr.high)
    assert (columns["tpr_bootstrap_low"], columns["tpr_bootstrap_high"]) == found.tpr_bootstrap
    rates = [float(text) for text in columns["roc"].split()]
    np.testing.assert_allclose(rates, found.curve, rtol=1e-7)
    assert len(rates) == len(evaluation.FPRS) == 17


def test_attempts_on_networks_and_on_released_images():
    confidences = torch.zeros(4, 6, dtype=torch.float64)
    names = [attempt.name for attempt in evaluation.on_networks(confidences)]
    assert names == ["loss", "lira_online", "lira_online_fixed", "lira_offline", "lira_offline_fixed"]
    stream = generator(0, "released")
    images, labels = torch.rand((6, 1, 2, 2), generator=stream), torch.arange(6) % 2
    released = images[:2].view(1, 2, 1, 1, 2, 2).expand(4, -1, -1, -1, -1, -1)  # an image of each class
    attempts = evaluation.on_released_images(images, labels, released)
    assert {attempt.attacked for attempt in attempts} == {"synthetic_set"}
    names = [attempt.name for attempt in attempts]
    assert names == ["nearest", "nearest_lira_online", "tracing", "tracing_lira_online"]
    membership = torch.tensor([True, False]).repeat(4, 3)
    raw = attempts[0].attack(attempts[0].statistics, membership)
    assert torch.equal(raw, released_images.nearest(images, labels, released))
    assert (raw[:, :2] == 0).all()
    assert (raw[:, 2:] < 0).all()


def test_k3_populations_with_nothing_to_choose_by_are_refused():
    statistics, membership = planted(1.0, 8, 40)
    empty, single = torch.zeros_like(membership), torch.zeros_like(membership)
    single[3] = True
    for counted in (empty, single):  # case 32
        with pytest.raises(ValueError, match=r"populations\['x'\]: 0 members of other targets than"):
            evaluation.evaluate(ATTACKS["loss"], statistics, membership, {"x": counted})


def test_k3_without_a_spread_the_p_value_is_what_the_resamples_can_say():
    _, membership = planted(0.0, 8, 40)
    perfect, constant = (
        evaluation.evaluate(ATTACKS["loss"], values, membership, everyone(membership))["all"]
        for values in (10.0 * membership, torch.zeros(8, 40))
    )
    assert evaluation.compare(perfect, constant) == (1.0, 1.0, 1.0, 2 / 1001)  # case 32


def test_k2_populations_and_examples_of_numpy_are_those_of_torch():
    statistics, membership = planted(1.0, 8, 40)
    counted = torch.ones_like(membership)
    arguments = (ATTACKS["loss"], statistics, membership)
    expected = evaluation.evaluate(*arguments, {"x": counted}, torch.arange(20), resamples=20)["x"]
    found = evaluation.evaluate(
        ATTACKS["loss"],
        statistics.numpy(),
        membership.numpy(),
        {"x": counted.numpy()},
        torch.arange(20, dtype=torch.int32),
        resamples=20,
    )["x"]
    assert found.columns() == expected.columns()
    assert (found.bootstrap == expected.bootstrap).all()


def test_k1_attempts_share_no_memory_with_the_confidences():
    confidences = torch.zeros(8, 4)
    attempts = evaluation.on_networks(confidences)
    confidences += 1
    assert all(bool((attempt.statistics == 0).all()) for attempt in attempts)


def test_k3_what_no_population_and_no_example_is_gets_refused_by_name():
    statistics, membership = planted(1.0, 8, 40)
    arguments = (ATTACKS["loss"], statistics, membership)
    everything = everyone(membership)
    with pytest.raises(ValueError, match=r"populations\['x'\] .*: allowed is a tensor of dtype bool"):
        evaluation.evaluate(*arguments, {"x": membership.long()})
    with pytest.raises(ValueError, match=r"populations\['x'\] \(7, 40\): allowed is \(8, 40\)"):
        evaluation.evaluate(*arguments, {"x": membership[:7]})
    with pytest.raises(ValueError, match="examples up to 40: allowed are 0 to 39"):
        evaluation.evaluate(*arguments, everything, torch.tensor([40]))
    with pytest.raises(ValueError, match="resamples 1: allowed are whole numbers from 2 up"):
        evaluation.evaluate(*arguments, everything, resamples=1)
    with pytest.raises(ValueError, match="membership of 3 models: allowed are 4 or more"):
        evaluation.thresholds(ATTACKS["loss"], statistics[:3], membership[:3], everyone(membership[:3]))
    with pytest.raises(ValueError, match="least 9: allowed are whole numbers from 0 to 8"):
        evaluation.usable(membership, 9)


def test_k3_resamples_that_have_no_members_compare_nothing():
    statistics, membership = planted(1.0, 8, 40)
    whole = evaluation.evaluate(ATTACKS["loss"], statistics, membership, everyone(membership), resamples=20)
    spoilt = dataclasses.replace(whole["all"], bootstrap=np.full(20, np.nan))  # case 32
    with pytest.raises(ValueError, match="release and baseline have 0 resamples in common"):
        evaluation.compare(whole["all"], spoilt)
    for one in (whole["all"], dataclasses.replace(whole["all"], bootstrap=whole["all"].bootstrap * 0)):
        assert evaluation.compare(one, one) == (0.0, 0.0, 0.0, 1.0)


def test_k2_what_is_no_attack_and_no_dict_of_populations_is_refused():
    statistics, membership = planted(1.0, 8, 40)
    with pytest.raises(ValueError, match="attack 'loss': allowed is a function"):
        evaluation.evaluate("loss", statistics, membership, everyone(membership))
    with pytest.raises(ValueError, match=r"populations list .*: allowed is a dictionary"):
        evaluation.evaluate(ATTACKS["loss"], statistics, membership, [membership])
