import contextlib
import gzip

import numpy as np
import pytest

from privacy_for_free.data import idx
from privacy_for_free.data.files import md5


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
