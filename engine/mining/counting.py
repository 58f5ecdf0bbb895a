"""How often each item and itemset occurs with each class: one GROUP BY per feature, on entities that people labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np

from ..store import Store
from ..store.held_out import held_out
from ..store.names import literal, quoted, table_name
from .bounds import LEAST_SUPPORT
from .items import Itemset, MinedFeature, distinct_items

WORD = 62
"""Items whose presence one integer says."""
CHUNK = 1 << 16
"""Sets of items that are looked at together."""
QUANTILES = (0.01, 0.02, 0.05, *(q / 10 for q in range(1, 10)), 0.95, 0.98, 0.99)
"""Where numbers are cut: deciles, and the tails in which rare classes hide."""


Held = tuple[np.ndarray, np.ndarray]
"""Distinct sets of items: int64 (G, W), item i is bit i % WORD of word i // WORD; int (G,) entities that hold exactly these."""


@dataclass(frozen=True)
class Labelled:
    """Entities with gold, by class: mined and held int (K,)."""

    mined: np.ndarray
    held: np.ndarray


@dataclass(frozen=True)
class Counts:
    """Itemsets of one feature in the order of their text, and in how many mined entities of each class they occur: n int (I, K)."""

    feature: MinedFeature
    itemsets: list[Itemset]
    n: np.ndarray


def mark_rows(store: Store, schema: str, classes: Sequence[str], splits: Sequence[str], modalities: Sequence[str]) -> Labelled:
    """Write TEMP table `mining_row`: row of `entity`, y (class position), mined, and shuffle in [0, 1000) for samples.

    Entities of `splits` and `modalities` that have gold; those not held out are mined, see `store.held_out`.
    """
    store.execute(
        f"""CREATE OR REPLACE TEMP TABLE mining_row AS
        SELECT e.rowid AS row, CAST(c.position AS UTINYINT) AS y, NOT {held_out('e.entity_id')} AS mined, CAST(hash(e.entity_id) % 1000 AS SMALLINT) AS shuffle
        FROM {table_name(schema, 'entity')} AS e JOIN {table_name(schema, 'gold_label')} AS g USING (entity_id)
        JOIN (SELECT unnest([{_literals(classes)}]) AS label, unnest(range({len(classes)})) AS position) AS c ON c.label = g.label
        WHERE e.split IN ({_literals(splits)}) AND e.modality IN ({_literals(modalities)})"""
    )
    found = np.zeros((2, len(classes)), np.int64)
    for mined, y, n in store.rows("SELECT mined, y, count(*) FROM mining_row GROUP BY ALL"):
        found[0 if mined else 1, y] = n
    return Labelled(found[0], found[1])


def count_features(store: Store, schema: str, features: Sequence[MinedFeature], n_classes: int, order: int, frequent: np.ndarray) -> Iterator[Counts]:
    """The itemsets of each feature that occur in at least LEAST_SUPPORT mined entities of some class.

    order     itemsets of up to so many items are counted in list features
    frequent  int (K,)   entities of a class in which an itemset must occur to become part of a larger one (Apriori, Agrawal & Srikant 1994)
    """
    _set_bits(store, schema, n_classes)
    for feature in features:
        counted = _sides(store, schema, feature, n_classes) if feature.kind == "number" else _items(store, schema, feature, n_classes)
        if order > 1 and feature.kind == "list":
            counted = _with_larger(store, schema, counted, order, frequent)
        yield counted


def _set_bits(store: Store, schema: str, n_classes: int) -> None:
    """Variables of the session: `mining_mined`, a bit per row of `entity`, is it mined?, and `mining_y<b>`, bit b of its class.

    Every feature asks them of every row; a join with `mining_row` would be built anew for each.
    """
    last = store.value(f"SELECT max(rowid) FROM {table_name(schema, 'entity')}") or 0
    chosen = {"mined": "mined"} | {f"y{b}": f"mined AND (y >> {b}) & 1 = 1" for b in range(_bits(n_classes))}
    for name, condition in chosen.items():
        bits = f"bitstring_agg(row, CAST(0 AS BIGINT), CAST({last} AS BIGINT)) FILTER ({condition})"
        store.execute(f"SET VARIABLE mining_{name} = (SELECT coalesce({bits}, bitstring('0', {last + 1})) FROM mining_row)")


def _bits(n_classes: int) -> int:
    return max(1, (n_classes - 1).bit_length())


def _bit(name: str, row: str = "e.rowid") -> str:
    return f"get_bit(getvariable('mining_{name}'), CAST({row} AS INTEGER))"


def _class(n_classes: int, row: str = "e.rowid") -> str:
    """The class of a mined row, as SQL."""
    return " + ".join(f"({_bit(f'y{b}', row)} << {b})" for b in range(_bits(n_classes)))


def _from_mined(schema: str) -> str:
    return f"{table_name(schema, 'entity')} AS e WHERE {_bit('mined')} = 1"


