"""What the book's operations cost: time, memory and arithmetic against n, m, K and images per class (ipc)."""

from privacy_for_free.experiments.scaling.columns import COLUMNS
from privacy_for_free.experiments.scaling.design import Design, kind, tasks
from privacy_for_free.experiments.scaling.measure import run
from privacy_for_free.experiments.scaling.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="scaling",
    module=__name__,
    summary=(
        "What the book's operations cost: time, memory and arithmetic against n, m, K and images "
        "per class (ipc)."
    ),
    description=(
        "One row per operation of the library and size. What is counted (memory, flops, bytes) is the "
        "same in every run."
    ),
    chapter="scaling",
    datasets=("fashion_mnist",),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=tasks,
    run=run,
    reduced=REDUCED,
    kind=kind,
    order=10,
)
