"""End models as ONNX: the whole way from named columns where no feature is text, from encoded rows otherwise.

The graph is built node by node, so writing it needs the package onnx alone, and no operator outside the standard.
"""

from __future__ import annotations

import json
from typing import Any, Collection

import numpy as np

from ..errors import EndModelError
from .columns import CategoricalColumn, NumericColumn

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 8
"""Read by ONNX Runtime 1.14 (2023) and later."""


def onnx_bytes(model: Any) -> bytes:
    """A fitted end model as an ONNX file; output "probabilities" float32 (n, K), class names in the metadata.

    Without text features the inputs are the features by name, each (n,): float64 (NaN = missing; instants in seconds since
    1970) or text (metadata "missing" = the text that stands for NULL). With text features they are encoded rows: dense float32
    (n, D), unless D = 0; indices int64 (m,), offsets int64 (n + 1,) and values float32 (m,) of the sparse block in CSR form.

    Raises EndModelError EM121 without onnx.
    """
    try:
        import onnx
    except ImportError as error:
        raise EndModelError("EM121", "writing ONNX needs the package onnx", hint="pip install onnx") from error
    return _Graph(onnx, model).finished().SerializeToString(deterministic=True)


class _Graph:
    """The nodes, inputs and constants of one model."""

    def __init__(self, onnx: Any, model: Any):
        self.onnx, self.model = onnx, model
        self.nodes, self.inputs, self.constants = [], [], []
        self.columns = model.encoder_.columns
        self.missing = _unused("<missing>", {v for c in self.columns if isinstance(c, CategoricalColumn) for v in c.vocabulary.to_pylist()})
        self.output = _unused("probabilities", {c.feature.name for c in self.columns})
        self.own = {name: value.detach().cpu().numpy() for name, value in model.network_.state_dict().items()}

    def finished(self) -> Any:
        """The checked ONNX model."""
        helper = self.onnx.helper
        self.network(*self.encoded())
        output = helper.make_tensor_value_info(self.output, self.onnx.TensorProto.FLOAT, ["n", len(self.model.classes)])
        graph = helper.make_graph(self.nodes, "end_model", self.inputs, [output], self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="groundswell")
        helper.set_model_props(made, {
            "classes": json.dumps(list(self.model.classes), ensure_ascii=False), "missing": self.missing,
            "encoder": json.dumps(self.model.encoder_.state(), ensure_ascii=False), "model_card": json.dumps(self.model.model_card(), ensure_ascii=False),
        })  # fmt: skip
        self.onnx.checker.check_model(made)
        return made

    # -- pieces ---------------------------------------------------------------------------------------------------------

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        name = f"/{kind}/{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        name = f"/constant/{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def input(self, name: str, kind: str, *shape: Any) -> str:
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, getattr(self.onnx.TensorProto, kind), list(shape)))
        return name

    # -- from inputs to the first layer ---------------------------------------------------------------------------------

    def encoded(self) -> tuple[str | None, str | None]:
        """The dense block, and sparse block @ sparse_weight; None for a block without columns."""
        if any(not isinstance(c, (NumericColumn, CategoricalColumn)) for c in self.columns):
            return self.encoded_rows()
        dense, rows, start = [], [], 0
        for column in self.columns:
            if isinstance(column, NumericColumn):
                dense.append(self.number(column))
            else:
                rows.append(self.category(column, self.own["sparse_weight"][start : start + column.sparse_width]))
            start += column.sparse_width
        sparse = self.node("Sum", *rows) if rows else None
        return (self.node("Concat", *dense, axis=1) if dense else None), sparse

    def number(self, column: NumericColumn) -> str:
        """(n, 2) float32: z-score and missing flag, computed in float64 as in training."""
        x = self.input(column.feature.name, "DOUBLE", "n")
        missing, mean = self.node("IsNaN", x), self.constant(np.array(column.mean))
        centred = self.node("Sub", self.node("Where", missing, mean, x), mean)
        z = self.node("Div", centred, self.constant(np.array(column.sd))) if column.sd else self.node("Mul", centred, self.constant(np.zeros(())))
        axis = self.constant(np.array([1], np.int64))
        parts = [self.node("Unsqueeze", self.node("Cast", each, to=self.onnx.TensorProto.FLOAT), axis) for each in (z, missing)]
        return self.node("Concat", *parts, axis=1)

    def category(self, column: CategoricalColumn, weights: np.ndarray) -> str:
        """(n, H) the weights of each row's category; weights (2 + V, H): out of vocabulary, missing, then the vocabulary."""
        x = self.input(column.feature.name, "STRING", "n")
        keys = [self.missing, *column.vocabulary.to_pylist()]
        place = self.node("LabelEncoder", x, domain="ai.onnx.ml", keys_strings=keys, values_int64s=list(range(1, len(keys) + 1)), default_int64=0)
        return self.node("Gather", self.constant(weights), place, axis=0)

    def encoded_rows(self) -> tuple[str | None, str]:
        """Inputs for rows that were encoded outside. Sums of consecutive rows are differences of running sums in float64:
        ScatterND, the shorter way, loses additions in ONNX Runtime 1.31 with two threads."""
        weights, kinds = self.own["sparse_weight"], self.onnx.TensorProto
        width = len(self.own["dense_weight"])
        dense = self.input("dense", "FLOAT", "n", width) if width else None
        indices, offsets, values = self.input("indices", "INT64", "m"), self.input("offsets", "INT64", "n_plus_1"), self.input("values", "FLOAT", "m")
        zero, one, last, end = (self.constant(np.array([i], np.int64)) for i in (0, 1, -1, np.iinfo(np.int64).max))
        scaled = self.node("Mul", self.node("Gather", self.constant(weights), indices, axis=0), self.node("Unsqueeze", values, one))
        running = self.node("CumSum", self.node("Cast", scaled, to=kinds.DOUBLE), self.constant(np.array(0, np.int64)))
        sums = self.node("Concat", self.constant(np.zeros((1, weights.shape[1]))), running, axis=0)
        until = self.node("Gather", sums, self.node("Slice", offsets, one, end), axis=0)
        before = self.node("Gather", sums, self.node("Slice", offsets, zero, last), axis=0)
        return dense, self.node("Cast", self.node("Sub", until, before), to=kinds.FLOAT)

    # -- the network ----------------------------------------------------------------------------------------------------

    def network(self, dense: str | None, sparse: str | None) -> None:
        """The layers, the temperature and the softmax."""
        first = self.constant(self.own["bias"] if "bias" in self.own else self.own["first_bias"])
        parts = [self.node("MatMul", dense, self.constant(self.own["dense_weight"]))] if dense else []
        hidden = self.node("Sum", *parts, *([sparse] if sparse else []), first)
        for i in range(sum(name.startswith("weights.") for name in self.own)):
            weight, bias = self.constant(self.own[f"weights.{i}"]), self.constant(self.own[f"biases.{i}"])
            hidden = self.node("Add", self.node("MatMul", self.node("Relu", hidden), weight), bias)
        scaled = self.node("Div", hidden, self.constant(np.array(self.model.temperature_, np.float32)))
        self.nodes.append(self.onnx.helper.make_node("Softmax", [scaled], [self.output], axis=1))


def _unused(text: str, taken: Collection[str]) -> str:
    """`text`, lengthened until nothing else is called so."""
    while text in taken:
        text += "_"
    return text
