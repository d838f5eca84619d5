"""States of unfinished work on disk, and files in general: a kill leaves the old one or the new one.

A checkpoint is what `torch.save` writes, and after it the SHA-256 of those bytes: torch looks at no checksum
of its own. Who works on a file that others might work on too holds it meanwhile (`held`).
"""

import fcntl
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import torch

from privacy_for_free.core.errors import CheckpointError

CHUNK = 2**20  # bytes read at a time


def write_aside(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have a file written aside, flush it to the disk, and rename it over the old one.

    The path holds the old bytes or the new ones, never a part. Errors are those of `write` and of the system;
    nothing is left aside then.
    """
    own = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"  # no other process and no other thread writes into it
    aside = path.with_name(f"{path.name}.{own}.aside")
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


@contextmanager
def held(
    path: Path | None, error: type[Exception] = CheckpointError, lock: Path | None = None
) -> Iterator[None]:
    """Hold a file against every other process and thread, and make its folder; None holds nothing.

    path    of the file, which need not be there
    error   what is raised, before any work, where another holds it, or where it cannot be held
    lock    the file beside it that is locked (default: its name with .lock); gone afterwards

    The lock goes with the process that holds it, however that ends: what is left of one that was killed is in
    nobody's way.
    """
    if path is None:
        yield
        return
    lock = lock or path.with_name(f"{path.name}.lock")
    with _locked(path, lock, error):
        try:
            yield
        finally:
            with suppress(OSError):  # the lock is gone with the handle; its file may stay
                lock.unlink(missing_ok=True)


def _locked(path: Path, lock: Path, error: type[Exception]) -> BinaryIO:
    """Return the open and locked file."""
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("wb")
        except OSError as why:
            raise error(f"{path}: could not be written ({why.strerror}); nothing was run") from why
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.stat().st_ino == os.fstat(handle.fileno()).st_ino:
                return handle
        except BlockingIOError:
            handle.close()
            raise error(f"{path}: another process is running this; nothing was run") from None
        except FileNotFoundError:
            pass
        except OSError as why:
            handle.close()
            with suppress(OSError):
                lock.unlink()
            raise error(
                f"{lock}: cannot be locked ({why.strerror}); nothing was run. Name a file in another folder, "
                "on a disk that has locks"
            ) from why
        handle.close()  # its holder let go of it, and removed it, after it was opened here


def key(*parts: object) -> str:
    """Return the key of a state: a digest of everything that determines it, each by its text."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


def load(path: Path, key: str) -> dict:
    """Return the state that was saved under `key`; CheckpointError where the file is another's or damaged."""
    try:
        with path.open("rb") as handle:
            _check_digest(handle)
            state = torch.load(handle, map_location="cpu", weights_only=True)
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

    def write(handle: BinaryIO) -> None:
        digesting = _Digesting(handle)
        torch.save(state, digesting)
        handle.write(digesting.sha256.digest())

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, write)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: could not be written ({error})") from error


class _Digesting:
    """A file that is written from its beginning to its end, and the digest of what was."""

    def __init__(self, handle: BinaryIO):
        self.handle, self.sha256 = handle, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self.handle.write(data)

    def flush(self) -> None:
        self.handle.flush()


def _check_digest(handle: BinaryIO) -> None:
    """Raise ValueError unless a file ends with the digest of what is before; leave it at its beginning."""
    found = hashlib.sha256()
    left = os.fstat(handle.fileno()).st_size - found.digest_size
    while left > 0 and (data := handle.read(min(left, CHUNK))):
        found.update(data)
        left -= len(data)
    if handle.read() != found.digest():
        raise ValueError("it is damaged, or was written by another version")
    handle.seek(0)
