"""Boosted trees: the same numbers as the library that grew them, the same promises as every end model."""

import numpy as np
import pyarrow as pa
import pytest

from groundswell.end_models import Feature, FeatureSpec, end_model, load_end_model
from groundswell.end_models.boosted_trees import chosen_columns
from groundswell.errors import EndModelError

SMALL = {"trees": 30, "leaves": 8, "text_buckets": 2**8}
XOR = FeatureSpec((Feature("a", "numeric", "double"), Feature("b", "numeric", "double")))


def exclusive_or(n: int, seed: int) -> pa.Table:
    """Two numbers of which exactly one is positive where the class is 1; labels are right with probability .8."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(n, 2))
    y = (x[:, 0] > 0) != (x[:, 1] > 0)
    p = np.where((y ^ (r.random(n) < 0.2))[:, None] == [False, True], 0.9, 0.1)
    return pa.table({"a": x[:, 0], "b": x[:, 1], "p": p.tolist(), "y": y.astype(int)})


def accuracy(model, table, mixed) -> float:
    return float((model.predict(mixed.batch(table)).argmax(axis=1) == table["y"].to_numpy()).mean())


def test_learns_what_is_not_linear(mixed):
    model = end_model("boosted_trees", **SMALL).fit(mixed.source(exclusive_or(4000, 0)), XOR, ("no", "yes"), dev=mixed.source(exclusive_or(1000, 1)))
    assert accuracy(model, exclusive_or(1000, 2), mixed) > 0.95


@pytest.mark.parametrize("k", [2, 4])
def test_learns_k_classes_from_all_kinds_of_features(mixed, k):
    model = end_model("boosted_trees", **SMALL).fit(mixed.source(mixed.table(1500, k)), mixed.spec, mixed.classes(k), dev=mixed.source(mixed.table(300, k, 1)))
    test = mixed.table(500, k, 2)
    assert accuracy(model, test, mixed) > 0.9
    assert np.allclose(model.predict(mixed.batch(test)).sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_scores_are_those_of_scikit_learn_on_rows_repeated_by_class(mixed, k):
    """The same trees grown by hand: every row K times with weight p, scored by the library itself."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = mixed.table(800, k)
    model = end_model("boosted_trees", **SMALL).fit(mixed.source(table), mixed.spec, mixed.classes(k))
    rows = model.encoder_.encode(mixed.batch(table))
    x = np.hstack([rows.dense, rows.sparse[:, model.columns_].toarray()])
    library = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=0, early_stopping=False)
    library.fit(np.repeat(x, k, axis=0), np.tile(np.arange(k), len(x)), sample_weight=np.array(table["p"].to_pylist()).ravel())
    np.testing.assert_allclose(model.predict(mixed.batch(table)), library.predict_proba(x), atol=1e-5)


def test_soft_labels_are_not_hardened(mixed):
    """All rows alike, p = (.7, .3): the model must answer .7."""
    table = pa.table({"a": [1.0, 2.0] * 200, "b": [0.0] * 400, "p": [[0.7, 0.3]] * 400})
    model = end_model("boosted_trees", **SMALL).fit(mixed.source(table), XOR, ("no", "yes"))
    np.testing.assert_allclose(model.predict(mixed.batch(table))[:, 0], 0.7, atol=1e-6)


def test_saved_and_loaded(mixed, tmp_path):
    table = mixed.table(400, 3)
    model = end_model("boosted_trees", **SMALL).fit(mixed.source(table), mixed.spec, mixed.classes(3))
    again = load_end_model(tmp_path, model.save(tmp_path))
    assert np.array_equal(again.predict(mixed.batch(table)), model.predict(mixed.batch(table)))
    assert again.save(tmp_path / "copy") == model.save(tmp_path)


def test_rows_beyond_the_bound_are_not_read_and_it_says_so(mixed):
    model = end_model("boosted_trees", **SMALL | {"max_rows": 300}).fit(mixed.source(mixed.table(1000)), mixed.spec, ("a", "b"))
    assert [w.code for w in model.warnings_] == ["EM207"] and "300 of 1,000" in model.warnings_[0].message


def test_the_columns_that_tell_classes_apart_are_chosen(mixed):
    """Against scikit-learn's own chi-squared on hard labels."""
    from sklearn.feature_selection import chi2

    table = mixed.table(600)
    y = table["y"].to_numpy()
    hard = table.set_column(table.column_names.index("p"), "p", pa.array(np.eye(2)[y].tolist()))
    model = end_model("boosted_trees", **SMALL).fit(mixed.source(hard), mixed.spec, ("a", "b"))
    rows = model.encoder_.encode(mixed.batch(hard), np.eye(2)[y])
    expected = np.sort(np.argsort(-np.nan_to_num(chi2(rows.sparse, y)[0]), kind="stable")[:10])
    assert chosen_columns(rows, 10).tolist() == expected.tolist()


@pytest.mark.parametrize("option", [{"trees": 0}, {"leaves": 1}, {"shrinkage": 0}, {"max_rows": 0.5}, {"sparse_columns": -1}])
def test_impossible_options_are_refused(option):
    with pytest.raises(EndModelError) as error:
        end_model("boosted_trees", **option)
    assert error.value.code == "EM107" and next(iter(option)) in str(error.value)


def test_trees_are_not_written_as_a_network(mixed, tmp_path):
    from groundswell.end_models.export_model import write_model

    model = end_model("boosted_trees", **SMALL).fit(mixed.source(mixed.table(300)), mixed.spec, ("a", "b"))
    with pytest.raises(EndModelError) as error:
        write_model(model, tmp_path / "m.onnx", "onnx", title="t", table=("s", "entity"))
    assert error.value.code == "EM120"
