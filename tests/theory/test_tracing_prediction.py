"""The predictions from images against enumeration of all halves, slow twins, and one ROC by simulation."""

from itertools import combinations

import numpy as np
import pytest
import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.theory import tracing, tracing_prediction

D = 2
MATRIX = torch.tensor([[2.0, 0.3], [0.3, 0.5]], dtype=torch.float64)


def normal(count, purpose="images"):
    return torch.randn((count, D), generator=generator(0, f"test prediction {purpose}"), dtype=torch.float64)


def test_moments_are_those_of_a_loop():
    images, source, weights, centre = normal(3), normal(7, "source"), normal(3, "weights"), normal(1)[0]
    found = tracing_prediction.moments(weights, images, source, centre)
    mean = source.mean(0)
    sigma = (source - mean).mT @ (source - mean) / 7
    for i, (x, w) in enumerate(zip(images, weights, strict=True)):
        assert found.own[i] == pytest.approx(float(w @ (x - mean)), rel=1e-10)
        assert found.variance[i] == pytest.approx(float(w @ sigma @ w), rel=1e-10)
        assert found.offset[i] == pytest.approx(float(w @ (mean - centre)), rel=1e-10)


@pytest.fixture
def two_classes():
    """Six pool images per class, of two in turn; the attacker's centres; and 50 images per class."""
    labels = torch.arange(12) % 2
    images = normal(12) + 3 * labels[:, None]
    others = {c: normal(50, f"reference {c}") + 3 * c for c in range(2)}
    return images, labels, normal(2, "centres"), others


def predict(two_classes, knows_pool, most=None):
    images, labels, centres, others = two_classes
    whitenings = {"matrix": lambda rows: rows @ MATRIX, "identity": lambda rows: rows}
    return tracing_prediction.predict(
        images, labels, others.__getitem__, centres, whitenings, knows_pool, most
    )


def test_exact_prediction_is_the_law_over_all_halves(two_classes):
    images, labels, centres, _ = two_classes
    found = predict(two_classes, knows_pool=False)["matrix"]
    assert found.places.tolist() == [*range(0, 12, 2), *range(1, 12, 2)]
    for at, place in enumerate(found.places.tolist()):
        c = int(labels[place])
        pool = (labels == c).nonzero()[:, 0].tolist()
        values = {True: [], False: []}
        for chosen in combinations(pool, 3):
            gap = images[list(chosen)].mean(0) - centres[c]
            values[place in chosen].append(float((images[place] - centres[c]) @ MATRIX @ gap))
        law = [part[at] for part in found.exact]
        expected = [f(values[side]) for side in (False, True) for f in (np.mean, np.std)]
        np.testing.assert_allclose(law, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("knows_pool", [True, False])
def test_leading_prediction_is_that_of_fresh_members_of_the_reference(two_classes, knows_pool):
    images, labels, centres, others = two_classes
    found = predict(two_classes, knows_pool)["matrix"]
    for at, place in enumerate(found.places.tolist()):
        c = int(labels[place])
        w = MATRIX @ (images[place] - centres[c])
        mean = others[c].mean(0)
        sigma = (others[c] - mean).mT @ (others[c] - mean) / 50
        if knows_pool:
            of_pool = images[labels == c].mean(0)
            law = tracing.fresh_law(float(w @ (images[place] - of_pool)), float(w @ sigma @ w) / 2, 3)
        else:
            offset = float(w @ (mean - centres[c]))
            law = tracing.fresh_law(float(w @ (images[place] - mean)), float(w @ sigma @ w), 3, offset)
        np.testing.assert_allclose([part[at] for part in found.leading], law, rtol=1e-9, atol=1e-12)


def test_first_images_of_each_class_only_with_the_moments_of_all(two_classes):
    whole, few = predict(two_classes, True)["identity"], predict(two_classes, True, most=2)["identity"]
    assert few.places.tolist() == [0, 2, 1, 3]
    kept = [whole.places.tolist().index(place) for place in few.places.tolist()]
    for part, all_of_it in zip(few.exact, whole.exact, strict=True):
        np.testing.assert_allclose(part, all_of_it[kept], rtol=1e-12)


def test_effect_is_the_root_mean_square():
    law = tracing.Law(np.zeros(2), np.array([1.0, 2.0]), np.array([3.0, 8.0]), np.ones(2))
    prediction = tracing_prediction.Prediction(law, law, torch.arange(2))
    assert prediction.effect == pytest.approx(np.sqrt((3**2 + 4**2) / 2))


def test_rates_are_those_of_the_scaled_mixture():
    effects, fprs = np.array([0.5, 2.0]), (0.001, 0.1, 1.0)
    law = tracing.Law(np.zeros(2), effects, effects**2, effects)
    standardised = tracing_prediction.rates(law, fprs, effects)
    np.testing.assert_allclose(standardised.tpr, tracing.tpr(fprs, effects), rtol=1e-9)
    assert standardised.auc == pytest.approx(tracing.mixture_auc(law.over(effects)), rel=1e-12)
    raw = tracing_prediction.rates(law, fprs)
    assert raw.auc == pytest.approx(tracing.mixture_auc(law), rel=1e-12)
    assert raw.tpr[0] > standardised.tpr[0]  # at a low rate one threshold favours the images of large spread
