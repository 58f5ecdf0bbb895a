"""Gradient-boosted trees on probabilistic labels, grown by scikit-learn: the comparison for networks on tabular features."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from ..errors import Diagnostic
from .base import OnEvent
from .batches import Batches, blocks, row_weights, soft_labels
from .calibration import best_temperature
from .encode import EncodedRows, stacked
from .encoded_model import EncodedModel, class_weights
from .features import FeatureSpec
from .forest import Forest


class BoostedTrees(EncodedModel):
    """Histogram gradient boosting. A row with p over K classes counts as K rows, one per class, weighted by p: the gradient is
    that of the noise-aware loss. Trees read the dense columns and those `sparse_columns` sparse ones whose values tell the
    classes apart best (chi-squared). Rows beyond `max_rows` are not read: trees are grown in memory.

    Options beside those of encoding: trees (most iterations), leaves, shrinkage, sparse_columns, max_rows. Without dev rows all
    iterations are run. Source: Friedman 2001, algorithms 5 and 6; Ke et al. 2017 for histograms.
    """

    method = "boosted_trees"
    defaults = {"text_buckets": 2**12, "char_ngrams": 0}
    own_options = {"trees": 200, "leaves": 31, "shrinkage": 0.1, "sparse_columns": 256, "max_rows": 200_000}

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
    ) -> BoostedTrees:
        """This model, fitted on the first `max_rows` rows: order the source by a hash. A killed fit starts anew; `checkpoint` is not used.

        dev  weakly labelled rows: growing stops when their loss has not fallen for `patience` iterations

        Raises EndModelError EM101-EM107, EM111-EM117.
        """
        mass = self.observe(batches, spec, classes, seed)
        rows = self._first_rows(batches)
        if len(rows) < mass.rows:
            hint = "raise max_rows if the memory suffices"
            self.warnings_.append(Diagnostic("EM207", f"trees are grown on the first {len(rows):,} of {mass.rows:,} rows", hint=hint))
        self.columns_ = chosen_columns(rows, self.own["sparse_columns"])
        dev_rows = self._first_rows(dev) if dev else None
        self.forest_ = self._grown(rows, dev_rows, class_weights(self.training.class_weight, self.classes, mass.mass))
        if dev_rows is not None:
            self.temperature_ = best_temperature(self.scores(dev_rows), dev_rows.p.astype(float), dev_rows.weight.astype(float))
        self.history_ = [{"epoch": self.forest_.iterations, "train_loss": None, "dev_loss": None}]
        if on_event:
            on_event({"event": "stopped", "epochs": self.forest_.iterations, "best_epoch": self.forest_.iterations})
        return self

    @property
    def fitted(self) -> bool:
        return hasattr(self, "forest_")

    def _first_rows(self, batches: Batches) -> EncodedRows:
        """At most max_rows encoded rows (whole blocks, then cut)."""
        held, n = [], 0
        for batch in blocks(batches):
            held.append(self.encoder_.encode(batch, soft_labels(batch, len(self.classes)), row_weights(batch)))
            n += batch.num_rows
            if n >= self.own["max_rows"]:
                break
        return stacked(held).part(0, self.own["max_rows"])

    def _grown(self, rows: EncodedRows, dev: EncodedRows | None, class_weight: np.ndarray | None) -> Forest:
        from sklearn.ensemble import HistGradientBoostingClassifier

        grower = HistGradientBoostingClassifier(
            learning_rate=self.own["shrinkage"], max_iter=self.own["trees"], max_leaf_nodes=self.own["leaves"], random_state=self.seed_,
            early_stopping=dev is not None, n_iter_no_change=self.training.patience, tol=self.training.tolerance,
        )  # fmt: skip
        x, y, weight = self._hardened(rows, class_weight)
        held_out = dict(zip(("X_val", "y_val", "sample_weight_val"), self._hardened(dev, class_weight))) if dev is not None else {}
        grower.fit(x, y, sample_weight=weight, **held_out)
        return Forest.of(grower, len(self.classes))

    def _hardened(self, rows: EncodedRows, class_weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of x, class and weight: a row for every class of positive probability."""
        mass = rows.p * rows.weight[:, None] * (1 if class_weight is None else class_weight)
        at, y = np.nonzero(mass > 0)
        return self._inputs(rows)[at], y, mass[at, y]

    def _inputs(self, rows: EncodedRows) -> np.ndarray:
        """float32 (n, D + chosen): dense columns, then the chosen sparse ones."""
        return np.hstack([rows.dense, rows.sparse[:, self.columns_].toarray()])

    def scores(self, rows: EncodedRows) -> np.ndarray:
        """float64 (n, K) logits of encoded rows, before temperature."""
        return self.forest_.scores(self._inputs(rows))

    def attribution(self, rows: EncodedRows, best: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, sp.csr_matrix]:
        """What each column adds along the paths of a row: the change of the mean leaf value at every split. Source: Saabas 2014."""
        start, parts = self.forest_.attribution(self._inputs(rows), best, second)
        width, n = rows.dense.shape[1], len(rows)
        at, column = np.nonzero(parts[:, width:])
        sparse = sp.csr_matrix((parts[:, width:][at, column], (at, self.columns_[column])), (n, rows.sparse.shape[1]))
        return start, parts[:, :width], sparse

    def weights(self) -> dict[str, np.ndarray]:
        return {"columns": self.columns_, **self.forest_.arrays()}

    def restore(self, weights: Mapping[str, np.ndarray]) -> None:
        self.columns_ = weights["columns"]
        self.forest_ = Forest.restored(weights)


def chosen_columns(rows: EncodedRows, most: int) -> np.ndarray:
    """int64, ascending: at most `most` sparse columns with the largest chi-squared between their values and p; ties by position.

    Expected mass of a column in a class = its mass x the share of the class. Source: Yang & Pedersen 1997, section 2.
    """
    weighted = rows.p.astype(float) * rows.weight[:, None]
    observed = np.asarray(rows.sparse.T @ weighted)
    expected = observed.sum(axis=1, keepdims=True) * (weighted.sum(axis=0) / weighted.sum())
    chi2 = np.divide((observed - expected) ** 2, expected, out=np.zeros_like(observed), where=expected > 0).sum(axis=1)
    order = np.argsort(-chi2, kind="stable")[:most]
    return np.sort(order[chi2[order] > 0]).astype(np.int64)
