import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation
from privacy_for_free.nets.augmentation import KINDS, Strength, Transform, apply, draw


def some_images(batch: int, channels: int = 3, size: int = 8, dtype=torch.float64) -> torch.Tensor:
    shape = (batch, channels, size, size)
    return torch.randn(shape, generator=generator(0, "images"), dtype=dtype)


def transform_of(kind: str, count: int, strength: Strength | None = None, seed: int = 0) -> Transform:
    uniform = torch.rand((count, 3), generator=generator(seed, kind), dtype=torch.float64)
    return Transform(kind, uniform, strength or Strength())


def sampled(image: list, i: float, j: float) -> float:
    """Bilinear value of one channel at row i, column j; 0 outside."""
    side, value = len(image), 0.0
    for row in (math.floor(i), math.floor(i) + 1):
        for column in (math.floor(j), math.floor(j) + 1):
            if 0 <= row < side and 0 <= column < side:
                value += (1 - abs(i - row)) * (1 - abs(j - column)) * image[row][column]
    return value


def linear_map(image: torch.Tensor, xx: float, xy: float, yx: float, yy: float) -> torch.Tensor:
    """Coordinates run from -1 to 1 between the outer edges of the outer pixels."""
    side, result = image.shape[1], torch.empty_like(image)
    for c, channel in enumerate(image.tolist()):
        for i in range(side):
            for j in range(side):
                x, y = (2 * j + 1) / side - 1, (2 * i + 1) / side - 1
                column = ((xx * x + xy * y + 1) * side - 1) / 2
                row = ((yx * x + yy * y + 1) * side - 1) / 2
                result[c, i, j] = sampled(channel, row, column)
    return result


def twin(kind: str, image: torch.Tensor, u: list[float], s: Strength) -> torch.Tensor:
    """One image (C, H, W) at full strength, as the published functions do it, pixel by pixel."""
    side = image.shape[1]
    if kind == "color":
        image = image + (u[0] - 0.5) * s.brightness
        mean = image.mean(0)
        image = (image - mean) * (u[1] * s.saturation) + mean
        mean = image.mean()
        return (image - mean) * (u[2] + s.contrast) + mean
    if kind == "flip":
        return torch.stack([image[:, :, side - 1 - j] for j in range(side)], 2) if u[0] < s.flip else image
    if kind == "scale":
        x, y = (value * (s.scale - 1 / s.scale) + 1 / s.scale for value in u[:2])
        return linear_map(image, x, 0, 0, y)
    if kind == "rotate":
        angle = (u[0] - 0.5) * 2 * s.rotate / 180 * math.pi
        return linear_map(image, math.cos(angle), math.sin(-angle), math.sin(angle), math.cos(angle))
    result = torch.zeros_like(image)
    if kind == "crop":
        reach = int(side * s.crop + 0.5)
        down, right = (range(-reach, reach + 1)[int(value * (2 * reach + 1))] for value in u[:2])
        for i in range(side):
            for j in range(side):
                if 0 <= i + down < side and 0 <= j + right < side:
                    result[:, i, j] = image[:, i + down, j + right]
        return result
    size = int(side * s.cutout + 0.5)
    top, left = (range(side + 1 - size % 2)[int(v * (side + 1 - size % 2))] for v in u[:2])
    for i in range(side):
        for j in range(side):
            hole = [i in range(a - size // 2, a - size // 2 + size) for a in (top,)]
            hole += [j in range(a - size // 2, a - size // 2 + size) for a in (left,)]
            result[:, i, j] = 0 if all(hole) else image[:, i, j]
    return result


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_each_transform_is_the_published_one_image_by_image(kind, size, channels):
    images = some_images(5, channels, size)
    own, shared = transform_of(kind, 5), transform_of(kind, 1, seed=1)
    assert_close(
        apply(own, images),
        torch.stack(
            [twin(kind, x, u, Strength()) for x, u in zip(images, own.uniform.tolist(), strict=True)]
        ),
    )
    assert_close(
        apply(shared, images),
        torch.stack([twin(kind, x, shared.uniform[0].tolist(), Strength()) for x in images]),
    )


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 1000),
    cut=st.integers(1, 6),
    factor=st.sampled_from([0.3, 1.0]),
)
def test_an_image_does_not_depend_on_its_batch_nor_on_who_else_has_its_parameters(kind, seed, cut, factor):
    images = some_images(6, dtype=torch.float32)
    own = transform_of(kind, 6, Strength(factor=factor), seed)
    whole = apply(own, images)
    parts = [slice(0, cut), slice(cut, 6)] if cut < 6 else [slice(0, 6)]
    assert torch.equal(torch.cat([apply(own.part(p), images[p]) for p in parts]), whole)
    shared = own.part(slice(0, 1))
    together = apply(shared, images)
    assert torch.equal(torch.cat([apply(shared.part(p), images[p]) for p in parts]), together)
    assert_close(together[:1], whole[:1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3])
def test_real_and_synthetic_images_are_transformed_alike(kind, count):
    real = some_images(3)
    synthetic = (2 * real).requires_grad_(True)
    transform = transform_of(kind, count)
    if kind == "color":  # not linear, but affine: the brightness is added once
        offset = apply(transform, torch.zeros_like(real))
        assert_close(apply(transform, synthetic).detach(), 2 * apply(transform, real) - offset)
    else:
        assert_close(apply(transform, synthetic).detach(), 2 * apply(transform, real))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2])
