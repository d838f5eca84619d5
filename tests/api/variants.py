"""Other forms of an argument: those that are taken as the plain one, and those that are refused."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

import numpy as np
import torch

Form = Callable[[object], object]


def _strided(value: torch.Tensor) -> torch.Tensor:
    """Return a view of every other element of a larger tensor."""
    wide = torch.stack([value, torch.zeros_like(value)], -1)
    return wide[..., 0]


def _reversed_strides(value: torch.Tensor) -> torch.Tensor:
    return value.permute(*reversed(range(value.dim()))).contiguous().permute(*reversed(range(value.dim())))


def _inference(value: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return value.clone()


def _history(value: torch.Tensor) -> torch.Tensor:
    return value.clone().requires_grad_() * 1


def _read_only(value: torch.Tensor) -> np.ndarray:
    made = value.numpy().copy()
    made.flags.writeable = False
    return made


def _whole_dtype(dtype: object) -> Form:
    return lambda value: value.numpy().astype(dtype)


class Odd(torch.Tensor):
    """A subclass of torch's tensors."""


TENSORS: dict[str, Form] = {  # of the same values: the same bits
    "clone": torch.clone,
    "strided": _strided,
    "transposed": _reversed_strides,
    "inference": _inference,
    "numpy": lambda value: value.numpy().copy(),
    "fortran": lambda value: np.asfortranarray(value.numpy()),
    "read_only": _read_only,
    "big_endian": lambda value: value.numpy().astype(value.numpy().dtype.newbyteorder(">")),
    "negative_strides": lambda value: np.flip(np.flip(value.numpy(), 0).copy(), 0),
    "subclass": lambda value: value.clone().as_subclass(Odd),
}
FLOATS: dict[str, Form] = {
    "requires_grad": lambda value: value.clone().requires_grad_(),
    "parameter": lambda value: torch.nn.Parameter(value.clone()),
    "history": _history,
}
IMAGES: dict[str, Form] = {
    "channels_last": lambda value: value.contiguous(memory_format=torch.channels_last),
}
LABELS: dict[str, Form] = {str(kind): _whole_dtype(kind) for kind in ("uint8", "int32", "int16", "uint64")}
NOT_TENSORS: dict[str, Form] = {
    "text": lambda value: "images",
    "number_as_text": lambda value: "3",
    "set": lambda value: {1, 2},
    "object": lambda value: object(),
    "strings": lambda value: np.array(["a", "b"]),
    "objects": lambda value: np.array([None, 1], dtype=object),
    "meta": lambda value: torch.empty(2, device="meta"),
    "sparse": lambda value: torch.eye(3).to_sparse(),
    "complex": lambda value: torch.ones(2, dtype=torch.complex64),
    "masked": lambda value: np.ma.masked_array(value.numpy().copy(), mask=False),
    "float8": lambda value: torch.ones(2).to(torch.float8_e4m3fn),
}
SEQUENCES: dict[str, Form] = {"tuple": tuple, "list": list}
NOT_SEQUENCES: dict[str, Form] = {
    "text": lambda value: "123",
    "bytes": lambda value: b"123",
    "set": set,
    "frozenset": frozenset,
    "dictionary": lambda value: dict.fromkeys(value),
    "bools": lambda value: np.array([True] * max(len(value), 1)),
    "bool_tensor": lambda value: torch.ones(max(len(value), 1), dtype=torch.bool),
    "nan": lambda value: [*value, float("nan")],
    "nan_array": lambda value: np.array([*value, float("nan")]),
    "masked": lambda value: np.ma.masked_array(np.array(value), mask=False),
    "objects": lambda value: np.array([None, *value], dtype=object),
    "one_is_text": lambda value: [*value, "3"],
}
NOT_SEQUENCES_OF_WHOLE: dict[str, Form] = {
    "halves": lambda value: np.array(value) + 0.5,
    "numbers": lambda value: torch.tensor(value, dtype=torch.float32),
    "one_is_half": lambda value: [*value, 0.5],
}
ODD_SEQUENCES: dict[str, Form] = {
    "empty": lambda value: type(value)(),
    "beyond_64_bits": lambda value: [*value, 2**70],
    "beyond_floats": lambda value: [*value, 10**400],
    "negative": lambda value: [-one for one in value],
    "zeros": lambda value: [0 for _ in value],
    "two_dimensions": lambda value: np.array([value, value]),
}


def _but_for_one(change: Form) -> Form:
    """Change one tensor of a dictionary, its last."""
    return lambda value: {**value, list(value)[-1]: change(value[list(value)[-1]])}


