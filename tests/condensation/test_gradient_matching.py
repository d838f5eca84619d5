import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.testing import assert_close

from privacy_for_free.condensation import gradient_matching
from privacy_for_free.condensation.gradient_matching import (
    GradientMatching,
    Matcher,
    condense,
    distance,
    loops,
)
from privacy_for_free.condensation.loop import DivergenceError, Run
from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core import compiling
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation

SMALL = GradientMatching(iterations=2, outer_loop=2, inner_loop=2, width=4, depth=2, batch_real=5, chunk=4)
DC = replace(SMALL, augmentation="")


def some_problem(sets=2, ipc=2, channels=3, size=8, classes=2, dtype=torch.float64, names=None, count=40):
    stream = generator(0, "problem")
    images = torch.randn((count, channels, size, size), generator=stream, dtype=dtype)
    labels = torch.arange(count) % classes
    membership = torch.rand((40, count), generator=stream) < 0.6
    rows = list(range(sets)) if names is None else list(names)
    return Problem.of(images, labels, membership[rows], ipc, "real", 7, classes, names)


def published_logits(theta, images):
    """The ConvNet of the authors' code, norms and all by torch's own functions."""
    block = 0
    while f"{block}.weight" in theta:
        padding = 3 if block == 0 and images.shape[2] == 28 else 1
        images = F.conv2d(images, theta[f"{block}.weight"], theta[f"{block}.bias"], padding=padding)
        images = F.instance_norm(images, weight=theta[f"{block}.scale"], bias=theta[f"{block}.shift"])
        images = F.avg_pool2d(F.relu(images), 2)
        block += 1
    return F.linear(images.flatten(1), theta["classifier.weight"], theta["classifier.bias"])


def published_distance(real, synthetic):
    """match_loss with metric 'ours', one output unit at a time."""
    total = 0
    for a, b in zip(real, synthetic, strict=True):
        if a.dim() > 1:
            for x, y in zip(a, b, strict=True):
                total = total + 1 - (x * y).sum() / (x.square().sum().sqrt() * y.square().sum().sqrt() + 1e-6)
    return total


def published_matching(problem, p, index, match, k, theta, images):
    """Loss of set k at one matching: its own batch, one backward pass a class, autograd of autograd."""
    leaves, total = [value.clone().requires_grad_(True) for value in theta.values()], 0
    net = dict(zip(theta, leaves, strict=True))
    for c in range(problem.classes):
        indices = (problem.labels == c).nonzero()[:, 0]
        order = torch.randperm(len(indices), generator=problem.generator("batch", index, match, c))
        own = [i for i in indices[order].tolist() if problem.membership[k, i]][: p.batch_real]
        stream = problem.generator("augmentation", index, match, c)
        transform = augmentation.draw(p.augmentation, 1, stream, p.strength)
        gradients = []
        for batch in (problem.images[own], images[c]):
            scores = published_logits(net, augmentation.apply(transform, batch))
            loss = F.cross_entropy(scores, torch.full((len(batch),), c))
            gradients.append(torch.autograd.grad(loss, leaves, create_graph=batch is not problem.images))
        total = total + published_distance([g.detach() for g in gradients[0]], gradients[1])
    return total


def published_training(problem, p, index, match, k, theta, images):
    """The inner loop: SGD on the synthetic images."""
    leaves = [value.clone().requires_grad_(True) for value in theta.values()]
    net, optimiser = (
        dict(zip(theta, leaves, strict=True)),
        torch.optim.SGD(leaves, lr=p.network_learning_rate),
    )
    stream = problem.generator("training", problem.names[k], index, match)
    flat, labels = images.flatten(0, 1), torch.arange(problem.classes).repeat_interleave(problem.ipc)
    for _ in range(p.inner_loop):
        order = torch.randperm(len(flat), generator=stream)
        for start in range(0, len(flat), p.batch_train):
            rows = order[start : start + p.batch_train]
            transform = augmentation.draw(p.augmentation, len(rows), stream, p.strength)
            optimiser.zero_grad()
            F.cross_entropy(
                published_logits(net, augmentation.apply(transform, flat[rows])), labels[rows]
            ).backward()
            optimiser.step()
    return {key: value.detach() for key, value in net.items()}


