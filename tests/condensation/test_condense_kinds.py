"""Whoever calls, in whatever state, with whatever stands for the arguments: the same bits or one refusal."""

import dataclasses

import numpy as np
import pytest
import torch

from privacy_for_free.condensation import DM, KIP, Problem, Run, condense, default_parameters
from privacy_for_free.condensation.gan import GAN, generate
from privacy_for_free.condensation.gradient_matching import GradientMatching
from privacy_for_free.condensation.problem import class_counts, hard_labels
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks

SMALL = {"iterations": 2, "batch_real": 6, "width": 4}
SETTINGS = {
    "dm": DM(**SMALL),
    "dc": GradientMatching(**SMALL, outer_loop=2, inner_loop=1, augmentation=""),
    "dsa": GradientMatching(**SMALL, outer_loop=2, inner_loop=1),
    "kip": KIP(iterations=2, batch_targets=8),
    "random_subset": None,
    "herding": None,
    "full": None,
}
IMAGES = torch.randn((24, 3, 8, 8), generator=generator(0, "images"))
LABELS = torch.arange(24) % 2
MEMBERSHIP = (torch.arange(24) // 2 % 4)[None] != torch.tensor([[0], [3]])  # 9 of each class
PARTS = ("images", "labels", "initial", "loss", "steps")


def run(method, images=IMAGES, labels=LABELS, membership=MEMBERSHIP, **options):
    options = {"ipc": 2, "parameters": SETTINGS[method], "generator": generator(0, "run")} | options
    return condense(method, images, labels, membership, **options)


def assert_same(found, wanted):
    for part in PARTS:
        assert torch.equal(getattr(found, part), getattr(wanted, part)), part


def set_to(set_it, value, before):
    class State:
        def __enter__(self):
            set_it(value)

        def __exit__(self, *_):
            set_it(before)

    return State()


STATES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: set_to(torch.set_default_dtype, torch.float64, torch.float32),
    "deterministic": lambda: set_to(torch.use_deterministic_algorithms, True, False),
}
FORMS = {  # that stand for the same images
    "requires_grad": lambda x: x.clone().requires_grad_(),
    "parameter": lambda x: torch.nn.Parameter(x.clone()),
    "history": lambda x: x.clone().requires_grad_() * 1,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "sliced": lambda x: torch.stack([x, x + 1], -1)[..., 0],
    "numpy": lambda x: x.numpy().copy(),
    "big_endian": lambda x: x.numpy().astype(">f4"),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("method", SETTINGS)
def test_k1_a_state_of_the_caller_changes_no_bit(method, state):  # case 7
    wanted = run(method)
    with STATES[state]():
        assert_same(run(method), wanted)


@pytest.mark.parametrize("method", ["dm", "dsa", "kip"])
def test_k1_settings_condense_a_problem_in_any_state(method):  # case 7
    problem = Problem.of(IMAGES, LABELS, MEMBERSHIP, 2, "real", 3)
    wanted = SETTINGS[method].condense(problem)
    for state in STATES.values():
        with state():
            assert_same(SETTINGS[method].condense(problem), wanted)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", SETTINGS)
def test_k1_a_history_and_a_layout_of_the_images_change_no_bit(method, form):  # cases 5 and 9
    given = FORMS[form](IMAGES)
    found = run(method, given)
    assert_same(found, run(method))
    assert not found.images.requires_grad


@pytest.mark.parametrize("method", ["dm", "dsa", "kip"])
def test_k1_inputs_that_share_memory_are_those_that_do_not(method):
    rows = IMAGES[:1].expand(24, -1, -1, -1)
    assert_same(run(method, rows), run(method, rows.clone()))
    shared = IMAGES.clone()
    start = shared[:8].view(2, 2, 2, 3, 8, 8)
    assert_same(run(method, shared, start=start), run(method, start=start.clone()))
    assert torch.equal(shared, IMAGES)


@pytest.mark.parametrize("method", SETTINGS)
def test_k1_what_comes_out_shares_no_memory_with_what_went_in(method):
    images, labels, membership = IMAGES.clone(), LABELS.clone(), MEMBERSHIP.clone()
    found = run(method, images, labels, membership)
    wanted = run(method)
    images.zero_()
    labels.fill_(1)
    membership.fill_(True)
    assert_same(found, wanted)


def test_k1_a_problem_is_its_own():
    images, labels, membership = IMAGES.clone(), LABELS.clone(), MEMBERSHIP.clone()
    start = images[:8].view(2, 2, 2, 3, 8, 8)
    problem = Problem.of(images, labels, membership, 2, "real", 3, start=start)
    wanted = SETTINGS["dm"].condense(problem)
    images.zero_()
    labels.fill_(1)
    membership.fill_(True)
    assert_same(SETTINGS["dm"].condense(problem), wanted)


@pytest.mark.parametrize("method", ["dm", "dc", "dsa", "kip", "herding"])
def test_k1_the_number_of_threads_changes_no_bit(method):
    """Images large enough that torch shares the work, which decides the order of sums."""
    images = torch.randn((24, 3, 32, 32), generator=generator(0, "large"))
    parameters = SETTINGS[method]
    if method in ("dm", "dc", "dsa"):
        parameters = dataclasses.replace(parameters, width=32, iterations=1)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(run(method, images, parameters=parameters))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert_same(other, found[0])


def test_k1_the_number_of_threads_changes_no_bit_of_a_gan():
    problem = Problem.of(torch.tanh(IMAGES), LABELS, MEMBERSHIP, 2, "noise", 3)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(generate(problem, GAN(steps=3)))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert_same(other, found[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": IMAGES.tolist()}, "images list .*: allowed is a torch tensor or a numpy array"),
        ({"labels": LABELS.tolist()}, "labels list .*: allowed is a torch tensor or a numpy array"),
        ({"labels": LABELS.float()}, "labels .*: allowed are whole numbers from 0 up"),
        (
            {"membership": MEMBERSHIP.numpy().astype("int8")},
            "membership .*: allowed is a tensor of dtype bool",
        ),
        ({"ipc": "2"}, "ipc '2': allowed are whole numbers"),
        ({"ipc": 2.0}, r"ipc 2.0: allowed are whole numbers"),
        ({"ipc": True}, "ipc True: allowed are whole numbers"),
        ({"init": 3}, "init 3: allowed is text"),
        ({"run": "a.pt"}, "run 'a.pt': allowed is a privacy_for_free Run"),
    ],
)
def test_k2_what_is_no_tensor_or_number_is_refused_by_name(given, message):  # case 9
    with pytest.raises(ValueError, match=message):
        run("dm", **given)


def test_k2_numbers_and_arrays_of_numpy_are_what_they_stand_for():  # cases 9 and 11
    wanted = run("dm")
    for labels in (
        LABELS.numpy(),
        LABELS.numpy().astype("uint8"),
        LABELS.int(),
        LABELS.numpy().astype(">i8"),
    ):
        assert_same(run("dm", IMAGES.numpy(), labels, MEMBERSHIP.numpy()), wanted)
    parameters = DM(iterations=np.int64(2), batch_real=np.int32(6), width=np.int16(4))
    assert repr(parameters) == repr(SETTINGS["dm"])
    found = run("dm", ipc=np.int64(2), classes=np.int64(2), names=np.arange(2), parameters=parameters)
    assert_same(found, wanted)
    assert Run(every=np.int64(3), log_every=np.uint8(2), snapshots=(np.int64(1),)) == Run(
        None, 3, 30.0, 2, (1,)
    )


@pytest.mark.parametrize("value", ["", 2024, b"a"])
def test_k7_a_checkpoint_that_is_no_path_is_refused(value):
    with pytest.raises(ValueError, match=r"checkpoint .*: allowed is a path"):
        Run(value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS * 2, "set 0 holds no image of class 1"),
        (LABELS + 1, "set 0 holds no image of class 0"),
        (LABELS * 10**12, "labels up to 1000000000000 for 24 images: allowed are 0 to 23"),
        (LABELS * 24, "labels up to 24 for 24 images: allowed are 0 to 23"),
        (-LABELS, "labels .* from 0 up, the least is -1"),
    ],
)
def test_k3_labels_with_gaps_and_far_too_large_ones_are_refused(labels, message):  # case 3
    with pytest.raises(ValueError, match=message):
        run("random_subset", labels=labels)


