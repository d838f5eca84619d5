"""What the book's operations cost: time, memory and arithmetic against n, m, K and images per class (ipc).

A task is one operation and the variable that it is measured against:

    dm_step     a step of distribution matching with the ConvNet, against ipc and against the sets K
    training    an epoch of training the ConvNet on m synthetic images, against m
    evaluation  the ConvNet's scores of n pool images, against n
    lira        online LiRA's scores of all K targets on n examples, against K and n (normals for confidences)
    class_mean  the tracing statistic of K releases on n pool images, against n
    kip_step    kernel inducing points, one step on `targets` targets, against m; its set-up counts as well
    linear_dm   the closed form of linear distribution matching for one class of n images, against n

All run the library's own functions, not compiled, on the threads that the process has. Inputs are on the
device before the clock starts.

seconds   median of `repeats` timings, each of as many calls as last SHORTEST seconds; `seconds_low` is the
          least, `seconds_high` the upper quartile.
memory    on a CPU the largest sum of the tensors that live at a time and that the operation made: storages,
          counted by torch's dispatcher, without what a kernel needs inside. Its inputs are not counted. On
          CUDA the rise of torch.cuda.max_memory_allocated.
flops     products and convolutions by torch.utils.flop_counter (2 a multiplication and addition); besides one
          an element that an elementwise operation writes or a reduction reads; m^3/3 for a Cholesky factor
          and m^2 a column for each triangular solve. Random numbers, indexing, casts and Adam's step are not
          counted.
bytes     what must be read and written at least once: the inputs and the results, in the types they have.
ceilings  of this process, before and after the task, the better of the two: a product of large square
          matrices of the type that the operation computes in, and a copy of a block that no cache holds.
fraction  max(flops / ceiling_flops, bytes / ceiling_bytes) / seconds: of the roofline (Williams, Waterman &
          Patterson, CACM 52, 2009). What fits a cache can exceed a ceiling of memory.

Counts and memory are the same in every run; seconds, rates, ceilings and fractions are measurements.
"""

import math
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from privacy_for_free import shadows
from privacy_for_free.attacks import lira, released_images
from privacy_for_free.condensation import dm, kip
from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.nets import networks, training
from privacy_for_free.theory import linear

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

VARIABLES = {
    "dm_step": ("ipc", "K"),
    "training": ("m",),
    "evaluation": ("n",),
    "lira": ("K", "n"),
    "class_mean": ("n",),
    "kip_step": ("m",),
    "linear_dm": ("n",),
}
DTYPES = dict.fromkeys(VARIABLES, torch.float64) | dict.fromkeys(
    ("dm_step", "training", "evaluation"), torch.float32
)
SHORTEST = 0.005  # seconds that a timing takes at least
FEWEST_SHADOWS = 6  # so that each example is in, and out of, three models: one target, two for a variance


@dataclass(frozen=True)
class Design:
    """What is measured, and the sizes of what is held fixed meanwhile.

    measured    (operation, variable, sizes): three sizes or more, growing
    n, K, ipc   examples, shadows, synthetic images a class, where they do not vary
    pool        images that distribution matching draws from
    batch_real  real images a class, step and set, of distribution matching
    targets     of kernel inducing points, a step
    width       of the ConvNets
    repeats     timings of each size
    square, block_mib   side of the matrices and size of the block that the ceilings are measured with
    """

    measured: tuple[tuple[str, str, tuple[int, ...]], ...]
    n: int
    K: int
    ipc: int
    pool: int
    batch_real: int
    targets: int
    width: int
    repeats: int
    square: int = 1500
    block_mib: int = 256

    def __post_init__(self) -> None:
        """Refuse what cannot be measured; ValueError names the value and what is allowed."""
        for name in (
            *("n", "K", "ipc", "pool", "batch_real", "targets", "width", "repeats", "square", "block_mib"),
        ):
            value = getattr(self, name)
            least = FEWEST_SHADOWS if name == "K" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} {value!r}: allowed are whole numbers from {least} up")
        if self.K % 2:
            raise ValueError(f"K {self.K}: allowed are even numbers, half of the shadows hold an example")
        for operation, variable, sizes in self.measured:
            if operation not in VARIABLES:
                raise ValueError(f"operation {operation!r}: known are {', '.join(VARIABLES)}")
            if variable not in VARIABLES[operation]:
                known = ", ".join(VARIABLES[operation])
                raise ValueError(f"variable {variable!r} of {operation}: known are {known}")
            whole = all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
            if not whole or len(sizes) < 3 or min(sizes) < 1 or sorted(set(sizes)) != list(sizes):
                raise ValueError(
                    f"sizes {sizes} of {operation}: allowed are three whole numbers or more, growing, from 1"
                )


