"""Checks of arguments, in one place: each returns the value, or says what came and what is allowed."""

import math
import operator
from collections.abc import Iterable


def whole(name: str, value: object, least: int = 0, most: int | None = None) -> int:
    """Return a whole number from `least` up (to `most`) as an int; numpy's whole numbers are some too.

    >>> whole("ipc", 0, 1)
    Traceback (most recent call last):
    ValueError: ipc 0: allowed are whole numbers from 1 up
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
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
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{name} {value!r}: allowed are finite numbers above 0")
    return value


def not_negative(name: str, value: float) -> float:
    """Return a finite number from 0 up.

    >>> not_negative("decay", -1.0)
    Traceback (most recent call last):
    ValueError: decay -1.0: allowed are finite numbers from 0 up
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} {value!r}: allowed are finite numbers from 0 up")
    return value


def fraction(name: str, value: float) -> float:
    """Return a number from 0 to below 1.

    >>> fraction("momentum", 1)
    Traceback (most recent call last):
    ValueError: momentum 1: allowed are numbers from 0, below 1
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{name} {value!r}: allowed are numbers from 0, below 1")
    return value


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
