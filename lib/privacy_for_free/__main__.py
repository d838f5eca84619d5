"""Run experiments without Jupyter: python -m privacy_for_free run linear_dm --dataset cifar10 ..."""

import argparse
import sys

from privacy_for_free import data, devices, experiments, records
from privacy_for_free.errors import CheckpointError, DivergenceError

FAILURES = (ValueError, data.DataError, records.RecordError, CheckpointError, DivergenceError)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 with one line on standard error for whatever the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m privacy_for_free", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", help="run an experiment into a record, or go on with one that was cut off"
    )
    run.add_argument("experiment", help=", ".join(experiments.NAMES))
    run.add_argument("--dataset", default="fashion_mnist_mini", help=", ".join(data.NAMES))
    run.add_argument("--profile", default="smoke", help=", ".join(records.PROFILES))
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--device", default="auto", help=", ".join(devices.KNOWN))
    run.add_argument(
        "--data-root", help="folder of the data sets (default: $PRIVACY_FOR_FREE_DATA, or data/)"
    )
    run.add_argument(
        "--results-dir", default=str(records.RESULTS), help="folder of the records (%(default)s)"
    )
    run.add_argument("--restart", action="store_true", help="move a record that is there aside, begin anew")
    commands.add_parser("list", help="list the experiments")
    chosen = parser.parse_args(arguments)
    if chosen.command == "list":
        for name in experiments.NAMES:
            print(f"{name}: {experiments.get(name).__doc__.splitlines()[0]}")
        return 0
    try:
        experiment = experiments.get(chosen.experiment)
        data.check_name(chosen.dataset)
        records.check_profile(chosen.profile)
        devices.resolve(chosen.device)
        record = records.run(
            experiment,
            data.load(chosen.dataset, chosen.data_root),
            chosen.profile,
            seed=chosen.seed,
            device=chosen.device,
            results_dir=chosen.results_dir,
            restart=chosen.restart,
        )
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{record.path}\n{record.provenance()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
