"""What a record of `membership` can keep for other attacks: the pool's halves, the sets, what networks say.

Images of the pool are not kept: `indices` say where in the training set they stand.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from privacy_for_free import shadows
from privacy_for_free.condensation import Condensed
from privacy_for_free.experiments.membership.design import FULL, Cell, Design, Task, cells, images_per_class

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

POOL = "pool"
Shape = tuple[str, tuple[int, ...]]


def group(cell: Cell) -> str:
    """Return what the files of a release are called: method, init and ratio.

    >>> group(Cell("dm", "noise", 0.01, 64)), group(Cell("full", "real", FULL, 64))
    ('dm-noise-0.01', 'full-real-1')
    """
    return f"{cell.method}-{cell.init}-{cell.ratio or 1.0:g}"


def hand_pool(keep: Callable[..., object], pool: shadows.Pool) -> None:
    """Hand a pool to `keep`: indices, labels and the halves of all shadows."""
    keep(POOL, indices=pool.indices, labels=pool.labels, membership=pool.membership)


def hand(keep: Callable[..., object], cell: Cell, sets: Condensed | None, answers: shadows.Answers) -> None:
    """Hand a release to `keep`: what its networks say of the pool and, where there are any, its sets."""
    answered = {name: getattr(answers, name) for name in ("confidences", "correct", "logits")}
    released = {} if sets is None else {name: getattr(sets, name) for name in ("images", "initial")}
    labels = {} if sets is None else {"labels": sets.labels}
    keep(group(cell), **answered, **released, **labels)


def kept(task: Task, design: Design, dataset: "Dataset") -> dict[str, Shape]:
    """Return dtype and shape of each file of a task, by its group and name.

    pool        indices (into the training set) and labels, int64, 2n; membership, bool, K x 2n
    a release   confidences, float64, K x 2n x queries; correct, bool, K x 2n; logits, float16,
                K x 2n x queries x classes; and but for `full` its sets, as `condensation.Condensed` has them:
                images, float32, standardised; labels; initial, int64, numbers of pool images
    """
    size, classes, queries = design.pool, len(dataset.classes), len(design.queries)
    found = {f"{POOL}/indices": ("int64", (size,)), f"{POOL}/labels": ("int64", (size,))}
    found[f"{POOL}/membership"] = ("bool", (design.shadows, size))
    for cell in cells(task, design):
        name, number = group(cell), cell.shadows
        found[f"{name}/confidences"] = ("float64", (number, size, queries))
        found[f"{name}/correct"] = ("bool", (number, size))
        found[f"{name}/logits"] = ("float16", (number, size, queries, classes))
        if cell.ratio == FULL:
            continue
        sets = (number, classes, images_per_class(cell.ratio, design, classes))
        image = tuple(dataset.train_images.shape[1:])
        soft = ("float32", (*sets, classes))
        found[f"{name}/images"] = ("float32", (*sets, *image))
        found[f"{name}/labels"] = soft if cell.method == "kip" else ("int64", sets)
        found[f"{name}/initial"] = ("int64", sets)
    return found
