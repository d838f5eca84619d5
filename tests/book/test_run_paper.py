"""make paper: a chapter for each record that is missing, then every chapter once; nothing twice."""

import importlib.util
import re

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError

from privacy_for_free import experiments
from privacy_for_free.experiments import plan
from privacy_for_free.lab.record import Record
from privacy_for_free.lab.run import Progress


@pytest.fixture
def tool(root):
    spec = importlib.util.spec_from_file_location("run_paper", root / "tools" / "run_paper.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_chapters_that_make_records_are_those_that_run_the_experiments(tool, root):
    runs, opened = {}, {}
    for path in (root / "chapters").glob("*.ipynb"):
        text = "".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
        runs |= dict.fromkeys(re.findall(r'chapter\.(?:run|live)\(\s*"(\w+)"', text), path.stem)
        opened |= dict.fromkeys(re.findall(r'open_chapter\([^)]*, settings, "(\w+)"\)', text), path.stem)
    declared = {experiment.name: experiment.chapter for experiment in experiments.every()}
    assert runs == declared
    # One experiment of a chapter is that whose settings its parameter `settings` changes.
    assert opened.items() <= declared.items()
    assert set(opened.values()) == set(declared.values())
    assert set(tool.all_chapters()) == {path.stem for path in (root / "chapters").glob("*.ipynb")}


@pytest.fixture
def papermill(tool, monkeypatch):
    """A papermill that only remembers; two records of four are there already, one of them in part."""
    states = {("linear_dm", "cifar10"): 4, ("gibbs_ratio", "cifar10"): 2}
    runs = [
        plan.Run(name, dataset, Progress(4, n := states.get((name, dataset), 0), 60.0 * n, n == 4))
        for name in ("linear_dm", "gibbs_ratio")
        for dataset in ("fashion_mnist", "cifar10")
    ]
    calls = []
    monkeypatch.setattr(plan, "survey", lambda profile, **options: (runs, []))
    monkeypatch.setattr(
        tool.papermill,
        "execute_notebook",
        lambda path, out, parameters, **options: calls.append((path.stem, out.name, parameters)),
    )
    meta = {
        "experiment": "linear_dm",
        "dataset": "",
        "profile": "",
        "seed": 0,
        "seconds": 1.0,
        "complete": True,
    }
    record = Record([], meta | {"machine": "", "started": "", "source_sha256": ""})
    monkeypatch.setattr(tool, "read", lambda *_: record)
    return calls


def test_makes_what_is_missing_then_draws_every_chapter(tool, papermill, tmp_path, capsys):
    arguments = ["--results-dir", str(tmp_path), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert tool.main(arguments) == 0
    assert [name for _, name, _ in papermill[:3]] == [
        "linear_check-fashion_mnist.ipynb",
        "gibbs-fashion_mnist.ipynb",
        "gibbs-cifar10.ipynb",
    ]
    every = experiments.every()
    absent = {found.chapter for found in every if found.name not in ("linear_dm", "gibbs_ratio")}
    drawn = [chapter for chapter in tool.all_chapters() if chapter not in absent]
    assert [name for _, name, _ in papermill[3:]] == [f"{chapter}.ipynb" for chapter in drawn]
    for _, _, parameters in papermill:
        assert parameters["profile"] == "paper"
        assert parameters["results_dir"] == str(tmp_path)
    out = capsys.readouterr().out
    assert "linear_dm on cifar10: complete" in out
    assert "3 of 4 records left, about 10 min; now linear_dm on fashion_mnist" in out


def test_error_of_a_chapter_is_one_line_and_stops(tool, papermill, tmp_path, monkeypatch, capsys):
    def fails(path, out, **options):
        papermill.append(path.stem)
        raise PapermillExecutionError(3, 3, "", "RecordError", "x.csv: could not be written", [])

    monkeypatch.setattr(tool.papermill, "execute_notebook", fails)
    assert tool.main(["--results-dir", str(tmp_path), "--out", str(tmp_path), "--device", "cpu"]) == 2
    assert papermill == ["linear_check"]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: chapter linear_check: RecordError: x.csv: could not be written (see ")


def test_what_stops_one_run_costs_no_other(tool, papermill, tmp_path, monkeypatch, capsys):
    def fails(path, out, parameters, **options):
        papermill.append(out.name)
        if path.stem == "linear_check":
            raise PapermillExecutionError(3, 3, "", "ValueError", "pool of 8 images: too many", [])

    monkeypatch.setattr(tool.papermill, "execute_notebook", fails)
    assert tool.main(["--results-dir", str(tmp_path), "--out", str(tmp_path), "--device", "cpu"]) == 2
    assert papermill == [
        "linear_check-fashion_mnist.ipynb",
        "gibbs-fashion_mnist.ipynb",
        "gibbs-cifar10.ipynb",
    ]
    last = capsys.readouterr().err.splitlines()[-1]
    says = "linear_dm on fashion_mnist: chapter linear_check: ValueError: pool of 8 images: too many (see "
    assert last.startswith(f"error: {says}")


def test_a_chapter_that_diverges_when_it_is_drawn_is_one_line(tool, papermill, tmp_path, monkeypatch, capsys):
    def fails(path, out, **options):
        if "-" not in out.name:
            raise PapermillExecutionError(3, 3, "", "DivergenceError", "step 3: the loss is nan", [])

    monkeypatch.setattr(tool.papermill, "execute_notebook", fails)
    assert tool.main(["--results-dir", str(tmp_path), "--out", str(tmp_path), "--device", "cpu"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: chapter ")
    assert "DivergenceError: step 3: the loss is nan" in last


def test_smoke_makes_no_records(tool, capsys):
    assert tool.main(["--profile", "smoke"]) == 2
    assert "profile 'smoke': recorded are laptop, paper" in capsys.readouterr().err
