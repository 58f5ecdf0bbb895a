"""The YouTube spam comments as end-model sources: gold or a vote of keyword rules as labels."""

from __future__ import annotations

import re
from typing import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from groundswell.end_models import Feature, FeatureSpec
from tests.shared_data import shared

CLASSES = ("ham", "spam")
SPEC = FeatureSpec((Feature("text", "text"),))
HELD_OUT = "Shakira"
RULES = (
    (r"check out|check my|checkout", 1),
    (r"subscribe|\bsubs?\b", 1),
    (r"https?:|www\.|\.com", 1),
    (r"my (channel|video|song|music)", 1),
    (r"please|plz|\bpls\b", 1),
    (r"love|best|amazing|awesome|great", 0),
    (r"views|billion|million", 0),
    (r"song|shakira|katy|eminem|psy\b|lmfao", 0),
)
"""Keyword rules written from the words alone: (pattern, vote)."""


def comments() -> pa.Table:
    """artist, text, y (0 ham, 1 spam); 1,956 rows in the order of the file."""
    table = pq.read_table(shared("youtube_spam") / "data.parquet")
    return pa.table({"artist": table["artist"].cast(pa.string()), "text": table["CONTENT"].cast(pa.string()), "y": table["CLASS"]})


def of_artists(table: pa.Table, artists: Iterable[str]) -> pa.Table:
    return table.filter(pa.compute.is_in(table["artist"], pa.array(list(artists))))


def majority_vote(texts: Iterable[str]) -> np.ndarray:
    """float (n, 2): the share of rules that vote for each class; NaN where no rule votes."""
    votes = np.array([[sum(1 for r, v in RULES if v == c and re.search(r, t, re.I)) for c in (0, 1)] for t in texts], float)
    with np.errstate(invalid="ignore"):
        return votes / votes.sum(axis=1, keepdims=True)


def training(table: pa.Table, p: np.ndarray, seed: int = 0):
    """(train, dev) sources of the rows with labels, dev = a seventh of them, drawn at random."""
    covered = ~np.isnan(p[:, 0])
    full = pa.table({"text": table["text"].filter(pa.array(covered)), "p": p[covered].tolist()})
    order = np.random.default_rng(seed).permutation(len(full))
    dev, train = (full.take(part) for part in np.split(order, [len(full) // 7]))
    return (lambda: iter(train.to_batches())), (lambda: iter(dev.to_batches()))
