"""Chapters are executed in place; a kill while one is written leaves it as it was."""

import importlib.util
import os

import nbformat
import pytest


@pytest.fixture
def tool(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "tools")
    spec = importlib.util.spec_from_file_location("store_outputs", root / "tools" / "store_outputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Executed:
        def __init__(self, notebook, **options):
            self.notebook = notebook

        def execute(self):
            (cell,) = self.notebook.cells
            cell.outputs = [nbformat.v4.new_output("stream", text="2")]
            cell.metadata["execution"] = {"started": "now"}

    monkeypatch.setattr(module, "NotebookClient", Executed)
    return module


@pytest.fixture
def chapter(tmp_path):
    path = tmp_path / "chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1 + 1)")]), path)
    return path


def test_outputs_are_stored_without_times(tool, chapter):
    tool.store(chapter)
    (cell,) = nbformat.read(chapter, as_version=4).cells
    assert (cell.id, cell.metadata, cell.outputs[0].text) == ("cell-00", {}, "2")
    assert [path.name for path in chapter.parent.iterdir()] == ["chapter.ipynb"]


def test_a_chapter_is_replaced_at_once_or_not_at_all(tool, chapter, monkeypatch):
    before = chapter.read_bytes()

    def cut_off(file):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", cut_off)
    with pytest.raises(KeyboardInterrupt):
        tool.store(chapter)
    assert chapter.read_bytes() == before
    assert [path.name for path in chapter.parent.iterdir()] == ["chapter.ipynb"]