def _double(first: int, count: int) -> tuple[int, ...]:
    return tuple(first * 2**power for power in range(count))


PROFILES = {
    "smoke": Design(
        measured=(
            ("dm_step", "ipc", _double(1, 4)),
            ("dm_step", "K", _double(2, 3)),
            ("training", "m", _double(20, 4)),
            ("evaluation", "n", _double(100, 4)),
            ("lira", "K", _double(8, 4)),
            ("lira", "n", _double(1000, 4)),
            ("class_mean", "n", _double(1000, 4)),
            ("kip_step", "m", _double(10, 4)),
            ("linear_dm", "n", _double(100, 4)),
        ),
        n=2000,
        K=16,
        ipc=2,
        pool=400,
        batch_real=4,
        targets=200,
        width=8,
        repeats=3,
        square=500,
        block_mib=64,
    ),
    "laptop": Design(
        measured=(
            ("dm_step", "ipc", _double(1, 6)),
            ("dm_step", "K", _double(2, 6)),
            ("training", "m", _double(20, 6)),
            ("evaluation", "n", _double(250, 6)),
            ("lira", "K", _double(8, 6)),
            ("lira", "n", _double(1000, 6)),
            ("class_mean", "n", _double(1000, 6)),
            ("kip_step", "m", _double(40, 6)),
            ("linear_dm", "n", _double(150, 6)),
        ),
        n=10_000,
        K=64,
        ipc=2,
        pool=4000,
        batch_real=32,
        targets=1000,
        width=32,
        repeats=5,
    ),
    "paper": Design(
        measured=(
            ("dm_step", "ipc", _double(1, 7)),
            ("dm_step", "K", _double(2, 8)),
            ("training", "m", _double(20, 9)),
            ("evaluation", "n", _double(500, 7)),
            ("lira", "K", _double(8, 7)),
            ("lira", "n", _double(1500, 6)),
            ("class_mean", "n", _double(1500, 6)),
            ("kip_step", "m", _double(40, 8)),
            ("linear_dm", "n", _double(150, 6)),
        ),
        n=50_000,
        K=256,
        ipc=10,
        pool=50_000,
        batch_real=256,
        targets=5000,
        width=128,
        repeats=9,
        square=8192,
        block_mib=2048,
    ),
}


class Task(NamedTuple):
    """One operation against one variable."""

    operation: str
    variable: str


class Work(NamedTuple):
    """An operation with its inputs in place: what to call, a row's sizes, and the bytes of its inputs."""

    call: Callable[[], object]
    sizes: dict[str, int]
    reads: int


def tasks(parameters: Design, dataset: "Dataset") -> list[Task]:
    """Return what is measured; ValueError for a size that the data set, or an operation, does not have."""
    count, classes = len(dataset.train_labels), len(dataset.classes)
    smallest = int(torch.bincount(dataset.train_labels, minlength=classes).min())
    whole, even = classes * smallest, 2 * classes
    limits = {  # of the operations' sizes: the most there are, and what they are multiples of
        ("evaluation", "n"): (count, 1),
        ("class_mean", "n"): (count, 1),
        ("linear_dm", "n"): (smallest, 1),
        ("dm_step", "K"): (math.inf, 2),
        ("lira", "K"): (math.inf, 2),
        ("kip_step", "m"): (math.inf, classes),
    }
    for name, value, most, step in (
        ("pool", parameters.pool, whole, even),
        ("targets", parameters.targets, whole, classes),
        *(
            (f"{variable} of {operation}", size, *limits[operation, variable])
            for operation, variable, sizes in parameters.measured
            if (operation, variable) in limits
            for size in sizes
        ),
    ):
        if value > most or value % step:
            upto = "" if most == math.inf else f" up to {most}, the images of {dataset.name}"
            raise ValueError(f"{name} {value}: allowed are multiples of {step}{upto}")
    for operation, variable, sizes in parameters.measured:
        if (operation, variable) == ("lira", "K") and sizes[0] < FEWEST_SHADOWS:
            raise ValueError(f"K of lira {sizes[0]}: allowed are even numbers from {FEWEST_SHADOWS} up")
    return [Task(operation, variable) for operation, variable, _ in parameters.measured]


