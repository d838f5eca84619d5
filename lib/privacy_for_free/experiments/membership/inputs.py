"""What the sets and networks of a cell are made from: the same for a whole task and for all its chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free import shadows
from privacy_for_free.condensation import Condensed, Run
from privacy_for_free.condensation.loop import fingerprint
from privacy_for_free.core import checkpoint
from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.membership.design import FULL, Cell, Design, images_per_class
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.shadows import game

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def draw_pool(design: Design, dataset: "Dataset", seed: int, device: torch.device) -> shadows.Pool:
    """Return the pool, standardised and on `device`, with the halves of all shadows."""
    images, _ = standardised(dataset, device)
    labels, classes = dataset.train_labels.to(device), len(dataset.classes)
    return shadows.draw(images, labels, design.pool, design.shadows, seed, classes)


def hard_labelled(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a set with labels to learn by cross-entropy: the class of KIP's, one-hot less 1 / classes."""
    return images, labels.argmax(1) if labels.is_floating_point() else labels


@dataclass(frozen=True, eq=False)
class Inputs:
    """What one release of every half, and the networks that are attacked, are made from.

    pool   with the halves of this cell's shadows
    seed   of the run
    """

    cell: Cell
    pool: shadows.Pool
    design: Design
    dataset: "Dataset"
    seed: int

    @classmethod
    def of(cls, cell: Cell, whole: shadows.Pool, design: Design, dataset: "Dataset", seed: int) -> "Inputs":
        """Return the inputs of a cell, whose halves are the first of the whole pool's."""
        return cls(cell, whole.first(cell.shadows), design, dataset, seed)

    @property
    def ipc(self) -> int:
        """Synthetic images per class, 0 for `full`."""
        return images_per_class(self.cell.ratio, self.design, self.pool.classes)

    @property
    def settings(self) -> object | None:
        """The settings of the method; None for a random subset, which has none, and for `full`."""
        methods = {"dm": self.design.dm, "dsa": self.design.dsa, "kip": self.design.kip}
        return augmentation.published_for(methods.get(self.cell.method), self.dataset.name)

    @property
    def key(self) -> str:
        """The key of the checkpoint of the cell's answers."""
        return checkpoint.key(self.cell, self.design, self.seed, self.dataset.sha256)

    @property
    def sets_key(self) -> str:
        """The key of the checkpoint that condensing all of the cell's sets leaves."""
        method, init = self.cell.method, self.cell.init
        problem = game.problem(self.pool, method, init, self.ipc, self.seed)
        return fingerprint(method, problem, self.settings)

    def release(self, run: Run, names: Sequence[int] | None = None) -> Condensed | None:
        """Condense all halves, or those in `names`; None for `full`, of which only networks are released."""
        method, init, ratio, _ = self.cell
        if ratio == FULL:
            return None
        return shadows.release(self.pool, method, init, self.ipc, self.settings, self.seed, run, names)

    def train_and_ask(
        self, sets: Condensed | None, names: Sequence[int], path: Path | None = None, logits: bool = False
    ) -> shadows.Answers:
        """Train a network on each set (None: on the half) and ask it about the pool; `path` keeps answers.

        `logits` asks for class scores too.
        """
        training_sets = sets and [hard_labelled(*sets.flat(k)) for k in range(len(names))]
        schedule = self.design.full_schedule if sets is None else self.design.schedule
        shape = tuple(self.pool.images.shape[1:])
        return shadows.train_and_ask(
            networks.build("convnet", shape, self.pool.classes, self.design.width),
            self.pool,
            training_sets,
            augmentation.published_for(schedule, self.dataset.name),
            derived_seed(self.seed, "shadow networks", *self.cell[:3]),
            names,
            self.design.queries,
            checkpoint=path,
            key=self.key,
            label=f"{self.cell.method} {self.cell.init}",
            logits=logits,
        )


def answers_path(task_path: Path, cell: Cell) -> Path:
    """Return the checkpoint of a cell's answers, beside its task's."""
    return task_path.with_suffix(f".{cell.method}-{cell.init}.checkpoint")


def sets_path(task_path: Path, cell: Cell) -> Path:
    """Return the checkpoint of a cell's condensation, beside its task's."""
    return answers_path(task_path, cell).with_suffix(".sets.checkpoint")
