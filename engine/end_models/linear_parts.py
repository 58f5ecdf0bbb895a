"""A model as sums of weights: logits that are linear in each part's encoded columns, where a part counts on some rows alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from ..errors import EndModelError


@dataclass(frozen=True)
class LinearPart:
    """Adds bias + encoded row @ weights to the logits of rows with a value of any of its features; `otherwise` to the others.

    columns    encoders in order; dense (D, K) and sparse (S, K): weights of their columns, float64
    bias, otherwise  (K,); otherwise None: the part counts on every row
    """

    columns: Sequence[Any]
    dense: np.ndarray
    sparse: np.ndarray
    bias: np.ndarray
    otherwise: np.ndarray | None = None


def linear_parts(model: Any) -> list[LinearPart]:
    """The parts whose sum, divided by the model's temperature, has the model's softmax.

    In late fusion the logarithms that make the parts' logits log-probabilities are the same for all classes, so that the softmax
    forgets them; in intermediate fusion of logistic models the final model is linear in what its trunks say.

    Raises EndModelError EM120 for projection, which divides by the length of a vector, and for what is not logistic.
    """
    if not hasattr(model, "parts"):
        return [_part(model)]
    if model.scheme_ == "devise":
        raise EndModelError("EM120", "projecting onto another model divides by the length of a vector: logits are no sums of weights", hint="--format torchscript or onnx")
    return SCHEMES[model.scheme_](model)


def _part(model: Any) -> LinearPart:
    if model.method != "logistic":
        raise EndModelError("EM120", f'an end model "{model.method}" has no form in SQL', hint="--format torchscript, or groundswell train --method logistic")
    dense, sparse, bias = (getattr(model.network_, name).detach().cpu().numpy().astype(np.float64) for name in ("dense_weight", "sparse_weight", "bias"))
    return LinearPart(model.encoder_.columns, dense, sparse, bias)


def _early(model: Any) -> list[LinearPart]:
    return [_part(model.parts["early"])]


def _late(model: Any) -> list[LinearPart]:
    found = []
    for name, part in model.parts.items():
        own, t = _part(part), part.temperature_
        balance = model.arrays[f"log_balance {name}"] if name in model.gates else 0.0
        otherwise = np.zeros(len(model.classes)) if name in model.gates else None
        found.append(LinearPart(own.columns, own.dense / t, own.sparse / t, own.bias / t - balance, otherwise))
    return found


def _intermediate(model: Any) -> list[LinearPart]:
    final = _part(model.parts["final"])
    found, at = [LinearPart((), np.zeros((0, 0)), np.zeros((0, 0)), final.bias)], 0
    for column, name in zip(final.columns, model.gates):
        own, weights = _part(model.parts[name]), final.dense[at : at + column.size] * column.scale
        bias = (own.bias - column.mean) @ weights
        found.append(LinearPart(own.columns, own.dense @ weights, own.sparse @ weights, bias, final.dense[at + column.size]))
        at += column.dense_width
    return found


SCHEMES = {"early": _early, "late": _late, "intermediate": _intermediate}
