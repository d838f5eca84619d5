"""FashionMNIST and MNIST from their idx files, plain or gzipped, checked by the MD5 of the unzipped content.

The two sets use the same four file names. Directly in the data root the files may belong to either, and are
told apart by their MD5; a folder of the set's own name must hold that set.

Sources: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017; LeCun, Cortes and Burges, the MNIST database.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from privacy_for_free.data.faults import Fault, archives, data_error, near_miss, seems, unpack
from privacy_for_free.data.files import Content, DataError, download_into, md5
from privacy_for_free.data.torchvision_import import import_torchvision

FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
MD5 = {
    "fashion_mnist": {
        "train_images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train_labels": "9018921c3c673c538a1fc5bad174d6f9",
        "test_images": "8181f5470baa50b63fa0f6fddb340f0a",
        "test_labels": "15d484375f8d13e6eb1aabb0c3f46965",
    },
    "mnist": {
        "train_images": "6bbc9ace898e44ae57da46a324031adb",
        "train_labels": "a25bea736e30d166cdddb491f175f624",
        "test_images": "2646ac647ad5339dbf082846283269ea",
        "test_labels": "27ae3e4e09519cfbb04c329615203637",
    },
}
CLASSES = {
    "fashion_mnist": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    "mnist": tuple("0123456789"),
}
TITLES = {"fashion_mnist": "FashionMNIST", "mnist": "MNIST"}  # torchvision's names of class and folder
OWN_FOLDERS = {"fashion_mnist": "fashion-mnist", "mnist": "mnist"}
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
REMEDIES = {
    "fashion_mnist": "get it by `apt install dataset-fashion-mnist`, or load with download=True",
    "mnist": "get it by loading with download=True, or put MNIST's four idx files in DATA_ROOT/mnist",
}


def _folders(name: str, root: Path) -> list[Path]:
    folders = [root, root / OWN_FOLDERS[name], root / TITLES[name] / "raw"]
    if root.name == TITLES[name]:
        folders.append(root / "raw")
    return [*folders, DEBIAN_FOLDER] if name == "fashion_mnist" else folders


def _present(folder: Path, array: str) -> Path | None:
    for path in (folder / FILES[array], folder / f"{FILES[array]}.gz"):
        if path.is_file():
            return path
    return None


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def _get_again(name: str, folder: Path) -> str:
    """Return the way to the set where some of its files lie already, which keeps other places unread."""
    if folder == DEBIAN_FOLDER:
        return "Reinstall it by `apt install --reinstall dataset-fashion-mnist`"
    return f"Put the published file there, or move the set's files out of {folder} and {REMEDIES[name]}"


def _absent(name: str, folder: Path, array: str) -> Fault | None:
    """Say what lies where a file of a set is missing; None when it is nothing like it, or another set's."""
    others = {digests[array] for set_, digests in MD5.items() if set_ != name}
    near = near_miss(
        folder / FILES[array],
        also=[f"{FILES[array]}.gz"],
        fits=lambda path: md5(_unzipped(path)) not in others,
    )
    packed = archives([folder], FILES[array], {"fashion_mnist": "fashion", "mnist": "mnist"}[name])
    return near or unpack(folder / FILES[array], packed)


def _unzipped(path: Path) -> bytes:
    """Return the content of a file, unzipped where it is intact gzip, whatever its name."""
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if seems(data) == "gzip" else data
    except (OSError, EOFError, zlib.error):
        return data


def _shape(content: bytes, array: str) -> tuple[int, ...]:
    """Return the shape that an idx file of unsigned bytes states, checked against its length; ValueError."""
    dimensions = 3 if array.endswith("images") else 1
    start = 4 * (dimensions + 1)
    if len(content) < start:
        raise ValueError(f"{len(content)} bytes are too few for its header")
    if content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"no idx header of unsigned bytes in {dimensions} dimensions")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    if len(content) - start != math.prod(shape):
        stated = " x ".join(map(str, shape))
        raise ValueError(f"the header states {stated} bytes, there are {len(content) - start}")
    return shape


def _array(content: bytes, array: str) -> np.ndarray:
    shape = _shape(content, array)
    values = np.frombuffer(content, np.uint8, offset=len(content) - math.prod(shape)).copy()
    return values.reshape(shape[0], 1, *shape[1:]) if array.endswith("images") else values


