"""torch.compile, in one place: fixed shapes, and plain torch where there is no compiler."""

import shutil
import warnings
from collections.abc import Callable
from functools import cache, wraps

import torch

SHAPES = 64  # graphs a function may be compiled to; torch's default of 8 is soon spent on image sizes and ipc


@cache
def available() -> bool:
    """Whether torch.compile can work here: on a CPU it needs a C++ compiler."""
    return torch.cuda.is_available() or any(map(shutil.which, ("g++", "clang++", "c++")))


def compiled(function: Callable, wanted: bool = True, any_shape: bool = False) -> Callable:
    """Return `function` compiled, for each shape it is called with or for all of them, or as it is.

    Compiled and plain results agree up to rounding, not in every bit: whether to compile belongs to an
    experiment's parameters, and whether it was possible to the machine that a record names.
    """
    if not wanted or not available():
        return function
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        fast = torch.compile(function, dynamic=any_shape)

    @wraps(function)
    def call(*args, **kwargs):
        with warnings.catch_warnings():
            # While it compiles, torch 2.13 uses what it deprecates and looks at gradients that are not kept.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
            return fast(*args, **kwargs)

    return call
