"""Every path that a user gives to the library goes through one function: those that take text are found."""

import enum
import importlib
import inspect
import pkgutil
import typing
from pathlib import Path
from types import SimpleNamespace

import pytest

import privacy_for_free
from privacy_for_free import experiments
from privacy_for_free.book import claims

NAMES = ("_root", "_dir", "checkpoint", "path", "folder", "file")  # how parameters that are paths end
ARGUMENTS = {  # of these entrances, besides the path; anything else is None
    "experiment": "linear_dm",
    "dataset": "fashion_mnist_mini",
    "profile": "laptop",
    "seed": 0,
    "device": "cpu",
    "where": "local",
    "results_dir": "nowhere",
    "claim": claims.CLAIMS[0],
    "key": claims.CLAIMS[0].key,
    "speaker": claims.CLAIMS[0].key[0],
}
OF_RUNS = {  # which take the objects, not their names
    "experiment": experiments.get("linear_dm"),
    "dataset": SimpleNamespace(name="toy", sha256="0" * 64, normalised=False),
}


def takes_text(function, name):
    """Whether a parameter is annotated as one that takes text: `str | os.PathLike`, with None or without."""
    hint = inspect.signature(function).parameters[name].annotation
    return str in typing.get_args(hint)


def without_signature(value):
    return isinstance(value, type) and issubclass(value, enum.Enum | Exception | int)


def entrances():
    """Yield the public functions and classes that take a path as text, and the parameter's name."""
    for found in pkgutil.walk_packages(privacy_for_free.__path__, "privacy_for_free."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == found.name and callable(value)
            if own and not name.startswith("_") and not without_signature(value):
                for parameter in inspect.signature(value).parameters:
                    if parameter.endswith(NAMES) and takes_text(value, parameter):
                        yield value, parameter


FOUND = [
    pytest.param(function, name, id=f"{function.__module__.partition('.')[2]}.{function.__qualname__}-{name}")
    for function, name in entrances()
    if not function.__module__.startswith("privacy_for_free.book.chapters.")  # which get an opened chapter's
    and function.__qualname__ != "Chapter"  # and this is what `open_chapter` makes
]


def call(function, name, value):
    """Call an entrance with a path; a generator is begun."""
    needed = {
        key: OF_RUNS.get(key, ARGUMENTS.get(key))
        if function.__module__.endswith("lab.run")
        else ARGUMENTS.get(key)
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty
    }
    made = function(**needed | {name: value})
    return next(made, None) if inspect.isgenerator(made) else made


@pytest.mark.parametrize(("function", "name"), FOUND)
@pytest.mark.parametrize("value", [2024, "", ["a"], "~nobody-of-this-name/x"], ids=repr)
def test_k7_what_is_no_path_is_refused_by_name_before_any_work(function, name, value):  # cases 16, 41
    with pytest.raises(ValueError, match=r"allowed is a path") as error:
        call(function, name, value)
    assert str(error.value).startswith(f"{name} {value!r}: ")


def test_k7_the_entrances_that_users_know_are_found():
    found = {f"{case.values[0].__name__} {case.values[1]}" for case in FOUND}
    assert found >= {
        *("load data_root", "open_chapter data_root", "open_chapter results_dir", "run results_dir"),
        *("read results_dir", "largest results_dir", "Store results_dir", "Run checkpoint"),
        *("Cluster data_root", "survey data_root", "survey results_dir", "attest_records results_dir"),
    }


def test_k7_no_path_is_made_of_what_a_user_gives_but_by_given():
    """`expanduser` is called in one place; nothing else is to grow a home of its own."""
    package = Path(privacy_for_free.__file__).parent
    places = [path for path in package.rglob("*.py") if "expanduser" in path.read_text(encoding="utf-8")]
    assert [path.relative_to(package) for path in places] == [Path("core/paths.py")]
