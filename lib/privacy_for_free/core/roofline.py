"""What a piece of work costs, and what the machine can reach at most: time, memory, arithmetic.

seconds   by `timed`: several timings, each of as many calls as last SHORTEST seconds.
memory    by `peak_bytes`: on a CPU the largest sum of the tensors that live at a time and that the work made:
          storages, counted by torch's dispatcher, without what a kernel needs inside (`TensorPeak`). What was
          there before is not counted. On CUDA the rise of torch.cuda.max_memory_allocated.
flops     by `flops`: products and convolutions by torch.utils.flop_counter (2 for a multiplication and
          addition); besides, one for each element that an elementwise operation writes or a reduction reads;
          m^3/3 for a Cholesky factor and m^2 per column for each triangular solve. Random numbers, indexing,
          casts and Adam's step are not counted.
ceilings  of this process: a product of large square matrices, and a copy of a block that no cache holds. They
          are the roofline of an operation (Williams, Waterman & Patterson, CACM 52, 2009).

Counts are the same in every run; seconds and ceilings are measurements. The memory of a whole process is
another thing: `lab.memory`.
"""

import math
import time
import weakref
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

SHORTEST = 0.005  # seconds that a timing takes at least


class Timing(NamedTuple):
    """Seconds per call: the least, the median and the upper quartile of several timings."""

    least: float
    median: float
    upper: float


class Ceilings(NamedTuple):
    """What a process reaches at most, per second: floating-point operations, and bytes read and written."""

    flops: float
    bytes: float


def timed(call: Callable[[], object], repeats: int, device: torch.device) -> Timing:
    """Time a call `repeats` times, after one to warm up and one to see how long it takes.

    A timing is of as many calls as last SHORTEST; on CUDA it ends when the device has done them.
    """

    def seconds(calls: int) -> float:
        began = time.perf_counter()
        for _ in range(calls):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - began) / calls

    seconds(1)
    calls = max(1, math.ceil(SHORTEST / max(seconds(1), 1e-9)))
    taken = [seconds(calls) for _ in range(repeats)]
    return Timing(min(taken), float(np.median(taken)), float(np.quantile(taken, 0.75)))


def product_ceiling(dtype: torch.dtype, device: torch.device, side: int = 1500, repeats: int = 5) -> float:
    """Return operations per second of a product of two square matrices, `side` numbers per side."""
    square = torch.ones((side, side), dtype=dtype, device=device)
    product = torch.empty_like(square)
    return 2 * side**3 / timed(lambda: torch.mm(square, square, out=product), repeats, device).least


def copy_ceiling(device: torch.device, block_mib: int = 256, repeats: int = 5) -> float:
    """Return bytes per second, read and written, of a copy of a block of `block_mib` mebibytes."""
    block = torch.ones(block_mib * 2**18, dtype=torch.float32, device=device)
    copy = torch.empty_like(block)
    return 2 * block.nbytes / timed(lambda: copy.copy_(block), repeats, device).least


def ceilings(
    dtype: torch.dtype, device: torch.device, side: int = 1500, block_mib: int = 256, repeats: int = 5
) -> Ceilings:
    """Return what this process reaches at most, for operations that compute in `dtype`."""
    return Ceilings(product_ceiling(dtype, device, side, repeats), copy_ceiling(device, block_mib, repeats))


def peak_bytes(call: Callable[[], object], device: torch.device) -> tuple[int, object]:
    """Run a call; return the most bytes that the tensors which it makes hold at a time, and its result."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = call()
        return torch.cuda.max_memory_allocated(device) - before, result
    with TensorPeak() as peak:
        result = call()
    return peak.most, result


def nbytes(values: object) -> int:
    """Return the bytes of all tensors in a structure of lists, tuples and dicts."""
    return sum(leaf.nbytes for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))


class TensorPeak(TorchDispatchMode):
    """Add up the storages that are made while it is on, as long as they live; `most` is the largest sum."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(
        self, function: Callable, types: Iterable, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """Run the operation; count the storages of its results that none of its arguments has."""
        given = {self._key(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and (key := self._key(leaf)) not in given | self._known.keys():
                storage = leaf.untyped_storage()
                self.now += storage.nbytes()
                self._known[key] = weakref.finalize(storage, self._freed, key, storage.nbytes())
                self._known[key].atexit = False
        self.most = max(self.most, self.now)
        return result

    def _freed(self, key: int, size: int) -> None:
        self._known.pop(key, None)
        self.now -= size

    @staticmethod
    def _key(tensor: torch.Tensor) -> int:
        return tensor.untyped_storage()._cdata


def _written(*_args: object, out_shape: object, **_kwargs: object) -> int:
    return math.prod(out_shape)


def _read(shape: Iterable[int], *_args: object, **_kwargs: object) -> int:
    return math.prod(shape)


def _cholesky(shape: torch.Size, *_args: object, **_kwargs: object) -> int:
    return math.prod(shape) * shape[-1] // 3


def _triangular(times: int, right: int) -> Callable[..., int]:
    """Count triangular solves whose right-hand side is the given argument: m^2 per column, so many times."""

    def count(*shapes: torch.Size, **_kwargs: object) -> int:
        return times * math.prod(shapes[right]) * shapes[1 - right][-1]

    return count


_aten = torch.ops.aten
ELEMENTWISE = (
    *(_aten.add, _aten.add_, _aten.sub, _aten.sub_, _aten.rsub, _aten.mul, _aten.mul_, _aten.div, _aten.div_),
    *(_aten.neg, _aten.reciprocal, _aten.pow, _aten.sqrt, _aten.sqrt_, _aten.rsqrt, _aten.log, _aten.acos),
    *(_aten.special_log_ndtr, _aten.clamp, _aten.clamp_, _aten.clamp_min, _aten.relu, _aten.addcmul),
    *(_aten.addcmul_, _aten.threshold_backward, _aten.avg_pool2d_backward, _aten._log_softmax_backward_data),
)
REDUCTIONS = (
    *(_aten.sum, _aten.mean, _aten.var, _aten.var_mean, _aten.avg_pool2d, _aten._log_softmax, _aten.cumsum),
)
FORMULAS = {
    **dict.fromkeys(ELEMENTWISE, _written),
    **dict.fromkeys(REDUCTIONS, _read),
    _aten.linalg_cholesky_ex: _cholesky,
    _aten.cholesky_solve: _triangular(2, 0),
    _aten.linalg_solve_triangular: _triangular(1, 1),
}


def flops(call: Callable[[], object]) -> int:
    """Return the floating-point operations of a call, counted as this module's docstring says."""
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        call()
    return counter.get_total_flops()
