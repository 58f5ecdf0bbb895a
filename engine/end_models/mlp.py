"""A fully connected network with noise-aware loss: for tasks in which features matter together."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from .network_model import NetworkModel
from .training_data import TensorRows


class HiddenNetwork(torch.nn.Module):
    """logits (n, K) = last(drop(relu(... drop(relu(dense @ A + sparse @ B + b))))); dropout is on in training mode only.

    sizes  widths of the hidden layers
    The rows of B are drawn with a standard deviation of .1: rows of n-grams have length 1, so that a text starts small.
    Dropout masks come from a generator of its own, seeded per epoch (`reseed`): a continued run draws the same ones.
    """

    def __init__(self, dense: int, sparse: int, classes: int, sizes: tuple[int, ...], dropout: float, generator: torch.Generator):
        super().__init__()
        self.dropout, self._generator = dropout, torch.Generator()
        self.dense_weight = torch.nn.Parameter(_drawn((dense, sizes[0]), 1 / math.sqrt(max(1, dense)), generator))
        self.sparse_weight = torch.nn.Parameter(_drawn((sparse, sizes[0]), 0.1, generator))
        self.first_bias = torch.nn.Parameter(torch.zeros(sizes[0]))
        shapes = list(zip(sizes, (*sizes[1:], classes)))
        self.weights = torch.nn.ParameterList(_drawn(shape, math.sqrt(2 / shape[0]), generator) for shape in shapes)
        self.biases = torch.nn.ParameterList(torch.zeros(out) for _, out in shapes)

    def reseed(self, seed: tuple[int, int]) -> None:
        """Start the dropout masks of one epoch; seed = (seed of the fit, epoch)."""
        self._generator.manual_seed(seed[0] * 1_000_003 + seed[1])

    def forward(self, rows: TensorRows) -> torch.Tensor:
        return self.head(self.hidden(rows))

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """logits (n, K) of the last hidden layer (n, H)."""
        return self._dropped(hidden) @ self.weights[-1] + self.biases[-1]

    def hidden(self, rows: TensorRows) -> torch.Tensor:
        """The last hidden layer (n, H), after its relu."""
        hidden = self.first_bias.expand(len(rows), -1)
        if len(self.dense_weight):
            hidden = hidden + rows.dense @ self.dense_weight
        if len(self.sparse_weight):
            hidden = hidden + _bag(rows, self.sparse_weight)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1]):
            hidden = self._dropped(functional.relu(hidden)) @ weight + bias
        return functional.relu(hidden)

    def _dropped(self, hidden: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.dropout:
            return hidden
        kept = torch.rand(hidden.shape, generator=self._generator).to(hidden.device) >= self.dropout
        return hidden * kept / (1 - self.dropout)


class Mlp(NetworkModel):
    """P(Y | x) = softmax(network(x)), trained on probabilistic labels.

    Options beside those of training and encoding: hidden (widths, default 256 and 64), dropout (default .1). Text is hashed
    into 2**15 buckets by default: the first layer has a row of weights for each. Source: Suri et al. 2020, section 5 (CT1-4).
    """

    method = "mlp"
    defaults = {"learning_rate": 1e-3, "epsilon": 1e-8, "text_buckets": 2**15}
    own_options = {"hidden": (256, 64), "dropout": 0.1}
    sparse_gradients = True

    def network(self, dense: int, sparse: int, classes: int, generator: torch.Generator) -> HiddenNetwork:
        return HiddenNetwork(dense, sparse, classes, tuple(self.own["hidden"]), self.own["dropout"], generator)


def _bag(rows: TensorRows, weight: torch.Tensor) -> torch.Tensor:
    """sparse @ weight, with a gradient that touches only the rows in use."""
    return functional.embedding_bag(
        rows.indices, weight, rows.offsets, mode="sum", per_sample_weights=rows.values, include_last_offset=True, sparse=torch.is_grad_enabled()
    )


def _drawn(shape: tuple[int, int], spread: float, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator) * spread