def published(problem, p, k):
    """Set k alone, by the published loop; its images and its loss at each iteration."""
    images = initialise(problem)[0][k].requires_grad_(True)
    optimiser, logged = torch.optim.SGD([images], lr=p.learning_rate, momentum=p.momentum), []
    for index in range(p.iterations):
        theta = Matcher(problem, p).network.initial(problem.generator("network", index), images.dtype)
        average = 0.0
        for match in range(p.outer_loop):
            loss = published_matching(problem, p, index, match, k, theta, images)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            average += loss.item() / (problem.classes * p.outer_loop)
            if match < p.outer_loop - 1:
                theta = published_training(problem, p, index, match, k, theta, images.detach())
        logged.append(average)
    return images.detach(), torch.tensor(logged, dtype=torch.float64)


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        ({}, {}),
        ({}, {"augmentation": ""}),
        ({"ipc": 1, "channels": 1, "classes": 5}, {"chunk": 3, "batch_real": 100}),
        ({"ipc": 3, "channels": 1, "size": 28}, {"iterations": 1, "batch_train": 4}),
        ({"sets": 10, "ipc": 1}, {"iterations": 1}),
    ],
)
def test_every_set_is_what_the_published_loop_gives(shape, changes):
    problem, parameters = some_problem(**shape), replace(SMALL, **changes)
    found = condense(problem, parameters, Run(log_every=1))
    assert not torch.equal(found.images, initialise(problem)[0])
    for k in range(0, problem.sets, 3) if problem.sets > 2 else range(problem.sets):
        images, loss = published(problem, parameters, k)
        assert_close(found.images[k], images, rtol=1e-8, atol=1e-10)
        assert_close(found.loss[k], loss, rtol=1e-10, atol=0)
    assert torch.equal(found.labels[0, :, 0], torch.arange(problem.classes))


def test_the_pixel_gradient_is_the_slope_of_the_loss():
    problem, parameters = some_problem(ipc=1), replace(SMALL, augmentation="color_rotate_crop")
    matcher, images = Matcher(problem, parameters), initialise(problem)[0]
    theta = matcher.network_of(0)
    thetas = [theta, theta]
    direction = torch.randn(images.shape, generator=generator(0, "direction"), dtype=torch.float64)
    slope = (matcher.loss_and_gradient(0, 0, thetas, images)[1] * direction).sum()
    ahead, behind = (
        matcher.loss_and_gradient(0, 0, thetas, images + step * direction)[0].sum() for step in (1e-6, -1e-6)
    )
    assert_close((ahead - behind) / 2e-6, slope, rtol=1e-5, atol=0)


def test_distance_of_parallel_opposite_and_orthogonal_rows():
    stream = generator(0, "distance")
    a = {
        "conv": torch.randn((4, 3, 3, 3), generator=stream).double(),
        "bias": torch.randn(4, generator=stream).double(),
    }
    assert_close(float(distance(a, {"conv": 3 * a["conv"], "bias": -a["bias"]})), 0.0, atol=1e-5, rtol=0)
    assert_close(float(distance(a, {"conv": -a["conv"], "bias": a["bias"]})), 8.0, atol=1e-5, rtol=0)
    assert_close(float(distance({"w": torch.eye(2)}, {"w": torch.eye(2).flip(0)})), 2.0)
    assert_close(float(distance({"w": torch.zeros(5, 2)}, {"w": torch.ones(5, 2)})), 5.0)
    b = {key: torch.randn(value.shape, generator=stream).double() for key, value in a.items()}
    assert_close(distance(a, b), published_distance(list(a.values()), list(b.values())))


