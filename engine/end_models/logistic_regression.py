"""Noise-aware logistic regression: a linear layer over the dense block and one over the sparse block. Convex, exact contributions."""

from __future__ import annotations

import torch
from torch.nn import functional

from .network_model import NetworkModel
from .training_data import TensorRows


class LinearNetwork(torch.nn.Module):
    """logits (n, K) = dense @ dense_weight + sparse @ sparse_weight + bias; all parameters start at zero."""

    def __init__(self, dense: int, sparse: int, classes: int):
        super().__init__()
        self.dense_weight = torch.nn.Parameter(torch.zeros(dense, classes))
        self.sparse_weight = torch.nn.Parameter(torch.zeros(sparse, classes))
        self.bias = torch.nn.Parameter(torch.zeros(classes))

    def hidden(self, rows: TensorRows) -> torch.Tensor:
        """The logits (n, K): a linear model has no layer before its output."""
        return self(rows)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """What stands after `hidden`: nothing."""
        return hidden

    def forward(self, rows: TensorRows) -> torch.Tensor:
        logits = self.bias.expand(len(rows), -1)
        if len(self.dense_weight):
            logits = logits + rows.dense @ self.dense_weight
        if len(self.sparse_weight):
            logits = logits + functional.embedding_bag(
                rows.indices,
                self.sparse_weight,
                rows.offsets,
                mode="sum",
                per_sample_weights=rows.values,
                include_last_offset=True,
            )
        return logits


class LogisticRegression(NetworkModel):
    """P(Y | x) = softmax(W x + b), trained on probabilistic labels. Source: Suri et al. 2020, section 5 (CT5)."""

    method = "logistic"
    path_points = 1

    def network(self, dense: int, sparse: int, classes: int, generator: torch.Generator) -> LinearNetwork:
        return LinearNetwork(dense, sparse, classes)
