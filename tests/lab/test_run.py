"""Runs: what was finished is kept and never done again, whoever does the tasks, in whatever order."""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_for_free import data, experiments
from privacy_for_free.core import checkpoint as files
from privacy_for_free.lab import provenance, settings
from privacy_for_free.lab.record import FORMAT, RecordError
from privacy_for_free.lab.run import LocalWorkers, Progress, designed, progress_of, run
from privacy_for_free.lab.store import largest, read


def never(*_):
    raise AssertionError("no task is to be run")


@pytest.fixture
def does(toy):
    """Return a function that puts another function in the place of the toy's `run`."""

    def does(function, **fields):
        toy.EXPERIMENT = replace(toy.EXPERIMENT, run=function, **fields)

    return does


def test_memory_and_disk_agree(toy, make, tmp_path):
    on_disk = make(tmp_path)
    pd.testing.assert_frame_equal(on_disk.table, make(None).table)
    pd.testing.assert_frame_equal(on_disk.table, read("toy", "toy_data", "laptop", tmp_path).table)
    assert tuple(on_disk.table.columns) == (*toy.EXPERIMENT.column_names, "task")
    assert len(on_disk.table) == 12
    assert on_disk.table.note.isna().sum() == 6
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == [
        "toy_data-laptop.csv",
        "toy_data-laptop.json",
    ]


def test_sidecar_states_where_the_table_comes_from(toy, make, tmp_path):
    meta = json.loads(make(tmp_path).path.with_suffix(".json").read_text())
    promised = (
        "experiment dataset profile parameters seed complete device machine versions commit source_sha256 "
        "definitions started seconds peak_memory_bytes data_sha256 table_sha256"
    )
    assert set(promised.split()) <= set(meta)
    assert meta["parameters"] == {"tasks": 6, "scale": 2.0}
    assert meta["complete"] is True
    assert meta["format"] == FORMAT
    assert meta["peak_memory_bytes"] > 10_000_000
    assert meta["definitions"] == toy.DEFINITIONS
    assert meta["source_sha256"] == provenance.source(toy.EXPERIMENT)["source_sha256"]


def test_complete_record_is_returned_without_work(make, does, tmp_path, snapshot):
    first = make(tmp_path)
    before = snapshot(tmp_path)
    does(never)
    pd.testing.assert_frame_equal(first.table, make(tmp_path).table)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("finished", range(6))
