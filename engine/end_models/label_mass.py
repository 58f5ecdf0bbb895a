"""How much probability every class has in the training rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256 as new_sha256

import numpy as np
import pyarrow as pa

from ..errors import EndModelError
from .batches import row_weights, soft_labels


@dataclass
class LabelMass:
    """Rows, weighted probability of every class, and, where asked for, a hash of the rows: gathered while the encoder is fitted."""

    n_classes: int
    hashing: bool = False
    rows: int = 0
    mass: np.ndarray = field(init=False)

    def __post_init__(self):
        self.mass, self._hash = np.zeros(self.n_classes), new_sha256()

    def observe(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self.mass += row_weights(batch) @ soft_labels(batch, self.n_classes)
        if self.hashing:
            self._hash.update(batch.serialize())

    @property
    def content(self) -> str:
        return self._hash.hexdigest()

    def check(self, classes: tuple[str, ...]) -> None:
        """None. Raises EndModelError EM101 without rows, EM102 if at most one class has any probability."""
        if not self.rows:
            raise EndModelError("EM101", "there are no training rows", hint="do the labeling functions cover the train split? groundswell check")
        found = [c for c, m in zip(classes, self.mass) if m > 0]
        if len(found) < 2:
            which = f'"{found[0]}"' if found else "none (all weights are zero)"
            raise EndModelError("EM102", f"all probability lies on one class: {which}", hint="add labeling functions for the other classes")
