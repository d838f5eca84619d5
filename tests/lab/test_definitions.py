"""A record depends on the definitions that its code can reach, and on nothing else."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.lab.definitions import changed, digest, reachable

MAIN = '''"""An experiment."""
import math
from typing import TYPE_CHECKING

from toy import nets, tables
from toy.stats import mean as average
from .stats import Result

if TYPE_CHECKING:
    from toy.hints import Hint

LIMIT: float = 3.0


def run(values: "Hint", other: list["Result"] = ()) -> float:
    """Do it."""
    if not values:
        raise ValueError(f"values {values!r}: allowed are numbers")
    return average(values) + nets.build(LIMIT)


class Model:
    """A model."""

    scale: int = 2

    def fit(self):
        """Fit."""
        from toy.deep.inner import late
        return late(self.scale)


def table(name):
    return tables.KINDS[name]
'''
TOY = {
    "__init__": '__version__ = "1"\n',
    "main": MAIN,
    "stats": "def mean(x):\n    return total(x) / len(x)\n\ndef total(x):\n    return sum(x)\n\n"
    "class Result:\n    value = 1\n",
    "nets": "import math\n\ndef build(x):\n    return math.sqrt(x)\n\ndef other():\n    return 1\n",
    "hints": "class Hint:\n    pass\n",
    "tables": 'KINDS = {"a": "toy.lazy", "b": "toy.nets:other", "c": "other.place"}\n',
    "lazy": "def one():\n    return 1\n\ndef two():\n    return 2\n",
    "deep/__init__": "from toy.deep.inner import late\nfrom toy.deep import inner\n",
    "deep/inner": "def late(x):\n    return x\n\ndef never():\n    return 0\n",
}


@pytest.fixture
def toy(tmp_path):
    """Return a function that writes the toy package, changed, and says what a root of it reaches."""

    def reach(*roots, **modules):
        for name, text in (TOY | {key.replace("__in_", "/"): text for key, text in modules.items()}).items():
            path = tmp_path / "toy" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return reachable([f"toy.{root}" for root in roots], "toy", tmp_path / "toy")

    return reach


def edited(module, old, new):
    assert TOY[module].count(old) == 1
    return {module: TOY[module].replace(old, new)}


RUN = {
    "toy.main:run",
    "toy.main:LIMIT",
    "toy.stats:mean",
    "toy.stats:total",
    "toy.stats:Result",
    "toy.nets:build",
}


def test_what_a_function_reaches(toy):
    found = toy("main:run")
    assert set(found) == RUN
    assert list(found) == sorted(found)
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in found.values())


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("main", '"""Do it."""', '"""Do it well."""  # why'),
        ("main", '"""Do it."""\n', "\n"),
        ("main", "allowed are numbers", "give numbers"),
        ("main", 'ValueError(f"values {values!r}: allowed are numbers")', "ValueError"),
        ("main", "LIMIT: float", "LIMIT: int"),
        ("main", "-> float", "-> 'int'"),
        ("main", 'values: "Hint"', "values"),
        ("main", "    return average", "\n    # a comment\n    return  average"),
        ("main", "def table(name):", "def fresh():\n    return 1\n\ndef table(name):"),
        ("main", "import math\n", "import math\nimport json\n"),
        ("nets", "return 1", "return 2"),
        ("__init__", '"1"', '"2"'),
        ("hints", "pass", "value = 1"),
    ],
)
def test_what_changes_nothing(toy, module, old, new):
    before = toy("main:run")
    assert toy("main:run", **edited(module, old, new)) == before


@pytest.mark.parametrize(
    ("module", "old", "new", "names"),
    [
        ("stats", "sum(x)", "sum(x) + 1", ["toy.stats:total"]),
        ("stats", "def total(x):", "def total(y):", ["toy.stats:total"]),
        ("stats", "def total(x):", "@staticmethod\ndef total(x):", ["toy.stats:total"]),
        ("stats", "def total(x):", "def total(x=2):", ["toy.stats:total"]),
        ("stats", "value = 1", "value = 2", ["toy.stats:Result"]),
        ("main", "LIMIT: float = 3.0", "LIMIT: float = 4.0", ["toy.main:LIMIT"]),
        ("main", "LIMIT: float = 3.0", "LIMIT = 3.0", ["toy.main:LIMIT"]),
        ("main", "LIMIT: float = 3.0", "LIMIT: float = 3.0\nLIMIT += 1", ["toy.main:LIMIT"]),
        (
            "main",
            "LIMIT: float = 3.0",
            "LIMIT: float = 3.0\nfor LIMIT in (1, 2):\n  pass",
            ["toy.main:LIMIT"],
        ),
        ("main", "raise ValueError", "raise TypeError", ["toy.main:run"]),
    ],
)
def test_a_change_is_found_and_named(toy, module, old, new, names):
    before = toy("main:run")
    after = toy("main:run", **edited(module, old, new))
    assert changed(before, after) == names
    assert digest(before) != digest(after)


def test_a_definition_that_went_is_named(toy):
    before = toy("main:run")
    gone = edited("stats", "total(x) / len(x)", "sum(x) / len(x)")
    assert changed(before, toy("main:run", **gone)) == ["toy.stats:mean", "toy.stats:total"]


def test_a_name_that_stands_for_something_else_changes_what_uses_it(toy):
    roots = ("main:run", "nets:other", "stats:total")
    before = toy(*roots)
    elsewhere = edited("main", "from toy.stats import mean as", "from toy.nets import other as")
    assert "toy.main:run" in changed(before, toy(*roots, **elsewhere))
    outside = edited("nets", "import math", "import cmath as math")
    assert changed(before, toy(*roots, **outside)) == ["toy.nets:build"]
    hidden = edited("stats", "def total", "def sum(x):\n    return 0\n\ndef total")
    assert changed(before, toy(*roots, **hidden)) == ["toy.stats:total"]


def test_a_class_is_one_definition_with_its_methods(toy):
    before = toy("main:Model.fit")
    assert set(before) == {"toy.main:Model", "toy.deep.inner:late"}
    after = toy("main:Model", **edited("main", "late(self.scale)", "late(self.scale) + 1"))
    assert changed(before, after) == ["toy.main:Model"]


def test_imports_within_functions_are_followed(toy):
    for line in (
        "from toy.deep.inner import late",
        "from .deep.inner import late",
        "from toy.deep import late",
    ):
        found = toy("main:Model", **edited("main", "from toy.deep.inner import late", line))
        assert set(found) == {"toy.main:Model", "toy.deep.inner:late"}
    whole = edited("main", "from toy.deep.inner import late\n", "import toy.deep.inner as late\n")
    assert "toy.deep.inner:never" in toy("main:Model", **whole)


@pytest.mark.parametrize(
    "text",
    [
        "from toy.deep import late\ndef f():\n    return late(1)\n",
        "from toy import deep\ndef f():\n    return deep.late(1)\n",
        "from toy.deep import late as l\nf = lambda: l(1)\n",
        "import toy.deep\ndef f():\n    return toy.deep.late(1)\n",
        "import toy.deep.inner\ndef f():\n    return toy.deep.inner.late(1)\n",
        "import toy.deep.inner as i\nclass f(i.late):\n    pass\n",
        "from .deep import inner\nf = inner.late\n",
        "from . import deep\n@deep.inner.late\ndef f():\n    pass\n",
        "from toy.deep.inner import *\nf = late(1)\n",
        "from toy.deep.inner import late\ntry:\n    f = late\nexcept NameError:\n    f = None\n",
        "from toy.deep.inner import late\nwith late() as f:\n    pass\n",
        "from toy.deep.inner import late\nf, g = late(1)\n",
        "from toy.deep.inner import late\nif (f := late(1)):\n    pass\n",
    ],
)
def test_all_ways_to_import_and_to_define(toy, text):
    assert set(toy("new:f", new=text)) == {"toy.new:f", "toy.deep.inner:late"}


def test_relative_imports_of_a_package(toy):
    text = "from .inner import late\nfrom ..stats import total\ndef f():\n    return late(total([]))\n"
    found = toy("deep:f", deep__in___init__=text)
    assert set(found) == {"toy.deep:f", "toy.deep.inner:late", "toy.stats:total"}


def test_a_module_used_bare_is_reached_as_a_whole(toy):
    text = "from toy import nets\ndef f():\n    return getattr(nets, 'other')()\n"
    before = toy("new:f", new=text)
    assert set(before) == {"toy.new:f", "toy.nets:build", "toy.nets:other"}
    grown = edited("nets", "def other", "def third():\n    return 3\n\ndef other")
    assert changed(before, toy("new:f", new=text, **grown)) == []


def test_a_package_used_bare_includes_what_it_imports(toy):
    found = toy("new:f", new="from toy import deep\nf = deep\n")
    assert set(found) == {"toy.new:f", "toy.deep.inner:late", "toy.deep.inner:never"}


def test_lazy_registries_name_modules_and_definitions(toy):
    found = toy("main:table")
    entries = {f"toy.tables:KINDS[{key}]" for key in "abc"}
    assert set(found) == {"toy.main:table", *entries, "toy.lazy:one", "toy.lazy:two", "toy.nets:other"}


def test_strings_that_name_nothing_are_strings(toy):
    text = 'f = ["toy", "toy.nowhere", "toy.nets:nothing", "toy.nets:", "other.nets", "toy. nets"]\n'
    assert set(toy("new:f", new=text)) == {"toy.new:f"}


def test_a_new_entry_of_a_registry_changes_nothing_and_an_altered_one_does(toy):
    before = toy("main:table")
    assert changed(before, toy("main:table", **edited("tables", "{", '{"d": "a.b", '))) == []
    assert changed(before, toy("main:table", **edited("tables", "other.place", "x.y"))) == [
        "toy.tables:KINDS[c]"
    ]
    assert changed(before, toy("main:table", **edited("tables", ', "c": "other.place"', ""))) == [
        "toy.tables:KINDS[c]"
    ]
    assert len(changed(before, toy("main:table", tables="KINDS = dict(c=3)\n"))) == 6


def test_one_entry_can_be_a_root(toy):
    assert set(toy("tables:KINDS[b]")) == {"toy.tables:KINDS[b]", "toy.nets:other"}


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a": "b.c", "d": 1}',
        '{"a": "word"}',
        '{"a": 1, 2: 3}',
        '{"a": 1, **{}}',
        'dict({"a": 1})',
        '{"a": 1}\nF |= {}',
    ],
)
def test_other_dictionaries_are_one_definition(toy, text):
    assert set(toy("new:F", new=f"F = {text}\n")) == {"toy.new:F"}


def test_type_checking_blocks_do_not_count(toy):
    text = "if TYPE_CHECKING:\n    from toy.nets import build\n    {}\nelse:\n    build = 1\nf = build\n"
    before = toy("new:f", new=text.format("x = 1"))
    assert set(before) == {"toy.new:f", "toy.new:build"}
    assert toy("new:f", new=text.format("print()")) == before


def test_what_is_only_annotated_is_reached(toy):
    for annotation in ("Result", "'Result'", "'list[Result | None]'", "dict[str, 'Result']"):
        text = f"from toy.stats import Result\ndef f(x: {annotation}):\n    y: int = x\n    return y\n"
        assert set(toy("new:f", new=text)) == {"toy.new:f", "toy.stats:Result"}
    text = "def f(x: 'no annotation:'):\n    return x\n"
    assert set(toy("new:f", new=text)) == {"toy.new:f"}


@pytest.mark.parametrize("decorator", ["@entrance", "@core.entrance(labels=1)", "@other"])
def test_annotations_count_where_they_convert_arguments(toy, decorator):
    text = f"{decorator}\ndef f(x: int, *y: {{}}) -> int:\n    return x\n"
    text += f"{decorator}\nclass G:\n    z: {{}} = 1\n    def h(self, z: int): return z\n"
    before, after = (toy("new:f", "new:G", new=text.format(kind, kind)) for kind in ("float", "object"))
    differing = {name for name in before if before[name] != after[name]}
    assert differing == (set() if decorator == "@other" else {"toy.new:f", "toy.new:G"})
    returned = toy("new:f", new=text.replace("-> int", "-> str").format("float", "float"))
    assert returned["toy.new:f"] == before["toy.new:f"]


@pytest.mark.parametrize(
    "effect",
    [
        "math.flag = True",
        "math.setup(1)",
        "if math.pi > 3:\n    math.setup(1)",
        "for each in (0, 2):\n    math.setup(1, each)",
        "del math.pi",
        "a = math.flag = True",
    ],
)
def test_side_effects_of_a_reached_module_are_a_definition(toy, effect):
    before = toy("main:run")
    found = toy("main:run", **edited("nets", "import math\n", f"import math\n{effect}\n"))
    assert set(found) - {"toy.nets:each"} == {*RUN, "toy.nets:<statements>"}
    other = effect.replace("True", "False").replace("(1", "(3").replace(".pi", ".e")
    after = toy("main:run", **edited("nets", "import math\n", f"import math\n{other}\n"))
    assert changed(found, after) == ["toy.nets:<statements>"]
    assert changed(before, found) == ["toy.nets:<statements>"]  # reached through no name


def test_side_effects_of_modules_that_are_imported_on_the_way_count(toy):
    used = toy("main:Model", deep__in___init__="print(1)\n", tables="print(2)\n", __init__="print(3)\n")
    assert {"toy.deep:<statements>", "toy.tables:<statements>", "toy:<statements>"} < set(used)
    assert "toy.lazy:<statements>" not in toy("main:Model", lazy="print(1)\n")


def test_what_only_a_script_runs_does_not_count(toy):
    before = toy("main:run")
    script = edited("nets", "import math\n", "import math\nif __name__ == '__main__':\n    print(1)\n")
    assert toy("main:run", **script) == before


def test_which_branch_a_definition_is_in_counts(toy):
    text = "import math\nif math.{}:\n    f = 1\nelse:\n    f = 2\n"
    before = toy("new:f", new=text.format("pi"))
    assert set(before) == {"toy.new:f"}
    assert changed(before, toy("new:f", new=text.format("e"))) == ["toy.new:f"]
    swapped = text.format("pi").replace("1", "0").replace("2", "1").replace("0", "2")
    assert changed(before, toy("new:f", new=swapped)) == ["toy.new:f"]


def test_names_that_a_package_makes_on_demand(toy):
    lazy = 'def __getattr__(name):\n    return "toy.lazy:one"\n'
    text = "from toy import deep\ndef f():\n    return deep.{}\n"
    found = toy("new:f", new=text.format("one"), deep__in___init__=lazy)
    assert set(found) == {"toy.new:f", "toy.deep:__getattr__", "toy.lazy:one"}
    assert set(toy("new:f", new=text.format("__name__"), deep__in___init__=lazy)) == {"toy.new:f"}
    within = "def f():\n    import toy\n    return toy.one\n"
    assert "toy.lazy:one" in toy("new:f", new=within, __init__=lazy)


def test_names_of_python_are_not_asked_of_a_package(toy):
    text = "def __getattr__(name):\n    pass\n\ndef f(x):\n    return len(x)\n"
    assert set(toy("deep:f", deep__in___init__=text)) == {"toy.deep:f"}


def test_the_version_is_no_definition(toy):
    text = "import toy\n__all__ = ['f']\ndef f():\n    return toy.__version__, __all__\n"
    before = toy("new:f", new=text)
    assert set(before) == {"toy.new:f"}
    assert toy("new:f", new=text.replace("['f']", "[]"), **edited("__init__", '"1"', '"2"')) == before


def test_circles_end(toy):
    circle = {"one": "from toy.two import f\n", "two": "from toy.one import f\ng = f\n"}
    assert set(toy("two:g", **circle)) == {"toy.two:g"}
    calls = {"one": "from toy import two\ndef f():\n    return two.g()\n"}
    calls["two"] = "from toy import one\ndef g():\n    return one.f()\n"
    assert set(toy("two:g", **calls)) == {"toy.one:f", "toy.two:g"}


def test_folders_without_init_are_packages(toy):
    found = toy("new:f", new="from toy.bare import x\nf = x.y\n", bare__in_x="y = 1\n")
    assert set(found) == {"toy.new:f", "toy.bare.x:y"}


@pytest.mark.parametrize(
    "root", ["main:nothing", "nowhere:run", "main", "main:", ":run", "main:run[a]", "main:math2"]
)
def test_roots_that_are_not_there_are_refused(toy, root):
    with pytest.raises(ValueError, match=r"^root 'toy\.") as caught:
        toy(root)
    assert repr(f"toy.{root}") in str(caught.value)
    assert "allowed are" in str(caught.value)


def test_roots_may_be_imported_names(toy):
    assert set(toy("main:average")) == {"toy.stats:mean", "toy.stats:total"}


@pytest.mark.parametrize("package", ["no_such_package", "toy.main", "ast"])
def test_unknown_packages_are_refused(package):
    with pytest.raises(ValueError, match=package):
        reachable([f"{package}:f"], package)


def test_nothing_is_executed(toy):
    assert set(toy("new:f", new="raise SystemExit\nf = 1\n")) == {"toy.new:<statements>", "toy.new:f"}


def test_the_real_package_reaches_itself():
    found = reachable(["privacy_for_free.lab.definitions:reachable"])
    assert {"privacy_for_free.lab.definitions:reachable", "privacy_for_free.lab.syntax:parse"} <= set(found)
    assert changed(found, found) == []


def test_the_digest_of_all_does_not_depend_on_their_order():
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"}) != digest({"a": "2", "b": "1"})


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_comments_docstrings_and_blank_lines_never_count(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("dressed")
    lines = [line for line in ast.unparse(ast.parse(MAIN)).splitlines() if line]
    dressed = []
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        extra = data.draw(
            st.sampled_from(["", "\n", f"{indent}# why\n", f'{indent}"""More."""\n', "  # out\n"])
        )
        dressed.append(f"{extra}{line}{data.draw(st.sampled_from(['', '  # so', '   ']))}\n")
    roots = [f"toy.main:{name}" for name in ("run", "Model", "table", "LIMIT")]
    found = []
    for text in (MAIN, "".join(dressed)):
        for name, content in (TOY | {"main": text}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / f"{name}.py").write_text(content, encoding="utf-8")
        found.append(reachable(roots, "toy", folder))
    assert found[0] == found[1]
