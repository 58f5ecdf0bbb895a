"""torchvision where PyTorch is a CPU build: its compiled operators may be built for CUDA and refuse to load."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from ..errors import AffinityError

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Operators whose absence stops `import torchvision`. Detection needs them, classification networks never call them."""

_libraries: list = []
"""Declared operators live as long as their Library objects."""


@cache
def torchvision() -> ModuleType:
    """The package torchvision, importable also where its compiled operators are not; a plain import where they load.

    Raises AffinityError AF101 where it is not installed.
    """
    if "torchvision" not in sys.modules and not _extension_loads():
        _declare_operators()
    import torchvision

    return torchvision


def _extension_loads() -> bool:
    import torch

    spec = find_spec("torchvision")
    if spec is None:
        raise AffinityError("AF101", "torchvision is not installed", hint="pip install torchvision, of the version that belongs to your PyTorch")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    try:
        for library in (path for folder in folders for path in sorted(folder.glob("_C*.so")) + sorted(folder.glob("_C*.pyd"))):
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")


def _declare_operators() -> None:
    from torch.library import Library

    library = Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        library.define(schema)
    _libraries.append(library)
