"""Nearest neighbours: what the rows of a reference table say that are most like a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from .base import Answering, Answers, Preparation

if TYPE_CHECKING:
    import torch

MOST_ROWS = 2_000_000
BLOCK = 65_536
"""Reference rows compared at once."""


def nearest(settings: Mapping[str, Any], preparation: Preparation) -> Answering:
    """VARCHAR[]: the labels of the k rows with the largest cosine, nearest first, each once; only rows with a cosine of at least `least`.

    Exact. A vector of zeros has no neighbours: NULL. Raises ConfigError FT113 where the reference holds no vectors of one length.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    reference, labels = _reference(preparation)
    rows = torch.from_numpy(reference).to(device)

    def answering(batch: pa.Array) -> Answers:
        queries = np.array(batch.to_pylist(), np.float32)
        if queries.shape[1:] != reference.shape[1:]:
            raise ValueError(f"a vector of {queries.shape[-1]} numbers, the reference has {reference.shape[1]}")
        length = np.linalg.norm(queries, axis=1)
        cosine, index = top_k(torch.from_numpy(queries / np.maximum(length, 1e-12)[:, None]).to(device), rows, settings["k"])
        usable = np.isfinite(length) & (length > 0)
        values = [_named(labels, i[c >= settings["least"]]) if ok else None for i, c, ok in zip(index.cpu().numpy(), cosine.cpu().numpy(), usable)]
        return Answers(pa.array(values, pa.list_(pa.string())), [None if ok else "no direction" for ok in usable])

    return answering


def _reference(preparation: Preparation) -> tuple[np.ndarray, list[list[str]]]:
    """(rows float32 (n, d) of length 1, the labels of each)."""
    found, labels = [], []
    for batch in preparation.rows(MOST_ROWS):
        for vector, label in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist()):
            if label is not None and vector is not None:
                found.append(vector)
                labels.append([str(each) for each in label] if isinstance(label, list) else [str(label)])
    try:
        rows = np.array(found, np.float32)
    except ValueError:
        rows = np.empty(0)
    if rows.ndim != 2:
        raise ConfigError("FT113", "nearest_labels: the reference holds no vectors of one length with labels", hint="fit = SELECT vector, label: FLOAT[] and text")
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    keep = (np.isfinite(length) & (length > 0))[:, 0]
    return rows[keep] / length[keep], [each for each, kept in zip(labels, keep) if kept]


def top_k(queries: torch.Tensor, rows: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(cosine, index), each (q, min(k, n)): the k rows (n, d) nearest to each query (q, d), all of length 1, nearest first."""
    import torch

    best = torch.empty(len(queries), 0, device=rows.device), torch.empty(len(queries), 0, dtype=torch.long, device=rows.device)
    for start in range(0, len(rows), BLOCK):
        scores = queries @ rows[start : start + BLOCK].T
        block = scores.topk(min(k, scores.shape[1]), dim=1)
        together = torch.cat([best[0], block.values], 1), torch.cat([best[1], block.indices + start], 1)
        order = together[0].argsort(dim=1, descending=True, stable=True)[:, :k]
        best = together[0].gather(1, order), together[1].gather(1, order)
    return best


def _named(labels: list[list[str]], index: np.ndarray) -> list[str]:
    return list(dict.fromkeys(each for i in index for each in labels[i]))
