"""The files of records: nothing is lost, half written, or reused when it does not fit."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.damage import damaged

from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.store import Store, largest, read

TESTS = Path(__file__).parents[1]

TOY = """
import os, signal, subprocess, sys
sys.path[:0] = [{tests!r}]
import toy
from dataclasses import replace
from pathlib import Path
from privacy_for_free.lab import provenance
from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.run import run
provenance.definitions_of = lambda roots: dict(toy.DEFINITIONS)
def make(does, folder, profile):
    experiment = replace(toy.EXPERIMENT, run=does)
    return run(experiment, toy.DATA, profile, results_dir=folder, shown=False)
"""
KILLER = (
    TOY
    + """
left = int(sys.argv[2])
def deadly(real):
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
os.replace, os.fsync = deadly(os.replace), deadly(os.fsync)
make(deadly(toy.run), sys.argv[1], "smoke")
"""
)


def never(*_):
    raise AssertionError("no task is to be run")


def test_kill_at_every_step_loses_at_most_the_task_in_hand(make, tmp_path):
    whole = make(tmp_path / "whole", profile="smoke")
    script = tmp_path / "killer.py"
    script.write_text(KILLER.format(tests=str(TESTS)))
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
    assert read("toy", "toy_data", "smoke", folder).meta["complete"]


OTHER_DATA = SimpleNamespace(name="toy_data", sha256="e" * 64, normalised=False)
DIFFERENCES = {
    "seed": lambda toy: {"seed": 1},
    "parameters": lambda toy: toy.PROFILES.update(laptop=replace(toy.PROFILES["laptop"], scale=9.0)),
    "data_sha256": lambda toy: setattr(toy, "DATA", OTHER_DATA),
    "data_sha256: d+, now d+ normalised": lambda toy: setattr(toy.DATA, "normalised", True),
    "source: toy:run": lambda toy: toy.DEFINITIONS.update({"toy:run": "f" * 16}),
    "source: toy:tasks": lambda toy: toy.DEFINITIONS.pop("toy:tasks") and None,
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_record_that_does_not_fit_is_refused_and_kept(toy, make, tmp_path, snapshot, what):
    make(tmp_path)
    before = snapshot(tmp_path)
    options = DIFFERENCES[what](toy) or {}
    with pytest.raises(RecordError, match=f"made with another {what}.*superseded"):
        make(tmp_path, **options)
    assert snapshot(tmp_path) == before
    anew = make(tmp_path, restart=True, **options)
    assert anew.meta["complete"]
    kept = tmp_path / "toy" / "superseded" / "toy_data-laptop.1.csv"
    assert kept.read_bytes() == before[anew.path]


@pytest.mark.parametrize("complete", [True, False])
def test_record_without_definitions_is_of_an_older_version(make, tmp_path, complete):
    sidecar = make(tmp_path).path.with_suffix(".json")
    meta = json.loads(sidecar.read_text())
    del meta["definitions"]
    sidecar.write_text(json.dumps(meta | {"complete": complete}))
    with pytest.raises(RecordError, match="with another source: of an older version"):
        make(tmp_path)


@pytest.mark.parametrize("complete", [True, False])
def test_settings_added_with_a_default_leave_a_record_usable(toy, make, tmp_path, complete):
    @dataclass(frozen=True)
    class Wider(toy.Design):
        more: int = 3

    def widened(more):
        profiles = {name: Wider(design.tasks, design.scale, more) for name, design in toy.PROFILES.items()}
        return replace(toy.EXPERIMENT, design=Wider, profiles=profiles)

    record = make(tmp_path)
    sidecar = record.path.with_suffix(".json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"complete": complete}))
    toy.EXPERIMENT = widened(4)
    with pytest.raises(RecordError, match=r"with another parameters: .*, now .*4"):
        make(tmp_path)
    toy.EXPERIMENT = widened(3)
    assert make(tmp_path).path.read_bytes() == record.path.read_bytes()


def test_settings_added_without_a_default_refuse_a_record(toy, make, tmp_path):
    @dataclass(frozen=True)
    class Wider:
        tasks: int
        scale: float
        more: int

    make(tmp_path)
    toy.EXPERIMENT = replace(toy.EXPERIMENT, design=Wider, profiles={"laptop": Wider(6, 2.0, 3)})
    with pytest.raises(RecordError, match="made with another parameters"):
        make(tmp_path)


def test_partial_record_of_another_machine_is_not_continued(make, tmp_path):
    path = make(tmp_path).path.with_suffix(".json")
    meta = json.loads(path.read_text())
    path.write_text(json.dumps({**meta, "complete": False, "machine": "a Cray-1"}))
    with pytest.raises(RecordError, match="begun with another machine: a Cray-1"):
        make(tmp_path)


def test_altered_number_is_noticed(make, tmp_path):
    table = make(tmp_path).path
    text = table.read_text()
    table.write_text(text.replace(",7,", ",8,", 1))
    for attempt in (lambda: make(tmp_path), lambda: read("toy", "toy_data", "laptop", tmp_path)):
        with pytest.raises(RecordError, match="altered since it was recorded"):
            attempt()


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"complete": true}'])
def test_damaged_sidecar_is_one_clear_error(make, tmp_path, damage):
    sidecar = make(tmp_path).path.with_suffix(".json")
    sidecar.write_text(damage)
    with pytest.raises(RecordError, match=r"toy_data-laptop\.json.*restart"):
        make(tmp_path)


def test_missing_half_is_one_clear_error(make, tmp_path):
    table = make(tmp_path).path
    sidecar = table.with_suffix(".json")
    kept = sidecar.read_text()
    sidecar.unlink()
    with pytest.raises(RecordError, match="missing beside its table"):
        make(tmp_path)
    sidecar.write_text(kept)
    table.unlink()
    with pytest.raises(RecordError, match="not readable"):
        make(tmp_path)


def test_an_attested_record_keeps_its_table(make, tmp_path):
    record = make(tmp_path)
    store = Store(tmp_path, "toy", "toy_data", "laptop")
    meta, text = store.load()
    entry = {"date": "2028-01-02T03:04:05+00:00", "source_sha256": "e"}
    for commit in "cd":
        store.append(entry | {"commit": commit}, meta["definitions"], meta["table_sha256"])
    assert store.load() == (meta | {"attested": [entry | {"commit": commit} for commit in "cd"]}, text)
    with store.locked(), pytest.raises(RecordError, match="another process"):
        store.append({}, {}, meta["table_sha256"])
    assert make(tmp_path).path.read_bytes() == record.path.read_bytes()


def test_what_killed_processes_were_writing_goes_with_the_task_or_the_record(make, tmp_path):
    folder = make(tmp_path).path.parent
    store = Store(tmp_path, "toy", "toy_data", "laptop")
    left = [
        folder / f"toy_data-laptop.{name}.99.aside" for name in ("3.checkpoint", "3.sets.checkpoint", "csv")
    ]
    for path in left:
        path.write_text("half")
    store.forget(3)
    assert [path.exists() for path in left] == [False, False, True]
    store.supersede()
    assert not left[2].exists()


def test_second_process_is_kept_out(make, tmp_path):
    store = Store(tmp_path, "toy", "toy_data", "laptop")
    with store.locked(), pytest.raises(RecordError, match="another process"):
        make(tmp_path)
    assert make(tmp_path).meta["complete"]


FAULTS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "not allowed": errno.EACCES}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_disk_that_fails_in_mid_run_leaves_every_record_as_it_was(
    toy, make, tmp_path, monkeypatch, snapshot, step, fault
):
    folder = tmp_path / "results"
    make(folder, profile="smoke")  # an earlier record
    whole = make(tmp_path / "whole").path.read_bytes()
    calls = []
    toy.EXPERIMENT = replace(
        toy.EXPERIMENT, run=lambda task, *rest: calls.append(task) or toy.run(task, *rest)
    )
    owner = Path if step == "open" else os
    real, before = getattr(owner, step), {}

    def failing(first, *rest, **options):
        if len(calls) == 3 and (step != "open" or first.name.endswith(".aside")):
            before.update(before or snapshot(folder))
            raise OSError(FAULTS[fault], os.strerror(FAULTS[fault]))
        return real(first, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, failing)
        with pytest.raises(RecordError, match=os.strerror(FAULTS[fault])) as error:
            make(folder)
    assert "toy_data-laptop.csv: could not be written" in str(error.value)
    left = {path: text for path, text in before.items() if path.suffix not in (".lock", ".aside")}
    assert snapshot(folder) == left
    assert make(folder).path.read_bytes() == whole
    assert calls == [0, 1, 2, 2, 3, 4, 5]  # what was finished and saved was not run again


REAL_DISK = (
    TOY
    + """
