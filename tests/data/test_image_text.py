"""An image that was written as text and read again."""

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
