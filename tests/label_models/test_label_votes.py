"""label_votes: forms of input, order, types, and what is refused."""

import json
import time
import warnings

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import compute as pc

from groundswell.errors import GroundswellWarning, LabelModelError
from groundswell.label_models import label_votes
from groundswell.label_models.votes_table import read_votes

from .simulated import accuracy, random_votes

pytestmark = pytest.mark.filterwarnings("ignore::groundswell.errors.GroundswellWarning")

LONG = pa.table({
    "id": ["k3", "k1", "k3", "k2", "k1", "k3", "k4"],
    "lf": ["a", "a", "b", "b", "b", "c", "a"],
    "label": ["spam", "ham", "spam", "ham", "spam", "ham", None],
})  # fmt: skip
WIDE = pa.table({
    "id": pa.array([30, 10, 20, 40], pa.int16()),
    "a": pa.array([1, 0, None, None], pa.int8()),
    "b": pa.array([1, 1, 0, None], pa.int8()),
    "c": pa.array([0, None, None, None], pa.int8()),
})  # fmt: skip


def test_long_votes_by_hand():
    out = label_votes(LONG, key="id", method="majority_soft").to_pydict()
    assert out == {
        "id": ["k3", "k1", "k2", "k4"],
        "label": ["spam", None, "ham", None],
        "covered": [True, True, True, False],
        "p": [[1 / 3, 2 / 3], [0.5, 0.5], [1, 0], [0.5, 0.5]],
    }


def test_wide_votes_keep_order_and_types():
    out = label_votes(WIDE, key="id", method="majority")
    assert out.schema.types == [pa.int16(), pa.int8(), pa.bool_(), pa.list_(pa.float64())]
    assert out.column_names == ["id", "label", "covered", "p"]
    assert out["id"].to_pylist() == [30, 10, 20, 40]
    assert out["label"].to_pylist() == [1, None, 0, None]
    assert out["p"].to_pylist() == [[0, 1], [0.5, 0.5], [1, 0], [0.5, 0.5]]


def relations(table):
    con = duckdb.connect()
    con.register("votes", table)
    return {
        "table": table,
        "batch": table.combine_chunks().to_batches()[0],
        "reader": table.to_reader(),
        "chunks": pa.concat_tables([table.slice(0, 2), table.slice(2)]),
        "pandas": table.to_pandas(),
        "duckdb": con.sql("FROM votes"),
        "ibis": ibis.memtable(table),
    }


@pytest.mark.parametrize("kind", ["table", "batch", "reader", "chunks", "pandas", "duckdb", "ibis"])
@pytest.mark.parametrize("form", ["long", "wide"])
def test_every_kind_of_relation_gives_the_same(kind, form):
    table = LONG if form == "long" else WIDE
    out = label_votes(relations(table)[kind], key="id", method="majority_soft")
    assert out.to_pydict() == label_votes(table, key="id", method="majority_soft").to_pydict()


def test_enum_and_category_labels_stay_what_they_are():
    enum = duckdb.sql("SELECT id, 'a' AS lf, label::ENUM('x', 'y') AS label FROM (VALUES (1, 'y'), (2, 'x')) AS t (id, label)")
    out = label_votes(enum, key="id", method="majority")
    assert pa.types.is_dictionary(out["label"].type) and out["label"].to_pylist() == ["y", "x"]
    frame = pd.DataFrame({"id": [1, 2], "a": pd.Categorical(["y", "x"]), "b": pd.Categorical(["y", None], categories=["x", "y"])})
    assert label_votes(frame, key="id", method="majority")["label"].to_pylist() == ["y", "x"]


def test_category_keys_come_in_order_of_appearance_and_views_are_read():
    keys = pa.DictionaryArray.from_arrays(pa.array([2, 0, 2], pa.int8()), pa.array(["a", "unused", "c"]))
    label = pa.array(["x", "y", "x"], pa.string_view())
    out = label_votes(pa.table({"id": keys, "lf": [5, 5, 6], "label": label}), key="id", method="majority")
    assert out["id"].type == keys.type and out["id"].to_pylist() == ["c", "a"] and out["label"].to_pylist() == ["x", "y"]
    gold = pa.table({"id": keys[:1], "label": ["y"]})
    assert label_votes(pa.table({"id": keys, "lf": [5, 5, 6], "label": label}), key="id", method="weighted", gold=gold)


@pytest.mark.parametrize(
    ("labels", "type_"),
    [([1, 0], pa.int64()), (["b", "a"], pa.large_string()), ([True, False], pa.bool_()), ([2.5, 1.0], pa.float64())],
)
def test_label_types_are_preserved(labels, type_):
    table = pa.table({"id": [1, 2], "a": pa.array(labels, type_)})
    out = label_votes(table, key="id", method="majority")
    assert out["label"].type == type_ and out["label"].to_pylist() == labels


