"""Training: formulas, gradients, streaming, determinism, resuming, error codes."""

import subprocess
import sys

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch

from groundswell.end_models.spool import Spool
from groundswell.end_models import Feature, FeatureSpec, end_model, training_data
from groundswell.end_models.batches import blocks
from groundswell.end_models.columns import EncoderOptions
from groundswell.end_models.encode import EncodedRows, Encoder
from groundswell.end_models.training_data import TensorRows, shuffled
from groundswell.errors import EndModelError
from groundswell.udfs.train import TrainingStep, noise_aware_loss


def weights(model):
    return {k: v.numpy() for k, v in model.network_.state_dict().items()}


def same_bits(a, b):
    return all(np.array_equal(v, weights(b)[k]) for k, v in weights(a).items())


def test_loss_and_gradient_of_the_worked_example():
    z = torch.tensor([[1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    loss = noise_aware_loss(z, torch.tensor([[0.8, 0.2]], dtype=torch.float64))
    loss.sum().backward()
    assert loss.item() == pytest.approx(0.526928, abs=1e-6)
    np.testing.assert_allclose(z.grad, [[0.0808, -0.0808]], atol=1e-4)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_gradient_is_softmax_minus_p(k):
    g = torch.Generator().manual_seed(k)
    z = torch.randn(20, k, generator=g, dtype=torch.float64, requires_grad=True)
    p = torch.softmax(torch.randn(20, k, generator=g, dtype=torch.float64), 1)
    c = torch.arange(1.0, k + 1, dtype=torch.float64)
    noise_aware_loss(z, p).sum().backward()
    np.testing.assert_allclose(z.grad, torch.softmax(z, 1).detach() - p, atol=1e-12)
    expected = [-sum(c[y] * p[i, y] * torch.log_softmax(z[i], 0)[y] for y in range(k)).item() for i in range(20)]
    np.testing.assert_allclose(noise_aware_loss(z, p, c).detach(), expected, rtol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_learns_k_classes(mixed, small, k):
    train, dev, test = (mixed.table(n, k, seed) for seed, n in enumerate((1500, 300, 500)))
    model = end_model(**small | {"max_epochs": 15}).fit(mixed.source(train), mixed.spec, mixed.classes(k), dev=mixed.source(dev))
    p = model.predict(mixed.batch(test))
    assert p.shape == (500, k) and p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(p, np.exp(z := model.logits(mixed.batch(test)) / model.temperature_) / np.exp(z).sum(1, keepdims=True), rtol=1e-9)
    assert (p.argmax(1) == test["y"].to_numpy()).mean() > {2: 0.9, 3: 0.8, 4: 0.75, 5: 0.7}[k]


def test_matches_the_optimum_of_scikit_learn():
    """Two numeric features and hard labels: the convex optimum is the one scikit-learn finds without penalty."""
    from sklearn.linear_model import LogisticRegression

    r = np.random.default_rng(0)
    x = r.normal(size=(2000, 2)) * [1, 5] + [0, 3]
    y = (r.random(2000) < 1 / (1 + np.exp(-(x @ [1.0, -0.4] + 0.5)))).astype(int)
    batch = pa.record_batch({"a": x[:, 0], "b": x[:, 1], "p": np.eye(2)[y].tolist()})
    spec = FeatureSpec((Feature("a", "numeric"), Feature("b", "numeric")))
    model = end_model(max_epochs=120, batch_size=2000).fit(lambda: iter([batch]), spec, ("no", "yes"))
    oracle = LogisticRegression(C=1e9).fit((x - x.mean(0)) / x.std(0), y).predict_proba((x - x.mean(0)) / x.std(0))
    np.testing.assert_allclose(model.predict(batch), oracle, atol=2e-3)


def test_same_bits_for_any_source_batch_size_cache_and_run(mixed, small, monkeypatch):
    monkeypatch.setattr(training_data, "blocks", lambda b: blocks(b, 256))
    monkeypatch.setattr(training_data, "BLOCK_ROWS", 256)
    table, dev = mixed.table(1500), mixed.table(300, seed=1)

    def fit(rows=1000, **options):
        kept = small | {"shuffle_rows": 512} | options
        return end_model(**kept).fit(mixed.source(table, rows), mixed.spec, ("a", "b"), dev=mixed.source(dev, rows))

    model = fit()
    assert same_bits(model, fit()) and same_bits(model, fit(rows=7))
    for cache, spool in ((0, 2**30), (150_000, 2**30), (150_000, 150_000), (0, 150_000), (150_000, 0), (0, 0)):
        assert same_bits(model, fit(cache_bytes=cache, spool_bytes=spool)), (cache, spool)
    assert not same_bits(model, fit(learning_rate=0.02))
    assert model.history_ == fit(cache_bytes=0).history_


def test_only_the_cached_blocks_are_not_encoded_again(mixed, monkeypatch):
    monkeypatch.setattr(training_data, "blocks", lambda b: blocks(b, 100))
    encoder = Encoder(mixed.spec, EncoderOptions(text_buckets=64))
    encoder.observe(mixed.batch(table := mixed.table(500)))
    encoder.freeze()
    encoded, sizes = [], {}
    original = training_data.EncodedSource.encode
    monkeypatch.setattr(training_data.EncodedSource, "encode", lambda self, b: encoded.append(b) or original(self, b))
    block = encoder.encode(mixed.batch(table.slice(0, 100)), np.zeros((100, 2))).nbytes
    part = int(2.5 * block)
    for budget in (0, part, 10**9):
        source, encoded[:] = training_data.EncodedSource(mixed.source(table), encoder, 2, training_data.Budget(budget)), []
        first, second = list(source), list(source)
        assert all(np.array_equal(a.dense, b.dense) and (a.sparse != b.sparse).nnz == 0 for a, b in zip(first, second, strict=True))
        sizes[budget] = len(encoded)
    assert sizes[0] == 10 and sizes[10**9] == 5 and sizes[part] == 8


def test_seed_changes_the_order_and_nothing_else_is_random(mixed, small):
    table = mixed.table(600)
    fits = [end_model(**small).fit(mixed.source(table), mixed.spec, ("a", "b"), seed=s) for s in (0, 0, 1)]
    assert same_bits(fits[0], fits[1]) and not same_bits(fits[0], fits[2])


def test_every_row_is_used_once_an_epoch():
    def block(ids):
        n = len(ids)
        return EncodedRows(np.array(ids, np.float32)[:, None], sp.csr_matrix((n, 1)), np.zeros((n, 2)), np.ones(n))

    source = [block(range(0, 8192)), block(range(8192, 16384)), block(range(16384, 17000))]
    buffers = [b.dense[:, 0] for b in shuffled(source, (0, 1), 16384)]
    assert [len(b) for b in buffers] == [16384, 616]
    assert sorted(np.concatenate(buffers)) == list(range(17000)) and not np.array_equal(buffers[0], np.arange(16384))
    assert not np.array_equal(buffers[0], next(iter(shuffled(source, (0, 2), 16384))).dense[:, 0])


def test_the_order_differs_from_epoch_to_epoch(mixed, small, monkeypatch):
    seen, original = [], TrainingStep.step
    monkeypatch.setattr(TrainingStep, "step", lambda self, rows: seen.append(rows.dense[:, 0].tolist()) or original(self, rows))
    end_model(**small | {"max_epochs": 2, "batch_size": 300}).fit(mixed.source(mixed.table(300)), mixed.spec, ("a", "b"))
    assert seen[0] != seen[1] and sorted(seen[0]) == sorted(seen[1])


def test_minibatches_are_the_rows_in_order():
    s = sp.random(10, 20, 0.3, format="csr", dtype=np.float32, random_state=0)
    rows = TensorRows.of(EncodedRows(np.arange(10, dtype=np.float32)[:, None], s, np.zeros((10, 2)), np.ones(10)), torch.device("cpu"))
    found = [
        (m.dense[:, 0].tolist(), sp.csr_matrix((m.values.numpy(), m.indices.numpy(), m.offsets.numpy()), (len(m), 20)).toarray())
        for m in rows.minibatches(4)
    ]
    assert [d for d, _ in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    np.testing.assert_array_equal(np.vstack([a for _, a in found]), s.toarray())


def test_row_weight_of_two_equals_the_row_twice():
    """With one full batch per step: the weighted gradient is the gradient of the repeated rows, up to the 1/n in front."""
    spec = FeatureSpec((Feature("x", "numeric"),))
    x, p = [0.0, 1.0, 2.0, 4.0], [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.0, 1.0]]
    once = pa.record_batch({"x": x, "p": p, "weight": [2.0, 1.0, 1.0, 0.0]})
    model = end_model(max_epochs=300, batch_size=10).fit(lambda: iter([once]), spec, ("a", "b"))
    rows = np.array([0, 0, 1, 2])
    z = (np.array(x) - np.mean(x)) / np.std(x)
    q, target = model.predict(once), np.array(p)
    gradient = ((q - target)[rows, 1:] * np.column_stack([np.ones(4), z[rows]])).mean(0)
    np.testing.assert_allclose(gradient, 0, atol=1e-3)  # the optimum of the repeated rows
    assert abs((q - target)[:, 1].mean()) > 0.01  # and not of the unweighted ones


def test_class_weights(mixed, small):
    table = mixed.table(400)
    skewed = table.filter(pa.array([(y == 0) or (i % 8 == 0) for i, y in enumerate(table["y"].to_pylist())]))
    fit = lambda **o: end_model(**small | o).fit(mixed.source(skewed), mixed.spec, ("a", "b"))  # noqa: E731
    plain, balanced, given = fit(), fit(class_weight="balanced"), fit(class_weight={"a": 1, "b": 30})
    shares = [m.predict(mixed.batch(table))[:, 1].mean() for m in (plain, balanced, given)]
    assert shares[0] < shares[1] < shares[2]
    mass = np.array(skewed["p"].to_pylist()).sum(0)
    np.testing.assert_allclose(balanced.training_step.class_weight, mass.sum() / (2 * mass), rtol=1e-6)


def test_early_stopping_restores_the_best_epoch(mixed, small):
    train, dev = mixed.table(80), mixed.table(300, seed=1)
    events = []
    model = end_model(**small | {"max_epochs": 400, "learning_rate": 0.3, "patience": 3}).fit(
        mixed.source(train), mixed.spec, ("a", "b"), dev=mixed.source(dev), on_event=events.append
    )
    losses = [h["dev_loss"] for h in model.history_]
    assert model.best_epoch_ == int(np.argmin(losses)) + 1 == len(losses) - 3
    p, z = np.array(dev["p"].to_pylist()), model.logits(mixed.batch(dev))
    q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert -(p * np.log(q)).sum(1).mean() == pytest.approx(min(losses), rel=1e-5)
    epochs = [e for e in events if e["event"] == "epoch"]
    assert [e["dev_loss"] for e in epochs] == losses and all(e["rows_per_second"] > 0 for e in epochs)
    assert events[-1]["event"] == "stopped" and not model.warnings_


def test_warnings_without_dev_and_at_the_epoch_limit(mixed, small):
    train = mixed.table(300)
    model = end_model(**small).fit(mixed.source(train), mixed.spec, ("a", "b"))
    assert [w.code for w in model.warnings_] == ["EM203"] and len(model.history_) == small["max_epochs"]
    model = end_model(**small | {"max_epochs": 2, "learning_rate": 0.003}).fit(mixed.source(train), mixed.spec, ("a", "b"), dev=mixed.source(train))
    assert [w.code for w in model.warnings_] == ["EM205"]


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
import torch
from conftest import Mixed, SMALL
torch.set_num_threads(1)
from groundswell.end_models import end_model
mixed = Mixed()
def stop(event):
    if event["event"] == "epoch" and event["epoch"] == 3:
        os.kill(os.getpid(), 9)
end_model(**SMALL).fit(mixed.source(mixed.table(500)), mixed.spec, ("a", "b"), dev=mixed.source(mixed.table(200, seed=1)), checkpoint={folder!r}, on_event=stop)
"""


def test_a_killed_fit_continues_to_the_same_bits(mixed, small, tmp_path):
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    events, train, dev = [], mixed.source(mixed.table(500)), mixed.source(mixed.table(200, seed=1))
    model = end_model(**small).fit(train, mixed.spec, ("a", "b"), dev=dev, checkpoint=tmp_path, on_event=events.append)
    assert events[0] == {"event": "resumed", "epochs": 3} and events[1]["epoch"] == 4
    undisturbed = end_model(**small).fit(train, mixed.spec, ("a", "b"), dev=dev)
    assert same_bits(model, undisturbed) and model.history_ == undisturbed.history_
    assert model.best_epoch_ == undisturbed.best_epoch_


@pytest.mark.parametrize("change", ["data", "seed", "options"])
def test_a_checkpoint_of_another_run_is_reported_and_not_used(mixed, small, tmp_path, change):
    table = mixed.table(300)
    end_model(**small).fit(mixed.source(table), mixed.spec, ("a", "b"), checkpoint=tmp_path)
    options = small | ({"learning_rate": 0.1} if change == "options" else {})
    if change == "data":
        texts = ["other words"] + table["t"].to_pylist()[1:]
        table = table.set_column(table.schema.get_field_index("t"), "t", pa.array(texts))
    seed = 1 if change == "seed" else 0
    fits = [end_model(**options).fit(mixed.source(table), mixed.spec, ("a", "b"), seed=seed, checkpoint=c) for c in (tmp_path, None)]
    assert "EM204" in [w.code for w in fits[0].warnings_] and same_bits(*fits)


def test_a_finished_checkpoint_trains_no_further(mixed, small, tmp_path):
    source, events = mixed.source(mixed.table(300)), []
    a = end_model(**small).fit(source, mixed.spec, ("a", "b"), checkpoint=tmp_path)
    b = end_model(**small).fit(source, mixed.spec, ("a", "b"), checkpoint=tmp_path, on_event=events.append)
    assert same_bits(a, b) and [e["event"] for e in events] == ["resumed", "stopped"]


X = FeatureSpec((Feature("x", "numeric"),))


@pytest.mark.parametrize(
    ("columns", "code", "says"),
    [
        ({"x": pa.array([], pa.float64()), "p": pa.array([], pa.list_(pa.float64()))}, "EM101", "no training rows"),
        ({"x": [1.0, 2.0], "p": [[1.0, 0.0]] * 2}, "EM102", '"a"'),
        ({"x": [1.0, 2.0], "p": [[1.0, 0.0], [0.0, 1.0]], "weight": [1.0, 0.0]}, "EM102", '"a"'),
        ({"x": [1.0], "p": [[0.7, 0.7]], "entity_id": [42]}, "EM103", "entity 42"),
        ({"x": [1.0, float("inf")], "p": [[1.0, 0.0]] * 2}, "EM104", '"x"'),
        ({"y": [1.0], "p": [[0.5, 0.5]]}, "EM105", '"x"'),
        ({"x": [1.0]}, "EM105", '"p"'),
        ({"x": ["a"], "p": [[0.5, 0.5]]}, "EM113", '"x"'),
        ({"x": [1.0], "p": [[0.5, 0.5]], "weight": [-1.0]}, "EM115", "-1.0"),
        ({"x": [1.0], "p": [[0.5, 0.5]], "weight": pa.array([None], pa.float64())}, "EM115", "nan"),
    ],
)
def test_data_errors_have_codes(columns, code, says):
    batch = pa.record_batch(columns)
    with pytest.raises(EndModelError) as e:
        end_model().fit(lambda: iter([batch]), X, ("a", "b"))
    assert e.value.code == code and says in str(e.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"learningrate": 1}, "learning_rate"), ({"batch_size": 0}, "batch_size"), ({"learning_rate": 0}, "learning_rate"),
        ({"text_buckets": 0}, "text_buckets"), ({"char_ngrams": 2}, "char_ngrams"), ({"epsilon": float("nan")}, "epsilon"),
        ({"decay": 1.5}, "decay"), ({"weight_decay": -1}, "weight_decay"), ({"device": "cpx"}, "cpx"), ({"class_weight": "balance"}, "balanced"),
        ({"class_weight": {"a": 1}}, "class_weight"),
    ],
)  # fmt: skip
def test_option_errors(options, says):
    batch = pa.record_batch({"x": [1.0, 2.0], "p": [[0.5, 0.5]] * 2})
    with pytest.raises(EndModelError) as e:
        end_model(**options).fit(lambda: iter([batch]), X, ("a", "b"))
    assert e.value.code == "EM107" and says in str(e.value)


def test_other_errors(mixed, small):
    with pytest.raises(EndModelError) as e:
        end_model("logistics")
    assert e.value.code == "EM106" and '"logistic"' in str(e.value)
    with pytest.raises(EndModelError) as e:
        end_model().predict(pa.record_batch({"x": [1.0]}))
    assert e.value.code == "EM110"
    for classes in (("a",), ("a", "a")):
        with pytest.raises(EndModelError) as e:
            end_model().fit(mixed.source(mixed.table(10)), mixed.spec, classes)
        assert e.value.code == "EM107"
    with pytest.raises(EndModelError) as e:
        end_model(**small).fit(mixed.source(mixed.table(50)), mixed.spec, ("a", "b"), dev=mixed.source(mixed.table(0)))
    assert e.value.code == "EM101"
    with pytest.raises(EndModelError) as e:
        end_model(**small | {"learning_rate": 1e38}).fit(mixed.source(mixed.table(200)), mixed.spec, ("a", "b"))
    assert e.value.code == "EM114"


def test_rows_come_back_from_disk_as_they_were_and_only_so_many(mixed):
    encoder = Encoder(mixed.spec, EncoderOptions(text_buckets=64))
    encoder.observe(mixed.batch(table := mixed.table(400)))
    encoder.freeze()
    parts = [encoder.encode(mixed.batch(table.slice(i, 100)), np.full((100, 2), 0.5)) for i in range(0, 400, 100)]
    spool = Spool(parts[0].nbytes + parts[1].nbytes)
    assert [spool.append(part) for part in parts] == [True, True, False, False] and len(spool) == 2
    for _ in range(2):
        for kept, part in zip(spool, parts, strict=False):
            assert (kept.sparse != part.sparse).nnz == 0 and kept.sparse.dtype == part.sparse.dtype
            for name in ("dense", "p", "weight"):
                np.testing.assert_array_equal(getattr(kept, name), getattr(part, name))
    assert list(Spool(10**9)) == []


def test_a_disk_that_is_almost_full_is_left_alone(mixed, monkeypatch):
    from shutil import disk_usage

    encoder = Encoder(mixed.spec, EncoderOptions(text_buckets=64))
    encoder.observe(mixed.batch(table := mixed.table(100)))
    encoder.freeze()
    rows = encoder.encode(mixed.batch(table))
    monkeypatch.setattr("groundswell.end_models.spool.shutil.disk_usage", lambda path: disk_usage(path)._replace(free=rows.nbytes))
    spool = Spool(10**9)
    assert not spool.append(rows) and len(spool) == 0 and list(spool) == []


def test_a_source_that_changes_is_an_error(mixed, small):
    sizes = iter((300, 300, 299, 299))
    with pytest.raises(EndModelError) as e:
        end_model(**small | {"cache_bytes": 0, "spool_bytes": 0}).fit(lambda: mixed.source(mixed.table(next(sizes)))(), mixed.spec, ("a", "b"))
    assert e.value.code == "EM111"


def test_importing_the_room_does_not_import_torch():
    check = "import sys, groundswell.end_models, groundswell.udfs.train, groundswell.udfs.score; print({'torch', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout.strip() == "set()"
