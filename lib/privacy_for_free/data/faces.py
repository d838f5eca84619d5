"""What the two sets of faces share: CelebA and FairFace at 32 x 32, with the label female or male.

Both are decoded from image files, which takes up to minutes, and the arrays are then kept in one .npz beside
them. The cache's key holds the MD5 of the label files and the name, size and time of every image file, so
that it is never used for other images than it was made from. Images and rows of a label list are counted
against each other before either is used.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from privacy_for_free.data.faults import Fault, archives, entries, near_miss, not_belonging, unpack
from privacy_for_free.data.files import DataError, md5

CLASSES = ("female", "male")
SIZE = 32
SUFFIXES = (".jpg", ".jpeg", ".png")  # of the files that count as images


def _decode(path: Path) -> np.ndarray:
    """Return the centred square of an image as uint8 3 x 32 x 32, by PIL's antialiased bilinear filter."""
    from PIL import Image

    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.verify()  # a PNG's checksums, which plain decoding skips
        with Image.open(io.BytesIO(data)) as image:
            picture = image.convert("RGB")
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except PermissionError:
        raise
    except Exception as error:  # Pillow's readers let a dozen kinds through
        raise DataError(f"{path} is truncated or altered ({error})") from error
    if picture.size != (SIZE, SIZE):
        width, height = picture.size
        side = min(picture.size)
        left, top = (width - side) // 2, (height - side) // 2
        square = picture.crop((left, top, left + side, top + side))
        picture = square.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(picture).transpose(2, 0, 1)


def decode_all(paths: list[Path], title: str, remedy: str) -> np.ndarray:
    """Decode image files to uint8 N x 3 x 32 x 32, in order, with a progress bar on a terminal.

    Raises DataError, ending in `remedy`, for the first file that is missing or cannot be decoded.
    """
    from tqdm import tqdm

    images = np.empty((len(paths), 3, SIZE, SIZE), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of comments, profiles and palettes
        warnings.filterwarnings("error", ".*decompression bomb")
        # one thread: at 32 x 32 several are slower, as they wait for one another
        for number, path in enumerate(tqdm(paths, desc=title, unit="image", disable=None)):
            try:
                images[number] = _decode(path)
            except DataError as error:
                raise DataError(f"{error}. {remedy}") from error
    return images


def listing(folders: list[Path]) -> tuple[str, list[set[str]]]:
    """Return the SHA-256 of name, size and time of every file in the folders, and each one's image files."""
    digest, images = hashlib.sha256(), []
    for folder in folders:
        with os.scandir(folder) as found:
            rows = sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in found)
        digest.update(repr((folder.name, rows)).encode())
        images.append({name for name, _, _ in rows if name.lower().endswith(SUFFIXES)})
    return digest.hexdigest(), images


def key(lists: Iterable[Path], listing_sha256: str) -> dict[str, str]:
    """Return the key of a cache: the form of its images, the MD5 of each list, the listing of the folders."""
    form = {"form": "centred square, bilinear, 3 x 32 x 32"}
    return form | {path.name: md5(path.read_bytes()) for path in lists} | {"images": listing_sha256}


def own_folder(root: Path, name: str, lists: tuple[str, ...]) -> Path:
    """Return root/name, or `root` where that holds the lists itself and root/name does not."""
    there = [folder for folder in (root / name, root) if any((folder / each).is_file() for each in lists)]
    return there[0] if there else root / name


def _waiting(path: Path, root: Path, beginnings: Iterable[str]) -> list[Path]:
    """Return the archives in `root`, in the place of `path` and one folder deeper, named like one given."""
    return archives([root, path.parent, *filter(Path.is_dir, entries(path.parent))], *beginnings)


def missing(path: Path, root: Path, beginnings: Iterable[str], remedy: str, *, folder: bool = False) -> Fault:
    """Return the fault of a file (or `folder`) that is missing: what lies there instead, else `remedy`.

    An archive whose name begins like one of `beginnings` is looked for in `root`, in the place of `path` and
    one folder deeper.
    """
    fault = near_miss(path, folder=folder) or unpack(path, _waiting(path, root, beginnings))
    absent = path if path.parent.is_dir() else path.parent
    return fault or Fault(f"{absent} is missing", remedy)


def counted(
    listed: list[str],
    path: Path,
    images: set[str],
    folder: Path,
    root: Path,
    beginnings: Iterable[str],
    remedy: str,
) -> list[Fault]:
    """Return the fault of a list and a folder that do not belong together, if they do not.

    Where the folder holds no image and an archive waits as in `missing`, that is the remedy.
    """
    what = not_belonging(listed, path, images, folder)
    if what is None:
        return []
    waiting = [] if images else _waiting(folder, root, beginnings)
    return [Fault(what, f"Unpack {waiting[0]}, which is there" if waiting else remedy)]
