"""Canaries: what LiRA says of the images that are easiest to find, for DM, its baseline, and DP-SGD."""

from privacy_for_free.experiments.canaries import design, measure
from privacy_for_free.experiments.canaries.columns import COLUMNS
from privacy_for_free.experiments.canaries.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="canaries",
    module=__name__,
    summary=(
        "Canaries: what LiRA says of the images that are easiest to find, for DM, its baseline, and DP-SGD."
    ),
    description="One row per attack on a release, kind of image, and part of its members.",
    chapter="no_free_lunch",
    datasets=("fashion_mnist",),
    design=design.Design,
    profiles=PROFILES,
    columns=COLUMNS,
    tasks=design.tasks,
    run=measure.run,
    resumable=True,
    reduced=REDUCED,
    kind=design.kind,
    order=8,
)
