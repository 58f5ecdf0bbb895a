"""Text services against independent solvers, and on real news."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from groundswell.errors import ConfigError
from groundswell.services.topics import TopicModel
from tests.shared_data import shared

SHOP = ["refund my money please", "money back, refund now", "the parcel is late again", "late parcel, where is it", "password reset does not work", "cannot reset the password"] * 5


def texts(values):
    """Texts as an Arrow array."""
    return pa.array(values, pa.string())


@pytest.fixture(scope="module")
def news():
    """(texts, labels) of 2,400 news."""
    rows = duckdb.sql(f"SELECT title || '. ' || description, label_name FROM '{shared('ag_news_test')}/data.parquet' ORDER BY hash(title) LIMIT 2400").fetchall()
    return [text for text, _ in rows], np.array([label for _, label in rows])


def test_embeddings_of_news_tell_sections_apart(ready, news):
    """Nearest neighbour on 400 unseen texts, among the 2,000 the embedding was fitted on; four sections, chance .25."""
    embedding = ready("text_embedding", [texts(news[0][:2000])], dimensions=48)
    found = np.array(embedding(texts(news[0])).values.to_pylist())
    assert found.shape == (2400, 48) and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    nearest = (found[2000:] @ found[:2000].T).argmax(axis=1)
    assert (news[1][:2000][nearest] == news[1][2000:]).mean() > 0.65


def test_axes_are_the_singular_vectors_of_the_weighed_counts(ready, tmp_path):
    from groundswell.services.texts import hashed, weighed

    ready("text_embedding", [texts(SHOP)], dimensions=4, buckets=2048)
    (path,) = tmp_path.glob("text_embedding*.npz")
    with np.load(path) as state:
        idf, axes = state["idf"], state["axes"]
    rows = weighed(hashed(SHOP, 2048), idf).toarray()
    strength = np.linalg.svd(rows, compute_uv=False)[:4]
    assert np.allclose(np.linalg.norm(rows @ axes, axis=0), strength, rtol=1e-3)
    assert np.allclose(axes.T @ axes, np.eye(4), atol=1e-3)


def test_embeddings_do_not_depend_on_the_batch_and_repeat(ready):
    one, two = (ready("text_embedding", [texts(SHOP)], dimensions=4, buckets=2048) for _ in range(2))
    together = np.array(one(texts(SHOP)).values.to_pylist())
    assert np.allclose(together, [two(texts([t])).values[0].as_py() for t in SHOP], atol=1e-5)


def test_texts_without_words_have_no_direction(ready):
    found = ready("text_embedding", [texts(SHOP)], dimensions=3, buckets=1024)(texts(["", "  ", "refund"]))
    assert found.values.to_pylist()[:2] == [None, None] and found.values[2].as_py() is not None
    assert found.problems == ["without a known word", "without a known word", None]


def test_fewer_texts_than_dimensions(ready):
    found = ready("text_embedding", [texts(["one text alone"])], dimensions=8, buckets=256)(texts(["one text alone"])).values
    assert found.type == pa.list_(pa.float32(), 8) and np.linalg.norm(found[0].as_py()) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["text_embedding", "text_topics"])
def test_nothing_to_fit_on(ready, kind):
    for nothing in (texts(["", "  "]), texts([])):
        with pytest.raises(ConfigError) as error:
            ready(kind, [nothing])
        assert error.value.code == "FT113"


def test_topics_part_what_belongs_apart(ready):
    topics = ready("text_topics", [texts(SHOP)], n_topics=3)
    found = topics(texts([*SHOP[:6], "", "zzz qqq", "refund for the late parcel"])).to_pylist()
    assert all(len(f) == 1 for f in found[:6]) and found[0] == found[1] != found[2] == found[3] != found[4] == found[5] != found[0]
    assert "refund" in found[0][0] and "parcel" in found[2][0] and "password" in found[4][0]
    assert found[6:8] == [[], []] and set(found[8]) == {found[0][0], found[2][0]}


def test_weights_of_topics_are_the_non_negative_least_squares(ready, news, tmp_path):
    from scipy.optimize import nnls

    ready("text_topics", [texts(news[0])], n_topics=12)
    (path,) = tmp_path.glob("text_topics*.npz")
    model = TopicModel.read(path)
    rows = model.tfidf(news[0][:40])
    assert np.allclose(model.weights(rows), [nnls(model.parts.T, row)[0] for row in rows.toarray()], atol=1e-6)


def test_topics_of_a_vocabulary_of_one(ready):
    assert ready("text_topics", [texts(["word"] * 4)])(texts(["word word", "other"])).to_pylist() == [["word"], []]


def test_nearest_labels_by_brute_force(ready):
    random = np.random.default_rng(0)
    rows, queries = random.normal(size=(300, 5)).astype(np.float32), random.normal(size=(20, 5)).astype(np.float32)
    labels = [f"l{i % 7}" for i in range(300)]
    nearest = ready("nearest_labels", [pa.array(rows.tolist(), pa.list_(pa.float32())), pa.array(labels)], k=6)
    cosine = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    expected = [list(dict.fromkeys(labels[i] for i in np.argsort(-row)[:6])) for row in cosine]
    assert nearest(pa.array(queries.tolist(), pa.list_(pa.float32()))).values.to_pylist() == expected


def test_blocks_of_the_reference_give_the_same(monkeypatch):
    import torch

    from groundswell.services import neighbours

    random = torch.Generator().manual_seed(0)
    rows, queries = (torch.randn(n, 4, generator=random) for n in (50, 9))
    whole = neighbours.top_k(queries, rows, 7)
    monkeypatch.setattr(neighbours, "BLOCK", 3)
    parts = neighbours.top_k(queries, rows, 7)
    assert torch.equal(whole[1], parts[1]) and torch.allclose(whole[0], parts[0])


def test_queries_and_references_that_have_no_direction(ready):
    rows = [[1.0, 0], [0, 1], None, [0, 0], [float("nan"), 1]]
    nearest = ready("nearest_labels", [pa.array(rows, pa.list_(pa.float32())), pa.array([["a", "b"], ["c"], ["d"], ["e"], ["f"]])], k=5, least=0.5)
    found = nearest(pa.array([[2.0, 0.1], [0, 0]], pa.list_(pa.float32())))
    assert found.values.to_pylist() == [["a", "b"], None] and found.problems == [None, "no direction"]
    with pytest.raises(ValueError, match="a vector of 3 numbers"):
        nearest(pa.array([[1.0, 2, 3]], pa.list_(pa.float32())))
    with pytest.raises(ConfigError) as error:
        ready("nearest_labels", [pa.array([[1.0], [1, 2]]), pa.array(["a", "b"])])
    assert error.value.code == "FT113"


def test_a_sentence_transformers_folder(ready, tmp_path, monkeypatch):
    import sys
    from types import SimpleNamespace

    class Model:
        def __init__(self, folder):
            assert folder == str(tmp_path / "mini")

        def get_sentence_embedding_dimension(self):
            return 3

        def encode(self, batch, normalize_embeddings, show_progress_bar):
            return np.array([[len(text), 0, 0] for text in batch])

    with pytest.raises(ConfigError, match="no folder"):
        ready("text_embedding", [texts(SHOP)], model="mini", dimensions=3)
    (tmp_path / "mini").mkdir()
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match="not installed"):
        ready("text_embedding", [texts(SHOP)], model="mini", dimensions=3)
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=Model))
    with pytest.raises(ConfigError, match="gives 3 dimensions"):
        ready("text_embedding", [texts(SHOP)], model="mini", dimensions=4)
    assert ready("text_embedding", [texts(SHOP)], model="mini", dimensions=3)(texts(["four"])).values.to_pylist() == [[4, 0, 0]]
