"""End models as TorchScript and ONNX: the same probabilities in programs that know nothing of groundswell."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from support import shell, verb

from groundswell.cli.handover import MODEL_FORMATS, SQL_DIALECTS
from groundswell.end_models import end_model
from groundswell.end_models.export_model import FORMATS, write_model
from groundswell.end_models.export_sql import DIALECTS
from groundswell.errors import ConfigError, EndModelError

from .conftest import batch, inputs, text_rows

TABLE = ("intent", "entity")

SERVE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
given = json.load(open(sys.argv[2]))
model = torch.jit.load(sys.argv[1])
if "dense" in given:
    dense, values = (torch.tensor(given[name], dtype=torch.float32) for name in ("dense", "values"))
    indices, offsets = (torch.tensor(given[name], dtype=torch.int32) for name in ("indices", "offsets"))
    p = model(dense, indices, offsets, values)
else:
    p = model.predict(torch.tensor(given["numbers"], dtype=torch.float64), given["categories"])
assert "groundswell" not in sys.modules
print(json.dumps(p.tolist()))
"""


def write(model, path, form: str):
    write_model(model, path, form, title="a model", table=TABLE)
    return path


def served(path, given: dict) -> np.ndarray:
    """The answer of a fresh process that has torch."""
    (path.parent / "given.json").write_text(json.dumps(given))
    command = [sys.executable, "-c", SERVE, str(path), str(path.parent / "given.json")]
    return np.array(json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout))


def encoded(model, table) -> dict[str, np.ndarray]:
    rows = model.encoder_.encode(batch(table))
    sparse = rows.sparse
    return {"dense": rows.dense, "indices": sparse.indices.astype(np.int64), "offsets": sparse.indptr.astype(np.int64), "values": sparse.data}


@pytest.mark.parametrize("method", ["logistic", "mlp"])
def test_torchscript_from_features(models, surprising, tmp_path, method):
    model = models[method]
    numbers, categories = inputs(model, surprising)
    given = {"numbers": np.stack(list(numbers.values()), 1).tolist(), "categories": list(categories.values())}
    found = served(write(model, tmp_path / "m.pt", "torchscript"), given)
    np.testing.assert_allclose(found, model.predict(batch(surprising)), rtol=0, atol=1e-6)
    assert len(np.unique(found.round(3))) > 50


@pytest.mark.parametrize("method", ["logistic", "mlp"])
def test_torchscript_from_encoded_rows(text_models, tmp_path, method):
    model, table = text_models[method], text_rows(100, seed=1)
    path = write(model, tmp_path / "m.pt", "torchscript")
    found = served(path, {name: value.tolist() for name, value in encoded(model, table).items()})
    np.testing.assert_allclose(found, model.predict(batch(table)), rtol=0, atol=1e-6)
    with zipfile.ZipFile(path) as archive:
        inside = {name.rsplit("/")[-1]: archive.read(name) for name in archive.namelist() if name.endswith(".json")}
    assert json.loads(inside["encoder.json"]) == model.encoder_.state()
    assert json.loads(inside["model_card.json"])["classes"] == ["a", "b"]


@pytest.fixture
def session():
    """path -> an ONNX Runtime session with two threads."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 2, 3
    return lambda path: runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("method", ["logistic", "mlp"])
def test_onnx_from_features(session, models, surprising, tmp_path, method):
    model = models[method]
    opened = session(write(model, tmp_path / "m.onnx", "onnx"))
    about = opened.get_modelmeta().custom_metadata_map
    numbers, categories = inputs(model, surprising)
    texts = {name: np.array([about["missing"] if v is None else v for v in values], dtype=object) for name, values in categories.items()}
    assert {i.name for i in opened.get_inputs()} == {*numbers, *texts}
    (found,) = opened.run(["probabilities"], numbers | texts)
    np.testing.assert_allclose(found, model.predict(batch(surprising)), rtol=0, atol=1e-5)
    assert json.loads(about["classes"]) == list(model.classes) and json.loads(about["encoder"]) == model.encoder_.state()


@pytest.mark.parametrize("method", ["logistic", "mlp"])
def test_onnx_from_encoded_rows_loses_no_addition(session, text_models, tmp_path, method):
    model, table = text_models[method], text_rows(400, seed=1)
    opened, given = session(write(model, tmp_path / "m.onnx", "onnx")), encoded(model, table)
    expected = model.predict(batch(table))
    for _ in range(10):
        np.testing.assert_allclose(opened.run(None, given)[0], expected, rtol=0, atol=1e-5)


def test_onnx_that_is_missing_is_named(models, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EndModelError) as refused:
        write(models["logistic"], tmp_path / "m.onnx", "onnx")
    assert refused.value.code == "EM121" and not (tmp_path / "m.onnx").exists()


def test_what_cannot_be_written(models, tmp_path):
    for expected, error, model, path, form in (
        ("EM107", EndModelError, models["mlp"], tmp_path / "m", "torchscrip"),
        ("EM110", EndModelError, end_model(), tmp_path / "m", "torchscript"),
        ("CFG123", ConfigError, models["mlp"], tmp_path / "nowhere" / "m", "torchscript"),
    ):
        with pytest.raises(error) as refused:
            write(model, path, form)
        assert refused.value.code == expected


def test_the_verb_offers_what_there_is(shop, published_shop, tmp_path):
    assert MODEL_FORMATS == FORMATS and SQL_DIALECTS == DIALECTS
    answer = shell(shop, "export", "model", "--format", "torchscript", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "") and (tmp_path / "end_model.pt").stat().st_size > 1000
    untrained = verb(published_shop, "export", "model", "--format", "sql", "-o", str(tmp_path / "m.sql"))
    assert untrained.code == 2 and "EM119" in untrained.err and "groundswell train" in untrained.err
