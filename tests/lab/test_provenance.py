"""Where results come from: source by definitions, commit of this library's checkout, machine, versions."""

import subprocess

import pytest
import torch

from privacy_for_free import experiments
from privacy_for_free.lab import definitions, provenance


def test_source_is_what_tasks_run_and_settings_reach():
    source = provenance.source(experiments.get("linear_dm"))
    names = set(source["definitions"])
    assert "privacy_for_free.core.randomness:generator" in names
    assert any(name.startswith("privacy_for_free.theory.linear:") for name in names)
    assert not any(name.startswith(("privacy_for_free.lab.", "privacy_for_free.data.")) for name in names)
    assert not any(name.endswith((":PROFILES", ":COLUMNS", ":EXPERIMENT")) for name in names)
    assert source["source_sha256"] == definitions.digest(source["definitions"])


@pytest.mark.parametrize("name", experiments.NAMES)
def test_source_holds_no_experiment_but_its_own(name):
    names = provenance.source(experiments.get(name))["definitions"]
    folders = {found.split(".")[2] for found in names if found.startswith("privacy_for_free.experiments.")}
    assert folders - {"common:"} <= {name, *(f for f in folders if f.startswith("common"))}


def test_changed_names_definitions():
    experiment = experiments.get("linear_dm")
    meta = {"experiment": "linear_dm", **provenance.source(experiment)}
    assert provenance.changed(meta) == []
    first = next(iter(meta["definitions"]))
    meta["definitions"] = meta["definitions"] | {first: "0" * 16, "privacy_for_free.gone:f": "1" * 16}
    assert provenance.changed(meta) == [first, "privacy_for_free.gone:f"]
    assert provenance.changed({"experiment": "linear_dm"}) == ["a version that stated no definitions"]
    assert provenance.changed(meta | {"experiment": "gone"}) == ["no experiment gone"]


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """A repository that has this package's source at its place."""
    package = tmp_path / "lib" / "privacy_for_free"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    git(tmp_path, *identity, "commit", "-q", "-m", "first")
    return package


def test_commit_is_the_checkouts_and_says_whether_the_library_differs(checkout):
    commit = provenance.commit(checkout)
    assert len(commit) == 40
    (checkout.parents[1] / "README.md").touch()
    assert provenance.commit(checkout) == commit
    (checkout / "more.py").touch()
    assert provenance.commit(checkout) == f"{commit}+changes"


def test_k6_commit_of_a_repository_around_an_installed_package_is_not_named(checkout, tmp_path):  # case 39
    """Nor where it lies in that project at the place it has here, as in a folder `lib` that git ignores."""
    for folder in ("venv/lib/python3/site-packages/privacy_for_free", "lib/other/privacy_for_free"):
        installed = tmp_path / folder
        installed.mkdir(parents=True)
        (installed / "__init__.py").touch()
        assert provenance.commit(installed) is None
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    installed = other / "lib" / "privacy_for_free"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert provenance.commit(installed) is None


def test_without_git_no_commit_is_named(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.commit(checkout) is None


def test_processors_of_one_name_are_told_apart(tmp_path):
    listing = tmp_path / "cpuinfo"
    found = []
    for model in (1, 17):
        first = f"processor\t: 0\ncpu family\t: 25\nmodel\t\t: {model}\nmodel name\t: AMD EPYC\n"
        listing.write_text(f"{first}\n{first.replace(': 0', ': 1')}")
        found.append(provenance.processor(listing))
    capability = torch.backends.cpu.get_cpu_capability()
    assert found == [f"AMD EPYC (family 25, model {model}, {capability})" for model in (1, 17)]
    assert provenance.processor(tmp_path / "missing").endswith(f"({capability})")


def test_machine_and_versions_are_stated():
    assert "thread" in provenance.machine(torch.device("cpu"))
    assert provenance.versions()["torch"].startswith("2.")
