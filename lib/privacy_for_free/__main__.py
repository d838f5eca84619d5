"""Run experiments without Jupyter: privacy-for-free run linear_dm --dataset cifar10 ..."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from privacy_for_free import data, experiments
from privacy_for_free.core import compiling, devices, validate
from privacy_for_free.core.paths import given
from privacy_for_free.experiments import attesting, plan
from privacy_for_free.lab import cluster, kept, settings
from privacy_for_free.lab.attest import AttestationError
from privacy_for_free.lab.experiment import PROFILES
from privacy_for_free.lab.record import RESULTS, Record, RecordError, check_profile
from privacy_for_free.lab.run import designed, keep, run
from privacy_for_free.lab.store import read

FAILURES = (*plan.RECOVERABLE_ERRORS, data.DataError, RecordError, AttestationError)
SCRIPT = "privacy-for-free"
ALL = "all"
STOPPED, PIPE_CLOSED = 130, 141  # exit statuses: what shells report for SIGINT and SIGPIPE

NOT_KEPT = "not kept: a smoke run is kept only where --results-dir names a folder"

Subparsers = argparse._SubParsersAction


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 with one error on standard error for whatever the user can mend.

    130 where it is stopped from the keyboard: what was finished is kept. 141 where nobody reads its output
    any more, as in `list | head -1`.
    """
    chosen = parser().parse_args(arguments)
    try:
        failed = chosen.work(chosen)
        sys.stdout.flush()
    except (*FAILURES, *compiling.errors()) as error:
        failed = [plan.line(error)]
    except KeyboardInterrupt:
        print("stopped; finished tasks are kept", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return PIPE_CLOSED
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 2 if failed else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser; each command's namespace has `work`: namespace -> lines of what failed."""
    called = Path(sys.argv[0]).name.startswith(SCRIPT)
    whole = argparse.ArgumentParser(
        prog=SCRIPT if called else "python -m privacy_for_free", description=__doc__
    )
    commands = whole.add_subparsers(dest="command", required=True)
    for add in COMMANDS:
        add(commands)
    return whole


def _add_run(commands: Subparsers) -> None:
    making = commands.add_parser(
        "run", help="run an experiment into a record, or go on with one that was cut off"
    )
    making.add_argument("experiment", help=f"{', '.join(experiments.NAMES)}, or {ALL}")
    making.add_argument(
        "--dataset",
        action="append",
        help=f"{', '.join(data.NAMES)} (default: fashion_mnist_mini; with {ALL}: those of the book, and it "
        "may be given several times)",
    )
    making.add_argument("--profile", default="smoke", help=", ".join(PROFILES))
    making.add_argument("--seed", type=int, default=0)
    making.add_argument("--device", default="auto", help=", ".join(devices.KNOWN))
    making.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="change a setting of the profile, for a record of its own; may be given several times "
        "(`show` lists the settings)",
    )
    making.add_argument("--as", dest="name", help="name of the record with --set (default: made from it)")
    making.add_argument(
        "--data-root", help="folder of the data sets (default: $PRIVACY_FOR_FREE_DATA, or data/)"
    )
    making.add_argument(
        "--results-dir",
        help="folder of the records (default: "
        + f"{RESULTS}; a smoke run is shown, and kept where one is named)".replace("%", "%%"),
    )
    making.add_argument(
        "--restart", action="store_true", help="move a record that is there aside, begin anew"
    )
    making.add_argument(
        "--keep",
        action="store_true",
        help="keep what other attacks need, beside the record, if the experiment hands it back: sets, what "
        "networks say of the pool, its halves (`keep --sizes` says how large)",
    )
    _add_keep_dir(making)
    _add_cluster(making)
    making.set_defaults(work=_run)


def _add_cluster(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cluster", help="spread the tasks: local, or a Dask scheduler's address (tcp://host:8786)"
    )
    command.add_argument("--workers", type=int, help="of cluster local (default: one per core)")


def _add_keep_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--keep-dir", metavar="FOLDER", help="keep it in this folder (default: kept/ beside the record)"
    )


