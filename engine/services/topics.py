"""Topics: what texts talk about, as parts found by non-negative matrix factorisation of their words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from .base import Answering, Preparation
from .texts import save, texts

WORDS_IN_A_NAME = 3
SWEEPS = 60
"""Rounds of coordinate descent for the weights of a text: a fixed number, so that a text's topics do not depend on its neighbours."""


def topics(settings: Mapping[str, Any], preparation: Preparation) -> Answering:
    """VARCHAR[]: topics with a share of at least `least` in a text, the largest first, at most `most`; [] for a text without known words.

    A topic is named after its heaviest words. Captions and detected objects, joined to a text, have topics like any text.
    Raises ConfigError FT113 where there is no word to fit on.
    """
    if not preparation.state.exists():
        fit(list(texts(preparation, settings["most_rows"])), settings, preparation.state)
    model = TopicModel.read(preparation.state)

    def answering(batch: pa.Array) -> pa.Array:
        share = model.shares(batch.to_pylist())
        order = np.argsort(-share, axis=1, kind="stable")[:, : settings["most"]]
        return pa.array([[model.names[k] for k in row if each[k] >= settings["least"]] for row, each in zip(order, share)], pa.list_(pa.string()))

    return answering


class TopicModel:
    """Topics as rows of words: names (k,), words (V,), idf float32 (V,), parts float32 (k, V) of length 1."""

    def __init__(self, names: list[str], words: list[str], idf: np.ndarray, parts: np.ndarray):
        self.names, self.idf, self.parts = names, idf, parts
        self.index = {word: i for i, word in enumerate(words)}
        self.gram = parts @ parts.T

    @classmethod
    def read(cls, path: Path) -> TopicModel:
        """The model that `fit` wrote."""
        with np.load(path, allow_pickle=False) as state:
            return cls(state["names"].tolist(), state["words"].tolist(), state["idf"], state["parts"])

    def shares(self, documents: list[str]) -> np.ndarray:
        """float (n, k): how much of each text is each topic; rows sum to 1, or to 0 without a known word."""
        weights = self.weights(self.tfidf(documents))
        return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)

    def weights(self, rows) -> np.ndarray:
        """float (n, k) >= 0: min |rows - W parts|, by coordinate descent (Cichocki & Phan 2009)."""
        target = np.asarray(rows @ self.parts.T, dtype=np.float64)
        found = np.zeros_like(target)
        for _ in range(SWEEPS):
            for k in range(found.shape[1]):
                found[:, k] = np.maximum(0, found[:, k] + (target[:, k] - found @ self.gram[:, k]) / self.gram[k, k])
        return found

    def tfidf(self, documents: list[str]):
        """Sparse (n, V), rows of length 1, as in the fit."""
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.preprocessing import normalize

        counts = CountVectorizer(vocabulary=self.index, **READING).transform(documents).astype(np.float64)
        counts.data = (1 + np.log(counts.data)) * self.idf[counts.indices]
        return normalize(counts, copy=False)


READING = {"token_pattern": r"(?u)\b[^\W\d_]{3,}\b", "strip_accents": None, "lowercase": True}
"""Words of three letters and more."""


def fit(documents: list[str], settings: Mapping[str, Any], path: Path) -> None:
    """Fit and write the model. Source: Lee & Seung 1999; start by Boutsidis & Gallopoulos 2008."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning
    import warnings

    words, rows = _vocabulary(documents, settings["most_words"])
    k = min(settings["n_topics"], rows.shape[1], rows.shape[0])
    idf = np.log((1 + rows.shape[0]) / (1 + np.bincount(rows.indices, minlength=rows.shape[1]))) + 1
    model = TopicModel([], words, idf, np.eye(1, len(words)))
    start = "nndsvda" if k < min(rows.shape) else "random"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # topics are as good as the rounds they got
        nmf = NMF(k, init=start, random_state=settings["seed"], max_iter=200).fit(model.tfidf(documents))
    parts = nmf.components_[nmf.components_.any(axis=1)]
    parts = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    names = _names(parts, words)
    save(path, names=np.array(names), words=np.array(words), idf=idf, parts=parts)


def _vocabulary(documents: list[str], most: int):
    """(words, sparse counts): words of at least two texts and of at most half of them; where none is left, all words. Raises ConfigError FT113."""
    from sklearn.feature_extraction.text import CountVectorizer

    for least, share in ((2, 0.5), (1, 1.0)):
        try:
            reader = CountVectorizer(min_df=least, max_df=share, max_features=most, stop_words="english", **READING)
            return list(reader.fit(documents).get_feature_names_out()), reader.transform(documents)
        except ValueError:
            continue  # no word is left
    raise ConfigError("FT113", "text_topics: no text has a word of three letters", hint="look at its fit query")


def _names(parts: np.ndarray, words: list[str]) -> list[str]:
    """The heaviest words of every topic; as many as tell it from the topics before."""
    names: list[str] = []
    for row in parts:
        order = [words[i] for i in np.argsort(-row, kind="stable") if row[i] > 0]
        n = WORDS_IN_A_NAME
        while " ".join(order[:n]) in names and n < len(order):
            n += 1
        names.append(" ".join(order[:n]))
    return names
