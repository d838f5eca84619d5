"""What every chapter does first: check its parameters, and find the records it draws from."""

import ast
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from privacy_for_free import data, experiments
from privacy_for_free.book import figures
from privacy_for_free.core import devices, paths, validate
from privacy_for_free.core.entrance import own_state
from privacy_for_free.data.embedded import PER_CLASS
from privacy_for_free.experiments.plan import RECORDED
from privacy_for_free.lab.record import RESULTS, Record, check_profile
from privacy_for_free.lab.run import designed, run
from privacy_for_free.lab.store import largest

PARAMETERS = ("dataset", "profile", "seed", "device", "data_root", "results_dir")  # of every chapter
INJECTED = "# Parameters\n"  # the first line of the cell that papermill puts after a notebook's parameters


@dataclass(frozen=True)
class Chapter:
    """A chapter's parameters, checked. Make one with `open_chapter`.

    `experiment` is the one whose chapter this is, which `settings` change; None where the chapter runs none.
    """

    dataset: str
    profile: str
    seed: int
    device: str
    data_root: str | os.PathLike | None
    results_dir: str | os.PathLike | None
    settings: Mapping[str, object] | None = field(default=None, hash=False)
    experiment: str | None = None

    def changes(self, experiment: str) -> Mapping[str, object] | None:
        """Return the changes of an experiment's settings; None where it runs as its profile says."""
        return self.settings if experiment == self.experiment else None

    @cached_property
    def data(self) -> data.Dataset:
        """The data set, loaded at first use."""
        return data.load(self.dataset, self.data_root)

    @cache  # noqa: B019  a chapter lives as long as its kernel
    def run(self, experiment: str) -> Record:
        """Run an experiment with the chapter's parameters: smoke in memory, a larger profile into records.

        With changed settings a larger profile makes a record of its own, whose name tells the changes.

        A smoke run takes the first images of each class, as many as the embedded set has, so that it is as
        quick on every data set.
        """
        live = self.profile == "smoke"
        return run(
            experiments.get(experiment),
            beginning(self.data) if live else self.data,
            self.profile,
            seed=self.seed,
            device=self.device,
            changes=self.changes(experiment),
            results_dir=None if live else self.results_dir or RESULTS,
            shown=not live,
        )

    @own_state()
    def live(self, experiment: str, wanted: Callable[[NamedTuple], bool]) -> pd.DataFrame:
        """Run those smoke tasks of an experiment that are wanted; of a larger profile all, as `run` does.

        For experiments whose smoke run takes longer than a reader waits.
        """
        if self.profile != "smoke":
            return self.run(experiment).table
        chosen, small = experiments.get(experiment), beginning(self.data)
        design, _ = designed(chosen, "smoke", self.changes(experiment))
        device = devices.resolve(self.device)
        tasks = [task for task in chosen.tasks(design, small) if wanted(task)]
        rows = [row for task in tasks for row in chosen.run(task, design, small, self.seed, device)]
        return pd.DataFrame(rows, columns=list(chosen.column_names))

    def recorded(self, experiment: str) -> dict[str, Record]:
        """The largest record, smoke apart, of each recorded data set and the chapter's own; else a run.

        Chapters draw from these, and say so with `Record.provenance`. Where the chapter's settings change the
        experiment, it is the run with these settings alone.
        """
        if self.changes(experiment):
            return {self.dataset: self.run(experiment)}
        names = dict.fromkeys((*RECORDED, self.dataset))
        partial = experiments.get(experiment).partial
        found = {name: largest(experiment, name, self.results_dir, partial) for name in names}
        return {name: record for name, record in found.items() if record} or {
            self.dataset: self.run(experiment)
        }

    def glue(self, **values: object) -> None:
        """Hand numbers to the prose: each is inserted by {glue:text}`name:format`."""
        from myst_nb import glue

        for name, value in values.items():
            glue(name, value.item() if hasattr(value, "item") else value, display=False)

    def publish(self, numbers: Mapping[str, object], verdicts: Mapping[str, object] | None = None) -> None:
        """Hand numbers and verdicts to the prose, each under its key: {glue:text}`key:format`.

        A verdict is a text, which is inserted as it is, or margins, as `verdicts` takes them.
        """
        self.glue(**numbers)
        for key, given in (verdicts or {}).items():
            if isinstance(given, str):
                self.glue(**{key: str(given)})  # a Verdict too: as its word
            else:
                self.verdicts(**{key: given})

    def verdicts(self, **margins: object) -> None:
        """Hand verdicts to the prose, each from the numbers that decide it: {glue:text}`name`.

        A margin is a number, an interval (with `low` and `high`) or many of them. A number is above 0 where
        it supports the statement, and so is an interval that is wholly above 0. All above 0: "holds"; one of
        them at most 0, an interval wholly so: "fails"; otherwise, and without a number: "open".
        """
        for name, given in margins.items():
            ends = [pair for pair in _ends(given) if not np.isnan(pair).any()]
            fails = any(high <= 0 for _, high in ends)
            holds = ends and all(low > 0 for low, _ in ends)
            self.glue(**{name: "fails" if fails else "holds" if holds else "open"})


