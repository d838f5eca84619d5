"""Identification: whom a class mean names, rounded to so many bits, or with the noise of a guarantee."""

from privacy_for_free.experiments.identification.columns import COLUMNS
from privacy_for_free.experiments.identification.design import Design, kind, tasks
from privacy_for_free.experiments.identification.measure import run
from privacy_for_free.experiments.identification.profiles import PROFILES
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="identification",
    module=__name__,
    summary="Identification: whom a class mean names, rounded to so many bits, or with noise of a guarantee.",
    description=(
        "One row per release of the class means of random halves of a pool, and attack on it. The pool has "
        "2 n images per class; the mean of each half and class is released by itself, and rates are over all "
        "pairs of a half and a pool image, with one threshold."
    ),
    remarks=(
        "Images are scaled to [-1, 1]. Intervals that end in `_halves` are Student's t over halves, in which "
        "the pairs of one half may depend; the exact ones take all pairs as independent."
    ),
    chapter="tracing",
    datasets=("fashion_mnist", "cifar10", "fairface"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=tasks,
    run=run,
    reduced={
        "sizes": ((50, 2, 1), (150, 2, 1)),
        "bits": (64, 16, 6),
        "mus": (3.0, 300.0),
    },
    kind=kind,
    order=13,
)