WEIGHTS: dict[str, Form] = {
    "numpy": lambda value: {key: one.numpy().copy() for key, one in value.items()},
    "requires_grad": lambda value: {key: one.clone().requires_grad_() for key, one in value.items()},
    "other_order": lambda value: dict(reversed(value.items())),
}
NOT_WEIGHTS: dict[str, Form] = {
    "nan": _but_for_one(lambda one: one * float("nan")),
    "inf": _but_for_one(lambda one: one + float("inf")),
    "list": _but_for_one(torch.Tensor.tolist),
    "sparse": _but_for_one(torch.Tensor.to_sparse),
    "meta": _but_for_one(lambda one: one.to("meta")),
    "items": lambda value: list(value.items()),
    "text": lambda value: "weights",
}
ODD_WEIGHTS: dict[str, Form] = {
    "empty": lambda value: {},
    "one_is_missing": lambda value: dict(list(value.items())[1:]),
    "one_more": lambda value: value | {"another": torch.zeros(2)},
    "flat": _but_for_one(torch.Tensor.flatten),
    "shorter": _but_for_one(lambda one: one[..., :-1]),
    "a_number": _but_for_one(torch.Tensor.sum),
    "float64": _but_for_one(torch.Tensor.double),
    "int64": _but_for_one(torch.Tensor.long),
}
SHAPES: dict[str, Form] = {  # another shape: another result, or one refusal
    "empty": lambda value: value[:0],
    "one_less": lambda value: value[:-1],
    "one_more_dimension": lambda value: value[None],
    "a_dimension_less": lambda value: value[0],
    "a_number": lambda value: value.flatten()[0],
    "doubled": lambda value: torch.cat([value, value]) if value.dim() else value,
    "last_is_shorter": lambda value: value[..., :-1],
    "bool": lambda value: value > 0,
    "int64": lambda value: value.long(),
    "float64": lambda value: value.double(),
    "zeros": torch.zeros_like,
    "negative": lambda value: -value.double() - 1 if value.dtype is torch.bool else -value - 1,
    "huge": lambda value: value.double() * 1e30 if value.is_floating_point() else value.long() + 10**12,
}
NOT_FINITE: dict[str, Form] = {}
for _name, _bad in {"nan": torch.nan, "inf": torch.inf, "minus_inf": -torch.inf}.items():

    def _spoilt(value: torch.Tensor, bad: float = _bad) -> torch.Tensor:
        made = value.clone()
        made.view(-1)[made.numel() // 2] = bad
        return made

    NOT_FINITE[_name] = _spoilt
HALF: dict[str, Form] = {"float16": torch.Tensor.half, "bfloat16": torch.Tensor.bfloat16}
WHOLE: dict[str, Form] = {
    "numpy": np.int64,
    "tensor": lambda value: torch.tensor(value),
}
NOT_WHOLE: dict[str, Form] = {
    "text": str,
    "number": float,
    "half": lambda value: value + 0.5,
    "bool": lambda value: True,
    "numpy_bool": lambda value: np.True_,
    "nan": lambda value: float("nan"),
    "list": lambda value: [value],
    "none": lambda value: None,
}
ODD_WHOLE: dict[str, Form] = {
    "zero": lambda value: 0,
    "negative": lambda value: -1,
    "one": lambda value: 1,
    "huge": lambda value: 10**15,
    "beyond_64_bits": lambda value: 2**70,
}
NUMBER: dict[str, Form] = {
    "numpy": np.float64,
    "tensor": lambda value: torch.tensor(value, dtype=torch.float64),
}
NOT_NUMBER: dict[str, Form] = {
    "text": str,
    "bool": lambda value: True,
    "nan": lambda value: float("nan"),
    "numpy_nan": lambda value: np.float64("nan"),
    "list": lambda value: [value],
    "complex": complex,
}
ODD_NUMBER: dict[str, Form] = {
    "zero": lambda value: 0.0,
    "negative": lambda value: -value,
    "one": lambda value: 1.0,
    "above_one": lambda value: 1.5,
    "tiny": lambda value: 5e-324,
    "huge": lambda value: 1e300,
    "inf": lambda value: float("inf"),
    "minus_inf": lambda value: -float("inf"),
    "whole": lambda value: 1,
}
NOT_TEXT: dict[str, Form] = {"number": lambda value: 2024, "bytes": str.encode, "list": lambda value: [value]}
ODD_TEXT: dict[str, Form] = {
    "empty": lambda value: "",
    "unknown": lambda value: "nonsense",
    "upper": str.upper,
    "numpy": np.str_,
}


@contextmanager
def _set(set_it: Callable, value: object, before: object) -> Iterator[None]:
    set_it(value)
    try:
        yield
    finally:
        set_it(before)


STATES: dict[str, Callable] = {
    "plain": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: _set(torch.set_default_dtype, torch.float64, torch.float32),
    "float16": lambda: _set(torch.set_default_dtype, torch.float16, torch.float32),
    "deterministic": lambda: _set(torch.use_deterministic_algorithms, True, False),
    "meta": lambda: torch.device("meta"),
    "two_threads": lambda: _set(torch.set_num_threads, 2, torch.get_num_threads()),
    "three_threads": lambda: _set(torch.set_num_threads, 3, torch.get_num_threads()),
    "numpy_raises": lambda: np.errstate(all="raise"),
    "medium": lambda: _set(torch.set_float32_matmul_precision, "medium", "highest"),
    "bfloat16_products": lambda: _set(_precision, "bf16", "none"),
    "no_onednn": lambda: _set(_onednn, False, True),
}


def _onednn(on: bool) -> None:
    torch.backends.mkldnn.enabled = on


def _precision(value: str) -> None:
    torch.backends.mkldnn.matmul.fp32_precision = torch.backends.mkldnn.conv.fp32_precision = value


@contextmanager
def together(*names: str) -> Iterator[None]:
    """Be in several states at once."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(STATES[name]())
        yield


ALL = (  # every state, in two calls
    ("no_grad", "autocast", "float64", "deterministic", "meta", "three_threads", "numpy_raises", "medium"),
    ("inference_mode", "float16", "two_threads", "bfloat16_products", "no_onednn"),
)


SEQUENCES_OF = (Sequence[int], Sequence[float])


def holds(hint: object, kind: object) -> bool:
    """Whether an annotation is `kind`, or a union with it."""
    return hint is kind or (
        typing.get_origin(hint) in (types.UnionType, typing.Union) and kind in typing.get_args(hint)
    )


def alone(hint: object, kind: object) -> bool:
    """Whether an annotation is `kind`, or that and None."""
    return holds(hint, kind) and set(typing.get_args(hint)) <= {kind, types.NoneType}


def forms(parameter: inspect.Parameter, value: object) -> dict[str, tuple[str, Form]]:
    """Return the other forms of an argument: name -> what is demanded ("same", "refused", "either"), form."""
    hint, name, found = parameter.annotation, parameter.name, {}

    def add(demanded: str, more: dict[str, Form]) -> None:
        found.update({f"{demanded} {key}": (demanded, form) for key, form in more.items()})

    if isinstance(value, torch.Tensor) and holds(hint, torch.Tensor):
        add("same", TENSORS)
        if value.is_floating_point():
            add("same", FLOATS)
            add("half", HALF)
            if value.numel():
                add("not_finite", NOT_FINITE)
        if value.dim() == 4:
            add("same", IMAGES)
        if name in ("labels", "owner") and value.dtype is torch.int64:
            add("same", LABELS)
        if alone(hint, torch.Tensor):
            add("refused", NOT_TENSORS)
        add("either", SHAPES)
    elif type(value) is int and holds(hint, int):
        add("same", WHOLE)
        add("either", ODD_WHOLE)
        if alone(hint, int):
            nothing = {"none"} if holds(hint, types.NoneType) else set()
            add("refused", {key: form for key, form in NOT_WHOLE.items() if key not in nothing})
    elif type(value) in (int, float) and holds(hint, float):
        add("same", NUMBER if type(value) is float else {})
        add("either", ODD_NUMBER)
        if alone(hint, float):
            add("refused", NOT_NUMBER)
    elif isinstance(value, list | tuple) and value and hint in SEQUENCES_OF:
        add("same", SEQUENCES)
        add("same", {"array": np.array})
        add("refused", NOT_SEQUENCES)
        if hint == SEQUENCES_OF[0]:
            add("refused", NOT_SEQUENCES_OF_WHOLE)
        add("either", ODD_SEQUENCES)
    elif isinstance(value, dict) and hint == dict[str, torch.Tensor]:
        add("same", WEIGHTS)
        add("refused", NOT_WEIGHTS)
        add("either", ODD_WEIGHTS)
    elif isinstance(value, str) and alone(hint, str):
        add("refused", NOT_TEXT)
        add("either", ODD_TEXT)
    elif type(value) is bool and alone(hint, bool):
        add("same", {"numpy": np.bool_})
        add("refused", {"number": int, "text": str})
    return found
