"""A run is varied by naming fields of its settings; what is not allowed is refused, with what is."""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_for_free.lab.settings import as_json, change, fill, flat, name_of, parse, table


@dataclass(frozen=True)
class Rates:
    first: float = 0.1
    last: float | None = None


@dataclass(frozen=True)
class Matching:
    iterations: int = 400
    rates: Rates = field(default_factory=Rates)
    compile: bool = False

    def __post_init__(self):
        if self.iterations < 1:
            raise ValueError(f"iterations {self.iterations!r}: allowed are whole numbers from 1 up")


@dataclass(frozen=True)
class Design:
    shadows: int
    fewer: tuple[int, ...]
    cells: tuple[tuple[str, str, float, int], ...]
    dm: Matching
    queries: tuple[str, ...] = ("identity",)
    pool_batch: int | None = None
    init: Literal["real", "noise", 3] = "real"
    shrinkages: tuple[float | str, ...] = (1.0, "ledoit_wolf")
    strict: bool = True
    augmentation: str = "flip_crop"
    place: Path = Path("x")
    made: int = field(default=5, init=False)


DESIGN = Design(64, (8, 16), (("dm", "real", 0.1, 64),), Matching())
LEAVES = {
    "shadows": 64,
    "fewer": (8, 16),
    "cells": (("dm", "real", 0.1, 64),),
    "dm.iterations": 400,
    "dm.rates.first": 0.1,
    "dm.rates.last": None,
    "dm.compile": False,
    "queries": ("identity",),
    "pool_batch": None,
    "init": "real",
    "shrinkages": (1.0, "ledoit_wolf"),
    "strict": True,
    "augmentation": "flip_crop",
    "place": Path("x"),
    "made": 5,
}
FIXED = ("place", "made")
WHOLE, NUMBER = st.integers(), st.floats(allow_nan=False)
VALUES = {
    "shadows": WHOLE,
    "fewer": st.lists(WHOLE).map(tuple),
    "cells": st.lists(st.tuples(st.text(), st.text(), NUMBER, WHOLE)).map(tuple),
    "dm.iterations": st.integers(1),
    "dm.rates.first": NUMBER,
    "dm.rates.last": st.none() | NUMBER,
    "dm.compile": st.booleans(),
    "queries": st.lists(st.text()).map(tuple),
    "pool_batch": st.none() | WHOLE,
    "init": st.sampled_from(["real", "noise", 3]),
    "shrinkages": st.lists(NUMBER | st.text()).map(tuple),
    "strict": st.booleans(),
    "augmentation": st.text(),
}
ALL = st.fixed_dictionaries(VALUES)


def nested(changes):
    found = {}
    for name, value in changes.items():
        *groups, last = name.split(".")
        inner = found
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return found


def refusal(changes):
    with pytest.raises(ValueError, match="What can be set:") as caught:
        change(DESIGN, changes)
    return str(caught.value)


def test_flat_names_every_leaf_in_order():
    assert list(flat(DESIGN).items()) == list(LEAVES.items())


@given(values=ALL)
def test_change_and_flat_are_inverse(values):
    fixed = {name: LEAVES[name] for name in FIXED}
    for changes in (values, nested(values), dict(reversed(values.items()))):
        assert flat(change(DESIGN, changes)) == values | fixed


@given(data=st.data(), name=st.sampled_from(sorted(VALUES)))
def test_a_change_alters_one_leaf(data, name):
    value = data.draw(VALUES[name])
    assert flat(change(DESIGN, {name: value})) == LEAVES | {name: value}


@given(data=st.data(), name=st.sampled_from(sorted(VALUES)))
def test_what_python_and_json_write_is_read_back(data, name):
    value = data.draw(VALUES[name])
    texts = [repr(value)] + ([json.dumps(value, ensure_ascii=False)] if "inf" not in repr(value) else [])
    for text in texts:
        expected = LEAVES | {name: value}
        assert flat(change(DESIGN, dict([parse(f"{name}={text}")]))) == expected


