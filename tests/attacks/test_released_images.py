"""Attacks on released images: against loops, and where the answer is known."""

import math

import pytest
import torch
from scipy import stats

from privacy_for_free.attacks import released_images, roc
from privacy_for_free.attacks.released_images import class_mean, nearest
from privacy_for_free.core.randomness import generator
from privacy_for_free.shadows.halves import random_halves


def some(K=3, N=30, classes=2, ipc=4, shape=(1, 5, 5), dtype=torch.float32):
    stream = generator(0, "released")
    images = torch.randn((N, *shape), generator=stream, dtype=dtype)
    labels = torch.arange(N) % classes
    return images, labels, torch.randn((K, classes, ipc, *shape), generator=stream, dtype=dtype)


@pytest.mark.parametrize("pairs", [1, 2**24])
def test_same_as_a_loop(monkeypatch, pairs):
    monkeypatch.setattr(released_images, "PAIRS", pairs)
    images, labels, synthetic = some()
    distance, mean = nearest(images, labels, synthetic), class_mean(images, labels, synthetic)
    assert distance.dtype == mean.dtype == torch.float64
    for k in range(3):
        for i in range(30):
            x, own = images[i].double(), synthetic[k, labels[i]].double()
            assert math.isclose(
                -float(distance[k, i]), min(float((x - s).norm()) for s in own), rel_tol=1e-12
            )
            centre = images[labels == labels[i]].double().mean(0)
            expected = float(((x - centre) * (own.mean(0) - centre)).sum())
            assert math.isclose(float(mean[k, i]), expected, rel_tol=1e-9, abs_tol=1e-12)


def test_a_released_image_has_distance_nothing():
    images, labels, synthetic = some()
    synthetic[1, labels[7], 2] = images[7]
    scores = nearest(images, labels, synthetic)
    assert scores[1, 7] == 0
    assert int((scores == 0).sum()) == 1


def test_released_class_means_give_the_analytic_roc():
    """Gaussian images, n members of 2n: effect size sqrt(2 |x - mu|^2 / n), about sqrt(2 d / n)."""
    n, d = 400, 50
    images = torch.randn((2 * n, d), generator=generator(0, "gaussian"), dtype=torch.float64)
    labels = torch.zeros(2 * n, dtype=torch.int64)
    membership = random_halves(64, labels, generator(0, "halves"))
    means = membership.double() @ images / n
    scores = class_mean(images, labels, means[:, None, None])
    norms = (images - images.mean(0)).norm(dim=1)
    scores = scores / norms  # every image its own spread: the test is most powerful image by image
    expected = stats.norm.cdf(math.sqrt(2 * d / n) / math.sqrt(2))
    assert abs(roc.auc(scores, membership) - expected) < 0.01
    other = random_halves(64, labels, generator(1, "halves"))
    assert abs(roc.auc(scores, other) - 0.5) < 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({1: torch.arange(29) % 2}, r"labels \(29,\)"),
        ({2: torch.zeros(3, 2, 4, 1, 5, 4)}, r"synthetic \(3, 2, 4, 1, 5, 4\)"),
        ({1: torch.arange(30) % 3}, "labels up to 2: allowed are 0 to 1"),
    ],
)
def test_bad_shapes(changes, message):
    arguments = [changes.get(index, value) for index, value in enumerate(some())]
    for function in (nearest, class_mean):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


def test_k3_no_images_are_refused():
    images, labels, synthetic = some()
    for function in (nearest, class_mean):
        with pytest.raises(ValueError, match=r"synthetic \(0, .* allowed are one or more"):
            function(images, labels, synthetic[:0])
        with pytest.raises(
            ValueError, match=r"labels: nan|images: nan at \(0, .* allowed are finite numbers"
        ):
            function(images * torch.nan, labels, synthetic)


def test_k2_images_of_numpy_are_those_of_torch():
    images, labels, synthetic = some()
    found = nearest(images.numpy(), labels.int().numpy(), synthetic.numpy())
    assert torch.equal(found, nearest(images, labels, synthetic))
