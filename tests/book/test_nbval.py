"""The stored outputs are compared, not only stored: a changed number must fail."""

import re
import subprocess
import sys

import nbformat
import pytest


def check(root, notebook):
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "-q", str(notebook)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("chapter", ["linear_proof"])
def test_a_changed_number_fails(chapter, root, tmp_path):
    stored = nbformat.read(root / "chapters" / f"{chapter}.ipynb", as_version=4)
    texts = [
        output
        for cell in stored.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and re.search(r"\d", output.text)
    ]
    copy = tmp_path / "chapter.ipynb"
    nbformat.write(stored, copy)
    assert check(tmp_path, copy).returncode == 0
    texts[-1].text = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), texts[-1].text, count=1)
    nbformat.write(stored, copy)
    altered = check(tmp_path, copy)
    assert altered.returncode == 1
    assert "mismatch" in altered.stdout