def test_no_change():
    assert change(DESIGN, {}) == change(DESIGN, {"dm": {"rates": {}}}) == DESIGN


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=100", 100),
        (" a.b = 1e-3 ", 0.001),
        ("a.b=true", True),
        ("a.b=False", False),
        ("a.b=null", None),
        ("a.b=None", None),
        ("a.b=inf", math.inf),
        ("a.b=-.inf", -math.inf),
        ("a.b=-Infinity", -math.inf),
        ("a.b=[1, [true, null]]", [1, [True, None]]),
        ("a.b=('x', 2)", ("x", 2)),
        ("a.b=8,16", (8, 16)),
        ("a.b=flip_crop", "flip_crop"),
        ("a.b=a=b", "a=b"),
        ("a.b='100'", "100"),
        ("a.b=", ""),
        ("a.b=1-2", "1-2"),
        ("a.b=(", "("),
        ("a.b=f(x)", "f(x)"),
        (r"a.b='\d'", r"\d"),
        ("a.b=[x, 1]", "[x, 1]"),
    ],
)
def test_parse(text, value):
    name, found = parse(text)
    assert (name, found, type(found)) == ("a.b", value, type(value))


@pytest.mark.parametrize("text", ["shadows", "", "=3", " = 3"])
def test_text_that_is_no_change_is_refused(text):
    with pytest.raises(ValueError, match="name=value") as caught:
        parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("dm.rates.first", 2, 2.0),
        ("dm.rates.last", 2, 2.0),
        ("dm.rates.first", np.float32(0.5), 0.5),
        ("shadows", np.int64(3), 3),
        ("pool_batch", np.int32(3), 3),
        ("fewer", [1, np.int8(2)], (1, 2)),
        ("fewer", [], ()),
        ("cells", [["dm", "real", 1, 2]], (("dm", "real", 1.0, 2),)),
        ("shrinkages", [1, "x"], (1.0, "x")),
    ],
)
def test_values_are_converted(name, value, expected):
    found = flat(change(DESIGN, {name: value}))[name]
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("shadows", "x", "allowed are whole numbers"),
        ("shadows", 1.0, "allowed are whole numbers"),
        ("shadows", True, "allowed are whole numbers"),
        ("shadows", None, "allowed are whole numbers"),
        ("shadows", {"a": 1}, "allowed are whole numbers"),
        ("shadows", {}, "allowed are whole numbers"),
        ("pool_batch", False, "allowed are whole numbers or None"),
        ("dm.rates.first", "x", "allowed are numbers"),
        ("dm.rates.first", True, "allowed are numbers"),
        ("dm.rates.first", 10**400, "allowed are numbers"),
        ("strict", 1, "allowed are true or false"),
        ("strict", "true", "allowed are true or false"),
        ("augmentation", 1, "allowed are texts"),
        ("init", "other", "allowed are 'real' or 'noise' or 3"),
        ("init", 3.0, "allowed are 'real' or 'noise' or 3"),
        ("fewer", 8, "allowed are lists of whole numbers"),
        ("fewer", (8, "x"), "allowed are lists of whole numbers"),
        ("queries", "identity", "allowed are lists of texts"),
        ("cells", [("dm", "real", 0.1)], "allowed are lists of lists [text, text, number, whole number]"),
        ("shrinkages", [None], "allowed are lists of numbers or texts"),
        ("dm", 5, "allowed are values for the fields of dm"),
        ("place", "y", "cannot be set"),
        ("made", 6, "cannot be set"),
        ("shadow", 5, "allowed are the names below"),
        ("dm.iteration", 5, "allowed are the names below"),
        ("shadows.x", 5, "allowed are the names below"),
        ("other", {"a": 1}, "allowed are the names below"),
    ],
)
def test_wrong_names_and_values_are_refused(name, value, allowed):
    for changes in ({name: value}, nested({name: value})) if name != "shadows.x" else ({name: value},):
        first, *listing = refusal(changes).splitlines()
        assert first.startswith(f"{name} {value!r}: ")
        assert allowed in first
        assert listing == ["What can be set:", *(f"  {line}" for line in table(DESIGN).splitlines())]


