"""Weights that are not those of the network are refused by their name, before any work."""

import pytest
import torch

from privacy_for_free.attacks.tracing import Embedding
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks, training, weights
from privacy_for_free.theory.shift import gradient_changes

NETWORK = networks.build("convnet", (1, 8, 8), 3, 4)
IMAGES = torch.rand((5, 1, 8, 8), generator=generator(0, "images"))
GIVEN = NETWORK.initial(generator(0, "weights"))
NAMES = "allowed are the weights 0.weight, 0.bias, .*classifier.bias"
SPOILT = [
    ({key: value for key, value in GIVEN.items() if key != "1.bias"}, f"without '1.bias': {NAMES}"),
    (GIVEN | {"4.bias": torch.zeros(4)}, f"with '4.bias': {NAMES}"),
    (
        GIVEN | {"1.bias": torch.zeros(5)},
        r"\['1.bias'\] torch.float32 \(5,\): allowed is torch.float32 \(4,\)",
    ),
    (
        GIVEN | {"1.bias": torch.zeros(4).double()},
        r"\['1.bias'\] torch.float64 \(4,\): allowed is torch.float32",
    ),
    ({key: value[None] for key, value in GIVEN.items()}, r"\['0.weight'\] .*\(1, 4, 1, 3, 3\): allowed is"),
]


@pytest.mark.parametrize(("given", "message"), SPOILT)
def test_k3_weights_of_other_names_shapes_and_dtypes_are_refused(given, message):
    labels = torch.zeros(len(IMAGES), dtype=torch.int64)
    for call in (
        lambda: training.logits(NETWORK, given, IMAGES),
        lambda: training.accuracy(NETWORK, given, IMAGES, labels),
    ):
        with pytest.raises(ValueError, match=f"^parameters ?{message}"):
            call()


def test_features_need_no_classifier():
    bare = NETWORK.initial(generator(0, "weights"), classifier=False)
    expected = training.features(NETWORK, GIVEN, IMAGES)
    assert torch.equal(training.features(NETWORK, bare, IMAGES), expected)
    weights.check(NETWORK, bare, torch.float32, of="features")
    with pytest.raises(ValueError, match=r"parameters without 'classifier\.weight'"):
        training.logits(NETWORK, bare, IMAGES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        *SPOILT[2:],
        (GIVEN | {"1.bias": torch.full((4,), torch.nan)}, r"\['1.bias'\]: nan at \(0,\)"),
        ([1], " list"),
    ],
)
def test_k1_weights_that_come_one_after_the_other_are_checked_each(given, message):
    with pytest.raises(ValueError, match=r"^parameters\[1\]" + message):
        Embedding(NETWORK, (GIVEN, given), (torch.zeros(4, 2), torch.zeros(4, 2)))
    start = IMAGES[:2]
    changes = gradient_changes(NETWORK, [GIVEN, given], IMAGES, start, start, [0.1], [1, 2])
    assert next(changes).networks == 1
    with pytest.raises(ValueError, match=r"^extractors\[1\]" + message):
        next(changes)


@pytest.mark.parametrize("given", [{}, {"a": torch.zeros(2), "b": torch.zeros(3)}, {"a": torch.zeros(())}])
def test_k3_one_of_stacked_weights_is_taken_of_stacked_ones_only(given):
    with pytest.raises(
        ValueError, match=r"^parameters of .*: allowed are those of stacked networks, K first"
    ):
        training.select(given, 0)
