"""What every loader shares."""

import json

import numpy as np
import pytest

from privacy_for_free.data import DataError, files

ARRAYS = {name: np.full((2, 1, 2, 2), number, np.uint8) for number, name in enumerate(files.ARRAYS)}


@pytest.mark.parametrize("key", ["same", "other"])
def test_cache_that_another_process_stored_meanwhile_is_used_if_it_fits(tmp_path, key):
    path = tmp_path / "faces.npz"

    def build():
        about = {
            "sha256": np.array(files.arrays_sha256(ARRAYS)),
            "key": np.array(json.dumps({"images": key})),
        }
        files.write_npz(path, ARRAYS | about, compress=False)
        return ARRAYS

    if key == "other":
        with pytest.raises(DataError, match=r"was made from other files \(images changed since\)"):
            files.cached(path, {"images": "same"}, build)
        return
    before = files.cached(path, {"images": "same"}, build)
    assert all(np.array_equal(before[name], ARRAYS[name]) for name in ARRAYS)
    assert [one.name for one in tmp_path.iterdir()] == ["faces.npz"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"train_labels": np.zeros(3, np.uint8)}, r"train_labels \(3,\): allowed are N x C x H x W and N"),
        ({"test_images": np.zeros((2, 2, 2), np.uint8)}, r"test_images \(2, 2, 2\)"),
        ({"test_labels": np.zeros((2, 1), np.uint8)}, r"test_labels \(2, 1\)"),
        (
            {"test_labels": np.array([1, 2], np.uint8)},
            "test_labels: 1 labels are no class, the first 2: allowed",
        ),
        ({"test_images": np.zeros((2, 1, 3, 2), np.uint8)}, "allowed are images of one shape"),
        (
            {"train_images": np.zeros((0, 1, 2, 2), np.uint8), "train_labels": np.zeros(0, np.uint8)},
            "with N at least 1",
        ),
    ],
)
def test_k8_content_belongs_together(changed, told):
    labels = np.array([0, 1], np.uint8)
    images = np.zeros((2, 1, 2, 2), np.uint8)
    arrays = dict.fromkeys(("train_images", "test_images"), images)
    arrays |= dict.fromkeys(("train_labels", "test_labels"), labels)
    whole = files.Content(**arrays, classes=("a", "b"))
    assert files.check_content(whole, "here") is whole
    with pytest.raises(DataError, match=told) as error:
        files.check_content(files.Content(**arrays | changed, classes=("a", "b")), "dataset 'x' below here")
    assert str(error.value).startswith("dataset 'x' below here")
