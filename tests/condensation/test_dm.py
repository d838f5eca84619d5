"""DM against a slow twin in float64, the linear chapter's closed form, and itself in other company."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.condensation import dm
from privacy_for_free.condensation.loop import DivergenceError, Run
from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.theory import linear

SMALL = dm.DM(iterations=4, batch_real=6, width=8, learning_rate=0.5)


def pool(count=60, classes=3, channels=3, size=8, dtype=torch.float64, seed=0):
    images = torch.randn((count, channels, size, size), generator=generator(seed, "pool"), dtype=dtype)
    return images, torch.arange(count) % classes


def halves(sets, count, seed=0):
    return torch.rand((sets, count), generator=generator(seed, "halves")) < 0.5


def problem(sets=None, ipc=2, init="real", names=None, **kwargs):
    images, labels = pool(**kwargs)
    membership = None if sets is None else halves(sets, len(images))
    return Problem.of(images, labels, membership, ipc, init, 5, names=names)


def twin(problem, parameters, index, images):
    """The published loop: one set, one class, one forward pass at a time, modules of torch.nn."""
    theta = networks.build("convnet", problem.images.shape[1:], problem.classes, parameters.width).initial(
        problem.generator("extractor", index), images.dtype
    )
    transform = augmentation.draw(parameters.augmentation, 1, problem.generator("augmentation", index))

    def embed(x):
        x = augmentation.apply(transform, x)
        for block in range(3):
            padding = 3 if block == 0 and x.shape[2] == 28 else 1
            x = F.conv2d(x, theta[f"{block}.weight"], theta[f"{block}.bias"], padding=padding)
            x = F.avg_pool2d(F.relu(F.instance_norm(x, eps=1e-5)), 2)
        return x.flatten(1)

    synthetic = images.detach().clone().requires_grad_(True)
    losses = []
    for k in range(problem.sets):
        loss = 0
        for c in range(problem.classes):
            indices = (problem.labels == c).nonzero()[:, 0]
            share = float(problem.membership[:, indices].sum(1).double().mean()) / len(indices)
            size = min(len(indices), round(parameters.batch_real / share))
            if size < len(indices):
                order = torch.randperm(len(indices), generator=problem.generator("batch", index, c))
                indices = indices[order[:size]]
            own = [i for i in indices.tolist() if problem.membership[k, i]]
            if own:
                real = torch.stack([embed(problem.images[i][None])[0] for i in own]).mean(0)
                loss = loss + ((real - embed(synthetic[k, c]).mean(0)) ** 2).sum()
        losses.append(loss)
    (gradient,) = torch.autograd.grad(sum(losses), synthetic)
    return torch.stack(losses).detach(), gradient


@pytest.mark.parametrize(
    ("sets", "ipc", "channels", "size", "classes", "kind"),
    [
        (None, 1, 3, 8, 3, ""),
        (4, 2, 1, 8, 2, "flip"),
        (3, 5, 3, 16, 3, augmentation.STRATEGY),
        (2, 2, 1, 28, 2, "rotate"),
    ],
)
def test_loss_and_gradient_are_the_published_ones(sets, ipc, channels, size, classes, kind):
    case = problem(sets, ipc, channels=channels, size=size, classes=classes)
    parameters = dataclasses.replace(SMALL, augmentation=kind)
    images, _ = initialise(case)
    matcher = dm.Matcher(case, parameters)
    for index in range(3):
        losses, gradient = matcher.loss_and_gradient(index, images)
        expected, expected_gradient = twin(case, parameters, index, images)
        torch.testing.assert_close(losses, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("memory", [1, 64])
def test_chunks_change_nothing(memory, monkeypatch):
    case = problem(5, ipc=3, classes=3)
    images, _ = initialise(case)
    whole = dm.Matcher(case, SMALL)
    cut = dm.Matcher(case, dataclasses.replace(SMALL, memory_mib=memory))
    monkeypatch.setattr(cut, "chunk", 4 if memory == 1 else 7)
    for got, expected in zip(
        cut.loss_and_gradient(1, images), whole.loss_and_gradient(1, images), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_set_is_bitwise_what_it_is_alone(dtype):
    """Each of ten sets is the same alone, under its name: the shared draws do not know who shares."""
    images, labels = pool(count=240, dtype=dtype)
    membership = torch.zeros((10, 240), dtype=torch.bool)
    for k in range(10):  # exact halves of each class, as random_halves gives them
        for c in range(3):
            of_class = (labels == c).nonzero()[:, 0]
            order = torch.randperm(len(of_class), generator=generator(k, "half", c))
            membership[k, of_class[order[: len(of_class) // 2]]] = True
    together = dm.condense(Problem.of(images, labels, membership, 2, "real", 3), SMALL)
    assert together.images.shape == (10, 3, 2, 3, 8, 8)
    for k in (0, 4, 9):
        alone = dm.condense(
            Problem.of(images, labels, membership[k : k + 1], 2, "real", 3, names=(k,)), SMALL
        )
        assert torch.equal(alone.images[0], together.images[k])
        assert torch.equal(alone.initial[0], together.initial[k])
        torch.testing.assert_close(alone.loss[0], together.loss[k], rtol=1e-6, atol=0)


def test_one_set_of_everything_needs_no_membership():
    images, labels = pool()
    plain = dm.condense(Problem.of(images, labels, None, 2, "noise", 3), SMALL)
    masked = dm.condense(
        Problem.of(images, labels, torch.ones((1, 60), dtype=torch.bool), 2, "noise", 3), SMALL
    )
    assert torch.equal(plain.images, masked.images)
    assert (plain.initial == -1).all()


def test_marginally_a_set_sees_what_a_run_alone_sees():
    """The mean real feature of a class over many steps is that of the set's own members, and only of them."""
    images, labels = pool(count=40, classes=2, size=8)
    membership = halves(2, 40, seed=4)
    parameters = dataclasses.replace(SMALL, batch_real=5, extractor="linear", width=6, augmentation="")
    matcher = dm.Matcher(Problem.of(images, labels, membership, 1, "noise", 0), parameters)
    rows, seen = dict.fromkeys(range(40), 0), 0
    monkey = matcher.means_of_real

    def spy(batches, embed):
        nonlocal seen
        targets, present = monkey(batches, lambda x: x.flatten(1)[:, : matcher.real.shape[1]])
        drawn = torch.cat(batches)
        for i in drawn.tolist():
            rows[i] += 1
        own = [i for i in batches[0].tolist() if membership[0, i]]
        expected = images[own].flatten(1)[:, : matcher.real.shape[1]].mean(0)
        torch.testing.assert_close(targets[0, 0], expected, rtol=1e-12, atol=1e-12)
        seen += 1
        return targets, present

    matcher.means_of_real = spy
    start = torch.zeros((2, 2, 1, 3, 8, 8), dtype=torch.float64)
    for index in range(400):
        matcher.loss_and_gradient(index, start)
    assert seen == 400
    counts = torch.tensor([rows[i] for i in range(40)]).double()
    for c, size in enumerate(matcher.draws):
        share = size / 20
        error = (400 * share * (1 - share)) ** 0.5
        assert ((counts[labels == c] - 400 * share).abs() <= 4.5 * error).all()


