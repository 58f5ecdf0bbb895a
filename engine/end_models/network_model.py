"""An end model that is a torch network: fitted by gradient descent on streamed Arrow batches, saved as arrays and JSON."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Mapping, Sequence

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch

from groundswell.udfs.train import TrainingStep

from ..errors import EndModelError
from .base import OnEvent
from .batches import Batches
from .calibration import best_temperature
from .descent import Checkpoint, Descent
from .encode import EncodedRows
from .encoded_model import EncodedModel, class_weights
from .features import FeatureSpec
from .optimiser import descent_optimiser
from .precision import autocast, in_halves
from .training_data import Budget, EncodedSource, TensorRows


class NetworkModel(EncodedModel):
    """Shared by every end model with a torch network; a subclass gives `method` and `network`. Same seed, device and thread
    count: same bits, whatever the batch size of the source and whether the rows fit the cache."""

    sparse_gradients: bool = False
    """Whether the gradient of `sparse_weight` is sparse: it then has an optimiser of its own, without weight decay."""
    path_points: int = 64
    """Points on the path of integrated gradients; one is enough, and exact, where logits are linear."""

    @abstractmethod
    def network(self, dense: int, sparse: int, classes: int, generator: torch.Generator) -> torch.nn.Module:
        """A module (TensorRows) -> logits (n, K), its initial values drawn from `generator`."""

    def fit(
        self,
        batches: Batches,
        spec: FeatureSpec,
        classes: Sequence[str],
        *,
        dev: Batches | None = None,
        seed: int = 0,
        on_event: OnEvent | None = None,
        checkpoint: Path | str | None = None,
    ) -> NetworkModel:
        """This model, fitted: the weights of the epoch with the lowest dev loss, or of the last epoch without dev.

        batches     training rows: features, p (n, K) in class order, optionally weight and entity_id; read several times
        dev         weakly labelled rows for early stopping
        checkpoint  folder; after every epoch the state is written there, and a fit of the same data and options continues from it

        Memory: cache_bytes, one shuffle buffer and the network. Raises EndModelError EM101-EM107, EM111-EM117.
        """
        self.prepare(batches, spec, classes, seed=seed, hashing=checkpoint is not None)
        budget = Budget(self.training.cache_bytes)
        source = EncodedSource(batches, self.encoder_, len(self.classes), budget, self.training.spool_bytes)
        dev_source = EncodedSource(dev, self.encoder_, len(self.classes), budget, self.training.spool_bytes) if dev else None
        kept = Checkpoint(Path(checkpoint), self.identity(seed)) if checkpoint is not None else None
        descent = Descent(self.training_step, self.training, self.device_, seed, on_event or (lambda event: None), kept)
        self.history_ = descent.run(source, dev_source)
        self.best_epoch_ = descent.best_epoch
        self.warnings_ += descent.warnings
        if dev_source is not None:
            self.temperature_ = best_temperature(*self._logits_and_labels(dev_source))
        return self

    def _logits_and_labels(self, source: EncodedSource) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits (n, K), p (n, K) and weights (n,) of all rows of a source."""
        parts = [(self.scores(block), block.p, block.weight) for block in source]
        return tuple(np.concatenate([part[i] for part in parts]).astype(float) for i in range(3))

    def prepare(self, batches: Batches, spec: FeatureSpec, classes: Sequence[str], *, seed: int = 0, hashing: bool = False) -> TrainingStep:
        """The training step of a network that has seen no labels yet; the encoder is fitted in one pass over the batches.

        `fit` drives the step; `register_training_udf` lets a query drive it. `predict` works from here on.
        """
        mass = self.observe(batches, spec, classes, seed, hashing)
        self._build(seed)
        self.training_step = self._step(mass.mass)
        return self.training_step

    @property
    def fitted(self) -> bool:
        return hasattr(self, "network_")

    def _build(self, seed: int) -> None:
        self.device_ = _device(self.training.device)
        generator = torch.Generator().manual_seed(seed)
        self.network_ = self.network(*self.encoder_.widths, len(self.classes), generator).to(self.device_)

    def _step(self, mass: np.ndarray) -> TrainingStep:
        options = self.training
        optimiser = descent_optimiser(self.network_, options, self.sparse_gradients)
        weights = class_weights(options.class_weight, self.classes, mass)
        weights = None if weights is None else torch.tensor(weights, dtype=torch.float32, device=self.device_)
        columns = (*self.inputs, ("p", "DOUBLE[]"))
        return TrainingStep(self.network_, optimiser, self._rows, columns, weights, autocast(self.device_, options.precision))

    def _rows(self, batch: pa.RecordBatch) -> TensorRows:
        source = EncodedSource(lambda: iter(()), self.encoder_, len(self.classes), Budget(0))
        return TensorRows.of(source.encode(batch), self.device_)

    def scores(self, rows: EncodedRows) -> np.ndarray:
        """float64 (n, K) logits of encoded rows; a block the device has no memory for is scored in halves."""
        self.network_.eval()
        return np.concatenate(list(in_halves(self._scores, rows)))

    def _scores(self, rows: EncodedRows) -> np.ndarray:
        with torch.inference_mode():
            return self.network_(TensorRows.of(rows, self.device_)).double().cpu().numpy()

    def hidden(self, batch: pa.RecordBatch) -> np.ndarray:
        """float32 (n, H): the network's last hidden layer for a batch of features; the logits of a network without one."""
        self.require_fitted()
        self.network_.eval()
        with torch.inference_mode():
            return np.concatenate([h.cpu().numpy() for h in in_halves(lambda part: self.network_.hidden(TensorRows.of(part, self.device_)), self.encoder_.encode(batch))])

    def head(self, hidden: np.ndarray) -> np.ndarray:
        """float64 (n, K) logits of a last hidden layer (n, H)."""
        self.network_.eval()
        with torch.inference_mode():
            return self.network_.head(torch.from_numpy(hidden.astype(np.float32)).to(self.device_)).double().cpu().numpy()

    def attribution(self, rows: EncodedRows, best: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, sp.csr_matrix]:
        """Integrated gradients from the empty row, exact for a linear network. Source: Sundararajan et al. 2017, equation 3."""
        tensors, at = TensorRows.of(rows, self.device_), np.arange(len(rows))
        dense, values = torch.zeros_like(tensors.dense), torch.zeros_like(tensors.values)
        self.network_.eval()
        for i in range(self.path_points):
            gap, *inputs = self._gap(tensors, (i + 0.5) / self.path_points, at, best, second)
            for total, gradient in zip((dense, values), torch.autograd.grad(gap.sum(), inputs, allow_unused=True)):
                if gradient is not None:
                    total += gradient / self.path_points
        start = self._gap(tensors, 0.0, at, best, second)[0].detach().double().cpu().numpy()
        weighted = (values * tensors.values).double().cpu().numpy()
        shares = sp.csr_matrix((weighted, rows.sparse.indices, rows.sparse.indptr), rows.sparse.shape)
        return start, (dense * tensors.dense).double().cpu().numpy(), shares

    def _gap(self, tensors: TensorRows, share: float, at: np.ndarray, best: np.ndarray, second: np.ndarray) -> tuple[torch.Tensor, ...]:
        """logit best - logit second (n,) of the rows scaled by `share`, and the scaled inputs it depends on."""
        dense, values = (tensors.dense * share).requires_grad_(), (tensors.values * share).requires_grad_()
        logits = self.network_(replace(tensors, dense=dense, values=values))
        return logits[at, best] - logits[at, second], dense, values

    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.detach().cpu().numpy() for name, value in self.network_.state_dict().items()}

    def restore(self, weights: Mapping[str, np.ndarray]) -> None:
        self._build(self.seed_)
        self.network_.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as e:
        raise EndModelError("EM107", f'device "{name}" cannot be used: {str(e).splitlines()[0]}', hint='device = "auto"') from e
    return device
