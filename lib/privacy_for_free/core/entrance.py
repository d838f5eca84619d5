"""The door of the library: arguments come in plain, results go out plain, the caller's state stays outside.

    @entrance
    def scores(statistics: torch.Tensor, membership: torch.Tensor, *, online: bool = True): ...

A function or a class that users call is an entrance. Its arguments are checked and converted by their
annotations (`annotations`, `plain`), before any work: one ValueError names the argument, what came and what
is allowed. It runs in torch's own state (gradients on, no inference mode, no autocast, float32 by default,
full precision of products, `devices.threads()` threads), whatever state the caller is in, which is found
again afterwards. Tensors that it returns have no history, and share no memory with what was given.

What an argument may hold is finite, unless the entrance says otherwise:

    @entrance(scores=ORDERED)      infinite scores are allowed, a NaN is not
    @entrance(images=SHOWN)        floats from 0 to 1
    @entrance(allowed=MASK)        of dtype bool

and where arguments belong together, their shapes are stated and checked (`shapes`):

    @entrance(shapes="images N d, labels N, released K classes d")

Functions that entrances call in their inner loops are none: what they are given is plain already, and they
may be compiled, differentiated or vectorised. `ENTRANCES` holds all there are, by their full name.
"""

import dataclasses
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from privacy_for_free.core import annotations, devices, plain
from privacy_for_free.core.plain import ANY, CLASSES, FINITE, KINDS, MASK, ORDERED, SHOWN, TARGETS
from privacy_for_free.core.shapes import check, parse

__all__ = [
    "ANY",
    "CLASSES",
    "ENTRANCES",
    "FINITE",
    "MASK",
    "ORDERED",
    "SHOWN",
    "TARGETS",
    "entrance",
    "own_state",
]

ENTRANCES: dict[str, Callable] = {}
AUTOCAST = ("cpu", "cuda")
FULL = ("ieee", "none")  # precisions of products of float32 that take all of its bits
PRODUCTS = (  # what computes them: each has a precision of its own, or else that of one before it
    *(torch.backends, torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv, torch.backends.mkldnn.rnn),
    torch.backends.cuda.matmul,
)
NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def entrance(target: Callable | None = None, /, *, shapes: str = "", **kinds: str) -> Callable:
    """Make a function, or the construction of a class, an entrance; kinds name what its tensors may hold."""
    if target is None:
        return functools.partial(entrance, shapes=shapes, **kinds)
    function = target.__init__ if isinstance(target, type) else target
    arguments = Arguments(function, kinds, target.__qualname__, shapes)
    ENTRANCES[f"{target.__module__}.{target.__qualname__}"] = target
    if isinstance(target, type):
        target.__init__ = _named_as(function, _constructing(function, arguments))
        return target
    guarded = _yielding if inspect.isgeneratorfunction(function) else _calling
    made = _named_as(function, guarded(function, arguments))
    ENTRANCES[f"{target.__module__}.{target.__qualname__}"] = made
    return made


@contextmanager
def own_state() -> Iterator[None]:
    """Run in torch's and numpy's own state, whatever the caller has set; his comes back afterwards.

    On the CPU with `devices.threads()` threads: their number decides the order of sums.
    """
    with ExitStack() as stack:
        stack.enter_context(devices.steady_threads())
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for device in AUTOCAST:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if (dtype := torch.get_default_dtype()) is not torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.are_deterministic_algorithms_enabled():
            warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
            torch.use_deterministic_algorithms(False)
            stack.callback(torch.use_deterministic_algorithms, True, warn_only=warn_only)
        _full_precision(stack)
        if not torch.backends.mkldnn.enabled:
            torch.backends.mkldnn.enabled = True
            stack.callback(setattr, torch.backends.mkldnn, "enabled", False)
        if np.geterr() != NUMPY_ERRORS:
            stack.enter_context(np.errstate(**NUMPY_ERRORS))
        yield


def _full_precision(stack: ExitStack) -> None:
    """Set full precision of products, for all backends at once or for each, and what was set at the end."""
    try:
        common = torch.get_float32_matmul_precision()
    except RuntimeError:  # backends differ: they were set one by one
        common = "highest"
    if common != "highest":
        torch.set_float32_matmul_precision("highest")
        stack.callback(torch.set_float32_matmul_precision, common)
    for backend in PRODUCTS:
        if (own := backend.fp32_precision) not in FULL:
            backend.fp32_precision = FULL[0]
            stack.callback(setattr, backend, "fp32_precision", own)


