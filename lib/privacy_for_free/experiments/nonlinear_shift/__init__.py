"""How far the synthetic images move when one real image goes, for extractors that are not linear."""

from privacy_for_free.experiments.nonlinear_shift import measure
from privacy_for_free.experiments.nonlinear_shift.columns import COLUMNS
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="nonlinear_shift",
    module=__name__,
    summary=(
        "How far the synthetic images move when one real image goes, for extractors that are not linear."
    ),
    description=(
        "One row per pair of runs, with and without one image x, or (rows with a `delta`) per "
        "displacement of the synthetic images."
    ),
    chapter="nonlinear_extractors",
    datasets=("fashion_mnist", "cifar10"),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=True,
    order=5,
)
