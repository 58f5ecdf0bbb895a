"""Counts of items and itemsets against a worked example and brute force."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from groundswell.mining import bounds, count_features, counting
from groundswell.mining.items import distinct_items

from .tables import CLASSES, all_mined, features, store_of, worked_example


@pytest.fixture(autouse=True)
def nothing_is_too_rare(monkeypatch):
    monkeypatch.setattr(counting, "LEAST_SUPPORT", 1)


def counted(store, order=1, frequent=(1, 1), classes=CLASSES) -> dict[str, dict[tuple, tuple]]:
    """feature -> itemset -> entities of each class."""
    all_mined(store, classes)
    found = count_features(store, "t", features(store), len(classes), order, np.array(frequent))
    return {c.feature.name: {items: tuple(n.tolist()) for items, n in zip(c.itemsets, c.n)} for c in found}


def test_worked_example_items():
    found = counted(worked_example())
    assert found["topic"] == {("ads",): (2, 3), ("news",): (4, 0), ("spam",): (0, 3), ("sport",): (2, 0)}
    assert found["objects"] == {("car",): (3, 1), ("dog",): (2, 1), ("pill",): (1, 3)}


def test_worked_example_pairs_with_positive_support_two():
    found = counted(worked_example(), order=2, frequent=(10, 2))
    assert {items: n for items, n in found["topic"].items() if len(items) == 2} == {("ads", "spam"): (0, 2)}
    assert not [items for items in found["objects"] if len(items) == 2]


def brute_force(lists, y, n_classes, order, frequent):
    """itemset -> entities of each class, by looking at every row; of two and more items those frequent in some class."""
    found = Counter()
    for items, label in zip(lists, y):
        for size in range(1, order + 1):
            for each in combinations(sorted(set(i for i in items or () if i is not None)), size):
                found[each, label] += 1
    sets = {each for each, _ in found}
    table = {each: tuple(found[each, k] for k in range(n_classes)) for each in sets}
    return {each: n for each, n in table.items() if len(each) == 1 or any(c >= least for c, least in zip(n, frequent))}


@pytest.mark.parametrize("seed", range(4))
def test_itemsets_of_random_lists_equal_brute_force(seed):
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, 400)
    vocabulary = ["a", "b'c", 'd"e', "é", "f", "", "g h"]
    lists = [None if random.random() < 0.1 else [vocabulary[k] for k in random.integers(0, len(vocabulary), random.integers(0, 6))] for _ in y]
    lists[5] = [None, "a", None]
    classes, frequent = ("u", "v", "w"), (9, 7, 8)
    store = store_of(pa.table({"entity_id": np.arange(400), "y": np.array(classes)[y], "words": pa.array(lists, pa.list_(pa.string()))}))
    assert counted(store, 3, frequent, classes)["words"] == brute_force(lists, y, 3, 3, frequent)


def test_itemsets_of_long_lists_and_many_frequent_items_equal_brute_force():
    random = np.random.default_rng(7)
    y = random.integers(0, 2, 120)
    lists = [[f"w{k}" for k in random.integers(0, 140, random.integers(0, 90))] for _ in y]
    store = store_of(pa.table({"entity_id": np.arange(120), "y": np.array(CLASSES)[y], "words": pa.array(lists, pa.list_(pa.string()))}))
    found = counted(store, 2, (12, 11))["words"]
    assert found == brute_force(lists, y, 2, 2, (12, 11))
    assert sum(len(items) == 1 and (n[0] >= 12 or n[1] >= 11) for items, n in found.items()) > 2 * counting.WORD and any(len(items) == 2 for items in found)


@pytest.mark.parametrize("seed", range(3))
def test_items_equal_those_of_unnested_distinct_rows(seed):
    random = np.random.default_rng(seed)
    vocabulary = [*(f"t{k}" for k in range(random.integers(2, 40))), None, ""]
    lists = [None if random.random() < 0.05 else [vocabulary[k] for k in random.integers(0, len(vocabulary), random.integers(0, 13))] for _ in range(3000)]
    y = random.integers(0, 2, 3000)
    store = store_of(pa.table({"entity_id": np.arange(3000), "y": np.array(CLASSES)[y], "words": pa.array(lists, pa.list_(pa.string()))}))
    counting.mark_rows(store, "t", CLASSES, ["train"], ["text"])
    (found,) = count_features(store, "t", features(store), 2, 1, np.array([1, 1]))
    textbook = store.rows(
        """SELECT item, count(*) FILTER (y = 0), count(*) FILTER (y = 1)
        FROM (SELECT DISTINCT m.row, m.y, unnest(e.words) AS item FROM t.entity AS e JOIN mining_row AS m ON m.row = e.rowid WHERE m.mined) WHERE item IS NOT NULL GROUP BY item ORDER BY item"""
    )
    assert len(textbook) == len(vocabulary) - 1
    assert [(items[0], *n) for items, n in zip(found.itemsets, found.n.tolist())] == textbook


def test_a_list_without_repetitions_is_what_it_says():
    lists = [list(items) for size in range(6) for items in product(["a", "b", "c", None], repeat=size)] + [None]
    with duckdb.connect() as connection:
        connection.register("given", pa.table({"items": pa.array(lists, pa.list_(pa.string()))}))
        distinct = [row[0] for row in connection.execute(f"SELECT {distinct_items('items')} FROM given").fetchall()]
    known = lambda items: sorted(item for item in items or [] if item is not None)  # noqa: E731
    assert [known(items) for items in distinct] == [known(set(items or [])) for items in lists]


def test_a_repeated_item_counts_once_and_null_never():
    rows = pa.array([["x", "x", "x"], ["x", "x"], [None, "x"], None, []], pa.list_(pa.string()))
    assert counted(store_of(pa.table({"entity_id": range(5), "y": ["yes"] * 5, "w": rows})))["w"] == {("x",): (0, 3)}


def test_numbers_are_both_sides_of_their_quantiles():
    values = np.arange(100.0)
    store = store_of(pa.table({"entity_id": np.arange(100), "y": np.where(values >= 70, "yes", "no"), "score": values}))
    found = counted(store)["score"]
    assert len(found) == 28
    for (side,), n in found.items():
        above, cut = side.split()
        holds = values >= float(cut) if above == ">=" else values < float(cut)
        assert n == ((holds & (values < 70)).sum(), (holds & (values >= 70)).sum())


def test_a_constant_number_and_an_empty_one_have_no_sides():
    table = pa.table({"entity_id": range(50), "y": ["yes", "no"] * 25, "same": [1.5] * 50, "none": pa.array([None] * 50, pa.float64())})
    found = counted(store_of(table))
    assert found["same"] == {} and found["none"] == {}


def test_flags_and_enums_are_categories():
    store = store_of(pa.table({"entity_id": range(4), "y": ["yes", "no", "yes", "no"], "flag": [True, False, True, None]}))
    store.execute("ALTER TABLE t.entity ADD COLUMN mood ENUM('good', 'bad')")
    store.execute("UPDATE t.entity SET mood = 'bad' WHERE entity_id > 1")
    found = counted(store)
    assert found["flag"] == {("false",): (1, 0), ("true",): (0, 2)} and found["mood"] == {("bad",): (1, 1)}


def test_rare_items_are_left_in_the_database(monkeypatch):
    monkeypatch.setattr(counting, "LEAST_SUPPORT", bounds.LEAST_SUPPORT)
    words = ["often"] * 5 + ["seldom"] * 4
    assert list(counted(store_of(pa.table({"entity_id": range(9), "y": ["yes"] * 9, "w": words})))["w"]) == [("often",)]


def test_held_out_entities_are_three_of_ten_and_never_counted():
    store = store_of(pa.table({"entity_id": np.arange(20_000), "y": np.array(CLASSES)[np.arange(20_000) % 2], "w": ["x"] * 20_000}))
    labelled = counting.mark_rows(store, "t", CLASSES, ["train"], ["text"])
    assert labelled.mined.sum() + labelled.held.sum() == 20_000
    assert 0.69 < labelled.mined.sum() / 20_000 < 0.71
    (found,) = count_features(store, "t", features(store), 2, 1, np.array([1, 1]))
    assert found.n.sum() == labelled.mined.sum()
    assert counting.mark_rows(store, "t", CLASSES, ["dev"], ["text"]).mined.sum() == 0
