"""Where a result comes from: source, commit, machine, versions."""

import importlib
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from privacy_for_free.core import checkout
from privacy_for_free.lab import definitions

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset
    from privacy_for_free.lab.experiment import Experiment

PACKAGE = __name__.partition(".")[0]
GENERATION = {"cpu family": "family", "model": "model"}  # /proc/cpuinfo's keys
REPOSITORY = checkout.PACKAGE.parents[1]


def source(experiment: "Experiment") -> dict[str, object]:
    """Return what a sidecar states of the source: a digest for each definition, and one of them all."""
    found = definitions_of(experiment.roots)
    return {"source_sha256": definitions.digest(found), "definitions": found}


@lru_cache
def definitions_of(roots: tuple[str, ...]) -> dict[str, str]:
    """Return the digest of every definition of this package that these can reach, as it is on disk."""
    return definitions.reachable(roots)


def changed(meta: Mapping[str, object]) -> list[str]:
    """Return the definitions that a record states and that are others today; none: it is current.

    A record of a version that stated none has not been attested since: that is its one change.
    """
    stated = meta.get("definitions")
    if not stated:
        return ["a version that stated no definitions"]
    try:
        name = f"{PACKAGE}.experiments.{meta['experiment']}"
        experiment = importlib.import_module(name).EXPERIMENT
    except ModuleNotFoundError:
        return [f"no experiment {meta['experiment']}"]
    return definitions.changed(stated, definitions_of(experiment.roots))


def data_sha256(dataset: "Dataset") -> str:
    """Return a data set's digest as records state it."""
    return dataset.sha256 + (" normalised" if dataset.normalised else "")


def commit(package: Path = checkout.PACKAGE) -> str | None:
    """Return the commit of the checkout that holds this package, with "+changes" if the library differs.

    None without git, and where the package lies in a repository of something else, as when it is installed
    into an environment within one.
    """
    try:
        if Path(_git(package, "rev-parse", "--show-toplevel")) != package.parents[1]:
            return None
        if not _git(package, "ls-files", "--", "__init__.py"):
            return None
        head = _git(package, "rev-parse", "HEAD")
        return head + ("+changes" if _git(package, "status", "--porcelain", "--", "..") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def machine(device: torch.device) -> str:
    """Describe what the last bits of a result depend on, in words: processor, threads, GPU if used.

    Of the processor its name, family and model as far as the system tells, for virtual machines hide the
    generation in the name, and the vector instructions that torch uses.
    """
    threads = torch.get_num_threads()
    words = f"{processor()}, {threads} thread{'s' if threads > 1 else ''}"
    if device.type == "cuda":
        words += f", {torch.cuda.get_device_name(device)}"
    return words


def processor(listing: Path = Path("/proc/cpuinfo")) -> str:
    """Describe the processor that a file in the form of Linux's /proc/cpuinfo lists first."""
    known: dict[str, str] = {}
    with suppress(OSError):
        for line in listing.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            known.setdefault(key.strip(), value.strip())
    details = [f"{word} {known[key]}" for key, word in GENERATION.items() if key in known]
    details.append(torch.backends.cpu.get_cpu_capability())
    name = known.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(details)})"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    packages = ("numpy", "pandas", "scipy", "torch")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
