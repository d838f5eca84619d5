"""The house: what may import what, what is private, and how large a room may be."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lib" / "privacy_for_free"
MODULES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
TESTS = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("*.py")}
BELOW = {  # what each folder may import besides itself
    "core": "",
    "stats": "core",
    "data": "core",
    "nets": "core stats data",
    "condensation": "core stats data nets",
    "attacks": "core stats data nets condensation",
    "theory": "core stats data nets condensation",
    "private": "core stats data nets condensation attacks theory",
    "shadows": "core stats data nets condensation attacks theory",
    "lab": "core data",
    "experiments": "core stats data nets condensation attacks theory private shadows lab",
    "book": "core stats data nets condensation attacks theory private shadows lab experiments",
    "__main__.py": "core data lab experiments",
}
LINES, EXPERIMENT_LINES, CHAPTER_LINES, LESSON_LINES = 350, 150, 60, 15


def imported(tree):
    """Yield (module, name) of every import of this package, at any depth but under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("privacy_for_free"):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.startswith("privacy_for_free"))
        yield from imported(node)


def test_the_top_level_is_empty():
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert len(MODULES[Path("__init__.py")].body) <= 2  # its docstring, and the version


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_one_way(path):
    folder, allowed = path.parts[0], {path.parts[0], *BELOW.get(path.parts[0], "").split()}
    for module, name in imported(MODULES[path]):
        target = module.split(".")[1] if "." in module else name
        assert target in allowed, f"{path} imports {module} {name}: {folder} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] == "experiments"], ids=str)
def test_no_experiment_knows_another(path):
    for module, name in imported(MODULES[path]):
        parts = [*module.split("."), name]
        if len(parts) > 2 and parts[1] == "experiments" and (PACKAGE / "experiments" / parts[2]).is_dir():
            assert parts[2] == path.parts[1], f"{path} imports the experiment {parts[2]}"


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=str)
def test_private_names_stay_at_home(path):
    """No name with a leading underscore crosses a module, be it imported or reached for."""
    tree = MODULES.get(path) or TESTS[path]
    names = {name for _, name in imported(tree)}
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("privacy_for_free")
        for alias in node.names
    }
    reached = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in aliases and node.attr.startswith("_") and not node.attr.endswith("__")
    }
    assert not {name for name in names if name.startswith("_") and not name.endswith("__")} | reached


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_rooms_are_small(path):
    lines = len((PACKAGE / path).read_text().splitlines())
    most = EXPERIMENT_LINES if path.parts[0] == "experiments" and len(path.parts) == 3 else LINES
    assert lines <= most, f"{path} has {lines} lines, allowed are {most}"


CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapters_are_thin(path):
    """Analysis lives in the library: a notebook composes it, and shows code that teaches."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    total = 0
    for cell in cells:
        source, tags = "".join(cell["source"]), set(cell["metadata"].get("tags", []))
        lines = len(source.splitlines())
        if "lesson" in tags:
            assert "hide-input" not in tags, f"a lesson that is hidden: {source[:60]}"
            assert lines <= LESSON_LINES, f"a lesson of {lines} lines: {source[:60]}"
        elif "parameters" not in tags:
            total += lines
            kinds = (ast.FunctionDef, ast.Lambda, ast.For, ast.While)
            found = [type(node).__name__ for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
            assert not found, f"{found} in a cell that is no lesson: {source[:60]}"
    assert total <= CHAPTER_LINES, f"{total} lines of code"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_glued_numbers_are_those_of_the_prose(path, glue_keys):
    """Each number that a chapter hands over is inserted, and each that is inserted was handed over."""
    cells = json.loads(path.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    glued = {output.get("metadata", {}).get("scrapbook", {}).get("name") for output in outputs} - {None}
    assert glued == glue_keys(path.stem)
