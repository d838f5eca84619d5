"""The only place that imports torchvision, and only when a data set needs it.

PyPI's torchvision is compiled against CUDA. Beside a CPU build of torch its extension does not load, and the
import then stops with "operator torchvision::nms does not exist", although the data sets need no compiled
operator. Declaring the two operators' schemas first lets the import through; calling them still fails.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch

_EXTENSIONS = ("_C_stable", "_C")  # the name since torchvision 0.29, and the one before
_OPERATORS = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # a library's schemas live as long as the library


def _extension_loads(package: Path) -> bool:
    """Try what `import torchvision` itself tries first: whether its compiled extension can be loaded."""
    for name in _EXTENSIONS:
        extension = importlib.machinery.PathFinder.find_spec(name, [str(package)])
        if extension is not None and extension.origin is not None:
            try:
                torch.ops.load_library(extension.origin)
            except OSError:
                return False
            return True
    return False


def _declare_operators() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        if not hasattr(torch.ops.torchvision, operator):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


def import_torchvision() -> ModuleType:
    """Return the module torchvision, imported on the first call.

    Raises ModuleNotFoundError (its `name` says which) where torchvision or Pillow is not installed.
    """
    found = importlib.util.find_spec("torchvision") if "torchvision" not in sys.modules else None
    if found is not None and found.origin is not None and not _extension_loads(Path(found.origin).parent):
        _declare_operators()
    return importlib.import_module("torchvision")