def test_integers_that_pandas_made_floats_are_integers_again():
    frame = pd.DataFrame({"id": [1, 2, 3], "a": [1, 0, 1], "b": [1.0, np.nan, 0.0]})
    out = label_votes(frame, key="id", method="majority")
    assert out["label"].to_pylist() == [1, 0, None] and pa.types.is_integer(out["label"].type)


def test_nan_abstains():
    frame = pd.DataFrame({"id": [1, 2], "a": [1.0, np.nan], "b": [0.0, np.nan], "c": [0.0, np.nan]})
    assert label_votes(frame, key="id", method="majority")["covered"].to_pylist() == [True, False]


def test_minus_one_must_be_declared():
    table = pa.table({"id": [1, 2, 3], "a": [1, -1, 0], "b": [1, 0, -1]})
    with pytest.raises(LabelModelError, match='LF "a" holds -1') as caught:
        label_votes(table, key="id")
    assert caught.value.code == "LM126" and "abstain=-1" in str(caught.value)
    assert label_votes(table, key="id", method="majority", abstain=-1)["label"].to_pylist() == [1, 0, 0]
    three = label_votes(table, key="id", method="majority", classes=[-1, 0, 1])
    assert three["p"].to_pylist()[1] == [0.5, 0.5, 0]


def test_any_value_can_mean_abstain():
    table = pa.table({"id": [1, 2], "a": ["x", "skip"], "b": ["skip", "y"]})
    assert label_votes(table, key="id", method="majority", abstain="skip")["label"].to_pylist() == ["x", "y"]
    with pytest.raises(LabelModelError, match="abstain -1 is not"):
        label_votes(table, key="id", abstain=-1)


def test_identical_rows_count_once_and_two_labels_are_an_error():
    table = pa.table({"id": [1, 1, 1, 2], "lf": ["a", "a", "b", "b"], "label": ["x", "x", "y", "x"]})
    assert label_votes(table, key="id", method="majority_soft")["p"].to_pylist() == [[0.5, 0.5], [1, 0]]
    clash = pa.table({"id": [1, 7, 7], "lf": ["a", "b", "b"], "label": ["x", "y", "x"]})
    with pytest.raises(LabelModelError, match='LF "b" votes two labels for id = 7') as caught:
        label_votes(clash, key="id")
    assert caught.value.code == "LM124"


def test_long_votes_land_in_the_column_of_their_lf():
    long = pa.table({"id": [1, 1, 1, 2], "lf": ["c", "a", "b", "b"], "label": ["x", "y", "z", "x"]})
    table = read_votes(long, key="id", classes=None, abstain=None, also=None)
    assert table.lfs == ("a", "b", "c") and table.matrix.tolist() == [[1, 2, 0], [-1, 0, -1]]


@pytest.mark.parametrize(
    ("table", "options", "code", "says"),
    [
        ({"idd": [1], "a": [1]}, {}, "LM121", 'did you mean "idd"'),
        ({"id": [1], "lf": ["a"], "label": ["x"], "p": [0.5]}, {}, "LM121", "found also: p"),
        ({"id": [1, 1], "lf": ["a", None], "label": ["x", "y"]}, {}, "LM121", "no lf"),
        ({"id": [1, None], "a": [1, 0]}, {}, "LM122", '"id" is NULL'),
        ({"id": [1, 2, 2], "a": [1, 0, 1]}, {}, "LM123", '"id" = 2'),
        ({"id": [1, 2], "a": ["spam", "hamm"]}, {"classes": ["ham", "spam"]}, "LM125", 'did you mean "ham"'),
        ({"id": [1, 2], "a": ["spam", "ham"]}, {"classes": [0, 1]}, "LM125", "not of the labels' type"),
        ({"id": [1, 2], "a": [1, 1]}, {}, "LM112", "classes=[...]"),
        ({"id": [1, 2], "a": [1, 0], "b": ["x", "y"]}, {}, "LM127", '"b" string'),
        ({"id": [1, 2], "a": [1, 0]}, {"method": "majorty"}, "LM105", 'did you mean "majority"'),
        ({"label": [1, 2], "a": [1, 0]}, {"key": "label"}, "LM121", "column of the result"),
    ],
)
def test_votes_that_cannot_be_read(table, options, code, says):
    with pytest.raises(LabelModelError) as caught:
        label_votes(pa.table(table), **{"key": "id", **options})
    assert caught.value.code == code and says in str(caught.value)


def test_something_that_is_no_relation():
    with pytest.raises(LabelModelError, match="got list"):
        label_votes([1, 2], key="id")


def test_classes_give_the_order_of_p_and_may_hold_more():
    out = label_votes(WIDE, key="id", method="majority_soft", classes=[2, 1, 0])
    assert out["p"].to_pylist()[0] == pytest.approx([0, 2 / 3, 1 / 3])


def test_uncovered_rows_get_the_class_balance():
    for method in ("auto", "dawid_skene", "weighted"):
        out = label_votes(WIDE, key="id", method=method, class_balance={0: 0.9, 1: 0.1})
        assert out["p"].to_pylist()[3] == pytest.approx([0.9, 0.1]), method


