"""What belongs together is counted against each other: the shapes of arguments, written once.

    images N C H W, labels N, membership K N, released K classes d

One argument after the other, with a name for each of its dimensions. A name stands for one size, wherever it
occurs; where the function has a whole number of that name among its arguments (`classes`), for that number.
Sizes are from 1 up, but for names with a question mark. Further signs:

    3        this size                     1|3      one of these
    ...      any number of dimensions here, the same ones wherever it occurs
    [q]      a last dimension that may be missing
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

NAME = re.compile(r"[A-Za-z_]\w*\??")


@dataclass(frozen=True)
class Shape:
    """The dimensions of one argument.

    name       of the argument
    first      whether any number of dimensions comes first: "..."
    sizes      a sign for each other dimension
    optional   how many of the last ones may be missing
    """

    name: str
    first: bool
    sizes: tuple[str, ...]
    optional: int

    def __str__(self) -> str:
        """Return the dimensions as messages have them: N x C x H x W."""
        signs = ["..."] * self.first
        signs += [
            f"[{sign}]" if i >= len(self.sizes) - self.optional else sign for i, sign in enumerate(self.sizes)
        ]
        return " x ".join(sign.replace("?", "") for sign in signs) or "a number"


def parse(text: str) -> tuple[Shape, ...]:
    """Return the shapes that a text states; ValueError for signs there are not.

    >>> [str(shape) for shape in parse("logits ... classes, labels ...")]
    ['... x classes', '...']
    """
    found = []
    for part in text.split(","):
        name, *signs = part.split()
        first = signs[:1] == ["..."]
        signs = signs[first:]
        optional = sum(sign.startswith("[") for sign in signs)
        sizes = tuple(sign.strip("[]") for sign in signs)
        for sign in sizes:
            if not NAME.fullmatch(sign) and not re.fullmatch(r"\d+(\|\d+)*", sign):
                raise ValueError(f"shape {part.strip()!r}: {sign!r} is no sign of a dimension")
        found.append(Shape(name, first, sizes, optional))
    return tuple(found)


def check(shapes: tuple[Shape, ...], arguments: Mapping[str, object]) -> None:
    """Refuse the first argument whose shape is not the one stated; what has no shape is passed over."""
    known: dict[str, tuple[int, str]] = {
        name: (value, "")
        for name, value in arguments.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    leading: tuple[tuple[int, ...], str] | None = None
    for shape in shapes:
        value = arguments.get(shape.name)
        if not hasattr(value, "shape"):
            continue
        found = tuple(value.shape)
        least = len(shape.sizes) - shape.optional
        if len(found) < least or (len(found) > len(shape.sizes) and not shape.first):
            raise _refused(shape, value, "")
        if shape.first:
            count = max(0, len(found) - len(shape.sizes))
            own, found = found[:count], found[count:]
            if leading is not None and leading[0] != own:
                raise _refused(shape, value, f", with {leading[0]} for ..., as of {leading[1]}")
            leading = (own, shape.name)
        for sign, size in zip(shape.sizes, found, strict=False):
            _check_size(shape, value, sign, size, known)


def _check_size(shape: Shape, value: object, sign: str, size: int, known: dict[str, tuple[int, str]]) -> None:
    if sign[0].isdigit():
        if str(size) not in sign.split("|"):
            raise _refused(shape, value, "")
        return
    name = sign.rstrip("?")
    if name in known and known[name][0] != size:
        number, of = known[name]
        raise _refused(shape, value, f", with {name} = {number}{f' as of {of}' if of else ''}")
    if size == 0 and not sign.endswith("?"):
        raise _refused(shape, value, f", {name} from 1 up")
    known.setdefault(name, (size, shape.name))


def _refused(shape: Shape, value: object, more: str) -> ValueError:
    return ValueError(f"{shape.name} {value.dtype} {tuple(value.shape)}: allowed is {shape}{more}")
