"""Build the book, after emptying the execution cache if the library or the data changed; say where it is.

The cache knows the code cells of a chapter only; the library and the records that they call are known here.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".jupyter_cache"
PAGE = ROOT / "_build" / "html" / "index.html"


def fingerprint() -> str:
    """SHA-256 over everything a chapter's output depends on besides its own cells."""
    digest = hashlib.sha256(sys.version.encode())
    files = [ROOT / "constraints.txt", *(ROOT / "lib").rglob("*.py"), *(ROOT / "data").rglob("*.*")]
    for path in sorted(path for path in files if path.is_file() and path.suffix != ".lock"):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def main() -> int:
    """Build; the builder's exit status."""
    stamp = CACHE / "fingerprint"
    now = fingerprint()
    if not stamp.exists() or stamp.read_text() != now:
        shutil.rmtree(CACHE, ignore_errors=True)
        shutil.rmtree(ROOT / "_build", ignore_errors=True)
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
