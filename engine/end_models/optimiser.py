"""The optimiser of a network: Adam, and its sparse form where a gradient touches few rows."""

from __future__ import annotations

from typing import Any

import torch

from .options import TrainingOptions

SPARSE = "sparse_weight"


class Optimisers:
    """Several torch optimisers that step together, with the interface of one."""

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {str(i): part.state_dict() for i, part in enumerate(self.parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for i, part in enumerate(self.parts):
            part.load_state_dict(state[str(i)])


def descent_optimiser(network: torch.nn.Module, options: TrainingOptions, sparse_gradients: bool) -> torch.optim.Optimizer | Optimisers:
    """AdamW over the network's parameters, biases undecayed; `sparse_weight` by SparseAdam where its gradient is sparse.

    Source: Loshchilov & Hutter 2019.
    """
    named = [(n, p) for n, p in network.named_parameters() if not (sparse_gradients and n == SPARSE)]
    decayed = [p for n, p in named if not _is_bias(n)]
    biases = [p for n, p in named if _is_bias(n)]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": biases, "weight_decay": 0.0}]
    dense = torch.optim.AdamW(groups, lr=options.learning_rate, eps=options.epsilon, fused=True)
    if not sparse_gradients or not len(getattr(network, SPARSE)):
        return dense
    return Optimisers(dense, torch.optim.SparseAdam([getattr(network, SPARSE)], lr=options.learning_rate, eps=options.epsilon))


def _is_bias(name: str) -> bool:
    return "bias" in name
