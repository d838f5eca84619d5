"""What a result depends on in this package: a digest for each definition that given ones can reach.

A definition is a top-level function, class or assigned name of a module, written "module:name". A dict
literal from strings to names of modules or definitions of this package is a registry of what is imported when
it is asked for: each entry is a definition, "module:NAME[key]", so that a new entry changes none. What else a
module runs when it is imported is its definition "module:<statements>"; it counts for every module that is
imported on the way.

A digest is of a definition's text without comments, docstrings, annotations and the arguments of exceptions
that are raised, and of what its names stand for: an import from elsewhere changes what uses it. The
annotations of an entrance (`core.entrance`) count, for they decide how its arguments are converted.

The modules are parsed, never imported. What is found may be too much, for a local variable with the name of
an import counts as a use of it. It is too little only where names are made at run time: a function is not
found that only its own decorator registers, nor a module whose name is put together from pieces.
"""

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path

from privacy_for_free.lab import syntax

_LENGTH = 16  # hex digits of a definition's digest
_OUTSIDE = "import "  # what an import from another package stands for


def reachable(
    roots: Iterable[str], package: str = "privacy_for_free", folder: Path | None = None
) -> dict[str, str]:
    """Return the definitions of the package that the roots can reach, sorted, each with its digest.

    A root is "module:name"; of a dotted name the first part counts. `folder` is the package's own, by default
    the one that Python finds. Raises ValueError for a root that is not there.
    """
    walk = _Walk(package, folder or _folder(package))
    for root in roots:
        walk.start(root)
    return dict(sorted(walk.run().items()))


def changed(recorded: Mapping[str, str], today: Mapping[str, str]) -> list[str]:
    """Return the recorded definitions that are missing or different today, and new statements of modules.

    A definition that was not recorded can only be reached through one that has changed, or is a new entry of
    a registry; what a module runs when it is imported is reached through no name.

    >>> changed({"a:f": "1", "a:g": "2"}, {"a:f": "1", "a:g": "3", "a:h": "4"})
    ['a:g']
    """
    altered = [name for name in recorded if today.get(name) != recorded[name]]
    return altered + [name for name in today if name.endswith(syntax.STATEMENTS) and name not in recorded]