def run_task(
    task: Task, parameters: Design, dataset: "Dataset", seed: int, device: torch.device
) -> list[dict[str, object]]:
    """Measure one operation at every size; a row a size."""
    (sizes,) = (found for *named, found in parameters.measured if tuple(named) == task)
    dtype = DTYPES[task.operation]
    operation = OPERATIONS[task.operation](task, parameters, dataset, seed, device)
    before = ceilings(parameters, dtype, device)
    rows = []
    for size in sizes:
        work = operation(size)
        low, median, high = timed(work.call, parameters.repeats, device)
        rows.append(
            {"operation": task.operation, "variable": task.variable, "value": size, **work.sizes}
            | {"dtype": str(dtype).removeprefix("torch."), "threads": torch.get_num_threads()}
            | {"repeats": parameters.repeats, "seconds": median, "seconds_low": low, "seconds_high": high}
            | counted(work, device)
        )
    after = ceilings(parameters, dtype, device)
    most = tuple(max(pair) for pair in zip(before, after, strict=True))
    return [row | _rates(row, *most) for row in rows]


def _rates(row: dict[str, object], ceiling_flops: float, ceiling_bytes: float) -> dict[str, object]:
    least = {"arithmetic": row["flops"] / ceiling_flops, "memory": row["bytes"] / ceiling_bytes}
    bound = max(least, key=least.get)
    return {
        "flops_per_second": row["flops"] / row["seconds"],
        "bytes_per_second": row["bytes"] / row["seconds"],
        "ceiling_flops": ceiling_flops,
        "ceiling_bytes": ceiling_bytes,
        "bound": bound,
        "fraction": least[bound] / row["seconds"],
    }


# --- measuring ----------------------------------------------------------------------------------------------


def timed(call: Callable[[], object], repeats: int, device: torch.device) -> tuple[float, float, float]:
    """Return seconds a call: the least, the median and the upper quartile of `repeats`, after one to warm up.

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
    return min(taken), float(np.median(taken)), float(np.quantile(taken, 0.75))


def ceilings(parameters: Design, dtype: torch.dtype, device: torch.device) -> tuple[float, float]:
    """Return what this process reaches at most: operations a second of a product, bytes of a copy."""
    side = parameters.square
    square = torch.ones((side, side), dtype=dtype, device=device)
    product = torch.empty_like(square)
    least, *_ = timed(lambda: torch.mm(square, square, out=product), parameters.repeats, device)
    block = torch.ones(parameters.block_mib * 2**18, dtype=torch.float32, device=device)
    copy = torch.empty_like(block)
    shortest, *_ = timed(lambda: copy.copy_(block), parameters.repeats, device)
    return 2 * side**3 / least, 2 * block.nbytes / shortest


def counted(work: Work, device: torch.device) -> dict[str, int]:
    """Run an operation twice, once for its memory and once for its arithmetic; return the counted columns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = work.call()
        memory = torch.cuda.max_memory_allocated(device) - before
    else:
        with PeakMemory() as peak:
            result = work.call()
        memory = peak.most
    writes = sum(leaf.nbytes for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))
    return {"memory_bytes": memory, "flops": flops(work.call), "bytes": work.reads + writes}


class PeakMemory(TorchDispatchMode):
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
    """Triangular solves with a right-hand side that is the given argument: m^2 a column, so many times."""

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


# --- the operations -----------------------------------------------------------------------------------------


