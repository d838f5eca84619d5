"""Progress: the items pass unchanged, and without tqdm there are lines."""

import sys

import pytest

from privacy_for_free.core import progress


@pytest.mark.parametrize("shown", [False, True])
def test_items_pass_in_their_order(shown, capsys):
    assert list(progress.bar(range(3, 7), 7, shown, "work")) == [3, 4, 5, 6]
    assert list(progress.bar(iter("ab"), 2, shown, "work", 0, unit="task")) == ["a", "b"]
    assert list(progress.bar(range(7, 7), 7, shown, "work")) == []
    assert bool(capsys.readouterr().err) == shown


def test_lines_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(progress.bar(range(1, 4), 4, True, "work")) == [1, 2, 3]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "work: 1 of 4 steps done"
    assert [line.split(",")[0] for line in lines[1:]] == [f"work: {n} of 4 steps done" for n in (2, 3, 4)]
    assert lines[-1].endswith("about 0 s left")
    assert list(progress.bar(range(1000), 1000, True, "work"))[-1] == 999
    assert len(capsys.readouterr().err.splitlines()) == 101


@pytest.mark.parametrize("installed", [True, False])
def test_a_counter_counts_up(installed, monkeypatch, capsys):
    if not installed:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    with progress.counter(1, 3, True, "chunks") as advance:
        advance()
        advance()
    text = capsys.readouterr().err
    assert ("3 of 3 chunks done" if not installed else "1/3") in text  # a bar is drawn now and then
    with progress.counter(0, 0, True, "chunks") as advance:
        advance()
    assert capsys.readouterr().err == ""
