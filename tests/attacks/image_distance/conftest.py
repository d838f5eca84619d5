"""What the tests of distances share: pictures, and LPIPS with weights that are made up."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from privacy_for_free.attacks import image_distance
from privacy_for_free.attacks.image_distance import lpips
from privacy_for_free.core.randomness import generator

TRUNKS = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}
SIDES = {"l2": 12, "ssim": 13, "lpips_alex": 32}  # VGG16 differs from AlexNet in its layers only


def smooth_pictures(count, channels=3, side=32, seed=0, purpose="pictures"):
    """Return smooth images with flat parts, as real ones have, in [0, 1]."""
    coarse = torch.rand((count, channels, 5, 5), generator=generator(seed, purpose))
    smooth = nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return (1.6 * smooth - 0.3).clamp(0, 1)


def made_up_arrays(net, seed=0):
    """Return weights of the right shapes and made-up values, in the layout of the package's files."""
    stream = np.random.default_rng(seed)
    found, channels, head = {TRUNKS[net]: {}}, 3, 0
    for number, layer in enumerate(lpips.LAYERS[net]):
        shape = (layer.kernel, layer.kernel, channels, layer.channels)
        kernel = stream.normal(0, math.sqrt(2 / math.prod(shape[:3])), shape)
        bias = stream.normal(0, 0.1, layer.channels)
        found[TRUNKS[net]][f"Conv_{number}"] = {"kernel": np.float32(kernel), "bias": np.float32(bias)}
        channels = layer.channels
        if layer.compared:
            weight = stream.uniform(0, 1, (1, 1, channels, 1))
            found[f"NetLinLayer_{head}"] = {"Conv_0": {"kernel": np.float32(weight)}}
            head += 1
    return found


def made_up_lpips(name):
    net = lpips.NETS[name]
    return lpips.Lpips(name, lpips.arrange(net, made_up_arrays(net)))


@pytest.fixture(scope="session")
def pictures():
    return smooth_pictures


@pytest.fixture(scope="session")
def arrays():
    return made_up_arrays


@pytest.fixture(scope="session")
def made_up():
    return made_up_lpips


@pytest.fixture(scope="module", params=SIDES)
def metric(request):
    return (
        made_up_lpips(request.param) if request.param in lpips.NETS else image_distance.build(request.param)
    )


@pytest.fixture
def side(metric):
    """The side, in pixels, of images that are small and yet large enough for the metric."""
    return SIDES[metric.name]
