"""The sidecar of a record: what it states, and of what type and range each field is."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from privacy_for_free.lab import kept
from privacy_for_free.lab.record import FORMAT, RecordError

# What must agree before a finished record is reused, besides its source; a partial one also needs the same
# machine and versions.
IDENTITY = ("experiment", "dataset", "profile", "parameters", "seed", "device", "data_sha256")
STATED = (
    *("source_sha256", "complete", "machine", "versions", "started", "seconds", "peak_memory_bytes"),
    "table_sha256",
)
REMEDY = "restore it or run with --restart"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_date(value: object) -> bool:
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_varies(value: object) -> bool:
    return (
        isinstance(value, dict) and _is_text(value.get("profile")) and isinstance(value.get("changes"), dict)
    )


def _is_attested(value: object) -> bool:
    entries = value if isinstance(value, list) else [None]
    return all(
        isinstance(entry, dict)
        and _is_date(entry.get("date"))
        and all(map(_is_text, map(entry.get, ("commit", "source_sha256"))))
        for entry in entries
    )


Kind = tuple[str, Callable[[object], bool]]
TEXT: Kind = ("text that is not empty", _is_text)
WHOLE: Kind = ("whole numbers from 0 up", _is_whole)
TEXTS: Kind = ("texts by their names", _is_texts)
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("experiment", "dataset", "profile", "device", "machine"), TEXT),
    **dict.fromkeys(("data_sha256", "source_sha256", "table_sha256"), TEXT),
    **dict.fromkeys(("seed", "peak_memory_bytes", "tasks"), WHOLE),
    **dict.fromkeys(("versions", "definitions"), TEXTS),
    "parameters": ("values by their names", lambda value: isinstance(value, dict)),
    "complete": ("true and false", lambda value: isinstance(value, bool)),
    "seconds": ("finite numbers from 0 up", _is_seconds),
    "started": ("a date and time such as 2026-01-31T12:00:00+00:00", _is_date),
    "commit": ("text, and null for none", lambda value: value is None or _is_text(value)),
    "varies": ("a profile and its changes", _is_varies),
    "kept": (
        "files by their tasks: machine, differs, files with sha256, bytes, dtype, shape",
        kept.is_stated,
    ),
    "attested": ("a list of attestations: date, commit, source_sha256, ...", _is_attested),
}


def read(path: Path) -> dict[str, object]:
    """Return what a sidecar states; RecordError where it is missing, of another format, or no such."""
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(meta, dict):
            raise TypeError("not an object")
    except FileNotFoundError:
        raise RecordError(f"{path}: missing beside its table; {REMEDY}") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RecordError(f"{path}: not a record's sidecar ({error}); run with --restart") from error
    if meta.get("format", FORMAT) != FORMAT or isinstance(meta.get("format"), bool):
        raise RecordError(
            f"{path}: a record of format {meta['format']}, this version reads format {FORMAT}. "
            "It was left as it is. Use the version that wrote it, or name another --results-dir"
        )
    if missing := [key for key in (*IDENTITY, *STATED) if key not in meta]:
        raise RecordError(f"{path}: {', '.join(missing)} missing; {REMEDY}")
    wrong = [
        f"{key} {short(json.dumps(meta[key]))}: allowed are {allowed}"
        for key, (allowed, fits) in KINDS.items()
        if key in meta and not fits(meta[key])
    ]
    if wrong:
        raise RecordError(f"{path}: {'; '.join(wrong)}. It was left as it is: {REMEDY}")
    return meta


def short(value: object) -> str:
    """Return a value as a sidecar holds it, cut to 80 characters."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