@pytest.mark.parametrize(("ipc", "outer"), [(1, 1), (2, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_set_does_not_depend_on_the_others_in_any_bit(ipc, outer, dtype):
    parameters = replace(SMALL, outer_loop=outer, iterations=1 if outer > 1 else 3)
    names = tuple(range(9))  # more than one block of rows
    together = condense(some_problem(ipc=ipc, dtype=dtype, names=names), parameters)
    for some in ((0,), (8,), (6, 2, 8)):
        alone = condense(some_problem(ipc=ipc, dtype=dtype, names=some), parameters)
        assert torch.equal(alone.images, together.images[list(some)])
        assert torch.equal(alone.loss, together.loss[list(some)])


def test_images_that_are_not_members_change_nothing():
    problem = some_problem(ipc=1, sets=1)
    images = problem.images.clone()
    images[~problem.membership[0]] = 100 * images[~problem.membership[0]] + 3
    assert int((~problem.membership).sum()) > 5
    other = replace(problem, images=images)
    assert torch.equal(condense(problem, SMALL).images, condense(other, SMALL).images)
    images[problem.membership[0]] += 1
    other = replace(problem, images=images)
    assert not torch.equal(condense(problem, SMALL).images, condense(other, SMALL).images)


def test_each_set_gets_a_uniform_sample_of_its_own_members():
    problem = some_problem(sets=3)
    matcher, draws = Matcher(problem, replace(SMALL, batch_real=4)), 2000
    frequency = torch.zeros(3, len(problem.of_class[1]))
    for index in range(draws):
        indices, weights = matcher.order(index, 0, 1)
        assert_close(weights.sum(1), torch.ones(3).double())
        assert torch.equal((weights > 0).sum(1), torch.full((3,), 4))
        frequency[:, torch.searchsorted(problem.of_class[1], indices)] += weights > 0
    members = problem.membership[:, problem.of_class[1]]
    share = 4 / members.sum(1)
    expected = share[:, None] * members * draws
    spread = (draws * share * (1 - share)).sqrt()[:, None]
    assert ((frequency - expected).abs() < 5 * spread * members + 0.5).all()


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, monkeypatch, stop):
    problem = some_problem(dtype=torch.float32)
    parameters = replace(SMALL, iterations=4, inner_loop=1)
    whole = condense(problem, parameters, Run(log_every=1))
    run = Run(checkpoint=tmp_path / "run.pt", every=1, log_every=1)
    draw = Matcher.network_of

    def killed(self, index):
        if index == stop:
            raise KeyboardInterrupt
        return draw(self, index)

    monkeypatch.setattr(Matcher, "network_of", killed)
    with pytest.raises(KeyboardInterrupt):
        condense(problem, parameters, run)
    monkeypatch.undo()
    resumed = condense(problem, parameters, run)
    assert torch.equal(resumed.images, whole.images)
    assert torch.equal(resumed.loss, whole.loss)


def test_augmentation_of_no_strength_is_dc():
    problem = some_problem(dtype=torch.float32)
    still = replace(SMALL, strength=augmentation.Strength(factor=0))
    assert torch.equal(condense(problem, still).images, condense(problem, DC).images)
    assert not torch.equal(condense(problem, SMALL).images, condense(problem, DC).images)


def test_the_global_generator_is_not_touched_and_the_seed_counts():
    problem, state = some_problem(ipc=1), torch.get_rng_state()
    first = condense(problem, SMALL).images
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(condense(problem, SMALL).images, first)
    assert not torch.equal(condense(replace(problem, seed=8), SMALL).images, first)


@pytest.mark.parametrize(("network", "depth"), [("convnet", 2), ("mlp", None), ("linear", None)])
def test_matching_makes_noise_like_the_data(network, depth):
    stream = generator(0, "structured")
    patterns = torch.randn((2, 1, 8, 8), generator=stream)
    labels = torch.arange(40) % 2
    images = patterns[labels] + 0.3 * torch.randn((40, 1, 8, 8), generator=stream)
    problem = Problem.of(images, labels, None, 1, "noise", 0)
    parameters = replace(
        DC, network=network, depth=depth, iterations=100, outer_loop=1, width=16, batch_real=20
    )
    found = condense(problem, parameters, Run(log_every=1))
    assert found.loss[0, -10:].mean() < 0.7 * found.loss[0, :10].mean()
    before, after = initialise(problem)[0][0, :, 0], found.images[0, :, 0]
    like = [F.cosine_similarity(x.flatten(1), patterns.flatten(1)) for x in (before, after)]
    assert (like[1] > like[0] + 0.2).all()


def test_divergence_is_an_error_that_says_what_to_try():
    parameters = replace(DC, iterations=5, learning_rate=1e38)
    with pytest.raises(DivergenceError, match=r"dc: step \d.*lower the learning rate"):
        condense(some_problem(dtype=torch.float32), parameters)


@pytest.fixture
def compiler():
    if not compiling.available():
        pytest.skip("no compiler on this machine")


@pytest.mark.usefixtures("compiler")
def test_compiled_and_plain_agree():
    problem = some_problem(ipc=1, sets=1)
    parameters = replace(DC, iterations=1, depth=1, inner_loop=1)
    plain = condense(problem, parameters)
    found = condense(problem, replace(parameters, compile=True))
    assert_close(found.images, plain.images, rtol=1e-9, atol=1e-11)


def test_published_loops():
    assert [loops(ipc) for ipc in (1, 10, 20, 30, 40, 50)] == [
        (1, 1),
        (10, 50),
        (20, 25),
        (30, 20),
        (40, 15),
        (50, 10),
    ]
    assert (loops(2), loops(49), loops(500)) == ((1, 1), (40, 15), (50, 10))
    defaults = Matcher(some_problem(ipc=10, count=80), GradientMatching(width=4, depth=2))
    assert (defaults.outer_loop, defaults.inner_loop) == (10, 50)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iterations", -1),
        ("outer_loop", 0),
        ("inner_loop", 1.5),
        ("batch_real", 0),
        ("batch_train", True),
        ("chunk", 0),
        ("learning_rate", 0.0),
        ("network_learning_rate", math.inf),
        ("momentum", 1.0),
        ("augmentation", "blur"),
    ],
)
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=name if name != "augmentation" else "'blur'"):
        GradientMatching(**{name: value})


def test_a_depth_for_a_network_without_one_is_refused():
    with pytest.raises(ValueError, match="depth 2: network 'linear' has none"):
        gradient_matching.condense(some_problem(), GradientMatching(network="linear", depth=2))