def _fault(path: Path, name: str, array: str) -> Fault:
    """Say what is wrong with a file that is not the published one, and the remedy."""
    data = path.read_bytes()
    again = _get_again(name, path.parent)
    plain, zipped = FILES[array], f"{FILES[array]}.gz"
    kind = seems(data)
    if path.name == zipped and md5(data) == MD5[name][array]:
        return Fault(f"{path} is not gzip: it is the unzipped file", f"Rename it to {plain}")
    if path.name == plain and md5(_unzipped(path)) == MD5[name][array]:
        return Fault(f"{path} is gzip, though its name does not end in .gz", f"Rename it to {zipped}")
    if kind and (kind != "gzip" or path.name == plain):
        return Fault(f"{path} is truncated or altered: it is {kind}, not the file of that name", again)
    try:
        content = _read(path)
    except (OSError, EOFError, zlib.error) as error:
        return Fault(f"{path} is truncated or altered ({error})", again)
    digest = md5(content)
    other = [TITLES[set_] for set_ in MD5 if set_ != name and MD5[set_][array] == digest]
    if other:
        return Fault(f"{path} is {other[0]}'s file of that name", again)
    try:
        _shape(content, array)
    except ValueError as error:
        return Fault(f"{path} is truncated or altered: {error}", again)
    return Fault(f"{path} is altered: md5 {digest} unzipped instead of {MD5[name][array]}", again)


def read_folder(name: str, folder: Path, *, shared: bool = False) -> dict[str, np.ndarray] | None:
    """Return the four arrays of a folder, images uint8 N x 1 x H x W and labels uint8 N.

    None when the folder holds none of the files. With `shared`, where either set may lie, also None when some
    files are the other set's and none is this one's. DataError naming every file at fault otherwise.
    """
    paths = {array: _present(folder, array) for array in FILES}
    if not any(paths.values()):
        return None
    arrays, faults, foreign = {}, [], 0
    for array, path in paths.items():
        if path is None:
            missing = Fault(f"{folder / FILES[array]} (or .gz) is missing", _get_again(name, folder))
            faults.append(_absent(name, folder, array) or missing)
            continue
        try:
            content = _read(path)
        except (OSError, EOFError, zlib.error):
            content = b""
        digest = md5(content)
        if digest == MD5[name][array]:
            arrays[array] = _array(content, array)
        else:
            foreign += any(MD5[set_][array] == digest for set_ in MD5 if set_ != name)
            faults.append(_fault(path, name, array))
    if not faults:
        return arrays
    if shared and foreign and not arrays:
        return None
    raise data_error(name, faults)


def _nowhere(name: str, root: Path, folders: list[Path]) -> DataError:
    """Return the error of a set of which no place has a file: what lies there instead, or the way to it."""
    near = {
        fault: None
        for folder in folders
        for array in FILES
        if (fault := _absent(name, folder, array)) is not None
    }
    if near:
        return data_error(name, near)
    looked = ", ".join(map(str, folders))
    if any(_present(root, array) for array in FILES):
        looked += f" ({root} holds another set's files of the same names)"
    elif not root.is_dir():
        looked += f" (there is no folder {root})"
    what = f"{FILES['train_images']}[.gz] and its three companions are in none of {looked}"
    return data_error(name, [Fault(what, f"G{REMEDIES[name][1:]}")])


def load_idx(name: str, root: Path, download: bool) -> Content:
    """Load "fashion_mnist" or "mnist" from the first place that holds its files.

    Looked through in this order: `root`; root/fashion-mnist or root/mnist; torchvision's
    root/FashionMNIST/raw or root/MNIST/raw (root/raw where `root` is that FashionMNIST or MNIST); for
    FashionMNIST Debian's folder. Files at fault in one place raise DataError; later places are then not
    tried. Where no place has any file, `download` has torchvision fetch them into `root`.
    """
    folders = _folders(name, root)
    for folder in folders:
        arrays = read_folder(name, folder, shared=folder == root)
        if arrays is not None:
            return Content(**arrays, classes=CLASSES[name])
    if not download:
        raise _nowhere(name, root, folders)
    torchvision_set = getattr(import_torchvision().datasets, TITLES[name])
    raw = f"{TITLES[name]}/raw"

    def fetch(aside: Path) -> None:
        torchvision_set(str(aside), download=True)
        read_folder(name, aside / raw)  # raises where the files are not the published ones

    arrays = read_folder(name, download_into(root, raw, fetch))
    if arrays is None:
        raise DataError(f"dataset {name!r}: the download left no idx file in {root / raw}")
    return Content(**arrays, classes=CLASSES[name])
