"""CelebA at 32 x 32 with the attribute Male, from torchvision's layout.

Source: Liu, Luo, Wang and Tang, Deep Learning Face Attributes in the Wild, ICCV 2015.
"""

from pathlib import Path

import numpy as np

from privacy_for_free.data import faces
from privacy_for_free.data.faults import Fault, archives, data_error
from privacy_for_free.data.files import Content, cached, file_fault
from privacy_for_free.data.torchvision_import import import_torchvision

LISTS = ("list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt")
IMAGES = "img_align_celeba"
PACKED = (f"{IMAGES}.zip", f"{IMAGES}.7z", "celeba.", "celeba-dataset")  # how names of its archives begin
NOT_ALIGNED = ("img_celeba", f"{IMAGES}_png")  # other forms of the images
REMEDY = (
    "CelebA allows no redistribution: get the aligned images and the lists from its authors (the CelebA page "
    "of the Multimedia Laboratory, The Chinese University of Hong Kong), laid out as torchvision's CelebA "
    "wants them, in DATA_ROOT/celeba"
)


def _list_fault(root: Path, path: Path, expected_md5: str) -> Fault | None:
    what = file_fault(path, expected_md5)
    if what is None:
        return None
    if path.is_file():
        return Fault(what, f"Replace it by the published list. {REMEDY}")
    other = path.with_suffix(".csv")
    if other.is_file():
        return Fault(f"{what}: {other}, which is there, is not in the published form", REMEDY)
    return faces.missing(path, root, ("celeba.", "celeba-dataset"), REMEDY)


def _images_fault(root: Path, place: Path) -> Fault | None:
    if not place.is_dir():
        fault = faces.missing(place, root, PACKED, REMEDY, folder=True)
        other = next(iter(archives((root, place.parent), *NOT_ALIGNED)), None)
        if other is not None and fault.remedy == REMEDY:
            return Fault(f"{fault.what}: {other}, which is there, is not {IMAGES}.zip", REMEDY)
        return fault
    if (place / IMAGES).is_dir():
        what = f"{place} holds a folder {IMAGES}, in which the images are"
        return Fault(what, f"Move {place / IMAGES} to {place.parent}, in place of the outer folder")
    return None


def _faults(root: Path, folder: Path) -> list[Fault]:
    """Check the lists by the MD5s that torchvision has, and that the folder of images is there."""
    lists = [each for each in import_torchvision().datasets.CelebA.file_list if each[2].endswith(".txt")]
    found = [_list_fault(root, folder / file, expected) for _, expected, file in lists]
    return [fault for fault in (*found, _images_fault(root, folder / IMAGES)) if fault is not None]


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the columns of a list (none without a header) and its rows; DataError for a wrong count."""
    lines = list(filter(str.strip, path.read_text().splitlines()))
    columns = lines[1].split() if len(lines) > 1 and lines[0].strip().isdigit() else []
    rows = [line.split() for line in lines[2 if columns else 0 :]]
    if columns and len(rows) != int(lines[0]):
        what = f"{path} has {len(rows)} rows, its first line states {int(lines[0])}"
        raise data_error("celeba", [Fault(what, REMEDY)])
    return columns, rows


def _rows(folder: Path) -> tuple[list[str], dict[str, np.ndarray], np.ndarray]:
    """Return the names of the images, which of them are of each split (bool N), and their labels, uint8 N."""
    paths = [folder / file for file in LISTS]
    (columns, attributes), (_, partition), (_, identities) = map(_table, paths)
    try:
        male = {row[0]: {"1": 1, "-1": 0}[row[1 + columns.index("Male")]] for row in attributes}
        parts = {name: {"0": "train", "1": "", "2": "test"}[part] for name, part in partition}
        same = male.keys() == parts.keys() == {name for name, _ in identities}
    except (IndexError, KeyError, ValueError) as error:
        what = f"{folder}: a row of a list has another form than the published ones ({error})"
        raise data_error("celeba", [Fault(what, REMEDY)]) from error
    counts = [len(attributes), len(partition), len(identities)]
    if not same or set(counts) != {len(parts)}:
        told = ", ".join(f"{path.name} {count} rows" for path, count in zip(paths, counts, strict=True))
        raise data_error("celeba", [Fault(f"{folder}: {told}, not of the same images", REMEDY)])
    chosen = {split: np.array([part == split for part in parts.values()]) for split in ("train", "test")}
    return list(parts), chosen, np.array([male[name] for name in parts], dtype=np.uint8)


def load_celeba(root: Path) -> Content:
    """Load CelebA, attribute Male, from torchvision's layout in root/celeba, or from `root` itself.

    The official training partition is the training set, the official test partition the test set; the
    validation partition is left out. The 178 x 218 images are cropped to their centred 178 x 178 and reduced
    to 32 x 32. The arrays are cached in celeba-32x32.npz beside the lists. The lists are checked by the MD5s
    that torchvision has; nobody publishes one of the single images, which are counted against the lists.
    """
    folder = faces.own_folder(root, "celeba", LISTS)
    faults = _faults(root, folder)
    if faults:
        raise data_error("celeba", faults)
    names, chosen, male = _rows(folder)
    place = folder / IMAGES
    listing, (images,) = faces.listing([place])
    faults = faces.counted(names, folder / LISTS[1], images, place, root, PACKED, REMEDY)
    if faults:
        raise data_error("celeba", faults)

    def build() -> dict[str, np.ndarray]:
        arrays = {}
        for split, here in chosen.items():
            paths = [place / names[i] for i in np.flatnonzero(here)]
            arrays[f"{split}_images"] = faces.decode_all(paths, f"CelebA, {split}", REMEDY)
            arrays[f"{split}_labels"] = male[here]
        return arrays

    key = faces.key([folder / file for file in LISTS[:2]], listing)
    return Content(**cached(folder / "celeba-32x32.npz", key, build), classes=faces.CLASSES)
