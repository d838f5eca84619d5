"""An image that was written as text and read again."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.core.randomness import generator
from privacy_for_free.data.image_text import read_image, write_image


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 5, 4), (3, 2, 7)]))
@settings(max_examples=20, deadline=None)
def test_an_image_is_kept_to_8_bits(seed, shape):
    image = torch.rand(shape, generator=generator(seed, "picture"))
    again = read_image(*write_image(image))
    assert again.shape == image.shape
    assert (again - image).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    "image",
    [
        torch.full((1, 2, 2), 1.01),
        torch.full((1, 2, 2), -0.1),
        torch.full((1, 2, 2), torch.nan),
        torch.full((1, 2, 2), 200, dtype=torch.uint8),
        torch.zeros(2, 2),
    ],
)
def test_k3_images_out_of_range_are_refused(image):
    with pytest.raises(ValueError, match=r"^image .*: allowed are "):
        write_image(image)


def test_k3_rounding_errors_are_taken():
    image = torch.tensor([[[-1e-7, 1 + 1e-7]]])
    assert read_image(*write_image(image)).tolist() == [[[0, 1]]]


@pytest.mark.parametrize("shape", ["1 2 3", "", "1 x", "2 2 2"])
def test_a_shape_that_does_not_fit(shape):
    with pytest.raises(ValueError, match="its text is damaged"):
        read_image(shape, write_image(torch.zeros(1, 2, 2))[1])
