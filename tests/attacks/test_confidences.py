"""What is measured, in exact arithmetic and at the edges."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privacy_for_free.attacks.confidences import logit_scaled_confidence, loss
from privacy_for_free.core.randomness import generator


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.integers(0, 5))
def test_the_log_odds_of_the_softmax(values, label):
    label %= len(values)
    weights = [Fraction(math.exp(value)) for value in values]
    odds = weights[label] / (sum(weights) - weights[label])
    found = logit_scaled_confidence(torch.tensor([values], dtype=torch.float64), torch.tensor([label]))
    assert math.isclose(float(found), math.log(odds), rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certainty_is_not_rounded_away(dtype):
    logits = torch.tensor([[800.0, 0.0], [-800.0, 0.0], [1e6, -1e6]], dtype=dtype)
    found = logit_scaled_confidence(logits, torch.zeros(3, dtype=torch.int64))
    assert found.tolist() == [800.0, -800.0, 2e6]
    assert found.dtype == torch.float64


def test_shapes_and_the_loss():
    logits = torch.randn((3, 4, 5), generator=generator(0, "logits"))
    labels = torch.arange(12).view(3, 4) % 5
    assert logit_scaled_confidence(logits, labels).shape == (3, 4)
    expected = -logits.double().log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    torch.testing.assert_close(loss(logits, labels), expected)
    torch.testing.assert_close(
        logit_scaled_confidence(logits, labels),
        -loss(logits, labels) - torch.log(-torch.expm1(-loss(logits, labels))),
    )


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ((3, 1), (3,), r"logits \(3, 1\): allowed are ... x classes, two classes or more"),
        ((3, 5), (4,), r"labels torch.int64 \(4,\): allowed is ..., with \(3,\) for ..., as of logits"),
        ((3, 5), (3, 1), r"labels torch.int64 \(3, 1\): allowed is"),
    ],
)
def test_bad_shapes(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        logit_scaled_confidence(torch.zeros(logits), torch.zeros(labels, dtype=torch.int64))


def test_k3_a_label_of_no_class_is_refused():
    for function in (loss, logit_scaled_confidence):
        with pytest.raises(ValueError, match="labels up to 3: allowed are 0 to 2"):
            function(torch.zeros(2, 3), torch.tensor([0, 3]))
        with pytest.raises(
            ValueError, match=r"labels .*: allowed are whole numbers from 0 up, the least is -1"
        ):
            function(torch.zeros(2, 3), torch.tensor([0, -1]))


def test_k1_a_caller_without_gradients_and_in_another_precision_gets_the_same_bits():
    logits, labels = torch.randn((5, 3), generator=torch.Generator().manual_seed(0)), torch.arange(5) % 3
    expected = logit_scaled_confidence(logits, labels)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(logit_scaled_confidence(logits, labels), expected)
    found = logit_scaled_confidence(logits.clone().requires_grad_(), labels)
    assert torch.equal(found, expected)
    assert not found.requires_grad