class Arguments:
    """How the arguments of one function are made plain, from its annotations, read at the first call."""

    def __init__(self, function: Callable, kinds: dict[str, str], called: str, shapes: str = "") -> None:
        """Remember the function; ValueError for kinds and shapes of parameters it has not."""
        self.function = function
        self.signature = inspect.signature(function)
        self.kinds = kinds
        self.shapes = parse(shapes) if shapes else ()
        stated = dict.fromkeys((shape.name for shape in self.shapes), FINITE) | kinds
        for name, kind in stated.items():
            if name not in self.signature.parameters or kind not in KINDS:
                raise ValueError(f"entrance {called}: no parameter {name!r}, or no kind {kind!r}")

    @functools.cached_property
    def converters(self) -> dict[str, annotations.Converter]:
        """One for each parameter that has an annotation; those of other names pass as they are."""
        found = {}
        for name, parameter in self.signature.parameters.items():
            hint = parameter.annotation
            if isinstance(hint, str):
                hint = _resolved(hint, self.function)
            if hint is not inspect.Parameter.empty:
                found[name] = annotations.converter(hint)
        return found

    def plain(self, args: tuple, kwargs: dict[str, object]) -> inspect.BoundArguments:
        """Return the arguments, made plain; TypeError where they do not fit the signature, as ever."""
        bound = self.signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            convert = self.converters.get(name)
            if convert is None:
                continue
            kind = self.kinds.get(name) or plain.BY_NAME.get(name, FINITE)
            default = self.signature.parameters[name].default
            if value is default:
                continue
            match self.signature.parameters[name].kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    made = tuple(convert(f"{name}[{i}]", one, kind) for i, one in enumerate(value))
                case inspect.Parameter.VAR_KEYWORD:
                    made = {key: convert(key, one, kind) for key, one in value.items()}
                case _:
                    made = convert(name, value, kind)
            bound.arguments[name] = made
        check(self.shapes, bound.arguments)
        return bound


def _calling(function: Callable, arguments: Arguments) -> Callable:
    def guarded(*args: object, **kwargs: object) -> object:
        with own_state():
            bound = arguments.plain(args, kwargs)
            result = function(*bound.args, **bound.kwargs)
            if isinstance(result, types.GeneratorType):  # of a function that checks at the call
                return _steps(result, bound)
            return _parted(result, bound)

    return guarded


def _constructing(function: Callable, arguments: Arguments) -> Callable:
    def guarded(*args: object, **kwargs: object) -> None:
        with own_state():
            bound = arguments.plain(args, kwargs)
            function(*bound.args, **bound.kwargs)
            made = bound.args[0]
            if dataclasses.is_dataclass(made):
                names = [field.name for field in dataclasses.fields(made)]
                parted = _parted([getattr(made, name) for name in names], bound, first=1)
                for name, value in zip(names, parted, strict=True):
                    object.__setattr__(made, name, value)

    return guarded


def _yielding(function: Callable, arguments: Arguments) -> Callable:
    def guarded(*args: object, **kwargs: object) -> Iterator[object]:
        with own_state():
            bound = arguments.plain(args, kwargs)
        return _steps(function(*bound.args, **bound.kwargs), bound)

    return guarded


def _steps(made: Iterator[object], bound: inspect.BoundArguments) -> Iterator[object]:
    """Yield what a generator yields; it runs in torch's own state, its caller in between in his."""
    while True:
        with own_state():
            try:
                item = _parted(next(made), bound)
            except StopIteration:
                return
        yield item


def _parted(result: object, bound: inspect.BoundArguments, first: int = 0) -> object:
    """Return the result with nothing in it that has a history or lies in the memory of an argument.

    The arguments are those from number `first` on: a new object itself is none.
    """
    values = (*bound.args[first:], *bound.kwargs.values())
    given = [span for value in values for found in plain.tensors_in(value) if (span := _span(found))]

    def own(value: object) -> object:
        span = _span(value)
        shared = span is not None and any(low < span[1] and span[0] < high for low, high in given)
        if isinstance(value, torch.Tensor):
            return value.detach().clone() if shared else value.detach() if value.requires_grad else value
        return value.copy() if shared else value

    return plain.mapped(result, own)


def _span(value: object) -> tuple[int, int] | None:
    """Return where in memory a tensor's storage or an array lies: its first byte, and the one behind it."""
    if isinstance(value, torch.Tensor):
        storage = value.untyped_storage()
        return (storage.data_ptr(), storage.data_ptr() + storage.nbytes()) if storage.nbytes() else None
    if isinstance(value, np.ndarray) and value.nbytes:
        return np.lib.array_utils.byte_bounds(value)
    return None


def _named_as(function: Callable, guarded: Callable) -> Callable:
    """Return a function of the given one's name, documentation and module that calls `guarded`."""

    def call(*args, **kwargs):
        return guarded(*args, **kwargs)

    # The globals are those of the function's own module: doctest looks for examples in such functions only.
    its = inspect.unwrap(function).__globals__
    made = types.FunctionType(call.__code__, its, function.__name__, None, call.__closure__)
    return functools.wraps(function)(made)


def _resolved(hint: str, function: Callable) -> object:
    """Return what an annotation in quotes stands for; `object` where its names are there for types only."""
    try:
        return eval(hint, vars(sys.modules[function.__module__]))
    except NameError:
        return object
