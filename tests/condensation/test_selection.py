"""Selections against slow twins, and that every image chosen is a member, once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.condensation.selection import select_full, select_herding, select_random_subset
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks

CLASSES = 3


def pool(count=36, channels=1, size=8, seed=0):
    images = torch.randn((count, channels, size, size), generator=generator(seed, "pool"))
    return images, torch.arange(count) % CLASSES


def halves(sets, count, seed=0):
    """A random half of each class, so that every set has as many members in each."""
    membership = torch.zeros((sets, count), dtype=torch.bool)
    stream = generator(seed, "halves")
    for row in membership:
        for c in range(CLASSES):
            indices = torch.arange(c, count, CLASSES)
            row[indices[torch.randperm(len(indices), generator=stream)[: len(indices) // 2]]] = True
    return membership


def problem(sets=2, ipc=4, init="real", names=None, seed=0, **kwargs):
    images, labels = pool(**kwargs)
    return Problem.of(images, labels, halves(sets, len(images)), ipc, init, seed, names=names)


def check_members(problem, condensed):
    for k in range(problem.sets):
        chosen = condensed.initial[k]
        assert len(chosen.unique()) == chosen.numel()
        assert bool(problem.membership[k][chosen].all())
        assert torch.equal(problem.labels[chosen], condensed.labels[k])
        assert torch.equal(problem.images[chosen], condensed.images[k])
    assert condensed.loss.shape == (problem.sets, 0)
    assert condensed.steps.shape == (0,)
    assert condensed.seconds >= 0


def herding_twin(features, members, ipc):
    """One class of one set: try every member, keep the one that brings the mean nearest."""
    mean = features[members].mean(0)
    chosen = []
    for _ in range(ipc):
        rest = [i for i in members if i not in chosen]
        distances = [(mean - features[[*chosen, i]].mean(0)).norm() for i in rest]
        chosen.append(rest[int(torch.stack(distances).argmin())])
    return chosen


@pytest.mark.parametrize("features", ["pixels", "convnet"])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 8)])
def test_herding_is_the_greedy_choice(features, channels, size):
    given = problem(channels=channels, size=size)
    condensed = select_herding(given, features, width=6)
    check_members(given, condensed)
    phi = given.images.flatten(1)
    if features == "convnet":
        network = networks.ConvNet(channels, size, CLASSES, 6)
        theta = network.initial(given.generator("herding extractor"), classifier=False)
        phi = network.features(theta, given.images)
    for k in range(given.sets):
        for c in range(CLASSES):
            members = [i for i in range(36) if given.membership[k, i] and given.labels[i] == c]
            assert condensed.initial[k, c].tolist() == herding_twin(phi.double(), members, 4)


def test_herding_of_all_members_takes_them_all_and_a_mean_on_the_line():
    given = problem(ipc=6)  # each class of a set has 6 members
    condensed = select_herding(given, "pixels")
    for k in range(given.sets):
        assert torch.equal(condensed.initial[k].flatten().sort().values, given.membership[k].nonzero()[:, 0])
    # Pixels 0, 1, 2, 3, 10 have mean 3.2. Means of choices: 3, 2.5, 2, then 4 with the 10, 1.5 with the 0.
    images = torch.tensor([0.0, 1, 2, 3, 10])[:, None, None, None]
    one = Problem.of(images, torch.zeros(5, dtype=torch.int64), None, 4, "real", 0)
    assert select_herding(one, "pixels").initial.flatten().tolist() == [3, 2, 1, 4]


def test_random_subset_is_where_real_initialisation_starts():
    given = problem()
    condensed = select_random_subset(given)
    images, initial = initialise(given)
    assert torch.equal(condensed.images, images)
    assert torch.equal(condensed.initial, initial)
    check_members(given, condensed)
    other = select_random_subset(problem(seed=1))
    assert not torch.equal(other.initial, initial)


def test_full_is_every_member_in_order():
    given = problem(sets=3, init="noise", ipc=50)
    condensed = select_full(given)
    check_members(given, condensed)
    assert condensed.images.shape == (3, CLASSES, 6, 1, 8, 8)
    for k in range(3):
        for c in range(CLASSES):
            wanted = (given.membership[k] & (given.labels == c)).nonzero()[:, 0]
            assert torch.equal(condensed.initial[k, c], wanted)
    images, labels = condensed.flat(1)
    assert images.shape == (18, 1, 8, 8)
    assert labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 50), st.sampled_from(["random", "herding"]))
def test_members_only_and_whichever_others_share_the_run(sets, ipc, seed, method):
    choose = select_random_subset if method == "random" else lambda p: select_herding(p, width=4)
    images, labels = pool(seed=seed)
    membership = halves(sets, len(images), seed)
    names = tuple(range(10, 10 + sets))
    given = Problem.of(images, labels, membership, ipc, "real", seed, names=names)
    condensed = choose(given)
    check_members(given, condensed)
    last = Problem.of(images, labels, membership[-1:], ipc, "real", seed, names=names[-1:])
    assert torch.equal(choose(last).initial[0], condensed.initial[-1])


def test_bad_input_is_named():
    for choose in (select_random_subset, select_herding):
        with pytest.raises(ValueError, match="init 'noise': allowed is 'real'"):
            choose(problem(init="noise"))
    with pytest.raises(ValueError, match="features 'vit': known are convnet, pixels"):
        select_herding(problem(), "vit")
    images, labels = pool()
    membership = halves(2, len(images))
    membership[1, (labels == 2).nonzero()[:, 0]] = True
    with pytest.raises(ValueError, match="set 1 holds 12 of class 2: allowed is the same number"):
        select_full(Problem.of(images, labels, membership, 1, "real", 0))
