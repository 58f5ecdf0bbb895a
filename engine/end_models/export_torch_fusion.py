"""Fusions of modalities as TorchScript: the networks of their parts, joined as the scheme says.

    p = model.predict(numbers, categories, lists, vectors)            # features themselves, where no feature is text
    p = model(dense, indices, offsets, values, applies)               # encoded rows: a list with one entry per part
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence  # TorchScript reads these names

import torch

from .export_torch import RowEncoder, ServedNetwork, centre, feature_places, reads_text, served


class ServedFusion(torch.nn.Module):
    """P(Y | x) float64 (n, K) of rows that every part's own encoder has encoded.

    dense, indices, offsets, values   one of each per part, as ServedNetwork takes them
    applies                           bool (n, parts): which parts a row goes through
    """

    def __init__(self, model: Any, parts: Sequence[str]):
        super().__init__()
        self.networks = torch.nn.ModuleList(ServedNetwork(model.parts[name].network_, model.parts[name].temperature_) for name in parts)
        self.temperature = float(model.temperature_)

    def join(self, hidden: List[torch.Tensor], logits: List[torch.Tensor], applies: torch.Tensor) -> torch.Tensor:
        """Logits float64 (n, K) from the parts' last hidden layers and logits."""
        raise NotImplementedError

    def forward(
        self, dense: List[torch.Tensor], indices: List[torch.Tensor], offsets: List[torch.Tensor], values: List[torch.Tensor], applies: torch.Tensor
    ) -> torch.Tensor:
        hidden: List[torch.Tensor] = []
        logits: List[torch.Tensor] = []
        for i, network in enumerate(self.networks):
            hidden.append(network.hidden(dense[i], indices[i], offsets[i], values[i]))
            logits.append(network.head(hidden[i]))
        return torch.softmax(self.join(hidden, logits, applies) / self.temperature, dim=1)


