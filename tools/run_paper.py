"""Make every record of a profile by running its chapter through papermill, then run all chapters once more.

    .venv/bin/python tools/run_paper.py --data-root /path/to/data      # make paper DATA_ROOT=/path/to/data

A record that is complete is not made again, whatever machine made it; a partial one is gone on with. The
executed chapters are in _build/paper: NAME-DATASET.ipynb from the making of a record, NAME.ipynb drawn when
all were there. Stop it as you like: the task in hand is lost at most, less where a task keeps its state.
"""

import argparse
import os
import re
import sys
from pathlib import Path

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from privacy_for_free import data, experiments
from privacy_for_free.core import devices
from privacy_for_free.experiments import plan
from privacy_for_free.lab.experiment import PROFILES
from privacy_for_free.lab.record import RESULTS, Record, RecordError
from privacy_for_free.lab.store import read

ROOT = Path(__file__).resolve().parents[1]
RECORDED = PROFILES[1:]
FAILURES = (*plan.RECOVERABLE_ERRORS, data.DataError, RecordError)
KINDS = {kind.__name__: kind for kind in plan.RECOVERABLE_ERRORS}  # by the name that a chapter's error has


def all_chapters() -> list[str]:
    """Return the names of all notebooks, in the book's order."""
    names = re.findall(r"(?:file|root): chapters/(\w+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [name for name in names if (ROOT / "chapters" / f"{name}.ipynb").exists()]


def execute(chapter: str, out: Path, parameters: dict[str, object]) -> None:
    """Run one chapter; its progress goes to this terminal.

    Raises one of `plan.RECOVERABLE_ERRORS` where that stopped it, and RecordError where anything else did.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            ROOT / "chapters" / f"{chapter}.ipynb",
            out,
            parameters=parameters,
            cwd=out.parent,
            progress_bar=False,
            stderr_file=sys.stderr,
        )
    except PapermillExecutionError as error:
        kind = KINDS.get(error.ename, RecordError)
        raise kind(f"chapter {chapter}: {error.ename}: {error.evalue} (see {out})") from error
    except DeadKernelError as error:
        raise RecordError(
            f"chapter {chapter}: its process was killed, for want of memory perhaps; finished tasks are "
            "kept, run it again to go on"
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """Work through the plan; 0, or 2 with one line for each failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="paper", help=", ".join(RECORDED))
    parser.add_argument("--dataset", action="append", default=[], help="default: those of the book")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help=", ".join(devices.KNOWN))
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--results-dir", default=str(RESULTS))
    parser.add_argument("--out", default=str(ROOT / "_build" / "paper"), help="the executed chapters")
    chosen = parser.parse_args(arguments)
    out = Path(chosen.out).absolute()
    common = {
        "profile": chosen.profile,
        "seed": chosen.seed,
        "device": chosen.device,
        "data_root": chosen.data_root and os.path.abspath(chosen.data_root),
        "results_dir": os.path.abspath(chosen.results_dir),
    }

    def make(run: plan.Run) -> Record:
        chapter = experiments.get(run.experiment).chapter
        execute(chapter, out / f"{chapter}-{run.dataset}.ipynb", common | {"dataset": run.dataset})
        record = read(run.experiment, run.dataset, chosen.profile, chosen.results_dir)
        if record is None:
            raise RecordError(f"chapter {chapter}: made no record of {run.experiment}")
        return record

    os.environ.setdefault("TQDM_MININTERVAL", "30")  # a notebook keeps every refresh of a bar
    try:
        if chosen.profile not in RECORDED:
            known = ", ".join(RECORDED)
            raise ValueError(f"profile {chosen.profile!r}: recorded are {known}")
        if chosen.profile == "paper" and devices.resolve(chosen.device).type == "cpu":
            print("no GPU here, which the paper profile is made for; make records makes the laptop profile")
        options = {key: common[key] for key in ("seed", "device", "data_root", "results_dir")}
        runs, refused = plan.survey(chosen.profile, datasets=chosen.dataset, **options)
        if not runs:
            raise ValueError("; ".join(refused))
        print("\n".join([*refused, ""]), end="", file=sys.stderr)
        failed = plan.work(runs, make)
        drawn = {experiments.get(run.experiment).chapter: run.dataset for run in reversed(runs)}
        recording = {experiment.chapter for experiment in experiments.every()}
        for chapter in all_chapters() if not failed else ():
            if chapter in drawn or chapter not in recording:
                print(f"drawing {chapter}", flush=True)
                dataset = drawn.get(chapter, runs[0].dataset)
                execute(chapter, out / f"{chapter}.ipynb", common | {"dataset": dataset})
    except FAILURES as error:
        failed = [error]
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    if not failed:
        print(f"The executed chapters are in {out}")
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