def test_interrupted_run_goes_on_bitwise(toy, make, does, tmp_path, finished):
    whole = make(tmp_path / "whole").path.read_bytes()
    calls, seen = [], []

    def breaks_off(task, *rest):
        if len(calls) == finished:
            raise KeyboardInterrupt
        calls.append(task)
        return toy.run(task, *rest)

    does(breaks_off)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "cut")
    assert read("toy", "toy_data", "laptop", tmp_path / "cut") is None  # partial is not a result
    does(lambda task, *rest: seen.append(task) or toy.run(task, *rest))
    assert make(tmp_path / "cut").path.read_bytes() == whole
    assert seen == list(range(finished, 6))  # no finished task was run again


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"profile": "huge"}, "smoke, laptop, paper"),
        ({"seed": -1}, "from 0 up"),
        ({"seed": 1.5}, "from 0 up"),
        ({"seed": "7"}, "seed '7': allowed are whole numbers from 0 up"),
        ({"seed": True}, "seed True: allowed are whole numbers from 0 up"),
        ({"profile": 3}, "profile 3: known are smoke, laptop, paper"),
        ({"device": None}, "auto, cpu, cuda"),
        ({"changes": {"tasks": "7"}}, "tasks '7': allowed are whole numbers"),
        ({"changes": "tasks=7"}, "changes 'tasks=7': allowed is a mapping"),
        ({"changes": {"tasks": 1}, "name": 5}, "name 5: allowed are small letters"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"changes": {"nonsense": 1}}, "nonsense 1: allowed are the names below"),
        ({"changes": {"tasks": 1.5}}, "tasks 1.5: allowed are whole numbers"),
        ({"changes": {"tasks": 1}, "name": "paper"}, "name 'paper': allowed are small letters"),
        ({"changes": {"tasks": 1}, "name": "../up"}, "name '../up': allowed are small letters"),
        ({"name": "wide"}, "name 'wide' for the profile laptop as it is: allowed with changes only"),
    ],
)
def test_bad_arguments_stop_before_anything_is_written(make, tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        make(tmp_path, **options)
    assert not any(tmp_path.iterdir())


def test_k2_what_a_run_is_of_are_objects_not_their_names(toy, tmp_path):
    for arguments, says in (
        (("toy", toy.DATA), "experiment 'toy': allowed is what privacy_for_free.experiments.get returns"),
        ((toy.EXPERIMENT, "mnist"), "dataset 'mnist': allowed is what privacy_for_free.data.load returns"),
        ((toy.EXPERIMENT, 5), "dataset 5: allowed is what privacy_for_free.data.load returns"),
    ):
        with pytest.raises(ValueError, match=says):
            run(*arguments, results_dir=tmp_path)
    assert not any(tmp_path.iterdir())


def test_k2_a_seed_of_numpys_is_the_seed_it_is(make, tmp_path):  # case 11
    assert (
        make(tmp_path, seed=np.int64(3)).path.read_bytes() == make(tmp_path / "b", seed=3).path.read_bytes()
    )
    assert make(tmp_path, seed=3).meta["seed"] == 3  # the same record


def test_a_data_set_that_is_too_small_leaves_nothing(toy, make, tmp_path):
    def refuses(design, dataset):
        raise ValueError("pool of 8 images: 4 of class 0 asked for, there are 3")

    toy.EXPERIMENT = replace(toy.EXPERIMENT, tasks=refuses)
    with pytest.raises(ValueError, match="there are 3"):
        make(tmp_path)
    assert not any(tmp_path.iterdir())


def test_k7_a_record_in_the_home_folder_is_found_there(make, tmp_path, monkeypatch):  # case 16
    monkeypatch.setenv("HOME", str(tmp_path))
    record = make("~/res")
    assert record.path == tmp_path / "res" / "toy" / "toy_data-laptop.csv"
    assert read("toy", "toy_data", "laptop", "~/res").path == record.path
    assert largest("toy", "toy_data", "~/res").path == record.path


def test_profiles_share_nothing(toy, make, does, tmp_path, snapshot):
    laptop = make(tmp_path)
    (tmp_path / "toy" / "toy_data-laptop.0.checkpoint").write_text("of the laptop's run")
    before, given = snapshot(tmp_path), []

    def keeps_state(task, design, dataset, seed, device, checkpoint=None):
        given.append((task, checkpoint.exists(), "paper" in checkpoint.name))
        return toy.run(task, design, dataset, seed, device)

    does(keeps_state, resumable=True)
    paper = make(tmp_path, profile="paper")
    assert given == [(task, False, True) for task in range(9)]
    assert (laptop.table.value[:2] * 1.5 == paper.table.value[:2]).all()  # its own scale
    after = snapshot(tmp_path)
    assert {path: after[path] for path in before} == before


def test_changed_settings_make_a_record_of_their_own(toy, make, tmp_path, snapshot):
    make(tmp_path)
    before = snapshot(tmp_path)
    wide = make(tmp_path, changes={"tasks": 2}, name="wide")
    assert wide.path.name == "toy_data-wide.csv"
    assert (wide.meta["profile"], wide.meta["parameters"]) == ("wide", {"tasks": 2, "scale": 2.0})
    assert len(wide.table) == 4
    other = make(tmp_path, changes={"tasks": 3})
    assert other.meta["profile"] == f"laptop_{settings.name_of({'tasks': 3})}"
    assert make(tmp_path, changes={"tasks": 3}).path == other.path
    with pytest.raises(RecordError, match="made with another parameters"):
        make(tmp_path, changes={"tasks": 3}, name="wide")
    after = snapshot(tmp_path)
    assert {path: after[path] for path in before} == before
    assert largest("toy", "toy_data", tmp_path).meta["profile"] == "laptop"


def test_what_follows_from_changes_is_changed_too(toy):
    def adapt(old, new):
        if new.tasks > 9:
            raise ValueError(f"{new.tasks} tasks")
        return replace(new, scale=new.tasks - old.tasks)

    adapting = replace(toy.EXPERIMENT, adapt=adapt)
    assert designed(adapting, "laptop", {"tasks": 9})[0].scale == 3
    assert designed(adapting, "laptop") == (toy.PROFILES["laptop"], "laptop")
    with pytest.raises(ValueError, match="10 tasks"):
        designed(adapting, "laptop", {"tasks": 10})


def test_without_changes_a_run_is_its_profile(toy):
    for nothing in (None, {}):
        assert designed(toy.EXPERIMENT, "laptop", nothing) == (toy.PROFILES["laptop"], "laptop")


def test_complete_record_of_another_device_is_shown_with_its_machine(make, does, tmp_path):
    sidecar = make(tmp_path).path.with_suffix(".json")
    meta = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**meta, "device": "cuda", "machine": "a far GPU"}))
    does(never)
    assert " s on a far GPU, " in make(tmp_path).provenance()  # device auto: whichever made it
    with pytest.raises(RecordError, match="made with another device: cuda, now cpu"):
        make(tmp_path, device="cpu")
    sidecar.write_text(json.dumps({**meta, "device": "cuda", "machine": "a far GPU", "complete": False}))
    with pytest.raises(RecordError, match="begun with another device"):
        make(tmp_path)


