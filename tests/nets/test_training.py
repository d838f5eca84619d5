"""Training against torch.nn modules, torch.optim.SGD and the published loop; accuracy against a count."""

import dataclasses

import pytest
import torch
from torch import nn

from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation, training
from privacy_for_free.nets.networks import MLP, ConvNet, Linear
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.nets.training import accuracy, select, train, train_many

NETWORK = ConvNet(3, 8, 4, 5, depth=2)
SHORT = Schedule(epochs=5, learning_rate=0.05, batch=4)


def data(count=10, network=NETWORK, dtype=torch.float64, seed=0, sets=None):
    shape = (count, network.channels, network.size, network.size)
    shape = shape if sets is None else (sets, *shape)
    images = torch.randn(shape, generator=generator(seed, "images"), dtype=dtype)
    labels = torch.randint(network.classes, shape[: len(shape) - 3], generator=generator(seed, "labels"))
    return images, labels


def convnet(network, parameters):
    layers, inputs = [], network.channels
    for block in range(network.depth):
        padding = 3 if block == 0 and network.size == 28 else 1
        conv = nn.Conv2d(inputs, network.width, 3, padding=padding)
        norm = nn.GroupNorm(network.width, network.width)
        conv.weight.data, conv.bias.data = (
            parameters[f"{block}.{name}"].clone() for name in ("weight", "bias")
        )
        norm.weight.data, norm.bias.data = (
            parameters[f"{block}.{name}"].clone() for name in ("scale", "shift")
        )
        layers += [conv, norm, nn.ReLU(), nn.AvgPool2d(2)]
        inputs = network.width
    linear = nn.Linear(network.feature_dim, network.classes)
    linear.weight.data, linear.bias.data = (
        parameters[f"classifier.{name}"].clone() for name in ("weight", "bias")
    )
    return nn.Sequential(*layers, nn.Flatten(), linear)


def twin(network, images, labels, schedule, seed, *index):
    """The published loop: whole batches, a module, and a fresh optimiser once the rate drops."""
    initial = network.initial(generator(seed, "training initial", *index), images.dtype)
    model = convnet(network, initial)
    order = generator(seed, "training order", *index)
    stream = generator(seed, "training augmentation", *index)
    criterion = nn.CrossEntropyLoss() if labels.dtype == torch.int64 else nn.MSELoss()
    drop = schedule.epochs // 2 if schedule.drop is None else schedule.drop

    def fresh(rate):
        return torch.optim.SGD(
            model.parameters(), rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
        )

    optimiser = fresh(schedule.learning_rate)
    for epoch in range(schedule.epochs):
        if epoch == drop:
            optimiser = fresh(schedule.learning_rate / 10)
        shuffled = torch.randperm(len(images), generator=order)
        for start in range(0, len(images), schedule.batch):
            rows = shuffled[start : start + schedule.batch]
            transform = augmentation.draw(schedule.augmentation, len(rows), stream)
            optimiser.zero_grad()
            criterion(model(augmentation.apply(transform, images[rows])), labels[rows]).backward()
            optimiser.step()
    return list(model.parameters())


