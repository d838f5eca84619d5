"""Membership inference through the condenser: every shadow model's data is condensed anew."""

from privacy_for_free.experiments.membership import chunks, design, keeping, measure
from privacy_for_free.experiments.membership.adapting import adapt
from privacy_for_free.experiments.membership.columns import COLUMNS
from privacy_for_free.experiments.membership.profiles import PROFILES, REDUCED
from privacy_for_free.lab.experiment import Chunks, Experiment

EXPERIMENT = Experiment(
    name="membership",
    module=__name__,
    summary="Membership inference through the condenser: every shadow model's data is condensed anew.",
    description=(
        "One row per attack on a release and a population. Every one of the K shadow models is the target "
        "once, with the others as its shadows."
    ),
    chapter="membership",
    datasets=("fashion_mnist", "cifar10", "fairface"),
    design=design.Design,
    profiles=PROFILES,
    columns=COLUMNS,
    tasks=design.tasks,
    run=measure.run,
    resumable=True,
    kept=keeping.kept,
    chunks=Chunks(chunks.split, chunks.run, chunks.assemble),
    reduced=REDUCED,
    adapt=adapt,
    kind=design.kind,
    order=4,
)