def _ends(given: object) -> Iterator[tuple[float, float]]:
    if hasattr(given, "low"):
        yield float(given.low), float(given.high)
    elif np.ndim(given) == 0:
        yield float(given), float(given)
    else:
        for one in given:
            yield from _ends(one)


def beginning(dataset: data.Dataset) -> data.Dataset:
    """Return the data set with the first 1,000 training and 200 test images of each class, in stored order.

    The digest is marked. A set that has no more than that is returned as it is.
    """
    cut = {}
    for split, most in PER_CLASS.items():
        labels = getattr(dataset, f"{split}_labels")
        chosen = [(labels == c).nonzero()[:most, 0] for c in range(len(dataset.classes))]
        kept = torch.cat(chosen).sort().values
        if len(kept) < len(labels):
            cut[f"{split}_labels"] = labels[kept]
            cut[f"{split}_images"] = getattr(dataset, f"{split}_images")[kept]
    return replace(dataset, **cut, sha256=f"{dataset.sha256} beginning") if cut else dataset


def open_chapter(
    dataset: str,
    profile: str,
    seed: int,
    device: str,
    data_root: str | os.PathLike | None,
    results_dir: str | os.PathLike | None,
    settings: Mapping[str, object] | None = None,
    experiment: str | None = None,
) -> Chapter:
    """Check a notebook's parameters and set the book's plotting style.

    `settings` are changes of the profile's settings of `experiment`, whose chapter this is, by the names of
    fields: {"dm.iterations": 100} or {"dm": {"iterations": 100}}.

    Raises ValueError naming the value and what is allowed: a parameter that papermill was given and the
    notebook does not have, an unknown data set, profile or device, a device this machine lacks, a seed that
    is no whole number from 0 up, a folder that is no path, settings that there are not or of a wrong type,
    with the list of what can be set. Nothing is loaded or run before that.

    >>> open_chapter("nonsense", "smoke", 0, "auto", None, None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: dataset 'nonsense': known are fashion_mnist_mini, fashion_mnist, ... fairface
    """
    check_parameters(_history())
    folders = [
        None if value is None else paths.given(name, value)
        for name, value in (("data_root", data_root), ("results_dir", results_dir))
    ]
    data.check_name(dataset)
    check_profile(profile)
    seed = validate.whole("seed", seed)
    devices.resolve(device)
    if settings:
        _check_settings(settings, experiment, profile)
    figures.use_style()
    # dp-accounting logs each Renyi order that it leaves out, which makes its epsilon larger, never too small.
    logging.getLogger("absl").setLevel(logging.ERROR)
    return Chapter(dataset, profile, seed, device, *folders, settings or None, experiment)


def check_parameters(history: Sequence[str]) -> None:
    """Refuse parameters that papermill has injected and the notebook does not have; ValueError lists its own.

    history   what a kernel has executed, cell by cell: the notebook's parameters are those of the cell that
              assigns `PARAMETERS`, and papermill's cell begins with a comment of its own. Without the one or
              the other nothing is refused

    >>> check_parameters(["dataset = profile = seed = device = data_root = results_dir = n = 0",
    ...                   "# Parameters\\nN = 10\\n"])
    Traceback (most recent call last):
    ValueError: parameter N 10: known are dataset, profile, seed, device, data_root, results_dir, n
    """
    known = injected = {}
    for cell in history:
        if cell.startswith(INJECTED):
            injected = _assigned(cell)
        elif (assigned := _assigned(cell)).keys() >= {*PARAMETERS}:
            known = assigned
    unknown = [f"{name} {value}" for name, value in injected.items() if known and name not in known]
    if unknown:
        raise ValueError(f"parameter {', '.join(unknown)}: known are {', '.join(known)}")


def _history() -> Sequence[str]:
    """Return the cells that this kernel has executed; none where this is no kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return [] if shell is None else shell.user_ns.get("In", [])


def _assigned(cell: str) -> dict[str, str]:
    """Return the names that a cell assigns at its top level, each with its value as it is written."""
    try:
        body = ast.parse(cell).body
    except (SyntaxError, ValueError):
        return {}
    assignments = [node for node in body if isinstance(node, ast.Assign)]
    return {
        name.id: ast.unparse(node.value)
        for node in assignments
        for name in node.targets
        if isinstance(name, ast.Name)
    }


def _check_settings(settings: object, experiment: str | None, profile: str) -> None:
    if experiment is None:
        raise ValueError(f"settings {settings!r}: allowed are none, for this chapter runs no experiment")
    if not isinstance(settings, Mapping):
        raise ValueError(f"settings {settings!r}: allowed is a mapping of names to values")
    designed(experiments.get(experiment), profile, settings)
