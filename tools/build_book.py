"""Build the book, after emptying the execution cache if the library or the data changed; say where it is.

There is no book while a verdict in a chapter's prose disagrees with the records
(`privacy_for_free.book.claims`).

The cache knows the code cells of a chapter only; the library and the records that they call are known here.
What was executed stays in the cache when the builder then warns; only the pages are made again.
Chapters that it lacks are executed before the build, in as many processes as there are cores; the build would
take them one after the other. One that fails is left to the build, which executes it again and says why.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".jupyter_cache"
BUILD = ROOT / "_build"
PAGE = BUILD / "html" / "index.html"


def fingerprint() -> str:
    """SHA-256 over everything a chapter's output depends on besides its own cells."""
    digest = hashlib.sha256(sys.version.encode())
    files = [ROOT / "constraints.txt", *(ROOT / "lib").rglob("*.py"), *(ROOT / "lib").rglob("*.npz")]
    for path in sorted([*files, *recorded(ROOT / "data" / "results")]):
        with suppress(FileNotFoundError):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def recorded(folder: Path) -> Iterator[Path]:
    """Yield the files of each complete record that chapters may read, superseded ones too.

    Not those of a run that goes on; no chapter draws from the smoke profile or from changed settings.
    """
    for sidecar in folder.rglob("*.json"):
        with suppress(FileNotFoundError):
            meta = json.loads(sidecar.read_text(encoding="utf-8"))
            if "-smoke" not in sidecar.name and meta.get("complete") and not meta.get("varies"):
                yield from (sidecar, sidecar.with_suffix(".csv"))


def look() -> str:
    """SHA-256 over what all pages share."""
    digest = hashlib.sha256()
    shared = [ROOT / name for name in ("_config.yml", "_toc.yml", "references.bib")]
    for path in sorted([*shared, *(ROOT / "chapters" / "_static").rglob("*.*")]):
        with suppress(FileNotFoundError):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def cell_seconds() -> int:
    """Return how long a cell may take: `_config.yml` says it."""
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["execute"]["timeout"]


def execute() -> None:
    """Put what the chapters print into the cache."""
    from jupyter_cache import get_cache
    from jupyter_cache.executors import load_executor

    cache = get_cache(CACHE)
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        cache.add_nb_to_project(str(path))
    missing = [record.pk for record in cache.list_unexecuted()]
    if missing:
        # Processes share the cores: one thread each, and in the kernels that they start.
        os.environ.update(
            {name: os.environ.get(name, "1") for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        )
        print(f"Executing {len(missing)} chapters", flush=True)
        load_executor("local-parallel", cache).run_and_cache(filter_pks=missing, timeout=cell_seconds())


def main() -> int:
    """Build; the builder's exit status, or 1 where prose and records disagree."""
    from privacy_for_free.book import claims

    wrong = claims.disagreements(ROOT / "chapters", ROOT / "data" / "results")
    if wrong:
        print("The prose disagrees with the records:", *wrong, sep="\n", file=sys.stderr)
        return 1
    stamp, built = CACHE / "fingerprint", CACHE / "built"
    now = fingerprint()
    if not stamp.exists() or stamp.read_text() != now:
        shutil.rmtree(CACHE, ignore_errors=True)
        CACHE.mkdir(exist_ok=True)
        stamp.write_text(now)
    # The builder warns of a page, and takes what pages share, only when it makes a page anew.
    if not built.exists() or built.read_text() != look():
        for name in ("html", ".doctrees"):
            shutil.rmtree(BUILD / name, ignore_errors=True)
    built.unlink(missing_ok=True)
    execute()
    builder = Path(sys.executable).with_name("jupyter-book")
    command = [builder, "build", str(ROOT), "--warningiserror", "--keep-going"]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        built.write_text(look())
        print(f"\nThe book is built. Open {PAGE}")
    return status


if __name__ == "__main__":
    sys.exit(main())
