"""Membership inference through the condenser: every shadow model's data is condensed anew."""

from privacy_for_free.experiments.membership import chunks, measure
from privacy_for_free.experiments.membership.columns import COLUMNS
from privacy_for_free.lab.experiment import Chunks, Experiment

EXPERIMENT = Experiment(
    name="membership",
    module=__name__,
    summary="Membership inference through the condenser: every shadow model's data is condensed anew.",
    chapter="membership",
    datasets=("fashion_mnist", "cifar10", "fairface"),
    design=measure.Design,
    profiles=measure.PROFILES,
    columns=COLUMNS,
    tasks=measure.tasks,
    run=measure.run_task,
    resumable=True,
    chunks=Chunks(chunks.chunks, chunks.run_chunk, chunks.assemble),
    order=4,
)
