"""The package outside a checkout: a wheel has all it needs, and writes into the working directory."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from itertools import chain

import pytest
from packaging.requirements import Requirement

from privacy_for_free import experiments

SMALL = ["pools=(4,)", "features=(2,)", "sizes=((12, 2),)", "normals=20000", "chains=50"]


def called(*command, cwd):
    """Run a command without network or this checkout; return what it printed."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), "OMP_NUM_THREADS": "1", "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """A wheel, built from a copy: the build leaves files in the folder it is given."""
    folder = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, folder)
    shutil.copytree(root / "lib", folder / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", ".")
    called(*pip, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment of its own with the wheel; everything else is this environment's."""
    folder = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    target = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet")
    called(*pip, "--no-deps", wheel, cwd=folder)
    with open(f"{target}/packages.pth", "w", encoding="utf-8") as handle:
        handle.write(sysconfig.get_path("purelib") + "\n")  # whose own .pth files are not followed
    return folder


def test_the_wheel_holds_the_embedded_data_set_and_its_licence(wheel):
    listed = called(sys.executable, "-m", "zipfile", "-l", wheel, cwd=wheel.parent)
    for name in ("fashion_mnist_mini.npz", "FASHION_MNIST_LICENSE"):
        assert f"privacy_for_free/data/{name}" in listed


def test_k6_away_from_the_checkout_everything_works(installed, root, tmp_path):  # case 38
    script, python = installed / "bin" / "privacy-for-free", installed / "bin" / "python"
    names = [line.split(":")[0] for line in called(script, "list", cwd=tmp_path).splitlines()]
    assert names == [experiment.name for experiment in experiments.every()]
    load = "from privacy_for_free import data; d = data.load(); print(d.sha256, data.__file__)"
    digest, file = called(python, "-c", load, cwd=tmp_path).split()
    assert len(digest) == 64
    assert str(installed) in file
    assert str(root) not in file
    changes = [word for change in SMALL for word in ("--set", change)]
    made = ("--profile", "laptop", "--device", "cpu", *changes, "--as", "small")
    called(script, "run", "linear_dm", *made, cwd=tmp_path)
    table = tmp_path / "privacy-for-free-results" / "linear_dm" / "fashion_mnist_mini-small.csv"
    assert len(table.read_text().splitlines()) > 10
    assert '"commit": null' in table.with_suffix(".json").read_text()


def test_every_dependency_has_a_lower_bound_and_an_exact_version(root):
    """What is claimed was run: a lower bound is the exact version, up to its last number."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    needed, extras = project["dependencies"], project["optional-dependencies"]
    wanted = {text: Requirement(text) for text in (*needed, *chain(*extras.values()))}
    lines = (root / "constraints.txt").read_text().splitlines()
    exact = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    for text, requirement in wanted.items():
        version = exact[re.sub(r"[_.]", "-", requirement.name)]
        assert requirement.specifier.contains(version), text
        (least,) = (bound.version for bound in requirement.specifier if bound.operator in (">=", "=="))
        assert f"{version}.".startswith(f"{least}.") or version.startswith(f"{least}.post"), text
        assert text not in needed or not any(bound.operator == "==" for bound in requirement.specifier), text
    pythons = [name.rpartition(" ")[2] for name in project["classifiers"]]
    assert project["requires-python"] == f">={pythons[0]},<3.{int(pythons[-1].partition('.')[2]) + 1}"
    (builder,) = (requirement for requirement in wanted.values() if requirement.name == "jupyter-book")
    assert not builder.specifier.contains("2.0")  # another engine, without _config.yml
