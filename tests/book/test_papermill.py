"""Every chapter runs through papermill with parameters that are not its own, and refuses wrong ones."""

import os
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from privacy_for_free import data, experiments
from privacy_for_free.book.chapter import PARAMETERS
from privacy_for_free.core import devices
from privacy_for_free.lab.experiment import PROFILES

CHAPTERS = sorted((Path(__file__).resolve().parents[2] / "chapters").glob("*.ipynb"))
FULL_DATA = os.environ.get("PRIVACY_FOR_FREE_DATA")
MORE = {
    "formulas": {"n", "m", "d_eff", "eps0"},
    "no_free_lunch": {"tpr", "fpr", "power", "level"},
    "scaling": {"budget_hours"},
}  # what single chapters take beside those


def run(chapter: Path, folder: Path, **parameters: object) -> nbformat.NotebookNode:
    return papermill.execute_notebook(
        chapter, folder / "out.ipynb", parameters=parameters, cwd=folder, progress_bar=False
    )


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_parameters_cell_names_the_contract(chapter):
    cells = [
        cell
        for cell in nbformat.read(chapter, as_version=4).cells
        if "parameters" in cell.metadata.get("tags", [])
    ]
    assert len(cells) == 1
    names = {line.split("=")[0].strip() for line in cells[0].source.splitlines() if "=" in line}
    own = {"settings"} if chapter.stem in {found.chapter for found in experiments.every()} else set()
    assert names == {*PARAMETERS} | own | MORE.get(chapter.stem, set())


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_runs_with_another_seed_on_other_data_and_no_records(chapter, tmp_path):
    """On CIFAR-10 where the full data sets are; on the embedded one elsewhere. The rest is nbval's."""
    other = {"dataset": "cifar10", "data_root": FULL_DATA} if FULL_DATA else {}
    run(chapter, tmp_path, seed=7, device="cpu", results_dir=str(tmp_path / "results"), **other)
    assert not (tmp_path / "results").exists()  # a smoke run writes nothing


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dataset": "nonsense"}, data.NAMES),
        ({"profile": "huge"}, PROFILES),
        ({"device": "tpu"}, devices.KNOWN),
        ({"seed": -1}, ("-1", "from 0 up")),
        ({"settings": {"chain": 3}}, ("chain 3: allowed are the names below", "chains = 400")),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_stops_at_a_wrong_value(wrong, says, tmp_path):
    chapter = next(path for path in CHAPTERS if path.stem == "linear_check")
    with pytest.raises(PapermillExecutionError) as error:
        run(chapter, tmp_path, **wrong)
    for word in says:
        assert word in str(error.value)
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    failed = [cell for cell in executed if any(o.output_type == "error" for o in cell.get("outputs", []))]
    own = [
        c
        for c in executed
        if c.cell_type == "code" and not {"parameters", "injected-parameters"} & set(c.metadata.tags)
    ]
    assert failed[-1].source == own[0].source  # the first cell after the parameters; nothing ran before it


FORMULAS = next(path for path in CHAPTERS if path.stem == "formulas")


def test_formulas_of_other_sizes(tmp_path):
    executed = run(FORMULAS, tmp_path, n=2500, m=25, d_eff=3072, eps0=4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    shown = [output.data["text/plain"] for output in outputs if "text/plain" in output.get("data", {})]
    leak = next(text for text in shown if "effect size" in text)
    for words in ("1.109", "2.376 %", "28.6 %"):  # fresh effect and TPR; TPR of the pool, exact
        assert words in leak
    assert any("0.04" in text and "0.429" in text for text in shown)  # r eps0 and ln(1 + r (e^4 - 1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n": 0}, "n 0: allowed are whole numbers from 1 up"),
        ({"m": 6000}, "m 6000: allowed are whole numbers from 1 to n, here 5000"),
        ({"d_eff": -1}, "d_eff -1: allowed are finite numbers above 0"),
        ({"eps0": "large"}, "eps0 'large': allowed are numbers"),
        ({"eps0": 701}, "eps0 701: allowed are numbers from 0 to 700"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_formulas_stop_at_a_wrong_value(wrong, says, tmp_path):
    with pytest.raises(PapermillExecutionError) as error:
        run(FORMULAS, tmp_path, **wrong)
    assert says in str(error.value)


def test_case_43_a_parameter_that_a_chapter_does_not_have_stops_it_in_its_first_cell(tmp_path):
    with pytest.raises(PapermillExecutionError) as error:
        run(FORMULAS, tmp_path, N=10, n=2500)
    known = "dataset, profile, seed, device, data_root, results_dir, n, m, d_eff, eps0"
    assert f"ValueError: parameter N 10: known are {known}" in str(error.value)
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    ran = [cell.source for cell in executed if cell.cell_type == "code" and cell.execution_count]
    assert len(ran) == 3  # its parameters, those given, and the cell that opens the chapter
    assert "open_chapter(" in ran[-1]


def test_scaling_stops_at_a_wrong_budget(tmp_path):
    chapter = next(path for path in CHAPTERS if path.stem == "scaling")
    with pytest.raises(PapermillExecutionError, match="budget_hours 0: allowed are finite numbers above 0"):
        run(chapter, tmp_path, budget_hours=0)


def test_cuda_without_a_gpu_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    chapter = next(path for path in CHAPTERS if path.stem == "linear_check")
    with pytest.raises(PapermillExecutionError, match="no CUDA GPU on this machine"):
        run(chapter, tmp_path, device="cuda")


def test_linear_check_with_other_settings_draws_them(tmp_path):
    chapter = next(path for path in CHAPTERS if path.stem == "linear_check")
    changes = {"pools": [4], "features": [2], "chains": 60}
    executed = run(chapter, tmp_path, settings=changes, device="cpu")
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "linear_dm on fashion_mnist_mini, profile smoke_" in text
    assert "profile laptop" not in text
