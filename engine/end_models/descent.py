"""Epochs of gradient descent with early stopping on dev batches, and a checkpoint after every epoch."""

from __future__ import annotations

import math
import os
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Callable, Iterator

import torch

from groundswell.udfs.train import TrainingStep, noise_aware_loss

from ..errors import Diagnostic, EndModelError
from .encode import EncodedRows
from .options import TrainingOptions
from .precision import half, in_halves, or_out_of_memory
from .training_data import EncodedSource, TensorRows, shuffled


@dataclass(frozen=True)
class Checkpoint:
    """The state of a fit in a folder. identity: hash of data, options and seed; another run's state is never continued."""

    folder: Path
    identity: str

    @property
    def path(self) -> Path:
        return self.folder / "checkpoint.pt"

    def save(self, state: dict[str, Any]) -> None:
        """None; the file is replaced in one step, so a killed process leaves the state of the epoch before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        half = self.path.with_suffix(".half")
        torch.save({"identity": self.identity, **state}, half)
        os.replace(half, self.path)

    def load(self) -> dict[str, Any] | None:
        """The state kept, None without one. A state of another identity comes back as {}."""
        if not self.path.exists():
            return None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        return state if state["identity"] == self.identity else {}


class Descent:
    """Runs epochs of `step` until the dev loss has not fallen by `tolerance` for `patience` epochs, or max_epochs; then restores the
    best weights."""

    def __init__(
        self,
        step: TrainingStep,
        options: TrainingOptions,
        device: torch.device,
        seed: int,
        on_event: Callable[[dict[str, Any]], None],
        checkpoint: Checkpoint | None,
    ):
        self.step, self.options, self.device, self.seed = step, options, device, seed
        self.on_event, self.checkpoint = on_event, checkpoint
        self.batch_size = options.batch_size
        self.history: list[dict[str, Any]] = []
        self.warnings: list[Diagnostic] = []
        self.best_epoch: int | None = None
        self._best_loss, self._best_weights = math.inf, None
        self._milestone, self._milestone_loss = 0, math.inf

    def run(self, source: EncodedSource, dev: EncodedSource | None) -> list[dict[str, Any]]:
        """One dict per epoch: epoch (from 1), train_loss, dev_loss (None without dev)."""
        self._resume()
        if dev is None:
            self._warn("EM203", f"no dev batches: all {self.options.max_epochs} epochs are run", "give the dev split, or hold out training rows")
        while not self._finished(dev):
            self._epoch(source, dev)
        self._restore_best(dev)
        self.on_event({"event": "stopped", "epochs": len(self.history), "best_epoch": self.best_epoch})
        return self.history

    def _finished(self, dev: EncodedSource | None) -> bool:
        waited = len(self.history) - self._milestone
        return len(self.history) >= self.options.max_epochs or (dev is not None and self.best_epoch is not None and waited >= self.options.patience)

    def _epoch(self, source: EncodedSource, dev: EncodedSource | None) -> None:
        epoch, started = len(self.history) + 1, perf_counter()
        train_loss = self._train(source, epoch)
        speed = source.rows / (perf_counter() - started)
        dev_loss = self._dev_loss(dev) if dev else None
        _finite(train_loss, epoch, self.options)
        self.history.append({"epoch": epoch, "train_loss": train_loss, "dev_loss": dev_loss})
        self._keep_if_best(epoch, dev_loss)
        self._save()
        self.on_event({"event": "epoch", **self.history[-1], "best_epoch": self.best_epoch, "rows_per_second": speed})

    def _train(self, source: EncodedSource, epoch: int) -> float:
        """Mean loss over the rows of one epoch, each taken just before the step that its minibatch makes."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.step.network.train()
        if hasattr(self.step.network, "reseed"):
            self.step.network.reseed((self.seed, epoch))
        for buffer in shuffled(source, (self.seed, epoch), self.options.shuffle_rows):
            for rows in in_halves(lambda part: TensorRows.of(part, self.device), buffer):
                for losses in self._steps(rows):
                    total += losses.sum(dtype=torch.float64)
        return float(total) / source.rows

    def _steps(self, rows: TensorRows) -> Iterator[torch.Tensor]:
        """Losses of each minibatch, one optimiser step after another; minibatches are halved for good where memory ends."""
        done = 0
        while done < len(rows):
            for minibatch in rows.minibatches(self.batch_size, done):
                losses = or_out_of_memory(self.step.step, minibatch)
                if losses is None:
                    self._halve_batch()
                    break
                done += len(minibatch)
                yield losses

    def _halve_batch(self) -> None:
        self.batch_size = half(self.batch_size)
        self._warn("EM206", f"the device ran out of memory: minibatches of {self.batch_size} rows from here on", f"set batch_size = {self.batch_size}")
        self.on_event({"event": "halved", "batch_size": self.batch_size})

    def _dev_loss(self, dev: EncodedSource) -> float:
        """Mean weighted loss of the dev rows at the present weights."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.step.network.eval()
        with torch.inference_mode():
            for block in dev:
                total += sum(in_halves(self._loss, block))
        if not dev.rows:
            raise EndModelError("EM101", "there are no dev rows", hint="do the labeling functions cover the dev split? groundswell check")
        return float(total) / dev.rows

    def _loss(self, block: EncodedRows) -> torch.Tensor:
        """Sum of the weighted losses of a block of rows."""
        rows = TensorRows.of(block, self.device)
        return (noise_aware_loss(self.step.network(rows), rows.p, self.step.class_weight) * rows.weight).sum(dtype=torch.float64)

    def _keep_if_best(self, epoch: int, dev_loss: float | None) -> None:
        if dev_loss is not None and dev_loss < self._milestone_loss - self.options.tolerance:
            self._milestone, self._milestone_loss = epoch, dev_loss
        if dev_loss is None or dev_loss < self._best_loss:
            self.best_epoch, self._best_loss = epoch, math.inf if dev_loss is None else dev_loss
            self._best_weights = None if dev_loss is None else deepcopy(self.step.network.state_dict())
        else:
            for group in self.step.optimiser.param_groups:
                group["lr"] *= self.options.decay

    def _restore_best(self, dev: EncodedSource | None) -> None:
        if self._best_weights is not None:
            self.step.network.load_state_dict(self._best_weights)
        if dev is not None and self._milestone == self.options.max_epochs:
            self._warn("EM205", f"the dev loss was still falling after {self._milestone} epochs", "raise max_epochs")

    def _save(self) -> None:
        if self.checkpoint:
            optimiser, best = self.step.optimiser.state_dict(), (self.best_epoch, self._best_loss, self._best_weights, self._milestone, self._milestone_loss)
            state = {"network": self.step.network.state_dict(), "optimiser": optimiser, "history": self.history, "best": best}
            self.checkpoint.save(state)

    def _resume(self) -> None:
        state = self.checkpoint.load() if self.checkpoint else None
        if state is None:
            return
        if not state:
            self._warn("EM204", "the checkpoint belongs to other data, options or seed: training starts anew", "nothing to do")
            return
        self.step.network.load_state_dict(state["network"])
        self.step.optimiser.load_state_dict(state["optimiser"])
        self.history = state["history"]
        self.best_epoch, self._best_loss, self._best_weights, self._milestone, self._milestone_loss = state["best"]
        self.on_event({"event": "resumed", "epochs": len(self.history)})

    def _warn(self, code: str, message: str, hint: str) -> None:
        self.warnings.append(Diagnostic(code, message, hint=hint))


def _finite(loss: float, epoch: int, options: TrainingOptions) -> None:
    if not math.isfinite(loss):
        hint = f"lower learning_rate (now {options.learning_rate})"
        raise EndModelError("EM114", f"the training loss became {loss} in epoch {epoch}", hint=hint)
