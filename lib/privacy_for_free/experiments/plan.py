"""Every experiment of the book on every data set it is made for: what is left to do, and for how long."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from privacy_for_free import data, experiments
from privacy_for_free.core import compiling
from privacy_for_free.core.errors import CheckpointError, DivergenceError
from privacy_for_free.core.paths import given
from privacy_for_free.core.progress import duration
from privacy_for_free.lab.record import RESULTS, Record, check_profile
from privacy_for_free.lab.run import Progress, progress_of
from privacy_for_free.lab.tasks import Workers

RECORDED = ("fashion_mnist", "cifar10", "fairface")  # the data sets whose records the book carries
RECOVERABLE_ERRORS = (  # they end one run and cost no other, and so do those of a compiler
    *(DivergenceError, CheckpointError, ValueError, ModuleNotFoundError),
    *(MemoryError, torch.OutOfMemoryError),
)


@dataclass(frozen=True)
class Run:
    """One record that is to be there."""

    experiment: str
    dataset: str
    state: Progress

    @property
    def left(self) -> int:
        """Tasks that are missing."""
        return self.state.tasks - self.state.finished


def pairs(datasets: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return (experiment, data set) in the order of work: of the book, or every experiment on `datasets`."""
    return [
        (experiment.name, dataset)
        for experiment in experiments.every()
        for dataset in datasets or experiment.datasets
    ]


def survey(
    profile: str,
    *,
    datasets: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
    data_root: str | Path | None = None,
    results_dir: str | Path | None = RESULTS,
    workers: Workers | None = None,
) -> tuple[list[Run], list[str]]:
    """Look at every record before any work; return what there is to be, and why some runs do not apply.

    With `results_dir` None nothing is recorded and every run is to be made. Raises DataError where a data set
    is missing, and RecordError where a record does not fit, as its run would.
    """
    data_root = None if data_root is None else given("data_root", data_root)
    results_dir = None if results_dir is None else given("results_dir", results_dir)
    for name in datasets:
        data.check_name(name)
    check_profile(profile)
    found: dict[tuple[str, str], Run] = {}
    refused = []
    wanted = pairs(datasets)
    for dataset in dict.fromkeys(name for _, name in wanted):  # each is loaded once, one at a time in memory
        loaded = data.load(dataset, data_root)
        for name in [name for name, of in wanted if of == dataset]:
            experiment = experiments.get(name)
            try:
                experiment.tasks(experiment.profiles[profile], loaded)
            except ValueError as error:
                refused.append(f"{name} on {dataset} does not apply: {error}")
                continue
            state = progress_of(
                experiment,
                loaded,
                profile,
                seed=seed,
                device=device,
                results_dir=results_dir,
                workers=workers,
            )
            found[name, dataset] = Run(name, dataset, state)
        del loaded
    return [found[pair] for pair in wanted if pair in found], refused


def work(runs: Sequence[Run], make: Callable[[Run], Record]) -> list[str]:
    """Make every missing record, one after the other, and say how much is left.

    `make` returns the complete record of a run. One that diverges, asks for more than its data set has or
    the machine's memory, lacks a package, fails to compile or has a damaged checkpoint costs no other: it is
    returned as a line. Any other error ends the work.
    """
    runs, failed = list(runs), []
    for run in list(runs):
        name, place = f"{run.experiment} on {run.dataset}", runs.index(run)
        if run.state.complete:
            print(f"{name}: complete", flush=True)
            continue
        print(f"{time_left(runs, len(failed))}; now {name}", flush=True)
        try:
            record = make(run)
        except (*RECOVERABLE_ERRORS, *compiling.errors()) as error:
            failed.append(f"{name}: {line(error)}")
            del runs[place]
            continue
        print(*filter(None, (record.path, record.provenance())), sep="\n", flush=True)
        tasks = run.state.tasks
        runs[place] = replace(run, state=Progress(tasks, tasks, record.meta["seconds"], complete=True))
    print(time_left(runs, len(failed)), flush=True)
    return failed


def line(error: Exception) -> str:
    """Return what an error says: of a compiler's, which go on for pages, the line that says what is wrong."""
    if isinstance(error, compiling.errors()):
        return f"could not be compiled: {compiling.reason(error)}"
    return str(error) or type(error).__name__


def time_left(runs: Sequence[Run], failed: int = 0) -> str:
    """Say how much is left, from the tasks that were timed; so many runs besides `runs` have failed.

    A record's missing tasks are taken to last as long as its finished ones or, where it has none, as those of
    the same experiment on other data.
    """
    left, total = [run for run in runs if run.left], len(runs) + failed
    if not left and failed:
        return f"{len(runs)} of {total} records complete, {failed} failed"
    if not left:
        return f"all {total} records are complete"
    known = [seconds for run in left if (seconds := _estimate(run, runs)) is not None]
    text = f"{len(left)} of {total} records left"
    if known:
        text += f", about {duration(sum(known))}"
        text += "" if len(known) == len(left) else f" for {len(known)} of them"
    unknown = len(left) - len(known)
    text += f", {unknown} not timed yet" if unknown else ""
    return text + (f", {failed} failed" if failed else "")


def _estimate(run: Run, runs: Sequence[Run]) -> float | None:
    others = [other for other in runs if other.experiment == run.experiment]
    for timed in ([run], others):
        tasks = sum(other.state.finished for other in timed)
        if tasks:
            return run.left * sum(other.state.seconds for other in timed) / tasks
    return None