def _add_keep(commands: Subparsers) -> None:
    command = commands.add_parser(
        "keep", help="make again what a record keeps for other attacks: files that are missing or altered"
    )
    command.add_argument("experiment", help=", ".join(experiments.NAMES))
    command.add_argument(
        "--dataset", default="fashion_mnist_mini", help=f"{', '.join(data.NAMES)} (%(default)s)"
    )
    command.add_argument(
        "--profile", default="laptop", help=f"{', '.join(PROFILES)}, or the name of a record (%(default)s)"
    )
    command.add_argument("--data-root", help="folder of the data sets")
    command.add_argument("--results-dir", default=str(RESULTS), help="folder of the records (%(default)s)")
    command.add_argument(
        "--sizes", action="store_true", help="say how large the files of a profile are, only"
    )
    _add_keep_dir(command)
    _add_cluster(command)
    command.set_defaults(work=_keep, device="auto")


def _add_list(commands: Subparsers) -> None:
    listing = commands.add_parser("list", help="list the experiments")
    listing.set_defaults(work=_list)


def _add_show(commands: Subparsers) -> None:
    showing = commands.add_parser("show", help="list the settings of an experiment, which --set changes")
    showing.add_argument("experiment", help=", ".join(experiments.NAMES))
    showing.add_argument("--profile", default="smoke", help=", ".join(PROFILES))
    showing.set_defaults(work=_show)


def _add_attest(commands: Subparsers) -> None:
    command = commands.add_parser(
        "attest", help="show that today's code gives the numbers of records that older code made"
    )
    command.add_argument("experiment", help=f"{', '.join(experiments.NAMES)}, or {ALL}")
    command.add_argument(
        "--against", metavar="COMMIT", help="whose code (default: what made or last attested each record)"
    )
    command.add_argument(
        "--sample", type=int, default=1, help="full tasks held against each record's lines (%(default)s)"
    )
    command.add_argument("--data-root", help="folder of the data sets")
    command.add_argument("--results-dir", default=str(RESULTS), help="folder of the records (%(default)s)")
    command.set_defaults(work=_attest)


COMMANDS: tuple[Callable[[Subparsers], None], ...] = (_add_run, _add_keep, _add_list, _add_show, _add_attest)


def _attest(chosen: argparse.Namespace) -> list[str]:
    if chosen.experiment != ALL:
        validate.one_of("experiment", chosen.experiment, (*experiments.NAMES, ALL))
    names = experiments.NAMES if chosen.experiment == ALL else (chosen.experiment,)
    return attesting.attest_records(
        given("--results-dir", chosen.results_dir),
        names,
        against=chosen.against,
        sample=validate.whole("--sample", chosen.sample),
        data_root=_data_root(chosen),
        say=lambda line: print(line, flush=True),
    )


def _keep(chosen: argparse.Namespace) -> list[str]:
    experiment, root = experiments.get(chosen.experiment), _data_root(chosen)
    folder = None if chosen.keep_dir is None else given("--keep-dir", chosen.keep_dir)
    results_dir = given("--results-dir", chosen.results_dir)
    data.check_name(chosen.dataset)
    if chosen.sizes:
        design = experiment.profiles[check_profile(chosen.profile)]
        print(kept.table(kept.declared(experiment, design, data.load(chosen.dataset, root))))
        return []
    with ExitStack() as stack:
        workers = _workers(chosen, stack)
        record = read(experiment.name, chosen.dataset, chosen.profile, results_dir)
        if record is None:
            where = results_dir / experiment.name / f"{chosen.dataset}-{chosen.profile}.csv"
            raise RecordError(f"{where}: no complete record; `run {experiment.name} --keep` makes one")
        dataset = data.load(chosen.dataset, root)
        record = keep(experiment, record, dataset, folder, workers=workers)
    print(f"{kept.Folder(record.path, record.meta, folder).path}\n{kept.table(kept.stated(record))}")
    return []


def _list(chosen: argparse.Namespace) -> list[str]:
    for experiment in experiments.every():
        print(f"{experiment.name}: {experiment.summary}")
    return []


def _show(chosen: argparse.Namespace) -> list[str]:
    experiment = experiments.get(chosen.experiment)
    print(settings.table(experiment.profiles[check_profile(chosen.profile)]))
    return []


def _data_root(chosen: argparse.Namespace) -> Path | None:
    return None if chosen.data_root is None else given("--data-root", chosen.data_root)


def _results_dir(chosen: argparse.Namespace) -> Path | None:
    """Return where records go; None for a smoke run that is kept nowhere.

    ValueError for options that need a record.
    """
    if chosen.results_dir is not None:
        return given("--results-dir", chosen.results_dir)
    if chosen.profile != "smoke":
        return RESULTS
    for option, value in (("--restart", chosen.restart), (f"--as {chosen.name}", chosen.name is not None)):
        if value:
            raise ValueError(
                f"{option} with the profile smoke: allowed with --results-dir, without which it is not kept"
            )
    return None