class ServedLate(ServedFusion):
    """Log-probabilities of the parts are summed, less the class balance they share."""

    def __init__(self, model: Any, parts: Sequence[str]):
        super().__init__(model, parts)
        self.temperatures: List[float] = [float(model.parts[name].temperature_) for name in parts]
        balances = [model.arrays[f"log_balance {name}"] if name in model.gates else [0.0] * len(model.classes) for name in parts]
        self.register_buffer("balance", torch.tensor([[float(b) for b in row] for row in balances], dtype=torch.float64))

    def join(self, hidden: List[torch.Tensor], logits: List[torch.Tensor], applies: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(logits[0])
        for i in range(len(logits)):
            said = torch.log_softmax(logits[i] / self.temperatures[i], dim=1) - self.balance[i]
            total = total + torch.where(applies[:, i : i + 1], said, torch.zeros_like(said))
        return total


class ServedIntermediate(ServedFusion):
    """The last hidden layers of the trunks a row goes through, zeros and a flag for the others, are read by a final network."""

    def __init__(self, model: Any, parts: Sequence[str]):
        super().__init__(model, parts)
        self.final = ServedNetwork(model.parts["final"].network_, 1.0)
        columns = model.parts["final"].encoder_.columns
        self.means: List[torch.Tensor] = [centre(c) for c in columns]
        self.scales: List[float] = [float(c.scale) for c in columns]

    def join(self, hidden: List[torch.Tensor], logits: List[torch.Tensor], applies: torch.Tensor) -> torch.Tensor:
        dense: List[torch.Tensor] = []
        for i in range(len(hidden)):
            through = applies[:, i : i + 1]
            z = (hidden[i].double() - self.means[i]) * self.scales[i]
            dense.append(torch.where(through, z, torch.zeros_like(z)).float())
            dense.append((~through).float())
        nothing = torch.zeros([0], dtype=torch.int64)
        return self.final.head(self.final.hidden(torch.cat(dense, dim=1), nothing, nothing, torch.zeros([0])))


class ServedDevise(ServedFusion):
    """Rows of the new modality: B's last hidden layer, projected onto A's, under A's output layer."""

    def __init__(self, model: Any, parts: Sequence[str]):
        super().__init__(model, parts)
        self.old = ServedNetwork(model.parts["A"].network_, 1.0)
        self.register_buffer("projection", torch.tensor(model.arrays["projection"] * model.arrays["length"], dtype=torch.float64))

    def join(self, hidden: List[torch.Tensor], logits: List[torch.Tensor], applies: torch.Tensor) -> torch.Tensor:
        y = hidden[1].double()
        length = torch.sqrt((y * y).sum(dim=1, keepdim=True))
        unit = y / torch.where(length > 0, length, torch.ones_like(length))
        return torch.where(applies[:, 1:2], self.old.head((unit @ self.projection).float()), logits[0])


SERVED: Mapping[str, type[ServedFusion]] = {"late": ServedLate, "intermediate": ServedIntermediate, "devise": ServedDevise}


class ServedRows(torch.nn.Module):
    """A fusion that reads no text, from the features themselves."""

    def __init__(self, model: Any, parts: Sequence[str]):
        super().__init__()
        features = model.spec_.features
        places, at = feature_places(features), {f.name: i for i, f in enumerate(features)}
        self.fusion = SERVED[model.scheme_](model, parts)
        self.encoders = torch.nn.ModuleList(RowEncoder(model.parts[name].encoder_.columns, places) for name in parts)
        self.kinds: List[str] = [f.kind for f in features]
        self.places: List[int] = [places[f.name] for f in features]
        gates = [_closed(model.gates.get(part, ()), features[0].name) for part in parts]
        self.gates: List[List[List[int]]] = [[[at[f] for f in names] for names, _ in each] for each in gates]
        self.wanted: List[List[bool]] = [[wanted for _, wanted in each] for each in gates]

    def present(
        self, numbers: torch.Tensor, categories: List[List[Optional[str]]],
        lists: Optional[List[List[Optional[List[str]]]]] = None, vectors: Optional[List[torch.Tensor]] = None,
    ) -> torch.Tensor:
        """bool (n, features): where there is a value."""
        found: List[torch.Tensor] = []
        for kind, place in zip(self.kinds, self.places):
            if kind == "numeric":
                found.append(~torch.isnan(numbers[:, place]))
            elif kind == "embedding":
                assert vectors is not None, "the model reads vectors"
                found.append(~torch.isnan(vectors[place]).any(dim=1))
            elif kind == "categorical":
                found.append(torch.tensor([value is not None for value in categories[place]], dtype=torch.bool))
            else:
                assert lists is not None, "the model reads lists"
                found.append(torch.tensor([each is not None for each in lists[place]], dtype=torch.bool))
        return torch.stack(found, dim=1)

    def applies(self, present: torch.Tensor) -> torch.Tensor:
        """bool (n, parts): one of a part's gates must be satisfied; a part that sees every row has two of which one always is."""
        parts: List[torch.Tensor] = []
        for gates, wanted in zip(self.gates, self.wanted):
            passed = torch.zeros([present.shape[0]], dtype=torch.bool)
            for gate, want in zip(gates, wanted):
                passed = passed | (present[:, torch.tensor(gate, dtype=torch.int64)].any(dim=1) == want)
            parts.append(passed)
        return torch.stack(parts, dim=1)

    @torch.jit.export
    def predict(
        self, numbers: torch.Tensor, categories: List[List[Optional[str]]],
        lists: Optional[List[List[Optional[List[str]]]]] = None, vectors: Optional[List[torch.Tensor]] = None,
    ) -> torch.Tensor:
        """P(Y | x) float64 (n, K) from all features in order, those of other modalities missing; see ServedModel.encode."""
        dense: List[torch.Tensor] = []
        indices: List[torch.Tensor] = []
        offsets: List[torch.Tensor] = []
        values: List[torch.Tensor] = []
        for encoder in self.encoders:
            d, i, o, v = encoder(numbers, categories, lists, vectors)
            dense.append(d)
            indices.append(i)
            offsets.append(o)
            values.append(v)
        return self.fusion(dense, indices, offsets, values, self.applies(self.present(numbers, categories, lists, vectors)))

    def forward(
        self, dense: List[torch.Tensor], indices: List[torch.Tensor], offsets: List[torch.Tensor], values: List[torch.Tensor], applies: torch.Tensor
    ) -> torch.Tensor:
        return self.fusion(dense, indices, offsets, values, applies)


def _closed(gates: Sequence[Any], feature: str) -> Sequence[Any]:
    """The gates; where every row passes, two about some feature of which one is always satisfied."""
    if not gates or any(not names and not wanted for names, wanted in gates):
        return [((feature,), True), ((feature,), False)]
    return gates


def served_fusion(model: Any) -> torch.nn.Module:
    """The module that serves a fitted fusion: with `predict` where no feature is text."""
    if model.scheme_ == "early":
        return served(model.parts["early"], model.temperature_)
    parts = [name for name in model.parts if name != "final"]
    return (SERVED[model.scheme_] if reads_text(model) else ServedRows)(model, parts).eval()
