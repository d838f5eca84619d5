"""What the networks trained on K training sets say of the pool.

`train_and_ask` is the whole arrow, from training sets to what an attacker measures, and goes on where a kill
cut it off. `confidences` is the same network by network; `gather` keeps the answers of networks that a caller
trains in another way.

Shadows are independent. On a CPU each network is trained by one thread, in this process or in one of
`workers`: the numbers are the same bits however many there are. A GPU trains stacks of networks at once.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from privacy_for_free.attacks.confidences import logit_scaled_confidence
from privacy_for_free.core import checkpoint as checkpoints
from privacy_for_free.core import devices, paths, progress, validate
from privacy_for_free.core.entrance import TARGETS, entrance
from privacy_for_free.core.plain import tensor
from privacy_for_free.nets import training
from privacy_for_free.nets.networks import Network, Weights
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.shadows.pools import Pool

QUERIES = ("identity", "flip")
MINIMUM_WORK = 200_000  # images passed forward and back, from which on worker processes pay
STACK_BYTES = 4 * 2**30  # of training sets that a GPU holds at a time
THREAD_VARIABLES, HALF = ("OMP_NUM_THREADS", "MKL_NUM_THREADS"), torch.finfo(torch.float16).max
SAVE_SECONDS = 10.0  # what a kill costs at most, and the network in hand


class Answers(NamedTuple):
    """What K networks say of the pool; all on the CPU.

    confidences  float64, K x 2n x queries: logit-scaled
    correct      bool, K x 2n: whether the highest score of the first query is that of the label
    seconds      of training and asking all K, resumed runs included
    logits       float16, K x 2n x queries x classes: class scores, where they were asked for
    """

    confidences: torch.Tensor
    correct: torch.Tensor
    seconds: float
    logits: torch.Tensor | None = None

    def save(self, path: Path, key: str) -> None:
        """Save these answers as a checkpoint that `gather` goes on from; errors of `checkpoint.save`."""
        checkpoints.save(paths.given("path", path), {"key": key, **self._asdict()})


@entrance
def train_and_ask(
    network: Network,
    pool: Pool,
    sets: Sequence[tuple[torch.Tensor, torch.Tensor]] | None,
    schedule: Schedule,
    seed: int,
    names: Sequence[int],
    queries: Sequence[str] = ("identity",),
    *,
    checkpoint: Path | None = None,
    key: str = "",
    label: str = "",
    workers: int | None = None,
    logits: bool = False,
) -> Answers:
    """Train a network for each shadow in `names`, and ask it about the pool.

    Arguments are those of `confidences`, and of `gather`.
    """

    def train(missing: Sequence[int]) -> Iterator[tuple[torch.Tensor, ...]]:
        rest = sets and sets[len(names) - len(missing) :]
        return confidences(network, pool, rest, schedule, seed, missing, queries, workers, logits)

    if sets is not None:
        sets = _plain(sets, names)
    return gather(train, names, checkpoint=checkpoint, key=key, label=label, logits=logits)


@entrance
def gather(
    ask: Callable[[Sequence[int]], Iterator[tuple[torch.Tensor, ...]]],
    names: Sequence[int],
    *,
    checkpoint: Path | None = None,
    key: str = "",
    label: str = "",
    logits: bool = False,
) -> Answers:
    """Gather the answers of one network after another.

    ask          names -> for each of them, in order, what `confidences` yields: confidences (2n x queries),
                 correctness (2n), logits; it is called with the names that are still missing
    names        of the networks, one or more
    checkpoint   file that keeps what is gathered, saved when SAVE_SECONDS have passed and at the end; a call
                 that finds its own goes on from there. Removed by whoever named it. None keeps nothing
    key          of the checkpoint (`core.checkpoint.key`): of all that determines the answers
    label        of the progress bar, which is shown where there is a checkpoint
    logits       whether `ask` yields these too; a checkpoint that was begun without them is begun anew then

    CheckpointError where the checkpoint is another's or cannot be written, or another process is at work on
    it; ValueError for one without a key, and for no names, before any work; other errors are those of `ask`.
    """
    if checkpoint and not key:
        raise ValueError(f"key {key!r}: allowed with a checkpoint is a digest of what determines the answers")
    if len(names) == 0:
        raise ValueError(f"names {names!r}: allowed are one or more")
    if checkpoint:
        _leave_if_imported_by_a_worker()
    with checkpoints.held(checkpoint):
        return _gathered(ask, names, checkpoint, key, label, logits)


def _gathered(
    ask: Callable[[Sequence[int]], Iterator[tuple[torch.Tensor, ...]]],
    names: Sequence[int],
    checkpoint: Path | None,
    key: str,
    label: str,
    logits: bool,
) -> Answers:
    """Gather, with the checkpoint held."""
    gathered: list[tuple[torch.Tensor, ...]] = []
    seconds = 0.0
    if checkpoint and checkpoint.exists():
        state = checkpoints.load(checkpoint, key)
        found = [state["confidences"], state["correct"], *([state.get("logits")] if logits else [])]
        if found[-1] is not None:
            gathered, seconds = list(zip(*found, strict=True)), state["seconds"]
    first, before, began = len(gathered), seconds, time.perf_counter()
    saved = began
    missing = names[first:]
    steps = progress.bar(missing, len(names), checkpoint is not None, label, first)
    for _, answer in zip(steps, ask(missing), strict=True):
        gathered.append(answer)
        seconds = before + time.perf_counter() - began
        due = time.perf_counter() - saved > SAVE_SECONDS or len(gathered) == len(names)
        if checkpoint and due:
            _stacked_answers(gathered, seconds).save(checkpoint, key)
            saved = time.perf_counter()
    return _stacked_answers(gathered, seconds)


def _stacked_answers(gathered: Sequence[tuple[torch.Tensor, ...]], seconds: float) -> Answers:
    confidence, correct, *logits = (torch.stack(values) for values in zip(*gathered, strict=True))
    return Answers(confidence, correct, seconds, *logits)


@entrance
def ask(
    network: Network,
    weights: Weights,
    pool: Pool,
    queries: Sequence[str] = ("identity",),
    compile: bool = False,
    logits: bool = False,
) -> tuple[torch.Tensor, ...]:
    """Ask one network about the whole pool, in one large batch per query.

    Returns its logit-scaled confidences, float64, 2n x queries, whether the first query's highest score is
    that of the label, bool, 2n, and for `logits` its class scores, float16, 2n x queries x classes, at most
    float16's largest; all on the CPU. ValueError for unknown queries.
    """
    _check_queries(queries)
    columns, kept, correct = [], [], None
    for query in queries:
        images = pool.images.flip(3) if query == "flip" else pool.images
        scores = training.logits(network, weights, images, compile)
        correct = (scores.argmax(1) == pool.labels).cpu() if correct is None else correct
        columns.append(logit_scaled_confidence(scores, pool.labels).cpu())
        if logits:
            kept.append(scores.clamp(-HALF, HALF).half().cpu())
    return torch.stack(columns, 1), correct, *([torch.stack(kept, 1)] if logits else [])


@entrance
def confidences(
    network: Network,
    pool: Pool,
    sets: Sequence[tuple[torch.Tensor, torch.Tensor]] | None,
    schedule: Schedule,
    seed: int,
    names: Sequence[int],
    queries: Sequence[str] = ("identity",),
    workers: int | None = None,
    logits: bool = False,
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield for each shadow in `names` what its network says of the pool, as `ask` returns it.

    sets      for each name images (M, C, H, W) and labels to train on; None: the shadow's half of the pool
    seed, names   shadow k's network is `training.train(..., seed, k)`, whichever others are asked for
    queries   what a network is asked about each image, the same for all: "identity", "flip"
    workers   processes that share the work on a CPU; None for the cores there are, or for this process alone
              where starting others takes longer than the work. A script that is run with more than one is
              imported again by each of them, so its work has to be under `if __name__ == "__main__":`; one
              that cannot be imported, from standard input, is run by this process alone
    logits    whether `ask` is to return these too

    ValueError for unknown queries, for names that are no halves of the pool where there are no sets, and
    where workers end before their work. Errors of training are those of `training.train`.
    """
    _check_queries(queries)
    if sets is not None:
        sets = _plain(sets, names)
    elif wrong := [name for name in names if not 0 <= name < pool.shadows]:
        raise ValueError(f"names {wrong[0]}: allowed without sets are 0 to {pool.shadows - 1}")
    jobs = [(name, *(sets[place] if sets is not None else (None, None))) for place, name in enumerate(names)]
    if pool.images.device.type != "cpu":
        yield from stacked(network, pool, jobs, schedule, seed, queries, logits)
        return
    if workers is None:
        half = len(pool.labels) // 2
        seen = half if sets is None else sum(len(labels) for _, labels in sets) // max(1, len(sets))
        workers = devices.usable_cores() if schedule.epochs * seen * len(jobs) >= MINIMUM_WORK else 1
    workers = min(validate.whole("workers", workers, 1), len(jobs))
    shared = (network, pool, schedule, seed, tuple(queries), logits)
    if workers <= 1 or not _main_can_be_imported():
        for job in jobs:
            with devices.steady_threads():
                answer = _confidence(shared, job)
            yield answer
        return
    _leave_if_imported_by_a_worker()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (shared,)) as executor:
        try:
            with _environment():  # all are started by the first job's submission
                answers = executor.map(_work, jobs)
            yield from answers
        except BrokenProcessPool:
            raise ValueError(
                f"workers {workers}: a process ended before its work. Guard the script with "
                '`if __name__ == "__main__":`, for each worker imports it, or pass workers=1; where memory '
                "ran out, fewer workers are allowed"
            ) from None


