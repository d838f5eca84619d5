"""How far the synthetic images move when one real image goes, for extractors that are not linear."""

from privacy_for_free.experiments.nonlinear_shift.adapting import adapt
from privacy_for_free.experiments.nonlinear_shift.columns import COLUMNS
from privacy_for_free.experiments.nonlinear_shift.design import Design, kind, tasks
from privacy_for_free.experiments.nonlinear_shift.measure import run
from privacy_for_free.experiments.nonlinear_shift.profiles import PROFILES
from privacy_for_free.lab.experiment import Experiment

EXPERIMENT = Experiment(
    name="nonlinear_shift",
    module=__name__,
    summary=(
        "How far the synthetic images move when one real image goes, for extractors that are not linear."
    ),
    description=(
        "One row per pair of runs, with and without one image x, or (rows with a `delta`) per "
        "displacement of the synthetic images."
    ),
    chapter="nonlinear_extractors",
    datasets=("fashion_mnist", "cifar10"),
    design=Design,
    profiles=PROFILES,
    columns=COLUMNS,
    sparse=True,
    tasks=tasks,
    run=run,
    resumable=True,
    reduced={
        "ns": (10, 20),
        "extractors": (("convnet", (2,)), ("convnet_gelu", (2,)), ("mlp", (2,))),
        "replicates": 1,
        "dm.iterations": 3,
        "stops": (1, 3),
        "schedule.epochs": 2,
        "tests": 20,
        "gradient_m": 2,
        "gradient_networks": (1, 2),
        "smooth_ms": (2,),
        "minimum_ms": (1,),
        "smooth_steps": (2, 5),
    },
    adapt=adapt,
    kind=kind,
    order=5,
)
