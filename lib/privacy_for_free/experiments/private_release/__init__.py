"""What a proved epsilon costs: accuracy, seconds, and what an audit finds, mechanism by mechanism."""

import math

from privacy_for_free.experiments.private_release.columns import COLUMNS
from privacy_for_free.experiments.private_release.design import Design, kind, tasks
from privacy_for_free.experiments.private_release.measure import run
from privacy_for_free.experiments.private_release.profiles import PROFILES
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="private_release",
    module=__name__,
    summary=(
        "What a proved epsilon costs: accuracy, seconds, and what an audit finds, mechanism by mechanism."
    ),
    description="One row per release, or per audit of a mechanism.",
    chapter="price_of_a_guarantee",
    datasets=("fashion_mnist",),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=tasks,
    run=run,
    resumable=True,
    reduced={
        "epsilons": (1.0, math.inf),
        "few_epsilons": (math.inf,),
        "ipcs": (1, 2),
        "seeds": 1,
        "ldpdc.sample": 500,  # at a small rate there is little noise, over which the accountant takes long
        "ndpdc.sample": 500,
        "ndpdc.iterations": 2,
        "one_release.extractors": 2,
        "one_release.width": 8,
        "one_release.iterations": 3,
        "dp_merf.features": 100,
        "dp_merf.epochs": 1,
        "dp_sgd.steps": 2,
        "gan.steps": 3,
        "dm.iterations": 3,
        "schedule.epochs": 2,
        "full_schedule.epochs": 0,
        "audit_epsilons": (1.0,),
        "audit_runs": 20,
        "audit_pilots": 10,
    },
    kind=kind,
    order=7,
)