def _nbytes(*tensors: torch.Tensor) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _beginning(dataset: "Dataset", seed: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all training images, standardised, in random order, and their labels."""
    images, _ = standardised(dataset, device)
    order = torch.randperm(len(images), generator=generator(seed, "scaling order")).to(device)
    return images[order], dataset.train_labels.to(device)[order]


def _balanced(dataset: "Dataset", size: int, K: int, seed: int, device: torch.device) -> shadows.Pool:
    images, _ = standardised(dataset, device)
    return shadows.draw(images, dataset.train_labels.to(device), size, K, seed, len(dataset.classes))


def _dm_step(task: Task, p: Design, dataset: "Dataset", seed: int, device: torch.device) -> Callable:
    def prepare(size: int) -> Work:
        K, ipc = (size, p.ipc) if task.variable == "K" else (1, size)
        pool = _balanced(dataset, p.pool, max(2, K), seed, device)
        membership = pool.membership.to(device) if K > 1 else None
        named = derived_seed(seed, "scaling dm")
        problem = Problem.of(pool.images, pool.labels, membership, ipc, "noise", named, pool.classes)
        settings = dm.DM(batch_real=p.batch_real, width=p.width)
        matcher, images = dm.Matcher(problem, settings), initialise(problem)[0]
        n = sum(matcher.draws)  # with two sets or more, each image of the pool is in some set
        sizes = {"n": n, "m": ipc * pool.classes, "K": K, "ipc": ipc, "width": p.width}
        read = n * pool.images[0].nbytes + images.nbytes
        return Work(lambda: matcher.loss_and_gradient(0, images), sizes, read)

    return prepare


def _training(task: Task, p: Design, dataset: "Dataset", seed: int, device: torch.device) -> Callable:
    classes = len(dataset.classes)
    network = networks.build("convnet", tuple(dataset.train_images.shape[1:]), classes, p.width)
    schedule = training.Schedule(epochs=1)

    def prepare(m: int) -> Work:
        shape = (m, *dataset.train_images.shape[1:])
        images = torch.randn(shape, generator=generator(seed, "scaling training", m)).to(device)
        labels = (torch.arange(m) % classes).to(device)
        sizes = {"m": m, "K": 1, "width": p.width} | ({} if m % classes else {"ipc": m // classes})
        return Work(
            lambda: training.train(network, images, labels, schedule, seed, "scaling"),
            sizes,
            _nbytes(images, labels),
        )

    return prepare


def _evaluation(task: Task, p: Design, dataset: "Dataset", seed: int, device: torch.device) -> Callable:
    images, _ = _beginning(dataset, seed, device)
    network = networks.build("convnet", tuple(images.shape[1:]), len(dataset.classes), p.width)
    theta = network.initial(generator(seed, "scaling network"))
    theta = {name: value.to(device) for name, value in theta.items()}

    def prepare(n: int) -> Work:
        some = images[:n].clone()
        read = _nbytes(some, *theta.values())
        return Work(lambda: training.logits(network, theta, some), {"n": n, "K": 1, "width": p.width}, read)

    return prepare


def _lira(task: Task, p: Design, dataset: "Dataset", seed: int, device: torch.device) -> Callable:
    def prepare(size: int) -> Work:
        K, n = (size, p.n) if task.variable == "K" else (p.K, size)
        stream = generator(seed, "scaling lira", K, n)
        statistics = torch.randn((K, n), generator=stream, dtype=torch.float64).to(device)
        membership = (torch.rand((K, n), generator=stream).argsort(0) < K // 2).to(device)
        read = _nbytes(statistics, membership)
        return Work(lambda: lira.scores(statistics, membership), {"n": n, "K": K}, read)

    return prepare


def _class_mean(task: Task, p: Design, dataset: "Dataset", seed: int, device: torch.device) -> Callable:
    images, labels = _beginning(dataset, seed, device)
    shape = (p.K, len(dataset.classes), p.ipc, *images.shape[1:])
    synthetic = torch.randn(shape, generator=generator(seed, "scaling sets")).to(device)
    fixed = {"m": shape[1] * p.ipc, "K": p.K, "ipc": p.ipc}

    def prepare(n: int) -> Work:
        some, theirs = images[:n].clone(), labels[:n].clone()
        read = _nbytes(some, theirs, synthetic)
        return Work(lambda: released_images.class_mean(some, theirs, synthetic), {"n": n} | fixed, read)

    return prepare


def _kip_step(task: Task, p: Design, dataset: "Dataset", seed: int, device: torch.device) -> Callable:
    classes = len(dataset.classes)
    pool = _balanced(dataset, -(-p.targets // (2 * classes)) * 2 * classes, 2, seed, device)
    settings = kip.KIP(iterations=1, batch_targets=p.targets)

    def prepare(m: int) -> Work:
        named = derived_seed(seed, "scaling kip")
        problem: Problem = Problem.of(pool.images, pool.labels, None, m // classes, "noise", named, classes)
        read = p.targets * pool.images[0].nbytes + _nbytes(pool.labels[: p.targets])

        def call() -> tuple[torch.Tensor, torch.Tensor]:
            found = kip.condense(problem, settings)
            return found.images, found.labels

        return Work(call, {"n": p.targets, "m": m, "K": 1, "ipc": m // classes}, read)

    return prepare


def _linear_dm(task: Task, p: Design, dataset: "Dataset", seed: int, device: torch.device) -> Callable:
    rows = linear.flatten(dataset.of_class(0).to(device))
    stream = generator(seed, "scaling initial")
    initial = torch.rand((p.ipc, rows.shape[1]), generator=stream, dtype=rows.dtype).to(device)

    def prepare(n: int) -> Work:
        real = rows[:n].clone()
        sizes = {"n": n, "m": p.ipc, "K": 1, "ipc": p.ipc}
        return Work(lambda: linear.minimiser(initial, real), sizes, _nbytes(initial, real))

    return prepare


OPERATIONS: dict[str, Callable[..., Callable[[int], Work]]] = {
    "dm_step": _dm_step,
    "training": _training,
    "evaluation": _evaluation,
    "lira": _lira,
    "class_mean": _class_mean,
    "kip_step": _kip_step,
    "linear_dm": _linear_dm,
}
