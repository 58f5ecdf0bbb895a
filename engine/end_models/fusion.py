"""End models over several modalities: parts that are end models themselves, fused early, in between, by projection or late."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import pyarrow as pa

from ..errors import Diagnostic, EndModelError, did_you_mean
from .artefact import Artefact, write_artefact
from .base import OnEvent, _class_of, end_model
from .batches import Batches, blocks, needed, row_weights, soft_labels
from .calibration import best_temperature, probabilities
from .features import FeatureSpec
from .fusion_schemes import CORRELATED, SCHEMES, Late, Scheme
from .views import Gate, Views, tenths

AUTO = "auto"
BETWEEN = "|"
"""Between the name of a part and that of its weights."""


class FusionModel:
    """P(Y | x) from parts that see different modalities.

    scheme   early, intermediate, devise or late; auto: late where the two views' logits correlate below .5 on rows of the new
             modality (a sign that needs no label), else early
    base     the method of every part: logistic or mlp (boosted_trees: early and late)
    views    modality -> its features; old: the modalities people labelled
    options  of the base

    Rows to train on have the column `modality`; rows to predict need none. Source: Suri et al. 2020, section 5.
    """

    method = "fusion"
    about_: dict[str, Any] = {}
    """What was found out about the fitted model, for its card: JSON."""

    def __init__(self, scheme: str = AUTO, base: str = "logistic", views: Mapping[str, Sequence[str]] | None = None, old: Sequence[str] = (), **options: Any):
        if scheme not in (*SCHEMES, AUTO):
            raise EndModelError("EM107", f'there is no fusion "{scheme}"', hint=did_you_mean(scheme, (*SCHEMES, AUTO)) or f"one of {', '.join((*SCHEMES, AUTO))}")
        if base == self.method:
            raise EndModelError("EM107", "the base of a fusion is an end model of its own", hint="logistic, mlp or boosted_trees")
        if scheme in SCHEMES and SCHEMES[scheme].needs_hidden and not hasattr(_class_of(base), "hidden"):
            raise EndModelError("EM107", f"{scheme} fusion reads hidden layers, which {base} has not", hint="logistic or mlp; or fusion late or early")
        end_model(base, **options)
        self.scheme, self.base, self.own = scheme, base, options
        self.views = Views({m: tuple(f) for m, f in (views or {}).items()}, tuple(old))

    # -- fitting --------------------------------------------------------------------------------------------------------

    def fit(
        self, batches: Batches, spec: FeatureSpec, classes: Sequence[str], *, dev: Batches | None = None, seed: int = 0,
        on_event: OnEvent | None = None, checkpoint: Path | str | None = None,
    ) -> FusionModel:
        """This model, fitted. Parts are fitted one after another, each with a checkpoint of its own; one without a dev row of its
        modality holds out every tenth row.

        Raises EndModelError EM124 where modalities cannot be fused, and what the parts raise.
        """
        self.classes, self.seed_, self.spec_ = tuple(classes), seed, spec
        self.warnings_: list[Diagnostic] = []
        self.rows_ = sum(batch.num_rows for batch in batches())

        def part(name: str, rows: Batches, features: FeatureSpec, held: Batches | None) -> Any:
            folder = Path(checkpoint) / name.replace("/", "_") if checkpoint is not None else None
            if held is None and dev is not None:
                rows, held = tenths(rows)
            tell = (lambda event: on_event({**event, "part": name})) if on_event else None
            fitted = end_model(self.base, **self.own).fit(rows, features, self.classes, dev=held, seed=seed, on_event=tell, checkpoint=folder)
            self.warnings_ += [Diagnostic(w.code, f"{name}: {w.message}", hint=w.hint) for w in fitted.warnings_]
            return fitted

        self._scheme = self._fitted(part, batches, dev)
        self.warnings_ += self._scheme.warnings
        self.temperature_ = self._temperature(dev)
        return self

    def _fitted(self, part: Any, batches: Batches, dev: Batches | None) -> Scheme:
        chosen = "late" if self.scheme == AUTO and self._can_be_late() else "early" if self.scheme == AUTO else self.scheme
        scheme = SCHEMES[chosen](self.views, self.spec_)
        scheme.fit(part, batches, dev, self.classes)
        self.scheme_ = chosen
        if self.scheme == AUTO and isinstance(scheme, Late) and scheme.arrays["correlation"].max() > CORRELATED:
            found = scheme.arrays["correlation"].max()
            self.warnings_ = [Diagnostic("EM209", f"the views' logits correlate by {found:.2f} on the new modality: early fusion instead of late", hint='fusion = "late" keeps it')]
            scheme, self.scheme_ = SCHEMES["early"](self.views, self.spec_), "early"
            scheme.fit(part, batches, dev, self.classes)
        return scheme

    def _can_be_late(self) -> bool:
        return bool(self.views.shared) and all(self.views.own(m) for m in self.views.new)

    def _temperature(self, dev: Batches | None) -> float:
        parts = [(self._scheme.logits(b), soft_labels(b, len(self.classes)), row_weights(b)) for b in blocks(dev)] if dev else []
        return best_temperature(*(np.concatenate([p[i] for p in parts]) for i in range(3))) if parts else 1.0

    # -- predicting -----------------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        """(feature, DuckDB type) in the order that predict_<task>(...) takes them."""
        return tuple((f.name, f.sql_type) for f in self.spec_.features)

    def logits(self, batch: pa.RecordBatch, applies: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """float64 (n, K). applies: see `applies`. Raises EndModelError EM110 before fit, EM105 if the batch lacks feature columns."""
        self.require_fitted()
        needed(batch, *self.spec_.names)
        return self._scheme.logits(batch, applies)

    def applies(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Part -> bool (n,): the rows that go through it; parts that see every row are not named."""
        return self._scheme.applies(batch)

    @property
    def gates(self) -> dict[str, tuple[Gate, ...]]:
        """Part -> (features, wanted): a row goes through it that has, or has not, a value of any of them; one gate is enough."""
        return self._scheme.gates()

    def predict(self, batch: pa.RecordBatch) -> np.ndarray:
        """float64 (n, K) class probabilities; rows sum to 1 within 1e-12."""
        return probabilities(self.logits(batch) / self.temperature_)

    def require_fitted(self) -> None:
        """None. Raises EndModelError EM110 before `fit`."""
        if not hasattr(self, "_scheme"):
            raise EndModelError("EM110", "the end model is not fitted yet", hint="call fit, or load_end_model")

    @property
    def parts(self) -> dict[str, Any]:
        """Name -> the fitted end model of each part."""
        return self._scheme.parts

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What the fusion learned beside its parts."""
        return self._scheme.arrays

    # -- keeping --------------------------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        """Every option of this model by name."""
        return {"scheme": self.scheme, "base": self.base, "views": {m: list(f) for m, f in self.views.of.items()}, "old": list(self.views.old), **self.own}

    def model_card(self) -> dict[str, Any]:
        """What this model is, and the card of every part."""
        features = self.spec_.features
        return {
            "method": self.method, "scheme": self.scheme_, "classes": list(self.classes), "features": [f.name for f in features],
            "servable_inputs": [f.name for f in features if f.servable], "options": self.options(), "seed": self.seed_, "training_rows": self.rows_,
            "temperature": self.temperature_, "warnings": [[w.code, w.message, w.hint] for w in self.warnings_],
            "parts": {name: part.model_card() for name, part in self.parts.items()}, "arrays": sorted(self.arrays), "about": self.about_,
        }  # fmt: skip

    def save(self, folder: Path | str) -> str:
        """The sha256 (64 digits) of the artefact written into `folder`; the same model gives the same hash."""
        self.require_fitted()
        weights = {f"{name}{BETWEEN}{key}": value for name, part in self.parts.items() for key, value in part.weights().items()}
        weights = dict(sorted((weights | {f"{BETWEEN}{name}": value for name, value in self.arrays.items()}).items()))
        return write_artefact(Path(folder), Artefact(weights, self.encoder_state(), self.model_card()))

    def encoder_state(self) -> dict[str, Any]:
        """JSON: the features, and how every part encodes its own."""
        return {"features": self.spec_.as_json(), "parts": {name: part.encoder_.state() for name, part in self.parts.items()}}

    @classmethod
    def from_artefact(cls, artefact: Artefact) -> FusionModel:
        """The fitted model that an artefact holds."""
        card = artefact.card
        model = cls(**card["options"])
        model.classes, model.seed_, model.rows_, model.scheme_ = tuple(card["classes"]), card["seed"], card["training_rows"], card["scheme"]
        model.spec_, model.temperature_, model.about_ = FeatureSpec.from_json(artefact.encoder["features"]), card["temperature"], card.get("about", {})
        model.warnings_ = [Diagnostic(code, message, hint=hint) for code, message, hint in card["warnings"]]
        model._scheme = SCHEMES[model.scheme_](model.views, model.spec_)
        model._scheme.arrays = {name: artefact.weights[f"{BETWEEN}{name}"] for name in card["arrays"]}
        for name, own in card["parts"].items():
            weights = {key.partition(BETWEEN)[2]: value for key, value in artefact.weights.items() if key.partition(BETWEEN)[0] == name}
            model._scheme.parts[name] = _class_of(own["method"]).from_artefact(Artefact(weights, artefact.encoder["parts"][name], own))
        return model