def _run(chosen: argparse.Namespace) -> list[str]:
    chosen.data_root = _data_root(chosen)
    _check_names(chosen)
    chosen.results_dir = _results_dir(chosen)
    chosen.keep = chosen.keep if chosen.keep_dir is None else given("--keep-dir", chosen.keep_dir)
    changes = _changes(chosen)
    with ExitStack() as stack:
        workers = _workers(chosen, stack)
        if chosen.experiment == ALL:
            failed = _run_all(chosen, workers)
        else:
            (dataset,) = chosen.dataset or ("fashion_mnist_mini",)
            record = _record(chosen, workers, chosen.experiment, dataset, changes)
            print(f"{record.path or record.table}\n{record.provenance()}")
            failed = []
    if chosen.results_dir is None:
        print(NOT_KEPT)
    return failed


def _check_names(chosen: argparse.Namespace) -> None:
    """Raise ValueError for names there are not, and for what does not go together."""
    if chosen.experiment == ALL:
        if chosen.restart:
            raise ValueError("--restart with all: name the experiment whose record is to be made anew")
        if chosen.keep or chosen.keep_dir:
            raise ValueError("--keep with all: name the experiment that is to keep files")
        if chosen.set or chosen.name:
            raise ValueError("--set and --as with all: name the experiment whose settings are to be changed")
    else:
        if chosen.experiment not in experiments.NAMES:
            known = ", ".join((*experiments.NAMES, ALL))
            raise ValueError(f"experiment {chosen.experiment!r}: known are {known}")
        if len(chosen.dataset or ()) > 1:
            raise ValueError(f"dataset {', '.join(chosen.dataset)}: several are allowed with {ALL} only")
    if chosen.name is not None and not chosen.set:
        raise ValueError(f"--as {chosen.name}: allowed with --set only, for a profile as it is has its name")
    for name in chosen.dataset or ():
        data.check_name(name)
    check_profile(chosen.profile)


def _changes(chosen: argparse.Namespace) -> Mapping[str, object]:
    """Return the changes of settings; ValueError for those that are not allowed."""
    pairs = [settings.parse(text) for text in chosen.set or ()]
    changes = dict(pairs)
    for name in changes:
        values = [repr(value) for other, value in pairs if other == name]
        if len(values) > 1:
            raise ValueError(f"--set {name} {' and '.join(values)}: allowed is one value for a name")
    if changes:
        designed(experiments.get(chosen.experiment), chosen.profile, changes, chosen.name)
    return changes


def _workers(chosen: argparse.Namespace, stack: ExitStack) -> cluster.Cluster | None:
    """Return the cluster, if one is wanted; ValueError for what can be refused before any work."""
    if chosen.cluster is None or chosen.device not in devices.KNOWN:  # workers may have what this host lacks
        devices.resolve(chosen.device)
    if chosen.cluster is None:
        if chosen.workers is not None:
            raise ValueError(f"workers {chosen.workers}: allowed with --cluster local only")
        return None
    return stack.enter_context(
        cluster.Cluster(chosen.cluster, chosen.workers, chosen.data_root, progress=True)
    )


def _run_all(chosen: argparse.Namespace, workers: cluster.Cluster | None) -> list[str]:
    runs, refused = plan.survey(
        chosen.profile,
        datasets=chosen.dataset or (),
        seed=chosen.seed,
        device=chosen.device,
        data_root=chosen.data_root,
        results_dir=chosen.results_dir,
        workers=workers,
    )
    print("\n".join([*refused, ""]), end="", file=sys.stderr)
    return plan.work(runs, lambda run: _record(chosen, workers, run.experiment, run.dataset))


def _record(
    chosen: argparse.Namespace,
    workers: cluster.Cluster | None,
    experiment: str,
    dataset: str,
    changes: Mapping[str, object] | None = None,
) -> Record:
    return run(
        experiments.get(experiment),
        data.load(dataset, chosen.data_root),
        chosen.profile,
        seed=chosen.seed,
        device=chosen.device,
        changes=changes,
        name=chosen.name,
        results_dir=chosen.results_dir,
        restart=chosen.restart,
        workers=workers,
        keep=chosen.keep,
    )


if __name__ == "__main__":
    sys.exit(main())
