"""Why an end model says what it says about one row: what each feature, category and n-gram adds to the log-odds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

STEPS = 64
"""Points on the path of integrated gradients; one is enough, and exact, where logits are linear."""

START = "(start)"


@dataclass(frozen=True)
class Contribution:
    """What one piece of a feature adds to the log-odds of the best class against the second; piece None = the feature as a whole."""

    feature: str
    piece: str | None
    evidence: float


def contributions(model, batch: pa.RecordBatch) -> tuple[str, str, list[Contribution]]:
    """(best class, second class, contributions), largest first, for a batch of one row.

    They sum to the log-odds of best against second (after temperature): START is what an empty row has, the others are
    integrated gradients from it, exact for logistic regression, to STEPS points for other networks.
    Text is split into its n-grams, categories and lists into values. Source: Sundararajan et al. 2017, equation 3.
    """
    import torch

    from .training_data import TensorRows

    model._require_fitted()
    rows = TensorRows.of(model.encoder_.encode(batch), model.device_)
    z = model.logits(batch)[0] / model.temperature_
    best, second = np.argsort(-z, kind="stable")[:2]
    model.network_.eval()

    def gap(share: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        dense, values = (rows.dense * share).requires_grad_(), (rows.values * share).requires_grad_()
        logits = model.network_(replace(rows, dense=dense, values=values))[0] / model.temperature_
        return logits[best] - logits[second], dense, values

    start = float(gap(0.0)[0].detach())
    dense, sparse = _integrated(gap, rows, 1 if model.method == "logistic" else STEPS)
    found = [Contribution(START, None, start), *_named(model.encoder_, batch, rows, dense, sparse)]
    ordered = sorted((c for c in found if c.evidence or c.feature == START), key=lambda c: (-abs(c.evidence), c.feature, c.piece or ""))
    return model.classes[best], model.classes[second], ordered


def _integrated(gap, rows, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Input times mean gradient along the path from nothing to the row: for dense (D,) and sparse values (nnz,)."""
    import torch

    total = [torch.zeros_like(rows.dense), torch.zeros_like(rows.values)]
    for i in range(steps):
        value, dense, values = gap((i + 0.5) / steps)
        for at, gradient in enumerate(torch.autograd.grad(value, (dense, values), allow_unused=True)):
            if gradient is not None:
                total[at] += gradient / steps
    return (total[0] * rows.dense)[0].double().cpu().numpy(), (total[1] * rows.values).double().cpu().numpy()


def _named(encoder, batch: pa.RecordBatch, rows, dense: np.ndarray, sparse: np.ndarray) -> list[Contribution]:
    indices, found, at_dense, at_sparse = rows.indices.cpu().numpy(), [], 0, 0
    for column in encoder.columns:
        name, value = column.feature.name, batch.column(column.feature.name)
        if column.dense_width:
            found.append(Contribution(name, None, float(dense[at_dense : at_dense + column.dense_width].sum())))
        mine = (indices >= at_sparse) & (indices < at_sparse + column.sparse_width)
        pieces = column.pieces(value) if mine.any() else {}
        for index, evidence in zip(indices[mine] - at_sparse, sparse[mine]):
            found.append(Contribution(name, pieces.get(int(index), "(other)"), float(evidence)))
        at_dense, at_sparse = at_dense + column.dense_width, at_sparse + column.sparse_width
    return found
