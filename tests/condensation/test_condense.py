"""One call for every method: shapes, what is remembered, and one error before any work."""

import dataclasses

import pytest
import torch

from privacy_for_free.condensation import DM, KIP, METHODS, RandomSubset, Run, condense, default_parameters
from privacy_for_free.condensation.problem import class_counts
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.nets.networks import ConvNet

ITERATIVE = ("dm", "dm_bank", "dc", "dsa", "kip")
QUICK = {
    "dm": {"iterations": 2, "batch_real": 6, "width": 4},
    "dm_bank": {"iterations": 2, "bank": 3, "width": 4},
    "dc": {"iterations": 1, "batch_real": 6, "width": 4, "outer_loop": 1},
    "dsa": {"iterations": 1, "batch_real": 6, "width": 4, "outer_loop": 1},
    "kip": {"iterations": 2, "batch_targets": 20},
    "herding": {"width": 4},
}


def quick(method):
    published = default_parameters(method)
    return published if method not in QUICK else dataclasses.replace(published, **QUICK[method])


def pool(channels=1, size=28, classes=2, count=40):
    images = torch.randn((count, channels, size, size), generator=generator(0, "pool"))
    return images, torch.arange(count) % classes


def run(method, images, labels, membership=None, seed=0, **options):
    options = {"ipc": 2, "parameters": quick(method)} | options
    return condense(method, images, labels, membership, generator=generator(seed, "run"), **options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("channels", "size", "classes", "ipc"), [(1, 28, 2, 1), (3, 32, 10, 2), (3, 28, 2, 3), (1, 32, 10, 1)]
)
def test_any_shape_of_the_data_sets(method, channels, size, classes, ipc):
    images, labels = pool(channels, size, classes)
    membership = torch.ones((3, 40), dtype=torch.bool)
    membership[1, :classes] = membership[2, -classes:] = False
    membership[0, classes : 2 * classes] = False
    found = run(method, images, labels, membership, ipc=ipc)
    per_class = 40 // classes - 1 if method == "full" else ipc
    assert found.images.shape == (3, classes, per_class, channels, size, size)
    assert found.images.dtype == torch.float32
    assert found.initial.shape == (3, classes, per_class)
    learnt = found.labels.is_floating_point()
    assert learnt == (method == "kip")
    numbers = found.labels.argmax(-1) if learnt else found.labels
    assert torch.equal(numbers, torch.arange(classes)[None, :, None].expand(3, classes, per_class))
    assert found.loss.shape == (3, len(found.steps))
    assert (len(found.steps) > 0) == (method in ITERATIVE)
    for k in range(3):
        assert bool(membership[k, found.initial[k]].all())
        assert torch.equal(labels[found.initial[k]], numbers[k])
    assert torch.equal(found.images, images[found.initial]) == (method not in ITERATIVE)
    flat, its_labels = found.flat(1)
    assert len(flat) == len(its_labels) == classes * per_class


@pytest.mark.parametrize("method", METHODS)
def test_the_generator_decides_and_nothing_else(method):
    images, labels = pool()
    before, state = images.clone(), torch.get_rng_state()
    first, second, other = (run(method, images, labels, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.images, other.images) == (method == "full")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, before)


@pytest.mark.parametrize("method", ITERATIVE)
@pytest.mark.parametrize("init", ["noise", "noise_matched"])
def test_noise_comes_from_no_image(method, init):
    found = run(method, *pool(), init=init)
    assert bool((found.initial == -1).all())


