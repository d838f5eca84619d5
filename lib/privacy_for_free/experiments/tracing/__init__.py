"""Tracing: which images of a pool are members, from the released data alone, predicted and observed."""

from privacy_for_free.experiments.tracing import measure
from privacy_for_free.experiments.tracing.columns import COLUMNS
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="tracing",
    module=__name__,
    summary=(
        "Tracing: which images of a pool are members, from the released data alone, predicted and observed."
    ),
    chapter="tracing",
    datasets=("fashion_mnist", "cifar10", "fairface"),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=True,
    order=6,
)
