"""Records: nothing is lost, half written, or reused when it does not fit."""

import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_for_free.lab import provenance, records

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
    assert meta["format"] == records.FORMAT
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


def test_partial_record_of_another_machine_is_not_continued(toy, tmp_path):
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


FAULTS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "not allowed": errno.EACCES}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_disk_that_fails_in_mid_run_leaves_every_record_as_it_was(toy, tmp_path, monkeypatch, step, fault):
    folder = tmp_path / "results"
    run(toy, folder, profile="smoke")  # an earlier record
    whole = run(toy, tmp_path / "whole").path.read_bytes()
    original, calls = toy.run_task, []
    monkeypatch.setattr(toy, "run_task", lambda task, *rest: calls.append(task) or original(task, *rest))
    owner = Path if step == "open" else os
    real, before = getattr(owner, step), {}

    def failing(first, *rest, **options):
        if len(calls) == 3 and (step != "open" or first.name.endswith(".aside")):
            before.update(before or snapshot(folder))
            raise OSError(FAULTS[fault], os.strerror(FAULTS[fault]))
        return real(first, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, failing)
        with pytest.raises(records.RecordError, match=os.strerror(FAULTS[fault])) as error:
            run(toy, folder)
    assert "toy_data-laptop.csv: could not be written" in str(error.value)
    names = ("toy_data-laptop.lock", "toy_data-laptop.csv.aside")
    assert snapshot(folder) == {path: text for path, text in before.items() if path.name not in names}
    assert run(toy, folder).path.read_bytes() == whole
    assert calls == [0, 1, 2, 2, 3, 4, 5]  # what was finished and saved was not run again


REAL_DISK = """
import subprocess, sys
sys.path[:0] = [{tests!r}]
import toy
from pathlib import Path
from privacy_for_free import provenance, records
provenance.source_sha256 = lambda module: "s" * 64
disk, original, calls = Path(sys.argv[1]), toy.run_task, []
def sh(*command): subprocess.run(command, check=True)
def fill():
    with (disk / "filler").open("wb", buffering=0) as handle:
        while True:
            try:
                handle.write(b"x" * 4096)
            except OSError:
                return
def run(): return records.run(toy, toy.DATA, "paper", results_dir=disk, progress=False)
def run_task(task, *rest):
    calls.append(task)
    if len(calls) == 4: fill()
    return original(task, *rest)
toy.run_task = run_task
def refused(words):
    try:
        run()
    except records.RecordError as error:
        assert words in str(error), error
        return
    raise AssertionError("was not refused")
sh("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk)
refused("No space left on device")
refused("No space left on device")
(disk / "filler").unlink()
sh("mount", "-o", "remount,ro", disk)
done = len(calls)
refused("cannot write there (Read-only file system); nothing was run")
assert len(calls) == done
sh("mount", "-o", "remount,rw", disk)
table = run().path.read_text()
toy.run_task = original
whole = records.run(toy, toy.DATA, "paper", results_dir=sys.argv[2], progress=False)
assert table == whole.path.read_text()
"""


