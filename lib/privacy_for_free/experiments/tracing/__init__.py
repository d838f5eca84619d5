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
    description=(
        "One row per attack on releases of random halves of a pool, and a population. The pool has 2 n "
        "images per class; each of `targets` halves is released by itself, and rates are over all pairs "
        "of a half and a pool image."
    ),
    remarks=(
        "Predictions average over the first 250 pool images of each class; they and `effect` are empty "
        "for the attacker without data, and for dm."
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
        "ns": (50,),
        "factors": (4,),
        "linear_ns": (50,),
        "linear_ms": (1, 10),
        "targets": 4,
        "dm_ns": (50,),
        "ipcs": (2,),
        "dm.iterations": 2,
        "dm_targets": 4,
        "extractors": 2,
        "features": 64,
        "shrinkages": (1.0, "ledoit_wolf"),
        "dm_shrinkages": ("ledoit_wolf",),
        "auxiliary": 100,
        "predicted": 10,
        "resamples": 20,
    },
    kind=kind,
    order=6,
)
