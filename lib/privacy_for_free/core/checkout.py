"""Where this package lies: in a checkout of its repository, or installed somewhere else."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def checkout(package: Path = PACKAGE) -> Path | None:
    """Return the folder of the checkout that a package's folder belongs to; None where it is installed."""
    folder = package.parents[1]
    placed = package == folder / "lib" / PACKAGE.name
    return folder if placed and (folder / "pyproject.toml").is_file() else None


def place(inside: str, outside: str) -> Path:
    """Return a folder of the checkout; of the working directory where this package is installed."""
    folder = checkout()
    return Path(outside) if folder is None else folder / inside
