"""One call for every method: shapes, what is remembered, and one error before any work."""

import dataclasses

import pytest
import torch

from privacy_for_free.condensation import METHODS, condense, default_parameters
from privacy_for_free.condensation.problem import class_counts
from privacy_for_free.core.randomness import generator

ITERATIVE = ("dm", "dc", "dsa", "kip")
QUICK = {
    "dm": {"iterations": 2, "batch_real": 6, "width": 4},
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
            "method 'gan': known are dm, dc, dsa, kip, random_subset, herding, full",
        ),
        ("dm", {"parameters": default_parameters("kip")}, "parameters .* for method 'dm': allowed are"),
        (
            "random_subset",
            {"parameters": default_parameters("dm")},
            "for method 'random_subset': allowed are none",
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
