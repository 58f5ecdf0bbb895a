"""Rows of lists, categories, numbers and an embedding around latent topics, some values missing; and their likeness written out in plain Python."""

from __future__ import annotations

import math

import numpy as np

from groundswell.propagation import Numbers, Rows, Sets, Vectors, bandwidth, unit_rows


def sets_of(name: str, values: list, modalities, weight: float = 1.0) -> Sets:
    """Sets from lists of tokens (any order); None = NULL."""
    words = sorted({t for v in values if v is not None for t in v})
    tokens = [words.index(t) for v in values for t in sorted(set(v or ()))]
    start = np.concatenate([[0], np.cumsum([len(set(v or ())) for v in values])])
    return Sets(name, np.array([v is not None for v in values]), np.array(modalities), weight, start, np.array(tokens, np.int32))


def numbers_of(name: str, values: list, h: float, modalities, weight: float = 1.0) -> Numbers:
    """Numbers; None = NULL."""
    return Numbers(name, np.array([v is not None for v in values]), np.array(modalities), weight, np.array([v or 0 for v in values], np.float32), h)


def vectors_of(name: str, values: list, modalities, weight: float = 1.0) -> Vectors:
    """Vectors; None = NULL."""
    d = next(len(v) for v in values if v is not None)
    unit, present = unit_rows(np.array([v if v is not None else [0.0] * d for v in values], np.float32))
    return Vectors(name, present, np.array(modalities), weight, unit)


def likeness(a: dict, b: dict, kinds: dict, weights: dict, both_only: bool = False) -> float:
    """w_ij of two rows (feature -> value, None = NULL, absent = cannot be had), as the formula says."""
    total = counted = 0.0
    shared = 0
    for name, (kind, h) in kinds.items():
        if name not in a or name not in b or (a[name] is None and b[name] is None):
            continue
        if a[name] is None or b[name] is None:
            counted += 0 if both_only else weights.get(name, 1.0)
            continue
        shared += 1
        counted += weights.get(name, 1.0)
        total += weights.get(name, 1.0) * one(kind, h, a[name], b[name])
    return 0.0 if not counted or (both_only and shared < 2) else total / counted


def one(kind: str, h: float, x, y) -> float:
    """Similarity of two values."""
    if kind == "number":
        return math.exp(-abs(x - y) / h)
    if kind == "set":
        return len(set(x) & set(y)) / len(set(x) | set(y)) if set(x) | set(y) else 0.0
    return max(0.0, sum(p * q for p, q in zip(x, y)) / (math.hypot(*x) * math.hypot(*y)))


def topical_rows(n: int, topics: int, seed: int = 0, share_of_second: float = 0.4, dimensions: int = 48, own: bool = False) -> tuple[Rows, np.ndarray]:
    """(rows of two modalities, topic of each): two lists, a category, two numbers and an embedding; own: the embedding is the second's alone."""
    rng = np.random.default_rng(seed)
    topic, second = rng.integers(0, topics, n), rng.random(n) < share_of_second
    both = np.ones(2, bool)
    columns = [_list(rng, name, topic, words, length, both) for name, words, length in (("words", 5000, 5), ("objects", 500, 4))]
    present, noise = rng.random(n) < 0.9, rng.random(n) < 0.2
    category = np.where(noise, rng.integers(0, 40, n), topic % 40)[present].astype(np.int32)
    columns.append(Sets("category", present, both, 1.0, np.concatenate([[0], np.cumsum(present)]), category))
    for name in ("x", "y"):
        values = (rng.standard_normal(topics)[topic] + 0.7 * rng.standard_normal(n)).astype(np.float32)
        columns.append(Numbers(name, rng.random(n) < 0.97, both, 1.0, values, bandwidth(values)))
    centre = rng.standard_normal((topics, dimensions), np.float32)
    vectors = centre[topic]
    vectors += np.float32(0.8) * rng.standard_normal((n, dimensions), np.float32)
    if own:
        vectors[~second] = 0
    unit, usable = unit_rows(vectors)
    columns.append(Vectors("embedding", usable, np.array([not own, True]), 1.0, unit))
    return Rows(second.astype(np.int64), tuple(columns)), topic


def _list(rng: np.random.Generator, name: str, topic: np.ndarray, words: int, length: int, both: np.ndarray) -> Sets:
    """0 to 2 * length - 1 tokens a row: six in ten are of the topic's eight, others of a few words that stand everywhere."""
    n = len(topic)
    owner = np.repeat(np.arange(n), rng.integers(0, 2 * length, n))
    mine = rng.integers(0, words, (topic.max() + 1, 8))
    token = np.where(rng.random(len(owner)) < 0.6, mine[topic[owner], rng.integers(0, 8, len(owner))], (words * rng.random(len(owner)) ** 3).astype(np.int64))
    present = rng.random(n) < 0.95
    key = np.unique((owner * words + token)[present[owner]])
    return Sets(name, present, both, 1.0, np.concatenate([[0], np.cumsum(np.bincount(key // words, minlength=n))]), (key % words).astype(np.int32))
