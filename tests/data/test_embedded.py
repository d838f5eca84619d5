import shutil
from pathlib import Path

import numpy as np
import pytest

from privacy_for_free.data import DataError, embedded, load, mini
from privacy_for_free.data.files import read_npz, write_npz

FILE = mini.EMBEDDED


def test_shapes_counts_and_digest():
    data = load()
    assert data.name == "fashion_mnist_mini"
    assert data.sha256 == mini.SHA256
    assert data.train_images.shape == (10000, 1, 28, 28)
    assert data.test_images.shape == (2000, 1, 28, 28)
    assert data.train_labels.bincount().tolist() == [1000] * 10
    assert data.test_labels.bincount().tolist() == [200] * 10


def test_the_notice_lies_beside_the_file_and_the_file_is_small():
    notice = FILE.with_name("FASHION_MNIST_LICENSE").read_text()
    assert "Copyright (c) 2017 Zalando SE" in notice
    assert "The above copyright notice and this permission notice shall be included in all" in notice
    assert FILE.stat().st_size < 6_000_000


def test_no_two_images_are_equal_and_the_stored_indices_are_distinct():
    stored = read_npz(FILE, "")
    images = np.concatenate([stored["train_images"], stored["test_images"]]).reshape(12000, -1)
    assert len(np.unique(images, axis=0)) == 12000
    assert len(np.unique(stored["train_indices"])) == 10000
    assert len(np.unique(stored["test_indices"])) == 2000


def test_regenerated_from_the_full_set():
    source = Path("/usr/share/datasets/fashion-mnist")
    if not source.is_dir():
        pytest.skip("needs the full FashionMNIST: apt install dataset-fashion-mnist")
    stored, made = read_npz(FILE, ""), embedded.selection(source)
    assert stored.keys() == made.keys()
    for name, array in made.items():
        assert stored[name].dtype == array.dtype
        assert np.array_equal(stored[name], array)


def test_the_command_writes_the_file_and_never_overwrites(idx_files, tmp_path, untouched, monkeypatch):
    monkeypatch.setattr(embedded, "PER_CLASS", {"train": 2, "test": 1})
    idx_files("fashion_mnist", tmp_path / "source")
    made = tmp_path / "made.npz"
    embedded.main([str(tmp_path / "source"), str(made)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.npz", "source"]
    assert sorted(read_npz(made, "")["train_labels"].tolist()) == sorted([*range(10)] * 2)
    with untouched(tmp_path), pytest.raises(SystemExit, match="exists and is not overwritten"):
        embedded.main([str(tmp_path / "source"), str(made)])


def test_the_command_says_what_it_lacks(tmp_path, untouched):
    with untouched(tmp_path), pytest.raises(SystemExit, match="apt install dataset-fashion-mnist"):
        embedded.main([str(tmp_path), str(tmp_path / "made.npz")])
    with pytest.raises(SystemExit, match="SOURCE_FOLDER DESTINATION"):
        embedded.main([])


def test_k7_the_commands_paths_are_expanded_and_checked(idx_files, tmp_path, monkeypatch, untouched):
    monkeypatch.setattr(embedded, "PER_CLASS", {"train": 2, "test": 1})
    monkeypatch.setenv("HOME", str(tmp_path))
    idx_files("fashion_mnist", tmp_path / "source")
    embedded.main(["~/source", "~/made.npz"])
    assert (tmp_path / "made.npz").is_file()
    for arguments, told in (
        (["", "x.npz"], "SOURCE_FOLDER '': allowed is a path"),
        (["~/source", ""], "DESTINATION '': allowed is a path"),
        (["~/source", "~/no/made.npz"], "there is no folder"),
        (["~/no", "~/other.npz"], "SOURCE_FOLDER .*: there is no such folder"),
    ):
        with untouched(tmp_path), pytest.raises(SystemExit, match=told):
            embedded.main(arguments)


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    arrays = {"a": np.arange(5), "b": np.zeros((2, 3))}
    for name in ("one", "two"):
        write_npz(tmp_path / name, arrays, compress=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert np.array_equal(np.load(tmp_path / "one")["a"], arrays["a"])


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def _empty(path):
    path.write_bytes(b"")


def _pickle(path):
    np.save(path.with_suffix(".npy"), np.array([{}], dtype=object), allow_pickle=True)
    path.with_suffix(".npy").replace(path)


def _repacked_without_labels(path):
    arrays = read_npz(path, "")
    del arrays["test_labels"]
    path.unlink()
    write_npz(path, arrays, compress=True)


def _repacked_with_one_other_pixel(path):
    arrays = read_npz(path, "")
    arrays["train_images"][0, 14, 14] ^= 1
    path.unlink()
    write_npz(path, arrays, compress=True)


def _repacked_in_another_type(path):
    arrays = read_npz(path, "")
    path.unlink()
    write_npz(path, {name: array.astype(np.int16) for name, array in arrays.items()}, compress=True)


@pytest.mark.parametrize(
    "damage",
    [
        "flip",
        _truncate,
        _empty,
        _pickle,
        _repacked_without_labels,
        _repacked_with_one_other_pixel,
        _repacked_in_another_type,
    ],
)
def test_a_damaged_file_in_the_data_root_is_an_error(tmp_path, untouched, flip_byte, damage):
    path = tmp_path / mini.FILE
    shutil.copy(FILE, path)
    assert load(data_root=tmp_path).sha256 == mini.SHA256
    (flip_byte if damage == "flip" else damage)(path)
    with untouched(tmp_path), pytest.raises(DataError, match="altered") as error:
        load(data_root=tmp_path)
    assert str(path) in str(error.value)
    assert "privacy_for_free.data.embedded" in str(error.value)


def test_missing_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(mini, "EMBEDDED", tmp_path / mini.FILE)
    with pytest.raises(DataError, match=r"fashion_mnist_mini\.npz is missing; restore it"):
        load("fashion_mnist_mini", tmp_path / "elsewhere")