class Backwards(LocalWorkers):
    """Workers that finish the last task first, as a cluster may."""

    def execute(self, experiment, dataset, requests, meta):
        yield from super().execute(experiment, dataset, requests[::-1], meta)


def test_order_in_which_tasks_finish_does_not_show(make, tmp_path):
    whole = make(tmp_path / "whole").path.read_bytes()
    assert make(tmp_path / "back", workers=Backwards()).path.read_bytes() == whole


@pytest.mark.parametrize("writes", range(2, 14))
def test_run_that_finishes_in_any_order_goes_on_after_a_kill_at_any_write(
    toy, make, does, tmp_path, monkeypatch, writes
):
    whole = make(tmp_path / "whole").path.read_bytes()
    real, count = files.write_aside, []

    def killed(path, write):
        count.append(path)
        if len(count) > writes:
            raise KeyboardInterrupt
        real(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_aside", killed)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "cut", workers=Backwards())
    calls = []
    does(lambda task, *rest: calls.append(task) or toy.run(task, *rest))
    assert make(tmp_path / "cut").path.read_bytes() == whole
    assert calls == list(range(6 - max(0, writes - 3) // 2))  # a task counts that both files know


def test_progress_says_how_far_a_record_is_and_refuses_what_run_would(toy, make, does, tmp_path):
    def progress(**options):
        return progress_of(toy.EXPERIMENT, toy.DATA, "laptop", results_dir=tmp_path, **options)

    assert progress() == Progress(6, 0, 0.0, complete=False)

    def breaks_off(task, *rest):
        if task == 2:
            raise KeyboardInterrupt
        return toy.run(task, *rest)

    does(breaks_off)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    assert (progress().finished, progress().tasks, progress().complete) == (2, 6, False)
    with pytest.raises(RecordError, match="begun with another seed"):
        progress(seed=1)
    does(toy.run)
    make(tmp_path)
    assert progress().complete


def test_time_left_without_a_progress_bar(make, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    make(tmp_path, profile="smoke", shown=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "toy: 0 of 3 tasks done"
    assert [line[: line.index(",")] for line in lines[1:]] == [f"toy: {n} of 3 tasks done" for n in (1, 2, 3)]
    assert lines[-1].endswith("about 0 s left")


def test_rows_must_have_the_promised_columns(make, does):
    does(lambda *arguments: [{"value": 1.0}])
    with pytest.raises(RecordError, match="columns"):
        make(None)
    does(lambda *arguments: [])
    with pytest.raises(RecordError, match="no rows"):
        make(None)


def test_a_task_keeps_its_state_in_a_file_of_its_own_until_it_is_done(toy, make, does, tmp_path):
    given, killed = [], []

    def keeps_state(task, design, dataset, seed, device, checkpoint=None):
        given.append(checkpoint)
        if task == 3 and not killed:
            killed.append(task)
            checkpoint.write_text("half done")
            raise KeyboardInterrupt
        return toy.run(task, design, dataset, seed, device)

    does(keeps_state, resumable=True)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    kept = tmp_path / "toy" / "toy_data-laptop.3.checkpoint"
    assert given[-1] == kept
    assert list((tmp_path / "toy").glob("*.checkpoint")) == [kept]
    assert len(make(tmp_path).table) == 12
    assert not list((tmp_path / "toy").glob("*.checkpoint"))
    kept.write_text("of the record that is moved aside")
    make(tmp_path, seed=1, restart=True, profile="laptop")
    assert not list((tmp_path / "toy").glob("*.checkpoint"))
    given.clear()
    make(None)
    assert given == [None] * 6


@pytest.mark.parametrize("state", [torch.no_grad, torch.inference_mode, lambda: torch.device("meta")])
def test_k1_a_run_gives_the_same_rows_in_every_state_of_the_caller(state):
    """Loading and running, in memory, are the library's own business."""
    experiment = experiments.get("linear_dm")
    changes = {"pools": (4,), "features": (2,), "sizes": ((12, 2),), "normals": 20000, "chains": 50}

    def rows():
        return run(experiment, data.load(), results_dir=None, changes=changes).table

    plain = rows()
    with state():
        assert rows().equals(plain)
