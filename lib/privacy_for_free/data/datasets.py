"""Load an image data set by name, from files that are checked before they are used."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from privacy_for_free.core import checkout
from privacy_for_free.core.entrance import own_state
from privacy_for_free.core.paths import given
from privacy_for_free.core.validate import whole
from privacy_for_free.data.celeba import load_celeba
from privacy_for_free.data.cifar import load_cifar10
from privacy_for_free.data.fairface import load_fairface
from privacy_for_free.data.files import ARRAYS, Content, DataError, arrays_sha256, check_content
from privacy_for_free.data.idx import load_idx
from privacy_for_free.data.mini import load_mini

NAMES = ("fashion_mnist_mini", "fashion_mnist", "mnist", "cifar10", "celeba", "fairface")
VARIABLE = "PRIVACY_FOR_FREE_DATA"
FOLDER = checkout.place("data", "data")  # where data sets are looked for when nothing else is said


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Images are float32, N x C x H x W, in [0, 1] unless `normalised`; labels are int64, N. `sha256` is the
    digest of the stored uint8 pixels and labels, the same by whatever route the files came and whether
    normalised or not. `mean` and `std` (float32, C) are those of the training images in [0, 1]. `notes` says
    what the loader changed.
    """

    name: str
    train_images: torch.Tensor = field(repr=False)
    train_labels: torch.Tensor = field(repr=False)
    test_images: torch.Tensor = field(repr=False)
    test_labels: torch.Tensor = field(repr=False)
    classes: tuple[str, ...]
    sha256: str
    normalised: bool
    mean: torch.Tensor
    std: torch.Tensor
    notes: tuple[str, ...] = ()

    def of_class(self, c: int) -> torch.Tensor:
        """Return the training images of class `c`, float32 n x C x H x W, in stored order.

        ValueError for a class there is not.
        """
        c = whole(f"class of {self.name}", c, 0, len(self.classes) - 1)
        return self.train_images[self.train_labels == c]


def check_name(name: str) -> str:
    """Return `name` when it is a known data set, else raise ValueError; the disk is not touched.

    >>> check_name("mnist")
    'mnist'
    >>> check_name("nonsense")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: dataset 'nonsense': known are fashion_mnist_mini, fashion_mnist, mnist, cifar10, ...
    """
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(f"dataset {name!r}: known are {', '.join(NAMES)}")
    return name


def _root(data_root: object) -> Path:
    """Return the folder to look in; ValueError for what is no path, DataError for what is a file."""
    if data_root is not None:
        called, root = "data_root", given("data_root", data_root)
    elif os.environ.get(VARIABLE):
        called, root = VARIABLE, given(VARIABLE, os.environ[VARIABLE])
    else:
        return FOLDER
    if root.is_file():
        raise DataError(f"{called} {str(root)!r} is a file: allowed is the folder that holds the data sets")
    return root


def _content(name: str, root: Path, download: bool) -> Content:
    match name:
        case "fashion_mnist_mini":
            return load_mini(root)
        case "fashion_mnist" | "mnist":
            return load_idx(name, root, download)
        case "cifar10":
            return load_cifar10(root, download)
        case "celeba":
            return load_celeba(root)
        case _:
            return load_fairface(root)


def _mean_and_std(images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of each channel of uint8 images in units of 255, from counts."""
    counts = np.zeros((images.shape[1], 256), dtype=np.int64)
    for start in range(0, len(images), 1024):  # bincount widens its input eightfold
        for channel, count in enumerate(counts):
            count += np.bincount(images[start : start + 1024, channel].reshape(-1), minlength=256)
    values, weights = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
    mean = weights @ values
    variance = (weights * (values - mean[:, None]) ** 2).sum(1)
    return torch.from_numpy(mean).float(), torch.from_numpy(variance**0.5).float()


@own_state()
def load(
    name: str = "fashion_mnist_mini",
    data_root: str | os.PathLike | None = None,
    *,
    normalise: bool = False,
    download: bool = False,
) -> Dataset:
    """Load a data set; every file is checked before use, and none is changed.

    `data_root` is the folder to look in (data/README.md lists the layouts); None stands for the environment
    variable PRIVACY_FOR_FREE_DATA or, without it, for the folder data/ of the checkout, or of the working
    directory where this package is installed without one. The embedded fashion_mnist_mini is found from
    everywhere. `normalise` subtracts the training images' mean and divides by their standard deviation, per
    channel. `download` lets torchvision fetch fashion_mnist, mnist or cifar10 into `data_root` when they are
    not there; it changes nothing for the others.

    Raises ValueError, naming what came and what is allowed, for an unknown name, for a data root that is no
    path, and for switches other than True and False. Raises DataError, naming the file and the remedy, when a
    file is missing, truncated or altered, when images and labels do not belong together, and when a package
    of the extra `data` is needed and not installed.

    Memory: four bytes per pixel value for the result and one for the stored pixels while loading (CelebA: 2.3
    GB and 0.6 GB).
    """
    check_name(name)
    for switch, value in (("normalise", normalise), ("download", download)):
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{switch} {value!r}: allowed are True and False")
    try:
        root = _root(data_root)
        content = check_content(_content(name, root, download), f"dataset {name!r} below {root}")
    except ModuleNotFoundError as error:
        raise DataError(
            f"dataset {name!r} needs the package {error.name}: pip install -e '.[data]' in a checkout"
        ) from error
    except OSError as error:
        raise DataError(f"dataset {name!r} cannot be read ({error})") from error
    mean, std = _mean_and_std(content.train_images)
    images = {}
    for split in ("train_images", "test_images"):
        images[split] = torch.from_numpy(getattr(content, split)).to(torch.float32).div_(255)
        if normalise:
            images[split].sub_(mean[:, None, None]).div_(std[:, None, None])
    return Dataset(
        name=name,
        **images,
        train_labels=torch.from_numpy(content.train_labels).long(),
        test_labels=torch.from_numpy(content.test_labels).long(),
        classes=content.classes,
        sha256=arrays_sha256({array: getattr(content, array) for array in ARRAYS}),
        normalised=normalise,
        mean=mean,
        std=std,
        notes=content.notes,
    )
