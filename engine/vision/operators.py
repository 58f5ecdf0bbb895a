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


@cache
def detectors() -> ModuleType:
    """torchvision.models.detection, with a non-maximum suppression in plain PyTorch where the compiled one is not there."""
    models = torchvision().models.detection
    if not _extension_loads():
        boxes = sys.modules["torchvision.ops.boxes"]
        boxes._assert_has_ops = lambda: None  # `nms` is there from here on
        library = _libraries[0]
        library.impl("nms", non_maximum_suppression, "CPU")
    return models


def non_maximum_suppression(boxes, scores, threshold: float):
    """int64: indices of the boxes float (n, 4) kept, best score first; a box goes that overlaps a better one by more than `threshold` (IoU).

    Source: Felzenszwalb et al. 2010, section 3.3; greedy.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    x1, y1, x2, y2 = boxes[order].unbind(1)
    area = (x2 - x1) * (y2 - y1)
    keep = torch.ones(len(order), dtype=torch.bool)
    for i in range(len(order)):
        if keep[i]:
            width = (torch.minimum(x2[i], x2[i + 1 :]) - torch.maximum(x1[i], x1[i + 1 :])).clamp(min=0)
            height = (torch.minimum(y2[i], y2[i + 1 :]) - torch.maximum(y1[i], y1[i + 1 :])).clamp(min=0)
            shared = width * height
            keep[i + 1 :] &= ~(shared / (area[i] + area[i + 1 :] - shared) > threshold)
    return order[keep]
