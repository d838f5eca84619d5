"""Arrays beside a record: stated with their digests, made again by one call, never half written."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from privacy_for_free.core import checkpoint
from privacy_for_free.core.randomness import generator
from privacy_for_free.lab import kept, provenance
from privacy_for_free.lab import run as runs
from privacy_for_free.lab.record import Record, RecordError
from privacy_for_free.lab.store import read

TASKS = 6  # of the toy's laptop profile


def forms(task, design, dataset):
    return {"pool/members": ("bool", (2, 5)), f"release-{task}/scores": ("float16", (3, task + 1))}


@pytest.fixture
def keeping(toy):
    """The toy, whose tasks hand back a pool that they share and scores of their own."""
    plain, asked = toy.EXPERIMENT.run, []

    def run(task, design, dataset, seed, device, keep=None):
        asked.append((task, keep is not None))
        if keep is not None:
            keep("pool", members=torch.eye(2, 5) > 0)
            scores = torch.randn((3, task + 1), generator=generator(seed, "scores", task))
            keep(f"release-{task}", scores=scores.half())
        return plain(task, design, dataset, seed, device)

    toy.EXPERIMENT = dataclasses.replace(toy.EXPERIMENT, run=run, kept=forms)
    toy.asked = asked
    return toy


@pytest.fixture
def made(keeping, make, tmp_path):
    """A record of it that keeps its files."""
    return make(tmp_path, keep=True)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.npy"))


def test_a_record_states_what_it_keeps(made, keeping, tmp_path):
    folder = tmp_path / "toy" / "kept" / "toy_data-laptop"
    assert files(folder) == ["pool/members.npy", *(f"release-{task}/scores.npy" for task in range(TASKS))]
    assert sorted(made.meta["kept"], key=int) == [str(task) for task in range(TASKS)]
    assert kept.stated(made) == {
        name: form for task in range(TASKS) for name, form in forms(task, None, None).items()
    }
    found = kept.load(made, "release-3")
    wanted = torch.randn((3, 4), generator=generator(0, "scores", 3)).half()
    assert torch.equal(found["scores"], wanted)
    assert found["scores"].dtype is torch.float16
    assert np.array_equal(np.load(folder / "release-3" / "scores.npy"), wanted.numpy())
    stored = read("toy", "toy_data", "laptop", tmp_path)
    assert stored.meta == made.meta
    assert kept.load(stored, "pool").keys() == {"members"}


def test_keeping_leaves_the_table_as_it_is(made, make, tmp_path):
    plain = make(tmp_path / "plain")
    assert plain.path.read_bytes() == made.path.read_bytes()
    assert "kept" not in plain.meta
    assert kept.stated(plain) == {}
    assert not (tmp_path / "plain" / "toy" / "kept").exists()


def test_a_folder_of_its_own(keeping, make, tmp_path):
    record = make(tmp_path / "results", keep=tmp_path / "large")
    folder = tmp_path / "large" / "toy" / "toy_data-laptop"
    assert len(files(folder)) == TASKS + 1
    assert not files(tmp_path / "results")
    assert kept.load(record, "pool", tmp_path / "large")["members"].shape == (2, 5)
    with pytest.raises(RecordError, match=r"members\.npy: not readable .*; make it again with"):
        kept.load(record, "pool")


def test_a_complete_record_is_not_run_again(made, keeping, make, tmp_path):
    keeping.asked.clear()
    assert make(tmp_path, keep=True).meta == made.meta
    assert make(tmp_path).meta == made.meta
    assert keeping.asked == []


@pytest.mark.parametrize("spoil", ["gone", "altered", "cut"])
def test_one_call_makes_files_again(made, keeping, tmp_path, spoil, snapshot):
    before = snapshot(tmp_path)
    path = tmp_path / "toy" / "kept" / "toy_data-laptop" / "release-2" / "scores.npy"
    data = path.read_bytes()
    if spoil == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if spoil == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(
            RecordError, match=r"scores\.npy: SHA-256 .{12}, the record states .{12}; make it"
        ):
            kept.load(made, "release-2")
    keeping.asked.clear()
    again = runs.keep(keeping.EXPERIMENT, made, keeping.DATA, shown=False)
    assert keeping.asked == [(2, True)]
    assert snapshot(tmp_path) == before
    assert again.meta == made.meta


def test_a_record_of_before_keeps_files_afterwards(keeping, make, tmp_path):
    make(tmp_path)
    record = read("toy", "toy_data", "laptop", tmp_path)
    table = record.path.read_bytes()
    keeping.asked.clear()
    found = runs.keep(keeping.EXPERIMENT, record, keeping.DATA, shown=False)
    assert keeping.asked == [(task, True) for task in range(TASKS)]
    assert found.path.read_bytes() == table
    assert {key: value for key, value in found.meta.items() if key != "kept"} == record.meta
    assert kept.load(found, "release-5")["scores"].shape == (3, 6)


def test_a_record_of_changed_settings_keeps_files_too(keeping, make, tmp_path):
    record = make(tmp_path, changes={"tasks": 2}, name="two")
    found = runs.keep(keeping.EXPERIMENT, record, keeping.DATA, shown=False)
    assert sorted(found.meta["kept"]) == ["0", "1"]
    assert (tmp_path / "toy" / "kept" / "toy_data-two" / "pool" / "members.npy").is_file()


@pytest.mark.parametrize("stop", ["before the files", "after the files", "in the files"])
def test_a_kill_leaves_nothing_half_written(keeping, make, tmp_path, monkeypatch, stop, made_elsewhere):
    writes, write, state = [], checkpoint.write_aside, kept.Folder.write

    def killed(folder, arrays):
        if len(writes) == 3 and stop == "before the files":
            raise KeyboardInterrupt
        stated = state(folder, arrays)
        writes.append(stated)
        if len(writes) == 4 and stop == "after the files":
            raise KeyboardInterrupt
        return stated

    def half(path, content):
        if len(writes) == 3 and stop == "in the files" and path.parent.name == "release-3":
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(kept.Folder, "write", killed)
        patch.setattr(checkpoint, "write_aside", half)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, keep=True)
    meta = json.loads((tmp_path / "toy" / "toy_data-laptop.json").read_text())
    assert sorted(meta["kept"]) == ["0", "1", "2"]
    assert not list(tmp_path.rglob("*.aside"))
    assert not list(tmp_path.rglob("*.lock"))
    keeping.asked.clear()
    assert make(tmp_path, keep=True).meta["kept"] == made_elsewhere.meta["kept"]
    assert keeping.asked == [(task, True) for task in (3, 4, 5)]


@pytest.fixture
def made_elsewhere(keeping, make, tmp_path_factory):
    return make(tmp_path_factory.mktemp("whole"), keep=True)


def test_a_run_begun_without_goes_on_with_files(keeping, make, tmp_path, monkeypatch, made_elsewhere):
    plain = keeping.EXPERIMENT.run

    def killed(task, *given, **own):
        if task == 3:
            raise KeyboardInterrupt
        return plain(task, *given, **own)

    whole = keeping.EXPERIMENT
    keeping.EXPERIMENT = dataclasses.replace(whole, run=killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    keeping.EXPERIMENT = whole
    keeping.asked.clear()
    record = make(tmp_path, keep=True)
    assert keeping.asked == [(task, True) for task in (3, 4, 5, 0, 1, 2)]
    assert record.meta["kept"] == made_elsewhere.meta["kept"]
    assert record.path.read_bytes() == made_elsewhere.path.read_bytes()


def test_rows_that_differ_keep_nothing_on_the_records_machine(keeping, make, tmp_path, snapshot):
    record = make(tmp_path)
    before, plain = snapshot(tmp_path), keeping.EXPERIMENT.run

    def other(task, *given, **own):
        return [row | {"count": 5} for row in plain(task, *given, **own)]

    keeping.EXPERIMENT = dataclasses.replace(keeping.EXPERIMENT, run=other)
    message = r"task 0 has other rows now: row 0, column count: 0, today 5; not kept"
    with pytest.raises(RecordError, match=message):
        runs.keep(keeping.EXPERIMENT, record, keeping.DATA, shown=False)
    assert snapshot(tmp_path) == before


def test_rows_that_differ_elsewhere_are_stated(keeping, make, tmp_path, monkeypatch):
    record, plain = make(tmp_path), keeping.EXPERIMENT.run

    def other(task, *given, **own):
        return [row | {"count": 7 * task + (task == 1)} for row in plain(task, *given, **own)]

    keeping.EXPERIMENT = dataclasses.replace(keeping.EXPERIMENT, run=other)
    monkeypatch.setattr(provenance, "machine", lambda device: "another")
    found = runs.keep(keeping.EXPERIMENT, record, keeping.DATA, shown=False)
    assert found.path.read_bytes() == record.path.read_bytes()
    assert found.meta["machine"] == record.meta["machine"]
    entries = found.meta["kept"]
    assert {entry["machine"] for entry in entries.values()} == {"another"}
    assert {task: entry["differs"] for task, entry in entries.items()} == {
        str(task): "row 0, column count: 7, today 8" if task == 1 else None for task in range(TASKS)
    }


def test_one_that_begins_anew_states_its_own_files(made, make, tmp_path):
    again = make(tmp_path, restart=True, seed=1, keep=True)
    assert kept.load(again, "release-0")["scores"].shape == (3, 1)
    with pytest.raises(RecordError, match="the record states"):
        kept.load(made, "release-0")


def test_a_second_process_is_kept_out(keeping, make, tmp_path, snapshot):
    """Of one folder that two records share as well."""
    with (
        checkpoint.held(tmp_path / "large" / "toy" / "toy_data-laptop"),
        pytest.raises(RecordError, match="another process is running this; nothing was run"),
    ):
        make(tmp_path / "results", keep=tmp_path / "large")
    assert keeping.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 5}, "keep 5: allowed is a path, given as text"),
        ({"keep": True, "folder": None}, "keep True: allowed with a results_dir"),
    ],
)
def test_k2_what_cannot_be_kept_is_refused(keeping, make, tmp_path, options, message):
    options = {"folder": tmp_path} | options
    with pytest.raises(ValueError, match=message):
        make(options.pop("folder"), **options)
    assert keeping.asked == []


def test_k2_an_experiment_that_hands_nothing_back_is_refused(make, tmp_path):
    with pytest.raises(ValueError, match="keep True: toy hands nothing back that could be kept"):
        make(tmp_path, keep=True)
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_one_error_before_work(keeping, make, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "size", lambda wanted: 10**18)
    with pytest.raises(RecordError, match=r"laptop: 1,000,000,000,000 MB are to be kept, [\d,]+ are free"):
        make(tmp_path, keep=True)
    assert keeping.asked == []


@pytest.mark.parametrize(
    ("hand", "message"),
    [
        (
            {"scores": torch.zeros(3, 1)},
            r"kept release-0/scores \('float32', \(3, 1\)\): allowed is \('float16'",
        ),
        ({"other": torch.zeros(1)}, r"kept release-0/other .*: allowed is what the experiment declares"),
        ({}, r"kept pool/members, release-0/scores: missing"),
    ],
)
def test_k2_a_task_hands_back_what_is_declared(hand, message):
    keeper = kept.Keeper(forms(0, None, None))
    with pytest.raises(ValueError, match=message):
        (keeper("release-0", **hand), keeper.all())


def test_k2_groups_and_records_that_are_not_there_are_refused(made, make, tmp_path):
    with pytest.raises(ValueError, match="group 'release-9': allowed are pool, release-0, "):
        kept.load(made, "release-9")
    with pytest.raises(RecordError, match=r"toy_data-laptop\.csv: nothing is kept with it"):
        kept.load(make(tmp_path / "plain"), "pool")
    in_memory = Record(made.table, made.meta)
    with pytest.raises(RecordError, match="a record in memory: nothing is kept with it"):
        kept.load(in_memory, "pool")
    with pytest.raises(ValueError, match="record: allowed is one that is on disk"):
        runs.keep(None, in_memory, None)
