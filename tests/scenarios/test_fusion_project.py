"""A fusion model handed over: predictions of files and entities, queries, explanations, its card."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import published, verb, workspace
from two_modalities import IMAGE, SHARED, TEXT, harm

from groundswell.end_models import load_end_model
from groundswell.end_models.modality_shares import feature_groups, in_words
from groundswell.fusing import labelled_modalities
from groundswell.training import explain_prediction


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = harm(tmp_path_factory.mktemp("fused") / "harm")
    answer = verb(made, "train")
    assert answer.code == 0, answer.err
    (made / "printed.txt").write_text(answer.out)
    return made


def entities(folder, where: str, columns: str = "*") -> pa.Table:
    import duckdb

    with duckdb.connect(str(folder / "groundswell.duckdb"), read_only=True) as connection:
        return connection.execute(f"SELECT {columns} FROM harm.entity WHERE {where} ORDER BY entity_id").to_arrow_table()


def scored(folder, rows: pa.Table, name: str = "new.parquet"):
    """(exit code, what was said, key -> P(bad)) of `predict --from` a file of these rows."""
    pq.write_table(rows, folder / name)
    answer = verb(folder, "predict", "--from", str(folder / name), "-o", str(folder / "out.parquet"))
    if answer.code:
        return answer.code, answer.err, {}
    found = pq.read_table(folder / "out.parquet")
    return 0, found.column_names, dict(zip(found[found.column_names[1]].to_pylist(), (dict(p)["bad"] for p in found["p"].to_pylist())))


def known(folder, modality: str) -> dict:
    return dict(published(folder, f"SELECT entity_id, p['bad'] FROM harm.predictions JOIN harm.entity USING (entity_id) WHERE modality = '{modality}'"))


@pytest.mark.parametrize("modality, key, own", [("text", "post_id", TEXT), ("image", "picture_id", IMAGE)])
def test_a_file_of_one_modality_needs_no_column_of_the_other(folder, modality, key, own):
    rows = entities(folder, f"modality = '{modality}'", ", ".join([f"entity_id AS {key}", *sorted(SHARED | own)]))
    code, names, found = scored(folder, rows)
    expected = known(folder, modality)
    assert code == 0 and names[1] == key and found.keys() == expected.keys() and len(found) == 1500
    assert max(abs(found[k] - expected[k]) for k in found) < 1e-12
    assert len({round(p, 3) for p in found.values()}) > 100


def test_a_column_of_nulls_in_a_file_is_a_missing_one(folder):
    rows = entities(folder, "modality = 'text'", "entity_id AS post_id, topic, links, tone, words, plain, NULL AS light")
    rows = rows.append_column("colour", pa.nulls(rows.num_rows))
    code, _, found = scored(folder, rows)
    assert code == 0 and found == pytest.approx(known(folder, "text"), abs=1e-12)


def test_a_file_that_lacks_a_feature_of_its_own_modality_is_refused_by_name(folder):
    code, said, _ = scored(folder, entities(folder, "modality = 'image'", "entity_id AS picture_id, topic, links, tone, light, pixels"))
    assert code == 2 and "EM105" in said and '"colour"' in said and "rows of image" in said and "words" not in said.split("\n")[0]


def test_unseen_categories_and_nan_are_missing_or_unknown_not_errors(folder):
    rows = entities(folder, "modality = 'image'", "entity_id AS picture_id, 'never seen' AS topic, 'nan'::DOUBLE AS links, ['new', 'newer'] AS tone, pixels, light, colour")
    code, _, odd = scored(folder, rows)
    other = rows.set_column(rows.column_names.index("topic"), "topic", pa.array(["seen as little"] * rows.num_rows))
    other = other.set_column(rows.column_names.index("links"), "links", pa.nulls(rows.num_rows, pa.float64()))
    assert code == 0 and scored(folder, other)[2] == odd
    assert all(0 < p < 1 for p in odd.values()) and np.mean(list(odd.values())) != pytest.approx(np.mean(list(known(folder, "image").values())), abs=0.01)


def test_a_vector_with_nan_is_an_error_with_the_feature_named(folder):
    rows = entities(folder, "modality = 'image'", "entity_id AS picture_id, topic, links, tone, ['nan'::FLOAT, 1]::FLOAT[2] AS pixels, light, colour")
    code, said, _ = scored(folder, rows)
    assert code == 2 and "EM104" in said and "pixels" in said


def test_the_model_is_a_function_in_queries_for_rows_of_any_modality(folder):
    with workspace(folder) as ws:
        inputs = load_end_model(folder / ".groundswell" / "models" / "harm-1").inputs
        names = ", ".join(name for name, _ in inputs)
        found = ws.sql(f"SELECT max(abs(predict_harm({names})['bad'] - p.p['bad'])) AS apart, count(*) AS n FROM harm.entity JOIN harm.predictions AS p USING (entity_id)").to_pylist()[0]
        assert found["n"] == 3000 and found["apart"] < 1e-12
        assert ws.sql(f"SELECT predict_harm({', '.join('NULL' for _ in inputs)}) AS p").to_pylist() == [{"p": None}]
        why = ws.sql(f"""
            SELECT why.best AS best, why.second AS second, list_sum(list_transform(why.contributions, lambda c: c.evidence)) AS gap, p.p AS p
            FROM (SELECT entity_id, explain_harm({names}) AS why FROM harm.entity WHERE entity_id IN ('t3', 't4', 'i1700', 'i1701')) JOIN harm.predictions AS p USING (entity_id)""").to_pylist()
    assert len(why) == 4
    for row in why:
        p = dict(row["p"])
        assert row["gap"] == pytest.approx(np.log(p[row["best"]] / p[row["second"]]), abs=1e-6)


def test_a_key_is_explained_by_the_features_its_modality_has(folder):
    for key, own, foreign in (("t3", TEXT, IMAGE), ("i1700", IMAGE, TEXT)):
        answer = verb(folder, "explain", key)
        assert answer.code == 0 and "end model:" in answer.out and "(start)" in answer.out
        with workspace(folder) as ws:
            attribution, _ = explain_prediction(ws.store, ws.project, ws.task, key)
        named = {c.feature for c in attribution.contributions}
        assert not named & foreign and named & SHARED
        if key[0] == "i":
            assert named & own


def test_the_card_says_what_is_servable_and_what_each_modality_contributed(folder):
    card = json.loads((folder / ".groundswell" / "models" / "harm-1" / "model_card.json").read_text())
    assert set(card["servable_inputs"]) == SHARED | TEXT | IMAGE and card["scheme"] == "late"
    shares = {(s["rows"], s["features"]): s for s in card["about"]["modality_shares"]}
    assert set(shares) == {("image", "image + text"), ("image", "image only"), ("text", "image + text"), ("text", "text only")}
    assert shares["image", "image only"]["value"] > 0.1 and shares["text", "text only"]["value"] == 0  # late: the old model reads shared features alone
    assert all(s["low"] <= s["value"] <= s["high"] and s["n_rows"] == 1500 for s in shares.values())
    assert {m["modality"] for m in card["about"]["metrics"]} == {None, "text"}
    stored = dict(published(folder, "SELECT arm, value FROM harm.study WHERE study = 'modality shares'"))
    assert stored["image only features on image rows"] == shares["image", "image only"]["value"]
    printed = (folder / "printed.txt").read_text()
    assert in_words(card["about"]["modality_shares"], "image") in printed and "on text rows the log-odds move by" in printed


def test_shares_are_the_mean_distance_between_predictions_with_and_without(folder):
    """By hand: the image's own features NULL, sent through the image's part nevertheless."""
    model = load_end_model(folder / ".groundswell" / "models" / "harm-1")
    rows = entities(folder, "modality = 'image'").combine_chunks().to_batches()[0]
    columns = {name: pa.nulls(rows.num_rows, rows.column(name).type) if name in IMAGE else rows.column(name) for name in rows.schema.names}
    old, image = (np.log(model.parts[name].predict(pa.RecordBatch.from_pydict(columns))) for name in ("old", "image"))
    gone = (old + image - model.arrays["log_balance image"]) / model.temperature_
    whole = model.logits(rows) / model.temperature_
    sign = np.where(whole[:, 1] > whole[:, 0], 1, -1)
    expected = np.abs(sign * ((whole[:, 1] - whole[:, 0]) - (gone[:, 1] - gone[:, 0]))).mean()
    (found,) = published(folder, "SELECT value FROM harm.study WHERE study = 'modality shares' AND arm = 'image only features on image rows'")[0]
    assert found == pytest.approx(expected, rel=1e-9)


def test_features_are_grouped_by_the_modalities_that_have_them():
    views = {"text": ["a", "b"], "image": ["b", "c"], "video": ["b", "c", "d"]}
    assert feature_groups(views) == {"text only": ["a"], "text + image + video": ["b"], "image + video": ["c"], "video only": ["d"]}


def test_a_few_answers_do_not_make_a_modality_a_labelled_one(folder, tmp_path):
    """Twenty reviewed images of train are gold, and images still are what nobody labelled; a tenth of the share of texts is not so few."""
    copy = tmp_path / "harm"
    shutil.copytree(folder, copy)
    images = [key for (key,) in published(folder, "SELECT entity_id FROM harm.entity WHERE modality = 'image' AND split = 'train' ORDER BY 1")]
    for n, labelled in ((20, ["text"]), (200, ["image", "text"])):
        (copy / "gold").mkdir(exist_ok=True)
        (copy / "gold" / "some.csv").write_text("key,label\n" + "".join(f"{key},bad\n" for key in images[:n]))
        with workspace(copy) as ws:
            ws.run()
            assert labelled_modalities(ws.store, ws.task) == labelled


def test_a_changed_artefact_serves_nobody(folder, tmp_path):
    copy = tmp_path / "harm"
    shutil.copytree(folder, copy)
    card = copy / ".groundswell" / "models" / "harm-1" / "model_card.json"
    card.write_text(card.read_text().replace('"late"', '"early"', 1))
    for arguments in (("predict",), ("explain", "t3"), ("export", "model", "--format", "sql", "-o", str(tmp_path / "m.sql"))):
        answer = verb(copy, *arguments)
        assert answer.code == 2 and "EM108" in answer.err, arguments
