"""Where a result comes from: source, commit, machine, versions."""

import ast
import hashlib
import importlib.util
import platform
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch

PACKAGE = __name__.partition(".")[0]
GENERATION = {"cpu family": "family", "model": "model"}  # /proc/cpuinfo's keys
REPOSITORY = Path(__file__).resolve().parents[2]


def source_sha256(module: str) -> str:
    """Hash the source of a module of this package and of all modules of it that it imports, directly or not.

    Comments, docstrings and formatting do not count, nor do imports under `if TYPE_CHECKING:`; any change
    that could change a number does. Raises ValueError for a module that is not of this package.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(_closure(module).items()):
        digest.update(f"{name}\n{_canonical(tree)}\n".encode())
    return digest.hexdigest()


def _closure(module: str) -> dict[str, ast.Module]:
    found, waiting = {}, [module]
    while waiting:
        name = waiting.pop()
        if name in found or (path := _file_of(name)) is None:
            continue
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
        waiting += _imports(found[name])
    if not found:
        raise ValueError(f"module {module!r}: no module of {PACKAGE}")
    return found


def _file_of(name: str) -> Path | None:
    if name.partition(".")[0] != PACKAGE:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a name inside a module, not a module
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        names += _imports(node)
    return names


def _canonical(node: object) -> str:
    """Write a syntax tree so that it is the same for every Python that parses it; drop docstrings."""
    if isinstance(node, list):
        return "[" + ",".join(map(_canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for field, value in ast.iter_fields(node):
        if field == "body" and isinstance(value, list) and value and _is_docstring(value[0]):
            value = value[1:]
        if value is not None and value != [] and field not in ("kind", "type_comment"):
            fields.append(f"{field}={_canonical(value)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def commit() -> str | None:
    """Return the checkout's commit, with "+changes" if the library differs from it; None without git."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--", "lib") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def machine(device: torch.device) -> str:
    """Describe what the last bits of a result depend on, in words: processor, threads, GPU if used.

    Of the processor its name, family and model as far as the system tells, for virtual machines hide the
    generation in the name, and the vector instructions that torch uses.
    """
    threads = torch.get_num_threads()
    words = f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"
    if device.type == "cuda":
        words += f", {torch.cuda.get_device_name(device)}"
    return words


def _processor(listing: Path = Path("/proc/cpuinfo")) -> str:
    known: dict[str, str] = {}
    with suppress(OSError):
        for line in listing.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            known.setdefault(key.strip(), value.strip())
    details = [f"{word} {known[key]}" for key, word in GENERATION.items() if key in known]
    details.append(torch.backends.cpu.get_cpu_capability())
    name = known.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(details)})"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    packages = ("numpy", "pandas", "scipy", "torch")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
