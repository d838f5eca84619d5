"""Annotations read: what an argument of a type has to be, and how it is made plain.

`converter` reads an annotation once and returns what checks and converts an argument of that type. Accepted:

    torch.Tensor   tensors and numpy arrays of numbers or bools, strided, on one device; a history is cut off,
                   half precision becomes float32, any layout becomes the plain one. Values are finite,
                   unless a KIND says otherwise; BY_NAME has the kinds of parameters that mean the same
                   everywhere: labels of any whole dtype become int64, membership is bool.
    np.ndarray     the same, as an array
    int            whole numbers, numpy's too; no bools, no text, no 3.0
    float          numbers, numpy's and tensors of one value too; no bools, no text, no NaN
    bool, str      just these (and numpy's bools)
    Sequence[int], Sequence[float]   each of its elements as above, any number of them; arrays and tensors too
    Sequence[T], tuple[T, U], dict[str, T]   each of what they hold as above: the weights of a network are a
                   dictionary of tensors

Everything else passes as it is, but for tensors in tuples, lists, dicts and dataclasses, which are made plain
as well, and for classes, of which it has to be an instance.
"""

import itertools
import math
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import torch

from privacy_for_free.core import paths
from privacy_for_free.core.plain import (
    FINITE,
    NO_MASK,
    NUMBERS,
    ORDERED,
    array,
    flag,
    number,
    refused,
    tensor,
    text,
    whole,
    within,
)

Converter = Callable[[str, object, str], object]
NO_SEQUENCE = (str, bytes, bytearray, Mapping, Set)


def converter(hint: object) -> Converter:
    """Return what converts an argument that is annotated with `hint`: (name, value, kind) -> value."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in SIMPLE:
        return SIMPLE[hint]
    if hint is np.typing.ArrayLike:
        return _array_like
    if origin in (types.UnionType, typing.Union):
        return _union(inner)
    if origin in (Sequence, Iterable, list, tuple) and set(inner) - {Ellipsis} in ({int}, {float}):
        return _sequence(converter(inner[0]))
    if origin in (dict, Mapping) and inner:
        return _mapping(converter(inner[1]))
    if origin in (Sequence, list, tuple) and inner:
        of_items = [converter(one) for one in inner if one is not Ellipsis]
        fixed = origin is tuple and Ellipsis not in inner
        return _items(of_items, len(of_items) if fixed else None)
    checkable = origin is None and isinstance(hint, type) and not getattr(hint, "_is_protocol", False)
    if checkable and hint is not object:
        return _instance(hint)
    return lambda name, value, kind: within(value)


def _instance(expected: type) -> Converter:
    def convert(name: str, value: object, kind: str) -> object:
        if not isinstance(value, expected):
            raise refused(name, value, f"is a {expected.__module__.split('.')[0]} {expected.__qualname__}")
        return within(value)

    return convert


def _mapping(of_values: Converter) -> Converter:
    """Convert the values of a mapping, such as the weights of a network; its keys stay as they are."""

    def convert(name: str, value: object, kind: str) -> object:
        if not isinstance(value, Mapping):
            raise refused(name, value, "is a dictionary")
        made = {key: of_values(f"{name}[{key!r}]", item, kind) for key, item in value.items()}
        return value if all(made[key] is value[key] for key in made) else made

    return convert


def _items(converters: Sequence[Converter], count: int | None) -> Converter:
    """Convert what a tuple of `count` holds, or with one converter a sequence of any length."""

    def convert(name: str, value: object, kind: str) -> object:
        if isinstance(value, NO_SEQUENCE) or not isinstance(value, Sequence | torch.Tensor | np.ndarray):
            raise refused(name, value, "is a sequence")
        if count is not None and len(value) != count:
            raise refused(name, value, f"are {count} values")
        pairs = zip(value, itertools.cycle(converters), strict=False)
        made = [one(f"{name}[{place}]", item, kind) for place, (item, one) in enumerate(pairs)]
        if isinstance(value, tuple):
            same = all(new is old for new, old in zip(made, value, strict=True))
            return value if same else type(value)(*made) if hasattr(value, "_fields") else tuple(made)
        return made

    return convert


def _sequence(one: Converter) -> Converter:
    def convert(name: str, value: object, kind: str) -> object:
        column = value.to_numpy() if hasattr(value, "to_numpy") else value  # of a table
        if isinstance(column, torch.Tensor | np.ndarray):
            found = array(name, column, kind)
            if found.dtype == bool or (one is whole and found.dtype.kind not in "iu"):
                raise refused(name, value, "are whole numbers" if one is whole else "are numbers")
            if found.ndim != 1:
                raise refused(name, value, "is one dimension")
            return found.tolist()
        if isinstance(value, NO_SEQUENCE) or not isinstance(value, Iterable):
            raise refused(name, value, "is a sequence of numbers")
        if isinstance(value, range):
            return value
        items = [one(f"{name}[{place}]", item, kind) for place, item in enumerate(value)]
        for place, item in enumerate(items):
            if one is whole and not -(2**63) <= item < 2**63:
                raise refused(f"{name}[{place}]", item, "are whole numbers of 64 bits")
            if kind == FINITE and item in (math.inf, -math.inf):
                raise refused(f"{name}[{place}]", item, "are finite numbers")
        return tuple(items) if isinstance(value, tuple) else items

    return convert


def _array_like(name: str, value: object, kind: str) -> object:
    """Return what numpy makes an array of, tensors too; numbers that are not NaN."""
    if isinstance(value, torch.Tensor) and value.dtype is not torch.bool:
        return array(name, value, ORDERED)
    value = within(value)
    if isinstance(value, np.ma.MaskedArray):
        raise refused(name, value, NO_MASK)
    try:
        made = np.asarray(value)
    except ValueError as error:
        raise refused(name, value, f"is what numpy makes an array of ({error})") from error
    if made.dtype.kind not in NUMBERS or made.dtype == bool:
        raise refused(name, value, "are numbers")
    if np.isnan(made).any():
        raise refused(name, value, "are numbers, and one is none")
    return value


def _union(inner: tuple[object, ...]) -> Converter:
    if any(isinstance(one, type) and issubclass(one, os.PathLike) for one in inner):
        return lambda name, value, kind: None if value is None else paths.given(name, value)
    converters = {one: converter(one) for one in inner if one is not types.NoneType}

    def convert(name: str, value: object, kind: str) -> object:
        if value is None and types.NoneType in inner:
            return None
        failed = []
        for one in sorted(converters, key=lambda one: not _meant(value, one)):
            try:
                return converters[one](name, value, kind)
            except ValueError as error:
                if _meant(value, one) or len(converters) == 1:
                    raise
                failed.append(str(error).rpartition(": allowed ")[2])
        raise refused(name, value, ", or ".join(dict.fromkeys(failed)))

    return convert


def _meant(value: object, hint: object) -> bool:
    """Whether a value is of the type that stands in an annotation, before anything is converted."""
    if hint is torch.Tensor:
        return isinstance(value, torch.Tensor | np.ndarray)
    if hint is float:
        return isinstance(value, float)
    expected = typing.get_origin(hint) or hint
    checkable = isinstance(expected, type) and not getattr(expected, "_is_protocol", False)
    return checkable and isinstance(value, expected)


SIMPLE: dict[object, Converter] = {
    torch.Tensor: tensor,
    np.ndarray: array,
    int: whole,
    float: number,
    bool: flag,
    str: text,
    Path: lambda name, value, kind: paths.given(name, value),
}
