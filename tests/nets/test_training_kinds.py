"""Networks trained and asked in any state of the caller, with whatever stands for the arguments."""

import numpy as np
import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation, networks, training
from privacy_for_free.nets.schedule import Schedule

NETWORK = networks.build("convnet", (3, 8, 8), 2, 4)
SCHEDULE = Schedule(epochs=2, learning_rate=0.05, batch=8, augmentation="color_crop_cutout_flip_scale_rotate")
IMAGES = torch.randn((12, 3, 8, 8), generator=generator(0, "images"))
LABELS = torch.arange(12) % 2
STATES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name in found:
        assert torch.equal(found[name], wanted[name]), name
        assert not found[name].requires_grad


def everything(images=IMAGES, labels=LABELS, seed=0):
    trained = training.train(NETWORK, images, labels, SCHEDULE, seed)
    logits = training.logits(NETWORK, trained, images)
    features = training.features(NETWORK, trained, images)
    share = training.accuracy(NETWORK, trained, images, labels)
    return trained | {"logits": logits, "features": features, "share": torch.tensor(share)}


@pytest.mark.parametrize("state", STATES)
def test_k1_a_state_of_the_caller_changes_no_bit(state):  # case 7
    wanted = everything()
    with STATES[state]():
        assert_same(everything(), wanted)
        many = training.train_many(NETWORK, IMAGES[None], LABELS[None], SCHEDULE, 0)
    assert_same(many, training.train_many(NETWORK, IMAGES[None], LABELS[None], SCHEDULE, 0))


def test_k1_a_default_dtype_changes_no_bit():  # case 7
    wanted = everything()
    torch.set_default_dtype(torch.float64)
    try:
        found = everything()
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(found | {"share": found["share"].float()}, wanted)


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.clone().requires_grad_(),
        lambda x: torch.nn.Parameter(x.clone()),
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: torch.stack([x, x + 1], -1)[..., 0],
        lambda x: x.numpy(),
    ],
)
def test_k1_a_history_and_a_layout_change_no_bit(form):  # cases 5 and 9
    assert_same(everything(form(IMAGES)), everything())


def test_k1_the_number_of_threads_changes_no_bit():
    images = torch.randn((16, 3, 32, 32), generator=generator(0, "large"))
    network, labels = networks.build("convnet", (3, 32, 32), 2, 32), torch.arange(16) % 2
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            one = training.train(network, images, labels, SCHEDULE, 0, 0)
            many = training.train_many(network, images[None], labels[None], SCHEDULE, 0)
            assert_same(training.select(many, 0), one)
            assert torch.get_num_threads() == threads
            found.append(one)
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert_same(other, found[0])


def test_k2_whole_numbers_and_arrays_of_numpy_are_what_they_stand_for():  # cases 9 and 11
    assert_same(everything(IMAGES.numpy(), LABELS.numpy().astype("uint8"), np.int64(0)), everything())
    assert Schedule(epochs=np.int64(2)) == Schedule(epochs=2)
    assert networks.build("mlp", np.array([3, 8, 8]), np.int64(2)) == networks.build("mlp", (3, 8, 8), 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: everything(seed="0"), "seed '0': allowed are whole numbers"),
        (lambda: everything(seed=-1), "seed -1: allowed are whole numbers from 0 up"),
        (lambda: everything(IMAGES.tolist()), "images list .*: allowed is a torch tensor"),
        (lambda: everything(labels=LABELS.tolist()), "labels list .*: allowed is a torch tensor"),
        (lambda: training.logits(NETWORK, {}, IMAGES[:, :1]), "images .*: allowed are .* M x 3 x 8 x 8"),
        (lambda: training.logits("convnet", {}, IMAGES), "network 'convnet': allowed are networks"),
        (
            lambda: training.logits(NETWORK, {}, IMAGES),
            "parameters without '0.weight': allowed are the weights",
        ),
        (lambda: training.select({}, 0), "parameters of {} networks: allowed are those of stacked networks"),
        (lambda: training.select({"a": torch.zeros(3)}, 3), "k 3: allowed are whole numbers from 0 to 2"),
        (lambda: networks.build("mlp", (3, 8), 2), r"image_shape \(3, 8\): allowed are channels, height and"),
        (
            lambda: networks.build("mlp", (3, 8, 8), 10**9),
            "MLP classes 1000000000: allowed are whole numbers",
        ),
        (lambda: networks.ConvNet(3, 8, 2, width=10**9), "ConvNet width 1000000000: allowed are whole"),
        (lambda: networks.Linear(3, 8, "2"), "classes '2': allowed are whole numbers"),
        (lambda: Schedule(learning_rate=1e300), r"learning_rate 1e\+300: allowed are numbers above 0, up to"),
        (lambda: Schedule(weight_decay=1e300), r"weight_decay 1e\+300: allowed are numbers above 0, up to"),
        (lambda: Schedule(batch=2**70), "batch 1180591620717411303424: allowed are whole numbers from 1 to"),
        (
            lambda: augmentation.draw("flip", 10**15, generator(0, "draw")),
            r"count of shape \(10+, 3\): .* GiB; allowed are the .* GiB of this machine's cpu",
        ),
        (lambda: Schedule(learning_rate="0.1"), "learning_rate '0.1': allowed are numbers"),
    ],
)
def test_k2_what_does_not_fit_is_one_refusal(call, message):  # cases 9 and 11
    with pytest.raises(ValueError, match=message):
        call()
