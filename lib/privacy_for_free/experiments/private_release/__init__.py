"""What a proved epsilon costs: accuracy, seconds, and what an audit finds, mechanism by mechanism."""

from privacy_for_free.experiments.private_release import measure
from privacy_for_free.experiments.private_release.columns import COLUMNS
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="private_release",
    module=__name__,
    summary=(
        "What a proved epsilon costs: accuracy, seconds, and what an audit finds, mechanism by mechanism."
    ),
    chapter="price_of_a_guarantee",
    datasets=("fashion_mnist",),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=True,
    order=7,
)
