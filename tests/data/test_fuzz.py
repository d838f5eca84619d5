"""Damaged files, 500 of each kind: the right data or one clear error, and nothing changes on disk.

Where a checksum is known, data that load are the right ones. The label lists of FairFace have none: what
loads has one allowed label for each image, and with a cache beside them any change is found.
"""

import warnings

import numpy as np
import pytest
import torch
from tests.damage import damaged, kind_of

from privacy_for_free.data import DataError, files, load, mini
from privacy_for_free.data.image_text import read_image, write_image

SEEDS = range(500)


@pytest.fixture
def survive(untouched):
    """Damage a file in 500 ways: returns the kinds that loaded, and checks each error and the folder.

    read    loads the data; returns what `right` judges
    new     a file that loading may leave, which is removed again
    named   what each error names: the path, if nothing else is said
    """

    def check(path, read, right, new=None, named=None):
        content, loaded, messages = path.read_bytes(), [], []
        for seed in SEEDS:
            path.write_bytes(damaged(content, seed))
            with untouched(path.parent), warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    data = read()
                except DataError as error:
                    messages.append(str(error))
                else:
                    assert right(data), (seed, kind_of(seed))
                    loaded.append(kind_of(seed))
                if new is not None:
                    new.unlink(missing_ok=True)
        path.write_bytes(content)
        assert all(str(named or path) in message for message in messages)
        return loaded

    return check


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("zipped", [False, True])
def test_k10_damaged_idx_files(idx_files, tmp_path, survive, file, zipped):
    idx_files("mnist", tmp_path, zipped=zipped)
    right = load("mnist", tmp_path).sha256
    path = tmp_path / (file + ".gz" * zipped)
    loaded = survive(path, lambda: load("mnist", tmp_path).sha256, lambda found: found == right)
    assert bool(loaded) == zipped  # the time stamp in gzip's header does not matter, nor do zeros behind it


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
def test_damaged_cifar_batches(batches, tmp_path, survive, file):
    path = tmp_path / "cifar-10-batches-py" / file
    assert not survive(path, lambda: load("cifar10", tmp_path), lambda data: False)


@pytest.mark.parametrize("file", ["list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"])
def test_damaged_celeba_lists(celeba, tmp_path, survive, file):
    assert not survive(celeba / file, lambda: load("celeba", tmp_path), lambda data: False)


def _faces(fairface):
    random = np.random.default_rng(0)
    rows = {
        split: [
            (random.integers(0, 256, (32, 32, 3), dtype=np.uint8), ("Female", "Male")[i % 2])
            for i in range(n)
        ]
        for split, n in (("train", 6), ("val", 2))
    }
    return fairface(rows)


def test_k8_damaged_fairface_lists(fairface, tmp_path, survive):
    folder = _faces(fairface)
    path = folder / "fairface_label_train.csv"

    def right(data):
        labels = data.train_labels.tolist()
        return len(data.train_images) == len(labels) == 6 and set(labels) <= {0, 1}

    loaded = survive(path, lambda: load("fairface", tmp_path), right, new=folder / "fairface-32x32.npz")
    assert 0 < len(loaded) < 150  # ages, races, the order of rows, quotes and line ends


def test_k8_with_a_cache_no_change_of_a_fairface_list_passes(fairface, tmp_path, survive):
    path = _faces(fairface) / "fairface_label_val.csv"
    load("fairface", tmp_path)
    assert not survive(path, lambda: load("fairface", tmp_path), lambda data: False, named=path.name)


def test_damaged_images_of_fairface(fairface, tmp_path, survive):
    folder = _faces(fairface)
    right = load("fairface", tmp_path).sha256
    cache = folder / "fairface-32x32.npz"
    cache.unlink()
    loaded = survive(
        folder / "train" / "1.png",
        lambda: load("fairface", tmp_path).sha256,
        lambda data: data == right,
        cache,
    )
    assert set(loaded) <= {"appended", "cut"}  # what follows the pixels


def test_damaged_jpeg_images(fairface, tmp_path, survive, image_module):
    """JPEG has no checksum: another picture of the one image may load, and nothing but that."""
    folder = _faces(fairface)
    place = folder / "train" / "1.png"
    image_module.open(place).save(place.with_suffix(".jpg"))
    place.unlink()
    right = load("fairface", tmp_path)
    cache = folder / "fairface-32x32.npz"
    cache.unlink()
    survive(
        place.with_suffix(".jpg"),
        lambda: load("fairface", tmp_path),
        lambda data: data.train_images[1:].equal(right.train_images[1:]) and len(data.train_images) == 6,
        cache,
    )


def test_damaged_caches(fairface, tmp_path, survive):
    folder = _faces(fairface)
    right = load("fairface", tmp_path).sha256
    cache = folder / "fairface-32x32.npz"
    loaded = survive(cache, lambda: load("fairface", tmp_path).sha256, lambda found: found == right)
    assert len(loaded) < 200


@pytest.mark.parametrize("compress", [True, False])
def test_damaged_embedded_files(tmp_path, monkeypatch, survive, compress):
    random = np.random.default_rng(0)
    arrays = {
        "train_images": random.integers(0, 256, (20, 5, 5), dtype=np.uint8),
        "train_labels": np.arange(20, dtype=np.uint8) % 10,
        "test_images": random.integers(0, 256, (10, 5, 5), dtype=np.uint8),
        "test_labels": np.arange(10, dtype=np.uint8),
    }
    path = tmp_path / mini.FILE
    files.write_npz(path, arrays, compress=compress)
    shaped = arrays | {name: arrays[name][:, None] for name in ("train_images", "test_images")}
    right = files.arrays_sha256(shaped)
    monkeypatch.setattr(mini, "SHA256", right)
    loaded = survive(path, lambda: load(data_root=tmp_path).sha256, lambda found: found == right)
    assert len(loaded) < 200


@pytest.mark.parametrize("key", ['[["images", "same"]]', "[]", "null", '"text"', "3", "{", '{"images": 3}'])
def test_caches_whose_key_is_of_another_form(tmp_path, key):
    arrays = {name: np.ones((2, 1, 2, 2), np.uint8) for name in files.ARRAYS}
    about = {"sha256": np.array(files.arrays_sha256(arrays)), "key": np.array(key)}
    path = tmp_path / "cache.npz"
    files.write_npz(path, arrays | about, compress=False)
    with pytest.raises(DataError, match="delete this cache and load again") as error:
        files.cached(path, {"images": "other"}, lambda: pytest.fail("built"))
    assert str(path) in str(error.value)


def test_damaged_texts_of_images():
    image = torch.linspace(0, 1, 16).reshape(1, 4, 4)
    shape, text = write_image(image)
    messages = []
    for seed in SEEDS:
        try:
            found = read_image(shape, damaged(text.encode(), seed).decode("latin-1"))
        except ValueError as error:
            messages.append(str(error))
        else:
            assert (found - image).abs().max() <= 0.5 / 255 + 1e-6
    assert len(messages) > 400
    assert all(message.startswith("image of shape '1 4 4': its text is damaged") for message in messages)
