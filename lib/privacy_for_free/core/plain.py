"""Values made plain: whatever stands for a tensor, a number or a text becomes the one this library computes
with, or is refused by name.

`annotations` says which of these functions an argument goes through.
"""

import copy
import dataclasses
import math
import operator
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

FINITE = "finite"  # the kind of a tensor that no other is named for
ORDERED = "ordered"  # infinite values are allowed, NaN is not
SHOWN = "shown"  # images as they are shown: floats from 0 to 1
ANY = "any"  # whatever the dtype can hold
MASK = "mask"  # of dtype bool
CLASSES = "classes"  # whole numbers from 0 up; int64 whatever they came as
TARGETS = "targets"  # class numbers, or floats: what a network is to say
KINDS = (FINITE, ORDERED, SHOWN, ANY, MASK, CLASSES, TARGETS)
BY_NAME = {"membership": MASK, "labels": CLASSES, "labels_of_pool": CLASSES, "owner": CLASSES}
MARGIN = 1e-6  # by which values of images that are shown may lie outside, from clamping and rounding
HALF = (torch.float16, torch.bfloat16)
TAKEN = (torch.float32, torch.float64)
BEYOND = "beyond 1e308: allowed are numbers that a float holds"
NO_MASK = "is an array without a mask: fill it, or leave out what is masked"
NUMBERS = "biuf"  # numpy's kinds of dtypes that torch has too


def refused(name: str, value: object, allowed: str) -> ValueError:
    """Return the error for a value that has not the type allowed: it names the argument and what came."""
    if isinstance(value, torch.Tensor | np.ndarray):
        text = f"{type(value).__name__} {value.dtype} {tuple(value.shape)}"
    else:
        text = " ".join(repr(value).split())
        text = text if len(text) <= 80 else f"{text[:77]}..."
        if not isinstance(value, str | int | float | complex | bool | None):
            text = f"{type(value).__name__} {text}"
    return ValueError(f"{name} {text}: allowed {allowed}")


def whole(name: str, value: object, kind: str = FINITE) -> int:
    """Return a whole number as an int.

    >>> whole("ipc", "3")
    Traceback (most recent call last):
    ValueError: ipc '3': allowed are whole numbers
    """
    try:
        if isinstance(value, bool | np.bool_) or getattr(value, "dtype", None) is torch.bool:
            raise TypeError
        found = operator.index(value)
        float(found)
    except TypeError:
        raise refused(name, value, "are whole numbers") from None
    except OverflowError:
        raise ValueError(f"{name} {BEYOND}") from None
    return found


def number(name: str, value: object, kind: str = FINITE) -> int | float:
    """Return a number that is not NaN, as an int or a float; infinity is one.

    >>> number("tpr", np.float32(0.5)), number("tpr", 1)
    (0.5, 1)
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # numpy's scalars, arrays and tensors of one value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(name, value, "are numbers")
    if value != value:
        raise refused(name, value, "are numbers, and this is none")
    try:
        as_float = float(value)
    except OverflowError:
        raise ValueError(f"{name} {BEYOND}") from None
    short = type(value) is float or (type(value) is int and -(2**63) <= value < 2**63)
    return value if short else as_float


def flag(name: str, value: object, kind: str = FINITE) -> bool:
    """Return True or False."""
    if not isinstance(value, bool | np.bool_):
        raise refused(name, value, "are True and False")
    return bool(value)


def text(name: str, value: object, kind: str = FINITE) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise refused(name, value, "is text")
    return str(value)


def tensor(name: str, value: object, kind: str = FINITE) -> torch.Tensor:
    """Return a plain tensor: without a history, strided as torch makes them, of full precision, checked."""
    if isinstance(value, np.ma.MaskedArray):
        raise refused(name, value, NO_MASK)
    if isinstance(value, np.ndarray | np.generic):
        value = _of_numpy(name, value)
    if not isinstance(value, torch.Tensor):
        raise refused(name, value, "is a torch tensor or a numpy array")
    if value.layout is not torch.strided or value.is_complex() or value.is_quantized or value.is_meta:
        raise refused(name, value, "is a tensor of real numbers in memory, strided")
    value = plain_tensor(value)
    if value.is_floating_point() and value.dtype not in TAKEN:
        raise refused(name, value, "are float16, bfloat16, float32 and float64")
    if kind in (CLASSES, TARGETS) and not value.is_floating_point() and value.dtype is not torch.bool:
        value = value.long()
    check_values(name, value, kind)
    return value


def plain_tensor(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same values: no history, no odd strides, no half precision."""
    if value.requires_grad or type(value) is not torch.Tensor:
        value = value.detach().as_subclass(torch.Tensor)
    if value.layout is not torch.strided:
        return value
    if value.dtype in HALF:
        value = value.float()
    odd = value.stride() != _strides(value.shape)
    if odd or value.is_inference() or value.is_neg() or value.is_conj():
        value = torch.empty(value.shape, dtype=value.dtype, device=value.device).copy_(value)
    return value


