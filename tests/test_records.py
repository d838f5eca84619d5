"""Records: nothing is lost, half written, or reused when it does not fit."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_for_free import provenance, records

TOY = Path(__file__).with_name("toy.py")


def load_toy():
    spec = importlib.util.spec_from_file_location("toy", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(provenance, "source_sha256", lambda module: "s" * 64)
    return load_toy()


def run(toy, folder, **options):
    return records.run(
        toy, toy.DATA, results_dir=folder, **{"profile": "laptop", "progress": False, **options}
    )


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_memory_and_disk_agree(toy, tmp_path):
    on_disk = run(toy, tmp_path)
    pd.testing.assert_frame_equal(on_disk.table, run(toy, None).table)
    pd.testing.assert_frame_equal(on_disk.table, records.read("toy", "toy_data", "laptop", tmp_path).table)
    assert list(on_disk.table.columns) == [*toy.COLUMNS, "task"]
    assert len(on_disk.table) == 12
    assert on_disk.table.note.isna().sum() == 6
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == [
        "toy_data-laptop.csv",
        "toy_data-laptop.json",
    ]


def test_sidecar_states_where_the_table_comes_from(toy, tmp_path):
    meta = json.loads(run(toy, tmp_path).path.with_suffix(".json").read_text())
    promised = (
        "experiment dataset profile parameters seed complete device machine versions commit source_sha256 "
        "started seconds peak_memory_bytes data_sha256 table_sha256"
    )
    assert set(promised.split()) <= set(meta)
    assert meta["parameters"] == {"tasks": 6, "scale": 2.0}
    assert meta["complete"] is True
    assert meta["peak_memory_bytes"] > 10_000_000


def test_complete_record_is_returned_without_work(toy, tmp_path, monkeypatch):
    first = run(toy, tmp_path)
    before = snapshot(tmp_path)
    monkeypatch.setattr(toy, "run_task", None)
    again = run(toy, tmp_path)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("finished", range(6))
def test_interrupted_run_goes_on_bitwise(toy, tmp_path, monkeypatch, finished):
    whole = run(toy, tmp_path / "whole").path.read_bytes()
    original, calls = toy.run_task, []

    def breaks_off(task, *rest):
        if len(calls) == finished:
            raise KeyboardInterrupt
        calls.append(task)
        return original(task, *rest)

    monkeypatch.setattr(toy, "run_task", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        run(toy, tmp_path / "cut")
    assert records.read("toy", "toy_data", "laptop", tmp_path / "cut") is None  # partial is not a result
    seen = []
    monkeypatch.setattr(toy, "run_task", lambda task, *rest: seen.append(task) or original(task, *rest))
    assert run(toy, tmp_path / "cut").path.read_bytes() == whole
    assert seen == list(range(finished, 6))  # no finished task was run again


KILLER = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
import toy
from privacy_for_free import provenance, records
provenance.source_sha256 = lambda module: "s" * 64
left = int(sys.argv[2])
def deadly(real):
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
os.replace, os.fsync, toy.run_task = deadly(os.replace), deadly(os.fsync), deadly(toy.run_task)
records.run(toy, toy.DATA, "smoke", results_dir=sys.argv[1], progress=False)
"""


def test_kill_at_every_step_loses_at_most_the_task_in_hand(toy, tmp_path):
    whole = run(toy, tmp_path / "whole", profile="smoke")
    script = tmp_path / "killer.py"
    script.write_text(KILLER.format(tests=str(TOY.parent)))
    folder, deaths, finished = tmp_path / "killed", 0, 0
    for budget in (1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7, 9, 11, 99):
        code = subprocess.run([sys.executable, script, folder, str(budget)], check=False).returncode
        deaths += code == -signal.SIGKILL
        table = folder / "toy" / "toy_data-smoke.csv"
        lines = table.read_bytes().splitlines(keepends=True) if table.exists() else []
        assert whole.path.read_bytes().startswith(b"".join(lines))  # only whole tasks, always from the start
        assert len(lines) >= finished
        finished = len(lines)
        if code == 0:
            break
    assert code == 0
    assert deaths >= 5
    assert table.read_bytes() == whole.path.read_bytes()
    assert records.read("toy", "toy_data", "smoke", folder).meta["complete"]


