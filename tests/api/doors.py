"""The entrances that there are, their plain results, and calls with one argument in another form."""

import functools
import importlib
import inspect
import pkgutil
import sys
import types
from collections.abc import Callable, Iterator

from tests.api import vocabulary

import privacy_for_free
from privacy_for_free.core.entrance import ENTRANCES

DEFERRED = ("privacy_for_free.lab.probe", "privacy_for_free.__main__")  # programs


def modules(start: str) -> Iterator[types.ModuleType]:
    """Yield the modules whose full names begin so."""
    every()
    yield from (module for name, module in sorted(sys.modules.items()) if f"{name}.".startswith(start))


@functools.cache
def every() -> dict[str, Callable]:
    """Import every module, and return all entrances by their full names."""
    for module in pkgutil.walk_packages(privacy_for_free.__path__, "privacy_for_free."):
        if module.name not in DEFERRED:
            importlib.import_module(module.name)
    return dict(
        sorted((name, door) for name, door in ENTRANCES.items() if name.startswith("privacy_for_free."))
    )


def arguments(name: str) -> dict[str, object]:
    """Return the vocabulary's examples for what a call of an entrance has to give."""
    found = vocabulary.needed(name, every()[name])
    return {parameter.name: vocabulary.example(name, parameter.name) for parameter in found}


def call(name: str, given: dict[str, object]) -> object:
    """Call an entrance; a generator is run to the end."""
    result = every()[name](**given)
    return list(result) if isinstance(result, Iterator) else result


@functools.cache
def plain(name: str) -> object:
    """Return the result with the vocabulary's examples."""
    return call(name, arguments(name))


def parameters(name: str) -> list[inspect.Parameter]:
    """Return the parameters of an entrance that may be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(every()[name], eval_str=False).parameters.values()
    return [parameter for parameter in found if parameter.kind in kinds and parameter.name != "self"]
