"""The command line: a record on disk, and one clear line for what the user can mend."""

import pytest

from privacy_for_free import experiments
from privacy_for_free.__main__ import main
from privacy_for_free.errors import DivergenceError
from privacy_for_free.experiments import linear_dm


def test_list_names_every_experiment(capsys):
    assert main(["list"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == list(experiments.NAMES)


def test_run_writes_a_record_and_a_second_run_reuses_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(linear_dm.PROFILES, "smoke", linear_dm.Parameters((4,), (2,), ((12, 2),), 20_000, 50))
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


def test_a_run_that_diverges_is_one_line_and_keeps_what_it_has(tmp_path, monkeypatch, capsys):
    def diverge(*_):
        raise DivergenceError("dm: step 3: the loss is nan; lower the learning rate")

    monkeypatch.setattr(linear_dm, "run_task", diverge)
    assert main(["run", "linear_dm", "--device", "cpu", "--results-dir", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1].endswith("step 3: the loss is nan; lower the learning rate")
    )
