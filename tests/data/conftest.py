import contextlib
import csv
import gzip
import pickle

import numpy as np
import pytest

from privacy_for_free.data import idx
from privacy_for_free.data.files import md5

BATCHES = ("data_batch_1", "data_batch_2", "test_batch")
PARTITION = [0, 0, 1, 2, 0, 2]
MALE = [1, -1, 1, -1, -1, 1]


@pytest.fixture(autouse=True)
def no_default_data_root(monkeypatch):
    """Tests name their data root; the caller's environment must not supply one."""
    monkeypatch.delenv("PRIVACY_FOR_FREE_DATA", raising=False)


@pytest.fixture
def torchvision_datasets():
    try:
        from privacy_for_free.data.torchvision_import import import_torchvision

        return import_torchvision().datasets
    except ModuleNotFoundError as error:
        pytest.skip(f"needs the package {error.name}: pip install -e '.[data]'")


def _listing(folder):
    return {
        path.relative_to(folder): (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


@pytest.fixture
def untouched():
    """A context that fails when any file or folder under the given folder changes, appears or goes."""

    @contextlib.contextmanager
    def watch(folder):
        before = _listing(folder)
        yield
        assert _listing(folder) == before

    return watch


@pytest.fixture
def flip_byte():
    """Invert one byte of a file, by default the middle one."""

    def flip(path, position=None):
        data = bytearray(path.read_bytes())
        data[len(data) // 2 if position is None else position] ^= 0xFF
        path.write_bytes(data)

    return flip


@pytest.fixture
def idx_files(monkeypatch, tmp_path):
    """Small stand-ins for FashionMNIST and MNIST whose MD5s the loader is told, and no Debian folder.

    Called with a set's name and a folder, writes its four files there and returns the arrays in them.
    """
    sets = {}
    for seed, name in enumerate(("fashion_mnist", "mnist")):
        random = np.random.default_rng(seed)
        sets[name] = {
            "train_images": random.integers(0, 256, (20, 28, 28), dtype=np.uint8),
            "train_labels": np.arange(seed, 20 + seed, dtype=np.uint8) % 10,
            "test_images": random.integers(0, 256, (10, 28, 28), dtype=np.uint8),
            "test_labels": np.arange(seed, 10 + seed, dtype=np.uint8) % 10,
        }

    def content(array):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        return header + array.tobytes()

    for name, arrays in sets.items():
        monkeypatch.setitem(idx.MD5, name, {key: md5(content(array)) for key, array in arrays.items()})
    monkeypatch.setattr(idx, "DEBIAN_FOLDER", tmp_path / "no-debian-folder")

    def write(name, folder, *, zipped=False):
        folder.mkdir(parents=True, exist_ok=True)
        for key, array in sets[name].items():
            data = content(array)
            path = folder / (idx.FILES[key] + ".gz" * zipped)
            path.write_bytes(gzip.compress(data) if zipped else data)
        return sets[name]

    return write


@pytest.fixture
def batches(tmp_path, monkeypatch, torchvision_datasets):
    """Two training batches and a test batch of 10 images each, MD5s that torchvision is told; the pixels."""
    CIFAR10 = torchvision_datasets.CIFAR10
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    pixels = {}
    for seed, name in enumerate(BATCHES):
        pixels[name] = np.random.default_rng(seed).integers(0, 256, (10, 3072), dtype=np.uint8)
        entry = {"data": pixels[name], "labels": [(seed + i) % 10 for i in range(10)]}
        (folder / name).write_bytes(pickle.dumps(entry))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    checked = {path.name: md5(path.read_bytes()) for path in folder.iterdir()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, checked[name]] for name in BATCHES[:2]])
    monkeypatch.setattr(CIFAR10, "test_list", [[BATCHES[2], checked[BATCHES[2]]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": checked["batches.meta"]})
    return pixels


@pytest.fixture
def image_module():
    return pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e '.[data]'")


@pytest.fixture
def celeba(tmp_path, monkeypatch, torchvision_datasets, image_module):
    """Six images and the lists in torchvision's layout, with MD5s that torchvision is told; the folder."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i + 1:06}.jpg" for i in range(6)]
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (218, 178, 3), dtype=np.uint8)
        picture = image_module.fromarray(pixels)
        picture.save(folder / "img_align_celeba" / name, format="PNG")  # lossless under the usual name
    columns = {
        "list_attr_celeba.txt": ("6\nAttractive Male Young \n", [(1, male, -1) for male in MALE]),
        "list_eval_partition.txt": ("", [(part,) for part in PARTITION]),
        "identity_CelebA.txt": ("", [(i,) for i in range(6)]),
        "list_bbox_celeba.txt": ("6\nimage_id x_1 y_1 width height\n", [(0, 0, 9, 9)] * 6),
        "list_landmarks_align_celeba.txt": ("6\na b\n", [(1, 2)] * 6),
    }
    for file, (header, rows) in columns.items():
        lines = [" ".join([name, *(f"{v:2}" for v in row)]) for name, row in zip(names, rows, strict=True)]
        (folder / file).write_text(header + "\n".join(lines) + "\n")
    checked = [("", md5((folder / file).read_bytes()), file) for file in columns]
    monkeypatch.setattr(
        torchvision_datasets.CelebA, "file_list", [("", "", "img_align_celeba.zip"), *checked]
    )
    return folder


@pytest.fixture
def fairface(tmp_path, image_module):
    """Write a FairFace folder from {split: [(pixels, gender)]}; returns its path."""

    def write(rows, folder=tmp_path / "fairface", suffix=".png", listed=None, columns=("age", "race")):
        for split, images in rows.items():
            (folder / split).mkdir(parents=True)
            with (folder / f"fairface_label_{split}.csv").open("w", newline="") as file:
                table = csv.writer(file)
                table.writerow(["file", *columns, "gender", "service_test"])
                for number, (pixels, gender) in enumerate(images, start=1):
                    image_module.fromarray(pixels).save(folder / split / f"{number}{suffix}")
                    row = [f"{split}/{number}{listed or suffix}", *columns, gender, "True"]
                    table.writerow(row)
        return folder

    return write
