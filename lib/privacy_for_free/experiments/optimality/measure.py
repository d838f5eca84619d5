"""What released images say of their members: the equations of stationary images, against what was varied.

A task draws a pool of 2 n images of one class and K independent random halves of it, condenses each of them
alone (one run for all, no term of which couples two), and attacks the released images twice: by linear
tracing in the space of features, and by the optimality attack (`attacks.optimality`). Its ridge, whitening
and box are chosen on the last `tuned` halves and used on the first `targets` ones. Cells of one n and one
class share the pool and the halves.

The halves to choose by share the condenser's extractors with those attacked; an attacker would condense his
own with others, to the same end: what is chosen is how much to trust the equations.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.optimality import attacking, releases
from privacy_for_free.experiments.optimality.design import INSIDE, Design, Task, varied

if TYPE_CHECKING:
    from privacy_for_free.condensation import Condensed
    from privacy_for_free.data import Dataset


def run(
    task: Task,
    design: Design,
    dataset: "Dataset",
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> list[dict[str, object]]:
    """Condense and attack one cell; one or two rows for each of its attacks."""
    design = varied(design, task.cell)
    train, _ = standardised(dataset, device)
    train = train[(dataset.train_labels == task.c).to(device)]
    seed = derived_seed(seed, "optimality", design.n, task.c)
    halves = releases.draw(train, design, seed)
    problem = releases.problem_of(halves, design, derived_seed(seed, "condenser"))
    path = checkpoint and checkpoint.with_suffix(".dm.checkpoint")
    sets = releases.condensed(problem, design, path, path is not None)
    common = _common(task, design) | {"condensing_seconds": sets.seconds, "loss": _loss(sets, design)}
    box, rows = releases.box_of(train), []
    for knowledge, count, name in design.attacks:
        attacker = derived_seed(seed, "attacker", knowledge)
        extractors = releases.known(knowledge, count, problem, design, attacker, halves.images)
        columns, released, inside = _released(sets.images[:, 0], name, box)
        known = common | {"knowledge": knowledge, "extractors": len(extractors)} | columns
        known["features"] = extractors.width
        rows += [known | row for row in attacking.attacked(halves, released, inside, extractors, design)]
    return rows


def _released(
    images: torch.Tensor, name: str, box: tuple[torch.Tensor, torch.Tensor]
) -> tuple[dict[str, object], torch.Tensor, torch.Tensor | None]:
    """Return the columns, the images K x m x C x H x W, and which pixels are inside, if that is asked for."""
    released = releases.published(images, name, box)
    inside = (released > box[0]) & (released < box[1])
    modelled = name.endswith(INSIDE)
    columns = {"release": name.removesuffix(INSIDE), "pixels": "inside" if modelled else "all"}
    columns["outside"] = 1 - float(inside.double().mean())
    return columns, released, inside if modelled else None


def _common(task: Task, design: Design) -> dict[str, object]:
    matching = design.dm
    return {
        "cell": task.cell,
        "c": task.c,
        "n": design.n,
        "ipc": design.ipc,
        "init": design.init,
        "bank": matching.bank,
        "iterations": matching.iterations,
        "learning_rate": matching.learning_rate,
        "schedule": matching.schedule,
        "batch_real": matching.batch_real,
        "augmentation": matching.augmentation or "none",
        "width": matching.width,
        "clamp": int(matching.clamp),
        "targets": design.targets,
        "tuned": design.tuned,
    }


def _loss(sets: "Condensed", design: Design) -> float:
    last = -max(1, sets.loss.shape[1] // 10)
    return float(sets.loss[: design.targets, last:].mean())
