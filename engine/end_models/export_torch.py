"""End models as TorchScript: one file that scores with torch alone, its encoder and model card inside.

    model = torch.jit.load("end_model.pt")
    p = model(dense, indices, offsets, values)                    # encoded rows
    p = model.predict(numbers, categories, lists, vectors)        # features themselves, where no feature is text
"""

from __future__ import annotations

import json
import warnings
from io import BytesIO
from typing import Any, Dict, List, Optional, Sequence, Tuple  # TorchScript reads these names

import torch
from torch.nn import functional

from .columns import CategoricalColumn, NumericColumn, TextColumn
from .list_columns import MultivaluedColumn

NUMBER, CATEGORY, LIST, VECTOR = 0, 1, 2, 3


class ServedNetwork(torch.nn.Module):
    """P(Y | x) float64 (n, K) of encoded rows: the network of an end model with its temperature, in plain layers.

    dense   float32 (n, D)            z-scores, vectors and missing flags
    indices, values (nnz,)            columns and values of the sparse rows, row after row; int32 or int64, float32
    offsets (n + 1,)                  where each row begins in them, as indices
    """

    def __init__(self, network: torch.nn.Module, temperature: float):
        super().__init__()
        own = {name: value.detach().cpu() for name, value in network.state_dict().items()}
        self.dense_weight, self.sparse_weight = _frozen(own["dense_weight"]), _frozen(own["sparse_weight"])
        self.bias = _frozen(own["bias"] if "bias" in own else own["first_bias"])
        layers = [_linear(own[f"weights.{i}"], own[f"biases.{i}"]) for i in range(sum(name.startswith("weights.") for name in own))]
        self.layers = torch.nn.ModuleList(layers[:-1])
        self.deep = bool(layers)
        self.last = layers[-1] if layers else torch.nn.Identity()
        self.temperature = float(temperature)

    def hidden(self, dense: torch.Tensor, indices: torch.Tensor, offsets: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """The last hidden layer float32 (n, H); the logits of a network without one."""
        hidden = self.bias.expand(dense.shape[0], -1)
        if self.dense_weight.shape[0] > 0:
            hidden = hidden + dense @ self.dense_weight
        if self.sparse_weight.shape[0] > 0:
            hidden = hidden + functional.embedding_bag(
                indices, self.sparse_weight, offsets, mode="sum", per_sample_weights=values, include_last_offset=True
            )
        for layer in self.layers:
            hidden = layer(functional.relu(hidden))
        return functional.relu(hidden) if self.deep else hidden

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits float64 (n, K) of a last hidden layer."""
        return self.last(hidden).double()

    def forward(self, dense: torch.Tensor, indices: torch.Tensor, offsets: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(self.hidden(dense, indices, offsets, values)) / self.temperature, dim=1)


class RowEncoder(torch.nn.Module):
    """The encoder of a model that reads no text; places: feature -> where it stands among the given ones of its kind."""

    def __init__(self, columns: Sequence[Any], places: Dict[str, int]):
        super().__init__()
        self.kinds: List[int] = [_kind(c) for c in columns]
        self.places: List[int] = [places[c.feature.name] for c in columns]
        self.means: List[torch.Tensor] = [centre(c) for c in columns]
        self.scales: List[float] = [_scale(c) for c in columns]
        self.known: List[bool] = [bool(getattr(c, "size", 1)) for c in columns]
        self.widths: List[int] = [c.sparse_width for c in columns]
        self.vocabularies: List[Dict[str, int]] = [_vocabulary(c) for c in columns]

    def scaled(self, x: torch.Tensor, mean: torch.Tensor, scale: float, known: bool) -> torch.Tensor:
        """(n, d + 1) of (n, d): numbers less their mean, in the unit of the training rows, and a missing flag; the flag alone for
        vectors that no training row had."""
        if not known:
            return torch.ones([x.shape[0], 1])
        missing = torch.isnan(x).any(dim=1, keepdim=True)
        z = (x.double() - mean) * scale
        return torch.cat([torch.where(missing, torch.zeros_like(z), z), missing.double()], dim=1).float()

    def forward(
        self, numbers: torch.Tensor, categories: List[List[Optional[str]]],
        lists: Optional[List[List[Optional[List[str]]]]] = None, vectors: Optional[List[torch.Tensor]] = None,
    ) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        n = numbers.shape[0]
        dense: List[torch.Tensor] = [torch.zeros([n, 0])]
        rows: List[List[int]] = [torch.jit.annotate(List[int], []) for _ in range(n)]
        start = 0
        for j in range(len(self.kinds)):
            kind, place, vocabulary = self.kinds[j], self.places[j], self.vocabularies[j]
            if kind == 0:
                dense.append(self.scaled(numbers[:, place : place + 1], self.means[j], self.scales[j], self.known[j]))
            elif kind == 3:
                assert vectors is not None, "the model reads vectors"
                dense.append(self.scaled(vectors[place], self.means[j], self.scales[j], self.known[j]))
            else:
                for i in range(n):
                    if kind == 1:
                        value = categories[place][i]
                        rows[i].append(start + (1 if value is None else vocabulary.get(value, 0)))
                    else:
                        assert lists is not None, "the model reads lists"
                        several = lists[place][i]
                        if several is None:
                            rows[i].append(start + 1)
                        else:
                            for each in several:
                                at = start + vocabulary.get(each, 0)
                                if at not in rows[i]:
                                    rows[i].append(at)
                start += self.widths[j]
        indices: List[int] = []
        offsets: List[int] = [0]
        for row in rows:
            indices.extend(row)
            offsets.append(len(indices))
        return torch.cat(dense, dim=1), torch.tensor(indices, dtype=torch.int64), torch.tensor(offsets, dtype=torch.int64), torch.ones([len(indices)])


class ServedModel(ServedNetwork):
    """The same from the features themselves, for models that read no text."""

    def __init__(self, network: torch.nn.Module, temperature: float, columns: Sequence[Any]):
        super().__init__(network, temperature)
        self.encoder = RowEncoder(columns, feature_places([c.feature for c in columns]))

    @torch.jit.export
    def encode(
        self, numbers: torch.Tensor, categories: List[List[Optional[str]]],
        lists: Optional[List[List[Optional[List[str]]]]] = None, vectors: Optional[List[torch.Tensor]] = None,
    ) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """dense, indices, offsets, values of n rows.

        numbers     float64 (n, F)   numeric features in order, NaN = missing; instants in seconds since 1970
        categories  one list of n texts per categorical feature in order, None = missing; booleans "true", "false"
        lists       one list of n lists of texts per feature that is a list of categories, None = missing
        vectors     float32 (n, d) per feature that is a vector, NaN = missing
        """
        return self.encoder(numbers, categories, lists, vectors)

    @torch.jit.export
    def predict(
        self, numbers: torch.Tensor, categories: List[List[Optional[str]]],
        lists: Optional[List[List[Optional[List[str]]]]] = None, vectors: Optional[List[torch.Tensor]] = None,
    ) -> torch.Tensor:
        """P(Y | x) float64 (n, K); arguments as `encode` takes them."""
        dense, indices, offsets, values = self.encode(numbers, categories, lists, vectors)
        return self.forward(dense, indices, offsets, values)


def feature_places(features: Sequence[Any]) -> Dict[str, int]:
    """Feature -> its place among the features of its kind: numbers, categories, lists, vectors."""
    found: Dict[str, int] = {}
    for kind in ("numeric", "categorical", "multivalued", "embedding"):
        found.update({name: i for i, name in enumerate(f.name for f in features if f.kind == kind)})
    return found


def reads_text(model: Any) -> bool:
    """Does a model, or a part of it, read text?"""
    return any(f.kind == "text" for f in model.spec_.features) if hasattr(model, "parts") else any(isinstance(c, TextColumn) for c in model.encoder_.columns)


def served(model: Any, temperature: float) -> ServedNetwork:
    """The module that serves one fitted network: ServedModel, or ServedNetwork where a feature is text."""
    if reads_text(model):
        return ServedNetwork(model.network_, temperature).eval()
    return ServedModel(model.network_, temperature, model.encoder_.columns).eval()


def torchscript_bytes(model: Any) -> bytes:
    """A fitted end model as a TorchScript archive with encoder.json and model_card.json inside."""
    if hasattr(model, "parts"):
        from .export_torch_fusion import served_fusion

        module, encoder = served_fusion(model), model.encoder_state()
    else:
        module, encoder = served(model, model.temperature_), model.encoder_.state()
    texts = {name: json.dumps(what, ensure_ascii=False, sort_keys=True) for name, what in {"encoder.json": encoder, "model_card.json": model.model_card()}.items()}
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.13 calls TorchScript deprecated, and still reads and writes it
        torch.jit.save(torch.jit.script(module), buffer, _extra_files=texts)
    return buffer.getvalue()


def _kind(column: Any) -> int:
    return NUMBER if isinstance(column, NumericColumn) else CATEGORY if isinstance(column, CategoricalColumn) else LIST if isinstance(column, MultivaluedColumn) else VECTOR


def centre(column: Any) -> torch.Tensor:
    """What is taken from a number or vector, float64 (d,)."""
    return torch.tensor(getattr(column, "mean", 0.0), dtype=torch.float64).reshape(-1)


def _scale(column: Any) -> float:
    """What a number or vector is multiplied by then."""
    return (1 / column.sd if column.sd else 0.0) if isinstance(column, NumericColumn) else float(getattr(column, "scale", 0.0))


def _vocabulary(column: Any) -> Dict[str, int]:
    """Value -> its sparse column; TorchScript needs an entry in each, and 0 is what an unknown value has anyway."""
    return {v: 2 + i for i, v in enumerate(column.vocabulary.to_pylist())} if getattr(column, "vocabulary", ()) else {"": 0}


def _frozen(value: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(value.clone(), requires_grad=False)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Linear:
    """hidden @ weight + bias; weight (in, out)."""
    layer = torch.nn.Linear(*weight.shape)
    layer.load_state_dict({"weight": weight.T.contiguous(), "bias": bias})
    return layer.requires_grad_(False)
