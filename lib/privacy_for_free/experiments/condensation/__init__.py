"""Test accuracy of networks trained on condensed data: images per class, method and initialisation."""

from privacy_for_free.experiments.condensation.columns import COLUMNS
from privacy_for_free.experiments.condensation.design import Design, kind, tasks
from privacy_for_free.experiments.condensation.measure import run
from privacy_for_free.experiments.condensation.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="condensation",
    module=__name__,
    summary=(
        "Test accuracy of networks trained on condensed data, against images per class, method and "
        "initialisation."
    ),
    description=(
        "One row per synthetic set and learner that was trained on it and tested on the whole test set. "
        "The sets of a cell (method, init, ipc) are independent."
    ),
    remarks="An empty test_accuracy means that the training diverged.",
    chapter="condensation",
    datasets=("fashion_mnist", "cifar10", "fairface"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    tasks=tasks,
    run=run,
    resumable=True,
    reduced=REDUCED,
    kind=kind,
    order=3,
)
