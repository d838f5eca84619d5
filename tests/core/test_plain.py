"""Values made plain, one annotation after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from privacy_for_free.core import annotations, plain

NAN, INF = float("nan"), float("inf")


def convert(hint, value, kind=None, name="x"):
    return annotations.converter(hint)(name, value, kind or plain.BY_NAME.get(name, plain.FINITE))


@pytest.mark.parametrize(
    "given",
    [
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(6, dtype=np.float32)[::-1][::-1].reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(3, 2).T.copy(order="F"),
        torch.arange(6.0).reshape(2, 3).requires_grad_(),
        torch.nn.Parameter(torch.arange(6.0).reshape(2, 3)),
        torch.arange(6, dtype=torch.float16).reshape(2, 3),
        torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
        torch.arange(12.0).reshape(2, 6)[:, ::2] / 2,
    ],
)
def test_tensors_of_any_history_layout_and_precision_become_plain_ones(given):
    made = convert(torch.Tensor, given)
    assert type(made) is torch.Tensor
    assert made.dtype == torch.float32
    assert made.stride() == torch.empty(made.shape).stride()
    assert not made.requires_grad
    expected = np.asarray(given.detach().float() if isinstance(given, torch.Tensor) else given, np.float32)
    np.testing.assert_array_equal(made.numpy(), expected)


def test_a_plain_tensor_is_not_copied():
    given = torch.rand(3, 4)
    assert convert(torch.Tensor, given) is given


def test_odd_strides_of_sizes_of_one_are_made_plain():
    given = torch.rand(2, 1, 3, 3).contiguous(memory_format=torch.channels_last)
    assert given.is_contiguous()
    assert convert(torch.Tensor, given).stride() == (9, 9, 3, 1)


def test_arrays_that_may_not_be_written_are_taken():
    given = np.broadcast_to(np.float32(3), (2, 2))
    assert convert(torch.Tensor, given).tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint16, np.int64])
def test_labels_of_any_whole_dtype_become_int64(dtype):
    made = convert(torch.Tensor, np.array([0, 2, 1], dtype), name="labels")
    assert made.dtype == torch.int64
    assert made.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("hint", "given", "made"),
    [
        (int, np.int64(3), 3),
        (int, torch.tensor(3), 3),
        (float, np.float32(0.5), 0.5),
        (float, np.int8(2), 2),
        (float, torch.tensor(0.25), 0.25),
        (float, INF, INF),
        (bool, np.True_, True),
        (str, np.str_("dm"), "dm"),
        (int | None, None, None),
        (int | np.ndarray, np.int32(4), 4),
        (float | torch.Tensor, 2.0, 2.0),
        (Sequence[float], (np.float32(1), 2), (1.0, 2)),
        (Sequence[int], range(3), range(3)),
        (tuple[int, ...], [np.int64(1), 2], [1, 2]),
        (str | Path | None, "~", Path("~").expanduser()),
        (Path, "a/b", Path("a/b")),
    ],
)
def test_numbers_and_texts_become_pythons_own(hint, given, made):
    found = convert(hint, given)
    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(
    ("hint", "given", "message"),
    [
        (torch.Tensor, [1.0, 2.0], r"x list \[1.0, 2.0\]: allowed is a torch tensor or a numpy array"),
        (torch.Tensor, None, "x None: allowed is a torch tensor"),
        (torch.Tensor, np.array(["a"]), r"x ndarray <U1 \(1,\): allowed is .* of numbers or bools"),
        (torch.Tensor, torch.ones(2).to_sparse(), "x Tensor torch.float32 .*allowed is a tensor of real"),
        (torch.Tensor, torch.ones(2, dtype=torch.complex64), "allowed is a tensor of real numbers"),
        (torch.Tensor, torch.ones(2, device="meta"), "allowed is a tensor of real numbers in memory"),
        (torch.Tensor, torch.tensor([1.0, NAN]), r"x: nan at \(1,\); allowed are finite numbers"),
        (torch.Tensor, np.array([[INF]]), r"x: inf at \(0, 0\); allowed are finite numbers"),
        (np.ndarray, torch.tensor([NAN]), "allowed are finite numbers"),
        (int, "3", "x '3': allowed are whole numbers"),
        (int, 3.0, "x 3.0: allowed are whole numbers"),
        (int, True, "x True: allowed are whole numbers"),
        (int, np.True_, "allowed are whole numbers"),
        (float, "0.1", "x '0.1': allowed are numbers"),
        (float, NAN, "x nan: allowed are numbers, and this is none"),
        (float, False, "x False: allowed are numbers"),
        (bool, 1, "x 1: allowed are True and False"),
        (str, 2024, "x 2024: allowed is text"),
        (str | Path | None, 2024, "x 2024: allowed is a path, given as text"),
        (int | None, "3", "x '3': allowed are whole numbers$"),
        (int | np.ndarray, "3", "x '3': allowed are whole numbers, or is a torch tensor"),
        (float | torch.Tensor, torch.tensor([NAN]), "allowed are finite numbers"),
        (Sequence[float], "12", "x '12': allowed is a sequence of numbers"),
        (Sequence[float], (1.0, "2"), r"x\[1\] '2': allowed are numbers"),
        (Sequence[float], [1.0, INF], r"x\[1\] inf: allowed are finite numbers"),
        (Sequence[float], np.array([NAN]), "allowed are finite numbers"),
        (Sequence[int], [1, 2.5], r"x\[1\] 2.5: allowed are whole numbers"),
        (npt.ArrayLike, [1.0, NAN], "allowed are numbers, and one is none"),
        (npt.ArrayLike, ["a"], "allowed are numbers"),
        (torch.Generator, 0, "x 0: allowed is a torch Generator"),
    ],
)
def test_what_stands_for_nothing_allowed_is_refused_by_name(hint, given, message):
    with pytest.raises(ValueError, match=message):
        convert(hint, given)


def test_infinite_values_pass_where_they_are_allowed_and_nan_does_not():
    given = torch.tensor([-INF, 0.0, INF])
    assert convert(torch.Tensor, given, plain.ORDERED) is given
    with pytest.raises(ValueError, match=r"x: nan at \(0,\); allowed are numbers, infinite ones too"):
        convert(torch.Tensor, torch.tensor([NAN]), plain.ORDERED)
    assert convert(torch.Tensor, torch.tensor([NAN]), plain.ANY).isnan().all()


def test_images_that_are_shown_lie_in_zero_to_one():
    inside = torch.tensor([-5e-7, 1 + 5e-7])
    assert convert(torch.Tensor, inside, plain.SHOWN) is inside
    for wrong in (torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 255.0])):
        low, high = wrong.tolist()
        with pytest.raises(ValueError, match=f"x from {low:.6g} to {high:.6g}: allowed are floats from 0 to"):
            convert(torch.Tensor, wrong, plain.SHOWN)
    with pytest.raises(ValueError, match=r"torch.uint8.*allowed are floats from 0 to 1"):
        convert(torch.Tensor, torch.zeros(3, dtype=torch.uint8), plain.SHOWN)


@dataclass(frozen=True)
class Holder:
    images: torch.Tensor
    name: str = "mine"


def test_tensors_in_containers_are_made_plain_and_plain_containers_stay():
    history = torch.ones(2, requires_grad=True)
    made = convert(object, {"a": [history, 3], "b": Holder(history)})
    assert not made["a"][0].requires_grad
    assert not made["b"].images.requires_grad
    assert made["b"].name == "mine"
    whole = {"a": (torch.ones(2), "text")}
    assert convert(object, whole) is whole
    assert [tuple(found.shape) for found in plain.tensors_in(made)] == [(2,), (2,)]


def test_masks_are_bool_and_class_numbers_whole_from_zero():
    mask = torch.tensor([True, False])
    assert convert(torch.Tensor, mask, name="membership") is mask
    for wrong in (mask.long(), mask.float(), np.array([1, 0])):
        with pytest.raises(ValueError, match=r"membership .*: allowed is a tensor of dtype bool"):
            convert(torch.Tensor, wrong, name="membership")
    with pytest.raises(ValueError, match=r"labels .*: allowed are whole numbers from 0 up, the least is -1"):
        convert(torch.Tensor, torch.tensor([0, -1]), name="labels")
    for wrong in (mask, torch.tensor([0.0, 1.0])):
        with pytest.raises(ValueError, match=r"labels .*: allowed are whole numbers from 0 up$"):
            convert(torch.Tensor, wrong, name="labels")
    soft = torch.tensor([[0.5, -0.5]])
    assert convert(torch.Tensor, soft, plain.TARGETS, name="labels") is soft
    assert convert(torch.Tensor, np.array([1], np.uint8), plain.TARGETS).dtype is torch.int64


WEIGHTS = dict[str, torch.Tensor]


@pytest.mark.parametrize(
    ("hint", "given", "message"),
    [
        (torch.Tensor, np.ma.masked_array([1.0, 2.0], mask=[True, False]), "x .*without a mask"),
        (npt.ArrayLike, np.ma.masked_array([1.0, 2.0], mask=[True, False]), "x .*without a mask"),
        (Sequence[float], np.ma.masked_array([1.0, 2.0], mask=[True, False]), "x .*without a mask"),
        (torch.Tensor, torch.ones(2).to(torch.float8_e4m3fn), "float8.*allowed are float16, bfloat16"),
        (Sequence[int], np.array([3.5]), "x ndarray float64 .*whole numbers"),
        (Sequence[int], torch.tensor([True]), "x Tensor torch.bool .*whole numbers"),
        (Sequence[float], np.array([True]), "x ndarray bool .*numbers"),
        (Sequence[float], np.ones((2, 2)), "x ndarray float64 .2, 2.: allowed is one dimension"),
        (Sequence[int], [1, 2**70], r"x\[1\] .*whole numbers of 64 bits"),
        (Sequence[float], [10**400], r"x\[0\] beyond 1e308"),
        (int, 10**400, "x beyond 1e308"),
        (Sequence[int], b"123", "x bytes"),
        (Sequence[float], frozenset({1.0}), "x frozenset"),
        (npt.ArrayLike, torch.tensor([True]), "x Tensor torch.bool"),
        (WEIGHTS, {"a": torch.tensor([NAN])}, r"x\['a'\]: nan at \(0,\)"),
        (WEIGHTS, {"a": [1.0]}, r"x\['a'\] list .*torch tensor"),
        (WEIGHTS, {"a": torch.eye(2).to_sparse()}, r"x\['a'\] Tensor.*strided"),
        (WEIGHTS, [("a", torch.ones(1))], "x list .*allowed is a dictionary"),
        (Sequence[WEIGHTS], [{"a": torch.tensor([INF])}], r"x\[0\]\['a'\]: inf"),
        (Sequence[tuple[int, float]], [(1, 2.0, 3)], r"x\[0\] tuple .*2 values"),
        (Sequence[tuple[int, float]], [(1.5, 2.0)], r"x\[0\]\[0\] 1.5: allowed are whole numbers"),
        (Sequence[str], "abc", "x 'abc': allowed is a sequence"),
    ],
)
def test_what_sequences_and_dictionaries_hold_is_checked_too(hint, given, message):
    with pytest.raises(ValueError, match=message):
        convert(hint, given)


def test_arrays_for_sequences_become_lists_of_pythons_numbers():
    for given in (np.array([1, 2], dtype=np.int32), torch.tensor([1, 2]), pd.Series([1, 2]), (1, 2), [1, 2]):
        made = convert(Sequence[int], given)
        assert list(made) == [1, 2]
        assert {type(one) for one in made} == {int}


def test_weights_are_made_plain_and_stay_themselves_where_they_are():
    plain_ones = {"a": torch.ones(2), "b": torch.zeros(2)}
    assert convert(WEIGHTS, plain_ones) is plain_ones
    made = convert(WEIGHTS, {"a": np.ones(2), "b": torch.ones(2, requires_grad=True)})
    assert isinstance(made["a"], torch.Tensor)
    assert not made["b"].requires_grad
