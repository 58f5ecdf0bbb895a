"""Real data: trained on four videos, scored on the fifth, which chose nothing."""

import numpy as np
import pyarrow.compute as pc
import pytest
from sklearn.metrics import accuracy_score, average_precision_score

from groundswell.end_models import end_model, infer_features
from tests.end_models import youtube_spam as spam


@pytest.fixture(scope="module")
def data():
    table = spam.comments()
    test = spam.of_artists(table, [spam.HELD_OUT])
    train = spam.of_artists(table, set(table["artist"].to_pylist()) - {spam.HELD_OUT})
    assert (len(train), len(test)) == (1586, 370)
    return train, test


def scored(train, p, test):
    """(accuracy, average precision) on the held-out video."""
    source, dev = spam.training(train, p)
    model = end_model().fit(source, spam.SPEC, spam.CLASSES, dev=dev)
    q, y = model.predict(test.select(["text"]).combine_chunks().to_batches()[0])[:, 1], test["y"].to_numpy()
    return accuracy_score(y, q > 0.5), average_precision_score(y, q)


def scikit_learn(train, p, test):
    """The same with TF-IDF features and scikit-learn's logistic regression; a soft label is two weighted rows."""
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, covered = np.array(train["text"].to_pylist(), object), ~np.isnan(p[:, 0])
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    x, p = vectors.fit_transform(texts[covered]), p[covered]
    labels = np.repeat([0, 1], len(p))
    model = LogisticRegression(C=10, max_iter=1000).fit(vstack([x, x]), labels, sample_weight=p.T.ravel())
    q, y = model.predict_proba(vectors.transform(test["text"].to_pylist()))[:, 1], test["y"].to_numpy()
    return accuracy_score(y, q > 0.5), average_precision_score(y, q)


@pytest.mark.parametrize("labels", ["gold", "majority vote"])
def test_no_worse_than_scikit_learn(data, labels):
    train, test = data
    gold = np.eye(2)[train["y"].to_numpy()]
    p = gold if labels == "gold" else spam.majority_vote(train["text"].to_pylist())
    ours, theirs = scored(train, p, test), scikit_learn(train, p, test)
    print(labels, "end model", ours, "scikit-learn", theirs, "covered", int((~np.isnan(p[:, 0])).sum()))
    assert ours[0] > theirs[0] - 0.03 and ours[1] > theirs[1] - 0.01  # one standard error of the accuracy is .014
    assert ours[0] > 0.85 and ours[1] > 0.93


def test_columns_are_inferred(data):
    train, _ = data
    spec, skipped = infer_features(train.schema, train, exclude=["y"])
    assert {f.name: f.kind for f in spec.features} == {"artist": "categorical", "text": "text"} and not skipped
    assert pc.count_distinct(train["artist"]).as_py() == 4