def test_all_that_is_wrong_is_said_at_once_and_before_anything_is_made():
    message = refusal({"shadows": "x", "nothing": 1, "dm": {"iterations": 0, "compile": 3}})
    assert [line.partition(":")[0] for line in message.splitlines()[:3]] == [
        "shadows 'x'",
        "nothing 1",
        "dm.compile 3",
    ]


def test_a_name_given_twice_is_refused():
    message = refusal({"dm.iterations": 1, "dm": {"iterations": 2}})
    assert message.startswith("dm.iterations 1 and 2: allowed is one value")


def test_what_the_dataclass_refuses_is_passed_on():
    with pytest.raises(ValueError, match=r"^iterations 0: allowed are whole numbers from 1 up$"):
        change(DESIGN, {"dm.iterations": 0})


def test_table_says_name_value_and_kind():
    lines = table(DESIGN).splitlines()
    assert [line.split(" = ")[0].strip() for line in lines] == list(LEAVES)
    assert len({line.index(" = ") for line in lines}) == 1
    assert lines[3].endswith(" dm.iterations = 400  (whole number)")
    assert lines[2].endswith("(list of lists [text, text, number, whole number])")
    assert lines[8].endswith(" = None  (whole number or None)")
    assert lines[-1].endswith(" = 5  (cannot be set)")
    assert table(dataclasses.make_dataclass("Empty", [])()) == ""


def test_json_is_that_of_sidecars():
    design = Matching(rates=Rates(math.inf))
    assert as_json(design) == json.loads(json.dumps(dataclasses.asdict(design)))
    assert as_json(design)["rates"] == {"first": math.inf, "last": None}


def test_fill_adds_defaults_and_nothing_else():
    design = change(Design(1, (), (), Matching(), place="y"), {"queries": ["a"], "dm.rates.first": 3.0})
    stored = {"shadows": 2, "old": [1], "dm": {"iterations": 7, "older": 1}, "place": "z"}
    filled = fill(stored, design)
    assert "fewer" not in filled
    assert filled["shadows"] == 2
    assert filled["queries"] == ["identity"]
    assert filled["shrinkages"] == [1.0, "ledoit_wolf"]
    assert filled["dm"] == {
        "iterations": 7,
        "older": 1,
        "rates": {"first": 0.1, "last": None},
        "compile": False,
    }
    assert (filled["old"], filled["place"]) == ([1], "z")
    assert stored == {"shadows": 2, "old": [1], "dm": {"iterations": 7, "older": 1}, "place": "z"}


def test_a_complete_record_stays_as_it_is():
    stored = as_json(change(DESIGN.dm, {"rates.first": 5}))
    assert fill(stored, DESIGN.dm) == stored


@given(values=ALL)
def test_names_of_changes_do_not_depend_on_order_and_nesting(values):
    name = name_of(values)
    assert len(name) == 8
    assert int(name, 16) >= 0
    assert name == name_of(nested(values)) == name_of(dict(reversed(values.items())))
    assert name == name_of({**nested(values), "none": {}})
    assert name != name_of(values | {"shadows": values["shadows"] + 1})


def test_names_of_changes_see_values_and_not_how_they_are_written():
    assert name_of({"a": (1, [2.0])}) == name_of({"a": [np.float64(1.0), (np.int64(2),)]})
    found = [name_of({"a": value}) for value in (1, "1", True, None, [1], 1.5, math.inf)]
    assert len(set(found)) == len(found)
    with pytest.raises(ValueError, match=r"a\.b 1 and 2"):
        name_of({"a.b": 1, "a": {"b": 2}})
