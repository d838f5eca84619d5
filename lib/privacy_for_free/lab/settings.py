"""Settings of an experiment, which are frozen dataclasses in one another, by the names of their fields.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Matching:
...     iterations: int = 400
>>> @dataclass(frozen=True)
... class Design:
...     shadows: int
...     dm: Matching
>>> print(table(Design(64, Matching())))
      shadows = 64  (whole number)
dm.iterations = 400  (whole number)
>>> change(Design(64, Matching()), dict([parse("dm.iterations=100")]))
Design(shadows=64, dm=Matching(iterations=100))
"""

import dataclasses
import hashlib
import json
import typing
from collections import defaultdict
from collections.abc import Iterator, Mapping

from privacy_for_free.lab import kinds

Settings = typing.TypeVar("Settings")


class _Field(typing.NamedTuple):
    """A field by its dotted name; `hint` is its annotation, or in words why it has none to go by."""

    name: str
    value: object
    hint: object

    @property
    def group(self) -> bool:
        return _is_group(self.value)


def flat(settings: object) -> dict[str, object]:
    """Return the value of each field that is no dataclass, by its dotted name, in the order of the fields."""
    return {field.name: field.value for field in _fields(settings) if not field.group}


def parse(text: str) -> tuple[str, object]:
    """Read "name=value"; a value is a Python literal, a word of YAML or JSON such as true, or else text.

    >>> parse("dm.iterations=100"), parse("fewer=8, 16"), parse("compile = true"), parse("augmentation=flip")
    (('dm.iterations', 100), ('fewer', (8, 16)), ('compile', True), ('augmentation', 'flip'))
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name:
        raise ValueError(f"change {text!r}: allowed are a name, an equals sign and a value: name=value")
    return name, kinds.literal(value)


def change(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """Return the settings with fields changed, by dotted names or mappings in one another.

    Raises one ValueError for all names and values that are not allowed, with a list of what can be set. What
    a dataclass itself refuses is its ValueError.
    """
    fields = {field.name: field for field in _fields(settings)}
    groups = {name for name, field in fields.items() if field.group}
    values, refused = _gathered(_pairs(changes, groups)), []
    for name, given in values.items():
        try:
            values[name] = _checked(name, given, fields.get(name))
        except ValueError as error:
            refused.append(str(error))
    if refused:
        listing = (f"  {line}" for line in table(settings).splitlines())
        raise ValueError("\n".join([*refused, "What can be set:", *listing]))
    return _replaced(settings, values)


def table(settings: object) -> str:
    """List every field: its dotted name, its value and what it can be, one on each line, aligned."""
    fields = [field for field in _fields(settings) if not field.group]
    width = max((len(field.name) for field in fields), default=0)
    return "\n".join(
        f"{field.name:>{width}} = {field.value!r}  ({kinds.described(field.hint) or 'cannot be set'})"
        for field in fields
    )


def as_json(settings: object) -> dict[str, object]:
    """Return the settings as a record's sidecar holds them."""
    return _plain(dataclasses.asdict(settings))


def fill(stored: Mapping[str, object], settings: object) -> dict[str, object]:
    """Return a sidecar's settings, with the defaults of fields that it does not have yet.

    Fields without a default stay missing, and keys that are no fields (any more) stay.
    """
    filled = dict(stored)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in filled:
            if _is_group(value) and isinstance(filled[field.name], Mapping):
                filled[field.name] = fill(filled[field.name], value)
        elif field.default is not dataclasses.MISSING:
            filled[field.name] = _plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            filled[field.name] = _plain(field.default_factory())
    return filled


def plain(changes: Mapping[str, object]) -> dict[str, object]:
    """Return changes by their dotted names, as a record's sidecar holds them.

    >>> plain({"dm": {"iterations": 100}})
    {'dm.iterations': 100}
    """
    values = _gathered(_pairs(changes))
    return _plain({name: _single(name, given) for name, given in values.items()})


def name_of(changes: Mapping[str, object]) -> str:
    """Return 8 hex digits for changes, the same however they are nested and ordered.

    >>> name_of({"dm.iterations": 100}) == name_of({"dm": {"iterations": 100.0}})
    True
    """
    values = _gathered(_pairs(changes))
    for name, given in values.items():
        _single(name, given)
    text = json.dumps({name: _unified(value) for name, (value,) in values.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _is_group(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields(settings: object, prefix: str = "", settable: bool = True) -> Iterator[_Field]:
    """Yield every field, those of a dataclass after the one that holds it."""
    hints = _hints(type(settings))
    for field in dataclasses.fields(settings):
        name, value = f"{prefix}{field.name}", getattr(settings, field.name)
        init = settable and field.init
        yield _Field(name, value, hints.get(field.name, "unknown") if init else "init=False")
        if _is_group(value):
            yield from _fields(value, f"{name}.", init)


def _hints(kind: type) -> dict[str, object]:
    try:
        return typing.get_type_hints(kind)
    except NameError:  # a name that only type checkers import
        return {}


def _pairs(
    changes: Mapping[str, object], groups: set[str] | None = None, prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Yield dotted names and values; a mapping is opened where a group is, without groups everywhere."""
    for key, value in changes.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and (groups is None or name in groups):
            yield from _pairs(value, groups, f"{name}.")
        else:
            yield name, value


def _gathered(pairs: Iterator[tuple[str, object]]) -> dict[str, object]:
    """Return all values that are given for a name."""
    values = defaultdict(list)
    for name, value in pairs:
        values[name].append(value)
    return dict(values)


def _single(name: str, given: list[object]) -> object:
    if len(given) > 1:
        raise ValueError(f"{name} {' and '.join(map(repr, given))}: allowed is one value for a name")
    return given[0]


def _checked(name: str, given: list[object], field: _Field | None) -> object:
    value = _single(name, given)
    if field is None:
        raise ValueError(f"{name} {value!r}: allowed are the names below")
    if field.group:
        raise ValueError(f"{name} {value!r}: allowed are values for the fields of {name}, one by one")
    allowed = kinds.described(field.hint, many=True)
    if not allowed:
        raise ValueError(f"{name} {value!r}: allowed is no change, for a field of {field.hint} cannot be set")
    try:
        return kinds.converted(value, field.hint)
    except (TypeError, OverflowError):
        raise ValueError(f"{name} {value!r}: allowed are {allowed}") from None


def _replaced(settings: Settings, values: Mapping[str, object]) -> Settings:
    own, groups = {}, defaultdict(dict)
    for name, value in values.items():
        first, _, rest = name.partition(".")
        (groups[first] if rest else own)[rest or first] = value
    inner = {name: _replaced(getattr(settings, name), part) for name, part in groups.items()}
    return dataclasses.replace(settings, **own, **inner)


def _plain(value: object) -> object:
    return json.loads(json.dumps(value, default=dataclasses.asdict))


def _unified(value: object) -> object:
    """Return one value for all that mean the same: lists for tuples, whole numbers for floats that are."""
    value = kinds.builtin(value)
    if isinstance(value, (tuple, list)):
        return [_unified(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
