"""States and files: the old one or the new one, and never another's."""

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tests.damage import damaged

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


CONDENSES = """
import sys, torch
from dataclasses import replace
from privacy_for_free.condensation import Run, condense, default_parameters
from privacy_for_free.core import checkpoint
from privacy_for_free.core.errors import CheckpointError
from privacy_for_free.core.randomness import generator
save = checkpoint.save
def save_and_wait(path, state):
    save(path, state)
    if state["step"] == 2:
        print("saved", flush=True)
        sys.stdin.readline()
checkpoint.save = save_and_wait
x = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)); y = torch.arange(40) % 2
dm = replace(default_parameters("dm"), iterations=6, width=8, batch_real=8)
run = Run(sys.argv[1], every=1) if sys.argv[1] else Run()
try:
    found = condense("dm", x, y, ipc=2, parameters=dm, generator=generator(0, "try"), run=run)
    print(found.images.sum().item())
except CheckpointError as error:
    print(error)
"""


def test_k9_of_two_processes_on_one_checkpoint_the_second_says_so_and_nothing_is_lost(tmp_path):  # case 15
    path = tmp_path / "a.pt"
    command = [sys.executable, "-c", CONDENSES]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, path], **options) as first:
        assert first.stdout.readline() == "saved\n"
        second = subprocess.run([*command, path], input="\n", capture_output=True, text=True, check=True)
        found, _ = first.communicate("\n")
    assert second.stdout == f"{path}: another process is running this; nothing was run\n"
    alone = subprocess.run([*command, ""], capture_output=True, text=True, check=True)
    assert found == alone.stdout
    assert os.listdir(tmp_path) == ["a.pt"]


def test_k9_a_file_is_held_by_one_at_a_time(tmp_path):  # case 15
    path = tmp_path / "folder" / "state"
    with checkpoint.held(path):
        with pytest.raises(CheckpointError, match=r"state: another process is running this; nothing was run"):
            checkpoint.held(path).__enter__()
        with checkpoint.held(tmp_path / "folder" / "other"), checkpoint.held(None):
            assert sorted(os.listdir(path.parent)) == ["other.lock", "state.lock"]
    assert os.listdir(path.parent) == []
    with checkpoint.held(path, KeyError, tmp_path / "a.lock"), pytest.raises(KeyError, match="another"):
        checkpoint.held(path, KeyError, tmp_path / "a.lock").__enter__()


def test_k9_the_lock_of_a_process_that_was_killed_is_in_nobodys_way(tmp_path):  # case 15
    path = tmp_path / "state"
    script = (
        "import os, signal, sys; from pathlib import Path; from privacy_for_free.core import checkpoint\n"
        "with checkpoint.held(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == ["state.lock"]
    with checkpoint.held(path):
        pass
    assert os.listdir(tmp_path) == []


def test_k9_threads_write_aside_under_names_of_their_own(tmp_path):
    path, both = tmp_path / "file", threading.Barrier(2)

    def write(text):
        def pause(handle):
            handle.write(text)
            both.wait(timeout=60)

        checkpoint.write_aside(path, pause)

    with ThreadPoolExecutor(2) as executor:
        list(executor.map(write, (b"one", b"two")))
    assert path.read_bytes() in (b"one", b"two")
    assert os.listdir(tmp_path) == ["file"]


def test_500_damaged_checkpoints_are_one_error_each_and_stay_as_they_are(tmp_path):
    path, key = tmp_path / "state", checkpoint.key("task")
    state = {"key": key, "images": torch.randn(20, 30), "losses": [torch.arange(3.0)], "seconds": 1.5}
    checkpoint.save(path, state)
    whole = path.read_bytes()
    for seed in range(500):
        path.write_bytes(damaged(whole, seed))
        with pytest.raises(CheckpointError, match=re.escape(f"{path}: not a checkpoint of this library")):
            checkpoint.load(path, key)
        assert path.read_bytes() == damaged(whole, seed)
