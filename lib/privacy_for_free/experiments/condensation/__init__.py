"""Test accuracy of networks trained on condensed data, against images a class, method and initialisation."""

from privacy_for_free.experiments.condensation import measure
from privacy_for_free.experiments.condensation.columns import COLUMNS
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="condensation",
    module=__name__,
    summary=(
        "Test accuracy of networks trained on condensed data, against images a class, method and "
        "initialisation."
    ),
    chapter="condensation",
    datasets=("fashion_mnist", "cifar10", "fairface"),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=True,
    order=3,
)
