"""Small images as text, for the cell of a table: 8-bit values, deflated, base64."""

import base64
import zlib

import numpy as np
import torch


def write_image(image: torch.Tensor) -> tuple[str, str]:
    """Return the shape and the pixels, as two texts, of an image, C x H x W, floats in [0, 1].

    Values are rounded to multiples of 1/255. ValueError for values outside [0, 1], beyond 1e-6, or not
    finite, and for pixels that are no floats, which would wrap around.
    """
    if not image.is_floating_point() or image.dim() != 3:
        raise ValueError(f"image {image.dtype} {tuple(image.shape)}: allowed are floats, C x H x W")
    if image.numel() and not (image.min() >= -1e-6 and image.max() <= 1 + 1e-6):
        raise ValueError(f"image with values from {image.min():g} to {image.max():g}: allowed are 0 to 1")
    pixels = (image.detach().cpu() * 255).round().clamp_(0, 255).to(torch.uint8).numpy()
    text = base64.b64encode(zlib.compress(pixels.tobytes(), 9)).decode()
    return " ".join(map(str, image.shape)), text


def read_image(shape: str, text: str) -> torch.Tensor:
    """Return the image that `write_image` wrote: float32, C x H x W, in [0, 1].

    ValueError, with the shape, where the text is damaged or holds another number of pixels.

    >>> read_image(*write_image(torch.tensor([[[0.0, 0.2], [1.0, 0.4]]])))
    tensor([[[0.0000, 0.2000],
             [1.0000, 0.4000]]])
    """
    try:
        pixels = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), dtype=np.uint8)
        return torch.from_numpy((pixels.astype(np.float32) / 255).reshape(*map(int, shape.split())))
    except (ValueError, TypeError, AttributeError, zlib.error) as error:  # base64's error is a ValueError
        raise ValueError(f"image of shape {shape!r}: its text is damaged ({error})") from error