def test_warnings_reach_python_and_the_schema():
    with pytest.warns(GroundswellWarning, match="LM213"):
        out = label_votes(WIDE.select(["id", "a", "b"]), key="id")
    about = json.loads(out.schema.metadata[b"groundswell"])
    assert about["method"] == "auto" and about["chosen"] == "majority_soft" and about["classes"] == ["0", "1"]
    assert any(w.startswith("LM201") for w in about["warnings"])


def test_gold_is_used_only_if_passed():
    """Two LFs are mostly wrong together; votes alone believe them, 300 rows of gold do not."""
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 2000)
    bad = np.where(rng.random((2000, 2)) < 0.2, gold[:, None], 1 - gold[:, None])
    good = np.where(rng.random(2000) < 0.8, gold, 1 - gold)
    table = pa.table({"id": np.arange(2000), "a": bad[:, 0], "b": bad[:, 1], "c": good})
    known = pa.table({"id": np.append(np.arange(1000, 1300), 10**6), "label": np.append(gold[1000:1300], 0)})
    for method in ("weighted", "dawid_skene", "auto"):
        labels = label_votes(table, key="id", method=method, gold=known)["label"].to_numpy(zero_copy_only=False)
        without = label_votes(table, key="id", method=method)["label"].to_numpy(zero_copy_only=False)
        assert (labels == gold).mean() > 0.75 > 0.5 > (without == gold).mean(), method


@pytest.mark.parametrize(
    ("gold", "code", "says"),
    [
        ({"id": [30], "lab": [1]}, "LM111", "needs columns"),
        ({"id": [30, 30], "label": [1, 0]}, "LM111", "two labels for id = 30"),
        ({"id": [31], "label": [1]}, "LM111", "no key of gold"),
    ],
)
def test_gold_that_does_not_fit(gold, code, says):
    with pytest.raises(LabelModelError) as caught:
        label_votes(WIDE, key="id", gold=pa.table(gold))
    assert caught.value.code == code and says in str(caught.value)


def test_a_class_only_gold_knows_becomes_a_class():
    out = label_votes(WIDE, key="id", method="majority", gold=pa.table({"id": [30, 10], "label": [2, None]}))
    assert len(out["p"][0]) == 3
    with pytest.raises(LabelModelError, match='gold holds "2"'):
        label_votes(WIDE, key="id", classes=[0, 1], gold=pa.table({"id": [30], "label": [2]}))


def test_no_rows_give_no_rows():
    empty = WIDE.slice(0, 0)
    assert label_votes(empty, key="id", classes=[0, 1]).num_rows == 0
    assert label_votes(LONG.slice(0, 0), key="id", classes=["ham", "spam"]).num_rows == 0


def test_order_of_rows_and_columns_changes_no_bit():
    _, votes = random_votes(np.random.default_rng(0), 500, 5, 3)
    mask = votes == -1
    table = pa.table({"id": np.arange(500), **{f"l{j}": pa.array(votes[:, j], mask=mask[:, j]) for j in range(5)}})
    order = np.random.default_rng(1).permutation(500)
    other = table.take(order).select(["l3", "l1", "id", "l0", "l4", "l2"])
    a, b = label_votes(table, key="id"), label_votes(other, key="id")
    assert a.take(order).to_pydict() == b.to_pydict()


def test_a_million_rows_take_seconds():
    """Both forms are vectorised: a second or so each. The limit leaves room for a busy machine; a Python loop takes minutes."""
    rng = np.random.default_rng(0)
    gold, votes = random_votes(rng, 1_000_000, 6, 2, coverage=0.3)
    columns = {f"l{j}": pa.array(votes[:, j].astype(np.int8), mask=votes[:, j] == -1) for j in range(6)}
    wide = pa.table({"id": np.arange(1_000_000), **columns})
    row, column = np.nonzero(votes != -1)
    lf = pa.DictionaryArray.from_arrays(pa.array(column.astype(np.int8)), pa.array(list(columns)))
    label = pa.array(["no", "yes"]).take(pa.array(votes[row, column]))
    start = time.perf_counter()
    out = label_votes(wide, key="id")
    long = label_votes(pa.table({"id": row, "lf": lf.dictionary_decode(), "label": label}), key="id")
    seconds = time.perf_counter() - start
    covered = out["covered"].to_numpy()
    p = np.column_stack([pc.list_element(out["p"].combine_chunks(), y) for y in range(2)])
    assert long.num_rows == covered.sum() and accuracy(p, gold, covered) > 0.7
    assert pc.sum(pc.equal(long["label"], "yes")).as_py() == pc.sum(pc.equal(out["label"], 1)).as_py()
    assert seconds < 20


def test_one_warning_per_finding():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        label_votes(LONG, key="id", method="majority")
    assert [str(w.message)[:5] for w in caught] == []
