"""Shapes of arguments that belong together."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privacy_for_free.core.entrance import entrance
from privacy_for_free.core.shapes import check, parse

TEXT = (
    "images N C H W, labels N, membership K N, released K classes d, rest M? [q], logits ... classes, of ..."
)


def tensors(**shapes):
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def test_what_fits_together_passes():
    fits = tensors(
        images=(4, 1, 8, 8),
        labels=(4,),
        membership=(3, 4),
        released=(3, 2, 5),
        rest=(0,),
        logits=(6, 7, 2),
        of=(6, 7),
    )
    assert check(parse(TEXT), fits | {"classes": 2}) is None
    assert check(parse(TEXT), fits | {"rest": torch.zeros(4, 9), "released": None}) is None


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"images": (4, 8, 8)}, r"images torch.float32 \(4, 8, 8\): allowed is N x C x H x W$"),
        ({"images": (0, 1, 8, 8)}, "allowed is N x C x H x W, N from 1 up"),
        ({"images": (4, 1, 8, 8), "labels": (3,)}, r"labels .*\(3,\): allowed is N, with N = 4 as of images"),
        ({"membership": (3,)}, "membership .*: allowed is K x N$"),
        ({"released": (3, 3, 5)}, "released .*: allowed is K x classes x d, with classes = 2$"),
        ({"rest": (1, 2, 3)}, r"rest .*: allowed is M x \[q\]$"),
        ({"logits": (6, 2), "of": (7,)}, r"of .*: allowed is ..., with \(6,\) for ..., as of logits"),
        ({"logits": ()}, r"logits .* \(\): allowed is ... x classes$"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(shapes, message):
    with pytest.raises(ValueError, match=message):
        check(parse(TEXT), tensors(**shapes) | {"classes": 2})


def test_sizes_that_are_numbers():
    shapes = parse("images N 1|3 8")
    assert check(shapes, tensors(images=(2, 3, 8))) is None
    for wrong in ((2, 2, 8), (2, 1, 9)):
        with pytest.raises(ValueError, match=r"allowed is N x 1\|3 x 8"):
            check(shapes, tensors(images=wrong))


def test_signs_there_are_not_are_refused():
    with pytest.raises(ValueError, match="'N-1' is no sign of a dimension"):
        parse("images N-1")
    with pytest.raises(ValueError, match="no parameter 'y'"):
        entrance(shapes="y N")(lambda x: x)


@given(st.lists(st.integers(1, 3), max_size=4), st.lists(st.integers(1, 3), max_size=4))
def test_two_arguments_of_one_shape_pass_just_where_their_shapes_are_equal(one, other):
    shapes = parse("x ..., y ...")
    arguments = tensors(x=one, y=other)
    if one == other:
        assert check(shapes, arguments) is None
    else:
        with pytest.raises(ValueError, match=r"y torch.float32"):
            check(shapes, arguments)


def test_an_entrance_checks_its_shapes():
    @entrance(shapes="images N d, labels N")
    def f(images: torch.Tensor, labels: torch.Tensor) -> int:
        return len(images)

    assert f(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)) == 3
    with pytest.raises(ValueError, match=r"labels .*with N = 3 as of images"):
        f(torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64))
