"""The Bayes-optimal score: against enumeration by hand, against what is true, and against a model trained on plenty of truth."""

from itertools import product

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from moderation_world import ask, world
from scipy.stats import logistic
from sklearn.metrics import average_precision_score

from groundswell.examples.moderation.bayes import OWN, SETS, Observer, ceiling, feature_names, main, read_posts
from groundswell.examples.moderation.parameters import SCALES, TOKEN_BINS, Parameters, Slot, parameters, rows
from groundswell.examples.moderation.tables import service_rows

TRAIN, TEST = 60_000, 20_000


@pytest.fixture(scope="module")
def images():
    return world(1_000, TRAIN, TEST, with_text=False)


def connected(folder):
    return duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True)


def tiny() -> Parameters:
    """Three scenes, two levels, a service with two slots that read the scene and one that reads the level, and one that reads the level alone."""
    n = TOKEN_BINS // 8
    slots = (
        Slot("what", "words", "scene", ("a", "b"), n * np.array([[5, 1, 2], [1, 6, 1], [2, 2, 4]])),
        Slot("how", "words", "scene", ("x",), n * np.array([[4, 4], [1, 7], [6, 2]])),
        Slot("who", "words", "level", ("!",), n * np.array([[1, 7], [5, 3]])),
        Slot("host", "host", "level", ("old", "new"), n * np.array([[6, 1, 1], [2, 5, 1]])),
    )  # fmt: skip
    scene = np.array([[0.5, 0.25, 0.25], [0.125, 0.375, 0.5]])
    risk = np.array([[0.01, 0.05], [0.2, 0.4], [0.6, 0.9]])
    return Parameters(("s", "t", "u"), np.array([0.75, 0.25]), {"image": scene}, {"bad": risk}, slots, (), {})


def by_hand(given: Parameters, fidelity: dict[str, float], answers: dict[str, list | None]) -> float:
    """P(violates | answers) by summing over scene, level and what every service took the scene for, one term at a time."""
    found = {slot.name: next((v for v, t in enumerate(slot.tokens) if t in map(str, answers[slot.feature] or ())), len(slot.tokens)) for slot in given.slots if slot.feature in answers}
    numerator = denominator = 0.0
    for s, level in product(range(len(given.scenes)), range(len(given.level))):
        p = given.level[level] * given.scene["image"][level, s]
        for feature, answer in answers.items():
            if answer is None:
                continue
            if feature in given.centres:
                p *= logistic.pdf(np.array(answer), given.centres[feature][s], SCALES[feature]).prod()
                continue
            total = 0.0
            for seen in range(len(given.scenes)):
                took = (fidelity[feature] if seen == s else 0.0) + (1 - fidelity[feature]) * given.scene["image"][0, seen]
                for slot in (slot for slot in given.slots if slot.feature == feature):
                    state = seen if slot.reads == "scene" else level
                    took *= slot.counts[state, found[slot.name]] / TOKEN_BINS
                total += took
            p *= total
        numerator += p * next(iter(given.risk.values()))[s, level]
        denominator += p
    return numerator / denominator


def test_score_by_enumeration_of_a_tiny_world():
    given, fidelity = tiny(), {"words": 0.7, "host": 0.4}
    answers = [[*w, *h, *y] for w, h, y in product(([], ["a"], ["b"]), ([], ["x"]), ([], ["!"]))]
    posts = [(a, b) for a in (*answers, None) for b in ([], ["old"], ["new"], None)]
    table = pa.table({"words": pa.array([a for a, _ in posts], pa.list_(pa.string())), "host": pa.array([b for _, b in posts], pa.list_(pa.string()))})
    found = Observer(("words", "host"), "image", given, fidelity).score(table, "bad")
    assert found == pytest.approx([by_hand(given, fidelity, {"words": a, "host": b}) for a, b in posts], abs=1e-12)
    assert found[-1] == pytest.approx(given.rate("bad", "image")) and found.max() - found.min() > 0.3


def test_score_of_real_rows_by_enumeration(images):
    features = feature_names()
    fidelity = {r["feature"]: r["fidelity"] for r in service_rows() if r["modality"] == "image"}
    with connected(images) as connection:
        posts = read_posts(connection, features, "scam")
    best = np.argsort(-Observer.of(features).score(posts, "scam"), kind="stable")[:10]
    chosen = posts.take([*range(5), *best])
    hand = []
    for row in chosen.to_pylist():
        answers = {f: [row[f]] if f == "user_reports" else row[f] for f in features}
        hand.append(by_hand(parameters(), fidelity, answers))
    assert Observer.of(features).score(chosen, "scam") == pytest.approx(hand, rel=1e-6)


def test_noise_words_and_missing_answers_say_nothing(images):
    with connected(images) as connection:
        posts = read_posts(connection, ("keywords", "topics"), "scam").slice(0, 500)
    observer = Observer.of(("keywords", "topics"))
    louder = posts.set_column(0, "keywords", pa.array([None if k is None else [*k, "brave arrow"] for k in posts["keywords"].to_pylist()], pa.list_(pa.string())))
    assert observer.score(louder, "scam") == pytest.approx(observer.score(posts, "scam"), abs=1e-15)
    silent = pa.table({"keywords": pa.nulls(3, pa.list_(pa.string())), "topics": pa.nulls(3, pa.list_(pa.string()))})
    assert observer.score(silent, "scam") == pytest.approx([parameters().rate("scam", "image")] * 3)


