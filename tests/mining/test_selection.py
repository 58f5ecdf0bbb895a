"""Which itemsets become labeling functions: the worked example, bounds, redundancy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from groundswell.errors import MiningError
from groundswell.intervals import wilson_lower
from groundswell.mining import Found, MinedLF, MiningOptions, count_features, counting, cover, judge, judging, mining_options, reach, relaxations, sample_mined, select
from groundswell.mining.bounds import bounds_of

from .tables import CLASSES, all_mined, features, store_of, worked_example


def selected(store, classes=CLASSES, frequent=None, **options):
    """The selections of each class, on entities that are all mined."""
    labelled, options = all_mined(store, classes), mining_options(options)
    counts = list(count_features(store, "t", features(store), len(classes), options.order, np.ones(len(classes)) if frequent is None else np.array(frequent)))
    sample_mined(store, "t", features(store))
    return select(counts, labelled, options, lambda *given: cover(store, *given), lambda lfs, y: reach(store, lfs, y))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(counting, "LEAST_SUPPORT", 1)


def test_worked_example(small, monkeypatch):
    monkeypatch.setattr("groundswell.mining.selection.wilson_lower", lambda right, n: right / n)  # the example bounds the precision itself
    store = worked_example()
    no, yes = selected(store, min_support=1, min_recall=0.3, min_precision=0.7)
    lfs = {(lf.feature.name, CLASSES[lf.label]): lf for tried in (no, yes) for lf in tried[-1].lfs}
    items = {name: sorted(f.items[0] for f in lf.itemsets) for name, lf in lfs.items()}
    assert items[("topic", "yes")] == ["spam"] and items[("objects", "yes")] == ["pill"] and items[("topic", "no")] == ["news", "sport"]
    votes = store.rows(
        f"SELECT {', '.join(lfs[of].predicate for of in (('topic', 'yes'), ('objects', 'yes'), ('topic', 'no')))} FROM t.entity ORDER BY entity_id"
    )
    assert [tuple(bool(v) for v in row) for row in votes] == [
        (1, 1, 0), (1, 1, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 1), (0, 0, 1), (0, 1, 1), (0, 0, 1),
    ]  # fmt: skip
    pill = next(f for f in lfs[("objects", "yes")].itemsets if f.items == ("pill",))
    assert (pill.tp, pill.fp, pill.precision, pill.recall, pill.lift) == (3, 1, 0.75, 0.75, 0.75 / (1 / 6))


def test_an_item_of_no_lift_is_cut_whatever_its_precision(small):
    store = worked_example()
    (first, *_), _ = selected(store, min_support=1, min_recall=0.0, min_precision=0.0, relax=False)
    assert not any(("ads",) == f.items for lf in first.lfs for f in lf.itemsets)
    assert first.cut["lift"] >= 1


def test_wilson_lower_bound_agrees_with_scipy():
    for right, n in ((0, 5), (3, 4), (4, 4), (50, 100), (999, 1000)):
        expected = binomtest(right, n).proportion_ci(0.95, "wilson").low
        assert wilson_lower(right, n) == pytest.approx(expected, abs=1e-6)
    assert wilson_lower(0, 0) == 0


@pytest.mark.parametrize("prior, precision, recall", [(0.009, 0.5, 0.01), (0.15, 0.75, 0.01), (0.5, 0.95, 0.01), (0.991, 1 - 0.009 / 5, 0.05)])
def test_bounds_are_relative_to_the_prior(prior, precision, recall):
    bounds = bounds_of(MiningOptions(), prior)
    assert (bounds.precision, bounds.recall, bounds.support) == (pytest.approx(precision), recall, 30)


def test_bounds_relax_in_order_and_never_below_what_was_asked():
    tried = list(relaxations(MiningOptions(), 0.2))
    assert [b.support for b in tried] == [30, 10, 5, 5, 5]
    assert [b.precision for b in tried] == pytest.approx([0.95, 0.95, 0.95, 0.575, 0.3875])
    assert all(b.support == 7 and b.recall == 0.1 for b in relaxations(MiningOptions(min_support=7, min_recall=0.1), 0.2))
    assert len(list(relaxations(MiningOptions(relax=False), 0.2))) == 1
    assert all(b.precision == 0.9 for b in relaxations(MiningOptions(min_precision=0.9), 0.2))


def words_table(seed=0, n=2000):
    """Words of which `w3` goes with yes alone, `w3` and `w4` nearly always together, others at random."""
    random = np.random.default_rng(seed)
    y = random.random(n) < 0.2
    rows = []
    for positive in y:
        row = [f"w{k}" for k in random.choice([0, 1, 2, 5, 6, 7], 2, replace=False)]
        rows.append(row + (["w3", "w4"] if positive and random.random() < 0.6 else []))
    return pa.table({"entity_id": np.arange(n), "y": np.array(CLASSES)[y.astype(int)], "words": pa.array(rows, pa.list_(pa.string()))}), y


def test_an_item_that_covers_nothing_new_is_dropped():
    table, _ = words_table()
    _, yes = selected(store_of(table))
    (lf,) = yes[-1].lfs
    assert [f.items for f in lf.itemsets] == [("w3",)]
    assert lf.predicate == "list_contains(words, 'w3')" and lf.leaks


def test_a_pair_joins_only_where_it_is_more_precise_than_its_parts():
    random = np.random.default_rng(1)
    n = 4000
    a, b = random.random(n) < 0.3, random.random(n) < 0.3
    y = a & b & (random.random(n) < 0.97)
    rows = [[w for w, has in (("a", a[i]), ("b", b[i]), ("c", True)) if has] for i in range(n)]
    table = pa.table({"entity_id": np.arange(n), "y": np.array(CLASSES)[y.astype(int)], "words": pa.array(rows, pa.list_(pa.string()))})
    _, yes = selected(store_of(table), order=2, frequent=(30, 30))
    assert [f.items for lf in yes[-1].lfs for f in lf.itemsets] == [("a", "b")]
    assert yes[-1].lfs[0].predicate == "list_has_all(words, ['a', 'b'])"


def test_numbers_keep_their_best_cut_each_way_and_never_a_predicate_that_always_holds():
    values = np.arange(1000.0)
    y = (values < 200) | (values >= 850)
    store = store_of(pa.table({"entity_id": np.arange(1000), "y": np.array(CLASSES)[y.astype(int)], "score": values}))
    _, yes = selected(store)
    (lf,) = yes[-1].lfs
    holds = np.array([row[0] for row in store.rows(f"SELECT {lf.predicate} FROM t.entity ORDER BY entity_id")])
    assert 0 < holds.mean() < 1 and (y & holds).sum() / holds.sum() > 0.95


def test_sparse_vocabularies_relax_until_something_is_found_and_say_so():
    n = 600
    y = np.arange(n) % 2
    names = [f"{'y' if k else 'n'}{i // 24}" for i, k in enumerate(y)]
    for tried in selected(store_of(pa.table({"entity_id": np.arange(n), "y": np.array(CLASSES)[y], "name": names})), max_items=100):
        assert tried[0].lfs == [] and tried[0].cut["support"] == 50
        assert tried[-1].lfs and tried[-1].bounds.relaxed.startswith("support 5, recall 0, precision 0.7") and tried[-1].reach == 1


def test_noise_gives_no_labeling_function():
    random = np.random.default_rng(3)
    found = 0
    for _ in range(5):
        table = pa.table({"entity_id": np.arange(3000), "y": np.array(CLASSES)[random.integers(0, 2, 3000)], "w": [f"v{k}" for k in random.integers(0, 20, 3000)]})
        found += sum(len(lf.itemsets) for tried in selected(store_of(table)) for lf in tried[-1].lfs)
    assert found == 0


def test_every_class_of_several_is_mined_against_the_others():
    random = np.random.default_rng(4)
    classes = ("a", "b", "c")
    y = random.integers(0, 3, 3000)
    colour = [f"colour{k if random.random() < 0.97 else 3}" for k in y]
    found = selected(store_of(pa.table({"entity_id": np.arange(3000), "y": np.array(classes)[y], "colour": colour})), classes)
    assert [tried[-1].lfs[0].predicate for tried in found] == [f"colour = 'colour{k}'" for k in range(3)]


def test_one_lf_per_itemset_on_request(small):
    no, _ = selected(worked_example(), min_support=1, min_recall=0.3, min_precision=0.3, grouping="per_itemset")
    assert all(len(lf.itemsets) == 1 for lf in no[-1].lfs) and len(no[-1].lfs) > 2


def test_what_is_chosen_among_is_mined_entities_of_one_class():
    """cover and reach against loops over the rows that are mined."""
    table, y = words_table(3, 4000)
    store = store_of(table)
    labelled = counting.mark_rows(store, "t", CLASSES, ["train"], ["text"])
    mined = {row for (row,) in store.rows("SELECT row FROM mining_row WHERE mined")}
    (words,) = features(store)
    sample_mined(store, "t", [words])
    assert 0 < len(mined) < len(table) and store.value("SELECT count(*) FROM mining_sample") == len(mined) == labelled.mined.sum()
    itemsets = [("w3",), ("w1",), ("w1", "w3")]
    for k in range(2):
        rows = [set(words_of) for i, (words_of, positive) in enumerate(zip(table["words"].to_pylist(), y)) if i in mined and positive == k]
        held, n = cover(store, words, itemsets, k)
        assert n.sum() == len(rows)
        assert [int(n[held[:, i]].sum()) for i in range(3)] == [sum(set(items) <= row for row in rows) for items in itemsets]
        lf = MinedLF(words, k, (Found(words, ("w1",), k, 1, 1, 1.0, 1.0, 0.5),))
        assert reach(store, [lf], k) == pytest.approx(sum("w1" in row for row in rows) / len(rows))


def test_of_many_entities_a_sample_of_each_class_is_chosen_among(monkeypatch):
    table, _ = words_table(4, 6000)
    store = store_of(table)
    labelled = counting.mark_rows(store, "t", CLASSES, ["train"], ["text"])
    monkeypatch.setattr(judging, "SAMPLED", 1000)
    sample_mined(store, "t", features(store))
    n = dict(store.rows("SELECT __y, count(*) FROM mining_sample GROUP BY 1"))
    assert n[1] == labelled.mined[1] < 1000 and 800 < n[0] < 1200 < labelled.mined[0]


def test_held_out_figures_equal_a_direct_count():
    table, y = words_table(5, 6000)
    store = store_of(table)
    labelled = counting.mark_rows(store, "t", CLASSES, ["train"], ["text"])
    counts = list(count_features(store, "t", features(store), 2, 1, np.array([1, 1])))
    sample_mined(store, "t", features(store))
    found = select(counts, labelled, MiningOptions(), lambda *given: cover(store, *given), lambda lfs, k: reach(store, lfs, k))
    lfs = [lf for tried in found for lf in tried[-1].lfs]
    for lf, judged in zip(lfs, judge(store, "t", lfs, 2, ["text"])):
        rows = store.rows(f"SELECT g.label = '{CLASSES[lf.label]}', {lf.predicate} FROM t.entity AS e JOIN t.gold_label AS g USING (entity_id) JOIN mining_row AS m ON m.row = e.rowid WHERE NOT m.mined")
        right, fired = (np.array(column) for column in zip(*rows))
        assert judged.n_dev == fired.sum() and judged.precision == (right & fired).sum() / fired.sum() and judged.recall == (right & fired).sum() / right.sum()
        others = (~right & fired).sum() / (~right).sum()
        assert judged.lift == pytest.approx(judged.recall / others if others else np.inf)
        everywhere = store.value(f"SELECT avg(CAST({lf.predicate} AS INTEGER)) FROM t.entity")
        assert judged.coverage == pytest.approx(everywhere) and np.isnan(judged.new_coverage)


@pytest.mark.parametrize("options", [{"order": 0}, {"min_recall": 1.5}, {"grouping": "x"}, {"suport": 3}, {"max_lfs": True}])
def test_options_that_cannot_be(options):
    with pytest.raises(MiningError) as error:
        mining_options(options)
    assert error.value.diagnostics[0].code == "MN101"
