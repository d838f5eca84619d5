"""A tiny experiment and data set for the tests of records: every task draws from a generator of its own."""

from dataclasses import dataclass
from types import SimpleNamespace

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.lab.experiment import Experiment, columns

DEFINITIONS = {"toy:run": "0" * 16, "toy:tasks": "1" * 16}  # what its source is taken to be


@dataclass(frozen=True)
class Design:
    tasks: int
    scale: float


PROFILES = {"smoke": Design(3, 1.0), "laptop": Design(6, 2.0), "paper": Design(9, 3.0)}
DATA = SimpleNamespace(name="toy_data", sha256="d" * 64, normalised=False)


def tasks(design, dataset):
    return list(range(design.tasks))


def run(task, design, dataset, seed, device):
    values = torch.randn(2, generator=generator(seed, "toy", task), dtype=torch.float64) * design.scale
    return [
        {"task_name": f'a, "{task}"', "value": value, "count": 7 * task, "note": None if task % 2 else "odd"}
        for value in values
    ]


EXPERIMENT = Experiment(
    name="toy",
    module=__name__,
    summary="Random numbers.",
    chapter="none",
    datasets=("toy_data",),
    design=Design,
    profiles=PROFILES,
    columns=columns("task_name, value, count, note", "made up"),
    tasks=tasks,
    run=run,
)