@pytest.mark.parametrize("size", [8, 28])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"drop": 1},
        {"augmentation": augmentation.STRATEGY},
        {"batch": 256, "weight_decay": 0.1, "momentum": 0.0},
    ],
    ids=str,
)
def test_same_as_module_and_optimiser(monkeypatch, size, changes):
    network = ConvNet(1 if size == 28 else 3, size, 3, 4, depth=2)
    schedule = dataclasses.replace(SHORT, **changes)
    images, labels = data(10, network)
    wanted = twin(network, images, labels, schedule, 3, "a", 1)
    for chunk in (1, 3, 100):  # the last chunk of a batch is short, or the only one
        monkeypatch.setitem(training.ACTIVATIONS, "cpu", chunk * network.activation_bytes(torch.float64))
        found = train(network, images, labels, schedule, 3, "a", 1)
        assert all(not value.requires_grad for value in found.values())
        for one, other in zip(found.values(), wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_learnt_labels_are_fitted_in_the_mean_square():
    images, _ = data()
    labels = torch.randn((10, 4), generator=generator(0, "soft"), dtype=torch.float64)
    wanted = twin(NETWORK, images, labels, SHORT, 0)
    for one, other in zip(train(NETWORK, images, labels, SHORT, 0).values(), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("strategy", ["", augmentation.STRATEGY])
def test_many_are_each_as_if_alone(strategy):
    schedule = dataclasses.replace(SHORT, augmentation=strategy)
    images, labels = data(sets=3)
    many = train_many(NETWORK, images, labels, schedule, 0, (7, 8, 9))
    stacked = train_many(NETWORK, images, labels, schedule, 0, (7, 8, 9), stacked=True)
    for k, name in enumerate((7, 8, 9)):
        alone = train(NETWORK, images[k], labels[k], schedule, 0, name)
        for key, value in alone.items():
            assert torch.equal(select(many, k)[key], value)
            torch.testing.assert_close(select(stacked, k)[key], value, rtol=1e-10, atol=1e-10)
    fewer = train_many(NETWORK, images[1:2], labels[1:2], schedule, 0, (8,))
    assert all(torch.equal(fewer[key][0], many[key][1]) for key in many)


def test_runs_repeat_and_differ_by_seed_and_index():
    images, labels = data(dtype=torch.float32)
    state = torch.get_rng_state()
    runs = [train(NETWORK, images, labels, SHORT, *name) for name in ((0,), (0,), (1,), (0, 1))]
    assert torch.equal(state, torch.get_rng_state())
    weights = [run["classifier.weight"] for run in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])


def test_images_and_labels_are_left_alone():
    images, labels = data()
    before = images.clone(), labels.clone()
    train(NETWORK, images, labels, dataclasses.replace(SHORT, augmentation="flip_crop"), 0)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def test_no_epochs_leave_the_initialisation():
    found = train(NETWORK, *data(), Schedule(epochs=0), 4, 2)
    initial = NETWORK.initial(generator(4, "training initial", 2), torch.float64)
    assert all(torch.equal(found[name], initial[name]) for name in initial)


@pytest.mark.parametrize("network", [ConvNet(3, 8, 4, 4, depth=1), MLP(3, 8, 4, 4, depth=1)], ids=str)
def test_compiled_is_close_to_plain(network):
    images, labels = data(8, network, torch.float32)
    plain = train(network, images, labels, SHORT, 0)
    fast = train(network, images, labels, dataclasses.replace(SHORT, compile=True), 0)
    for name in plain:
        torch.testing.assert_close(fast[name], plain[name], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        training.logits(network, plain, images, compile=isinstance(network, MLP)),
        training.logits(network, plain, images),
        rtol=1e-4,
        atol=1e-5,
    )


def test_published_schedules():
    plain, augmented = Schedule.published(), Schedule.published(augmentation.STRATEGY, compile=True)
    for schedule, Epoch in ((plain, 300), (augmented, 1000)):
        rate, rates = 0.01, []
        for ep in range(Epoch + 1):  # as in evaluate_synset
            rates.append(rate)
            if ep in [Epoch // 2 + 1]:
                rate *= 0.1
        assert [schedule.rate(epoch) for epoch in range(schedule.epochs)] == pytest.approx(rates, rel=1e-12)
        assert (schedule.momentum, schedule.weight_decay, schedule.batch) == (0.9, 5e-4, 256)
    assert (plain.augmentation, plain.compile) == ("", False)
    assert (augmented.augmentation, augmented.compile) == (augmentation.STRATEGY, True)


@pytest.mark.parametrize(
    "network", [ConvNet(1, 8, 2, 8, depth=2), MLP(1, 8, 2, 16), Linear(1, 8, 2, 16)], ids=str
)
def test_a_separable_set_is_learnt_and_generalised(network):
    sets = []
    for seed in (0, 1):
        images, labels = data(40, network, torch.float32, seed)
        images /= 4  # rates are small enough for a linear network too
        images[labels == 1, :, :, :4] += 1  # class 1 is bright on the left only: instance norm keeps that
        sets.append((images, labels))
    found = train(network, *sets[0], Schedule(epochs=60, learning_rate=0.03, batch=8), 0)
    assert [accuracy(network, found, *each) for each in sets] == [1, 1]


@pytest.mark.parametrize("count", [1, 7, 10])
def test_accuracy_features_and_logits_of_chunks_are_those_of_all(monkeypatch, count):
    monkeypatch.setitem(training.ACTIVATIONS, "cpu", 4 * NETWORK.activation_bytes(torch.float64))
    images, labels = data(count)
    parameters = NETWORK.initial(generator(0, "net"), torch.float64)
    parameters["classifier.bias"].requires_grad_(True)
    scores = training.logits(NETWORK, parameters, images)
    assert not scores.requires_grad
    torch.testing.assert_close(scores, NETWORK.logits(parameters, images).detach())
    features = training.features(NETWORK, parameters, images)
    torch.testing.assert_close(features, NETWORK.features(parameters, images))
    right = sum(int(row.argmax()) == int(label) for row, label in zip(scores, labels, strict=True))
    assert accuracy(NETWORK, parameters, images, labels) == pytest.approx(right / count, abs=1e-15)


def test_divergence_is_reported_with_its_step():
    images, _ = data()
    huge = torch.full((10, 4), 1e200, dtype=torch.float64)
    with pytest.raises(
        DivergenceError, match=r"epoch \d+, step \d+: the loss of network \(5,\) is (inf|nan)"
    ):
        train(NETWORK, images, huge, SHORT, 0, 5)
    images[3, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"images: nan at \(3, 0, 0, 0\); allowed are finite numbers"):
        train(NETWORK, images, huge, SHORT, 0)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 3, 9, 9), torch.zeros(2, dtype=torch.int64), "allowed are .* M x 3 x 8 x 8"),
        (torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64), "M x 3 x 8 x 8"),
        (torch.zeros(0, 3, 8, 8), torch.zeros(0, dtype=torch.int64), "M from 1 up"),
        (torch.zeros(2, 3, 8, 8).int(), torch.zeros(2, dtype=torch.int64), "float32 or float64"),
        (
            torch.zeros(2, 3, 8, 8),
            torch.zeros(3, dtype=torch.int64),
            r"labels .* M x \[classes\], with M = 2",
        ),
        (torch.zeros(2, 3, 8, 8), torch.zeros(2), "allowed are int64, 2, or"),
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, 5), "float32, 2 x 4"),
        (torch.zeros(2, 3, 8, 8), torch.tensor([0, 4]), "labels from 0 to 4: allowed are 0 to 3"),
        (torch.zeros(2, 3, 8, 8), torch.tensor([-1, 0]), "labels from -1 to 0"),
    ],
)
def test_bad_data_is_named(images, labels, message):
    with pytest.raises(ValueError, match=message):
        train(NETWORK, images, labels, SHORT, 0)
    with pytest.raises(ValueError, match=message):
        train_many(NETWORK, images[None], labels[None], SHORT, 0)


