"""Values of settings: read from text, described in words, and checked against annotations.

Supported are int, float, bool, str, None, Literal, tuples of fixed and of any length, and unions of these.
"""

import ast
import contextlib
import math
import types
import typing
import warnings
from collections.abc import Iterable

import numpy as np

_WORDS = {"true": True, "false": False, "null": None, "inf": math.inf, "nan": math.nan}
_WORDS |= {"Infinity": math.inf, "NaN": math.nan}
_DOTTED = {".inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
_KINDS = {  # of values, one and more
    int: ("whole number", "whole numbers"),
    float: ("number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "texts"),
    types.NoneType: ("None", "None"),
}


class _Words(ast.NodeTransformer):
    """Puts values in the place of the words for them."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.copy_location(ast.Constant(_WORDS[node.id]), node) if node.id in _WORDS else node


def literal(text: str) -> object:
    """Read a Python literal, with the words of YAML and JSON in it too; what is none is text.

    >>> [literal(text) for text in ("1e3", "[true, null]", "-inf", ".inf", "8, 16", "flip_crop", "'3'")]
    [1000.0, [True, None], -inf, inf, (8, 16), 'flip_crop', '3']
    """
    if text in _DOTTED:
        return _DOTTED[text]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of text that looks like odd code
            return ast.literal_eval(_Words().visit(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return text


def described(hint: object, many: bool = False) -> str:
    """Say in words what an annotation allows, one of it or many; "" for one that is not supported.

    >>> described(int | None), described(tuple[tuple[str, float], ...], many=True)
    ('whole number or None', 'lists of lists [text, number]')
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(map(repr, inner))
    if origin in (typing.Union, types.UnionType):
        words = [described(each, many) for each in inner]
        return " or ".join(words) if all(words) else ""
    if origin is tuple:
        lists, several = "lists" if many else "list", inner[1:] == (...,)
        words = [described(each, several) for each in (inner[:1] if several else inner)]
        contents = f" of {words[0]}" if several else f" [{', '.join(words)}]"
        return lists + contents if all(words) else ""
    return _KINDS[hint][many] if isinstance(hint, type) and hint in _KINDS else ""


def builtin(value: object) -> object:
    """Return a number of numpy as one of Python, anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def converted(value: object, hint: object) -> object:
    """Return a value as an annotation has it; TypeError if it does not allow it.

    >>> converted([[1, 2]], tuple[tuple[int, float], ...])
    ((1, 2.0),)
    """
    value = builtin(value)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _first(value, inner)
    if origin is typing.Literal:
        return _first(value, [type(each) for each in inner if each == value])
    if origin is tuple and isinstance(value, (tuple, list)):
        hints = inner[:1] * len(value) if inner[1:] == (...,) else inner
        if len(hints) == len(value):
            return tuple(map(converted, value, hints))
    elif hint is float and type(value) is int:
        return float(value)
    elif hint in _KINDS and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise TypeError(f"{value!r}: allowed are {described(hint, many=True)}")


def _first(value: object, hints: Iterable[object]) -> object:
    """Convert a value to the first type that allows it, but keep its own type if one does."""
    found = []
    for hint in hints:
        with contextlib.suppress(TypeError, OverflowError):
            found.append(converted(value, hint))
    if not found:
        raise TypeError(f"{value!r}: of no type that is allowed")
    return next((each for each in found if type(each) is type(value)), found[0])
