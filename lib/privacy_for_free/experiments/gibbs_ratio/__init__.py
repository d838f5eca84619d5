"""The largest log ratio of two Gibbs posteriors, on real images, against its bound r eps0 (1.4 and 1.5)."""

from privacy_for_free.experiments.gibbs_ratio.columns import COLUMNS
from privacy_for_free.experiments.gibbs_ratio.design import Design, kind, tasks
from privacy_for_free.experiments.gibbs_ratio.measure import run
from privacy_for_free.experiments.gibbs_ratio.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="gibbs_ratio",
    module=__name__,
    summary=(
        "The largest log ratio of two Gibbs posteriors, on real images, against its bound r eps0 "
        "(1.4 and 1.5)."
    ),
    description="One row per pair of neighbouring data sets and their Gibbs posteriors.",
    chapter="gibbs",
    datasets=("fashion_mnist", "cifar10"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    tasks=tasks,
    run=run,
    reduced=REDUCED,
    kind=kind,
    order=2,
)
