"""What the book's operations cost: time, memory and arithmetic against n, m, K and images per class (ipc).

A task is one operation and the variable that it is measured against (`design`). How its cost is measured and
counted is said in `core.roofline`; besides:

seconds   median of `repeats` timings; `seconds_low` is the least, `seconds_high` the upper quartile.
bytes     what must be read and written at least once: the inputs and the results, in the types they have.
ceilings  of this process, before and after the task, the better of the two, in the type that the operation
          computes in.
fraction  max(flops / ceiling_flops, bytes / ceiling_bytes) / seconds: of the roofline. What fits a cache can
          exceed a ceiling of memory.

Counts and memory are the same in every run; seconds, rates, ceilings and fractions are measurements.
"""

from typing import TYPE_CHECKING

import torch

from privacy_for_free.core import roofline
from privacy_for_free.core.roofline import Ceilings
from privacy_for_free.experiments.scaling.design import VARIABLES, Design, Task
from privacy_for_free.experiments.scaling.operations import OPERATIONS
from privacy_for_free.experiments.scaling.setting import Setting, Work

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

DTYPES = dict.fromkeys(VARIABLES, torch.float64) | dict.fromkeys(
    ("dm_step", "training", "evaluation"), torch.float32
)


def run(
    task: Task, design: Design, dataset: "Dataset", seed: int, device: torch.device
) -> list[dict[str, object]]:
    """Measure one operation at every size; a row per size."""
    (sizes,) = (sizes for *names, sizes in design.measured if tuple(names) == task)
    dtype = DTYPES[task.operation]
    prepare = OPERATIONS[task.operation](Setting(task, design, dataset, seed, device))
    limits = (dtype, device, design.square, design.block_mib, design.repeats)
    before = roofline.ceilings(*limits)
    rows = []
    for size in sizes:
        work = prepare(size)
        seconds = roofline.timed(work.call, design.repeats, device)
        rows.append(
            {"operation": task.operation, "variable": task.variable, "value": size, **work.sizes}
            | {"dtype": str(dtype).removeprefix("torch."), "threads": torch.get_num_threads()}
            | {"repeats": design.repeats, "seconds": seconds.median}
            | {"seconds_low": seconds.least, "seconds_high": seconds.upper}
            | counts(work, device)
        )
    after = roofline.ceilings(*limits)
    best = Ceilings(*map(max, before, after))
    return [row | rates(row, best) for row in rows]


def counts(work: Work, device: torch.device) -> dict[str, int]:
    """Run an operation twice, once for its memory and once for its arithmetic; return the counted columns."""
    memory, result = roofline.peak_bytes(work.call, device)
    moved = work.reads + roofline.nbytes(result)
    return {"memory_bytes": memory, "flops": roofline.flops(work.call), "bytes": moved}


def rates(row: dict[str, object], ceilings: Ceilings) -> dict[str, object]:
    """Return the columns that follow from a row's counts, its seconds and the ceilings."""
    least = {"arithmetic": row["flops"] / ceilings.flops, "memory": row["bytes"] / ceilings.bytes}
    bound = max(least, key=least.get)
    return {
        "flops_per_second": row["flops"] / row["seconds"],
        "bytes_per_second": row["bytes"] / row["seconds"],
        "ceiling_flops": ceilings.flops,
        "ceiling_bytes": ceilings.bytes,
        "bound": bound,
        "fraction": least[bound] / row["seconds"],
    }
