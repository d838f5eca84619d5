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
