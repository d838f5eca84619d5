"""The README of the records says what the declarations say."""

import importlib.util
from dataclasses import replace

import pytest

from privacy_for_free import experiments
from privacy_for_free.lab.experiment import Column, columns


@pytest.fixture
def tool(root):
    path = root / "tools" / "describe_records.py"
    spec = importlib.util.spec_from_file_location("describe_records", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_that_of_todays_declarations(tool):
    text = tool.README.read_text(encoding="utf-8")
    assert tool.described(text) == text, "data/results/README.md is old: make results-readme"


@pytest.mark.parametrize("name", experiments.NAMES)
def test_every_experiment_says_what_a_row_is_and_what_its_columns_mean(name):
    experiment = experiments.get(name)
    assert experiment.description.endswith(".")
    assert all(column.meaning for column in experiment.columns)


def test_columns_of_one_meaning_share_a_line(tool):
    experiment = replace(
        experiments.get("linear_dm"),
        columns=(
            Column("a", "the norm |a|"),
            *columns("b, c", "ends"),
            Column("seconds", "time", measured=True),
        ),
        description="One row per thing.",
        remarks="Nothing else.",
    )
    assert tool.section(experiment).splitlines() == [
        "## linear_dm",
        "",
        experiment.summary,
        "",
        "One row per thing. Chapter `linear_check`; recorded on fashion_mnist, cifar10.",
        "",
        "| column | meaning |",
        "|---|---|",
        r"| a | the norm \|a\| |",
        "| b, c | ends |",
        "| seconds | time |",
        "",
        "Nothing else.",
        "",
        "Measurements, which differ from run to run: seconds.",
    ]


def test_a_readme_without_the_mark_is_refused(tool):
    with pytest.raises(ValueError, match="is missing"):
        tool.described("# Records\n")
