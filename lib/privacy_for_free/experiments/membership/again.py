"""Attacking a record of `membership` again, from what it keeps: nothing is condensed, nothing is trained."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from privacy_for_free.attacks import evaluation
from privacy_for_free.core.paths import given
from privacy_for_free.experiments.membership import EXPERIMENT, attacking
from privacy_for_free.experiments.membership.design import Design, cells, tasks
from privacy_for_free.experiments.membership.inputs import Inputs, draw_pool
from privacy_for_free.experiments.membership.keeping import POOL, group
from privacy_for_free.experiments.membership.measure import shared
from privacy_for_free.lab import kept, provenance, settings
from privacy_for_free.lab.experiment import Experiment
from privacy_for_free.lab.record import Record, RecordError
from privacy_for_free.lab.run import designed

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Release:
    """One release as an attacker who computes has it.

    inputs       its cell, and the pool: images, labels, membership and indices
    confidences  float64, K x 2n x queries: logit-scaled
    correct      bool, K x 2n
    logits       float16, K x 2n x queries x classes
    images, labels, initial   of the sets, as `condensation.Condensed` has them; None for `full`
    """

    inputs: Inputs
    confidences: torch.Tensor
    correct: torch.Tensor
    logits: torch.Tensor
    images: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    initial: torch.Tensor | None = None


Attempts = Callable[[Release], Sequence[evaluation.Attempt]]


def releases(
    record: Record,
    dataset: "Dataset",
    folder: str | os.PathLike | None = None,
    experiment: Experiment = EXPERIMENT,
) -> Iterator[Release]:
    """Yield the releases of a record, in its order, from the files it keeps.

    record, dataset   of `lab.store.read`, and the data set it was made from
    folder            that the files were kept in; None for the one beside the record
    experiment        whose profiles the record is of

    RecordError where the record is of other settings or data than these, or the pool is not the one that was
    kept; errors of files are those of `lab.kept.load`.
    """
    folder = None if folder is None else given("folder", folder)
    meta, design = record.meta, _design(experiment, record)
    if (found := provenance.data_sha256(dataset)) != meta["data_sha256"]:
        raise RecordError(f"{record.path}: of data {str(meta['data_sha256'])[:12]}, given are {found[:12]}")
    whole, stored = draw_pool(design, dataset, meta["seed"], CPU), kept.load(record, POOL, folder)
    for name, tensor in stored.items():
        if not torch.equal(getattr(whole, name), tensor):
            raise RecordError(f"{record.path}: its pool has other {name} than are drawn today")
    for task in tasks(design, dataset):
        for cell in cells(task, design):
            inputs = Inputs.of(cell, whole, design, dataset, meta["seed"])
            yield Release(inputs, **kept.load(record, group(cell), folder))


def rows(found: Iterator[Release], attempts: Attempts | None = None) -> Iterator[dict[str, object]]:
    """Yield the rows of a record's table again, seconds apart, or those of other attacks.

    found     of `releases`
    attempts  release -> the attacks to run on it, and their statistics; None for the experiment's own, whose
              rows are the record's, bit for bit, on the machine that made it
    """
    baselines: attacking.Outcomes = {}
    ratio = None
    for release in found:
        if release.inputs.cell.ratio != ratio:
            baselines, ratio = {}, release.inputs.cell.ratio
        attacks = (attempts or _own)(release)
        common = shared(release.inputs, release.correct)
        for row in attacking.attacked(release.inputs, release.initial, attacks, baselines):
            yield common | row


def _own(release: Release) -> list[evaluation.Attempt]:
    return attacking.attempts(release.inputs, release.images, release.confidences)


def _design(experiment: Experiment, record: Record) -> Design:
    """Return the settings of a record; RecordError where today's are others."""
    meta = record.meta
    varies: Mapping = meta.get("varies") or {"profile": meta["profile"], "changes": {}}
    design, _ = designed(experiment, varies["profile"], varies["changes"])
    if settings.fill(meta["parameters"], design) != settings.as_json(design):
        raise RecordError(f"{record.path}: made with other settings than today's")
    return design
