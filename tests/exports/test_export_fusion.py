"""Fusions as TorchScript, ONNX and SQL: programs that know nothing of groundswell say what `predict` says."""

import json
import subprocess
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from fusion_world import CLASSES, IMAGE, fused, rows
from support import published, verb
from two_modalities import harm

from groundswell.end_models import end_model, infer_features
from groundswell.end_models.export_model import sql_text, write_model
from groundswell.end_models.export_sql import DIALECTS, model_sql
from groundswell.end_models.views import without
from groundswell.errors import EndModelError

TABLE = ("harm", "entity")
SERVE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
model, given = torch.jit.load(sys.argv[1]), json.load(open(sys.argv[2]))
if "applies" in given:
    parts = [[torch.tensor(x, dtype=t) for x in given[name]] for name, t in (("dense", torch.float32), ("indices", torch.int64), ("offsets", torch.int64), ("values", torch.float32))]
    p = model(*parts, torch.tensor(given["applies"]))
else:
    numbers = torch.tensor(given["numbers"], dtype=torch.float64).T
    p = model.predict(numbers, given["categories"], given["lists"], [torch.tensor(v, dtype=torch.float32) for v in given["vectors"]])
assert "groundswell" not in sys.modules
print(json.dumps(p.tolist()))
"""
MODELS = [(scheme, base) for scheme in ("early", "intermediate", "devise", "late") for base in ("logistic", "mlp")]
NAN = float("nan")


@pytest.fixture(scope="module")
def fitted(one_torch_thread):
    """(scheme, base) -> a fitted fusion of three classes."""
    made = {}
    return lambda *which: made.setdefault(which, None) or made.update({which: fused(*which, k=3, n=600)}) or made[which]


def strange() -> pa.RecordBatch:
    """Rows nobody trained on: unseen values, rows of neither modality, images of which one own feature is known, empty lists."""
    batch = rows(240, 5, 3)
    parts = [batch.slice(0, 120), without(batch.slice(120, 40), IMAGE), without(batch.slice(160, 40), ["pixels", "colour", "shared", "topic", "tags"]), without(batch.slice(200, 20), batch.schema.names[2:-1])]
    unseen = batch.slice(220, 20)
    for name, values in (("topic", ["unseen"] * 20), ("tags", [["new", "newer", "a"], [], None, ["b"]] * 5), ("colour", ["pink"] * 20)):
        unseen = unseen.set_column(unseen.schema.get_field_index(name), name, pa.array(values, batch.schema.field(name).type))
    return pa.concat_batches([*parts, unseen])


def raw(model, batch: pa.RecordBatch) -> dict[str, list]:
    """What a serving program hands over, by kind, made without the encoder."""
    found: dict[str, list] = {"numeric": [], "categorical": [], "multivalued": [], "embedding": []}
    blank = {"numeric": NAN, "categorical": None, "multivalued": None, "embedding": [NAN, NAN]}
    for f in model.spec_.features:
        found[f.kind].append([blank[f.kind] if v is None else v for v in batch.column(f.name).to_pylist()])
    return dict(zip(("numbers", "categories", "lists", "vectors"), found.values()))


def served(path, given: dict) -> np.ndarray:
    (path.parent / "given.json").write_text(json.dumps(given))
    command = [sys.executable, "-c", SERVE, str(path), str(path.parent / "given.json")]
    return np.array(json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout))


def write(model, path, form: str):
    write_model(model, path, form, title="a fusion", table=TABLE)
    return path


@pytest.mark.parametrize("scheme, base", MODELS)
def test_torchscript_of_a_fusion(fitted, tmp_path, scheme, base):
    model, batch = fitted(scheme, base), strange()
    expected = model.predict(batch)
    assert model.temperature_ != 1 and len(np.unique(expected.round(3))) > 50
    np.testing.assert_allclose(served(write(model, tmp_path / "m.pt", "torchscript"), raw(model, batch)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scheme, base", MODELS)
def test_onnx_of_a_fusion(fitted, tmp_path, scheme, base):
    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model, batch = fitted(scheme, base), strange()
    opened = runtime.InferenceSession(str(write(model, tmp_path / "m.onnx", "onnx")), providers=["CPUExecutionProvider"])
    about, wanted = opened.get_modelmeta().custom_metadata_map, {i.name for i in opened.get_inputs()}
    found = opened.run(["probabilities"], {name: value for name, value in _named(model, batch, about).items() if name in wanted})[0]
    np.testing.assert_allclose(found, model.predict(batch), rtol=0, atol=1e-5)
    assert json.loads(about["classes"]) == list(CLASSES) and json.loads(about["encoder"]) == model.encoder_state()


def _named(model, batch: pa.RecordBatch, about: dict) -> dict[str, np.ndarray]:
    missing, nothing = about["missing"], about["nothing"]
    found = {}
    for f in model.spec_.features:
        values = batch.column(f.name).to_pylist()
        if f.kind == "multivalued":
            found[f.name] = np.array([([missing] if v is None else v) + [nothing] * (3 - (1 if v is None else len(v))) for v in values], dtype=object)
        elif f.kind == "categorical":
            found[f.name] = np.array([missing if v is None else v for v in values], dtype=object)
        else:
            blank, kind = (NAN, np.float64) if f.kind == "numeric" else ([NAN, NAN], np.float32)
            found[f.name] = np.array([blank if v is None else v for v in values], kind)
    return found


def plain(scheme: str, base: str = "logistic"):
    """A fusion over numbers and categories, and rows to score."""
    return fused(scheme, base, k=3, n=600, vectors=False, lists=False), strange().drop_columns(["pixels", "tags"])


@pytest.mark.parametrize("scheme", ["early", "intermediate", "late"])
def test_sql_of_a_fusion(scheme):
    model, batch = plain(scheme)
    batch = batch.set_column(0, "entity_id", pa.array(np.arange(batch.num_rows)))
    with duckdb.connect() as connection:
        connection.register("given", pa.Table.from_batches([batch]))
        connection.execute("CREATE SCHEMA harm; CREATE TABLE harm.entity AS FROM given")
        found = connection.execute(f"FROM ({sql_text(model, 'a fusion', TABLE)}) ORDER BY entity_id").to_arrow_table()
    expected = model.predict(batch)
    np.testing.assert_allclose(np.stack([found[f"p_{c}"].to_numpy() for c in CLASSES], 1), expected, rtol=0, atol=1e-5)
    assert found["predicted_label"].to_pylist() == [CLASSES[k] for k in expected.argmax(axis=1)]
    for dialect in DIALECTS:
        query = model_sql(model, TABLE, dialect)
        assert sqlglot.parse_one(query, dialect=dialect).sql(dialect, pretty=True) + "\n" == query


def test_what_a_format_cannot_say_is_refused_with_the_reason(fitted, tmp_path):
    train = rows(300, 0)
    texts = train.append_column("said", pa.array(["free money now please"] * 150 + ["a quiet song at night"] * 150))
    spec, _ = infer_features(texts.schema, pa.Table.from_batches([texts]), kinds={"said": "text"}, exclude=["entity_id", "modality", "p"])
    assert any(f.kind == "text" for f in spec.features)
    text_shared = end_model("fusion", scheme="late", views={"text": ["said", "words"], "image": ["said", "light"]}, old=["text"], max_epochs=2, text_buckets=64)
    text_shared.fit(lambda: iter([texts]), spec, CLASSES[:2])
    for model, form, words in (
        (plain("devise")[0], "sql", "length of a vector"), (plain("late", "mlp")[0], "sql", '"mlp"'), (fitted("late", "logistic"), "sql", "lists and vectors"),
        (text_shared, "onnx", "said is text"), (text_shared, "sql", "said"), (fused("late", "boosted_trees", n=300), "torchscript", "boosted_trees"),
    ):  # fmt: skip
        with pytest.raises(EndModelError, match="EM120") as refused:
            write(model, tmp_path / "m", form)
        assert words in str(refused.value) and not (tmp_path / "m").exists()


def test_torchscript_of_a_fusion_that_reads_text_takes_encoded_rows(tmp_path):
    train = rows(400, 0)
    said = pa.array([" ".join(["free money", "quiet song"][int(p[1] > 0.5)].split() * 2) for p in train.column("p").to_pylist()])
    texts = train.append_column("said", said)
    spec, _ = infer_features(texts.schema, pa.Table.from_batches([texts]), kinds={"said": "text"}, exclude=["entity_id", "modality", "p"])
    model = end_model("fusion", scheme="late", views={"text": ["said", "words"], "image": ["said", "light"]}, old=["text"], max_epochs=2, text_buckets=64)
    model.fit(lambda: iter([texts]), spec, CLASSES[:2])
    given: dict[str, list] = {name: [] for name in ("dense", "indices", "offsets", "values")}
    for part in model.parts.values():
        encoded = part.encoder_.encode(texts)
        for name, value in zip(given, (encoded.dense, encoded.sparse.indices, encoded.sparse.indptr, encoded.sparse.data)):
            given[name].append(value.tolist())
    applies = np.stack([np.ones(400, bool), model.applies(texts)["image"]], 1).tolist()
    found = served(write(model, tmp_path / "m.pt", "torchscript"), {**given, "applies": applies})
    np.testing.assert_allclose(found, model.predict(texts), rtol=0, atol=1e-5)


def test_the_verb_writes_a_fusion_that_agrees_with_the_published_predictions(tmp_path):
    folder = harm(tmp_path / "harm", 'fusion = "intermediate", features = ["topic", "links", "words", "plain", "light", "colour"]')
    assert verb(folder, "train").code == 0
    answer = verb(folder, "export", "model", "--format", "sql", "-o", str(tmp_path / "m.sql"))
    assert answer.code == 0 and "end model 1 (fusion)" in answer.out
    query = f"SELECT count(*), count_if(abs(m.p_bad - p.p['bad']) < 1e-5) FROM ({(tmp_path / 'm.sql').read_text()}) AS m JOIN harm.predictions AS p USING (entity_id)"
    assert published(folder, query) == [(3000, 3000)]
