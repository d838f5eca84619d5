"""The source of a module taken apart: what it defines, what its imports stand for, what a definition uses."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

STATEMENTS = "<statements>"
NO_DEFINITIONS = ("__all__", "__version__")
STAR = "*"

_UNSEEN = ("annotation", "kind", "returns", "type_comment")  # fields that no digest sees
_BRANCHES = ("body", "orelse", "handlers", "finalbody", "cases")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LOOPS = (ast.For, ast.While)
_BLOCKS = (ast.If, *_LOOPS, ast.With, ast.Try, ast.TryStar, ast.Match, ast.ExceptHandler, ast.match_case)


@dataclass(frozen=True)
class Imports:
    """What the names that imports bind stand for, as dotted names, and all that the imports may load."""

    names: dict[str, list[str]] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)

    def add(self, node: ast.Import | ast.ImportFrom, module: str, package: bool) -> None:
        """Note an import of a module; `package` says that the module is the __init__ of one."""
        source = _source(node, module, package)
        for alias in node.names:
            dotted = source + alias.name
            self.loads.append(dotted)
            top = alias.asname is None and isinstance(node, ast.Import)  # binds `a` of `a.b`
            target = alias.name.partition(".")[0] if top else dotted.removesuffix(f".{STAR}")
            self.names.setdefault(target if top else alias.asname or alias.name, []).append(target)


@dataclass(frozen=True)
class Module:
    """A module taken apart: definitions, the entries of each registry (definitions too), and imports."""

    name: str
    package: bool
    definitions: dict[str, list[ast.AST]] = field(default_factory=dict)
    registries: dict[str, list[str]] = field(default_factory=dict)
    imports: Imports = field(default_factory=Imports)

    def named(self, name: str) -> list[str]:
        """Return the definitions that a name stands for: itself, a registry's entries, or none."""
        return self.registries.get(name) or [name] * (name in self.definitions)

    def local(self, definition: str) -> Imports:
        """Return the imports within a definition."""
        found = Imports()
        for root in self.definitions[definition]:
            for node in ast.walk(root):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    found.add(node, self.name, self.package)
        return found

    def uses(self, definition: str, *, seen: bool) -> list[str]:
        """Return the dotted names that are loaded in a definition, and its strings, in quotes.

        `seen` leaves out what its digest does not see: annotations and the arguments of raised exceptions.
        """
        return sorted({use for node in self.definitions[definition] for use in _uses(node, seen)})

    def sha256(self, definition: str, meaning: Iterable[str]) -> str:
        """Hash the text of a definition, whatever its layout, and what its names mean."""
        nodes = self.definitions[definition]
        lines = [_canonical(nodes), *meaning, *(hint for node in nodes for hint in _converted(node))]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def parse(name: str, package: bool, text: str) -> Module:
    """Take the source of a module apart."""
    module = Module(name, package)
    for leaf, whole in _leaves(_Runtime().visit(ast.parse(text)).body):
        if isinstance(leaf, (ast.Import, ast.ImportFrom)):
            module.imports.add(leaf, name, package)
        for defined in _defined(leaf):
            module.definitions.setdefault(defined, []).append(whole)
    for defined, statements in list(module.definitions.items()):
        if len(statements) == 1 and (entries := _entries(statements[0])):
            del module.definitions[defined]
            for key, value in entries:
                module.registries.setdefault(defined, []).append(f"{defined}[{key}]")
                module.definitions.setdefault(f"{defined}[{key}]", []).append(value)
    return module


def _source(node: ast.Import | ast.ImportFrom, module: str, package: bool) -> str:
    if isinstance(node, ast.Import):
        return ""
    above = module.split(".") if node.level else []
    del above[len(above) - max(node.level - package, 0) :]
    return ".".join([*above, *([node.module] if node.module else []), ""])


class _Runtime(ast.NodeTransformer):
    """Leaves out the blocks that no import of a module runs."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        typing = getattr(node.test, "id", getattr(node.test, "attr", None)) == "TYPE_CHECKING"
        return node.orelse if typing or ast.unparse(node.test) == "__name__ == '__main__'" else node


def _leaves(statements: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield each simple statement and definition, alone and within the blocks around it."""
    for statement in statements:
        if not isinstance(statement, _BLOCKS):
            yield statement, statement
            continue
        kept = {key: value for key, value in ast.iter_fields(statement) if key not in _BRANCHES}
        head = type(statement)(**kept)
        yield head, head  # may bind names: `for name in names`
        for branch in _BRANCHES:
            for leaf, whole in _leaves(getattr(statement, branch, ())):
                yield leaf, type(statement)(**kept, **{branch: [whole]})


