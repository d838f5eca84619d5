"""States and files: the old one or the new one, and never another's."""

import os

import pytest
import torch

from privacy_for_free.core import checkpoint
from privacy_for_free.core.errors import CheckpointError


def test_a_file_is_replaced_whole_or_stays(tmp_path):
    path = tmp_path / "file"
    checkpoint.write_aside(path, lambda handle: handle.write(b"old"))

    def fails(handle):
        handle.write(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoint.write_aside(path, fails)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    checkpoint.write_aside(path, lambda handle: handle.write(b"new"))
    assert path.read_bytes() == b"new"


def test_a_state_comes_back_under_its_key_only(tmp_path):
    path, key = tmp_path / "folder" / "state", checkpoint.key("task", 1, 0.5)
    checkpoint.save(path, {"key": key, "images": torch.arange(3.0), "step": 7})
    state = checkpoint.load(path, key)
    assert torch.equal(state["images"], torch.arange(3.0))
    assert state["step"] == 7
    with pytest.raises(CheckpointError, match="begun with other data, parameters or seed"):
        checkpoint.load(path, checkpoint.key("task", 2, 0.5))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CheckpointError, match="not a checkpoint of this library"):
        checkpoint.load(path, key)


def test_what_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CheckpointError, match="could not be written"):
        checkpoint.save(tmp_path / "file" / "state", {"key": "k"})
