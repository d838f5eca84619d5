"""FairFace at 32 x 32 with the column gender, in the authors' layout.

Source: Karkkainen and Joo, FairFace, WACV 2021.
"""

import csv
import hashlib
from pathlib import Path

import numpy as np

from privacy_for_free.data import faces
from privacy_for_free.data.faults import Fault, data_error
from privacy_for_free.data.files import Content, DataError, cached

SPLITS = {"train": "train", "test": "val"}  # ours: the authors'
LISTS = tuple(f"fairface_label_{split}.csv" for split in SPLITS.values())
PACKED = ("fairface-img", "fairface.")  # how names of its archives begin
REMEDY = (
    "Get the images and fairface_label_{train,val}.csv from the FairFace authors (Karkkainen and Joo, WACV "
    "2021; their repository joojs/fairface) and put them in DATA_ROOT/fairface"
)


def _rows(path: Path, split: str) -> tuple[list[str], np.ndarray]:
    """Return the file name of each row of a label list, without its folder `split`, and the labels, uint8."""
    names, labels = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if header.count("file") != 1 or header.count("gender") != 1:
                raise DataError(f"{path} has the columns {header}, not file and gender. {REMEDY}")
            where, what = header.index("file"), header.index("gender")
            for row in filter(None, reader):
                line = f"{path}, line {reader.line_num}"
                if len(row) != len(header):
                    raise DataError(f"{line} has {len(row)} columns, not {len(header)}. {REMEDY}")
                if row[what] not in ("Female", "Male"):
                    raise DataError(f"{line}: gender {row[what]!r} is neither Female nor Male. {REMEDY}")
                folder, _, name = row[where].partition("/")
                if folder != split or not name.lower().endswith(faces.SUFFIXES) or "/" in name:
                    raise DataError(f"{line}: file {row[where]!r} is no image in {split}/. {REMEDY}")
                names.append(name)
                labels.append(row[what] == "Male")
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is truncated or altered ({error}). {REMEDY}") from error
    return names, np.array(labels, dtype=np.uint8)


def _stored_names(listed: list[str], images: set[str]) -> list[str]:
    """Return the names under which listed images are stored: .png where the list has .jpg, or the reverse."""

    def stored(name: str) -> str:
        stem, dot, suffix = name.rpartition(".")
        other = stem + dot + ("png" if suffix == "jpg" else "jpg")
        return other if name not in images and other in images else name

    return [stored(name) for name in listed]


def without_duplicates(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], int, int]:
    """Drop every image whose pixels occurred before, in the order training, then test.

    So no test image is a training image. Returns the arrays that stay, the number of images dropped, and how
    many of those bore another label than the image they repeat.
    """
    first_label: dict[bytes, int] = {}
    kept, dropped, contradicting = {}, 0, 0
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        stays = np.ones(len(labels), dtype=bool)
        for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            pixels = hashlib.sha256(np.ascontiguousarray(image)).digest()
            if pixels in first_label:
                stays[i] = False
                contradicting += first_label[pixels] != label
            else:
                first_label[pixels] = label
        dropped += int((~stays).sum())
        kept[f"{split}_images"], kept[f"{split}_labels"] = images[stays], labels[stays]
    return kept, dropped, contradicting


def _faults(root: Path, folder: Path) -> list[Fault]:
    """Say which of the lists and folders of images are missing, and what lies there instead."""
    lists = [
        faces.missing(folder / file, root, PACKED[1:], REMEDY)
        for file in LISTS
        if not (folder / file).is_file()
    ]
    splits = [split for split in SPLITS.values() if not (folder / split).is_dir()]
    return lists + [faces.missing(folder / split, root, PACKED, REMEDY, folder=True) for split in splits]


def load_fairface(root: Path) -> Content:
    """Load FairFace, column gender, in the authors' layout, from root/fairface or from `root` itself.

    Each image has one row in its label list, and each row an image; DataError with both counts otherwise.
    Images of any resolution are reduced to 32 x 32 and cached in fairface-32x32.npz beside the lists. Exact
    duplicates at 32 x 32 are then dropped (`without_duplicates`); the notes of the content count them. The
    authors' validation set is the test set.
    """
    folder = faces.own_folder(root, "fairface", LISTS)
    faults = _faults(root, folder)
    if faults:
        raise data_error("fairface", faults)
    listing, images = faces.listing([folder / split for split in SPLITS.values()])
    paths, labels = {}, {}
    for (split, published), file, stored in zip(SPLITS.items(), LISTS, images, strict=True):
        listed, labels[split] = _rows(folder / file, published)
        names, place = _stored_names(listed, stored), folder / published
        faults += faces.counted(names, folder / file, stored, place, root, PACKED, REMEDY)
        paths[split] = [place / name for name in names]
    if faults:
        raise data_error("fairface", faults)

    def build() -> dict[str, np.ndarray]:
        arrays = {f"{split}_labels": labels[split] for split in SPLITS}
        for split in SPLITS:
            arrays[f"{split}_images"] = faces.decode_all(paths[split], f"FairFace, {split}", REMEDY)
        return arrays

    key = faces.key([folder / file for file in LISTS], listing)
    arrays = cached(folder / "fairface-32x32.npz", key, build)
    arrays, dropped, contradicting = without_duplicates(arrays)
    note = f"{dropped} exact duplicates removed, {contradicting} of them with another label than the first"
    return Content(**arrays, classes=faces.CLASSES, notes=(note,))