def _items(store: Store, schema: str, feature: MinedFeature, n_classes: int) -> Counts:
    item = f"unnest({distinct_items('texts')})" if feature.kind == "list" else "texts"
    found = store.arrow(
        f"""SELECT item, list(y) AS y, list(n) AS n
        FROM (
            SELECT item, y, count(*) AS n FROM (SELECT {item} AS item, y FROM (SELECT {feature.texts} AS texts, {_class(n_classes)} AS y FROM {_from_mined(schema)}))
            WHERE item IS NOT NULL GROUP BY item, y)
        GROUP BY item HAVING max(n) >= {LEAST_SUPPORT} ORDER BY item"""
    ).combine_chunks()
    y, counted = (found[name].combine_chunks() for name in ("y", "n"))
    n = np.zeros((len(found), n_classes), np.int64)
    n[np.repeat(np.arange(len(found)), np.diff(y.offsets.to_numpy())), y.flatten().to_numpy()] = counted.flatten().to_numpy()
    return Counts(feature, [(item,) for item in found["item"].to_pylist()], n)


def _sides(store: Store, schema: str, feature: MinedFeature, n_classes: int) -> Counts:
    """Both sides of each quantile of a number: `>= q` and `< q`, from one histogram."""
    column = f"e.{quoted(feature.name)}"
    cuts = sorted(set(store.value(f"SELECT quantile_disc({column}, {list(QUANTILES)}) FROM {_from_mined(schema)}") or []))
    found = np.zeros((len(cuts) + 1, n_classes), np.int64)
    bucket = " + ".join([f"CAST({column} >= {cut!s} AS INTEGER)" for cut in cuts]) or "0"
    for b, y, n in store.rows(f"SELECT {bucket}, {_class(n_classes)}, count(*) FROM {_from_mined(schema)} AND {column} IS NOT NULL GROUP BY ALL"):
        found[b, y] = n
    below = found.cumsum(axis=0)[:-1]
    sides = [(f"{side} {cut!s}",) for side in (">=", "<") for cut in cuts]
    n = np.concatenate([found.sum(axis=0) - below, below]) if cuts else np.zeros((0, n_classes), np.int64)
    informative = (n.sum(axis=1) > 0) & (n.sum(axis=1) < found.sum())
    return Counts(feature, [s for s, keep in zip(sides, informative) if keep], n[informative])


def _with_larger(store: Store, schema: str, singles: Counts, order: int, frequent: np.ndarray) -> Counts:
    """Itemsets of 2..order items that occur often enough with one class, counted on the distinct sets of frequent items that rows hold."""
    common = [items[0] for items, n in zip(singles.itemsets, singles.n) if (n >= frequent).any()]
    if len(common) < 2:
        return singles
    held = _held(store, schema, singles.feature, common, singles.n.shape[1])
    larger = sorted(_larger(held, len(common), (), order, frequent), key=lambda each: (len(each[0]), each[0]))
    if not larger:
        return singles
    itemsets = [tuple(common[i] for i in each) for each, _ in larger]
    return Counts(singles.feature, singles.itemsets + itemsets, np.concatenate([singles.n, [n for _, n in larger]]))


def _held(store: Store, schema: str, feature: MinedFeature, items: Sequence[str], n_classes: int) -> list[Held]:
    """For each class the distinct sets of these items that its mined entities hold, of lists of at least two."""
    words = [f"w{i}" for i in range(-(-len(items) // WORD))]
    bits = ", ".join(f"({literal(item)}, {', '.join(str(1 << i % WORD if i // WORD == word else 0) for word in range(len(words)))})" for i, item in enumerate(items))
    found = store.arrow(
        f"""SELECT {_class(n_classes, 'row')} AS y, count(*) AS n, {', '.join(words)}
        FROM (
            SELECT row, {', '.join(f'bit_or(CAST({word} AS BIGINT)) AS {word}' for word in words)}
            FROM (SELECT unnest(texts) AS item, row FROM (SELECT {feature.texts} AS texts, e.rowid AS row FROM {_from_mined(schema)}) WHERE len(texts) > 1)
            JOIN (VALUES {bits}) AS bits (item, {', '.join(words)}) USING (item) GROUP BY row)
        GROUP BY ALL"""
    )
    y, n, sets = found["y"].to_numpy(), found["n"].to_numpy(), np.stack([found[name].to_numpy() for name in words], axis=1)
    return [(sets[y == k], n[y == k]) for k in range(n_classes)]


def _larger(held: Sequence[Held], n_items: int, itemset: tuple[int, ...], order: int, frequent: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Itemsets of 2..order items that begin with `itemset` and are frequent in some class, as positions, with int (K,) entities of each class.

    held  the sets that hold `itemset`
    """
    later = np.arange(itemset[-1] + 1 if itemset else 0, n_items)
    n = np.stack([_entities(*each, later) for each in held], axis=1)
    for i in np.flatnonzero((n >= frequent).any(axis=1)):
        longer = (*itemset, int(later[i]))
        if len(longer) > 1:
            yield longer, n[i]
        if len(longer) < order:
            yield from _larger([_holding(*each, later[i]) for each in held], n_items, longer, order, frequent)


def _holding(sets: np.ndarray, n: np.ndarray, item: int) -> Held:
    has = _has(sets, np.array([item]))[:, 0] == 1
    return sets[has], n[has]


def _has(sets: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Which of the items each set holds: 0 or 1, int (G, I)."""
    return (sets[:, items // WORD] >> (items % WORD)) & 1


def _entities(sets: np.ndarray, n: np.ndarray, items: np.ndarray) -> np.ndarray:
    """In how many entities each item occurs, int (I,)."""
    return sum((n[i : i + CHUNK] @ _has(sets[i : i + CHUNK], items) for i in range(0, len(n), CHUNK)), np.zeros(len(items), np.int64))


def _literals(names: Sequence[str]) -> str:
    return ", ".join(map(literal, names))
