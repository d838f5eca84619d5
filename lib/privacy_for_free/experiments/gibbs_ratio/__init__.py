"""The largest log ratio of two Gibbs posteriors, on real images, against its bound r eps0 (1.4 and 1.5)."""

from privacy_for_free.experiments.gibbs_ratio import measure
from privacy_for_free.experiments.gibbs_ratio.columns import COLUMNS
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="gibbs_ratio",
    module=__name__,
    summary=(
        "The largest log ratio of two Gibbs posteriors, on real images, against its bound r eps0 "
        "(1.4 and 1.5)."
    ),
    chapter="gibbs",
    datasets=("fashion_mnist", "cifar10"),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=False,
    order=2,
)