def test_real_full_and_real_read_only_disk(tmp_path):
    """On a file system of 64 kB that only this test's process sees."""
    private = [shutil.which("unshare") or "unshare", "-rm"]
    try:
        able = (
            subprocess.run([*private, "mount", "-t", "tmpfs", "tmpfs", tmp_path], check=False).returncode == 0
        )
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("needs Linux, and the right to mount in a name space of its own")
    script, disk = tmp_path / "disk.py", tmp_path / "disk"
    script.write_text(REAL_DISK.format(tests=str(TOY.parent)))
    disk.mkdir()
    command = [*private, sys.executable, script, disk, tmp_path / "whole"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_record_that_cannot_be_moved_aside_stays_whole(toy, tmp_path, monkeypatch):
    run(toy, tmp_path)
    before, real, moves = snapshot(tmp_path), os.replace, []

    def full(source, target):
        moves.append(source)
        if len(moves) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(records.RecordError, match=r"could not be moved into .*No space left"):
        run(toy, tmp_path, seed=1, restart=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("gone", ["toy_data-laptop.2.json", "toy_data-laptop.1.*"])
def test_record_that_is_moved_aside_replaces_none_that_is_there(toy, tmp_path, gone):
    for seed in range(3):
        run(toy, tmp_path, seed=seed, restart=True)
    attic = tmp_path / "toy" / "superseded"
    for path in attic.glob(gone):
        path.unlink()
    before = snapshot(attic)
    run(toy, tmp_path, seed=3, restart=True)
    after = snapshot(attic)
    assert {path: after[path] for path in before} == before
    assert {path.name for path in set(after) - set(before)} == {
        "toy_data-laptop.3.csv",
        "toy_data-laptop.3.json",
    }


@pytest.mark.parametrize("complete", [True, False])
def test_record_of_another_format_is_refused_and_kept(toy, tmp_path, complete):
    sidecar = run(toy, tmp_path).path.with_suffix(".json")
    meta = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({"format": 2, "complete": complete, "new": "keys"}))
    before = snapshot(tmp_path)
    says = r"toy_data-laptop\.json: a record of format 2, this version reads format 1.*was left as it is"
    for attempt in (lambda: run(toy, tmp_path), lambda: records.read("toy", "toy_data", "laptop", tmp_path)):
        with pytest.raises(records.RecordError, match=says):
            attempt()
    assert snapshot(tmp_path) == before
    del meta["format"]  # as written before the number was stated
    sidecar.write_text(json.dumps(meta))
    assert run(toy, tmp_path).meta["complete"]


@pytest.mark.parametrize("complete", [True, False])
def test_record_with_other_columns_is_refused_and_kept(toy, tmp_path, monkeypatch, complete):
    table = run(toy, tmp_path).path
    sidecar = table.with_suffix(".json")
    table.write_text(table.read_text().replace("task_name,", "title,", 1))
    meta = json.loads(sidecar.read_text())
    sidecar.write_text(
        json.dumps({**meta, "complete": complete, "table_sha256": records._sha256(table.read_text())})
    )
    before = snapshot(tmp_path)
    monkeypatch.setattr(toy, "run_task", None)
    with pytest.raises(
        records.RecordError, match=r"columns title, value.*expected task_name, value.*left as"
    ):
        run(toy, tmp_path)
    assert snapshot(tmp_path) == before


def test_folder_that_may_not_be_looked_into_is_one_clear_error(toy, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    says = r"toy_data-laptop\.csv: cannot be looked at \(Permission denied\)"
    for attempt in (lambda: run(toy, tmp_path), lambda: records.read("toy", "toy_data", "laptop", tmp_path)):
        with pytest.raises(records.RecordError, match=says):
            attempt()


def test_disk_without_locks_is_one_clear_error(toy, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(records.fcntl, "flock", refuse)
    says = r"toy_data-laptop\.lock: cannot be locked \(No locks available\); nothing was run.*--results-dir"
    with pytest.raises(records.RecordError, match=says):
        run(toy, tmp_path)
    assert not any((tmp_path / "toy").iterdir())


def test_sidecar_that_is_a_folder_is_one_clear_error(toy, tmp_path):
    (tmp_path / "toy" / "toy_data-laptop.json").mkdir(parents=True)
    with pytest.raises(records.RecordError, match="not a record's sidecar"):
        run(toy, tmp_path)


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


def test_profiles_share_nothing(toy, tmp_path, monkeypatch):
    laptop = run(toy, tmp_path)
    (tmp_path / "toy" / "toy_data-laptop.0.checkpoint").write_text("of the laptop's run")
    before, plain, given = snapshot(tmp_path), toy.run_task, []

    def keeps_state(task, parameters, dataset, seed, device, checkpoint=None):
        given.append((task, checkpoint.exists(), "paper" in checkpoint.name))
        return plain(task, parameters, dataset, seed, device)

    monkeypatch.setattr(toy, "run_task", keeps_state)
    paper = run(toy, tmp_path, profile="paper")
    assert given == [(task, False, True) for task in range(9)]
    assert (
        laptop.table.value[:2].to_numpy() * 1.5 == paper.table.value[:2].to_numpy()
    ).all()  # its own scale
    after = snapshot(tmp_path)
    assert {path: after[path] for path in before} == before


def test_complete_record_of_another_device_is_shown_with_its_machine(toy, tmp_path, monkeypatch):
    sidecar = run(toy, tmp_path).path.with_suffix(".json")
    meta = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**meta, "device": "cuda", "machine": "a far GPU"}))
    monkeypatch.setattr(toy, "run_task", None)
    assert " s on a far GPU, " in run(toy, tmp_path).provenance()  # device auto: whichever made it
    with pytest.raises(records.RecordError, match="made with another device: cuda, now cpu"):
        run(toy, tmp_path, device="cpu")
    sidecar.write_text(json.dumps({**meta, "device": "cuda", "machine": "a far GPU", "complete": False}))
    with pytest.raises(records.RecordError, match="begun with another device"):
        run(toy, tmp_path)