DIFFERENCES = {
    "seed": lambda toy: {"seed": 1},
    "parameters": lambda toy: toy.PROFILES.update(laptop=replace(toy.PROFILES["laptop"], scale=9.0)) or {},
    "data_sha256": lambda toy: (
        setattr(toy, "DATA", SimpleNamespace(name="toy_data", sha256="e" * 64, normalised=False)) or {}
    ),
    "data_sha256: d+, now d+ normalised": lambda toy: setattr(toy.DATA, "normalised", True) or {},
    "source_sha256": lambda toy: setattr(provenance, "source_sha256", lambda module: "t" * 64) or {},
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_record_that_does_not_fit_is_refused_and_kept(toy, tmp_path, what):
    run(toy, tmp_path)
    before = snapshot(tmp_path)
    options = DIFFERENCES[what](toy)
    with pytest.raises(records.RecordError, match=f"made with another {what}.*superseded"):
        run(toy, tmp_path, **options)
    assert snapshot(tmp_path) == before
    anew = run(toy, tmp_path, restart=True, **options)
    assert anew.meta["complete"]
    kept = tmp_path / "toy" / "superseded" / "toy_data-laptop.1.csv"
    assert kept.read_bytes() == before[anew.path]


def test_partial_record_of_another_machine_is_not_continued(toy, tmp_path, monkeypatch):
    path = run(toy, tmp_path).path.with_suffix(".json")
    meta = json.loads(path.read_text())
    path.write_text(json.dumps({**meta, "complete": False, "machine": "a Cray-1"}))
    with pytest.raises(records.RecordError, match="begun with another machine: a Cray-1"):
        run(toy, tmp_path)


def test_altered_number_is_noticed(toy, tmp_path):
    table = run(toy, tmp_path).path
    text = table.read_text()
    table.write_text(text.replace(",7,", ",8,", 1))
    with pytest.raises(records.RecordError, match="altered since it was recorded"):
        records.read("toy", "toy_data", "laptop", tmp_path)
    with pytest.raises(records.RecordError, match="altered since it was recorded"):
        run(toy, tmp_path)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"complete": true}'])
def test_damaged_sidecar_is_one_clear_error(toy, tmp_path, damage):
    sidecar = run(toy, tmp_path).path.with_suffix(".json")
    sidecar.write_text(damage)
    with pytest.raises(records.RecordError, match=r"toy_data-laptop\.json.*restart"):
        run(toy, tmp_path)


def test_missing_half_is_one_clear_error(toy, tmp_path):
    table = run(toy, tmp_path).path
    sidecar = table.with_suffix(".json")
    kept = sidecar.read_text()
    sidecar.unlink()
    with pytest.raises(records.RecordError, match="missing beside its table"):
        run(toy, tmp_path)
    sidecar.write_text(kept)
    table.unlink()
    with pytest.raises(records.RecordError, match="not readable"):
        run(toy, tmp_path)


def test_second_process_is_kept_out(toy, tmp_path):
    store = records.Store(tmp_path, "toy", "toy_data", "laptop")
    with store.locked(), pytest.raises(records.RecordError, match="another process"):
        run(toy, tmp_path)
    assert run(toy, tmp_path).meta["complete"]


def test_full_disk_leaves_the_record_as_it_was(toy, tmp_path, monkeypatch):
    original, calls = toy.run_task, []
    monkeypatch.setattr(toy, "run_task", lambda task, *rest: calls.append(task) or original(task, *rest))
    real = os.fsync

    def full(handle):
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(records.RecordError, match="No space left on device"):
        run(toy, tmp_path)
    assert not list(tmp_path.rglob("*.aside"))
    monkeypatch.setattr(os, "fsync", real)
    assert run(toy, tmp_path).path.read_bytes() == run(toy, tmp_path / "whole").path.read_bytes()