@pytest.mark.parametrize("slot", [s.name for s in parameters().slots if s.reads == "scene" and len(s.tokens) < 200])
def test_the_generator_draws_what_the_parameters_say(images, slot):
    """Shares of tokens in the five most frequent scenes: standardised residuals like a normal sample."""
    given, slot = parameters(), next(s for s in parameters().slots if s.name == slot)
    h = next(r["fidelity"] for r in service_rows() if (r["feature"], r["modality"]) == (slot.feature, "image"))
    found = ask(images, f"SELECT scene, coalesce(list_filter({slot.feature}, lambda t: list_contains({list(slot.tokens)!r}, t))[1], ''), count(*) FROM image_post JOIN truth USING (post_id) WHERE {slot.feature} IS NOT NULL GROUP BY ALL")
    residuals = []
    for s in np.argsort(-given.prior("image").sum(axis=1))[:5]:
        counts = {t: n for scene, t, n in found if scene == s}
        p = h * slot.p[s] + (1 - h) * given.scene["image"][0] @ slot.p
        n = sum(counts.values())
        big = [v for v in range(len(p)) if n * p[v] > 20]
        residuals += [(counts.get([*slot.tokens, ""][v], 0) - n * p[v]) / np.sqrt(n * p[v] * (1 - p[v])) for v in big]
    residuals = np.array(residuals)
    assert len(residuals) > 10 and np.abs(residuals).max() < 4.5 and (residuals**2).mean() < 2


@pytest.mark.parametrize("task", [t["name"] for t in rows("task")])
@pytest.mark.parametrize("sets", ("A", "BC", "ABCDI"))
def test_scores_are_calibrated(images, task, sets):
    """Of the posts scored p, a share p violates: in every bin, within 4.5 standard errors."""
    features = feature_names(sets)
    with connected(images) as connection:
        posts = read_posts(connection, features, task)
    score, gold = Observer.of(features).score(posts, task), np.asarray(posts["gold"])
    edges = np.unique(np.quantile(score, [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]))
    for part in (np.digitize(score, edges) == k for k in range(1, len(edges) + 1)):
        error = np.sqrt((score[part] * (1 - score[part])).sum())
        assert abs(gold[part].sum() - score[part].sum()) < 4.5 * error + 1


def test_more_features_rank_better(images):
    with connected(images) as connection:
        posts = read_posts(connection, feature_names(), "scam")
        judged = ceiling(connection, "scam", servable=True)
    ranked = [average_precision_score(posts["gold"], Observer.of(feature_names(sets)).score(posts, "scam")) for sets in ("A", "AB", "ABC", "ABCD", "ABCDI")]
    assert all(a < b for a, b in zip(ranked, ranked[1:])) and ranked[0] > 0.041
    assert judged.value == pytest.approx(average_precision_score(posts["gold"], Observer.of(feature_names(servable=True)).score(posts, "scam")))
    assert judged.low < judged.value < judged.high and judged.value < ranked[-1] and judged.n == TEST


def test_servable_features_and_sets():
    assert "user_reports" in feature_names("A") and "user_reports" not in feature_names("A", servable=True)
    assert [len(feature_names(s)) for s in SETS] == [3, 2, 5, 5, 1 + len(OWN)]
    assert feature_names(modality="text") == feature_names("ABCD", modality="text")


def test_a_model_trained_on_plenty_of_truth_comes_near_and_stays_below(images):
    """Logistic regression on 60,000 images with their true labels, judged on 20,000: paired bootstrap of the difference."""
    from scipy import sparse
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features = feature_names()
    lists = [f for f in features if f not in (*OWN, "user_reports")]
    columns = ", ".join(f'f."{name}"' for name in features)
    with connected(images) as connection:
        connection.execute(f"CREATE TEMP TABLE truth AS SELECT i AS post_id, spam FROM read_parquet('{images}/truth/*.parquet')")
        table = connection.execute(f"SELECT {columns}, split, spam FROM image_post_features AS f JOIN truth USING (post_id) ORDER BY post_id").to_arrow_table()
    tokens = DictVectorizer().fit_transform({f"{f}={t}": 1 for f in lists for t in row[f] or ()} for row in table.select(lists).to_pylist())
    dense = np.column_stack([np.array(table[f].to_pylist()) for f in OWN] + [np.asarray(table["user_reports"])])
    x = sparse.hstack([tokens, StandardScaler().fit_transform(dense)], format="csr")
    y, test = np.asarray(table["spam"]), np.array(table["split"].to_pylist()) == "test"
    train = np.flatnonzero(~test)
    guesses = [LogisticRegression(C=0.1, max_iter=200).fit(x[rows_], y[rows_]).predict_proba(x[test])[:, 1] for rows_ in (train[:6_000], train)]
    best, gold, rng = Observer.of(features).score(table.filter(pa.array(test)), "spam"), y[test], np.random.default_rng(0)
    few, many = (average_precision_score(gold, guess) for guess in guesses)
    samples = (rng.integers(0, len(gold), len(gold)) for _ in range(100))
    behind = [average_precision_score(gold[i], best[i]) - average_precision_score(gold[i], guesses[1][i]) for i in samples]
    assert few < many and many > 0.75 * average_precision_score(gold, best)
    assert np.quantile(behind, 0.05) > 0


def test_the_command_prints_a_ceiling_per_choice_of_features(capsys):
    main([str(world(1_000, 500, 2_000) / "warehouse.duckdb"), "--task", "weapon_sale"])
    lines = capsys.readouterr().out.splitlines()
    assert "weapon_sale" in lines[0] and [line.split()[0] for line in lines[1:]] == ["A", "AB", "ABC", "ABCD", "ABCDI", "ABCDI"]
