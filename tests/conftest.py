import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FULL_DATA = os.environ.get("PRIVACY_FOR_FREE_DATA")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def full_data() -> Path:
    """The folder of the full data sets, or a skip that says how to have them."""
    if not FULL_DATA:
        pytest.skip("needs the full data sets: set PRIVACY_FOR_FREE_DATA to their folder (README, Data)")
    return Path(FULL_DATA)
