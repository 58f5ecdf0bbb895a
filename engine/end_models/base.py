"""What every end model is, the register of methods, and how a saved one comes back."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Protocol, Sequence

import numpy as np
import pyarrow as pa

from ..errors import Diagnostic, EndModelError, did_you_mean
from .batches import Batches
from .features import FeatureSpec

END_MODELS = {
    "logistic": ("logistic_regression", "LogisticRegression"),
    "mlp": ("mlp", "Mlp"),
    "boosted_trees": ("boosted_trees", "BoostedTrees"),
    "fusion": ("fusion", "FusionModel"),
}
"""Method -> (module of this package, class). A new end model is one file and one entry here; the module is imported on use."""

OnEvent = Callable[[dict[str, Any]], None]
"""Receives {"event": "encoder" | "epoch" | "resumed" | "stopped", ...} while a model trains."""


class EndModel(Protocol):
    """An end model: no work in the constructor, fitted state in names that end with an underscore."""

    method: str
    classes: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]
    warnings_: list[Diagnostic]

    def fit(
        self,
        batches: Batches,
        spec: FeatureSpec,
        classes: Sequence[str],
        *,
        dev: Batches | None = None,
        seed: int = 0,
        on_event: OnEvent | None = None,
        checkpoint: Path | str | None = None,
    ) -> EndModel: ...

    def predict(self, batch: pa.RecordBatch) -> np.ndarray: ...

    def logits(self, batch: pa.RecordBatch) -> np.ndarray: ...

    def save(self, folder: Path | str) -> str: ...


def end_model(method: str = "logistic", **options: Any) -> EndModel:
    """An unfitted end model.

    Raises EndModelError EM106 for an unknown method, EM107 for an unknown or impossible option; both with the nearest name.
    """
    return _class_of(method)(**options)


def load_end_model(
    folder: Path | str,
    sha256: str | None = None,
    *,
    spec: FeatureSpec | None = None,
    classes: Sequence[str] | None = None,
) -> EndModel:
    """The end model that `save(folder)` wrote; it predicts the same bits.

    sha256  the hash `save` returned; without it only the hash stored in the folder is compared
    spec, classes  what the caller is going to give it; checked if present

    Raises EndModelError EM116 (missing, unreadable), EM108 (changed), EM109 (other features or classes).
    """
    from .artefact import read_artefact

    artefact = read_artefact(Path(folder), sha256)
    artefact.require(spec, classes)
    return _class_of(artefact.card["method"]).from_artefact(artefact)


def _class_of(method: str):
    if method not in END_MODELS:
        hint = did_you_mean(method, END_MODELS) or f"the end models are {', '.join(END_MODELS)}"
        raise EndModelError("EM106", f'there is no end model "{method}"', hint=hint)
    module, name = END_MODELS[method]
    return getattr(import_module(f".{module}", __package__), name)