class Backwards(records.Here):
    """Workers that finish the last task first, as a cluster may."""

    def work(self, experiment, dataset, jobs, meta):
        yield from super().work(experiment, dataset, jobs[::-1], meta)


def test_order_in_which_tasks_finish_does_not_show(toy, tmp_path):
    whole = run(toy, tmp_path / "whole").path.read_bytes()
    assert run(toy, tmp_path / "back", workers=Backwards()).path.read_bytes() == whole


@pytest.mark.parametrize("writes", range(2, 14))
def test_run_that_finishes_in_any_order_goes_on_after_a_kill_at_any_write(toy, tmp_path, monkeypatch, writes):
    whole = run(toy, tmp_path / "whole").path.read_bytes()
    real, count = records._replace, []

    def killed(path, text):
        count.append(path)
        if len(count) > writes:
            raise KeyboardInterrupt
        real(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(records, "_replace", killed)
        with pytest.raises(KeyboardInterrupt):
            run(toy, tmp_path / "cut", workers=Backwards())
    calls, original = [], toy.run_task
    monkeypatch.setattr(toy, "run_task", lambda task, *rest: calls.append(task) or original(task, *rest))
    assert run(toy, tmp_path / "cut").path.read_bytes() == whole
    assert calls == list(range(6 - max(0, writes - 2) // 2))  # the table counts, even ahead of its sidecar


def test_state_says_how_far_a_record_is_and_refuses_what_run_would(toy, tmp_path, monkeypatch):
    def state(**options):
        return records.state(toy, toy.DATA, "laptop", results_dir=tmp_path, **options)

    assert state() == records.State(6, 0, 0.0, complete=False)
    original = toy.run_task

    def breaks_off(task, *rest):
        if task == 2:
            raise KeyboardInterrupt
        return original(task, *rest)

    monkeypatch.setattr(toy, "run_task", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        run(toy, tmp_path)
    assert (state().finished, state().tasks, state().complete) == (2, 6, False)
    with pytest.raises(records.RecordError, match="begun with another seed"):
        state(seed=1)
    monkeypatch.setattr(toy, "run_task", original)
    run(toy, tmp_path)
    assert state().complete


def test_time_left_without_a_progress_bar(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    run(toy, tmp_path, profile="smoke", progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "toy: 0 of 3 tasks done"
    assert [line[: line.index(",")] for line in lines[1:]] == [f"toy: {n} of 3 tasks done" for n in (1, 2, 3)]
    assert lines[-1].endswith("about 0 s left")


def test_largest_prefers_the_larger_profile(toy, tmp_path):
    run(toy, tmp_path, profile="smoke")
    assert records.largest("toy", "toy_data", tmp_path) is None  # smoke is no result
    run(toy, tmp_path, profile="paper")
    assert records.largest("toy", "toy_data", tmp_path).meta["profile"] == "paper"
    run(toy, tmp_path, profile="laptop")
    assert records.largest("toy", "toy_data", tmp_path).meta["profile"] == "paper"


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


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=5), st.text(max_size=8))
def test_numbers_and_text_survive_the_table(values, text):
    text = "".join(c for c in text if c.isprintable() and ord(c) < 0xD800).strip()
    text = text and "a" + text  # a column of "true", "1" or "inf" is not read as text
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
        peak = record.meta["peak_memory_bytes"]
        assert peak > 0, f"{table} does not state its memory"
        assert profile != "laptop" or peak < 6e9, f"{table}: {peak / 1e9:.2f} GB, a laptop is to do with 6"
        assert record.meta["machine"], f"{table} does not state its machine"
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
