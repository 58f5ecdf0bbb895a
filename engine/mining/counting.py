"""How often each item and itemset occurs with each class: one GROUP BY per feature, on entities that people labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np

from ..store import Store
from ..store.held_out import held_out
from ..store.names import literal, quoted, table_name
from .bounds import LEAST_SUPPORT
from .items import Itemset, MinedFeature

LONGEST_ROW = 50
"""Items of one row that take part in itemsets of several."""
QUANTILES = (0.01, 0.02, 0.05, *(q / 10 for q in range(1, 10)), 0.95, 0.98, 0.99)
"""Where numbers are cut: deciles, and the tails in which rare classes hide."""


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
    _write_bits(store, schema, n_classes)
    for feature in features:
        counted = _sides(store, schema, feature, n_classes) if feature.kind == "number" else _items(store, schema, feature, n_classes)
        if order > 1 and feature.kind == "list":
            counted = _with_larger(store, schema, counted, order, frequent)
        yield counted


def _write_bits(store: Store, schema: str, n_classes: int) -> None:
    """TEMP table `mining_bits`, one row: a bit per row of `entity`, is it mined?, and the bits of its class.

    Every feature asks them of every row; a join with `mining_row` would be built anew for each.
    """
    last = store.value(f"SELECT max(rowid) FROM {table_name(schema, 'entity')}") or 0
    agg = f"bitstring_agg(row, CAST(0 AS BIGINT), CAST({last} AS BIGINT)) FILTER"
    bits = [f"coalesce({agg} (mined AND (y >> {b}) & 1 = 1), bitstring('0', {last + 1})) AS y{b}" for b in range(_bits(n_classes))]
    store.execute(f"CREATE OR REPLACE TEMP TABLE mining_bits AS SELECT coalesce({agg} (mined), bitstring('0', {last + 1})) AS mined, {', '.join(bits)} FROM mining_row")


def _bits(n_classes: int) -> int:
    return max(1, (n_classes - 1).bit_length())


def _class(n_classes: int) -> str:
    """The class of a mined row, as SQL."""
    return " + ".join(f"(get_bit(m.y{b}, CAST(e.rowid AS INTEGER)) << {b})" for b in range(_bits(n_classes)))


def _from_mined(schema: str) -> str:
    return f"{table_name(schema, 'entity')} AS e, mining_bits AS m WHERE get_bit(m.mined, CAST(e.rowid AS INTEGER)) = 1"


def _items(store: Store, schema: str, feature: MinedFeature, n_classes: int) -> Counts:
    found = store.arrow(
        f"""WITH counted AS (
            SELECT item, y, count(*) AS n FROM (SELECT unnest({feature.items}) AS item, {_class(n_classes)} AS y FROM {_from_mined(schema)}) WHERE item IS NOT NULL GROUP BY item, y)
        SELECT item, y, n FROM counted SEMI JOIN (SELECT item FROM counted GROUP BY item HAVING max(n) >= {LEAST_SUPPORT}) USING (item) ORDER BY item"""
    )
    return _pivoted(feature, [(item,) for item in found["item"].to_pylist()], found["y"].to_numpy(), found["n"].to_numpy(), n_classes)


def _pivoted(feature: MinedFeature, itemsets: list[Itemset], y: np.ndarray, n: np.ndarray, n_classes: int) -> Counts:
    """Counts from long rows (itemset, class, n) in which equal itemsets stand together."""
    distinct = [each for i, each in enumerate(itemsets) if not i or each != itemsets[i - 1]]
    position = np.cumsum([bool(i and each != itemsets[i - 1]) for i, each in enumerate(itemsets)], dtype=np.int64)
    table = np.zeros((len(distinct), n_classes), np.int64)
    table[position, y] = n
    return Counts(feature, distinct, table)


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
    """Itemsets of 2..order items whose parts all occur often enough with one class, counted on distinct lists of frequent items."""
    n_classes, feature = singles.n.shape[1], singles.feature
    common = [items[0] for items, n in zip(singles.itemsets, singles.n) if (n >= frequent).any()]
    if len(common) < 2:
        return singles
    ns, found = [f"n{y}" for y in range(n_classes)], singles
    store.execute(
        f"""CREATE OR REPLACE TEMP TABLE mining_set AS
        WITH raw AS (
            SELECT kept, y, count(*) AS n FROM (SELECT list_filter({feature.listed}, lambda item: item IN ({_literals(common)})) AS kept, {_class(n_classes)} AS y FROM {_from_mined(schema)})
            WHERE len(kept) > 1 GROUP BY kept, y)
        SELECT CAST([] AS VARCHAR[]) AS items, list_sort(list_distinct(kept))[1:{LONGEST_ROW}] AS rest,
            {', '.join(f'coalesce(sum(n) FILTER (y = {y}), 0) AS n{y}' for y in range(n_classes))}
        FROM raw GROUP BY rest HAVING len(rest) > 1"""
    )
    for size in range(1, order + 1):
        itemsets, n = _one_more(store, ns, frequent)
        if size > 1:
            found = Counts(feature, found.itemsets + itemsets, np.concatenate([found.n, n]))
    store.execute("DROP TABLE mining_set")
    return found


def _one_more(store: Store, ns: Sequence[str], frequent: np.ndarray) -> tuple[list[Itemset], np.ndarray]:
    """Move the next item of each row of `mining_set` from its rest to its itemset; the frequent itemsets, and int (I, K)."""
    sums, enough = ", ".join(f"sum({n}) AS {n}" for n in ns), " OR ".join(f"sum({n}) >= {least}" for n, least in zip(ns, frequent))
    store.execute(
        f"""CREATE OR REPLACE TEMP TABLE mining_larger AS
        SELECT list_append(items, rest[i]) AS items, rest[i + 1:] AS rest, {', '.join(ns)}
        FROM (SELECT *, unnest(range(1, len(rest) + 1)) AS i FROM mining_set)"""
    )
    found = store.arrow(f"SELECT items, {sums} FROM mining_larger GROUP BY items HAVING {enough} ORDER BY items")
    store.connection.register("__frequent", found.select(["items"]))
    store.execute("CREATE OR REPLACE TEMP TABLE mining_set AS SELECT * FROM mining_larger SEMI JOIN __frequent USING (items) WHERE len(rest) > 0")
    store.connection.unregister("__frequent")
    n = np.array([found[name].to_pylist() for name in ns], np.int64).T.reshape(-1, len(ns))
    return [tuple(items) for items in found["items"].to_pylist()], n


def _literals(names: Sequence[str]) -> str:
    return ", ".join(map(literal, names))
