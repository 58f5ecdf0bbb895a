"""An end model that is a torch network: fitted by gradient descent on streamed Arrow batches, saved as arrays and JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import asdict
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from groundswell.udfs.train import TrainingStep

from ..errors import Diagnostic, EndModelError, did_you_mean
from .artefact import Artefact, write_artefact
from .base import OnEvent
from .batches import Batches, blocks
from .calibration import best_temperature
from .descent import Checkpoint, Descent
from .encode import Encoder
from .features import FeatureSpec
from .optimiser import descent_optimiser
from .options import check_own_options, split_options
from .training_data import Budget, EncodedSource, LabelMass, TensorRows


class NetworkModel(ABC):
    """Shared by every end model with a torch network; a subclass gives `method` and `network`. Same seed, device and thread
    count: same bits, whatever the batch size of the source and whether the rows fit the cache."""

    method: str
    defaults: Mapping[str, Any] = {}
    """Training and encoding options whose default differs for this method."""
    own_options: Mapping[str, Any] = {}
    """Options of this method alone, with their defaults."""
    sparse_gradients: bool = False
    """Whether the gradient of `sparse_weight` is sparse: it then has an optimiser of its own, without weight decay."""

    def __init__(self, **options: Any):
        self.own = {name: options.pop(name, default) for name, default in self.own_options.items()}
        check_own_options(self.own)
        self.training, self.encoding = split_options({**self.defaults, **options}, self.own_options)

    @abstractmethod
    def network(self, dense: int, sparse: int, classes: int, generator: torch.Generator) -> torch.nn.Module:
        """A module (TensorRows) -> logits (n, K), its initial values drawn from `generator`."""

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
    ) -> NetworkModel:
        """This model, fitted: the weights of the epoch with the lowest dev loss, or of the last epoch without dev.

        batches     training rows: features, p (n, K) in class order, optionally weight and entity_id; read several times
        dev         weakly labelled rows for early stopping
        checkpoint  folder; after every epoch the state is written there, and a fit of the same data and options continues from it

        Memory: cache_bytes, one shuffle buffer and the network. Raises EndModelError EM101-EM107, EM111-EM117.
        """
        self.prepare(batches, spec, classes, seed=seed, hashing=checkpoint is not None)
        budget = Budget(self.training.cache_bytes)
        source = EncodedSource(batches, self.encoder_, len(self.classes), budget)
        dev_source = EncodedSource(dev, self.encoder_, len(self.classes), budget) if dev else None
        kept = Checkpoint(Path(checkpoint), self._identity(seed)) if checkpoint is not None else None
        descent = Descent(self.training_step, self.training, self.device_, seed, on_event or (lambda event: None), kept)
        self.history_ = descent.run(source, dev_source)
        self.best_epoch_ = descent.best_epoch
        self.warnings_ += descent.warnings
        if dev_source is not None:
            self.temperature_ = best_temperature(*self._logits_and_labels(dev_source))
        return self

    def _logits_and_labels(self, source: EncodedSource) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits (n, K), p (n, K) and weights (n,) of all rows of a source."""
        self.network_.eval()
        with torch.inference_mode():
            parts = [(self.network_(TensorRows.of(block, self.device_)).double().cpu().numpy(), block.p, block.weight) for block in source]
        return tuple(np.concatenate([part[i] for part in parts]).astype(float) for i in range(3))

    def prepare(self, batches: Batches, spec: FeatureSpec, classes: Sequence[str], *, seed: int = 0, hashing: bool = False) -> TrainingStep:
        """The training step of a network that has seen no labels yet; the encoder is fitted in one pass over the batches.

        `fit` drives the step; `register_training_udf` lets a query drive it. `predict` works from here on.
        """
        self.classes, self.seed_ = _checked_classes(classes), seed
        self.encoder_, mass = Encoder(spec, self.encoding), LabelMass(len(self.classes), hashing)
        for batch in blocks(batches):
            mass.observe(batch)
            self.encoder_.observe(batch)
        mass.check(self.classes)
        self.warnings_: list[Diagnostic] = self.encoder_.freeze()
        self.rows_, self._content, self.history_, self.best_epoch_ = mass.rows, mass.content, [], None
        self.temperature_ = 1.0
        self._build(seed)
        self.training_step = self._step(mass.mass)
        return self.training_step

    def _build(self, seed: int) -> None:
        self.device_ = _device(self.training.device)
        generator = torch.Generator().manual_seed(seed)
        self.network_ = self.network(*self.encoder_.widths, len(self.classes), generator).to(self.device_)

    def _step(self, mass: np.ndarray) -> TrainingStep:
        options = self.training
        optimiser = descent_optimiser(self.network_, options, self.sparse_gradients)
        weights = _class_weights(options.class_weight, self.classes, mass)
        weights = None if weights is None else torch.tensor(weights, dtype=torch.float32, device=self.device_)
        columns = (*self._sql_inputs(self.encoder_.spec), ("p", "DOUBLE[]"))
        return TrainingStep(self.network_, optimiser, self._rows, columns, weights)

    def _rows(self, batch: pa.RecordBatch) -> TensorRows:
        source = EncodedSource(lambda: iter(()), self.encoder_, len(self.classes), Budget(0))
        return TensorRows.of(source.encode(batch), self.device_)

    def _identity(self, seed: int) -> str:
        """Hash of everything that decides the result: data, options, features, classes, seed, versions."""
        what = [self.method, self._content, self._options(), self.encoder_.state(), list(self.classes), seed, _versions()]
        return new_sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def logits(self, batch: pa.RecordBatch) -> np.ndarray:
        """float64 (n, K) logits. Raises EndModelError EM110 before fit, EM105 if the batch lacks feature columns, EM104, EM113."""
        self._require_fitted()
        rows = TensorRows.of(self.encoder_.encode(batch), self.device_)
        self.network_.eval()
        with torch.inference_mode():
            return self.network_(rows).double().cpu().numpy()

    def _require_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise EndModelError("EM110", "the end model is not fitted yet", hint="call fit, or load_end_model")

    def predict(self, batch: pa.RecordBatch) -> np.ndarray:
        """float64 (n, K) class probabilities in class order, softmax(logits / temperature_); rows sum to 1 within 1e-12.

        Raises as `logits`.
        """
        z = self.logits(batch) / self.temperature_
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        """(feature, DuckDB type) in the order that predict_<task>(...) takes them."""
        return self._sql_inputs(self.encoder_.spec)

    @staticmethod
    def _sql_inputs(spec: FeatureSpec) -> tuple[tuple[str, str], ...]:
        return tuple((f.name, f.sql_type) for f in spec.features)

    def _options(self) -> dict[str, Any]:
        return {**asdict(self.training), **asdict(self.encoding), **self.own}

    def model_card(self) -> dict[str, Any]:
        """What this model is: everything a reader needs to judge it, and nothing that changes from run to run."""
        features = self.encoder_.spec.features
        return {
            "method": self.method,
            "classes": list(self.classes),
            "features": [f.name for f in features],
            "servable_inputs": [f.name for f in features if f.servable],
            "options": self._options(),
            "seed": self.seed_,
            "versions": _versions(),
            "training_rows": self.rows_,
            "best_epoch": self.best_epoch_,
            "temperature": self.temperature_,
            "dev_loss": min((h["dev_loss"] for h in self.history_ if h["dev_loss"] is not None), default=None),
            "loss_curve": self.history_,
            "warnings": [[w.code, w.message, w.hint] for w in self.warnings_],
        }

    def save(self, folder: Path | str) -> str:
        """The sha256 (64 digits) of the artefact written into `folder`; the same model gives the same hash."""
        self._require_fitted()
        weights = {name: value.detach().cpu().numpy() for name, value in self.network_.state_dict().items()}
        return write_artefact(Path(folder), Artefact(weights, self.encoder_.state(), self.model_card()))

    @classmethod
    def from_artefact(cls, artefact: Artefact) -> NetworkModel:
        """The fitted model that an artefact holds; device "auto" is chosen anew."""
        card = artefact.card
        model = cls(**card["options"])
        model.classes, model.seed_, model.encoder_ = tuple(card["classes"]), card["seed"], Encoder.restored(artefact.encoder)
        model.rows_, model.history_, model.best_epoch_ = card["training_rows"], card["loss_curve"], card["best_epoch"]
        model.temperature_ = card["temperature"]
        model.warnings_ = [Diagnostic(code, message, hint=hint) for code, message, hint in card["warnings"]]
        model._build(model.seed_)
        model.network_.load_state_dict({name: torch.from_numpy(value) for name, value in artefact.weights.items()})
        return model


def _checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise EndModelError("EM107", f"classes {list(classes)} are not two or more distinct names")
    return tuple(classes)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as e:
        raise EndModelError("EM107", f'device "{name}" cannot be used: {str(e).splitlines()[0]}', hint='device = "auto"') from e
    return device


def _class_weights(option: str | Mapping[str, float] | None, classes: tuple[str, ...], mass: np.ndarray) -> np.ndarray | None:
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

    return {"numpy": np.__version__, "pyarrow": pa.__version__, "scikit-learn": sklearn.__version__, "torch": torch.__version__}
