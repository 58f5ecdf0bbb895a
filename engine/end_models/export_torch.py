"""End models as TorchScript: one file that scores with torch alone, its encoder and model card inside.

    model = torch.jit.load("end_model.pt")
    p = model(dense, indices, offsets, values)          # encoded rows
    p = model.predict(numbers, categories)              # features themselves, where no feature is text
"""

from __future__ import annotations

import json
import warnings
from io import BytesIO
from typing import Any, Dict, List, Optional, Tuple  # TorchScript reads these names

import torch
from torch.nn import functional

from .columns import CategoricalColumn, NumericColumn


class ServedNetwork(torch.nn.Module):
    """P(Y | x) float64 (n, K) of encoded rows: the network of an end model with its temperature, in plain layers.

    dense   float32 (n, D)            z-scores and missing flags
    indices, values (nnz,)            columns and values of the sparse rows, row after row; int32 or int64, float32
    offsets (n + 1,)                  where each row begins in them, as indices
    """

    def __init__(self, network: torch.nn.Module, temperature: float):
        super().__init__()
        own = {name: value.detach().cpu() for name, value in network.state_dict().items()}
        self.dense_weight, self.sparse_weight = _frozen(own["dense_weight"]), _frozen(own["sparse_weight"])
        self.bias = _frozen(own["bias"] if "bias" in own else own["first_bias"])
        later = range(sum(name.startswith("weights.") for name in own))
        self.layers = torch.nn.ModuleList(_linear(own[f"weights.{i}"], own[f"biases.{i}"]) for i in later)
        self.temperature = float(temperature)

    def forward(self, dense: torch.Tensor, indices: torch.Tensor, offsets: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        hidden = self.bias.expand(dense.shape[0], -1)
        if self.dense_weight.shape[0] > 0:
            hidden = hidden + dense @ self.dense_weight
        if self.sparse_weight.shape[0] > 0:
            hidden = hidden + functional.embedding_bag(
                indices, self.sparse_weight, offsets, mode="sum", per_sample_weights=values, include_last_offset=True
            )
        for layer in self.layers:
            hidden = layer(functional.relu(hidden))
        return torch.softmax(hidden.double() / self.temperature, dim=1)


class ServedModel(ServedNetwork):
    """The same from the features themselves, for models that read no text."""

    def __init__(self, network: torch.nn.Module, temperature: float, columns: list):
        super().__init__(network, temperature)
        numbers = [c for c in columns if isinstance(c, NumericColumn)]
        self.register_buffer("mean", torch.tensor([c.mean for c in numbers], dtype=torch.float64))
        self.register_buffer("sd", torch.tensor([c.sd for c in numbers], dtype=torch.float64))
        self.vocabularies: List[Dict[str, int]] = [
            {value: 2 + i for i, value in enumerate(c.vocabulary.to_pylist())} for c in columns if isinstance(c, CategoricalColumn)
        ]

    @torch.jit.export
    def encode(self, numbers: torch.Tensor, categories: List[List[Optional[str]]]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """dense, indices, offsets, values of n rows.

        numbers     float64 (n, F)   numeric features in order, NaN = missing; instants in seconds since 1970
        categories  one list of n texts per categorical feature in order, None = missing; booleans "true", "false"
        """
        n = numbers.shape[0]
        missing = torch.isnan(numbers)
        varied = self.sd > 0
        z = torch.where(missing | ~varied, torch.zeros_like(numbers), (numbers - self.mean) / torch.where(varied, self.sd, torch.ones_like(self.sd)))
        dense = torch.stack([z, missing.double()], dim=2).reshape(n, 2 * numbers.shape[1]).float()
        places = torch.zeros([n, len(self.vocabularies)], dtype=torch.int64)
        start = 0
        for j, (vocabulary, column) in enumerate(zip(self.vocabularies, categories)):
            found: List[int] = []
            for value in column:
                found.append(start + (1 if value is None else vocabulary.get(value, 0)))
            places[:, j] = torch.tensor(found, dtype=torch.int64)
            start += 2 + len(vocabulary)
        offsets = torch.arange(n + 1, dtype=torch.int64) * len(self.vocabularies)
        return dense, places.reshape(-1), offsets, torch.ones([places.numel()])

    @torch.jit.export
    def predict(self, numbers: torch.Tensor, categories: List[List[Optional[str]]]) -> torch.Tensor:
        """P(Y | x) float64 (n, K); arguments as `encode` takes them."""
        dense, indices, offsets, values = self.encode(numbers, categories)
        return self.forward(dense, indices, offsets, values)


def served(model: Any) -> ServedNetwork:
    """The module that serves a fitted end model: ServedModel, or ServedNetwork where a feature is text."""
    columns = model.encoder_.columns
    if all(isinstance(c, (NumericColumn, CategoricalColumn)) for c in columns):
        return ServedModel(model.network_, model.temperature_, columns).eval()
    return ServedNetwork(model.network_, model.temperature_).eval()


def torchscript_bytes(model: Any) -> bytes:
    """A fitted end model as a TorchScript archive with encoder.json and model_card.json inside."""
    contents = {"encoder.json": model.encoder_.state(), "model_card.json": model.model_card()}
    texts = {name: json.dumps(what, ensure_ascii=False, sort_keys=True) for name, what in contents.items()}
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.13 calls TorchScript deprecated, and still reads and writes it
        torch.jit.save(torch.jit.script(served(model)), buffer, _extra_files=texts)
    return buffer.getvalue()


def _frozen(value: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(value.clone(), requires_grad=False)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Linear:
    """hidden @ weight + bias; weight (in, out)."""
    layer = torch.nn.Linear(*weight.shape)
    layer.load_state_dict({"weight": weight.T.contiguous(), "bias": bias})
    return layer.requires_grad_(False)
