"""What the networks trained on K training sets say of the pool.

Shadows are independent. On a CPU each network is trained by one thread, in this process or in one of
`workers`: the numbers are the same bits however many there are. A GPU trains stacks of networks at once.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import torch

from privacy_for_free.attacks.confidences import logit_scaled_confidence
from privacy_for_free.core.devices import usable_cores
from privacy_for_free.nets import training
from privacy_for_free.nets.networks import Network, Weights
from privacy_for_free.shadows.pools import Pool

QUERIES = ("identity", "flip")
WORTH = 200_000  # images passed forward and back from which on worker processes pay
STACK_BYTES = 4 * 2**30  # of training sets that a GPU holds at a time
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def confidences(
    network: Network,
    pool: Pool,
    sets: Sequence[tuple[torch.Tensor, torch.Tensor]] | None,
    schedule: training.Schedule,
    seed: int,
    names: Sequence[int],
    queries: Sequence[str] = ("identity",),
    workers: int | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield for each shadow in `names` what its network says of the pool.

    That is the logit-scaled confidence, float64, 2n x queries, and whether the first query's highest score is
    that of the label, bool, 2n; both on the CPU.

    sets      a training set each, images (M, C, H, W) and labels; None: the shadow's half of the pool
    seed, names   shadow k's network is `training.train(..., seed, k)`, whichever others are asked for
    queries   what a network is asked about each image, the same for all: "identity", "flip"
    workers   processes that share the work on a CPU; None for the cores there are, or for this process alone
              where starting others takes longer than the work

    ValueError for unknown queries. Errors of training are those of `training.train`.
    """
    unknown = [query for query in queries if query not in QUERIES]
    if unknown or not queries:
        raise ValueError(f"queries {tuple(queries)}: known are {', '.join(QUERIES)}, one or more")
    jobs = [(name, *(sets[place] if sets is not None else (None, None))) for place, name in enumerate(names)]
    if pool.images.device.type != "cpu":
        yield from _stacked(network, pool, jobs, schedule, seed, queries)
        return
    if workers is None:
        seen = (
            len(pool.labels) // 2 if sets is None else sum(len(its) for _, its in sets) // max(1, len(sets))
        )
        workers = usable_cores() if schedule.epochs * seen * len(jobs) >= WORTH else 1
    workers = min(workers, len(jobs))
    shared = (network, pool, schedule, seed, tuple(queries))
    if workers <= 1:
        with _one_thread():
            for job in jobs:
                yield _confidence(shared, job)
        return
    context = multiprocessing.get_context("spawn")
    with _environment(), ProcessPoolExecutor(workers, context, _begin, (shared,)) as executor:
        yield from executor.map(_work, jobs)


_shared: list[tuple] = []  # in a worker: what all its jobs have in common


def _begin(shared: tuple) -> None:
    torch.set_num_threads(1)
    _shared[:] = [shared]


def _work(job: tuple) -> tuple[torch.Tensor, torch.Tensor]:
    return _confidence(_shared[0], job)


def _confidence(shared: tuple, job: tuple) -> tuple[torch.Tensor, torch.Tensor]:
    network, pool, schedule, seed, queries = shared
    name, images, labels = job
    images, labels = _training_set(pool, name, images, labels)
    parameters = training.train(network, images, labels, schedule, seed, name)
    return _ask(network, parameters, pool, queries, schedule.compile)


def _stacked(
    network: Network, pool: Pool, jobs: list[tuple], schedule: training.Schedule, seed: int, queries: tuple
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    if not jobs:
        return
    first, _ = _training_set(pool, *jobs[0])
    group = max(1, STACK_BYTES // (first.numel() * first.element_size()))
    for start in range(0, len(jobs), group):
        part = jobs[start : start + group]
        sets = [_training_set(pool, *job) for job in part]
        images, labels = (torch.stack(values) for values in zip(*sets, strict=True))
        names = [name for name, *_ in part]
        parameters = training.train_many(network, images, labels, schedule, seed, names)
        for k in range(len(part)):
            yield _ask(network, training.select(parameters, k), pool, queries, schedule.compile)


def _training_set(
    pool: Pool, name: int, images: torch.Tensor | None, labels: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    if images is not None:
        return images, labels
    members = pool.membership[name].to(pool.labels.device)
    return pool.images[members], pool.labels[members]


def _ask(
    network: Network, parameters: Weights, pool: Pool, queries: Sequence[str], compile: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ask one network about the whole pool, in one large batch a query."""
    answers, right = [], None
    for query in queries:
        images = pool.images.flip(3) if query == "flip" else pool.images
        logits = training.logits(network, parameters, images, compile)
        right = (logits.argmax(1) == pool.labels).cpu() if right is None else right
        answers.append(logit_scaled_confidence(logits, pool.labels).cpu())
    return torch.stack(answers, 1), right


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: how many there are decides the order of sums, and so the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _environment() -> Iterator[None]:
    """Have processes that are started in here begin with one thread."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
