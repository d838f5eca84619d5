"""Execute chapters in place and store their outputs, which is what the regression tests compare against.

Only what a reader sees is stored: no timings, no execution state, cell numbers in order.
"""

import sys
from pathlib import Path

import nbformat
from build_book import cell_seconds
from nbclient import NotebookClient

from privacy_for_free.core.checkpoint import write_aside


def store(path: Path) -> None:
    """Execute one notebook in its own folder and write it back in a canonical form."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=cell_seconds(),
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop("execution", None)
    nbformat.validate(notebook)
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    write_aside(path, lambda handle: handle.write(text.encode()))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(name, flush=True)
        store(Path(name))
