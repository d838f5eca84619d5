"""Membership in chunks of shadows, which a cluster's workers do side by side (`privacy_for_free.lab.chunks`).

A chunk is some of a release's K halves: their sets are condensed, and a network is trained on each. A set is
bitwise what it is in the whole run, and so is a network, whoever shares the chunk. `assemble` puts the chunks
of a task together as the checkpoint that `membership.run_task` would have left when its last network was
trained; what `run_task` then does is attack.

A chunk of distribution matching computes the features of the real batches for itself, which the whole run
computes once for all sets; so a chunk has at least as many sets as make that half of its work. On a GPU
networks are trained in stacks, and the last bits of a network depend on its stack: there a task stays whole.
"""

import hashlib
import itertools
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free import shadows
from privacy_for_free.condensation import Condensed, Run, condense
from privacy_for_free.condensation.loop import fingerprint
from privacy_for_free.condensation.problem import Problem
from privacy_for_free.core.checkpoint import save as save_state
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.membership import measure as membership
from privacy_for_free.nets import augmentation, networks

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

SHADOWS = 16  # a chunk, or about as many
SHADOWS_DSA = 4  # whose sets take long and share next to nothing


class Chunk(NamedTuple):
    """Shadows first .. last-1 of a cell."""

    cell: membership.Cell
    first: int
    last: int


