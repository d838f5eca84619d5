"""Every statement of "Linear extractors: the proof", checked on real images in float64."""

from privacy_for_free.experiments.linear_dm.columns import COLUMNS
from privacy_for_free.experiments.linear_dm.design import Design, kind, tasks
from privacy_for_free.experiments.linear_dm.measure import run
from privacy_for_free.experiments.linear_dm.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="linear_dm",
    module=__name__,
    summary="Every statement of the proof for linear extractors, checked on real images in float64.",
    description=(
        'One row per check of a statement of the chapter "Linear extractors: the proof", on one case.'
    ),
    chapter="linear_check",
    datasets=("fashion_mnist", "cifar10"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    tasks=tasks,
    run=run,
    reduced=REDUCED,
    kind=kind,
    order=1,
)
