"""CIFAR-10 through torchvision, which checks the MD5 of every batch before it unpickles one.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from pathlib import Path

import numpy as np

from privacy_for_free.data.faults import Fault, archives, data_error, entries, near_miss, unpack
from privacy_for_free.data.files import Content, check_labels, download_into, file_fault
from privacy_for_free.data.torchvision_import import import_torchvision

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
GET = f"Get it by loading with download=True, or unpack CIFAR-10's Python version ({ARCHIVE}) into DATA_ROOT"
OTHERS = {  # how the names of other versions begin, or end
    "cifar-10-batches-bin": "the binary version of CIFAR-10",
    "cifar-10-binary": "the binary version of CIFAR-10",
    "data_batch_1.bin": "the binary version of CIFAR-10",
    "cifar-10-batches-mat": "the Matlab version of CIFAR-10",
    "cifar-10-matlab": "the Matlab version of CIFAR-10",
    "data_batch_1.mat": "the Matlab version of CIFAR-10",
    "cifar-100": "CIFAR-100",
}


def _folder(root: Path, files: list[str]) -> Path:
    """Return root/cifar-10-batches-py, or `root` where that holds the batches itself."""
    itself = not (root / FOLDER).exists() and any((root / file).is_file() for file in files)
    return root if itself else root / FOLDER


def _absence(root: Path) -> Fault:
    """Say what lies below `root` when none of the files is where it belongs."""
    folder = root / FOLDER
    packed = unpack(folder, archives((root, folder), "cifar-10-python", FOLDER))
    nested = [path.parent for path in root.glob(f"*/{FOLDER}/data_batch_1")]
    near = packed or (None if folder.is_dir() else near_miss(folder, folder=True))
    if nested:
        near = Fault(
            f"{folder}/data_batch_1 is missing: {nested[0]} is there",
            f"Name {nested[0].parent} as the data root",
        )
    if near:
        return near
    missing = f"{folder / 'data_batch_1'} is missing"
    for path in (*entries(root), *entries(folder)):
        other = next((kind for start, kind in OTHERS.items() if path.name.lower().startswith(start)), None)
        if other:
            return Fault(
                f"{missing}: {path} is {other}", f"The Python version of CIFAR-10 is needed. {_get(folder)}"
            )
    if not root.is_dir():
        missing += f", as there is no folder {root}"
    return Fault(missing, _get(folder))


def _get(folder: Path) -> str:
    """Return the way to the set: what is there under its name keeps a download away."""
    return f"Remove {folder}. {GET}" if folder.exists() else GET


def _faults(root: Path, folder: Path, checked: list[tuple[str, str]]) -> list[Fault]:
    """Return every fault of the files, of which (name, MD5) are given."""
    if not any((folder / file).is_file() for file, _ in checked):
        return [_absence(root)]
    packed = archives((root, folder, folder.parent), "cifar-10-python")
    source = f"{packed[0]}, which is there," if packed else f"CIFAR-10's Python version ({ARCHIVE})"
    again = f"Unpack {source} again, or load with download=True from a DATA_ROOT without {folder.name}"
    faults = []
    for file, expected in checked:
        what = file_fault(folder / file, expected)
        if what is not None:
            lies = None if (folder / file).is_file() else near_miss(folder / file)
            faults.append(lies or Fault(what, again))
    return faults


def load_cifar10(root: Path, download: bool) -> Content:
    """Load root/cifar-10-batches-py, or `root` if it is that folder; images uint8 N x 3 x 32 x 32.

    With `download` torchvision fetches the folder where it is not there. Raises DataError naming every file
    that is missing or altered; nothing is unpickled then.
    """
    CIFAR10 = import_torchvision().datasets.CIFAR10
    checked = [
        *map(tuple, CIFAR10.train_list + CIFAR10.test_list),
        (CIFAR10.meta["filename"], CIFAR10.meta["md5"]),
    ]
    folder = _folder(root, [file for file, _ in checked])
    if download and not folder.exists():
        download_into(root, FOLDER, lambda aside: CIFAR10(str(aside), download=True))
    faults = _faults(root, folder, checked)
    if faults:
        raise data_error("cifar10", faults)
    here = type("CIFAR10", (CIFAR10,), {"base_folder": ""})  # whatever the folder is called
    try:
        train, test = here(str(folder), train=True), here(str(folder), train=False)
    except RuntimeError as error:  # changed meanwhile
        raise data_error("cifar10", [Fault(f"{folder}: {error}", "Load again")]) from error
    arrays, classes = {}, tuple(train.classes)
    for split, part in (("train", train), ("test", test)):
        arrays[f"{split}_images"] = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))
        arrays[f"{split}_labels"] = check_labels(np.array(part.targets), classes, f"{folder}, {split}_labels")
    return Content(**arrays, classes=classes)
