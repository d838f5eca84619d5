"""The command line: a record on disk, and one clear line for what the user can mend."""

import hashlib
import json
import sys
from types import SimpleNamespace

import pytest

from privacy_for_free import experiments
from privacy_for_free.__main__ import main
from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.experiments.linear_dm import measure as linear_dm
from privacy_for_free.lab import provenance


def test_list_names_every_experiment(capsys):
    assert main(["list"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == list(experiments.NAMES)


def test_run_writes_a_record_and_a_second_run_reuses_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(linear_dm.PROFILES, "smoke", linear_dm.Design((4,), (2,), ((12, 2),), 20_000, 50))
    command = ["run", "linear_dm", "--device", "cpu", "--results-dir", str(tmp_path)]
    assert main(command) == 0
    table = tmp_path / "linear_dm" / "fashion_mnist_mini-smoke.csv"
    assert str(table) in capsys.readouterr().out
    first = table.read_bytes(), table.stat().st_mtime_ns
    assert main(command) == 0
    assert (table.read_bytes(), table.stat().st_mtime_ns) == first
    assert main([*command, "--seed", "1"]) == 2
    assert "another seed: 0, now 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "known are linear_dm"),
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


def small(monkeypatch, *names):
    """Keep a few experiments of two tasks, made up; return the list of the tasks that are run."""
    grid = linear_dm.Design((4,), (2, 3), ((12, 2),), 20_000, 50)
    for profile in ("smoke", "paper"):
        monkeypatch.setitem(linear_dm.PROFILES, profile, grid)
    monkeypatch.setattr(experiments, "NAMES", names)
    monkeypatch.setattr(provenance, "source_sha256", lambda module: "s" * 64)
    ran = []

    def of_name(name):
        def run_task(task, *rest):
            ran.append((name, task.k))
            return [dict.fromkeys(linear_dm.COLUMNS, task.k / 7)]

        return SimpleNamespace(**vars(linear_dm) | {"NAME": name, "run_task": run_task})

    monkeypatch.setattr(experiments, "get", of_name)
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
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_stops_one_run_costs_no_other(tmp_path, monkeypatch, capsys, error):
    small(monkeypatch, "one", "two")
    plain = experiments.get

    def stops(name):
        module = plain(name)
        if name == "one":
            module.run_task = lambda *_: (_ for _ in ()).throw(error)
        return module

    monkeypatch.setattr(experiments, "get", stops)
    rest = ["--dataset", "fashion_mnist_mini", "--device", "cpu", "--results-dir", str(tmp_path)]
    assert main(["run", "all", *rest]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == f"error: one on fashion_mnist_mini: {error}"
    lines = captured.out.splitlines()
    assert lines[1] == "1 of 2 records left, 1 not timed yet, 1 failed; now two on fashion_mnist_mini"
    assert lines[-1] == "1 of 2 records complete, 1 failed"
    assert json.loads((tmp_path / "two" / "fashion_mnist_mini-smoke.json").read_text())["complete"]


def test_a_run_that_diverges_is_one_line_and_keeps_what_it_has(tmp_path, monkeypatch, capsys):
    def diverge(*_):
        raise DivergenceError("dm: step 3: the loss is nan; lower the learning rate")

    monkeypatch.setattr(linear_dm, "run_task", diverge)
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


def test_stopped_from_the_keyboard_is_one_line(tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(linear_dm, "run_task", stop)
    assert main(["run", "linear_dm", "--device", "cpu", "--results-dir", str(tmp_path)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped; finished tasks are kept"
