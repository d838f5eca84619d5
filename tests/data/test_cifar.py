import pickle

import numpy as np
import pytest
import torch

from privacy_for_free.data import DataError, load
from privacy_for_free.data.files import md5

BATCHES = ("data_batch_1", "data_batch_2", "test_batch")
FULL_SHA256 = "2cf62934a1a91829ccb3d18498240868a7968ab72827cc05ca783f9f9636bd26"


def test_pixels_and_labels(batches, tmp_path):
    data = load("cifar10", tmp_path)
    train = np.concatenate([batches[name] for name in BATCHES[:2]]).reshape(-1, 3, 32, 32)
    assert torch.equal(data.train_images, torch.tensor(train).float() / 255)
    assert torch.equal(
        data.test_images, torch.tensor(batches["test_batch"]).reshape(-1, 3, 32, 32).float() / 255
    )
    assert data.train_labels.tolist() == [*range(10), *range(1, 10), 0]
    assert data.classes == tuple("abcdefghij")


@pytest.mark.parametrize("name", [*BATCHES, "batches.meta"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "flip"])
def test_a_file_at_fault_is_named_and_never_unpickled(
    batches, tmp_path, monkeypatch, untouched, flip_byte, torchvision_datasets, name, damage
):
    path = tmp_path / "cifar-10-batches-py" / name
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-7])
    else:
        flip_byte(path)
    unpickled = []
    real = pickle.load
    monkeypatch.setattr(
        torchvision_datasets.cifar.pickle,
        "load",
        lambda file, **options: unpickled.append(file.name) or real(file, **options),
    )
    with untouched(tmp_path), pytest.raises(DataError) as error:
        load("cifar10", tmp_path, download=True)
    assert f"{path} is {'missing' if damage == 'missing' else 'truncated or altered'}" in str(error.value)
    assert "download=True" in str(error.value)
    assert str(path) not in map(str, unpickled)


def test_no_folder(tmp_path, untouched, torchvision_datasets):
    with untouched(tmp_path), pytest.raises(DataError, match=r"cifar-10-batches-py.data_batch_1 is missing"):
        load("cifar10", tmp_path)


def test_download_goes_aside_first(batches, tmp_path, monkeypatch, untouched, torchvision_datasets):
    def download(self):
        target = tmp_path / "root" / self.root / self.base_folder
        target.mkdir(parents=True)
        for path in (tmp_path / self.base_folder).iterdir():
            (target / path.name).write_bytes(path.read_bytes())
        if fails:
            raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(torchvision_datasets.CIFAR10, "download", download)
    (tmp_path / "root").mkdir()
    fails = True
    with untouched(tmp_path / "root"), pytest.raises(DataError, match="File not found or corrupted"):
        load("cifar10", tmp_path / "root", download=True)
    fails = False
    data = load("cifar10", tmp_path / "root", download=True)
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["cifar-10-batches-py"]
    assert data.sha256 == load("cifar10", tmp_path).sha256


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda entry: entry | {"labels": entry["labels"][:-1]}, r"test_images \(10, .* test_labels \(9,\)"),
        (lambda entry: entry | {"labels": [10, *entry["labels"][1:]]}, "1 labels are no class, the first 10"),
        (lambda entry: entry | {"labels": [-1, *entry["labels"][1:]]}, "1 labels are no class, the first -1"),
        (lambda entry: entry | {"labels": [300] * 10}, "10 labels are no class, the first 300"),
        (lambda entry: entry | {"data": entry["data"][:0], "labels": []}, "with N at least 1"),
    ],
)
def test_k8_images_and_labels_of_a_batch_are_counted(
    batches, tmp_path, monkeypatch, torchvision_datasets, change, told
):
    entry = {"data": batches["test_batch"], "labels": [i % 10 for i in range(10)]}
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps(change(entry)))
    known = [["test_batch", md5(path.read_bytes())]]
    monkeypatch.setattr(torchvision_datasets.CIFAR10, "test_list", known)
    with pytest.raises(DataError, match=told):
        load("cifar10", tmp_path)


def test_full_cifar10(full_data, torchvision_datasets):
    data = load("cifar10", full_data)
    assert data.sha256 == FULL_SHA256
    assert data.train_images.shape == (50000, 3, 32, 32)
    assert data.test_images.shape == (10000, 3, 32, 32)
    assert data.train_labels.bincount().tolist() == [5000] * 10
    assert data.test_labels.bincount().tolist() == [1000] * 10
    assert data.classes[:3] == ("airplane", "automobile", "bird")
    assert torch.allclose(data.mean, torch.tensor([0.4914, 0.4822, 0.4465]), atol=1e-4)
