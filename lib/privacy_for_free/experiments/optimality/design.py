"""Settings and tasks of `optimality`."""

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.condensation.dm_bank import BankedDM
from privacy_for_free.core import validate

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

BANK, SAME_LAW = "bank", "same_law"
OTHERS = ("mlp", "convnet_depth_2")  # architectures of an attacker who takes the condenser's for another
KNOWLEDGE = (BANK, SAME_LAW, *OTHERS)
RELEASES = ("as_is", "rounded", "clipped")
INSIDE = "_inside"  # after the name of a release: the attacker takes the equations of pixels inside the box


@dataclass(frozen=True)
class Design:
    """The base of all cells, and what each cell changes of it.

    cells, cifar10_cells   texts "name=value; name=value" of fields of this design, `dm.` before those of
                `dm`; "" for the base. One task each and class; the second for CIFAR-10
    classes     those whose images are condensed, one at a time
    n           members; the pool holds 2 n images
    ipc, init   synthetic images, and what they start from
    dm          settings of the condensation; a `bank` of None is the published loop, with fresh extractors
    targets, tuned   K, random halves that are attacked, and those that the attack's settings are chosen on
    attacks     (knowledge, extractors, release), each. Knowledge: "bank", the condenser's own extractors,
                whose number is theirs, whatever is given; "same_law", so many others of the same network and
                augmentation; "mlp" or "convnet_depth_2", so many of another network. Release: "as_is";
                "rounded" to 8 bits, but not clipped; "clipped" to the range of real pixels, after the
                condensation; with "_inside" the attacker takes the equations of the pixels inside only
    features    that the attacker takes of each extractor that he draws, at random; None for all, which he
                takes of a bank in any case. Few features of many extractors are better for what they cost
    ridges      that the attack chooses from
    """

    cells: tuple[str, ...]
    cifar10_cells: tuple[str, ...]
    dm: BankedDM
    classes: tuple[int, ...] = (0,)
    n: int = 100
    ipc: int = 10
    init: str = "noise"
    targets: int = 4
    tuned: int = 2
    attacks: tuple[tuple[str, int, str], ...] = ((SAME_LAW, 100, "as_is"),)
    features: int | None = 32
    ridges: tuple[float, ...] = (1e-6, 1e-4, 1e-2, 1e-1, 1.0)

    def __post_init__(self) -> None:
        """Refuse words that name nothing."""
        allowed = [*RELEASES, *(f"{name}{INSIDE}" for name in RELEASES)]
        for knowledge, count, release in self.attacks:
            validate.one_of("knowledge", knowledge, KNOWLEDGE)
            validate.whole("extractors", count, int(knowledge != BANK))
            validate.one_of("release", release, allowed)
            if knowledge == BANK and self.dm.bank is None:
                raise ValueError("knowledge 'bank' where the bank is None: allowed are others")
        for name, least in (("n", 1), ("ipc", 1), ("targets", 1), ("tuned", 1)):
            validate.whole(name, getattr(self, name), least)


class Task(NamedTuple):
    """A cell and a class."""

    cell: str
    c: int


def varied(design: Design, cell: str) -> Design:
    """Return the design with what a cell changes; ValueError for what is no change of it.

    >>> base = Design(("n=20; dm.iterations=5",), (), BankedDM())
    >>> changed = varied(base, base.cells[0])
    >>> changed.n, changed.dm.iterations
    (20, 5)
    """
    own, matching = {}, {}
    for text in filter(None, cell.split(";")):
        name, equals, value = (part.strip() for part in text.partition("="))
        group, _, field = name.rpartition(".")
        holder = {"": design, "dm": design.dm}.get(group)
        if not equals or not hasattr(holder, field):
            raise ValueError(f"cell {cell!r}: {text.strip()!r} is no field=value of the design, or of its dm")
        (matching if group else own)[field] = _literal(value)
    return replace(design, **own, dm=replace(design.dm, **matching))


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return the cells that the data set has images for, in order; ValueError where it has them for none."""
    counts = torch.bincount(dataset.train_labels, minlength=len(dataset.classes)).tolist()
    found = []
    for cell in design.cifar10_cells if dataset.name == "cifar10" else design.cells:
        own = varied(design, cell)
        found += [Task(cell, c) for c in own.classes if c < len(counts) and 2 * own.n <= counts[c]]
    if not found:
        raise ValueError(
            f"n {design.n} of classes {design.classes}: {dataset.name} has {counts} images per class, half "
            "of which are members"
        )
    return found


def kind(task: Task) -> str:
    """Return what tells tasks apart that take different ways through the code: the cell."""
    return task.cell


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
