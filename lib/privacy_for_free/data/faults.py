"""What is wrong with a data file, what lies there in its place, and the remedy that fits both."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from privacy_for_free.data.files import DataError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp")
BEGINNINGS = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"version https://git-lfs": "a pointer of Git LFS",
}


@dataclass(frozen=True)
class Fault:
    """One fault of a data set's files: what was found, and what to do about it (a sentence, no full stop)."""

    what: str
    remedy: str


def data_error(name: str, faults: Iterable[Fault]) -> DataError:
    """Return the error that names every fault of a data set; a remedy that several share comes once."""
    found: dict[str, list[str]] = {}
    for fault in dict.fromkeys(faults):
        found.setdefault(fault.remedy, []).append(fault.what)
    told = ". ".join(f"{'; '.join(whats)}. {remedy}" for remedy, whats in found.items())
    return DataError(f"dataset {name!r}: {told}")


def seems(data: bytes) -> str | None:
    """Say what kind of file begins like this, where another was meant; None when it is none of those known.

    >>> seems(b"<!DOCTYPE html><html>Not Found</html>")
    'an HTML page'
    """
    if not data:
        return "an empty file"
    start = data[:200].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "an HTML page"
    return next((kind for beginning, kind in BEGINNINGS.items() if data.startswith(beginning)), None)


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, in the order of the names; nothing for a folder that is not there."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _plain(name: str) -> str:
    """Return a name without case, punctuation and the " (1)" of a second download."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r" ?\(\d+\)", "", name.lower()))


def archives(folders: Iterable[Path], *beginnings: str) -> list[Path]:
    """Return the archives in the folders whose names begin like one of those given, case and dots aside."""
    starts = tuple(map(_plain, beginnings))
    return [
        path
        for folder in dict.fromkeys(folders)
        for path in entries(folder)
        if path.name.lower().endswith(ARCHIVES) and _plain(path.name).startswith(starts) and path.is_file()
    ]


def near_miss(
    path: Path,
    *,
    folder: bool = False,
    also: Iterable[str] = (),
    fits: Callable[[Path], bool] = lambda path: True,
) -> Fault | None:
    """Say what lies beside or below the place where a file (or `folder`) is missing, and mend that.

    `also` lists other names that are taken in the same place; `fits` judges a file by its content. Found are:
    a folder of the file's name (and a file of the folder's), names that differ in case, punctuation, " (1)"
    or a hidden .txt, unfinished downloads, and the same name one folder deeper. None where nothing of the
    kind is there.
    """
    names = [path.name, *also]
    missing = f"{path} is missing"
    is_it = Path.is_dir if folder else lambda file: file.is_file() and fits(file)
    for name in names:
        place = path.with_name(name)
        if folder and place.is_file():
            return Fault(f"{missing}: a file of that name is there", "Replace that file by the folder")
        if not folder and place.is_dir():
            inner = next((place / each for each in names if (place / each).is_file()), None)
            remedy = f"Move {inner} out of it" if inner else "Put the file itself there"
            return Fault(f"{missing}: a folder of that name is there", f"{remedy}, in place of that folder")
    for entry in entries(path.parent):
        if entry.name in names:
            continue
        for name in names:
            if _plain(entry.name) in (_plain(name), f"{_plain(name)}txt") and is_it(entry):
                return Fault(f"{missing}: {entry} is there", f"Rename {entry.name} to {name}")
            unfinished = entry.name.startswith(name) and entry.name.endswith(UNFINISHED)
            if not folder and unfinished and entry.is_file():
                return Fault(f"{missing}: {entry} is there", "Finish that download, or begin it again")
    for child in filter(Path.is_dir, entries(path.parent)):
        for name in names:
            if is_it(child / name):
                return Fault(f"{missing}: {child / name} is there", f"Move {child / name} to {path.parent}")
    return None


def unpack(path: Path, found: Iterable[Path]) -> Fault | None:
    """Say that what is missing at `path` waits in the first of the archives found; None without one."""
    archive = next(iter(found), None)
    if archive is None:
        return None
    return Fault(f"{path} is missing", f"Unpack {archive}, which is there")


def not_belonging(listed: list[str], path: Path, images: Iterable[str], folder: Path) -> str | None:
    """Count the rows of a label list against the images of its folder; say what does not belong together.

    `listed` holds the name of one image for each row of `path`, `images` those in `folder`. None when each
    image has one row and each row one image, and there is at least one.
    """
    images = set(images)
    rows = set(listed)
    unlisted, lost = sorted(images - rows), sorted(rows - images)
    parts = []
    if unlisted:
        parts.append(f"{len(unlisted)} images without a row (the first: {folder / unlisted[0]})")
    if lost:
        parts.append(f"{len(lost)} rows without an image (the first: {folder / lost[0]} is missing)")
    if len(rows) < len(listed):
        seen: set[str] = set()
        twice = next(name for name in listed if name in seen or seen.add(name))
        parts.append(f"{len(listed) - len(rows)} rows of an image that has one already (the first: {twice})")
    if not listed and not images:
        parts.append("nothing to load")
    if not parts:
        return None
    return f"{path} has {len(listed)} rows, {folder} has {len(images)} images: {', '.join(parts)}"
