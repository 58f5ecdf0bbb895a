"""groundswell: from SQL labeling functions to labels and trained models, inside the database.

    import groundswell as gs
    ws = gs.open("shop"); ws.run(); ws.summary(); ws.labels()
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "open": ("workspace", "open_workspace"),
    "Workspace": ("workspace", "Workspace"),
    "lf": ("lfs.python", "lf"),
    "udf": ("services.declare", "udf"),
    "service": ("services.declare", "service"),
    "affinity_function": ("affinity.declared", "declare"),
    "VotePatterns": ("label_models", "VotePatterns"),
    "label_model": ("label_models", "label_model"),
    "label_votes": ("label_models", "label_votes"),
    "GroundswellError": ("errors", "GroundswellError"),
}
"""Public name -> where it lives. Loaded on first use, so that `import groundswell` costs nothing."""

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'groundswell' has no attribute {name!r}")
    module, attribute = _EXPORTS[name]
    return getattr(import_module(f".{module}", __name__), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
