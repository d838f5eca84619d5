import gzip
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from privacy_for_free.data import DataError, idx, load

PLACES = {
    "fashion_mnist": (".", "fashion-mnist", "FashionMNIST/raw"),
    "mnist": (".", "mnist", "MNIST/raw"),
}
FULL_SHA256 = "5aab0978aca6f4b967b4f164f19ebc0296a2f838d5dad7ed09ac5e2d15571db6"


@pytest.fixture
def full_fashion_mnist():
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("needs the full FashionMNIST: apt install dataset-fashion-mnist")
    return folder


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("name", "place"), [(name, place) for name in PLACES for place in PLACES[name]])
def test_every_layout_gives_the_same_data_set(idx_files, tmp_path, name, place, zipped):
    arrays = idx_files(name, tmp_path / "here" / place, zipped=zipped)
    idx_files(name, tmp_path / "reference")
    data = load(name, tmp_path / "here")
    assert data.sha256 == load(name, tmp_path / "reference").sha256
    for split in ("train", "test"):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert torch.equal(
            (images * 255).round().to(torch.uint8)[:, 0], torch.tensor(arrays[f"{split}_images"])
        )
        assert labels.tolist() == arrays[f"{split}_labels"].tolist()


def test_debians_folder_is_the_last_resort(idx_files, tmp_path, monkeypatch):
    idx_files("fashion_mnist", tmp_path / "debian", zipped=True)
    monkeypatch.setattr(idx, "DEBIAN_FOLDER", tmp_path / "debian")
    assert len(load("fashion_mnist", tmp_path / "nothing-here").train_images) == 20
    with pytest.raises(DataError, match="mnist"):
        load("mnist", tmp_path / "nothing-here")


@pytest.mark.parametrize(
    ("name", "remedies"),
    [("fashion_mnist", ["apt install dataset-fashion-mnist", "download=True"]), ("mnist", ["download=True"])],
)
def test_nothing_found_names_the_file_and_the_way_to_get_it(idx_files, tmp_path, untouched, name, remedies):
    with untouched(tmp_path), pytest.raises(DataError) as error:
        load(name, tmp_path)
    for part in ["train-images-idx3-ubyte", str(tmp_path), *remedies]:
        assert part in str(error.value)


def test_one_missing_file(idx_files, tmp_path, untouched):
    idx_files("mnist", tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with (
        untouched(tmp_path),
        pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte \(or \.gz\) is missing"),
    ):
        load("mnist", tmp_path)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def _beheaded(path):
    path.write_bytes(b"\0\0")


def _other_kind(path):
    path.write_bytes(b"\0\0\x08\x01" + path.read_bytes()[4:])


def _other_shape(path):
    data = bytearray(path.read_bytes())
    data[15] += 1
    path.write_bytes(data)


@pytest.mark.parametrize("place", PLACES["fashion_mnist"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncate, "the header states 20 x 28 x 28 bytes, there are 15580"),
        (_other_shape, "the header states 20 x 28 x 29 bytes, there are 15680"),
        (_other_kind, "no idx header of unsigned bytes in 3 dimensions"),
        (_beheaded, "2 bytes are too few"),
        ("flip", "altered: md5 "),
    ],
)
def test_a_damaged_file_is_an_error_though_debian_has_a_good_one(
    idx_files, tmp_path, monkeypatch, untouched, flip_byte, place, damage, reason
):
    idx_files("fashion_mnist", tmp_path / "debian", zipped=True)
    monkeypatch.setattr(idx, "DEBIAN_FOLDER", tmp_path / "debian")
    idx_files("fashion_mnist", tmp_path / "root" / place)
    path = tmp_path / "root" / place / "train-images-idx3-ubyte"
    (flip_byte if damage == "flip" else damage)(path)
    with untouched(tmp_path), pytest.raises(DataError) as error:
        load("fashion_mnist", tmp_path / "root", download=True)
    assert str(path) in str(error.value)
    assert reason in str(error.value)
    assert "apt install dataset-fashion-mnist" in str(error.value)


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_gzip_file(idx_files, tmp_path, untouched, flip_byte, damage):
    idx_files("mnist", tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    flip_byte(path) if damage == "flip" else _truncate(path)
    with (
        untouched(tmp_path),
        pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is truncated or altered"),
    ):
        load("mnist", tmp_path)


def test_a_damaged_plain_file_is_not_replaced_by_the_good_gzip_beside_it(idx_files, tmp_path, flip_byte):
    idx_files("mnist", tmp_path)
    idx_files("mnist", tmp_path, zipped=True)
    assert load("mnist", tmp_path).name == "mnist"
    flip_byte(tmp_path / "train-labels-idx1-ubyte")
    with pytest.raises(DataError, match="train-labels-idx1-ubyte is"):
        load("mnist", tmp_path)


def test_the_other_sets_files_in_the_root_are_passed_over(idx_files, tmp_path, flip_byte):
    idx_files("mnist", tmp_path)
    with pytest.raises(DataError, match="holds another set's files"):
        load("fashion_mnist", tmp_path)
    idx_files("fashion_mnist", tmp_path / "FashionMNIST" / "raw")
    assert load("fashion_mnist", tmp_path).sha256 != load("mnist", tmp_path).sha256
    flip_byte(tmp_path / "t10k-images-idx3-ubyte")
    assert load("fashion_mnist", tmp_path).name == "fashion_mnist"
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte"):
        load("mnist", tmp_path)


def test_the_other_sets_files_under_this_ones_name_are_an_error(idx_files, tmp_path):
    idx_files("mnist", tmp_path / "fashion-mnist")
    with pytest.raises(DataError, match="is MNIST's file of that name"):
        load("fashion_mnist", tmp_path)


def test_a_mixture_of_both_sets_is_an_error(idx_files, tmp_path):
    idx_files("fashion_mnist", tmp_path)
    idx_files("mnist", tmp_path / "other")
    shutil.copy(tmp_path / "other" / "train-images-idx3-ubyte", tmp_path)
    for name, fault in (("fashion_mnist", "is MNIST's file"), ("mnist", "is FashionMNIST's file")):
        with pytest.raises(DataError, match=fault):
            load(name, tmp_path)


class FakeDownload:
    """Stands in for torchvision's class: writes what `prepare` writes, then fails if told to."""

    def __init__(self, prepare, error=None):
        self.prepare, self.error = prepare, error

    def __call__(self, root, download):
        assert download
        self.prepare(Path(root) / "MNIST" / "raw")
        if self.error:
            raise self.error


@pytest.fixture
def fake_torchvision(monkeypatch):
    def install(fake):
        datasets = SimpleNamespace(MNIST=fake)
        monkeypatch.setattr(idx, "import_torchvision", lambda: SimpleNamespace(datasets=datasets))

    return install


def test_download_lands_in_torchvisions_layout(idx_files, tmp_path, fake_torchvision):
    root = tmp_path / "root"
    root.mkdir()
    fake_torchvision(FakeDownload(lambda folder: idx_files("mnist", folder)))
    downloaded = load("mnist", root, download=True)
    assert sorted(path.name for path in root.iterdir()) == ["MNIST"]
    fake_torchvision(FakeDownload(lambda folder: pytest.fail("downloaded twice")))
    assert load("mnist", root, download=True).sha256 == downloaded.sha256


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("File not found or corrupted.")])
def test_a_failed_download_leaves_nothing(idx_files, tmp_path, fake_torchvision, untouched, error):
    root = tmp_path / "root"
    root.mkdir()
    fake_torchvision(FakeDownload(lambda folder: idx_files("mnist", folder), error))
    with untouched(root), pytest.raises(DataError, match=str(error)):
        load("mnist", root, download=True)


