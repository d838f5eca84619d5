"""torch.compile, in one place: fixed shapes, and plain torch where compiling does not work.

Whether it works is found out by trying it, once per process and only where compiling is wanted: a compiler
may be there and lack Python's headers, or be given a folder whose name it takes apart.
"""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache, wraps

import torch

SHAPES = 64  # graphs a function may be compiled to; torch's default of 8 is soon spent on image sizes and ipc
LOGGER = logging.getLogger(__name__)


@cache
def available() -> bool:
    """Whether torch.compile works here: a function of two operations was compiled and gave what it should.

    The first call takes seconds. Where it does not work, the reason is logged as one warning.
    """
    try:
        given = torch.zeros(2, device="cuda" if torch.cuda.is_available() else "cpu")
        worked = _quietly(_compile(_trial, False), given).tolist() == [1.0, 1.0]
        why = "it gave a wrong result"
    except Exception as error:  # whatever a compiler, a disk or torch's own code stops with
        worked, why = False, reason(error)
    if not worked:
        LOGGER.warning("torch.compile does not work here, so nothing is compiled, which is slower: %s", why)
    return worked


def compiled(function: Callable, wanted: bool = True, any_shape: bool = False) -> Callable:
    """Return `function` compiled, for each shape it is called with or for all of them, or as it is.

    Compiled and plain results agree up to rounding, not in every bit: whether to compile belongs to an
    experiment's parameters, and whether it was possible to the machine that a record names. A function that
    turns out not to compile is called as it is from then on, with one warning that is logged.
    """
    if not wanted or not available():
        return function
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)
    callee = _compile(function, any_shape)

    @wraps(function)
    def call(*args, **kwargs):
        nonlocal callee
        if callee is function:
            return function(*args, **kwargs)
        try:
            return _quietly(callee, *args, **kwargs)
        except errors() as error:
            callee = function
            name = getattr(function, "__qualname__", type(function).__name__)
            LOGGER.warning("%s could not be compiled and runs as it is: %s", name, reason(error))
        return function(*args, **kwargs)

    return call


def errors() -> tuple[type[Exception], ...]:
    """Return what a compiler's failure is raised as, also out of `backward`; none before torch looks for one.

    For `except` clauses: importing torch's compiler takes a second, which what never compiles does not pay.
    """
    dynamo = sys.modules.get("torch._dynamo.exc")
    return (dynamo.TorchDynamoException,) if dynamo else ()


def reason(error: Exception) -> str:
    """Return the line of a compiler's failure that says what is wrong, and what helps where that is known."""
    text = str(error)
    for name, folder in (
        ("TMPDIR", tempfile.gettempdir()),
        ("TORCHINDUCTOR_CACHE_DIR", os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")),
    ):
        if folder in text and any(map(str.isspace, folder)):
            return f"the folder {folder!r} has a space in its name: set {name} to one without"
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if "error: " in line), lines[0])


def _trial(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def _compile(function: Callable, any_shape: bool) -> Callable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.compile(function, dynamic=any_shape)


def _quietly(function: Callable, *args: object, **kwargs: object) -> object:
    with warnings.catch_warnings():
        # While it compiles, torch 2.13 uses what it deprecates and looks at gradients that are not kept.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
        return function(*args, **kwargs)
