"""What every end model that reads encoded rows shares: options, encoder, probabilities, card and artefact."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import asdict
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from ..errors import Diagnostic, EndModelError, did_you_mean
from .artefact import Artefact, write_artefact
from .batches import Batches, blocks
from .calibration import probabilities
from .encode import EncodedRows, Encoder
from .features import FeatureSpec
from .label_mass import LabelMass
from .options import check_own_options, split_options


class EncodedModel(ABC):
    """An end model over encoded rows; a subclass gives `method`, `fit`, `scores`, `attribution`, `weights` and `restore`."""

    method: str
    defaults: Mapping[str, Any] = {}
    """Training and encoding options whose default differs for this method."""
    own_options: Mapping[str, Any] = {}
    """Options of this method alone, with their defaults."""
    about_: dict[str, Any] = {}
    """What was found out about the fitted model, for its card: JSON."""

    def __init__(self, **options: Any):
        self.own = {name: options.pop(name, default) for name, default in self.own_options.items()}
        check_own_options(self.own)
        self.training, self.encoding = split_options({**self.defaults, **options}, self.own_options)

    @abstractmethod
    def scores(self, rows: EncodedRows) -> np.ndarray:
        """float64 (n, K) logits of encoded rows, before temperature."""

    @abstractmethod
    def attribution(self, rows: EncodedRows, best: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, sp.csr_matrix]:
        """(start (n,), dense (n, D), sparse CSR (n, S)): what an empty row and each encoded column add to logit best - logit second.

        best, second  int (n,): class positions. They sum to the difference of `scores`.
        """

    @abstractmethod
    def weights(self) -> dict[str, np.ndarray]:
        """Everything fitted beside the encoder, as named arrays."""

    @abstractmethod
    def restore(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take back what `weights` gave; classes, seed and encoder are there already."""

    def observe(self, batches: Batches, spec: FeatureSpec, classes: Sequence[str], seed: int, hashing: bool = False) -> LabelMass:
        """Fit the encoder in one pass over the batches; the weighted probability of every class in them."""
        self.classes, self.seed_ = _checked_classes(classes), seed
        self.encoder_, mass = Encoder(spec, self.encoding), LabelMass(len(self.classes), hashing)
        for batch in blocks(batches):
            mass.observe(batch)
            self.encoder_.observe(batch)
        mass.check(self.classes)
        self.warnings_: list[Diagnostic] = self.encoder_.freeze()
        self.rows_, self._content, self.history_, self.best_epoch_ = mass.rows, mass.content, [], None
        self.temperature_ = 1.0
        return mass

    @property
    def fitted(self) -> bool:
        return hasattr(self, "encoder_")

    def require_fitted(self) -> None:
        """None. Raises EndModelError EM110 before `fit`."""
        if not self.fitted:
            raise EndModelError("EM110", "the end model is not fitted yet", hint="call fit, or load_end_model")

    def logits(self, batch: pa.RecordBatch) -> np.ndarray:
        """float64 (n, K) logits. Raises EndModelError EM110 before fit, EM105 if the batch lacks feature columns, EM104, EM113."""
        self.require_fitted()
        return self.scores(self.encoder_.encode(batch))

    def predict(self, batch: pa.RecordBatch) -> np.ndarray:
        """float64 (n, K) class probabilities in class order, softmax(logits / temperature_); rows sum to 1 within 1e-12.

        Raises as `logits`.
        """
        return probabilities(self.logits(batch) / self.temperature_)

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        """(feature, DuckDB type) in the order that predict_<task>(...) takes them."""
        return tuple((f.name, f.sql_type) for f in self.encoder_.spec.features)

    def options(self) -> dict[str, Any]:
        """Every option of this model by name, defaults included."""
        return {**asdict(self.training), **asdict(self.encoding), **self.own}

    def identity(self, seed: int) -> str:
        """Hash of everything that decides the result: data, options, features, classes, seed, versions."""
        what = [self.method, self._content, self.options(), self.encoder_.state(), list(self.classes), seed, _versions()]
        return new_sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def model_card(self) -> dict[str, Any]:
        """What this model is: everything a reader needs to judge it, and nothing that changes from run to run."""
        features = self.encoder_.spec.features
        return {
            "method": self.method,
            "classes": list(self.classes),
            "features": [f.name for f in features],
            "servable_inputs": [f.name for f in features if f.servable],
            "options": self.options(),
            "seed": self.seed_,
            "versions": _versions(),
            "training_rows": self.rows_,
            "best_epoch": self.best_epoch_,
            "temperature": self.temperature_,
            "dev_loss": min((h["dev_loss"] for h in self.history_ if h["dev_loss"] is not None), default=None),
            "loss_curve": self.history_,
            "warnings": [[w.code, w.message, w.hint] for w in self.warnings_],
            "about": self.about_,
        }

    def save(self, folder: Path | str) -> str:
        """The sha256 (64 digits) of the artefact written into `folder`; the same model gives the same hash."""
        self.require_fitted()
        return write_artefact(Path(folder), Artefact(self.weights(), self.encoder_.state(), self.model_card()))

    @classmethod
    def from_artefact(cls, artefact: Artefact) -> EncodedModel:
        """The fitted model that an artefact holds; device "auto" is chosen anew."""
        card = artefact.card
        model = cls(**card["options"])
        model.classes, model.seed_, model.encoder_ = tuple(card["classes"]), card["seed"], Encoder.restored(artefact.encoder)
        model.rows_, model.history_, model.best_epoch_ = card["training_rows"], card["loss_curve"], card["best_epoch"]
        model.temperature_, model.about_ = card["temperature"], card.get("about", {})
        model.warnings_ = [Diagnostic(code, message, hint=hint) for code, message, hint in card["warnings"]]
        model.restore(artefact.weights)
        return model


def _checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise EndModelError("EM107", f"classes {list(classes)} are not two or more distinct names")
    return tuple(classes)


def class_weights(option: str | Mapping[str, float] | None, classes: tuple[str, ...], mass: np.ndarray) -> np.ndarray | None:
    """(K,) class weights: None, n / (K x mass) for "balanced" (a class without mass weighs 0), or the mapping's."""
    if option is None:
        return None
    if option == "balanced":
        return np.divide(mass.sum(), len(classes) * mass, out=np.zeros_like(mass), where=mass > 0)
    if not isinstance(option, Mapping) or set(option) != set(classes) or not all(0 <= w < np.inf for w in option.values()):
        hint = did_you_mean(option, ["balanced"]) if isinstance(option, str) else "one weight >= 0 per class"
        raise EndModelError("EM107", f"class_weight = {option!r} is neither 'balanced' nor a weight for each of {', '.join(classes)}", hint=hint)
    return np.array([float(option[c]) for c in classes])


def _versions() -> dict[str, str]:
    import sklearn
    import torch

    return {"numpy": np.__version__, "pyarrow": pa.__version__, "scikit-learn": sklearn.__version__, "torch": torch.__version__}