def test_linear_extractor_reproduces_the_closed_form():
    """With the linear extractor, full batches and enough steps every image moves by xbar - sbar."""
    images, labels = pool(count=50, classes=2, channels=1, size=4)
    parameters = dm.DM(
        iterations=500,
        batch_real=50,
        extractor="linear",
        width=64,
        augmentation="",
        momentum=0.0,
        learning_rate=1.0,
    )
    case = Problem.of(images, labels, halves(3, 50), 4, "noise", 1)
    start, _ = initialise(case)
    condensed = dm.condense(case, parameters)
    for k in range(3):
        for c in range(2):
            real = images[(labels == c) & case.membership[k]].flatten(1)
            expected = linear.minimiser(start[k, c].flatten(1), real)
            torch.testing.assert_close(condensed.images[k, c].flatten(1), expected, rtol=1e-10, atol=1e-10)


def test_a_class_absent_from_a_batch_takes_no_step():
    images, labels = pool(count=200, classes=2)
    membership = torch.zeros((2, 200), dtype=torch.bool)
    membership[0] = True
    membership[1, :2] = True  # one image of each class: hardly ever drawn
    parameters = dataclasses.replace(SMALL, pool_batch=3)
    matcher = dm.Matcher(Problem.of(images, labels, membership, 1, "noise", 0), parameters)
    start, _ = initialise(matcher.problem)
    losses, gradient = matcher.loss_and_gradient(0, start)
    assert losses[1] == 0
    assert (gradient[1] == 0).all()
    assert (gradient[0] != 0).any()


def test_compiled_agrees_with_plain():
    case = problem(2, ipc=2, dtype=torch.float32)
    images, _ = initialise(case)
    plain = dm.Matcher(case, SMALL).loss_and_gradient(0, images)
    fast = dm.Matcher(case, dataclasses.replace(SMALL, compile=True)).loss_and_gradient(0, images)
    for got, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)


def test_resumes_bitwise(tmp_path):
    case = problem(3)
    parameters = dataclasses.replace(SMALL, iterations=7)
    whole = dm.condense(case, parameters, Run(snapshots=(0, 3, 7)))
    kept = Run(checkpoint=tmp_path / "c.pt", every=2, snapshots=(0, 3, 7))
    stop = [0]

    class Killed(BaseException):
        pass

    original = dm.Matcher.loss_and_gradient

    def dying(self, index, images):
        if index == 5 and not stop[0]:
            stop[0] = 1
            raise Killed
        return original(self, index, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dm.Matcher, "loss_and_gradient", dying)
        with pytest.raises(Killed):
            dm.condense(case, parameters, kept)
        resumed = dm.condense(case, parameters, kept)
    assert torch.equal(resumed.images, whole.images)
    assert torch.equal(resumed.loss, whole.loss)
    assert all(torch.equal(resumed.snapshots[at], whole.snapshots[at]) for at in (0, 3, 7))


def test_a_diverging_run_stops_with_step_and_advice():
    case = problem(2)
    with pytest.raises(
        DivergenceError, match=r"dm: step \d+: the loss of set [01] is (nan|inf).*learning rate"
    ):
        dm.condense(case, dataclasses.replace(SMALL, learning_rate=1e38, extractor="linear", iterations=50))


@given(
    name=st.sampled_from(
        ["iterations", "learning_rate", "momentum", "batch_real", "pool_batch", "memory_mib"]
    ),
    value=st.integers(-5, -1),
)
@settings(max_examples=20)
def test_refuses_parameters(name, value):
    with pytest.raises(ValueError, match=f"{name} {value}: allowed are"):
        dm.DM(**{name: value})


@pytest.mark.parametrize("extractor", ["mlp", "linear"])
def test_k1_the_number_of_threads_changes_no_bit_of_other_extractors(extractor):
    """Matrix products of these sizes are other bits with two threads."""
    images = torch.randn((200, 1, 28, 28), generator=generator(0, "images"))
    parameters, found, before = dm.DM(iterations=2, extractor=extractor), [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            problem = Problem.of(images, torch.arange(200) % 10, None, 5, "real", 0)
            found.append(parameters.condense(problem).images)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
