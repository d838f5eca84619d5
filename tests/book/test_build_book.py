"""When the chapters are executed anew: the library or a record is another, not while one is being made."""

import importlib.util
import json
from types import SimpleNamespace

import pytest

from privacy_for_free.book import claims


@pytest.fixture
def tool(root, tmp_path, monkeypatch):
    """The tool, of a book that has a library, data and one record."""
    spec = importlib.util.spec_from_file_location("build_book", root / "tools" / "build_book.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, path in (("ROOT", "."), ("CACHE", ".jupyter_cache"), ("BUILD", "_build")):
        monkeypatch.setattr(module, name, tmp_path / path)
    for name in ("constraints.txt", "lib/module.py", "lib/images.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("first")
    record(tmp_path, "cifar10-laptop", complete=True)
    return module


def record(root, name, text="first", **meta):
    folder = root / "data" / "results" / "toy"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(text)
    (folder / f"{name}.json").write_text(json.dumps(meta))


def test_what_no_chapter_draws_from_does_not_count(tool, tmp_path):
    before = tool.fingerprint()
    record(tmp_path, "fairface-laptop", complete=False)
    record(tmp_path, "cifar10-smoke", complete=True)
    record(tmp_path, "cifar10-wide", complete=True, varies={"profile": "laptop", "changes": {"K": 2}})
    for name in ("fairface-laptop.csv.aside", "fairface-laptop.1.checkpoint", "fairface-laptop.lock"):
        (tmp_path / "data" / "results" / "toy" / name).write_text("half")
    assert tool.fingerprint() == before


@pytest.mark.parametrize(
    "name", ["constraints.txt", "lib/module.py", "lib/images.npz", "data/results/toy/cifar10-laptop.csv"]
)
def test_what_chapters_read_counts(tool, tmp_path, name):
    before = tool.fingerprint()
    (tmp_path / name).write_text("second")
    changed = tool.fingerprint()
    assert changed != before
    record(tmp_path, "superseded/cifar10-laptop.1", complete=True)
    assert tool.fingerprint() not in (before, changed)


def test_a_file_that_goes_away_meanwhile_is_passed_over(tool, tmp_path):
    whole = tool.fingerprint()
    (tmp_path / "data" / "results" / "toy" / "cifar10-laptop.csv").unlink()  # moved aside before its sidecar
    assert tool.fingerprint() != whole


@pytest.fixture
def build(tool, tmp_path, monkeypatch):
    """Build with a builder of this exit status; return what it found there: executed chapters, and pages."""
    cached, page = tmp_path / ".jupyter_cache" / "chapter", tmp_path / "_build" / "html" / "page"
    found = []

    def builder(status):
        found.append((cached.exists(), page.exists()))
        for path in (cached, page):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return SimpleNamespace(returncode=status)

    def build(status):
        monkeypatch.setattr(tool.subprocess, "run", lambda *_, **__: builder(status))
        assert tool.main() == status
        return found[-1]

    monkeypatch.setattr(claims, "disagreements", lambda *_: [])
    monkeypatch.setattr(tool, "execute", lambda: None)
    return build


def test_a_warning_costs_the_pages_and_no_execution(build):
    assert build(1) == (False, False)
    assert build(1) == (True, False)  # so that it warns again
    assert build(0) == (True, False)
    assert build(0) == (True, True)


@pytest.mark.parametrize("name", ["_config.yml", "chapters/_static/book.css"])
def test_another_look_costs_the_pages_and_no_execution(build, tmp_path, name):
    build(0)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("second")
    assert build(0) == (True, False)
    assert build(0) == (True, True)


def test_another_library_is_built_from_nothing(build, tmp_path):
    build(0)
    (tmp_path / "_build" / "paper").mkdir()
    (tmp_path / "lib" / "module.py").write_text("second")
    assert build(0) == (False, False)
    assert (tmp_path / "_build" / "paper").exists()  # which make paper made
