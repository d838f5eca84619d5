"""Two sets of faces at 32 x 32 with the label female or male: CelebA and FairFace.

Both are decoded from image files, which takes up to minutes, and the arrays are then kept in one .npz beside
them. The cache's key holds the MD5 of the label files and the name, size and time of every image file, so
that it is never used for other images than it was made from.

Sources: Liu, Luo, Wang and Tang, ICCV 2015 (CelebA); Karkkainen and Joo, WACV 2021 (FairFace).
"""

import csv
import hashlib
import io
import os
from pathlib import Path

import numpy as np

from privacy_for_free.data.files import Content, DataError, cached, file_fault, md5
from privacy_for_free.data.torchvision_import import import_torchvision

CLASSES = ("female", "male")
SIZE = 32
CELEBA_REMEDY = (
    "CelebA allows no redistribution: get the aligned images and the lists from its authors (the CelebA page "
    "of the Multimedia Laboratory, The Chinese University of Hong Kong), laid out as torchvision's CelebA "
    "wants them, in DATA_ROOT/celeba"
)
FAIRFACE_REMEDY = (
    "get the images and fairface_label_{train,val}.csv from the FairFace authors (Karkkainen and Joo, WACV "
    "2021; their repository joojs/fairface) and put them in DATA_ROOT/fairface"
)


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
    except (OSError, SyntaxError, ValueError, EOFError) as error:
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
    # one thread: at 32 x 32 several are slower, as they wait for one another
    for number, path in enumerate(tqdm(paths, desc=title, unit="image", disable=None)):
        try:
            images[number] = _decode(path)
        except DataError as error:
            raise DataError(f"{error}; {remedy}") from error
    return images


def _listing_sha256(folders: list[Path]) -> str:
    """Return the SHA-256 of name, size and modification time of every file in the folders."""
    digest = hashlib.sha256()
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is missing")
        with os.scandir(folder) as entries:
            rows = sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in entries)
        digest.update(repr((folder.name, rows)).encode())
    return digest.hexdigest()


def _key(lists: list[Path], folders: list[Path], remedy: str) -> dict[str, str]:
    key = {"form": "centred square, bilinear, 3 x 32 x 32"}
    for path in lists:
        if not path.is_file():
            raise DataError(f"{path} is missing; {remedy}")
        key[path.name] = md5(path.read_bytes())
    try:
        return key | {"images": _listing_sha256(folders)}
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from error


def _celeba_arrays(root: Path) -> dict[str, np.ndarray]:
    folder = root / "celeba"
    CelebA = import_torchvision().datasets.CelebA
    try:
        listing = CelebA(str(root), split="all", target_type="attr")
    except RuntimeError as error:
        lists = [(file, expected) for _, expected, file in CelebA.file_list if file.endswith(".txt")]
        faults = (file_fault(folder / file, expected) for file, expected in lists)
        fault = next(filter(None, faults), str(error))
        raise DataError(f"dataset 'celeba': {fault}; {CELEBA_REMEDY}") from error
    male = listing.attr[:, listing.attr_names.index("Male")].numpy().astype(np.uint8)
    rows = (folder / "list_eval_partition.txt").read_text().split()
    split_of = dict(zip(rows[::2], rows[1::2], strict=True))
    arrays = {}
    for split, code in (("train", "0"), ("test", "2")):
        chosen = [i for i, file in enumerate(listing.filename) if split_of[file] == code]
        paths = [folder / "img_align_celeba" / listing.filename[i] for i in chosen]
        arrays[f"{split}_images"] = decode_all(paths, f"CelebA, {split}", CELEBA_REMEDY)
        arrays[f"{split}_labels"] = male[chosen]
    return arrays


def load_celeba(root: Path) -> Content:
    """Load CelebA, attribute Male, from torchvision's layout in root/celeba.

    The official training partition is the training set, the official test partition the test set; the
    validation partition is left out. The 178 x 218 images are cropped to their centred 178 x 178 and reduced
    to 32 x 32. The arrays are cached in root/celeba/celeba-32x32.npz. torchvision checks the MD5 of the
    lists; nobody publishes one of the single images.
    """
    folder = root / "celeba"
    lists = [folder / "list_attr_celeba.txt", folder / "list_eval_partition.txt"]
    key = _key(lists, [folder / "img_align_celeba"], CELEBA_REMEDY)
    arrays = cached(folder / "celeba-32x32.npz", key, lambda: _celeba_arrays(root))
    return Content(**arrays, classes=CLASSES)


def _fairface_rows(folder: Path, split: str) -> tuple[list[Path], np.ndarray]:
    path = folder / f"fairface_label_{split}.csv"
    paths, labels = [], []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"file", "gender"} <= set(reader.fieldnames or ()):
            raise DataError(
                f"{path} has the columns {reader.fieldnames}, not file and gender; {FAIRFACE_REMEDY}"
            )
        for row in reader:
            if row["gender"] not in ("Female", "Male"):
                raise DataError(
                    f"{path}, line {reader.line_num}: gender {row['gender']!r} is neither Female nor Male"
                )
            image = folder / row["file"]
            other = image.with_suffix(".png" if image.suffix == ".jpg" else ".jpg")
            paths.append(other if other.is_file() and not image.is_file() else image)
            labels.append(row["gender"] == "Male")
    return paths, np.array(labels, dtype=np.uint8)


def _fairface_arrays(folder: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for split, published in (("train", "train"), ("test", "val")):
        paths, arrays[f"{split}_labels"] = _fairface_rows(folder, published)
        arrays[f"{split}_images"] = decode_all(paths, f"FairFace, {split}", FAIRFACE_REMEDY)
    return arrays


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


def load_fairface(root: Path) -> Content:
    """Load FairFace, column gender, in the authors' layout, from root/fairface or from `root` itself.

    Images of any resolution are reduced to 32 x 32 and cached in fairface-32x32.npz beside the lists. Exact
    duplicates at 32 x 32 are then dropped (`without_duplicates`); the notes of the content count them. The
    authors' validation set is the test set.
    """
    name = "fairface_label_train.csv"
    folder = root / "fairface"
    if (root / name).is_file() and not (folder / name).is_file():
        folder = root
    lists = [folder / name, folder / "fairface_label_val.csv"]
    key = _key(lists, [folder / "train", folder / "val"], FAIRFACE_REMEDY)
    arrays = cached(folder / "fairface-32x32.npz", key, lambda: _fairface_arrays(folder))
    arrays, dropped, contradicting = without_duplicates(arrays)
    note = f"{dropped} exact duplicates removed, {contradicting} of them with another label than the first"
    return Content(**arrays, classes=CLASSES, notes=(note,))