def test_bad_sets_and_names_are_named():
    images, labels = data(sets=2)
    for names in ((0,), (1, 1)):
        with pytest.raises(ValueError, match="allowed are 2 different ones"):
            train_many(NETWORK, images, labels, SHORT, 0, names)
    with pytest.raises(ValueError, match=r"images .*: allowed is K x M x C x H x W"):
        train_many(NETWORK, images[0], labels[0], SHORT, 0)
    with pytest.raises(
        ValueError, match=r"labels .*: allowed is K x M x \[classes\], with K = 2 as of images"
    ):
        train_many(NETWORK, images, labels[:1], SHORT, 0)
    with pytest.raises(ValueError, match=r"labels .*: allowed is N, with N = 10 as of images"):
        accuracy(NETWORK, {}, images[0], labels[0, :3])
    with pytest.raises(ValueError, match=r"images .*: allowed is N x C x H x W, N from 1 up"):
        training.logits(NETWORK, {}, images[0, :0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": -1}, "epochs -1: allowed are whole numbers from 0 up"),
        ({"batch": 0}, "batch 0: allowed are whole numbers from 1 to"),
        ({"drop": 0.5}, "drop 0.5"),
        ({"learning_rate": 0.0}, "learning_rate 0.0: allowed are finite numbers above 0"),
        ({"momentum": 1.0}, "momentum 1.0"),
        ({"weight_decay": float("nan")}, "weight_decay nan"),
        ({"augmentation": "blur"}, "augmentation 'blur'"),
    ],
)
def test_bad_schedules_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**changes)
