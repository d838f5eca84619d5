"""Every statement of "Linear extractors: the proof", checked on real images in float64."""

from privacy_for_free.experiments.linear_dm import measure
from privacy_for_free.experiments.linear_dm.columns import COLUMNS
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="linear_dm",
    module=__name__,
    summary="Every statement of the proof for linear extractors, checked on real images in float64.",
    chapter="linear_check",
    datasets=("fashion_mnist", "cifar10"),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=False,
    order=1,
)
