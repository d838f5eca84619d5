"""Linear distribution matching from a secret start: accuracy at each epsilon, and attacks against its cap."""

from privacy_for_free.experiments.secret_start.columns import COLUMNS
from privacy_for_free.experiments.secret_start.design import Design, kind, tasks
from privacy_for_free.experiments.secret_start.measure import run
from privacy_for_free.experiments.secret_start.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="secret_start",
    module=__name__,
    summary=(
        "Linear distribution matching from a secret start: accuracy at each epsilon, and attacks against "
        "its cap."
    ),
    description=(
        "One row per learner of a release, or per attack on releases. Releases are of the whole training "
        "set, attacked ones of one class."
    ),
    remarks="Epsilon is for replacement of one image within its class, at delta 1e-5.",
    chapter="tracing",
    datasets=("fashion_mnist", "cifar10"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=tasks,
    run=run,
    reduced=REDUCED,
    kind=kind,
    order=11,
)
