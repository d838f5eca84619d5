"""Write the tables of columns in data/results/README.md from the experiments' declarations.

.venv/bin/python tools/describe_records.py      # make results-readme
"""

import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from privacy_for_free import experiments
from privacy_for_free.lab.experiment import Experiment

README = Path(__file__).resolve().parents[1] / "data" / "results" / "README.md"
MARK = "<!-- From here on `make results-readme` writes this file, from the experiments' declarations. -->"
WIDTH = 120


def described(text: str) -> str:
    """Return the text of the README with what follows the mark made anew."""
    before, mark, _ = text.partition(MARK)
    if not mark:
        raise ValueError(f"{README}: the line {MARK!r} is missing")
    return "\n\n".join([before + mark, *map(section, experiments.every())]) + "\n"


def section(experiment: Experiment) -> str:
    """Return what there is to say of an experiment's record, with the table of its columns."""
    places = f"Chapter `{experiment.chapter}`; recorded on {', '.join(experiment.datasets)}."
    parts = [f"## {experiment.name}", experiment.summary, f"{experiment.description} {places}".strip()]
    parts.append("\n".join(["| column | meaning |", "|---|---|", *rows(experiment)]))
    parts += [experiment.remarks, measured(experiment)]
    return "\n\n".join(part if part[0] in "#|" else filled(part) for part in parts if part)


def rows(experiment: Experiment) -> Iterator[str]:
    """Yield a line for neighbouring columns of one meaning."""
    for meaning, columns in groupby(experiment.columns, lambda column: column.meaning):
        names = ", ".join(column.name for column in columns)
        escaped = meaning.replace("|", r"\|")
        yield f"| {names} | {escaped} |"


def measured(experiment: Experiment) -> str:
    """Say which columns differ from run to run."""
    names = ", ".join(column.name for column in experiment.columns if column.measured)
    return f"Measurements, which differ from run to run: {names}." if names else ""


def filled(text: str) -> str:
    """Return a paragraph in lines."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    README.write_text(described(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(README, file=sys.stderr)