disk, calls = Path(sys.argv[1]), []
def sh(*command): subprocess.run(command, check=True)
def fill():
    with (disk / "filler").open("wb", buffering=0) as handle:
        while True:
            try:
                handle.write(b"x" * 4096)
            except OSError:
                return
def does(task, *rest):
    calls.append(task)
    if len(calls) == 4: fill()
    return toy.run(task, *rest)
def refused(words):
    try:
        make(does, disk, "paper")
    except RecordError as error:
        assert words in str(error), error
        return
    raise AssertionError("was not refused")
sh("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk)
refused("No space left on device")
refused("No space left on device")
(disk / "filler").unlink()
sh("mount", "-o", "remount,ro", disk)
done = len(calls)
refused("could not be written (Read-only file system); nothing was run")
assert len(calls) == done
sh("mount", "-o", "remount,rw", disk)
table = make(does, disk, "paper").path.read_text()
assert table == make(toy.run, sys.argv[2], "paper").path.read_text()
"""
)


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
    script.write_text(REAL_DISK.format(tests=str(TESTS)))
    disk.mkdir()
    command = [*private, sys.executable, script, disk, tmp_path / "whole"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_record_that_cannot_be_moved_aside_stays_whole(make, tmp_path, monkeypatch, snapshot):
    make(tmp_path)
    before, real, moves = snapshot(tmp_path), os.replace, []

    def full(source, target):
        moves.append(source)
        if len(moves) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RecordError, match=r"could not be moved into .*No space left"):
        make(tmp_path, seed=1, restart=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("gone", ["toy_data-laptop.2.json", "toy_data-laptop.1.*"])
def test_record_that_is_moved_aside_replaces_none_that_is_there(make, tmp_path, snapshot, gone):
    for seed in range(3):
        make(tmp_path, seed=seed, restart=True)
    attic = tmp_path / "toy" / "superseded"
    for path in attic.glob(gone):
        path.unlink()
    before = snapshot(attic)
    make(tmp_path, seed=3, restart=True)
    after = snapshot(attic)
    assert {path: after[path] for path in before} == before
    assert {path.name for path in set(after) - set(before)} == {
        "toy_data-laptop.3.csv",
        "toy_data-laptop.3.json",
    }


@pytest.mark.parametrize("complete", [True, False])
def test_record_of_another_format_is_refused_and_kept(make, tmp_path, snapshot, complete):
    sidecar = make(tmp_path).path.with_suffix(".json")
    meta = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({"format": 2, "complete": complete, "new": "keys"}))
    before = snapshot(tmp_path)
    says = r"toy_data-laptop\.json: a record of format 2, this version reads format 1.*was left as it is"
    for attempt in (lambda: make(tmp_path), lambda: read("toy", "toy_data", "laptop", tmp_path)):
        with pytest.raises(RecordError, match=says):
            attempt()
    assert snapshot(tmp_path) == before
    del meta["format"]  # as written before the number was stated
    sidecar.write_text(json.dumps(meta))
    assert make(tmp_path).meta["complete"]


@pytest.mark.parametrize("complete", [True, False])
def test_record_with_other_columns_is_refused_and_kept(toy, make, tmp_path, snapshot, complete):
    table = make(tmp_path).path
    sidecar = table.with_suffix(".json")
    table.write_text(table.read_text().replace("task_name,", "title,", 1))
    meta, digest = json.loads(sidecar.read_text()), hashlib.sha256(table.read_bytes()).hexdigest()
    sidecar.write_text(json.dumps({**meta, "complete": complete, "table_sha256": digest}))
    before = snapshot(tmp_path)
    toy.EXPERIMENT = replace(toy.EXPERIMENT, run=never)
    with pytest.raises(RecordError, match=r"columns title, value.*expected task_name, value.*left as"):
        make(tmp_path)
    assert snapshot(tmp_path) == before


def test_folder_that_may_not_be_looked_into_is_one_clear_error(make, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    says = r"toy_data-laptop\.csv: cannot be looked at \(Permission denied\)"
    for attempt in (lambda: make(tmp_path), lambda: read("toy", "toy_data", "laptop", tmp_path)):
        with pytest.raises(RecordError, match=says):
            attempt()


def test_disk_without_locks_is_one_clear_error(make, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    says = r"toy_data-laptop\.lock: cannot be locked \(No locks available\); nothing was run.*that has locks"
    with pytest.raises(RecordError, match=says):
        make(tmp_path)
    assert not any((tmp_path / "toy").iterdir())


def test_sidecar_that_is_a_folder_is_one_clear_error(make, tmp_path):
    (tmp_path / "toy" / "toy_data-laptop.json").mkdir(parents=True)
    with pytest.raises(RecordError, match="not a record's sidecar"):
        make(tmp_path)


def test_unwritable_results_folder_stops_before_work(toy, make, tmp_path):
    (tmp_path / "file").write_text("in the way")
    toy.EXPERIMENT = replace(toy.EXPERIMENT, run=never)
    with pytest.raises(RecordError, match="nothing was run"):
        make(tmp_path / "file")


def test_largest_prefers_the_larger_profile(make, tmp_path):
    make(tmp_path, profile="smoke")
    make(tmp_path, changes={"tasks": 2}, name="wide")
    assert (
        largest("toy", "toy_data", tmp_path) is None
    )  # smoke is no result, changed settings are none asked for
    make(tmp_path, profile="paper")
    assert largest("toy", "toy_data", tmp_path).meta["profile"] == "paper"
    make(tmp_path, profile="laptop")
    assert largest("toy", "toy_data", tmp_path).meta["profile"] == "paper"
    assert read("toy", "toy_data", "wide", tmp_path).meta["profile"] == "wide"


def test_a_record_that_goes_on_is_drawn_from_where_its_tasks_stand_for_themselves(make, tmp_path):
    record = make(tmp_path, profile="laptop")
    sidecar = record.path.with_suffix(".json")
    meta = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(meta | {"complete": False}))
    assert largest("toy", "toy_data", tmp_path) is None
    found = largest("toy", "toy_data", tmp_path, partial=True)
    assert len(found.table) == len(record.table)
    tasks = found.table.task.nunique()
    assert f"of {tasks} of {meta['tasks']} tasks so far" in found.provenance()
    assert "so far" not in record.provenance()


def outcome(attempt, error=RecordError):
    """Return the text of a record's table, or of the one error that is allowed."""
    try:
        record = attempt()
    except error as why:
        return None, str(why)
    return record and record.table.to_csv(), ""


@pytest.mark.parametrize("complete", [True, False], ids=["whole", "partial"])
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_500_damaged_files_of_a_record_are_one_error_each_or_the_right_table(
    toy, make, tmp_path, snapshot, suffix, complete
):
    """Of 500 damages to each file of a record, whole or cut off after four tasks, none gives other rows."""
    path = make(tmp_path).path
    sidecar, right = path.with_suffix(".json"), make(tmp_path).table.to_csv()
    if not complete:
        lines = [
            line for line in path.read_text().splitlines(keepends=True) if line[-3:] not in (",4\n", ",5\n")
        ]
        path.write_text("".join(lines))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sidecar.write_text(
            json.dumps(
                json.loads(sidecar.read_text()) | {"complete": False, "table_sha256": digest}, indent=1
            )
        )
    victim, whole = path.with_suffix(suffix), snapshot(tmp_path)
    wanted = (right, None) if complete else (None,)
    for seed in range(250, 500) if complete else range(250):
        victim.write_bytes(damaged(whole[victim], seed))
        before = snapshot(tmp_path)
        found, why = outcome(lambda: read("toy", "toy_data", "laptop", tmp_path))
        assert found in wanted, seed
        if found is None and why:
            assert str(path.with_suffix("")) in why, seed
        elif found is None:
            assert not json.loads(sidecar.read_text())["complete"]
        assert snapshot(tmp_path) == before
        again, refused = outcome(lambda: make(tmp_path))
        assert again in (right, None), seed
        if refused:
            assert str(path.with_suffix("")) in refused, seed
            assert snapshot(tmp_path) == before
        for name, content in whole.items():
            name.write_bytes(content)


FILE = {"sha256": "0" * 64, "bytes": 3, "dtype": "bool", "shape": [1]}
UNSAFE = {"machine": "m", "differs": None, "files": {"../elsewhere": FILE}}
FAULTS_OF_FIELDS = {
    "seconds": [None, "12 s", float("nan"), -1.0, float("inf"), True, [1]],
    "complete": ["no", None, 0, 1],
    "seed": ["7", -1, 0.5, True, None],
    "peak_memory_bytes": [None, -1, "1 GB"],
    "tasks": [None, "6", 6.5],
    "machine": [None, "", 5],
    "versions": [None, [], "2.13", {"torch": 2}],
    "parameters": [None, [], "tasks=6"],
    "definitions": [None, [], {"toy:run": 1}],
    "started": [None, 2024, "yesterday"],
    "commit": [5, "", {}],
    "table_sha256": [None, 5],
    "data_sha256": [None, []],
    "device": [None, 0],
    "attested": [None, {}, "yes", [5], [{}], [{"date": "soon", "commit": "c", "source_sha256": "d"}]],
    "kept": [None, [], {"0": {}}, {"a": {"machine": "m", "differs": None, "files": {}}}, {"0": UNSAFE}],
    "varies": [None, "laptop", {"profile": "laptop"}, {"profile": 5, "changes": {}}],
}


@pytest.mark.parametrize("field", FAULTS_OF_FIELDS)
def test_case_52_a_sidecars_field_of_another_type_is_one_error_that_names_it(make, tmp_path, snapshot, field):
    path = make(tmp_path).path.with_suffix(".json")
    meta = json.loads(path.read_text())
    for value in FAULTS_OF_FIELDS[field]:
        path.write_text(json.dumps(meta | {field: value}))
        before = snapshot(tmp_path)
        for attempt in (lambda: read("toy", "toy_data", "laptop", tmp_path), lambda: make(tmp_path)):
            _, why = outcome(attempt)
            assert f"{path}: {field} {json.dumps(value)[:77]}" in why
            assert ": allowed are " in why
        assert snapshot(tmp_path) == before


def test_a_table_that_lacks_tasks_is_not_complete(make, tmp_path):
    """A sidecar that says so by mistake, as after an edit by hand, is no way to a smaller table."""
    path = make(tmp_path).path
    sidecar = path.with_suffix(".json")
    path.write_text(
        "".join(line for line in path.read_text().splitlines(keepends=True) if line[-3:] != ",5\n")
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"table_sha256": digest}))
    with pytest.raises(RecordError, match=r"complete true with 6 tasks, but the table has 5"):
        read("toy", "toy_data", "laptop", tmp_path)


def test_a_record_under_another_name_is_refused(make, tmp_path):
    path = make(tmp_path).path
    for suffix in (".csv", ".json"):
        path.with_suffix(suffix).rename(path.with_name(f"other_data-laptop{suffix}"))
    with pytest.raises(RecordError, match=r"other_data-laptop\.json: of dataset toy_data, which its place"):
        read("toy", "other_data", "laptop", tmp_path)
