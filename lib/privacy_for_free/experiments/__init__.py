"""One module an experiment. `records.run` runs them all the same way; nothing here writes a file.

An experiment is a module with
    NAME        its name, which is the folder of its records
    COLUMNS     the columns of its table, in order
    Parameters  a frozen dataclass; PROFILES maps "smoke", "laptop" and "paper" to one each
    tasks(parameters, dataset) -> list of tasks: hashable, independent of each other, always in the same order
    run_task(task, parameters, dataset, seed, device) -> list of rows (dict, a value for each of COLUMNS)
run_task may also take `checkpoint`, the path NAME.checkpoint of a file of its own where it keeps what a kill
should not cost; that file and any NAME.*.checkpoint are removed when the task is done.
NAME_chunks, a module beside it, may split long tasks for a cluster (`privacy_for_free.chunks`).
Every random number of a task comes from generators derived from (seed, purpose, task), so a task gives the
same rows run alone, in a whole run, or on another worker.
"""

import importlib
from types import ModuleType

NAMES = (
    "linear_dm",
    "gibbs_ratio",
    "condensation",
    "membership",
    "nonlinear_shift",
    "tracing",
    "private_release",
    "canaries",
    "visual_privacy",
    "scaling",
)


def get(name: str) -> ModuleType:
    """Return the experiment's module; ValueError lists the known names.

    >>> get("nonsense")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: experiment 'nonsense': known are linear_dm, gibbs_ratio, ... scaling
    """
    if name not in NAMES:
        raise ValueError(f"experiment {name!r}: known are {', '.join(NAMES)}")
    return importlib.import_module(f"{__name__}.{name}")
