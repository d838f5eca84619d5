"""What users bring to the private methods: arrays, numbers of numpy, text, names there are not."""

import dataclasses

import numpy as np
import pytest
import torch

from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.private import audit, calibrated, dp_merf, dp_sgd, worst_case
from privacy_for_free.private import noisy_condensation as nc
from privacy_for_free.private.accounting import Mechanism, calibrate

NETWORK = networks.MLP(1, 4, 2, width=4, depth=1)
SGD = dp_sgd.DPSGD(1.0, sample=5, steps=2)


def examples():
    return torch.rand((20, 1, 4, 4), generator=generator(0, "pool")) * 2 - 1, torch.arange(20) % 2


def test_k2_arrays_are_taken_for_tensors():  # case 9
    images, labels = examples()
    plain = dp_sgd.train(NETWORK, images, labels, SGD, 3, noise="seed")
    found = dp_sgd.train(NETWORK, images.numpy(), labels.numpy().astype(np.uint8), SGD, 3, noise="seed")
    assert all(torch.equal(found[name], plain[name]) for name in plain)
    shown = (images + 1) / 2
    assert torch.equal(nc.scale_publicly(shown.numpy()), nc.scale_publicly(shown))
    assert nc.LDPDC(1.0, sample=2).mechanism(np.array([4, 8]), 3) == Mechanism(1.0, 3, 0.5)
    with pytest.raises(ValueError, match=r"labels list .*: allowed is a torch tensor or a numpy array"):
        dp_sgd.train(NETWORK, images, labels.tolist(), SGD, 3, noise="seed")


def test_k2_whole_numbers_of_numpy_are_whole_and_text_is_not():  # case 11
    one = nc.OneRelease(np.float32(0.5), extractors=np.int64(3), batch=np.int16(2))
    assert repr(one) == repr(nc.OneRelease(0.5, extractors=3, batch=2))
    assert Mechanism(np.float64(2.0), np.int64(3)) == Mechanism(2.0, 3)
    assert calibrate(np.float64(1.0), np.int64(3)) == calibrate(1.0, 3)
    assert dp_merf.DPMERF(hidden=np.array([20, 10])) == dp_merf.DPMERF(hidden=(20, 10))
    images, labels = examples()
    plain, found = (
        dp_sgd.train(NETWORK, images, labels, SGD, seed, noise="seed") for seed in (3, np.int8(3))
    )
    assert all(torch.equal(found[name], plain[name]) for name in plain)
    for make in (
        lambda: nc.LDPDC(1.0, sample="50"),
        lambda: nc.NDPDC(iterations=3.0),
        lambda: dp_sgd.DPSGD(1.0, steps=True),
        lambda: Mechanism("1.0"),
        lambda: calibrate("1"),
        lambda: worst_case.neighbours(True, "7"),
    ):
        with pytest.raises(
            ValueError, match=r"^(sample|iterations|steps|noise_multiplier|epsilon|seed) .*: allowed"
        ):
            make()


@pytest.mark.parametrize("images", ["uint8", "255", "negative", "nan"])
def test_k3_only_floats_from_0_to_1_are_scaled(images):  # case 13
    shown = torch.rand((3, 1, 4, 4), generator=generator(0, "shown"))
    given, message = {
        "uint8": (
            (shown * 255).to(torch.uint8),
            r"images Tensor torch.uint8 .*: allowed are floats from 0 to 1",
        ),
        "255": (shown * 255, r"images from [0-9.]+ to 2\d\d.*: allowed are floats from 0 to 1"),
        "negative": (shown - 0.5, r"images from -0.\d+ to 0.\d+: allowed are floats from 0 to 1"),
        "nan": (shown.log().sqrt(), r"images: nan at .*; allowed are finite numbers"),
    }[images]
    with pytest.raises(ValueError, match=message):
        nc.scale_publicly(given)
    assert torch.equal(nc.scale_publicly(shown), shown * 2 - 1)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: nc.NDPDC(extractor="vgg"), "extractor 'vgg': known are convnet"),
        (lambda: nc.OneRelease(width=0), "width 0: allowed are whole numbers from 1 up"),
        (lambda: nc.NDPDC(memory_mib=0), "memory_mib 0: allowed are whole numbers from 1 up"),
        (
            lambda: nc.LDPDC(sample=2).mechanism(torch.zeros(0), 1),
            r"counts .* torch.float32 \(0,\): allowed are whole",
        ),
        (lambda: dp_sgd.train(None, *examples(), SGD), "network None: allowed are networks of nets.networks"),
        (lambda: worst_case.statistic("lira", 1.0, hash), "name 'lira': known are linear, ldpdc"),
        (lambda: worst_case.statistic("linear", -1.0, hash), "noise_multiplier -1.0: allowed"),
        (
            lambda: audit.audit(hash, 2, 2, confidence=1.0),
            "confidence 1.0: allowed are numbers between 0 and 1",
        ),
        (lambda: audit.audit(hash, 2, 2, delta=-0.1), "delta -0.1: allowed are numbers from 0, below 1"),
        (
            lambda: audit.lower_bounds(np.array([3]), np.array([9]), 8, 1e-5, 0.95),
            "false from 9 to 9: allowed are counts from 0 to 8",
        ),
        (
            lambda: audit.lower_bounds(np.array([3]), np.array([1, 2]), 8, 1e-5, 0.95),
            r"false int64 \(2,\): allowed is ...",
        ),
        (
            lambda: calibrated.release(None, nc.Linear(0.0), 1.0),
            "problem None: allowed is a privacy_for_free Problem",
        ),
    ],
)
def test_k4_what_makes_no_sense_is_refused_by_name(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()


def test_k1_the_callers_state_and_histories_change_nothing():
    images, labels = examples()
    made = Problem.of(images, labels, None, 2, "noise", 2**50)
    settings = nc.NDPDC(1.0, sample=5, extractor="mlp", width=4, iterations=2)
    plain = settings.condense(made)
    learnt = images.clone().requires_grad_(True)
    with torch.no_grad():
        inside = settings.condense(dataclasses.replace(made, images=learnt))
    assert torch.equal(inside.images, plain.images)
    assert not inside.images.requires_grad
    trained = dp_sgd.train(NETWORK, images, labels, SGD, 3, noise="seed")
    with torch.inference_mode():
        found = dp_sgd.train(NETWORK, images, labels, SGD, 3, noise="seed")
    assert all(torch.equal(found[name], trained[name]) for name in trained)