def _defined(statement: ast.AST) -> set[str]:
    """Return the names that a statement defines; `STATEMENTS` is one if it does anything else."""
    if isinstance(statement, (ast.Import, ast.ImportFrom, ast.Pass)) or _is_docstring(statement):
        return set()
    if isinstance(statement, _SCOPES):
        return {statement.name}
    stored = list(_stored(statement))
    names = {node.id for node in stored if isinstance(node, ast.Name)}
    effect = not names or any(isinstance(node, (ast.Attribute, ast.Subscript)) for node in stored)
    if effect and not isinstance(statement, _BLOCKS):
        names.add(STATEMENTS)
    return names - {*NO_DEFINITIONS}


def _stored(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(getattr(node, "ctx", None), ast.Store):
        yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.comprehension, ast.Lambda)):  # they have variables of their own
            yield from _stored(child)


def _entries(node: ast.AST) -> list[tuple[str, ast.AST]]:
    """Return the entries of a registry of lazy imports, none for anything else."""
    simple = isinstance(node, ast.AnnAssign) or (isinstance(node, ast.Assign) and len(node.targets) == 1)
    if not simple or not isinstance(node.value, ast.Dict):
        return []
    keys = [getattr(key, "value", None) for key in node.value.keys]
    places = [getattr(value, "value", None) for value in node.value.values]
    if not all(isinstance(key, str) for key in keys) or not all(map(_is_place, places)):
        return []
    return list(zip(keys, node.value.values, strict=True))


def _is_place(value: object) -> bool:
    """Whether a constant is written like a module inside a package, or like a definition of one."""
    words = value.replace(":", ".", 1).split(".") if isinstance(value, str) else []
    return len(words) > 1 and all(word.isidentifier() for word in words)


def _is_docstring(node: object) -> bool:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text and isinstance(node.value.value, str)


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield the fields of a node that its digest sees, the same for every Python that parses it."""
    for key, value in ast.iter_fields(node):
        if isinstance(node, ast.Raise) and key == "exc" and isinstance(value, ast.Call):
            yield key, value.func
            continue
        if isinstance(value, list):
            value = [item for item in value if not _is_docstring(item)]
        if value is not None and value != [] and key not in _UNSEEN:
            yield key, value


def _canonical(node: object) -> str:
    if isinstance(node, list):
        return "[" + ",".join(map(_canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    return f"{type(node).__name__}({','.join(f'{key}={_canonical(value)}' for key, value in _fields(node))})"


def _converted(node: ast.AST) -> Iterator[str]:
    """Yield the annotations by which entrances (`core.entrance`) convert their arguments."""
    for inner in ast.walk(node):
        if not isinstance(inner, _SCOPES) or not any(map(_is_entrance, inner.decorator_list)):
            continue
        parts = ast.walk(inner.args) if hasattr(inner, "args") else inner.body
        for part in parts:
            if getattr(part, "annotation", None) is not None:
                name = part.arg if isinstance(part, ast.arg) else ast.unparse(part.target)
                yield f"{name}: {ast.unparse(part.annotation)}"


def _is_entrance(decorator: ast.AST) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(called, "id", getattr(called, "attr", "")) == "entrance"


def _uses(node: ast.AST, seen: bool, annotation: bool = False) -> Iterator[str]:
    base, attributes = node, []
    while isinstance(base, ast.Attribute):
        base, attributes = base.value, [base.attr, *attributes]
    if isinstance(base, ast.Name):
        if base is not node or not isinstance(base.ctx, ast.Store):
            yield ".".join([base.id, *attributes])
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _quoted(node.value, seen) if annotation else [f'"{node.value}"']
    else:
        for key, value in _fields(node) if seen else ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _uses(child, seen, annotation or key in ("annotation", "returns"))


def _quoted(text: str, seen: bool) -> Iterator[str]:
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return
    yield from _uses(tree.body, seen, annotation=True)