@pytest.mark.parametrize("classes", [0, 1, 25, 10**9, -1])
def test_k4_classes_that_no_images_have_are_refused(classes):
    for call in (lambda: run("dm", classes=classes), lambda: class_counts(LABELS, MEMBERSHIP, classes)):
        with pytest.raises(ValueError, match=f"classes {classes}: allowed are whole numbers from 2 to 24"):
            call()


def test_k4_more_images_than_the_memory_holds_are_refused():
    with pytest.raises(
        ValueError, match=r"ipc 1000000000000: images of shape .* GiB; allowed are the .* GiB"
    ):
        run("dm", ipc=10**12, init="noise")
    with pytest.raises(ValueError, match=r"sets x classes x ipc of shape .* GiB; allowed are the .* GiB"):
        hard_labels(1, 2, 10**12)
    with pytest.raises(ValueError, match="device 'nonsense': allowed are cpu"):
        hard_labels(1, 2, 1, "nonsense")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: DM(learning_rate=1e300),
            r"learning_rate 1e\+300: allowed are numbers above 0, up to 3.4e\+38",
        ),
        (lambda: GAN(learning_rate=1e300), r"learning_rate 1e\+300: allowed are numbers above 0, up to"),
        (
            lambda: GradientMatching(network_learning_rate=1e300),
            r"network_learning_rate 1e\+300: allowed are",
        ),
        (
            lambda: DM(memory_mib=2**70),
            "memory_mib 1180591620717411303424: allowed are whole numbers from 1 to",
        ),
        (lambda: KIP(batch_targets=2**70), "batch_targets 1180591620717411303424: allowed are whole numbers"),
        (lambda: GAN(batch=10**9), "batch 1000000000: allowed are whole numbers from 2 to"),
        (lambda: GradientMatching(chunk=10**9), "chunk 1000000000: allowed are whole numbers from 1 to"),
        (lambda: GradientMatching(batch_train=2**70), "batch_train 1180591620717411303424: allowed are"),
        (lambda: DM(extractor="vit"), "extractor 'vit': known are convnet, mlp, linear"),
        (lambda: GradientMatching(network="vit"), "network 'vit': known are convnet, mlp, linear"),
        (lambda: DM(augmentation="blur"), "augmentation 'blur': known are"),
        (
            lambda: run("dm", parameters=DM(iterations=1, width=2**20)),
            "network width: weights of shape .* GiB",
        ),
        (
            lambda: run("dm", network=networks.MLP(3, 4, 2)),
            r"network MLP.*: allowed are .* images of \(3, 8, 8\)",
        ),
    ],
)
def test_k4_what_no_memory_and_no_number_holds_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("classes", [3, 7])
def test_k10_the_published_number_of_targets_gives_way_to_the_classes(classes):  # case 19
    images, labels = torch.cat([IMAGES] * 2), torch.arange(48) % classes
    options = {"parameters": dataclasses.replace(default_parameters("kip"), iterations=1), "membership": None}
    found = run("kip", images, labels, **options)
    given = dataclasses.replace(options["parameters"], batch_targets=5000 // classes * classes)
    assert_same(found, run("kip", images, labels, **options | {"parameters": given}))
    with pytest.raises(ValueError, match=f"batch_targets 5000: allowed are multiples of {classes}"):
        run("kip", images, labels, **options | {"parameters": KIP(batch_targets=5000)})


def test_k10_the_default_is_recorded_as_the_number_it_is():  # case 19
    settings = default_parameters("kip")
    assert repr(settings) == repr(KIP(batch_targets=5000))
    assert dataclasses.asdict(settings) == dataclasses.asdict(KIP(batch_targets=5000))
    assert [settings.targets_of_class(classes) for classes in (1, 10, 3, 7, 9999)] == [
        5000,
        500,
        1667,
        714,
        1,
    ]
