import json
import os
import re
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

if "PYTEST_XDIST_WORKER" in os.environ:  # processes share the cores: one thread each, and in what they start
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

ROOT = Path(__file__).resolve().parents[1]
FULL_DATA = os.environ.get("PRIVACY_FOR_FREE_DATA")
ALONE = "tests/book/test_papermill.py::test_runs_with"
# They replace a function when imported: for the workers of a cluster only.
collect_ignore = ["toy_cluster.py", "toy_spread.py"]
FIRST = ("chapters/", ALONE, "tests/experiments/")  # what takes long, so that short tests fill the end


class Scheduling(LoadFileScheduling):
    """A file's tests stay in one process, which has its fixtures or kernel; papermill's runs are spread."""

    def _split_scope(self, nodeid):
        return nodeid if nodeid.startswith(ALONE) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: [not item.nodeid.startswith(start) for start in FIRST])


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def full_data() -> Path:
    """The folder of the full data sets, or a skip that says how to have them."""
    if not FULL_DATA:
        pytest.skip("needs the full data sets: set PRIVACY_FOR_FREE_DATA to their folder (README, Data)")
    return Path(FULL_DATA)


@pytest.fixture(scope="session")
def glue_keys(root):
    """The keys that a chapter's prose inserts: glue_keys("membership") -> a set of texts."""

    def keys(chapter: str) -> set[str]:
        notebook = json.loads((root / "chapters" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
        prose = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        roles = re.findall(r"\{glue:text\}`([^`]*)`", "\n".join(prose))
        return {role.partition(":")[0] for role in roles}

    return keys