@pytest.mark.parametrize("method", ITERATIVE)
def test_a_set_does_not_know_who_shares_the_run(method):
    images, labels = pool(size=32)
    membership = torch.rand((3, 40), generator=generator(0, "members")) < 0.6
    membership[:, :8] = True
    assert int(class_counts(labels, membership, 2).min()) >= 4
    options = {}
    if method == "dm":  # the shared batch is sized by the mean share; given, it is the same for any company
        options = {"parameters": dataclasses.replace(quick("dm"), pool_batch=9)}
    together = run(method, images, labels, membership, names=(5, 6, 7), **options)
    alone = run(method, images, labels, membership[2:], names=(7,), **options)
    assert torch.equal(alone.images[0], together.images[2])
    assert torch.equal(alone.initial[0], together.initial[2])


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (
            "gan",
            {"parameters": None},
            "method 'gan': known are dm, dc, dsa, kip, random_subset, herding, full, dm_bank",
        ),
        ("dm", {"parameters": default_parameters("kip")}, "parameters .* for method 'dm': allowed are"),
        (
            "random_subset",
            {"parameters": default_parameters("dm")},
            "for method 'random_subset': allowed are .*RandomSubset",
        ),
        ("herding", {"init": "noise"}, "init 'noise' for method 'herding'.*allowed is real"),
        ("dc", {"parameters": default_parameters("dsa")}, "augmentation .* for method 'dc'"),
        ("dsa", {"parameters": default_parameters("dc")}, "augmentation '' for method 'dsa'"),
        ("dm", {"ipc": 21}, "ipc 21: set 0 holds 20 images of class 0"),
        (
            "kip",
            {"parameters": dataclasses.replace(default_parameters("kip"), batch_targets=5)},
            "batch_targets 5",
        ),
    ],
)
def test_one_error_before_any_work(method, options, message):
    with pytest.raises(ValueError, match=message):
        run(method, *pool(), **({"parameters": quick(method)} if method in METHODS else {}) | options)


@pytest.mark.parametrize("method", METHODS)
def test_settings_alone_are_the_method(method):
    """condense(images, labels, membership, method=DM(...)): bitwise what the name with settings gives."""
    images, labels = pool()
    membership = torch.ones((2, 40), dtype=torch.bool)
    membership[0, :2] = membership[1, -2:] = False
    named = run(method, images, labels, membership)
    options = {"ipc": 2, "generator": generator(0, "run")}
    found = condense(images, labels, membership, method=quick(method), **options)
    for part in ("images", "labels", "initial", "loss", "steps"):
        assert torch.equal(getattr(found, part), getattr(named, part))


def test_a_name_stands_for_the_published_settings():
    images, labels = pool()
    by_name = condense("random_subset", images, labels, ipc=2, generator=generator(0, "run"))
    by_keyword = condense(images, labels, method="random_subset", ipc=2, generator=generator(0, "run"))
    assert torch.equal(by_name.images, by_keyword.images)


@pytest.mark.parametrize("method", ITERATIVE)
def test_a_start_may_be_given_as_numbers_of_images(method):
    """From the images that the initialisation would have chosen, it is the run with it."""
    images, labels = pool()
    usual = run(method, images, labels)
    given = run(method, images, labels, start=usual.initial)
    assert torch.equal(given.initial, usual.initial)
    assert torch.equal(given.images, usual.images)
    other = torch.tensor([[[0, 2], [1, 3]]])
    found = run(method, images, labels, start=other, run=Run(snapshots=(0,)))
    assert torch.equal(found.initial, other)
    assert torch.equal(found.snapshots[0], images[other])


@pytest.mark.parametrize("method", ITERATIVE)
def test_a_start_may_be_given_as_images(method):
    images, labels = pool()
    usual = run(method, images, labels)
    before = images[usual.initial]
    given = run(method, images, labels, start=before)
    assert torch.equal(given.images, usual.images)
    assert bool((given.initial == -1).all())  # whose images they are is not known
    assert torch.equal(before, images[usual.initial])  # and what was given is left as it was