def test_gradient(kind, count):
    images = some_images(2, 2, 5).requires_grad_(True)
    transform = transform_of(kind, count)
    assert torch.autograd.gradcheck(lambda x: apply(transform, x), images)


def test_zero_strength_and_no_strategy_are_the_identity_to_the_last_bit():
    images = some_images(4, dtype=torch.float32)
    for seed in range(20):
        stream = generator(seed, "zero")
        for transform in (
            draw(augmentation.STRATEGY, 4, stream, Strength(factor=0)),
            draw("", 4, stream),
        ):
            assert torch.equal(apply(transform, images), images)


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_factor_is_a_small_change(kind):
    images = some_images(4)
    moved = [(apply(transform_of(kind, 4, Strength(factor=f)), images) - images).norm() for f in (0.01, 1.0)]
    assert moved[0] < 0.05 * moved[1] if kind in ("color", "scale", "rotate") else moved[0] == 0


def test_rotation_by_a_right_angle_scaling_by_two_and_the_largest_crop():
    images = some_images(2)
    quarter = Transform("rotate", torch.tensor([[1.0, 0, 0]], dtype=torch.float64), Strength(rotate=90))
    assert_close(apply(quarter, images), images.rot90(1, (2, 3)))
    near = 1 - 2.0**-53  # the largest number a generator gives
    twice = Transform("scale", torch.tensor([[near, near, 0]], dtype=torch.float64), Strength(scale=2))
    shrunk = torch.nn.functional.pad(torch.nn.functional.avg_pool2d(images, 2), (2, 2, 2, 2))
    assert_close(apply(twice, images), shrunk)
    furthest = Transform("crop", torch.tensor([[near, 0.0, 0]], dtype=torch.float64), Strength())
    moved = torch.zeros_like(images)
    moved[:, :, :-1, 1:] = images[:, :, 1:, :-1]
    assert torch.equal(apply(furthest, images), moved)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shape_type_and_layout_are_kept(kind, count, layout):
    for dtype in (torch.float32, torch.float64):
        images = some_images(4, dtype=dtype).contiguous(memory_format=layout)
        before = images.clone()
        result = apply(transform_of(kind, count), images)
        assert (result.shape, result.dtype) == (images.shape, dtype)
        assert result.is_contiguous(memory_format=layout)
        assert torch.equal(images, before)
        assert_close(result, apply(transform_of(kind, count), images.contiguous()), check_stride=False)


def test_kinds_are_equally_likely_and_parameters_uniform():
    stream, draws = generator(3, "frequencies"), 3000
    drawn = [draw(augmentation.STRATEGY, 2, stream) for _ in range(draws)]
    for kind in KINDS:  # each count is binomial: five of its standard deviations
        found = sum(t.kind == kind for t in drawn)
        assert abs(found - draws / 6) < 5 * math.sqrt(draws * 5 / 36)
    uniform = torch.cat([t.uniform for t in drawn]).sort(0).values
    steps = (torch.arange(len(uniform)) + 0.5)[:, None] / len(uniform)
    assert (uniform - steps).abs().max() < 2 / math.sqrt(len(uniform))  # Kolmogorov, p about 1e-3


def test_a_draw_is_its_generators():
    state = torch.get_rng_state()
    first, second = (draw(augmentation.STRATEGY, 3, generator(0, "same")) for _ in range(2))
    assert first.kind == second.kind
    assert torch.equal(first.uniform, second.uniform)
    assert torch.equal(torch.get_rng_state(), state)


def test_digits_are_not_flipped():
    assert "flip" not in augmentation.kinds(augmentation.strategy("mnist"))
    assert set(augmentation.kinds(augmentation.strategy("cifar10"))) == set(KINDS)
    assert set(augmentation.kinds(augmentation.DIGITS)) == set(KINDS) - {"flip"}


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="strategy 'crop_blur', augmentation 'blur': known are color, crop"):
        draw("crop_blur", 1, generator(0, "bad"))
    with pytest.raises(ValueError, match="count 0"):
        draw("crop", 0, generator(0, "bad"))
    with pytest.raises(ValueError, match="5 images: the transform has parameters for 3"):
        apply(transform_of("flip", 3), some_images(5))
    for bad in ({"flip": 2.0}, {"factor": -0.1}, {"scale": 0.5}, {"rotate": math.nan}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Strength(**bad)
