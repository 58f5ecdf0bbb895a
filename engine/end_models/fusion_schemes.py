"""Four ways to make one model of several modalities: parts that are end models themselves, and a rule that joins them."""

from __future__ import annotations

from typing import Any, Callable, Mapping

import numpy as np
import pyarrow as pa

from ..errors import Diagnostic, EndModelError
from .batches import Batches
from .features import Feature, FeatureSpec
from .views import Gate, Views, has_rows, only, part_of, passed

CORRELATED = 0.5
"""Correlation of two views' logits on rows of the new modality from which they say the same: late fusion then adds nothing."""
RIDGE = 1e-3
"""Of the projection, per row; vectors have length 1."""

Fit = Callable[[str, Batches, FeatureSpec, "Batches | None"], Any]
"""(name of the part, rows, features, dev rows or None) -> the fitted end model."""


class Scheme:
    """A way to fuse. parts: name -> fitted end model; arrays: what else was learned."""

    needs_hidden = False

    def __init__(self, views: Views, spec: FeatureSpec):
        self.views, self.spec = views, spec
        self.parts: dict[str, Any] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.warnings: list[Diagnostic] = []

    def fit(self, fit: Fit, batches: Batches, dev: Batches | None, classes: tuple[str, ...]) -> None:
        """Fit the parts."""
        raise NotImplementedError

    def gates(self) -> dict[str, tuple[Gate, ...]]:
        """Part -> what a row must satisfy (one is enough) to go through it; a part that is not named sees every row."""
        return {}

    def applies(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Part -> bool (n,): the rows that go through it, by their features alone."""
        return {name: passed(batch, gates) for name, gates in self.gates().items()}

    def logits(self, batch: pa.RecordBatch, applies: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """float64 (n, K). applies: the rows of each gated part, where they are not to be read off the batch."""
        raise NotImplementedError


class Early(Scheme):
    """One model on all rows: shared features share a column, a modality's own are missing elsewhere (Suri et al. 2020, section 5.1)."""

    def fit(self, fit: Fit, batches: Batches, dev: Batches | None, classes: tuple[str, ...]) -> None:
        self.parts["early"] = fit("early", batches, self.spec, dev)

    def logits(self, batch: pa.RecordBatch, applies: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        return self.parts["early"].logits(batch)


class Intermediate(Scheme):
    """One trunk per modality, its output layer removed; every row goes through all trunks of which it has a feature, and one model
    reads what they say (Suri et al. 2020, section 5.2). Trunks stay as they are in the second pass."""

    needs_hidden = True

    def fit(self, fit: Fit, batches: Batches, dev: Batches | None, classes: tuple[str, ...]) -> None:
        for modality, names in self.views.of.items():
            rows, held = only(batches, (modality,)), only(dev, (modality,)) if dev else None
            if not has_rows(rows):
                self.warnings.append(Diagnostic("EM208", f"{modality} has no labelled row: it gets no trunk", hint="labeling functions for it, or gold"))
                continue
            self.parts[modality] = fit(modality, rows, part_of(self.spec, names), held if has_rows(held) else None)
        if len(self.parts) < 2:
            raise EndModelError("EM124", f"only {', '.join(self.parts) or 'no modality'} has labelled rows: there is nothing to fuse", hint='fusion = "early"')
        trunks = FeatureSpec(tuple(Feature(_trunk(m), "embedding", "list<item: float>") for m in self.parts))
        self.parts["final"] = fit("final", self._through(batches), trunks, self._through(dev) if dev else None)

    def _through(self, batches: Batches) -> Batches:
        return lambda: (self._trunks(batch) for batch in batches())

    def gates(self) -> dict[str, tuple[Gate, ...]]:
        return {m: ((self.views.of[m], True),) for m in self.parts if m != "final"}

    def _trunks(self, batch: pa.RecordBatch, applies: Mapping[str, np.ndarray] | None = None) -> pa.RecordBatch:
        """What every trunk says of the rows that have a feature of its modality, NULL of others; labels and weights stay."""
        applies = self.applies(batch) if applies is None else applies
        columns = {name: batch.column(name) for name in ("p", "weight", "entity_id") if name in batch.schema.names}
        for modality, through in applies.items():
            columns[_trunk(modality)] = vectors(self.parts[modality].hidden(batch), through)
        return pa.RecordBatch.from_pydict(columns)

    def logits(self, batch: pa.RecordBatch, applies: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        return self.parts["final"].logits(self._trunks(batch, applies))


class Devise(Scheme):
    """A model A of the old modalities, a model B of the new one, and a linear projection of B's last hidden layer onto A's; A's output
    layer answers (Frome et al. 2013, as adapted by Suri et al. 2020, section 5.3). The projection minimises the squared distance of
    vectors of length 1 on rows of the new modality; A's mean length is given back before its output layer."""

    needs_hidden = True

    def fit(self, fit: Fit, batches: Batches, dev: Batches | None, classes: tuple[str, ...]) -> None:
        old, new = self.views.old, self.views.new
        self.parts["A"] = fit("A", only(batches, old), part_of(self.spec, self.views.everything(old)), _some(dev, old))
        self.parts["B"] = fit("B", only(batches, new), part_of(self.spec, self.views.everything(new)), _some(dev, new))
        self.arrays["projection"], self.arrays["length"] = self._projection(only(batches, new))

    def _projection(self, rows: Batches) -> tuple[np.ndarray, np.ndarray]:
        """(H_B, H_A) by least squares, in one pass over the rows; and A's mean length, float (1,)."""
        gram, cross, lengths, n = 0.0, 0.0, 0.0, 0
        for batch in rows():
            x, y = self.parts["A"].hidden(batch).astype(float), self.parts["B"].hidden(batch).astype(float)
            gram, cross = gram + unit(y).T @ unit(y), cross + unit(y).T @ unit(x)
            lengths, n = lengths + np.linalg.norm(x, axis=1).sum(), n + batch.num_rows
        return np.linalg.solve(gram + RIDGE * n * np.eye(len(gram)), cross), np.array([lengths / n])

    def gates(self) -> dict[str, tuple[Gate, ...]]:
        return {"B": tuple(self.views.gate(m) for m in self.views.new)}

    def logits(self, batch: pa.RecordBatch, applies: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        found, new = self.parts["A"].logits(batch), (self.applies(batch) if applies is None else applies)["B"]
        if new.any():
            projected = unit(self.parts["B"].hidden(batch.filter(pa.array(new))).astype(float)) @ self.arrays["projection"] * self.arrays["length"]
            found[new] = self.parts["A"].head(projected)
        return found


class Late(Scheme):
    """A model of the old modalities on shared features and, for each new modality, one on its own features alone: logits are summed,
    less the class balance both hold. Exact where the two views are independent given the class (Blum & Mitchell 1998)."""

    def fit(self, fit: Fit, batches: Batches, dev: Batches | None, classes: tuple[str, ...]) -> None:
        views = self.views
        if not views.shared or not all(views.own(m) for m in views.new):
            lacking = "the modalities share no feature" if not views.shared else f"{', '.join(m for m in views.new if not views.own(m))} has no feature of its own"
            raise EndModelError("EM124", f"late fusion needs shared features and own ones: {lacking}", hint='fusion = "early"')
        self.parts["old"] = fit("old", only(batches, views.old), part_of(self.spec, views.shared), _some(dev, views.old))
        for m in views.new:
            self.parts[m] = fit(m, only(batches, (m,)), part_of(self.spec, views.own(m)), _some(dev, (m,)))
            self.arrays[f"log_balance {m}"] = self._log_balance(only(batches, (m,)), len(classes))
        self.arrays["correlation"] = np.array([self.correlation(only(batches, (m,)), m) for m in views.new])

    def _log_balance(self, rows: Batches, k: int) -> np.ndarray:
        mass = np.full(k, 1e-9)
        for batch in rows():
            mass += np.array(batch.column("p").to_pylist(), float).sum(axis=0)
        return np.log(mass / mass.sum())

    def correlation(self, rows: Batches, modality: str) -> float:
        """Of the two views' centred logits over rows of a new modality, in [-1, 1]; labels are not looked at."""
        a, b = (np.concatenate([_centred(self.parts[name].logits(batch)) for batch in rows()]) for name in ("old", modality))
        a, b = (x - x.mean(axis=0) for x in (a, b))
        spread = np.sqrt((a * a).sum() * (b * b).sum())
        return float((a * b).sum() / spread) if spread > 0 else 0.0

    def gates(self) -> dict[str, tuple[Gate, ...]]:
        return {m: (self.views.gate(m),) for m in self.views.new}

    def logits(self, batch: pa.RecordBatch, applies: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        found = calibrated(self.parts["old"], batch)
        for m, new in (self.applies(batch) if applies is None else applies).items():
            if new.any():
                found[new] += calibrated(self.parts[m], batch.filter(pa.array(new))) - self.arrays[f"log_balance {m}"]
        return found


SCHEMES: Mapping[str, type[Scheme]] = {"early": Early, "intermediate": Intermediate, "devise": Devise, "late": Late}


def calibrated(part: Any, batch: pa.RecordBatch) -> np.ndarray:
    """log-probabilities float (n, K) of a part, after its temperature."""
    logits = part.logits(batch) / part.temperature_
    top = logits.max(axis=1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1.0)


def vectors(x: np.ndarray, known: np.ndarray) -> pa.Array:
    """float (n, H) as lists, NULL where not known."""
    offsets = np.concatenate([[0], np.cumsum(known)]).astype(np.int32) * np.int32(x.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(x[known], np.float32).ravel()), mask=pa.array(~known))


def _trunk(modality: str) -> str:
    return f"trunk {modality}"


def _some(dev: Batches | None, modalities: tuple[str, ...]) -> Batches | None:
    held = only(dev, modalities) if dev else None
    return held if has_rows(held) else None


def _centred(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=1, keepdims=True)
