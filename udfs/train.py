"""The training step: one optimiser step per Arrow batch. The inner loop of `fit`, and a DuckDB function so that a query can train."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Protocol, Sequence

import pyarrow as pa

from .score import record_batch, with_arity

if TYPE_CHECKING:
    import torch


class Rows(Protocol):
    """What a network reads, beside the labels the loss reads. p: tensor (n, K); weight: tensor (n,)."""

    p: torch.Tensor
    weight: torch.Tensor


def noise_aware_loss(logits: torch.Tensor, p: torch.Tensor, class_weight: torch.Tensor | None = None) -> torch.Tensor:
    """(n,) loss of each row: sum over y of c_y p(y) * -log softmax(logits)_y.

    logits        (n, K)
    p             (n, K)   probabilistic labels; a hard label is one-hot
    class_weight  (K,)     c, 1 if absent

    Without class weights its gradient on the logits is softmax(logits) - p. Source: Ratner et al. 2016, eq. 4; cross entropy.
    """
    import torch

    target = p if class_weight is None else p * class_weight
    return -(target * torch.log_softmax(logits, dim=1)).sum(dim=1)


class TrainingStep:
    """One optimiser step per batch. Thread-safe: steps of concurrent callers follow one another.

    network     (rows) -> logits (n, K), a torch module
    optimiser   a torch optimiser over its parameters
    prepare     Arrow batch with features, p and optionally weight -> rows on the device, checked
    columns     (name, DuckDB type) of the Arrow batch, in order: the signature of the function a query calls
    context     makes the context the network runs in: mixed precision
    """

    def __init__(
        self,
        network: Callable[[Any], torch.Tensor],
        optimiser: torch.optim.Optimizer,
        prepare: Callable[[pa.RecordBatch], Rows],
        columns: Sequence[tuple[str, str]],
        class_weight: torch.Tensor | None = None,
        context: Callable[[], ContextManager] = nullcontext,
    ):
        self.network, self.optimiser, self.prepare = network, optimiser, prepare
        self.columns, self.class_weight, self.context = tuple(columns), class_weight, context
        self._lock = Lock()

    def __call__(self, batch: pa.RecordBatch) -> pa.Array:
        """DOUBLE per row: its loss before the step that the batch then makes."""
        rows = self.prepare(batch)
        with self._lock:
            return pa.array(self.step(rows).double().cpu().numpy())

    def step(self, rows: Rows) -> torch.Tensor:
        """(n,) losses before the step, detached. Minimises (1/n) sum_i weight_i loss_i."""
        self.optimiser.zero_grad(set_to_none=True)
        with self.context():
            logits = self.network(rows)
        losses = noise_aware_loss(logits.float(), rows.p, self.class_weight) * rows.weight
        losses.mean().backward()
        self.optimiser.step()
        return losses.detach()


def register_training_udf(connection, name: str, step: TrainingStep) -> None:
    """None; `SELECT avg(name(<features...>, p)) FROM ...` then trains `step` and returns the mean loss.

    The arguments are step.columns in order. Side-effecting: DuckDB calls it once per batch of up to 2,048 rows and never folds
    or repeats it. The order of batches from several threads is not fixed: set threads = 1 where bits must repeat.
    """
    names = [column for column, _ in step.columns]

    def train(*columns):
        return step(record_batch(columns, names))

    types = [sql_type for _, sql_type in step.columns]
    connection.create_function(name, with_arity(train, len(types)), types, "DOUBLE", type="arrow", null_handling="special", side_effects=True)
