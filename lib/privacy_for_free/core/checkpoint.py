"""States of unfinished work on disk, and files in general: a kill leaves the old one or the new one."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import torch

from privacy_for_free.core.errors import CheckpointError


def write_aside(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have a file written aside, flush it to the disk, and rename it over the old one.

    The path holds the old bytes or the new ones, never a part. Errors are those of `write` and of the system;
    nothing is left aside then.
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}.aside")  # no other process writes into it
    try:
        with aside.open("wb") as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def key(*parts: object) -> str:
    """Return the key of a state: a digest of everything that determines it, each by its text."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


def load(path: Path, key: str) -> dict:
    """Return the state that was saved under `key`; CheckpointError where the file is another's or damaged."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["key"]
    except Exception as error:
        raise CheckpointError(f"{path}: not a checkpoint of this library ({error}); remove it") from error
    if found != key:
        raise CheckpointError(
            f"{path}: begun with other data, parameters or seed; it was left as it is. Name another file"
        )
    return state


def save(path: Path, state: dict) -> None:
    """Save a state, which holds its `key`; CheckpointError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, lambda handle: torch.save(state, handle))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: could not be written ({error})") from error
