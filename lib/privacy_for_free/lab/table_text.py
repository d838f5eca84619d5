"""The text of a table: lines of CSV for each task, written once and never parsed and written again."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from privacy_for_free.lab.record import RecordError


def block(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str], index: int, sparse: bool = False
) -> str:
    """Return the rows of task `index` as CSV lines; floats with all their digits, None as an empty field.

    Every row has a value for each column; where they are `sparse`, a column that is left out is empty.
    """
    if not rows:
        raise RecordError(f"task {index}: returned no rows")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if set(row) - set(columns) or (set(row) != set(columns) and not sparse):
            raise RecordError(f"task {index}: columns {sorted(row)}, expected {sorted(columns)}")
        writer.writerow([*(_plain(row.get(column)) for column in columns), index])
    return text.getvalue()


def _plain(value: object) -> object:
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return "" if value != value else repr(value)
    raise RecordError(f"value {value!r}: a record holds text, numbers and truth values")


def whole(columns: Sequence[str], blocks: Mapping[int, str]) -> str:
    """Return the text of a table: its header, and the lines of its tasks in order."""
    return ",".join((*columns, "task")) + "\n" + "".join(blocks[index] for index in sorted(blocks))


def blocks(text: str, columns: Sequence[str], path: Path) -> dict[int, str]:
    """Split a table into its tasks' lines, as text; RecordError where it has other columns."""
    if not text:
        return {}
    header, *rows = csv.reader(io.StringIO(text))
    if tuple(header) != (*columns, "task"):
        raise RecordError(
            f"{path}: columns {', '.join(header)}; expected {', '.join((*columns, 'task'))}. It was left as "
            "it is. Name another --results-dir, or run with --restart, which moves it into superseded/"
        )
    found: dict[int, io.StringIO] = {}
    for row in rows:
        csv.writer(found.setdefault(int(row[-1]), io.StringIO()), lineterminator="\n").writerow(row)
    return {index: lines.getvalue() for index, lines in found.items()}


def difference(
    reference: str,
    today: str,
    columns: Sequence[str],
    measured: Sequence[str],
    tolerances: Mapping[str, float] | None = None,
) -> str | None:
    """Say where two tasks' lines differ first, measured columns apart; None where they do not.

    tolerances   of columns of numbers: the relative difference that is passed over

    >>> difference("1.5,3.0,0\\n", "1.5,4.0,0\\n", ["auc", "seconds"], ["seconds"])
    >>> difference("1.5,3.0,0\\n", "1.25,4.0,0\\n", ["auc", "seconds"], ["seconds"])
    'row 0, column auc: 1.5, today 1.25'
    >>> difference("1000,0\\n", "1001,0\\n", ["bytes"], [], {"bytes": 0.01})
    """
    tolerances = tolerances or {}
    before, after = (list(csv.reader(io.StringIO(text))) for text in (reference, today))
    for row, (old, new) in enumerate(zip(before, after, strict=False)):
        for column, one, other in zip((*columns, "task"), old, new, strict=True):
            if one == other or column in measured:
                continue
            close = column in tolerances and math.isclose(
                float(one), float(other), rel_tol=tolerances[column]
            )
            if not close:
                return f"row {row}, column {column}: {one}, today {other}"
    return None if len(before) == len(after) else f"{len(before)} rows, today {len(after)}"


def one_task_back(text: str) -> Iterator[str]:
    """Yield a table, and it without each of its tasks: one of them the sidecar may not know yet."""
    yield text
    header, *lines = text.splitlines(keepends=True) or [""]
    owners = [line.rpartition(",")[2] for line in lines]
    for task in reversed(dict.fromkeys(owners)):
        yield header + "".join(line for line, owner in zip(lines, owners, strict=True) if owner != task)


def tasks(text: str) -> int:
    """Return of how many tasks a table has lines: a task's number is the last field of its lines."""
    return len(set(re.findall(r",([0-9]+)$", text, re.MULTILINE)))


def frame(text: str) -> pd.DataFrame:
    """Return the table that a text holds; an empty field is not a number."""
    return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
