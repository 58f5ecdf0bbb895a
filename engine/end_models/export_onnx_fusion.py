"""Fusions of modalities as ONNX: the graphs of their parts over shared inputs, joined as the scheme says."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from ..errors import EndModelError
from .columns import TextColumn
from .export_onnx import Graph, arrays
from .views import Gate


def readable_columns(model: Any) -> list[Any]:
    """The column encoders of all parts that read features. Raises EndModelError EM120 where one reads text."""
    columns = [c for name, part in model.parts.items() if name != "final" for c in part.encoder_.columns]
    texts = dict.fromkeys(c.feature.name for c in columns if isinstance(c, TextColumn))
    if texts and model.scheme_ != "early":
        message = f"no ONNX operator hashes n-grams, and every part of a fusion would need encoded rows of its own: {', '.join(texts)} is text"
        raise EndModelError("EM120", message, hint="--format torchscript, or train with end_model = { features = [...] } without it")
    return columns


def fused(graph: Graph, model: Any) -> str:
    """The logits of a fusion after temperature, float32 (n, K)."""
    return graph.divided(SCHEMES[model.scheme_](graph, model), model.temperature_)


def _early(graph: Graph, model: Any) -> str:
    own = arrays(model.parts["early"])
    return graph.head(graph.hidden(model.parts["early"].encoder_.columns, own), own)


def _late(graph: Graph, model: Any) -> str:
    """Log-probabilities of the parts, less the class balance, summed over the parts a row goes through."""
    total = []
    for name, part in model.parts.items():
        own = arrays(part)
        said = graph.node("LogSoftmax", graph.divided(graph.head(graph.hidden(part.encoder_.columns, own), own), part.temperature_), axis=1)
        if name in model.gates:
            said = graph.node("Sub", said, graph.constant(model.arrays[f"log_balance {name}"].astype(np.float32)))
            said = graph.node("Where", _through(graph, model, name), said, _zero(graph))
        total.append(said)
    return graph.node("Sum", *total)


def _intermediate(graph: Graph, model: Any) -> str:
    """The trunks' last hidden layers, zeros and a flag where a row has nothing for one, read by the final network."""
    dense = []
    for column, name in zip(model.parts["final"].encoder_.columns, model.gates):
        part, through = model.parts[name], _through(graph, model, name)
        hidden = graph.node("Cast", graph.hidden(part.encoder_.columns, arrays(part)), to=graph.kinds.DOUBLE)
        z = graph.node("Mul", graph.node("Sub", hidden, graph.constant(np.asarray(column.mean, float))), graph.constant(np.array(column.scale, float)))
        dense += [graph.node("Where", through, graph.float(z), _zero(graph)), graph.float(graph.node("Not", through))]
    own = arrays(model.parts["final"])
    return graph.head(graph.layers(graph.node("Concat", *dense, axis=1), None, own), own)


def _devise(graph: Graph, model: Any) -> str:
    """Rows of the new modality: B's last hidden layer at length 1, projected onto A's, under A's output layer."""
    old, new = (arrays(model.parts[name]) for name in ("A", "B"))
    hidden = graph.node("Cast", graph.hidden(model.parts["B"].encoder_.columns, new), to=graph.kinds.DOUBLE)
    length = graph.node("ReduceL2", hidden, graph.axis(1), keepdims=1)
    length = graph.node("Where", graph.node("Greater", length, graph.constant(np.zeros(()))), length, graph.constant(np.ones(())))
    projected = graph.node("MatMul", graph.node("Div", hidden, length), graph.constant(model.arrays["projection"] * model.arrays["length"]))
    said = graph.head(graph.hidden(model.parts["A"].encoder_.columns, old), old)
    return graph.node("Where", _through(graph, model, "B"), graph.head(graph.float(projected), old), said)


SCHEMES = {"early": _early, "late": _late, "intermediate": _intermediate, "devise": _devise}


def _through(graph: Graph, model: Any, part: str) -> str:
    """bool (n, 1): rows that go through a part."""
    columns = {c.feature.name: c for each in model.parts.values() for c in each.encoder_.columns}
    passed = [_passed(graph, gate, columns) for gate in model.gates[part]]
    return graph.node("Unsqueeze", _any(graph, passed), graph.axis(1))


def _passed(graph: Graph, gate: Gate, columns: dict[str, Any]) -> str:
    """bool (n,): rows that satisfy a gate."""
    features, wanted = gate
    if not features:  # nothing that could be there is there: every row passes
        missing = graph.is_missing(next(iter(columns.values())))
        return graph.node("Or", missing, graph.node("Not", missing))
    some = _any(graph, [graph.node("Not", graph.is_missing(columns[name])) for name in features])
    return some if wanted else graph.node("Not", some)


def _any(graph: Graph, conditions: Sequence[str]) -> str:
    found = conditions[0]
    for each in conditions[1:]:
        found = graph.node("Or", found, each)
    return found


def _zero(graph: Graph) -> str:
    return graph.constant(np.zeros((), np.float32))
