"""Every experiment is a folder here, with a declaration in its `__init__`: an `Experiment` called EXPERIMENT.

To add one, copy a folder: `design.py` has its settings, `profiles.py` their values, `measure.py` its tasks
and what one of them does, `chunks.py`, where tasks are long, how a cluster spreads one. No list names it.
"""

import importlib
import pkgutil

from privacy_for_free.core import validate
from privacy_for_free.lab.experiment import Experiment

NAMES = tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if found.ispkg))


def get(name: str) -> Experiment:
    """Return an experiment; ValueError lists the known names.

    >>> get("nonsense")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: experiment 'nonsense': known are canaries, condensation, ... visual_privacy
    """
    validate.one_of("experiment", name, NAMES)
    return importlib.import_module(f"{__name__}.{name}").EXPERIMENT


def every() -> list[Experiment]:
    """Return all experiments, in the order of the book."""
    return sorted(map(get, NAMES), key=lambda experiment: (experiment.order, experiment.name))
