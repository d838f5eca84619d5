"""The images of a task of `nonlinear_shift`, and the sets that are condensed from them."""

from typing import TYPE_CHECKING, NamedTuple

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.common import standardised
from privacy_for_free.experiments.nonlinear_shift.design import REMOVED, Design, Task
from privacy_for_free.theory.shift import shift

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

STARTS = ("noise", "real", "x")  # the last: real images with x the first of them
TRIED = {"noise": REMOVED, "real": REMOVED[:1], "x": REMOVED[:1]}  # start -> which x go
MAXIMUM_OTHERS = 400  # images of the other class that its synthetic ones are condensed from


class Material(NamedTuple):
    """The images of a task: real ones of the class, in order, the starts of its sets, and another class.

    real         N x C x H x W, N the largest n; the first of them are x, in the order of REMOVED
    starts       name -> starts of T and of T without x, m x C x H x W each, which differ for "x" only
    other        real images of the other class, and the noise that its synthetic ones start from
    tests        test images of both classes
    """

    real: torch.Tensor
    starts: dict[str, tuple[torch.Tensor, torch.Tensor]]
    other: torch.Tensor
    other_start: torch.Tensor
    tests: torch.Tensor


class Set(NamedTuple):
    """A set to be condensed: from the first n real images, but for the one at `lacking`, from a start."""

    n: int
    lacking: int | None
    start: str


class Case(NamedTuple):
    """T and T without x: where the two sets stand among those of the task."""

    start: str
    n: int
    x: str
    whole: int
    without: int


def draw(task: Task, design: Design, dataset: "Dataset", seed: int, device: torch.device) -> Material:
    """Draw a replicate's classes, images and starts: the same for every extractor, and nested in m."""
    train, test = standardised(dataset, device)
    stream = generator(seed, "nonlinear images", task.replicate)
    classes = torch.randperm(len(dataset.classes), generator=stream)[:2].tolist()
    places = []
    for c in classes:
        of_class = (dataset.train_labels == c).nonzero()[:, 0]
        places.append(of_class[torch.randperm(len(of_class), generator=stream)])
    size, m = max(design.ns), task.m
    real = torch.cat([places[0][:1], places[1][-1:], places[0][1 : size - 1]])  # REMOVED, then others
    images = train[real.to(device)]
    shape = (2, design.largest_m, *images.shape[1:])
    noise = torch.randn(shape, generator=stream, dtype=images.dtype).to(device)
    first = len(REMOVED)
    starts = {"noise": (noise[0, :m],) * 2, "real": (images[first : first + m],) * 2}
    replaced = torch.cat([images[first + m : first + m + 1], images[first : first + m - 1]])
    starts["x"] = (torch.cat([images[:1], images[first : first + m - 1]]), replaced)
    tests = torch.cat([test[(dataset.test_labels == c).to(device)][: design.tests] for c in classes])
    others = train[places[1][: min(len(places[1]) - 1, MAXIMUM_OTHERS)].to(device)]
    return Material(images, starts, others, noise[1, :m], tests)


def plan(design: Design) -> tuple[list[Case], list[Set]]:
    """Return the pairs of sets, and the sets: T of each start and size, and T without each x tried."""
    sets: list[Set] = []
    cases = []
    for start in STARTS:
        for n in design.ns:
            whole = len(sets)
            sets.append(Set(n, None, start))
            for place, x in enumerate(TRIED[start]):
                cases.append(Case(start, n, x, whole, len(sets)))
                sets.append(Set(n, place, start))
    return cases, sets


def membership(sets: list[Set], images: int) -> torch.Tensor:
    """Return bool, sets x images: which of so many real images each set is condensed from."""
    rows = torch.zeros((len(sets), images), dtype=torch.bool)
    for row, (n, lacking, _) in zip(rows, sets, strict=True):
        row[:n] = True
        if lacking is not None:
            row[lacking] = False
    return rows


def columns(
    task: Task, case: Case, whole: torch.Tensor, without: torch.Tensor, start: torch.Tensor
) -> dict[str, object]:
    """Return the columns of a case: what it is, and how far its two sets (m x ...) are apart."""
    distances = shift(whole, without, start)
    return {
        "extractor": task.extractor,
        "init": "noise" if case.start == "noise" else "real",
        "in_initialisation": case.start == "x",
        "n": case.n,
        "m": task.m,
        "seed": task.replicate,
        "x": case.x,
        "shift": distances.total,
        "shift_image": distances.mean,
        "shift_largest": distances.largest,
        "moved": distances.moved,
    }
