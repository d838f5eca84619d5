"""The optimality attack: condensed images satisfy equations that name their members."""

from privacy_for_free.experiments.optimality.columns import COLUMNS
from privacy_for_free.experiments.optimality.design import Design, kind, tasks
from privacy_for_free.experiments.optimality.measure import run
from privacy_for_free.experiments.optimality.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="optimality",
    module=__name__,
    summary="The optimality attack: condensed images satisfy equations that name their members.",
    description=(
        "One row per attack on the images condensed from random halves of a pool of 2 n images of one class. "
        "Each cell changes what it names of a base: 100 members, ten images from noise, distribution "
        "matching by the published loop on all members."
    ),
    remarks=(
        "The ridge, and whether to whiten and to keep solutions in the box, are chosen on `tuned` halves and "
        "used on `targets` others of the same pool."
    ),
    chapter="condensed_images",
    datasets=("fashion_mnist", "cifar10"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=tasks,
    run=run,
    resumable=True,
    partial=True,
    reduced=REDUCED,
    kind=kind,
    order=12,
)
