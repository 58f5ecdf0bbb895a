"""One call from a vote table to labels."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from groundswell.errors import GroundswellWarning, LabelModelError
from groundswell.label_models.base import ClassBalance, LabelModel, label_model
from groundswell.label_models.patterns import ABSTAIN, VotePatterns
from groundswell.label_models.statistics import hard_labels
from groundswell.label_models.votes_table import VoteTable, as_table, flat, read_votes, restored

OUTPUT_COLUMNS = ("label", "covered", "p")
_LARGEST_LIST = 2**31 - 1


def label_votes(
    votes: Any,
    *,
    key: str,
    classes: Sequence[Any] | None = None,
    method: str = "auto",
    gold: Any = None,
    class_balance: ClassBalance | None = None,
    abstain: Any = None,
    seed: int = 0,
) -> pa.Table:
    """An Arrow table with one row per key of `votes`, in input order: the key, label, covered, p.

    label    the most probable class, in the type of the votes; NULL on a tie and where no LF votes
    covered  BOOLEAN, at least one LF votes
    p        list<double> of K probabilities in the order of the classes, sums to 1, never NULL; an uncovered row holds the
             class balance (majority vote: uniform)

    votes          long (key, lf, label) or wide (key, one column per LF; NULL or NaN = abstain): an Arrow table or reader,
                   a data frame, a DuckDB or Ibis relation. Long rows given twice count once; a long row with a NULL label
                   abstains. All rows are used to fit
    classes        labels in the order of p; None = all labels of votes and gold, sorted
    method         name of a label model
    gold           relation (key, label), used only if passed: anchors `dawid_skene` and `auto`, gives `weighted` its accuracies
    class_balance  mapping class -> p, or K numbers in the order of the classes
    abstain        a label that means abstain beside NULL; an undeclared -1 in a wide table is an error

    The schema's metadata key "groundswell" holds JSON: method, chosen, reason, classes, warnings. Each warning of the label
    model is also issued as GroundswellWarning. Raises LabelModelError: LM105 to LM108, LM111, LM112, LM121 to LM127.
    """
    if key in OUTPUT_COLUMNS:
        raise LabelModelError("LM121", f'the key cannot be called "{key}", which is a column of the result', hint="rename it")
    known = None if gold is None else _gold_table(gold, key)
    table = read_votes(votes, key=key, classes=classes, abstain=abstain, also=known and known[1])
    patterns, inverse = VotePatterns.from_matrix(table.matrix, table.lfs, table.classes)
    gold_counts = None if known is None else _gold_counts(known, table, inverse, len(patterns.counts), key)
    model = label_model(method).fit(patterns, seed=seed, class_balance=_named(class_balance, table), gold=gold_counts)
    for warning in model.warnings_:
        warnings.warn(warning, GroundswellWarning, stacklevel=2)
    return _labelled(table, key, patterns, inverse, model)


def _labelled(table: VoteTable, key: str, patterns: VotePatterns, inverse: np.ndarray, model: LabelModel) -> pa.Table:
    posterior = model.predict(patterns)
    index = np.where(patterns.covered, hard_labels(posterior), ABSTAIN)[inverse]
    label = table.labels.take(pa.array(index, mask=index == ABSTAIN))
    columns = {
        key: restored(table.keys, table.key_type),
        "label": restored(label, table.type),
        "covered": pa.array(patterns.covered[inverse]),
        "p": _lists(posterior, inverse),
    }
    about = {
        "method": model.name,
        "chosen": model.chosen_,
        "reason": model.reason_,
        "classes": list(table.classes),
        "warnings": model.warnings_,
    }
    return pa.table(columns).replace_schema_metadata({"groundswell": json.dumps(about)})


def _lists(posterior: np.ndarray, inverse: np.ndarray) -> pa.ChunkedArray:
    """posterior[inverse] as list<double>, in chunks whose offsets fit 32 bits."""
    K = posterior.shape[1]
    rows = _LARGEST_LIST // K
    chunks = []
    for start in range(0, len(inverse), rows):
        part = posterior[inverse[start : start + rows]]
        offsets = np.arange(0, part.size + 1, K, dtype=np.int32)
        chunks.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(part.ravel())))
    return pa.chunked_array(chunks, type=pa.list_(pa.float64()))


def _named(balance: ClassBalance | None, table: VoteTable) -> ClassBalance | None:
    return {str(c): p for c, p in balance.items()} if hasattr(balance, "items") else balance


def _gold_table(gold: Any, key: str) -> tuple[pa.Array, pa.Array]:
    """(keys, labels) of the rows with a label, each key once; raises LM111."""
    table = as_table(gold, "gold")
    if not {key, "label"} <= set(table.column_names):
        raise LabelModelError("LM111", f'gold needs columns "{key}" and label, got {", ".join(table.column_names)}')
    table = table.select([key, "label"]).filter(pc.is_valid(table["label"])).group_by([key, "label"]).aggregate([])
    keys, labels = flat(table[key]), flat(table["label"])
    if len(pc.unique(keys)) < len(keys):
        twice = keys.value_counts()
        first = twice.field("values").filter(pc.greater(twice.field("counts"), 1))[0]
        raise LabelModelError("LM111", f"gold holds two labels for {key} = {first}")
    return keys, labels


def _gold_counts(
    known: tuple[pa.Array, pa.Array], table: VoteTable, inverse: np.ndarray, n_patterns: int, key: str
) -> np.ndarray:
    """Entities per pattern and gold class, int64 (P, K); raises LM111 where no key of gold has votes, LM125 for labels."""
    keys, labels = known
    if keys.type != table.keys.type:
        keys = keys.cast(table.keys.type)
    row = pc.index_in(keys, value_set=table.keys)
    label = pc.index_in(labels.cast(table.labels.type), value_set=table.labels)
    if label.null_count:
        wrong = labels.filter(pc.is_null(label))[0]
        raise LabelModelError("LM125", f'gold holds "{wrong}", which is not a class')
    found = pc.is_valid(row)
    if not pc.any(found).as_py():
        raise LabelModelError("LM111", f'no key of gold stands in the votes: compare "{key}" in both')
    counts = np.zeros((n_patterns, len(table.labels)), np.int64)
    np.add.at(counts, (inverse[row.filter(found).to_numpy()], label.filter(found).to_numpy()), 1)
    return counts
