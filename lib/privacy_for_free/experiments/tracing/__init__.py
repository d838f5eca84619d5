"""Tracing: which images of a pool are members, from the released data alone, predicted and observed."""

from privacy_for_free.experiments.tracing.columns import COLUMNS
from privacy_for_free.experiments.tracing.design import Design, kind, tasks
from privacy_for_free.experiments.tracing.measure import run
from privacy_for_free.experiments.tracing.profiles import PROFILES
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="tracing",
    module=__name__,
    summary=(
        "Tracing: which images of a pool are members, from the released data alone, predicted and observed."
    ),
    chapter="tracing",
    datasets=("fashion_mnist", "cifar10", "fairface"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=tasks,
    run=run,
    resumable=True,
    reduced={
        "ns": (150, 500),
        "linear_ns": (150,),
        "linear_ms": (1, 10),
        "targets": 4,
        "dm_ns": (150,),
        "ipcs": (1, 2),
        "dm.iterations": 2,
        "dm_targets": 4,
        "extractors": 2,
        "features": 64,
        "auxiliary": 500,
        "predicted": 20,
        "resamples": 20,
    },
    kind=kind,
    order=6,
)
