"""What every loader shares: the error, the uint8 content, checksums, writing without overwriting."""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from privacy_for_free.core.checkpoint import write_aside

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


class DataError(RuntimeError):
    """A data file is missing, truncated or altered, or a package that reads it is not installed."""


@dataclass(frozen=True, eq=False)
class Content:
    """A data set as stored: images uint8 N x C x H x W, labels uint8 N, and one name for each class."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_content(content: Content, where: str) -> Content:
    """Return content whose parts belong together; DataError, naming `where`, what came and what is allowed.

    For each split there are as many labels as images, one at least, and each label is a class; the images of
    both splits are of one shape.
    """
    for split in ("train", "test"):
        images, labels = getattr(content, f"{split}_images"), getattr(content, f"{split}_labels")
        if images.ndim != 4 or labels.ndim != 1 or len(images) != len(labels) or not len(labels):
            shapes = f"{split}_images {images.shape} and {split}_labels {labels.shape}"
            raise DataError(f"{where}: {shapes}: allowed are N x C x H x W and N, with N at least 1")
        check_labels(labels, content.classes, f"{where}, {split}_labels")
    shapes = content.train_images.shape[1:], content.test_images.shape[1:]
    if shapes[0] != shapes[1]:
        raise DataError(f"{where}: training and test images {shapes}: allowed are images of one shape")
    return content


def check_labels(labels: np.ndarray, classes: tuple[str, ...], what: str) -> np.ndarray:
    """Return whole numbers as uint8 labels; DataError, naming `what`, for labels that are no class."""
    wrong = labels[(labels < 0) | (labels >= len(classes))]
    if len(wrong):
        raise DataError(
            f"{what}: {len(wrong)} labels are no class, the first {wrong[0]}: allowed are "
            f"0 to {len(classes) - 1}"
        )
    return labels.astype(np.uint8, copy=False)


def arrays_sha256(arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 (hex) of the four uint8 arrays: for each its name, its shape, its bytes.

    The digest depends on pixels and labels alone, not on the files they came in.
    """
    digest = hashlib.sha256()
    for name in ARRAYS:
        array = arrays[name]
        if array.dtype != np.uint8:
            raise TypeError(f"array {name}: dtype {array.dtype}, expected uint8")
        digest.update(f"{name} {'x'.join(map(str, array.shape))}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1))
    return digest.hexdigest()


def md5(data: bytes) -> str:
    """Return the MD5 (hex): a check against damage, not against malice."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def file_fault(path: Path, expected_md5: str) -> str | None:
    """Say what is wrong with a file of known MD5, beginning with its path; None when nothing is."""
    if path.is_dir():
        return f"{path} is missing: a folder of that name is there"
    if not path.is_file():
        return f"{path} is missing"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected_md5:
        return f"{path} is truncated or altered: md5 {found} instead of {expected_md5}"
    return None


def write_npz(path: Path, arrays: dict[str, np.ndarray], *, compress: bool) -> None:
    """Write arrays as an .npz that numpy.load reads, aside first and then under its name.

    The same arrays give the same bytes (no time stamps). Raises DataError when `path` exists.
    """
    if path.exists():
        raise DataError(f"{path} exists and is not overwritten: delete it or choose another name")
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", method, compresslevel=9) as archive:
            for name, array in arrays.items():
                member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                member.compress_type = method
                with archive.open(member, "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)

    write_aside(path, write)


def read_npz(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """Read every array of an .npz without unpickling; DataError (path, reason, remedy) when that fails."""
    try:
        # numpy.load leaves a damaged file open if it opened it
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as packed:
                damaged = packed.testzip()  # before a header is parsed: damaged ones warn, or ask for memory
                if damaged is not None:
                    raise zipfile.BadZipFile(f"bad checksum of {damaged}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {remedy}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file; {remedy}") from None
    except PermissionError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): its owner can allow that") from error
    except Exception as error:  # zipfile and numpy let a dozen kinds through
        raise DataError(f"{path} is truncated or altered ({error}); {remedy}") from error


def _stored(path: Path, key: dict[str, str]) -> dict[str, np.ndarray]:
    remedy = "delete this cache and load again"
    stored = read_npz(path, remedy)
    try:
        arrays = {name: stored[name] for name in ARRAYS}
        intact = str(stored["sha256"]) == arrays_sha256(arrays)
        stored_key = dict(json.loads(str(stored["key"])))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a cache of this library ({error}); {remedy}") from error
    if not intact:
        raise DataError(f"{path} is altered: its arrays do not have the digest stored beside them; {remedy}")
    if stored_key != key:
        changed = ", ".join(name for name in key if stored_key.get(name) != key[name]) or "other fields"
        raise DataError(
            f"{path} was made from other files ({changed} changed since); put back the files it was made "
            "from, or, if they were meant to change, delete this cache and load again"
        )
    return arrays


def cached(
    path: Path, key: dict[str, str], build: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return the four arrays that `build` makes, from the cache at `path`, or built and then stored there.

    `key` describes what the arrays are made from. A cache with another key, or whose arrays do not have the
    digest stored beside them, raises DataError; it is neither used nor replaced. A folder that cannot be
    written to leaves the arrays uncached. Where another process stores them meanwhile, its cache is used.
    """
    if path.exists():
        return _stored(path, key)
    arrays = build()
    about = {"sha256": np.array(arrays_sha256(arrays)), "key": np.array(json.dumps(key))}
    try:
        write_npz(path, arrays | about, compress=False)
    except DataError:
        return _stored(path, key)
    except OSError:
        pass
    return arrays


def download_into(root: Path, folder: str, download: Callable[[Path], object]) -> Path:
    """Run `download` on a folder aside, move what it left in `folder` to root/folder, and return that path.

    A download that fails leaves `root` as it was. Raises DataError then, when `root` is no folder, and when
    root/folder is there already.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: create it to download into it")
    target = root / folder
    if target.exists():
        raise DataError(f"{target} exists and is not overwritten: remove it, then load with download=True")
    aside = Path(tempfile.mkdtemp(dir=root, prefix=".download-"))
    try:
        download(aside)
        if not (aside / folder).is_dir():
            raise DataError("it left no files")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(aside / folder, target)
    except (OSError, RuntimeError) as error:  # URLError is an OSError
        raise DataError(f"download into {target} failed: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target
