"""The command line: a record on disk, and one clear line for what the user can mend."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from privacy_for_free import experiments
from privacy_for_free.__main__ import main, parser
from privacy_for_free.core.errors import CheckpointError, DivergenceError
from privacy_for_free.experiments.linear_dm import EXPERIMENT as LINEAR
from privacy_for_free.lab import provenance, settings
from privacy_for_free.lab.store import largest

SMALL = {"pools": (4,), "features": (2,), "sizes": ((12, 2),), "normals": 20_000, "chains": 50}
SET = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture
def linear(monkeypatch):
    """Return a function that changes fields of linear_dm's declaration; its smoke profile is a small one."""
    small = dict(LINEAR.profiles) | {"smoke": settings.change(LINEAR.profiles["smoke"], SMALL)}

    def change(**fields):
        changed = replace(LINEAR, profiles=small, **fields)
        monkeypatch.setattr(sys.modules[LINEAR.module], "EXPERIMENT", changed)

    change()
    return change


def test_list_names_every_experiment_in_the_books_order(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{experiment.name}: {experiment.summary}" for experiment in experiments.every()]
    assert {line.split(":")[0] for line in lines} == set(experiments.NAMES)


@pytest.mark.parametrize("command", [["list"], ["show", "membership"]])
def test_case_44_a_reader_that_goes_away_ends_it_quietly(command):
    started = subprocess.Popen(
        [sys.executable, "-m", "privacy_for_free", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    started.stdout.close()
    assert started.stderr.read() == b""
    started.stderr.close()
    assert started.wait() == 141


def test_case_44_a_list_is_cut_short_by_head():
    command = f"{sys.executable} -m privacy_for_free list | head -1"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    first = experiments.every()[0]
    assert ended.stdout == f"{first.name}: {first.summary}\n"
    assert ended.stderr == ""


def test_case_45_what_python_strips_is_not_missed(capsys):
    main(["list"])
    command = [sys.executable, "-OO", "-m", "privacy_for_free", "list"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == capsys.readouterr().out
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("called", "says"),
    [
        ("/usr/bin/privacy-for-free", "usage: privacy-for-free "),
        ("x/__main__.py", "usage: python -m privacy"),
    ],
)
def test_usage_says_how_it_was_called(monkeypatch, capsys, called, says):
    monkeypatch.setattr(sys, "argv", [called])
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.startswith(says)


def test_the_script_of_the_package_is_this_command(root):
    text = (root / "pyproject.toml").read_text()
    assert '[project.scripts]\nprivacy-for-free = "privacy_for_free.__main__:main"\n' in text


def test_show_lists_the_settings_of_a_profile(capsys):
    assert main(["show", "membership", "--profile", "laptop"]) == 0
    expected = settings.table(experiments.get("membership").profiles["laptop"])
    assert capsys.readouterr().out == f"{expected}\n"
    assert main(["show", "linear_dm"]) == 0
    assert capsys.readouterr().out == f"{settings.table(LINEAR.profiles['smoke'])}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["nonsense"], "known are canaries"), (["scaling", "--profile", "x"], "known are smoke")],
)
def test_show_names_what_there_is(capsys, arguments, says):
    assert main(["show", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_changed_settings_make_a_record_that_nothing_else_picks_up(tmp_path, capsys):
    rest = ["--device", "cpu", "--results-dir", str(tmp_path)]
    assert main(["run", "linear_dm", "--profile", "laptop", *SET, "--as", "wide", *rest]) == 0
    table = tmp_path / "linear_dm" / "fashion_mnist_mini-wide.csv"
    assert capsys.readouterr().out.splitlines()[0] == str(table)
    meta = json.loads(table.with_suffix(".json").read_text())
    assert meta["profile"] == "wide"
    assert meta["parameters"] == settings.as_json(settings.change(LINEAR.profiles["laptop"], SMALL))
    assert main(["run", "linear_dm", "--profile", "laptop", *SET, *rest]) == 0
    name = f"fashion_mnist_mini-laptop_{settings.name_of(SMALL)}.csv"
    assert Path(capsys.readouterr().out.splitlines()[0]).name == name
    assert largest("linear_dm", "fashion_mnist_mini", tmp_path) is None
    assert main(["run", "linear_dm", "--profile", "laptop", *SET[2:], "--as", "wide", *rest]) == 2
    assert "made with another parameters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["linear_dm", "--set", "chain=3"], "chain 3: allowed are the names below\nWhat can be set:\n"),
        (["linear_dm", "--set", "chains=many"], "chains 'many': allowed are whole numbers\nWhat can be set:"),
        (["linear_dm", "--set", "chains"], "change 'chains': allowed are a name, an equals sign and a value"),
        (["linear_dm", "--set", "chains=3", "--set", "chains=4"], "chains 3 and 4: allowed is one value"),
        (["linear_dm", "--set", "chains=3", "--as", "paper"], "name 'paper': allowed are small letters"),
        (["linear_dm", "--as", "wide"], "--as wide: allowed with --set only"),
        (["all", "--set", "chains=3"], "--set and --as with all: name the experiment"),
        (["all", "--as", "wide"], "--set and --as with all: name the experiment"),
    ],
)
def test_changes_that_are_not_allowed_are_one_error_before_any_work(arguments, says, tmp_path, capsys):
    assert main(["run", *arguments, "--results-dir", str(tmp_path), "--data-root", "no/such"]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: ")
    assert captured.count("error: ") == 1
    assert says in captured
    assert not any(tmp_path.iterdir())


def test_run_writes_a_record_and_a_second_run_reuses_it(tmp_path, linear, capsys):
    command = ["run", "linear_dm", "--device", "cpu", "--results-dir", str(tmp_path)]
    assert main(command) == 0
    table = tmp_path / "linear_dm" / "fashion_mnist_mini-smoke.csv"
    assert str(table) in capsys.readouterr().out
    first = table.read_bytes(), table.stat().st_mtime_ns
    assert main(command) == 0
    assert (table.read_bytes(), table.stat().st_mtime_ns) == first
    assert main([*command, "--seed", "1"]) == 2
    assert "another seed: 0, now 1" in capsys.readouterr().err


def folders():
    """Yield every option of every command that names a folder, with a command line that takes it."""
    (commands,) = [action for action in parser()._actions if isinstance(action.choices, dict)]
    for name, command in commands.choices.items():
        for action in command._actions:
            for option in action.option_strings:
                if option.endswith(("-dir", "-root", "-folder", "-path", "-file")):
                    yield [name, "linear_dm", option], option


@pytest.mark.parametrize(("command", "option"), list(folders()), ids=str)
def test_k7_a_folder_on_the_command_line_is_a_path_in_any_home(
    command, option, tmp_path, monkeypatch, capsys
):
    # case 16
    assert main([*command, ""]) == 2
    says = f"error: {option} '': allowed is a path, given as text that is not empty\n"
    assert capsys.readouterr().err == says
    assert main([*command, "~nobody-of-this-name/x"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {option} '~nobody-of-this-name/x': allowed is a path")
    seen = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("privacy_for_free.__main__.run", lambda *_, **given: seen.append(given) or RECORD)
    monkeypatch.setattr("privacy_for_free.__main__.data.load", lambda name, root: seen.append(root))
    for name in ("read", "keep"):
        monkeypatch.setattr(
            f"privacy_for_free.__main__.{name}", lambda *given, **_: seen.append(given) or RECORD
        )
    monkeypatch.setattr(
        "privacy_for_free.__main__.attesting.attest_records",
        lambda *given, **more: seen.append([*given, *more.values()]) or [],
    )
    assert main([*command, "~/x"]) == 0
    assert str(tmp_path / "x") in str(seen)
    assert "~" not in str(seen)


META = {"experiment": "linear_dm", "dataset": "fashion_mnist_mini", "profile": "laptop"}
RECORD = SimpleNamespace(path=Path("there"), meta=META, provenance=lambda: "made up")


def test_the_options_that_are_folders_are_found():
    assert {tuple(command[::2]) for command, _ in folders()} == {
        ("run", "--data-root"),
        ("run", "--results-dir"),
        ("run", "--keep-dir"),
        ("keep", "--data-root"),
        ("keep", "--results-dir"),
        ("keep", "--keep-dir"),
        ("attest", "--data-root"),
        ("attest", "--results-dir"),
    }


def test_files_are_kept_and_made_again(tmp_path, linear, monkeypatch, capsys):
    def run(*given, keep):
        keep("numbers", values=torch.arange(3))
        return [dict.fromkeys(LINEAR.column_names, 0.5)]

    monkeypatch.setattr(provenance, "definitions_of", lambda roots: {"made:up": "0"})
    linear(run=run, kept=lambda *_: {"numbers/values": ("int64", (3,))})
    options = ["--results-dir", str(tmp_path), "--profile", "smoke"]
    assert main(["keep", "linear_dm", *options]) == 2
    says = "linear_dm/fashion_mnist_mini-smoke.csv: no complete record; `run linear_dm --keep` makes one\n"
    assert capsys.readouterr().err.endswith(says)
    assert main(["run", "linear_dm", *options, "--keep"]) == 0
    path = tmp_path / "linear_dm" / "kept" / "fashion_mnist_mini-smoke" / "numbers" / "values.npy"
    data = path.read_bytes()
    path.unlink()
    capsys.readouterr()
    assert main(["keep", "linear_dm", *options]) == 0
    assert (
        capsys.readouterr().out == f"{path.parents[1]}\n   0.0 MB  numbers: values\n   0.0 MB  in 1 files\n"
    )
    assert path.read_bytes() == data
    assert main(["keep", "linear_dm", *options, "--keep-dir", str(tmp_path / "large")]) == 0
    large = tmp_path / "large" / "linear_dm" / "fashion_mnist_mini-smoke" / "numbers" / "values.npy"
    assert large.read_bytes() == data


def test_sizes_are_said_without_a_record(tmp_path, capsys):
    assert main(["keep", "membership", "--profile", "smoke", "--results-dir", str(tmp_path), "--sizes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "   0.0 MB  pool: indices, labels, membership"
    assert lines[-1] == "   4.3 MB  in 66 files"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["linear_dm", "all"])
def test_a_smoke_run_is_shown_and_kept_only_where_a_folder_is_named(
    name, tmp_path, linear, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("privacy_for_free.__main__.RESULTS", tmp_path / "results")
    monkeypatch.setattr(experiments, "NAMES", ("linear_dm",))
    command = ["run", name, "--device", "cpu", "--dataset", "fashion_mnist_mini"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "not kept: a smoke run is kept only where --results-dir names a folder"
    assert any(line.startswith("linear_dm on fashion_mnist_mini, profile smoke, seed 0: ") for line in lines)
    if name == "linear_dm":
        assert set(lines[0].split()) & set(LINEAR.column_names)  # the head of its table
    assert not any(tmp_path.iterdir())
    assert main([*command, "--results-dir", "here"]) == 0
    assert (tmp_path / "here" / "linear_dm" / "fashion_mnist_mini-smoke.csv").exists()
    assert "not kept" not in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--restart"], ["--set", "chains=3", "--as", "wide"]])
def test_what_needs_a_record_is_refused_for_a_smoke_run_that_is_not_kept(options, capsys):
    assert main(["run", "linear_dm", *options]) == 2
    assert "with the profile smoke: allowed with --results-dir" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "known are canaries"),
        (["linear_dm", "--dataset", "nonsense"], "known are fashion_mnist_mini"),
        (["linear_dm", "--profile", "huge"], "known are smoke"),
        (["linear_dm", "--device", "tpu"], "known are auto"),
        (["linear_dm", "--device", "tpu", "--cluster", "local"], "known are auto"),
        (["linear_dm", "--dataset", "mnist", "--dataset", "cifar10"], "several are allowed with all only"),
        (["linear_dm", "--cluster", "loca"], "cluster 'loca': allowed are local, or an address"),
        (["linear_dm", "--cluster", "local", "--workers", "0"], "allowed are whole numbers from 1 up"),
        (["linear_dm", "--cluster", "tcp://host:8786", "--workers", "2"], "with cluster local only"),
        (["linear_dm", "--workers", "2"], "workers 2: allowed with --cluster local only"),
        (["all", "--restart"], "name the experiment"),
        (["all", "--dataset", "nonsense"], "known are fashion_mnist_mini"),
        (["all", "--data-root", "no/such"], "no/such"),
        (["linear_dm", "--dataset", "cifar10", "--data-root", "no/such"], "no/such"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(arguments, says, tmp_path, capsys):
    assert main(["run", *arguments, "--results-dir", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert not any(tmp_path.iterdir())


def small(monkeypatch, *names, run=None):
    """Keep a few experiments of two tasks, made up; return the list of the tasks that are run."""
    grid = settings.change(LINEAR.profiles["smoke"], SMALL | {"features": (2, 3)})
    ran = []

    def of_name(name):
        def rows(task, *rest):
            ran.append((name, task.k))
            return [dict.fromkeys(LINEAR.column_names, task.k / 7)]

        does = (run or {}).get(name, rows)
        return replace(LINEAR, name=name, profiles={"smoke": grid, "paper": grid}, run=does)

    monkeypatch.setattr(experiments, "NAMES", names)
    monkeypatch.setattr(experiments, "get", of_name)
    monkeypatch.setattr(provenance, "definitions_of", lambda roots: {"made:up": "0"})
    return ran


def test_all_skips_what_is_complete_and_goes_on_with_what_is_not(tmp_path, monkeypatch, capsys):
    ran = small(monkeypatch, "one", "two")
    rest = ["--dataset", "fashion_mnist_mini", "--device", "cpu", "--results-dir", str(tmp_path)]
    assert main(["run", "one", *rest]) == 0
    assert main(["run", "two", *rest]) == 0
    sidecar = tmp_path / "two" / "fashion_mnist_mini-smoke.json"
    table, meta = sidecar.with_suffix(".csv"), json.loads(sidecar.read_text())
    whole = table.read_bytes()
    first = [line for line in table.read_text().splitlines(keepends=True) if not line.endswith(",1\n")]
    table.write_text("".join(first))
    digest = hashlib.sha256("".join(first).encode()).hexdigest()
    sidecar.write_text(json.dumps({**meta, "complete": False, "table_sha256": digest, "seconds": 100}))
    ran.clear()
    capsys.readouterr()
    assert main(["run", "all", *rest]) == 0
    assert ran == [("two", 3)]
    assert table.read_bytes() == whole
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "one on fashion_mnist_mini: complete"
    assert lines[1] == "1 of 2 records left, about 2 min; now two on fashion_mnist_mini"
    assert lines[-1] == "all 2 records are complete"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert main(["run", "all", *rest, "--profile", "paper"]) == 0  # nothing of the smoke run is taken over
    assert ran[1:] == [("one", 2), ("one", 3), ("two", 2), ("two", 3)]
    assert {path: path.read_bytes() for path in before} == before


def test_all_refuses_a_record_that_does_not_fit_before_it_runs_any(tmp_path, monkeypatch, capsys):
    ran = small(monkeypatch, "one", "two")
    rest = ["--dataset", "fashion_mnist_mini", "--device", "cpu", "--results-dir", str(tmp_path)]
    assert main(["run", "two", *rest, "--seed", "1"]) == 0
    ran.clear()
    assert main(["run", "all", *rest]) == 2
    assert "made with another seed: 1, now 0" in capsys.readouterr().err
    assert ran == []


@pytest.mark.parametrize(
    "error",
    [
        DivergenceError("step 3: the loss is nan"),
        ValueError("pool of 8 images: 4 of class 0 asked for, there are 3"),
        ModuleNotFoundError("accounting needs the package dp_accounting"),
        CheckpointError("a.checkpoint: not a checkpoint of this library"),
        torch.OutOfMemoryError("20 GiB asked for"),
        MemoryError("20 GiB asked for"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_stops_one_run_costs_no_other(tmp_path, monkeypatch, capsys, error):
    def stops(*_):
        raise error

    small(monkeypatch, "one", "two", run={"one": stops})
    rest = ["--dataset", "fashion_mnist_mini", "--device", "cpu", "--results-dir", str(tmp_path)]
    assert main(["run", "all", *rest]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == f"error: one on fashion_mnist_mini: {error}"
    lines = captured.out.splitlines()
    assert lines[1] == "1 of 2 records left, 1 not timed yet, 1 failed; now two on fashion_mnist_mini"
    assert lines[-1] == "1 of 2 records complete, 1 failed"
    assert json.loads((tmp_path / "two" / "fashion_mnist_mini-smoke.json").read_text())["complete"]


def test_k5_a_run_that_does_not_compile_costs_no_other_and_is_one_line(
    tmp_path, monkeypatch, capsys
):  # case 46
    from torch._dynamo.exc import BackendCompilerFailed

    def stops(*_):
        raise BackendCompilerFailed(
            stops, RuntimeError("Command:\ng++ x.cpp\nx.cpp:3: error: no such thing"), None
        )

    small(monkeypatch, "one", "two", run={"one": stops})
    rest = ["--dataset", "fashion_mnist_mini", "--device", "cpu", "--results-dir", str(tmp_path)]
    says = "could not be compiled: x.cpp:3: error: no such thing"
    assert main(["run", "all", *rest]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: one on fashion_mnist_mini: {says}"
    assert json.loads((tmp_path / "two" / "fashion_mnist_mini-smoke.json").read_text())["complete"]
    assert main(["run", "one", *rest]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {says}"


def test_a_run_that_diverges_is_one_line_and_keeps_what_it_has(tmp_path, linear, monkeypatch, capsys):
    def diverge(*_):
        raise DivergenceError("dm: step 3: the loss is nan; lower the learning rate")

    monkeypatch.setattr(provenance, "definitions_of", lambda roots: {"made:up": "0"})
    linear(run=diverge)
    assert main(["run", "linear_dm", "--device", "cpu", "--results-dir", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1].endswith("step 3: the loss is nan; lower the learning rate")
    )


def test_a_package_that_is_not_installed_is_one_line_that_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    assert main(["run", "private_release", "--device", "cpu", "--results-dir", str(tmp_path)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "needs the package dp_accounting: pip install " in lines[0]


def test_stopped_from_the_keyboard_is_one_line(tmp_path, linear, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(provenance, "definitions_of", lambda roots: {"made:up": "0"})
    linear(run=stop)
    assert main(["run", "linear_dm", "--device", "cpu", "--results-dir", str(tmp_path)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped; finished tasks are kept"
