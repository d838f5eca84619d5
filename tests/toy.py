"""A tiny experiment and data set for the tests of records: every task draws from a generator of its own."""

from dataclasses import dataclass
from types import SimpleNamespace

import torch

from privacy_for_free.core.randomness import generator

NAME = "toy"
COLUMNS = ("task_name", "value", "count", "note")


@dataclass(frozen=True)
class Parameters:
    tasks: int
    scale: float


PROFILES = {"smoke": Parameters(3, 1.0), "laptop": Parameters(6, 2.0), "paper": Parameters(9, 3.0)}
DATA = SimpleNamespace(name="toy_data", sha256="d" * 64, normalised=False)


def tasks(parameters, dataset):
    return list(range(parameters.tasks))


def run_task(task, parameters, dataset, seed, device):
    values = torch.randn(2, generator=generator(seed, "toy", task), dtype=torch.float64) * parameters.scale
    return [
        {"task_name": f'a, "{task}"', "value": value, "count": 7 * task, "note": None if task % 2 else "odd"}
        for value in values
    ]