def test_a_download_of_other_content_leaves_nothing(idx_files, tmp_path, fake_torchvision, untouched):
    root = tmp_path / "root"
    root.mkdir()
    fake_torchvision(FakeDownload(lambda folder: idx_files("fashion_mnist", folder)))
    with untouched(root), pytest.raises(DataError, match="is FashionMNIST's file"):
        load("mnist", root, download=True)
    fake_torchvision(FakeDownload(lambda folder: None))
    with untouched(root), pytest.raises(DataError, match="no files"):
        load("mnist", root, download=True)


def test_download_overwrites_nothing_and_creates_no_root(idx_files, tmp_path, fake_torchvision, untouched):
    fake_torchvision(FakeDownload(lambda folder: idx_files("mnist", folder)))
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "mine").write_text("kept")
    with untouched(tmp_path), pytest.raises(DataError, match="not overwritten"):
        load("mnist", tmp_path, download=True)
    with untouched(tmp_path), pytest.raises(DataError, match="is not a folder: create it"):
        load("mnist", tmp_path / "missing", download=True)


def test_torchvisions_own_download(idx_files, tmp_path, monkeypatch, torchvision_datasets):
    idx_files("mnist", tmp_path / "mirror", zipped=True)
    files = sorted((tmp_path / "mirror").iterdir())
    monkeypatch.setattr(torchvision_datasets.MNIST, "mirrors", [(tmp_path / "mirror").as_uri() + "/"])
    monkeypatch.setattr(
        torchvision_datasets.utils,
        "_urlretrieve",
        lambda url, filename: shutil.copy(url.removeprefix("file://"), filename),
    )
    resources = [(path.name, idx.md5(path.read_bytes())) for path in files]
    monkeypatch.setattr(torchvision_datasets.MNIST, "resources", resources)
    (tmp_path / "root").mkdir()
    downloaded = load("mnist", tmp_path / "root", download=True)
    assert downloaded.sha256 == load("mnist", tmp_path / "mirror").sha256


def test_full_fashion_mnist_by_two_routes(full_fashion_mnist, tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in full_fashion_mnist.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    for root in (full_fashion_mnist, tmp_path):
        data = load("fashion_mnist", root)
        assert data.sha256 == FULL_SHA256
        assert data.train_images.shape == (60000, 1, 28, 28)
        assert data.test_images.shape == (10000, 1, 28, 28)
        assert data.train_labels.bincount().tolist() == [6000] * 10
        assert data.test_labels.bincount().tolist() == [1000] * 10
        assert np.allclose([data.mean.item(), data.std.item()], [0.2860, 0.3530], atol=1e-4)


def test_full_mnist(full_data):
    if not any((full_data / place).is_dir() for place in PLACES["mnist"][1:]):
        pytest.skip("needs the full MNIST in PRIVACY_FOR_FREE_DATA (see README)")
    data = load("mnist", full_data)
    assert data.train_images.shape == (60000, 1, 28, 28)
    assert data.train_labels.bincount().tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
