"""The table of claims: each verdict follows from its record, and prose that says otherwise is found."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from privacy_for_free import experiments
from privacy_for_free.book import claims
from privacy_for_free.book.claims import CLAIMS, Verdict, judging
from privacy_for_free.lab.record import Record

BY_KEY = {claim.key: claim for claim in CLAIMS}


def notebook(folder, name, prose):
    cells = [{"cell_type": "markdown", "source": [line + "\n" for line in prose.splitlines()]}]
    (folder / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))


def test_the_book_says_what_its_records_say(root):
    assert claims.disagreements(root / "chapters", root / "data" / "results") == []


@pytest.mark.parametrize("verdict", ["holds", "open", "holds under assumptions"])
def test_a_verdict_that_is_not_the_records_is_found(root, tmp_path, verdict):
    notebook(tmp_path, "no_free_lunch", f"Of the claims, **C6 {verdict}**.")
    (line,) = claims.disagreements(tmp_path, root / "data" / "results")
    assert line.startswith(f"no_free_lunch.ipynb: C6 '{verdict}', but the records say 'fails'")
    assert re.search(r"FashionMNIST: −4\.\d \[−\d\.\d,\s−0\.\d\]", line)


def test_a_silent_chapter_and_an_unknown_claim_are_found(tmp_path):
    notebook(
        tmp_path, "gibbs", "**A2 open** and **Z9 holds**, but **A3 perhaps** and A4 fails are no verdicts"
    )
    assert claims.disagreements(tmp_path, tmp_path) == [
        f"gibbs.ipynb: Z9 is no claim, known are {', '.join(BY_KEY)}",
        "gibbs.ipynb: does not state the verdict of C1: **C1 open**",
    ]


def test_the_book_is_not_built_while_prose_and_records_disagree(root, tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "chapters").mkdir()
    (tmp_path / "tools" / "build_book.py").write_text((root / "tools" / "build_book.py").read_text())
    notebook(tmp_path / "chapters", "gibbs", "**A2 fails** and **C1 open**")
    command = [sys.executable, tmp_path / "tools" / "build_book.py"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 1
    assert "gibbs.ipynb: A2 'fails', but the records say 'open'" in built.stderr
    assert not (tmp_path / "_build").exists()


def test_a_verdict_in_a_table_is_computed(root, tmp_path):
    row = "| condensing is free | **holds**: {glue:text}`share` % |"
    good = "| condensing is free | **{glue:text}`v_free`**, in part |\n\nIt **holds** in part."
    notebook(tmp_path, "data", good)
    assert claims.disagreements(tmp_path, root / "data" / "results") == []
    notebook(tmp_path, "data", f"{good}\n\n| statement | verdict |\n|---|---|\n{row}\n")
    (line,) = claims.disagreements(tmp_path, root / "data" / "results")
    assert line == f"data.ipynb: a verdict that no record decides: {row}"


def test_a_claims_verdict_by_its_key(root, tmp_path):
    assert claims.verdict("A1", tmp_path) is Verdict.OPEN
    assert claims.verdict("A1", root / "data" / "results") is Verdict.ASSUMPTIONS
    with pytest.raises(KeyError):
        claims.verdict("Z1")


def test_every_claim_names_chapters_that_exist_and_an_experiment(root):
    chapters = {path.stem for path in (root / "chapters").glob("*.ipynb")}
    for claim in CLAIMS:
        assert set(claim.chapters) <= chapters
        assert claim.experiment == experiments.get(claim.experiment).name
        assert claim.key[0] in claims.SPEAKERS
    assert len(BY_KEY) == len(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_without_a_record_a_claim_is_open(claim, tmp_path):
    finding = claims.judge(claim, tmp_path)
    assert (finding.verdict, finding.effects) == (Verdict.OPEN, {})


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_a_table_without_rows_has_no_effect(claim):
    columns = experiments.get(claim.experiment).column_names
    numbers = dict.fromkeys(columns, float)
    assert claim.measure(pd.DataFrame(columns=list(columns)).astype(numbers)) is None


def test_tables_name_record_machine_and_interval(root):
    shown = "\n".join(claims.table(speaker, root / "data" / "results") for speaker in claims.SPEAKERS)
    for key in BY_KEY:
        assert f"| {key} |" in shown
    assert "no record" not in shown
    for claim in CLAIMS:
        for name, record in claims.judge(claim, root / "data" / "results").records.items():
            assert record.meta["machine"] in shown, name
    with pytest.raises(KeyError):
        claims.table("Z")


def test_every_effect_lies_in_its_interval(root):
    for claim in CLAIMS:
        for effect in claims.judge(claim, root / "data" / "results").effects.values():
            assert effect.low <= effect.value <= effect.high


def test_one_data_set_decides_against_and_none_in_favour_alone(tmp_path, monkeypatch):
    tables = {"fashion_mnist": [0.0], "cifar10": [1.0]}

    def largest(experiment, dataset, folder, partial):
        rows = [
            {"model": "gaussian", "observed": o, "bound": 0.5}
            for o in tables.get(dataset, [])
            for _ in range(1000)
        ]
        return Record(pd.DataFrame(rows), {}) if rows else None

    monkeypatch.setattr(judging, "largest", largest)
    assert claims.judge(BY_KEY["A2"]).verdict is Verdict.FAILS
    tables["cifar10"] = [0.1]
    assert claims.judge(BY_KEY["A2"]).verdict is Verdict.ASSUMPTIONS