def check_values(name: str, value: torch.Tensor, kind: str) -> None:
    """Refuse values that a result would hide: the first that is not finite, or lies outside of [0, 1]."""
    if kind == SHOWN and not value.is_floating_point():
        raise refused(name, value, "are floats from 0 to 1")
    if kind == MASK and value.dtype is not torch.bool:
        raise refused(name, value, "is a tensor of dtype bool")
    if kind == CLASSES and (value.dtype is not torch.int64 or (value.numel() and int(value.min()) < 0)):
        least = f", the least is {int(value.min())}" if value.dtype is torch.int64 else ""
        raise refused(name, value, f"are whole numbers from 0 up{least}")
    if kind == ANY or not value.is_floating_point() or value.numel() == 0:
        return
    low, high = (end.item() for end in torch.aminmax(value))  # NaN where one value is, and in no memory
    if math.isnan(low) or (kind != ORDERED and not (math.isfinite(low) and math.isfinite(high))):
        wrong = value.isnan() if kind == ORDERED else ~value.isfinite()
        place = tuple(wrong.nonzero()[0].tolist())
        allowed = "numbers, infinite ones too" if kind == ORDERED else "finite numbers"
        raise ValueError(f"{name}: {value[place].item()} at {place}; allowed are {allowed}")
    if kind == SHOWN and (low < -MARGIN or high > 1 + MARGIN):
        raise ValueError(f"{name} from {low:.6g} to {high:.6g}: allowed are floats from 0 to 1")


def array(name: str, value: object, kind: str = FINITE) -> np.ndarray:
    """Return a numpy array, checked as a tensor is."""
    return tensor(name, value, kind).cpu().numpy()


def within(value: object) -> object:
    """Return the value with the tensors in its tuples, lists, dicts and dataclasses made plain."""
    return mapped(value, lambda found: plain_tensor(found) if isinstance(found, torch.Tensor) else found)


def mapped(value: object, change: Callable[[object], object]) -> object:
    """Return the value with `change` applied to what its tuples, lists, dicts and dataclasses hold.

    A container in which nothing changes is returned itself.
    """
    if isinstance(value, dict):
        made = {key: mapped(item, change) for key, item in value.items()}
        return value if all(made[key] is value[key] for key in value) else made
    if isinstance(value, list | tuple):
        made = [mapped(item, change) for item in value]
        if all(new is old for new, old in zip(made, value, strict=True)):
            return value
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        made = {}
        for part in dataclasses.fields(value):
            old = getattr(value, part.name, None)
            new = mapped(old, change)
            if new is not old:
                made[part.name] = new
        if made:
            value = copy.copy(value)
            for key, item in made.items():
                object.__setattr__(value, key, item)
        return value
    return change(value)


def tensors_in(value: object) -> Iterator[torch.Tensor | np.ndarray]:
    """Yield the tensors and arrays that a value is, or that its containers hold."""
    if isinstance(value, torch.Tensor | np.ndarray):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            yield from tensors_in(getattr(value, part.name, None))


def _of_numpy(name: str, value: np.ndarray | np.generic) -> torch.Tensor:
    made = np.asarray(value)
    if made.dtype.kind not in NUMBERS or made.dtype.itemsize > 8:
        raise refused(name, value, "is a torch tensor or a numpy array of numbers or bools")
    if not made.dtype.isnative:
        made = made.astype(made.dtype.newbyteorder("="))
    if not made.flags.writeable or any(step < 0 for step in made.strides):
        made = made.copy()
    return torch.from_numpy(made)


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a tensor as torch makes it."""
    steps, step = [], 1
    for size in reversed(shape):
        steps.append(step)
        step *= max(size, 1)
    return tuple(reversed(steps))
