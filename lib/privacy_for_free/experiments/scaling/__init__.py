"""What the book's operations cost: time, memory and arithmetic against n, m, K and images per class (ipc)."""

from privacy_for_free.experiments.scaling import measure
from privacy_for_free.experiments.scaling.columns import COLUMNS
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="scaling",
    module=__name__,
    summary=(
        "What the book's operations cost: time, memory and arithmetic against n, m, K and images "
        "per class (ipc)."
    ),
    chapter="scaling",
    datasets=("fashion_mnist",),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=False,
    order=10,
)
