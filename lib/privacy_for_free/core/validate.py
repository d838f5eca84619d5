"""Checks of arguments, in one place: each returns the value, or says what came and what is allowed.

Numbers of numpy, and arrays and tensors of one, are numbers too, and come back as Python's; bools, text and
NaN are none.
"""

import math
from collections.abc import Iterable

from privacy_for_free.core import plain


def whole(name: str, value: object, least: int = 0, most: int | None = None) -> int:
    """Return a whole number from `least` up (to `most`) as an int; numpy's whole numbers are some too.

    >>> whole("ipc", 0, 1)
    Traceback (most recent call last):
    ValueError: ipc 0: allowed are whole numbers from 1 up
    """
    try:
        number = plain.whole(name, value)
    except ValueError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        upper = "up" if most is None else f"to {most}"
        raise ValueError(f"{name} {value!r}: allowed are whole numbers from {least} {upper}")
    return number


def positive(name: str, value: float) -> float:
    """Return a finite number above 0.

    >>> positive("rate", -1.0)
    Traceback (most recent call last):
    ValueError: rate -1.0: allowed are finite numbers above 0
    """
    number = _number(name, value)
    if not 0 < number < math.inf:
        raise ValueError(f"{name} {value!r}: allowed are finite numbers above 0")
    return number


def not_negative(name: str, value: float) -> float:
    """Return a finite number from 0 up.

    >>> not_negative("decay", -1.0)
    Traceback (most recent call last):
    ValueError: decay -1.0: allowed are finite numbers from 0 up
    """
    number = _number(name, value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} {value!r}: allowed are finite numbers from 0 up")
    return number


def fraction(name: str, value: float) -> float:
    """Return a number from 0 to below 1.

    >>> fraction("momentum", 1)
    Traceback (most recent call last):
    ValueError: momentum 1: allowed are numbers from 0, below 1
    """
    number = _number(name, value)
    if not 0 <= number < 1:
        raise ValueError(f"{name} {value!r}: allowed are numbers from 0, below 1")
    return number


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return a value that is one of those known.

    >>> one_of("device", "tpu", ("cpu", "cuda"))
    Traceback (most recent call last):
    ValueError: device 'tpu': known are cpu, cuda
    """
    known = tuple(known)
    if value not in known:
        raise ValueError(f"{name} {value!r}: known are {', '.join(known)}")
    return value


def _number(name: str, value: object) -> int | float:
    """Return a number as Python's int or float, and NaN, which no range holds, for whatever is none."""
    try:
        return plain.number(name, value)
    except (ValueError, OverflowError):  # a whole number may be larger than any float
        return math.nan