def test_unwritable_results_folder_stops_before_work(toy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(toy, "run_task", None)
    with pytest.raises(records.RecordError, match="nothing was run"):
        run(toy, tmp_path / "file")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"profile": "huge"}, "smoke, laptop, paper"),
        ({"seed": -1}, "from 0 up"),
        ({"seed": 1.5}, "from 0 up"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
    ],
)
def test_bad_arguments_stop_before_anything_is_written(toy, tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        run(toy, tmp_path, **options)
    assert not any(tmp_path.iterdir())


def test_largest_prefers_the_larger_profile(toy, tmp_path):
    assert records.largest("toy", "toy_data", tmp_path) is None
    run(toy, tmp_path, profile="smoke")
    run(toy, tmp_path, profile="laptop")
    assert records.largest("toy", "toy_data", tmp_path).meta["profile"] == "laptop"


def test_stale_record_says_so(toy, tmp_path, monkeypatch):
    record = run(toy, tmp_path)
    assert "source has changed" not in record.provenance()
    monkeypatch.setattr(provenance, "source_sha256", lambda module: "t" * 64)
    assert "source has changed" in record.provenance()


def test_rows_must_have_the_promised_columns(toy, monkeypatch):
    monkeypatch.setattr(toy, "run_task", lambda *arguments: [{"value": 1.0}])
    with pytest.raises(records.RecordError, match="columns"):
        run(toy, None)
    monkeypatch.setattr(toy, "run_task", lambda *arguments: [])
    with pytest.raises(records.RecordError, match="no rows"):
        run(toy, None)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=5), st.text(max_size=8))
def test_numbers_and_text_survive_the_table(values, text):
    text = "".join(c for c in text if c.isprintable() and ord(c) < 0xD800).strip()
    rows = [{"value": value, "note": text or None} for value in values]
    block = records._block(rows, ("value", "note"), 0)
    table = "value,note,task\n" + block
    assert records._blocks(table, ("value", "note", "task"), Path("x")) == {0: block}
    frame = records._frame(table)
    assert [float(value) for value in frame.value] == values
    assert all(note == text for note in frame.note.astype(str)) if text else frame.note.isna().all()


def test_committed_records_are_intact_and_current(root):
    tables = sorted((root / "data" / "results").glob("*/*.csv"))
    for table in tables:
        dataset, profile = table.stem.rsplit("-", 1)
        record = records.read(table.parent.name, dataset, profile)
        assert record is not None, f"{table} is not complete"
        assert record.current, f"{table} was made by another source: make records, after moving it aside"
    assert {"linear_dm", "gibbs_ratio", "condensation"} <= {table.parent.name for table in tables}


def test_a_task_keeps_its_state_in_a_file_of_its_own_until_it_is_done(toy, tmp_path, monkeypatch):
    plain, given, killed = toy.run_task, [], []

    def keeps_state(task, parameters, dataset, seed, device, checkpoint=None):
        given.append(checkpoint)
        if task == 3 and not killed:
            killed.append(task)
            checkpoint.write_text("half done")
            raise KeyboardInterrupt
        return plain(task, parameters, dataset, seed, device)

    monkeypatch.setattr(toy, "run_task", keeps_state)
    with pytest.raises(KeyboardInterrupt):
        run(toy, tmp_path)
    kept = tmp_path / "toy" / "toy_data-laptop.3.checkpoint"
    assert given[-1] == kept
    assert list((tmp_path / "toy").glob("*.checkpoint")) == [kept]
    assert len(run(toy, tmp_path).table) == 12
    assert not list((tmp_path / "toy").glob("*.checkpoint"))
    kept.write_text("of the record that is moved aside")
    run(toy, tmp_path, seed=1, restart=True, profile="laptop")
    assert not list((tmp_path / "toy").glob("*.checkpoint"))
    given.clear()
    run(toy, None)
    assert given == [None] * 6
