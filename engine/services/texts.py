"""Text embeddings: latent semantic vectors of hashed n-grams, trained on the project's own texts; or a sentence-transformers model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Mapping

import numpy as np
import pyarrow as pa

from ..errors import ConfigError
from .base import Answering, Answers, Preparation

NGRAMS = ((1, 2, "word"), (3, 4, "char_wb"))


def embedding(settings: Mapping[str, Any], preparation: Preparation) -> Answering:
    """FLOAT[d] of length 1: what a text is about; NULL for a text without a known n-gram. Raises ConfigError FT113."""
    if settings["model"]:
        return sentence_model(settings, preparation)
    if not preparation.state.exists():
        fit(list(texts(preparation, settings["most_rows"])), settings, preparation.state)
    with np.load(preparation.state) as state:
        idf, axes = state["idf"], state["axes"]

    def answering(batch: pa.Array) -> Answers:
        found = projected(batch.to_pylist(), idf, axes, settings["buckets"])
        bare = ~found.any(axis=1)
        return Answers(vectors(found, settings["dimensions"], bare), ["without a known word" if b else None for b in bare])

    return answering


def texts(preparation: Preparation, most: int) -> Iterator[str]:
    """The texts a service is fitted on: the first column of its rows."""
    for batch in preparation.rows(most):
        yield from (str(value) for value in batch.column(0).to_pylist())


def fit(documents: list[str], settings: Mapping[str, Any], path: Path) -> None:
    """Write idf float32 (buckets,) and axes float32 (buckets, d): the right singular vectors of the tf-idf matrix.

    Fewer axes than d where there are not as many texts or n-grams: the rest are zero. Source: Deerwester et al. 1990.
    """
    from sklearn.utils.extmath import randomized_svd

    counts = hashed(documents, settings["buckets"]) if documents else None
    if counts is None or counts.nnz == 0:
        raise ConfigError("FT113", "text_embedding: no text has a word", hint="look at its fit query")
    seen = np.bincount(counts.indices, minlength=settings["buckets"])
    idf = np.log((1 + len(documents)) / (1 + seen)).astype(np.float32) + 1
    idf[seen == 0] = 0
    rank = min(settings["dimensions"], counts.shape[0], int((seen > 0).sum()))
    _, strength, right = randomized_svd(weighed(counts, idf), rank, random_state=settings["seed"], n_iter=4)
    axes = np.zeros((settings["buckets"], settings["dimensions"]), np.float32)
    axes[:, :rank] = right.T * (strength > 1e-6 * strength[0])
    save(path, idf=idf, axes=axes)


def hashed(documents: list[str], buckets: int):
    """Sparse counts (n, buckets) of words, pairs of words, and pieces of words of three and four characters; case is folded."""
    from scipy.sparse import hstack

    found = hstack([_hashed(documents, buckets // 2, *each) for each in NGRAMS], format="csr")
    found.resize(len(documents), buckets)
    return found


def _hashed(documents: list[str], buckets: int, low: int, high: int, kind: str):
    from sklearn.feature_extraction.text import HashingVectorizer

    words = {"token_pattern": r"\b\w+\b"} if kind == "word" else {}
    return HashingVectorizer(analyzer=kind, ngram_range=(low, high), n_features=buckets, alternate_sign=False, norm=None, **words).transform(documents)


def weighed(counts, idf: np.ndarray):
    """Rows of length 1: (1 + log count) idf."""
    from sklearn.preprocessing import normalize

    found = counts.copy()
    found.data = ((1 + np.log(found.data)) * idf[found.indices]).astype(np.float32)
    return normalize(found, copy=False)


def projected(documents: list[str], idf: np.ndarray, axes: np.ndarray, buckets: int) -> np.ndarray:
    """float32 (n, d), rows of length 1 or 0."""
    found = np.asarray(weighed(hashed(documents, buckets), idf) @ axes, dtype=np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def vectors(values: np.ndarray, width: int, null: np.ndarray | None = None) -> pa.Array:
    """FLOAT[d] of float32 (n, d); NULL where `null`, bool (n,)."""
    flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, width, mask=None if null is None else pa.array(null))


def save(path: Path, **arrays: np.ndarray) -> None:
    """Write a .npz file that is there whole, or not at all."""
    fresh = path.with_name(f".{path.name}")
    with fresh.open("wb") as file:
        np.savez_compressed(file, **arrays)
    fresh.replace(path)


def sentence_model(settings: Mapping[str, Any], preparation: Preparation) -> Answering:
    """The answers of a sentence-transformers model in a folder. Raises ConfigError FT113 where the package or folder is missing, or `dimensions` is another's."""
    folder = preparation.root / settings["model"]
    if not folder.is_dir():
        raise ConfigError("FT113", f"text_embedding: there is no folder {settings['model']}", hint="a sentence-transformers model, relative to the project")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigError("FT113", "text_embedding: sentence-transformers is not installed", hint="pip install sentence-transformers, or leave model out") from error
    model = SentenceTransformer(str(folder))
    width = model.get_sentence_embedding_dimension()
    if width != settings["dimensions"]:
        raise ConfigError("FT113", f"text_embedding: {settings['model']} gives {width} dimensions, not {settings['dimensions']}", hint=f"dimensions={width}")
    save(preparation.state, width=np.array(width))

    def answering(batch: pa.Array) -> Answers:
        found = np.asarray(model.encode(batch.to_pylist(), normalize_embeddings=True, show_progress_bar=False), np.float32)
        return Answers(vectors(found, width), [None] * len(batch))

    return answering
