"""Membership in chunks of shadows, which a cluster's workers do side by side (`privacy_for_free.lab.chunks`).

A chunk is some of a release's K halves: their sets are condensed, and a network is trained on each. A set is
bitwise what it is in the whole run, and so is a network, whoever shares the chunk. `assemble` puts the chunks
of a task together as the checkpoint that `measure.run` would have left when its last network was trained;
what `measure.run` then does is attack.

A chunk of distribution matching computes the features of the real batches for itself, which the whole run
computes once for all sets; so a chunk has at least as many sets as make that half of its work. On a GPU
networks are trained in stacks, and the last bits of a network depend on its stack: there a task stays whole.
"""

import itertools
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free import shadows
from privacy_for_free.condensation import Run
from privacy_for_free.core import checkpoint as checkpoints
from privacy_for_free.experiments.membership.design import Cell, Design, Task, cells, images_per_class
from privacy_for_free.experiments.membership.inputs import Inputs, answers_path, draw_pool, sets_path

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

MINIMUM_SHADOWS = 16  # per chunk, where there are so many
MINIMUM_SHADOWS_DSA = 4  # whose sets take long and share next to nothing


class Chunk(NamedTuple):
    """Shadows first .. last-1 of a cell."""

    cell: Cell
    first: int
    last: int


def split(task: Task, design: Design, dataset: "Dataset", device: torch.device) -> list[Chunk]:
    """Return a task's chunks, in the order of its cells and shadows; none on a GPU."""
    if device.type != "cpu":
        return []
    chunks = []
    for cell in cells(task, design):
        count = max(1, cell.shadows // _minimum(cell, design, len(dataset.classes)))
        ends = [cell.shadows * number // count for number in range(count + 1)]
        chunks += [Chunk(cell, first, last) for first, last in itertools.pairwise(ends)]
    return chunks


def _minimum(cell: Cell, design: Design, classes: int) -> int:
    """Return how many shadows a chunk has at least, where there are so many."""
    if cell.method == "dsa":
        return MINIMUM_SHADOWS_DSA
    if cell.method != "dm":
        return MINIMUM_SHADOWS
    # A step passes real images forward, two for each of a set's batch, for half of them are members; and a
    # set's own images forward and back, which costs as much as passing them forward three times.
    passes = 3 * images_per_class(cell.ratio, design, classes)
    return max(MINIMUM_SHADOWS, math.ceil(2 * design.dm.batch_real / passes))


def run(
    chunk: Chunk,
    task: Task,
    design: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    keep: bool = False,
) -> dict[str, object]:
    """Condense a chunk's sets and train on them.

    Returns the fields of `shadows.Answers` of its networks, with logits where the task will `keep` them, and
    the state `sets` of the condensation after its last step, None for what is not iterated.
    """
    inputs = Inputs.of(chunk.cell, draw_pool(design, dataset, seed, device), design, dataset, seed)
    names = range(chunk.first, chunk.last)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sets.checkpoint"
        sets = inputs.release(Run(checkpoint=path), names)
        state = torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
    return {"sets": state, **inputs.train_and_ask(sets, names, logits=keep)._asdict()}


def assemble(
    chunks: Sequence[Chunk],
    found: Sequence[Mapping[str, object]],
    design: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path,
) -> None:
    """Write the checkpoints of a task whose chunks found this, in the order of the chunks."""
    whole = draw_pool(design, dataset, seed, device)
    results: dict[Cell, list[Mapping[str, object]]] = {}
    for chunk, result in zip(chunks, found, strict=True):
        results.setdefault(chunk.cell, []).append(result)
    for cell, parts in results.items():
        inputs = Inputs.of(cell, whole, design, dataset, seed)
        if parts[0]["sets"] is not None:
            state = _joined([part["sets"] for part in parts]) | {"key": inputs.sets_key}
            checkpoints.save(sets_path(checkpoint, cell), state)
        shadows.Answers(
            torch.cat([part["confidences"] for part in parts]),
            torch.cat([part["correct"] for part in parts]),
            sum(part["seconds"] for part in parts),
            None if parts[0]["logits"] is None else torch.cat([part["logits"] for part in parts]),
        ).save(answers_path(checkpoint, cell), inputs.key)


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
