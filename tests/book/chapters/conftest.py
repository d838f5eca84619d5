import json
import re

import pytest


@pytest.fixture(scope="session")
def glue_keys(root):
    """The keys that a chapter's prose inserts: glue_keys("membership") -> a set of texts."""

    def keys(chapter: str) -> set[str]:
        notebook = json.loads((root / "chapters" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
        prose = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        roles = re.findall(r"\{glue:text\}`([^`]*)`", "\n".join(prose))
        return {role.partition(":")[0] for role in roles}

    return keys
