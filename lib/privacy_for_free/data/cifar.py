"""CIFAR-10 through torchvision, which checks the MD5 of every batch before it unpickles one.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from pathlib import Path

import numpy as np

from privacy_for_free.data.files import Content, DataError, download_into, file_fault
from privacy_for_free.data.torchvision_import import import_torchvision

FOLDER = "cifar-10-batches-py"
REMEDY = f"get it by loading with download=True, or unpack CIFAR-10's Python version into DATA_ROOT/{FOLDER}"


def load_cifar10(root: Path, download: bool) -> Content:
    """Load root/cifar-10-batches-py; images uint8 N x 3 x 32 x 32.

    With `download` torchvision fetches the folder where it is not there. Raises DataError naming the first
    file that is missing or altered; nothing is unpickled then.
    """
    CIFAR10 = import_torchvision().datasets.CIFAR10
    if download and not (root / FOLDER).exists():
        download_into(root, FOLDER, lambda aside: CIFAR10(str(aside), download=True))
    try:
        train, test = CIFAR10(str(root), train=True), CIFAR10(str(root), train=False)
    except RuntimeError as error:
        checked = [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
        faults = (file_fault(root / FOLDER / file, expected) for file, expected in checked)
        fault = next(filter(None, faults), str(error))
        raise DataError(f"dataset 'cifar10': {fault}. Move it away and {REMEDY}") from error
    arrays = {}
    for split, part in (("train", train), ("test", test)):
        arrays[f"{split}_images"] = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))
        arrays[f"{split}_labels"] = np.array(part.targets, dtype=np.uint8)
    return Content(**arrays, classes=tuple(train.classes))
