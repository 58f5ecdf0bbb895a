"""End models as ONNX: the whole way from named columns where no feature is text, from encoded rows otherwise.

The graph is built node by node, so writing it needs the package onnx alone, and no operator outside the standard.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Collection, Mapping, Sequence

import numpy as np

from ..errors import EndModelError
from .columns import CategoricalColumn, NumericColumn, TextColumn
from .list_columns import EmbeddingColumn, MultivaluedColumn

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 8
"""Read by ONNX Runtime 1.14 (2023) and later."""


def onnx_bytes(model: Any) -> bytes:
    """A fitted end model as an ONNX file; output "probabilities" float32 (n, K), class names in the metadata.

    Without text features the inputs are the features by name:
        number    float64 (n,)      NaN = missing; instants in seconds since 1970
        category  text (n,)         metadata "missing" = the text that stands for NULL
        list      text (n, any)     each value once; cells that are over hold the metadata "nothing"; NULL = "missing", then "nothing"
        vector    float32 (n, d)    NaN = missing
    With text features they are encoded rows: dense float32 (n, D), unless D = 0; indices int64 (m,), offsets int64 (n + 1,) and
    values float32 (m,) of the sparse block in CSR form. A fusion takes all features by name, those of other modalities missing.

    Raises EndModelError EM121 without onnx, EM120 for a fusion that reads text.
    """
    try:
        import onnx
    except ImportError as error:
        raise EndModelError("EM121", "writing ONNX needs the package onnx", hint="pip install onnx") from error
    if not hasattr(model, "parts"):
        return finished(Graph(onnx, model.encoder_.columns, len(model.classes)), model, single, model.encoder_.state())
    from .export_onnx_fusion import fused, readable_columns

    return finished(Graph(onnx, readable_columns(model), len(model.classes)), model, fused, model.encoder_state())


def single(graph: Graph, model: Any) -> str:
    """The logits of one network after temperature, float32 (n, K)."""
    own = arrays(model)
    return graph.divided(graph.head(graph.hidden(model.encoder_.columns, own), own), model.temperature_)


def arrays(model: Any) -> dict[str, np.ndarray]:
    """The parameters of a fitted network by name."""
    return {name: value.detach().cpu().numpy() for name, value in model.network_.state_dict().items()}


def finished(graph: Graph, model: Any, logits: Callable[[Graph, Any], str], encoder: Mapping[str, Any]) -> bytes:
    """The checked file of a graph that ends in the softmax of some logits."""
    onnx, helper = graph.onnx, graph.onnx.helper
    graph.nodes.append(helper.make_node("Softmax", [logits(graph, model)], [graph.output], axis=1))
    output = helper.make_tensor_value_info(graph.output, onnx.TensorProto.FLOAT, ["n", len(model.classes)])
    made = helper.make_model(
        helper.make_graph(graph.nodes, "end_model", list(graph.inputs.values()), [output], graph.constants),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()], ir_version=IR_VERSION, producer_name="groundswell",
    )  # fmt: skip
    helper.set_model_props(made, {
        "classes": json.dumps(list(model.classes), ensure_ascii=False), "missing": graph.missing, "nothing": graph.nothing,
        "encoder": json.dumps(encoder, ensure_ascii=False), "model_card": json.dumps(model.model_card(), ensure_ascii=False),
    })  # fmt: skip
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True)


class Graph:
    """Nodes, inputs and constants; methods add nodes and return the name of what comes out."""

    def __init__(self, onnx: Any, columns: Sequence[Any], classes: int):
        self.onnx, self.classes, self.kinds = onnx, classes, onnx.TensorProto
        self.nodes, self.constants = [], []
        self.inputs: dict[str, Any] = {}
        taken = {v for c in columns for v in (c.vocabulary.to_pylist() if hasattr(c, "vocabulary") else ())}
        self.missing, self.nothing = _unused("<missing>", taken), _unused("<nothing>", taken)
        self.output = _unused("probabilities", {c.feature.name for c in columns})

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        name = f"/{kind}/{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"/constant/{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def input(self, name: str, kind: str, *shape: Any) -> str:
        """An input, declared once however many parts read it."""
        if name not in self.inputs:
            self.inputs[name] = self.onnx.helper.make_tensor_value_info(name, getattr(self.kinds, kind), list(shape))
        return name

    def axis(self, i: int) -> str:
        return self.constant(np.array([i], np.int64))

    def float(self, x: str) -> str:
        return self.node("Cast", x, to=self.kinds.FLOAT)

    def divided(self, x: str, by: float) -> str:
        return self.node("Div", x, self.constant(np.array(by, np.float32)))

    # -- from inputs to the first layer ---------------------------------------------------------------------------------

    def encoded(self, columns: Sequence[Any], own: Mapping[str, np.ndarray]) -> tuple[str | None, str | None]:
        """The dense block, and sparse block @ sparse_weight; None for a block without columns."""
        if any(isinstance(c, TextColumn) for c in columns):
            return self.encoded_rows(own)
        dense, rows, start = [], [], 0
        for column in columns:
            if column.dense_width:
                dense.append(self.number(column) if isinstance(column, NumericColumn) else self.vector(column))
            else:
                weights = own["sparse_weight"][start : start + column.sparse_width]
                rows.append(self.category(column, weights) if isinstance(column, CategoricalColumn) else self.list(column, weights))
            start += column.sparse_width
        sparse = self.node("Sum", *rows) if rows else None
        return (self.node("Concat", *dense, axis=1) if dense else None), sparse

    def number(self, column: NumericColumn) -> str:
        """(n, 2) float32: z-score and missing flag, computed in float64 as in training."""
        x, missing, mean = self.given(column), self.is_missing(column), self.constant(np.array(column.mean))
        centred = self.node("Sub", self.node("Where", missing, mean, x), mean)
        z = self.node("Div", centred, self.constant(np.array(column.sd))) if column.sd else self.node("Mul", centred, self.constant(np.zeros(())))
        parts = [self.node("Unsqueeze", self.float(each), self.axis(1)) for each in (z, missing)]
        return self.node("Concat", *parts, axis=1)

    def vector(self, column: EmbeddingColumn) -> str:
        """(n, d + 1) float32: the vector, moved and scaled as in training, and a missing flag."""
        flag = self.node("Unsqueeze", self.is_missing(column), self.axis(1))
        if not column.size:  # no training row had one: only the flag is read, and always set
            return self.node("Add", self.node("Mul", self.float(flag), self.constant(np.zeros((), np.float32))), self.constant(np.ones((), np.float32)))
        centred = self.node("Sub", self.node("Cast", self.given(column), to=self.kinds.DOUBLE), self.constant(np.asarray(column.mean, float)))
        z = self.node("Mul", centred, self.constant(np.array(column.scale, float)))
        return self.node("Concat", self.float(self.node("Where", flag, self.constant(np.zeros(())), z)), self.float(flag), axis=1)

    def category(self, column: CategoricalColumn, weights: np.ndarray) -> str:
        """(n, H) the weights of each row's category; weights (2 + V, H): out of vocabulary, missing, then the vocabulary."""
        return self.node("Gather", self.constant(weights), self.place(column), axis=0)

    def list(self, column: MultivaluedColumn, weights: np.ndarray) -> str:
        """(n, H) the sum of the weights of a row's values, unknown ones together counted once."""
        place, nothing = self.place(column), np.zeros((1, weights.shape[1]), np.float32)
        known = self.constant(np.concatenate([nothing, weights[1:], nothing]))
        total = self.node("ReduceSum", self.node("Gather", known, place, axis=0), self.axis(1), keepdims=0)
        unknown = self.float(self.node("Equal", place, self.constant(np.array(0, np.int64))))
        return self.node("Add", total, self.node("Mul", self.node("ReduceMax", unknown, self.axis(1), keepdims=1), self.constant(weights[:1])))

    def place(self, column: Any) -> str:
        """The sparse column of each text: 0 unknown, 1 missing, then the vocabulary; after it that of cells with nothing."""
        keys = [self.missing, *column.vocabulary.to_pylist(), self.nothing]
        return self.node("LabelEncoder", self.given(column), domain="ai.onnx.ml", keys_strings=keys, values_int64s=list(range(1, len(keys) + 1)), default_int64=0)

    def given(self, column: Any) -> str:
        """The input of a feature."""
        name = column.feature.name
        if isinstance(column, NumericColumn):
            return self.input(name, "DOUBLE", "n")
        if isinstance(column, EmbeddingColumn):
            return self.input(name, "FLOAT", "n", column.size or f"size of {name}")
        return self.input(name, "STRING", "n") if isinstance(column, CategoricalColumn) else self.input(name, "STRING", "n", f"values of {name}")

    def is_missing(self, column: Any) -> str:
        """bool (n,): rows without a value of the feature."""
        if isinstance(column, NumericColumn):
            return self.node("IsNaN", self.given(column))
        if isinstance(column, EmbeddingColumn):
            some = self.node("ReduceMax", self.float(self.node("IsNaN", self.given(column))), self.axis(1), keepdims=0)
            return self.node("Greater", some, self.constant(np.zeros((), np.float32)))
        found = self.node("LabelEncoder", self.given(column), domain="ai.onnx.ml", keys_strings=[self.missing], values_int64s=[1], default_int64=0)
        if isinstance(column, MultivaluedColumn):
            found = self.node("ReduceMax", found, self.axis(1), keepdims=0)
        return self.node("Equal", found, self.constant(np.array(1, np.int64)))

    def encoded_rows(self, own: Mapping[str, np.ndarray]) -> tuple[str | None, str]:
        """Inputs for rows that were encoded outside. Sums of consecutive rows are differences of running sums in float64:
        ScatterND, the shorter way, loses additions in ONNX Runtime 1.31 with two threads."""
        weights, width = own["sparse_weight"], len(own["dense_weight"])
        dense = self.input("dense", "FLOAT", "n", width) if width else None
        indices, offsets, values = self.input("indices", "INT64", "m"), self.input("offsets", "INT64", "n_plus_1"), self.input("values", "FLOAT", "m")
        zero, one, last, end = (self.axis(i) for i in (0, 1, -1, np.iinfo(np.int64).max))
        scaled = self.node("Mul", self.node("Gather", self.constant(weights), indices, axis=0), self.node("Unsqueeze", values, one))
        running = self.node("CumSum", self.node("Cast", scaled, to=self.kinds.DOUBLE), self.constant(np.array(0, np.int64)))
        sums = self.node("Concat", self.constant(np.zeros((1, weights.shape[1]))), running, axis=0)
        until = self.node("Gather", sums, self.node("Slice", offsets, one, end), axis=0)
        before = self.node("Gather", sums, self.node("Slice", offsets, zero, last), axis=0)
        return dense, self.float(self.node("Sub", until, before))

    # -- the network ----------------------------------------------------------------------------------------------------

    def hidden(self, columns: Sequence[Any], own: Mapping[str, np.ndarray]) -> str:
        """The last hidden layer (n, H); the logits of a network without one."""
        return self.layers(*self.encoded(columns, own), own)

    def layers(self, dense: str | None, sparse: str | None, own: Mapping[str, np.ndarray]) -> str:
        """The network up to its last hidden layer, from the dense block and what the sparse one adds."""
        parts = [self.node("MatMul", dense, self.constant(own["dense_weight"]))] if dense else []
        hidden = self.node("Sum", *parts, *([sparse] if sparse else []), self.constant(own["bias"] if "bias" in own else own["first_bias"]))
        for i in range(_depth(own) - 1):
            hidden = self.linear(self.node("Relu", hidden), own, i)
        return self.node("Relu", hidden) if _depth(own) else hidden

    def head(self, hidden: str, own: Mapping[str, np.ndarray]) -> str:
        """The logits (n, K) of a last hidden layer."""
        return self.linear(hidden, own, _depth(own) - 1) if _depth(own) else hidden

    def linear(self, x: str, own: Mapping[str, np.ndarray], i: int) -> str:
        return self.node("Add", self.node("MatMul", x, self.constant(own[f"weights.{i}"])), self.constant(own[f"biases.{i}"]))


def _depth(own: Mapping[str, np.ndarray]) -> int:
    """Layers after the first."""
    return sum(name.startswith("weights.") for name in own)


def _unused(text: str, taken: Collection[str]) -> str:
    """`text`, lengthened until nothing else is called so."""
    while text in taken:
        text += "_"
    return text
