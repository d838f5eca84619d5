"""What can be seen: how near synthetic images are to the image they started from, to members, to others."""

from privacy_for_free.experiments.visual_privacy.columns import COLUMNS
from privacy_for_free.experiments.visual_privacy.design import Design, kind, tasks
from privacy_for_free.experiments.visual_privacy.measure import run
from privacy_for_free.experiments.visual_privacy.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="visual_privacy",
    module=__name__,
    summary=(
        "What can be seen: how near synthetic images are to the image they started from, to "
        "members, to others."
    ),
    description=(
        "Half of a pool is condensed, K times; of each synthetic image the nearest members and "
        "non-members are searched among all pool images of its class. One row per release, number of steps, "
        "distance and reference; and rows whose `statistic` is picture. The K sets are the unit of every "
        "interval."
    ),
    chapter="can_you_see_anyone",
    datasets=("fashion_mnist", "cifar10", "fairface"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=tasks,
    run=run,
    resumable=True,
    reduced=REDUCED,
    kind=kind,
    order=9,
)