def chunks(
    task: membership.Task, parameters: membership.Design, dataset: "Dataset", device: torch.device
) -> list[Chunk]:
    """Return a task's chunks, in the order of its cells and shadows; none on a GPU."""
    if device.type != "cpu":
        return []
    found = []
    for cell in (membership.Cell(*cell) for cell in parameters.cells if cell[2] == task.ratio):
        count = max(1, cell.shadows // _least(cell, parameters, len(dataset.classes)))
        ends = [cell.shadows * part // count for part in range(count + 1)]
        found += [Chunk(cell, first, last) for first, last in itertools.pairwise(ends)]
    return found


def _least(cell: membership.Cell, parameters: membership.Design, classes: int) -> int:
    """Return how many shadows a chunk has at least, where there are so many."""
    if cell.method == "dsa":
        return SHADOWS_DSA
    if cell.method != "dm":
        return SHADOWS
    # A step passes real images forward, two for each of a set's batch, for half of them are members; and a
    # set's own images forward and back, which costs as much as passing them forward three times.
    own = 3 * membership.images_per_class(cell.ratio, parameters, classes)
    return max(SHADOWS, math.ceil(2 * parameters.dm.batch_real / own))


def run_chunk(
    chunk: Chunk,
    task: membership.Task,
    parameters: membership.Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
) -> dict[str, object]:
    """Condense a chunk's sets and train on them.

    Returns the `answers` of its networks and whether they are `right` (lists of tensors, as
    `shadows.confidences` yields them), `seconds` of training, and the state `sets` of the condensation after
    its last step, None for what is not iterated.
    """
    cell, names = chunk.cell, tuple(range(chunk.first, chunk.last))
    pool = _pool(cell, parameters, dataset, seed, device)
    sets, state, training_sets = None, None, None
    schedule = parameters.full_schedule
    if cell.method != "full":
        sets, state = _condensed(cell, names, pool, parameters, dataset, seed)
        training_sets = [membership._hard(*sets.flat(k)) for k in range(len(names))]
        schedule = parameters.schedule
    network = networks.build("convnet", tuple(pool.images.shape[1:]), pool.classes, parameters.width)
    began = time.perf_counter()
    found = shadows.confidences(
        network,
        pool,
        training_sets,
        augmentation.published_for(schedule, dataset.name),
        derived_seed(seed, "shadow networks", *cell[:3]),
        names,
        parameters.queries,
    )
    answers, right = map(list, zip(*found, strict=True))
    return {"sets": state, "answers": answers, "right": right, "seconds": time.perf_counter() - began}


def assemble(
    chunks: Sequence[Chunk],
    found: Sequence[Mapping[str, object]],
    parameters: membership.Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path,
) -> None:
    """Write the checkpoint of a task all of whose chunks found this."""
    of_cell: dict[membership.Cell, list[Mapping[str, object]]] = {}
    for chunk, one in zip(chunks, found, strict=True):
        of_cell.setdefault(chunk.cell, []).append(one)
    for cell, parts in of_cell.items():
        path = checkpoint.with_suffix(f".{cell.method}-{cell.init}.checkpoint")
        if parts[0]["sets"] is not None:
            pool = _pool(cell, parameters, dataset, seed, device)
            key = _fingerprint(cell, pool, parameters, dataset, seed)
            state = _joined([one["sets"] for one in parts]) | {"key": key}
            save_state(path.with_suffix(".sets.checkpoint"), state)
        state = {
            "key": hashlib.sha256(f"{cell} {parameters} {seed} {dataset.sha256}".encode()).hexdigest(),
            "answers": [answer for one in parts for answer in one["answers"]],
            "right": [right for one in parts for right in one["right"]],
            "seconds": sum(one["seconds"] for one in parts),
        }
        save_state(path, state)


def _pool(
    cell: membership.Cell,
    parameters: membership.Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
) -> shadows.Pool:
    images, _ = standardised(dataset, device)
    labels, classes = dataset.train_labels.to(device), len(dataset.classes)
    whole = shadows.draw(images, labels, parameters.pool, parameters.shadows, seed, classes)
    return whole.first(cell.shadows)


def _given(
    cell: membership.Cell, parameters: membership.Design, dataset: "Dataset", seed: int, classes: int
) -> tuple[int, object | None, torch.Generator]:
    """Return what a release is condensed with besides images: ipc, settings, and the stream of its seed."""
    ipc = membership.images_per_class(cell.ratio, parameters, classes)
    settings = augmentation.published_for(getattr(parameters, cell.method, None), dataset.name)
    return ipc, settings, generator(seed, "release", cell.method, cell.init, ipc)


def _condensed(
    cell: membership.Cell,
    names: tuple[int, ...],
    pool: shadows.Pool,
    parameters: membership.Design,
    dataset: "Dataset",
    seed: int,
) -> tuple[Condensed, dict | None]:
    """Return some of a cell's sets, and the state after the last step where there are steps."""
    ipc, settings, stream = _given(cell, parameters, dataset, seed, pool.classes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sets.checkpoint"
        sets = condense(
            cell.method,
            pool.images,
            pool.labels,
            pool.membership[list(names)].to(pool.images.device),
            ipc=ipc,
            init=cell.init,
            parameters=settings,
            generator=stream,
            classes=pool.classes,
            names=names,
            run=Run(checkpoint=path),
        )
        return sets, torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def _fingerprint(
    cell: membership.Cell,
    pool: shadows.Pool,
    parameters: membership.Design,
    dataset: "Dataset",
    seed: int,
) -> str:
    """Return the key of the checkpoint that the condensation of all of a cell's sets would leave."""
    ipc, settings, stream = _given(cell, parameters, dataset, seed, pool.classes)
    own = int(torch.randint(2**62, (), generator=stream))
    inside = pool.membership.to(pool.images.device)
    problem = Problem.of(pool.images, pool.labels, inside, ipc, cell.init, own, pool.classes)
    method = {"kip": "kernel inducing points"}.get(cell.method, cell.method)
    return fingerprint(method, problem, settings)


def _joined(states: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return the state of the sets of all chunks; the optimiser's momenta are not needed after the end."""
    first = states[0]
    return {
        "step": first["step"],
        "images": torch.cat([state["images"] for state in states]),
        "optimiser": first["optimiser"] | {"state": {}},
        "logged": first["logged"],
        "losses": [torch.cat(values) for values in zip(*(state["losses"] for state in states), strict=True)],
        "snapshots": {},
        "seconds": sum(state["seconds"] for state in states),
    }
