"""Checks that the functions of this room share, besides those of `core.validate`."""

import functools
import inspect
import math
import re
from collections.abc import Callable

import numpy as np
import torch

from privacy_for_free.core import validate

LARGEST = 2**28  # entries of one array that a function may need: 2 GiB in float64
LARGEST_COUNT = 2**53  # every whole number up to here is a float
NAME = re.compile(r"(?:^|, )([A-Za-z_]\w*)")  # of an argument, with its value behind it


def naming(*names: str) -> Callable[[Callable], Callable]:
    """Return a decorator: what fails with arguments that are each right alone is said of those named.

    It stands below `entrance`. Numbers that no float holds, and refusals by functions that call the same
    thing another name, become one ValueError that begins with names and values. Not for generators.
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: object, **kwargs: object) -> object:
            try:
                with np.errstate(over="raise", invalid="raise", divide="raise"):
                    return function(*args, **kwargs)
            except (ArithmeticError, ValueError) as error:
                said, of = str(error), signature.bind(*args, **kwargs)
                about = set(NAME.findall(said.partition(":")[0]))
                if type(error) is ValueError and about and about <= signature.parameters.keys():
                    raise
                of.apply_defaults()
                given = ", ".join(f"{name} {_told(of.arguments[name])}" for name in names)
                if isinstance(error, ArithmeticError):
                    said = "allowed are numbers that give results which a float holds"
                raise ValueError(f"{given}: {said}") from error

        return call

    return decorate


def _told(value: object) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if hasattr(value, "dtype") else repr(value)


def counts(least: int = 1, **values: int) -> None:
    """Refuse, by its name, what is no whole number from `least` up.

    >>> counts(n=5, m=0)
    Traceback (most recent call last):
    ValueError: m 0: allowed are whole numbers from 1 up
    """
    for name, value in values.items():
        if validate.whole(name, value, least) > LARGEST_COUNT:
            raise ValueError(f"{name} {value!r}: allowed are whole numbers from {least} to {LARGEST_COUNT}")


def positive(**values: float) -> None:
    """Refuse, by its name, what is no finite number above 0.

    >>> positive(variance=-1.0)
    Traceback (most recent call last):
    ValueError: variance -1.0: allowed are finite numbers above 0
    """
    for name, value in values.items():
        validate.positive(name, value)


def setting(*, step_size: float = 0.0, variance: float = 1.0, **sizes: int) -> None:
    """Refuse a negative step size, a variance that is not positive, and sizes below 1.

    >>> setting(step_size=0.1, m=0)
    Traceback (most recent call last):
    ValueError: m 0: allowed are whole numbers from 1 up
    """
    validate.not_negative("step_size", step_size)
    validate.positive("variance", variance)
    counts(**sizes)


def place(index: int, n: int) -> None:
    """Refuse an image that is not one of n, of which there are at least two; -1 is not the last one.

    >>> place(-1, 5)
    Traceback (most recent call last):
    ValueError: index -1: allowed are 0 to 4, of at least 2 images
    """
    if n < 2 or not 0 <= validate.whole("index", index, -math.inf) < n:
        raise ValueError(f"index {index!r}: allowed are 0 to {n - 1}, of at least 2 images")


def floats(**tensors: torch.Tensor | None) -> None:
    """Refuse tensors that are not all of one floating dtype; None is passed over.

    >>> floats(real=torch.zeros(2), initial=torch.zeros(2).double())
    Traceback (most recent call last):
    ValueError: initial torch.float64: allowed are floats of one dtype, here that of real, torch.float32
    """
    first = None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        first = first or (name, tensor.dtype)
        if not tensor.is_floating_point():
            raise ValueError(f"{name} {tensor.dtype}: allowed are floats")
        if tensor.dtype != first[1]:
            raise ValueError(
                f"{name} {tensor.dtype}: allowed are floats of one dtype, here that of {first[0]}, {first[1]}"
            )


def memory(what: str, entries: float, most: int = LARGEST) -> None:
    """Refuse what would need an array of more than `most` entries; `what` names the arguments and values.

    >>> memory("k 3, d 5", 2**40)
    Traceback (most recent call last):
    ValueError: k 3, d 5: 1.1e+12 entries of one array, allowed are 268435456 at most
    """
    if entries > most:
        raise ValueError(f"{what}: {entries:.2g} entries of one array, allowed are {most} at most")


def spread(name: str, values: np.ndarray) -> None:
    """Refuse standard deviations and scales that are not from 0 up, and finite."""
    if not ((values >= 0) & np.isfinite(values)).all():
        raise ValueError(f"{name} down to {values.min():g}: allowed are finite numbers from 0 up")


def three(name: str, values: tuple[int, ...]) -> tuple[int, ...]:
    """Return three numbers; ValueError for more and for fewer."""
    if len(values) != 3:
        raise ValueError(f"{name} {values!r}: allowed are three numbers")
    return values


def sizes(shape: tuple[int, ...]) -> None:
    """Refuse what is not the shape of an image, channels, height and width, or is too large for memory."""
    for size in three("shape", shape):
        counts(shape=size)
    memory(f"shape {shape!r}", 2 * math.prod(shape))


def replaced(
    replaced: tuple[np.ndarray, torch.Tensor], points: torch.Tensor, others: torch.Tensor | None = None
) -> None:
    """Refuse rows that `points` (n, d) has not, and what comes for them where it is not as many rows of d.

    What comes, `points` and `others` are floats of one dtype.
    """
    leaving, coming = replaced
    floats(points=points, others=others, replaced=coming)
    least, most = (int(end) for end in (np.min(leaving), np.max(leaving)))
    if least < 0 or most >= len(points) or tuple(coming.shape) != (len(leaving), points.shape[1]):
        raise ValueError(
            f"replaced {least} to {most}, by {tuple(coming.shape)}: allowed are 0 to {len(points) - 1}, and "
            f"as many images, of {points.shape[1]} numbers"
        )