def test_dm_takes_its_features_from_a_network_that_is_given():
    images, labels = pool(size=32)
    settings = quick("dm")
    same = networks.build("convnet", images.shape[1:], 2, settings.width)
    assert torch.equal(run("dm", images, labels, network=same).images, run("dm", images, labels).images)
    other = networks.build("convnet", images.shape[1:], 2, settings.width + 1)
    wider = dataclasses.replace(settings, width=settings.width + 1)
    given = run("dm", images, labels, network=other)
    assert torch.equal(given.images, run("dm", images, labels, parameters=wider).images)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (torch.zeros((1, 2, 3), dtype=torch.int64), r"start torch.int64 \(1, 2, 3\): allowed .*\(1, 2, 2\)"),
        (torch.zeros((1, 2, 2, 1, 8, 8)), r"start torch.float32 .*: allowed .*\(1, 2, 2, 1, 28, 28\)"),
        (torch.zeros((1, 2, 2), dtype=torch.int32), "start torch.int32 .*: allowed are int64 from 0 to 39"),
        (
            torch.zeros((1, 2, 2, 1, 28, 28)).double(),
            "start torch.float64 .*: allowed are finite",
        ),
        (torch.full((1, 2, 2), 40), "start torch.int64 .*: allowed are int64 from 0 to 39"),
        (torch.full((1, 2, 2), -1), "start torch.int64 .*: allowed are int64 from 0 to 39"),
        (torch.full((1, 2, 2, 1, 28, 28), torch.nan), r"start: nan at .*; allowed are finite"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(start, message):
    with pytest.raises(ValueError, match=message):
        run("dm", *pool(), start=start)


def test_settings_beside_settings_and_what_is_no_method_are_refused():
    images, labels = pool()
    options = {"generator": generator(0, "run")}
    with pytest.raises(ValueError, match=r"parameters .* beside method .*: allowed is one of the two"):
        condense(images, labels, method=quick("dm"), parameters=quick("dm"), **options)
    with pytest.raises(ValueError, match="method 3: allowed are settings of a method, or dm, dc, dsa"):
        condense(images, labels, method=3, **options)
    with pytest.raises(ValueError, match=r"init 'noise' for method 'herding'.*allowed is real"):
        condense(images, labels, method=quick("herding"), init="noise", **options)


def test_data_in_their_places_or_by_name():
    images, labels = pool()
    membership = torch.ones((2, 40), dtype=torch.bool)
    options = {"ipc": 2, "parameters": quick("dm")}
    expected = condense("dm", images, labels, membership, generator=generator(0, "run"), **options).images
    named = {"images": images, "labels": labels, "membership": membership}
    for places, names in (
        (("dm",), named),
        (("dm", images, labels), {"membership": membership}),
        ((images, labels), {"method": "dm", "membership": membership}),
        ((), {"method": "dm", **named}),
    ):
        found = condense(*places, **names, generator=generator(0, "run"), **options)
        assert torch.equal(found.images, expected)


@pytest.mark.parametrize(
    ("places", "options", "message"),
    [
        (lambda x, y: (x, y, None, RandomSubset()), {}, "4 arguments in their places"),
        (lambda x, y: (x, y), {"images": torch.zeros(4, 1, 28, 28)}, "2 arguments in their places"),
        (lambda x, y: ("dm", x, y), {"method": KIP()}, "method 'dm' and method KIP"),
        (lambda x, y: (x,), {}, "images or labels None"),
        (lambda x, y: (x, y), {"method": KIP(), "network": ConvNet(1, 28, 2)}, "network for method 'kip'"),
        (lambda x, y: (x, y), {"method": DM(), "network": "convnet"}, "network 'convnet': allowed are"),
        (
            lambda x, y: (x, y),
            {"method": RandomSubset(), "start": torch.zeros((1, 2, 2), dtype=torch.int64)},
            "start for method 'random_subset'",
        ),
        (
            lambda x, y: (x, y),
            {"method": DM(), "start": torch.zeros((1, 2, 2), dtype=torch.int64)},
            "start: an image of another class",
        ),
        (
            lambda x, y: (x, y, (torch.arange(40) > 3)[None]),
            {"method": DM(), "start": torch.tensor([[[0, 2], [5, 7]]])},
            "start: an image that is no member",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(places, options, message):
    with pytest.raises(ValueError, match=message):
        condense(*places(*pool()), generator=generator(0, "run"), **{"ipc": 2} | options)


def test_a_start_of_noise_needs_no_real_images_to_start_from():
    images, labels = pool()
    start = torch.randn((1, 2, 30, 1, 28, 28), generator=generator(0, "start"))  # more than 20 of a class
    settings = dataclasses.replace(quick("dm"), iterations=0)
    found = condense(images, labels, method=settings, ipc=30, start=start, generator=generator(0, "run"))
    assert torch.equal(found.images, start)
