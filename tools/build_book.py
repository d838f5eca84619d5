"""Build the book, after emptying the execution cache if the library or the data changed; say where it is.

There is no book while a verdict in a chapter's prose disagrees with the records (`privacy_for_free.claims`).

The cache knows the code cells of a chapter only; the library and the records that they call are known here.
Chapters that it lacks are executed before the build, in as many processes as there are cores; the build would
take them one after the other. One that fails is left to the build, which executes it again and says why.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".jupyter_cache"
PAGE = ROOT / "_build" / "html" / "index.html"
SECONDS = 600  # a cell may take


def fingerprint() -> str:
    """SHA-256 over everything a chapter's output depends on besides its own cells."""
    digest = hashlib.sha256(sys.version.encode())
    files = [ROOT / "constraints.txt", *(ROOT / "lib").rglob("*.py"), *(ROOT / "data").rglob("*.*")]
    for path in sorted(path for path in files if path.is_file() and path.suffix != ".lock"):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


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
        load_executor("local-parallel", cache).run_and_cache(filter_pks=missing, timeout=SECONDS)


def main() -> int:
    """Build; the builder's exit status, or 1 where prose and records disagree."""
    from privacy_for_free import claims

    wrong = claims.disagreements(ROOT / "chapters", ROOT / "data" / "results")
    if wrong:
        print("The prose disagrees with the records:", *wrong, sep="\n", file=sys.stderr)
        return 1
    stamp = CACHE / "fingerprint"
    now = fingerprint()
    if not stamp.exists() or stamp.read_text() != now:
        shutil.rmtree(CACHE, ignore_errors=True)
        shutil.rmtree(ROOT / "_build", ignore_errors=True)
    execute()
    builder = Path(sys.executable).with_name("jupyter-book")
    command = [builder, "build", str(ROOT), "--warningiserror", "--keep-going"]
    status = subprocess.run(command, check=False).returncode
    if status == 0:
        CACHE.mkdir(exist_ok=True)
        stamp.write_text(now)
        print(f"\nThe book is built. Open {PAGE}")
    return status


if __name__ == "__main__":
    sys.exit(main())