def _check_queries(queries: Sequence[str]) -> None:
    unknown = [query for query in queries if query not in QUERIES]
    if unknown or not queries or isinstance(queries, str):
        raise ValueError(f"queries {queries!r}: known are {', '.join(QUERIES)}, one or more, in a tuple")


def _plain(
    sets: Sequence[tuple[torch.Tensor, torch.Tensor]], names: Sequence[int]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the sets as plain tensors; ValueError for one that is none, and unless there is one per name."""
    if len(sets) != len(names):
        raise ValueError(f"sets: {len(sets)} for {len(names)} names; allowed is one for each name, or None")
    return [
        (tensor(f"images of sets[{k}]", images), tensor(f"labels of sets[{k}]", labels, TARGETS))
        for k, (images, labels) in enumerate(sets)
    ]


def _main_can_be_imported() -> bool:
    """Whether a process that is started finds the script that this one runs, if it runs any."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    return getattr(main, "__spec__", None) is not None or path is None or os.path.exists(path)


def _leave_if_imported_by_a_worker() -> None:
    """End a worker that has come here by importing a script without a guard; who started it says so."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)


_shared: list[tuple] = []  # in a worker: what all its jobs have in common


def _begin(shared: tuple) -> None:
    torch.set_num_threads(devices.threads())
    _shared[:] = [shared]


def _work(job: tuple) -> tuple[torch.Tensor, ...]:
    return _confidence(_shared[0], job)


def _confidence(shared: tuple, job: tuple) -> tuple[torch.Tensor, ...]:
    network, pool, schedule, seed, queries, logits = shared
    name, images, labels = job
    images, labels = _training_set(pool, name, images, labels)
    weights = training.train(network, images, labels, schedule, seed, name)
    return ask(network, weights, pool, queries, schedule.compile, logits)


@entrance
def stacked(
    network: Network,
    pool: Pool,
    jobs: Sequence[tuple[int, torch.Tensor | None, torch.Tensor | None]],
    schedule: Schedule,
    seed: int,
    queries: Sequence[str] = ("identity",),
    logits: bool = False,
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield what `confidences` does, from networks trained many at a time, as a GPU is used best.

    jobs   name, images and labels each, sets of one size; None and None stand for the shadow's half

    Each stack of sets has STACK_BYTES at most. The last bits of a network depend on its stack.
    """
    if not jobs:
        return
    first, _ = _training_set(pool, *jobs[0])
    group = max(1, STACK_BYTES // (first.numel() * first.element_size()))
    for start in range(0, len(jobs), group):
        stack = jobs[start : start + group]
        sets = [_training_set(pool, *job) for job in stack]
        images, labels = (torch.stack(values) for values in zip(*sets, strict=True))
        names = [name for name, *_ in stack]
        weights = training.train_many(network, images, labels, schedule, seed, names)
        for k in range(len(stack)):
            yield ask(network, training.select(weights, k), pool, queries, schedule.compile, logits)


def _training_set(
    pool: Pool, name: int, images: torch.Tensor | None, labels: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    if images is not None:
        return images, labels
    members = pool.membership[name].to(pool.labels.device)
    return pool.images[members], pool.labels[members]


@contextmanager
def _environment() -> Iterator[None]:
    """Have processes that are started in here begin with one thread."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
