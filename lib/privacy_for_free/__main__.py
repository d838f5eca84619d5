"""Run experiments without Jupyter: python -m privacy_for_free run linear_dm --dataset cifar10 ..."""

import argparse
import sys
from contextlib import ExitStack

from privacy_for_free import data, experiments
from privacy_for_free.core import devices
from privacy_for_free.core.errors import CheckpointError
from privacy_for_free.experiments import plan
from privacy_for_free.lab import cluster
from privacy_for_free.lab.experiment import PROFILES
from privacy_for_free.lab.record import RESULTS, Record, RecordError, check_profile
from privacy_for_free.lab.run import run

FAILURES = (*plan.RECOVERABLE_ERRORS, data.DataError, RecordError, CheckpointError)
ALL = "all"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 with one line on standard error for whatever the user can mend.

    130 where it is stopped from the keyboard: what was finished is kept.
    """
    chosen = _parser().parse_args(arguments)
    if chosen.command == "list":
        for experiment in experiments.every():
            print(f"{experiment.name}: {experiment.summary}")
        return 0
    try:
        with ExitStack() as stack:
            workers = _checked(chosen, stack)
            failed = (_run_all if chosen.experiment == ALL else _run)(chosen, workers)
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; finished tasks are kept", file=sys.stderr)
        return 130
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 2 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m privacy_for_free", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
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
        "--data-root", help="folder of the data sets (default: $PRIVACY_FOR_FREE_DATA, or data/)"
    )
    making.add_argument("--results-dir", default=str(RESULTS), help="folder of the records (%(default)s)")
    making.add_argument(
        "--restart", action="store_true", help="move a record that is there aside, begin anew"
    )
    making.add_argument(
        "--cluster", help="spread the tasks: local, or a Dask scheduler's address (tcp://host:8786)"
    )
    making.add_argument("--workers", type=int, help="of cluster local (default: one a core)")
    commands.add_parser("list", help="list the experiments")
    return parser


def _checked(chosen: argparse.Namespace, stack: ExitStack) -> cluster.Cluster | None:
    """Return the cluster, if one is wanted; ValueError for what can be refused before any work."""
    if chosen.experiment == ALL:
        if chosen.restart:
            raise ValueError("--restart with all: name the experiment whose record is to be made anew")
    else:
        if chosen.experiment not in experiments.NAMES:
            known = ", ".join((*experiments.NAMES, ALL))
            raise ValueError(f"experiment {chosen.experiment!r}: known are {known}")
        if len(chosen.dataset or ()) > 1:
            raise ValueError(f"dataset {', '.join(chosen.dataset)}: several are allowed with {ALL} only")
    for name in chosen.dataset or ():
        data.check_name(name)
    check_profile(chosen.profile)
    if chosen.cluster is None or chosen.device not in devices.KNOWN:  # workers may have what this host lacks
        devices.resolve(chosen.device)
    if chosen.cluster is None:
        if chosen.workers is not None:
            raise ValueError(f"workers {chosen.workers}: allowed with --cluster local only")
        return None
    return stack.enter_context(
        cluster.Cluster(chosen.cluster, chosen.workers, chosen.data_root, progress=True)
    )


def _run(chosen: argparse.Namespace, workers: cluster.Cluster | None) -> list[str]:
    (dataset,) = chosen.dataset or ("fashion_mnist_mini",)
    record = _record(chosen, workers, chosen.experiment, dataset)
    print(f"{record.path}\n{record.provenance()}")
    return []


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
    chosen: argparse.Namespace, workers: cluster.Cluster | None, experiment: str, dataset: str
) -> Record:
    return run(
        experiments.get(experiment),
        data.load(dataset, chosen.data_root),
        chosen.profile,
        seed=chosen.seed,
        device=chosen.device,
        results_dir=chosen.results_dir,
        restart=chosen.restart,
        workers=workers,
    )


if __name__ == "__main__":
    sys.exit(main())
