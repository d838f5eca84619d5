"""Distances of pixels against slow twins and a library, and what every metric has to satisfy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.attacks import image_distance
from privacy_for_free.attacks.image_distance import metrics
from privacy_for_free.attacks.image_distance.metrics import distance


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


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([1, 3]))
@settings(max_examples=20, deadline=None)
def test_l2_is_the_root_mean_square(pictures, seed, blend, channels):
    x, other = pictures(2, channels, 12, seed).split(1)
    y = torch.lerp(x, other, blend)
    found = distance(image_distance.build("l2"), x, y)
    assert found.item() == pytest.approx(np.sqrt(np.mean((x - y).numpy() ** 2)), abs=1e-7)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([1, 3]))
@settings(max_examples=20, deadline=None)
def test_ssim_is_the_published_formula(pictures, seed, blend, channels):
    x, other = pictures(2, channels, 14, seed).split(1)
    y = torch.lerp(x, other, blend)
    found = distance(image_distance.build("ssim"), x, y).item()
    assert found == pytest.approx(slow_ssim(x[0].double().numpy(), y[0].double().numpy()), abs=2e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_scikit_images(pictures, channels):
    library = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
    x, y = pictures(5, channels), pictures(5, channels, seed=1)
    y[0] = 1 - x[0]
    x[1] = 0.5  # no spread at all
    found = distance(image_distance.build("ssim"), x.double(), y.double())
    for own, a, b in zip(found, x.double().numpy(), y.double().numpy(), strict=True):
        theirs = library.structural_similarity(
            a, b, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert own.item() == pytest.approx(1 - theirs, abs=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_distance_is_symmetric_and_exactly_0_for_an_image_and_itself(metric, side, pictures, channels):
    x, y = pictures(3, channels, side), pictures(3, channels, side, seed=1)
    there, back = distance(metric, x, y), distance(metric, y, x)
    torch.testing.assert_close(there, back, rtol=1e-5, atol=1e-6)
    assert (there > 0).all()
    assert (distance(metric, x, x.clone()) == 0).all()


def test_the_matrix_has_the_distances_of_all_pairs(metric, side, pictures):
    x, y = pictures(4, side=side), pictures(3, side=side, seed=1)
    found = metric.matrix(metric.embed(x), metric.embed(y))
    slow = torch.stack([distance(metric, x[i].expand_as(y), y) for i in range(4)])
    torch.testing.assert_close(found, slow, rtol=1e-4, atol=3e-6)


def test_blocks_of_the_ssim_matrix_do_not_matter(pictures, monkeypatch):
    metric, x, y = image_distance.build("ssim"), pictures(5, 1, 13), pictures(3, 1, 13, seed=1)
    whole = metric.matrix(x, y)
    monkeypatch.setattr(metrics, "BLOCK", 7)
    torch.testing.assert_close(metric.matrix(x, y), whole, rtol=0, atol=1e-6)
    assert metric.matrix(x[:0], y).shape == (0, 3)


def test_wrong_input_is_refused(pictures):
    l2, x = image_distance.build("l2"), pictures(2, 1)
    with pytest.raises(ValueError, match=r"y torch.float32 \(1, .* with N = 2 as of x"):
        distance(l2, x, x[:1])
    with pytest.raises(ValueError, match=r"x torch.float32 \(2, 2, .*: allowed is N x 1.3 x H x W"):
        distance(l2, x.expand(-1, 2, -1, -1), x.expand(-1, 2, -1, -1))
    with pytest.raises(ValueError, match="11 a side or more"):
        distance(image_distance.build("ssim"), x[..., :10], x[..., :10])


def test_metrics_are_known_by_name():
    with pytest.raises(ValueError, match="name 'emd': known are l2, ssim, lpips_alex, lpips_vgg"):
        image_distance.build("emd")
    assert [image_distance.build(name).name for name in ("l2", "ssim")] == ["l2", "ssim"]


@pytest.mark.parametrize("name", ["l2", "ssim"])
def test_k3_images_of_another_range_are_refused_with_theirs(name):
    x = torch.rand((2, 1, 12, 12))
    x[0, 0, 0, 0], x[0, 0, 0, 1] = 0, 1
    with pytest.raises(ValueError, match="x from -1 to 1: allowed are floats from 0 to 1"):  # case 27
        distance(image_distance.build(name), 2 * x - 1, x)
    with pytest.raises(ValueError, match="y from 0 to 255: allowed are floats from 0 to 1"):
        distance(image_distance.build(name), x, 255 * x)
    assert distance(image_distance.build(name), x, x + 5e-7).max() < 1e-4


def test_k3_every_metric_refuses_images_of_another_range(metric, side, pictures):
    x = pictures(2, 3, side)
    for other in (2 * x - 1, (x - 0.5) / 0.2, 255 * x):
        with pytest.raises(ValueError, match=r"y from .* to .*: allowed are floats from 0 to 1"):  # case 27
            distance(metric, x, other)
    with pytest.raises(ValueError, match=r"x .*uint8.*: allowed are floats from 0 to 1"):
        distance(metric, (255 * x).byte(), x)


def test_k2_images_of_two_precisions_are_compared_in_the_higher_one(pictures):
    x, y = pictures(2, 1, 12), pictures(2, 1, 12, seed=1)
    for name in ("l2", "ssim"):
        metric = image_distance.build(name)
        assert torch.equal(distance(metric, x, y.double()), distance(metric, x.double(), y.double()))
        assert torch.equal(distance(metric, x.numpy(), y.numpy()), distance(metric, x, y))


def test_k2_names_of_no_metric_are_refused():
    for function in (image_distance.build, image_distance.available):
        with pytest.raises(ValueError, match="name 'L2': known are l2, ssim, lpips_alex, lpips_vgg"):
            function("L2")


def test_k2_a_name_is_no_metric_and_a_device_has_to_be_there(pictures):
    x = pictures(2, 1, 12)
    with pytest.raises(ValueError, match=r"metric 'l2': allowed is one that image_distance.build returns"):
        distance("l2", x, x)
    with pytest.raises(ValueError, match="device 'nonsense': allowed are cpu"):
        image_distance.build("l2", "nonsense")


def test_k3_windows_and_constants_that_are_none_are_refused():
    for settings_, message in (
        ({"size": 0}, "size 0: allowed are whole numbers from 1 up"),
        ({"deviation": 0.0}, r"deviation 0.0: allowed are finite numbers above 0"),
        ({"constants": (1e-4,)}, r"constants .*: allowed are two"),
        ({"constants": (1e-4, 0.0)}, r"constants 0.0: allowed are finite numbers above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            metrics.StructuralSimilarity(**settings_)
