"""Canaries: what LiRA says of the images that are easiest to find, for DM, its baseline, and DP-SGD."""

from privacy_for_free.experiments.canaries import measure
from privacy_for_free.experiments.canaries.columns import COLUMNS
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="canaries",
    module=__name__,
    summary=(
        "Canaries: what LiRA says of the images that are easiest to find, for DM, its baseline, and DP-SGD."
    ),
    chapter="no_free_lunch",
    datasets=("fashion_mnist",),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=True,
    order=8,
)
