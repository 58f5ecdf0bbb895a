"""What features add to a prediction, found by leaving them out: for models that no sum of weights explains, and for groups of features."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np
import pyarrow as pa

from .views import present, without

Applies = Mapping[str, np.ndarray]


def scored(model: Any, batch: pa.RecordBatch, applies: Applies | None = None) -> np.ndarray:
    """float64 (n, K) logits after temperature; a fusion sends the rows through the parts that `applies` names."""
    logits = model.logits(batch) if applies is None else model.logits(batch, applies)
    return logits / model.temperature_


def parts_of(model: Any, batch: pa.RecordBatch) -> Applies | None:
    """The parts of a fusion that each row goes through; None for a model without parts."""
    return model.applies(batch) if hasattr(model, "applies") else None


def two_best(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int (n,) positions of the largest and the second largest logit."""
    best, second = np.argsort(-logits, axis=1, kind="stable")[:, :2].T
    return best, second


def gaps(logits: np.ndarray, best: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float (n,): log-odds of the class `best` against the class `second`."""
    at = np.arange(len(logits))
    return logits[at, best] - logits[at, second]


def left_out(model: Any, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """(best, second, start, feature -> what it adds, together), each (n,): the last three sum to the log-odds of best against second.

    start     the log-odds of a row of the same modality without any feature
    a feature adds the log-odds with it less those without it, the others staying
    together  what features add that no single one does; 0 where they add up, as in late fusion over logistic parts
    A row keeps going through the same parts whatever is left out. Source: Robnik-Sikonja & Kononenko 2008, equation 3, with log-odds.
    """
    names, through = [name for name, _ in model.inputs], parts_of(model, batch)
    whole = scored(model, batch, through)
    best, second = two_best(whole)
    full = gaps(whole, best, second)
    start = gaps(scored(model, without(batch, names), through), best, second)
    added = {}
    for name in names:
        known = present(batch, [name])
        rest = gaps(scored(model, without(batch, [name]), through), best, second) if known.any() else full
        added[name] = np.where(known, full - rest, 0.0)
    return best, second, start, added, full - start - sum(added.values())


def added_by(model: Any, batch: pa.RecordBatch, groups: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Group -> float (n,): how far the log-odds of the best class against the second move when all its features are left out."""
    through = parts_of(model, batch)
    whole = scored(model, batch, through)
    best, second = two_best(whole)
    full = gaps(whole, best, second)
    return {name: full - gaps(scored(model, without(batch, features), through), best, second) for name, features in groups.items()}