def digest(definitions: Mapping[str, str]) -> str:
    """Hash definitions and their digests into one; the order does not count."""
    lines = (f"{name} {value}\n" for name, value in sorted(definitions.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"package {package!r}: allowed are packages that Python finds, without dots")
    return Path(spec.submodule_search_locations[0])


class _Walk:
    """Goes from definition to definition.

    What a name stands for is written as in digests: "module:name" (a registry too), "module:" for a module as
    a whole, "import a.b" for what is of another package.
    """

    def __init__(self, package: str, folder: Path) -> None:
        self.package, self.folder = package, folder
        self.modules: dict[str, syntax.Module | None] = {}
        self.entered: set[str] = set()
        self.waiting: list[str] = []
        self.found: dict[str, str] = {}

    def start(self, root: str) -> None:
        """Begin at a root too."""
        name, _, definition = root.partition(":")
        module = self.module(name)
        first = definition if module and module.named(definition) else definition.partition(".")[0]
        if module is None or not (module.named(first) or first in module.imports.names):
            raise ValueError(f"root {root!r}: allowed are definitions of {self.package}, as 'module:name'")
        self.waiting += self.meanings(name, [first])

    def run(self) -> dict[str, str]:
        """Reach everything; return the digests."""
        whole: set[str] = set()
        while self.waiting:
            name, _, definition = (meaning := self.waiting.pop()).partition(":")
            if meaning.startswith(_OUTSIDE) or meaning in self.found or meaning in whole:
                continue
            if not definition or definition in self.module(name).registries:
                whole.add(meaning)
                self.waiting += self.parts(name, definition)
            else:
                self.reach(name, definition)
        return self.found

    def parts(self, name: str, registry: str) -> Iterator[str]:
        """Yield what a registry or a whole module consists of, of an __init__ also what it imports."""
        module = self.module(name)
        self.enter(name)
        for definition in module.registries.get(registry, module.definitions):
            yield f"{name}:{definition}"
        if module.package and not registry:
            for imported in module.imports.names:
                yield from self.meanings(name, [imported])

    def reach(self, name: str, definition: str) -> None:
        """Note a definition, and what it uses as waiting."""
        module, self.found[f"{name}:{definition}"] = self.module(name), ""
        self.enter(name)
        local = module.local(definition)
        for dotted in local.loads:
            self.enter(dotted)
        seen = {
            meaning for use in module.uses(definition, seen=True) for meaning in self.used(name, use, local)
        }
        value = module.sha256(definition, sorted(seen))[:_LENGTH]
        self.found[f"{name}:{definition}"] = value
        for use in module.uses(definition, seen=False):
            self.waiting += self.used(name, use, local)

    def used(self, name: str, use: str, local: syntax.Imports) -> Iterator[str]:
        """Yield what a use within a module, in a definition with imports of its own, stands for."""
        if use.startswith('"'):
            text, colon, definition = use[1:-1].partition(":")
            if text.startswith(f"{self.package}.") and self.module(text) and (definition or not colon):
                yield from self.meanings(text, definition.split(".") if colon else [])
            return
        first, *rest = names = use.split(".")
        yield from self.meanings(name, names)
        for target in local.names.get(first, ()):
            yield from self.imported(target, rest)

    def imported(self, target: str, rest: list[str], past: tuple[object, ...] = ()) -> Iterator[str]:
        """Yield what attributes of an import stand for."""
        top, *names = target.split(".")
        if top == self.package:
            yield from self.meanings(top, [*names, *rest], (*past, (target,)))
        else:
            yield _OUTSIDE + target

    def meanings(self, name: str, names: list[str], past: tuple[object, ...] = ()) -> Iterator[str]:
        """Yield what a chain of attributes of a module stands for; more than one thing if in doubt.

        `past` holds the steps that led here, none if the module's own code asks.
        """
        step = (name, *names)
        if not names or step in past:
            yield from () if names else [f"{name}:"]
            return
        module, (first, *rest), past = self.module(name), names, (*past, step)
        known = bool(module.named(first))
        if known:
            yield f"{name}:{first}"
        for target in module.imports.names.get(first, ()):
            known = True
            yield from self.imported(target, rest, past)
        if self.module(f"{name}.{first}"):
            known = True
            yield from self.meanings(f"{name}.{first}", rest, past)
        if not known and not first.startswith("__"):
            for target in module.imports.names.get(syntax.STAR, ()):
                if target.partition(".")[0] == self.package:
                    yield from self.imported(target, names, past)
            if len(past) > 1 and module.named("__getattr__"):
                yield f"{name}:__getattr__"

    def enter(self, dotted: str) -> None:
        """Note the statements of the module, or of what is in it, and of all that its import imports."""
        for name in accumulate(dotted.split("."), "{}.{}".format):
            if name in self.entered or (module := self.module(name)) is None:
                continue
            self.entered.add(name)
            if module.named(syntax.STATEMENTS):
                self.waiting.append(f"{name}:{syntax.STATEMENTS}")
            for load in module.imports.loads:
                self.enter(load)

    def module(self, name: str) -> syntax.Module | None:
        """Return a module of the package, taken apart, None if there is none of that name."""
        if name not in self.modules:
            self.modules[name] = self.read(name)
        return self.modules[name]

    def read(self, name: str) -> syntax.Module | None:
        """Take a module apart; a folder without an __init__ is a package without content."""
        top, *parts = name.split(".")
        if top != self.package or not all(part.isidentifier() for part in parts):
            return None
        path = self.folder.joinpath(*parts)
        own, package = path.with_suffix(".py"), path / "__init__.py"
        if package.is_file():
            return syntax.parse(name, True, package.read_text(encoding="utf-8"))
        if parts and own.is_file():
            return syntax.parse(name, False, own.read_text(encoding="utf-8"))
        return syntax.parse(name, True, "") if path.is_dir() else None
