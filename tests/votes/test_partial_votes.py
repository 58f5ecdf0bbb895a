"""LFs that give probabilities or rule classes out: what is stored, what is counted, what it does to the labels."""

import numpy as np
import pytest
from support import diagnosed, project, published, verb, workspace

WAREHOUSE = """
CREATE TABLE ticket AS
SELECT i AS ticket_id, ['refund', 'delivery', 'other'][1 + i % 3] AS truth, (i * 7919 % 1000) / 1000.0 AS u, (i * 104729 % 1000) / 1000.0 AS v, (i * 1299709 % 1000) / 1000.0 AS w
FROM range(3000) AS t(i);
CREATE TABLE score AS
SELECT ticket_id, label, CASE WHEN label = guess THEN 0.8 ELSE 0.1 END AS p
FROM (SELECT ticket_id, CASE WHEN u < 0.75 THEN truth ELSE ['refund', 'delivery', 'other'][1 + CAST(floor(u * 100) AS INTEGER) % 3] END AS guess FROM ticket),
     (VALUES ('refund'), ('delivery'), ('other')) AS c(label);
"""
LFS = """-- lf: scored
SELECT ticket_id, label, p FROM score;
-- lf: not_refund -> !refund
FROM ticket WHERE truth <> 'refund' AND v < 0.5;
-- lf: says_refund -> refund
FROM ticket WHERE truth = 'refund' AND v < 0.6 OR w < 0.05;
-- lf: says_delivery -> delivery
FROM ticket WHERE truth = 'delivery' AND w < 0.6 OR v < 0.05;
-- lf: says_other -> other
FROM ticket WHERE truth = 'other' AND u < 0.4 OR w > 0.95;
"""
CONFIG = """
[project]
name = "shop"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "ticket"
key = "ticket_id"
[task.intent]
classes = ["refund", "delivery", "other"]
{more}
"""


def built(folder, lfs=LFS, more=""):
    folder = project(folder, lfs, sql=WAREHOUSE, config=CONFIG.format(more=more))
    with workspace(folder) as ws:
        ws.run()
    return folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return built(tmp_path_factory.mktemp("partial") / "shop")


def test_votes_soft_votes_and_excluded_votes_are_relations_of_their_own(shop):
    assert published(shop, "SELECT DISTINCT lf FROM intent.votes ORDER BY 1") == [("says_delivery",), ("says_other",), ("says_refund",)]
    assert published(shop, "SELECT count(*), count(DISTINCT entity_id), min(p), max(p) FROM intent.soft_vote WHERE lf = 'scored'") == [(9000, 3000, 0.1, 0.8)]
    assert published(shop, "SELECT DISTINCT lf, label FROM intent.excluded_vote") == [("not_refund", "refund")]
    n = published(shop, "SELECT count(*) FROM intent.excluded_vote")[0][0]
    assert n == published(shop, "SELECT n_votes FROM intent.lf_summary WHERE lf = 'not_refund'")[0][0] > 900
    soft = published(shop, "DESCRIBE intent.soft_vote")
    assert [(name, kind) for name, kind, *_ in soft] == [("entity_id", "BIGINT"), ("lf", "VARCHAR"), ("label", "VARCHAR"), ("p", "DOUBLE")]


def test_patterns_hold_them_as_symbols_and_the_matrix_as_labels(shop):
    ((key,), *_) = published(shop, "SELECT entity_id FROM intent.entity WHERE truth = 'delivery' AND u < 0.75 AND v BETWEEN 0.1 AND 0.5 AND w BETWEEN 0.1 AND 0.6 ORDER BY 1")
    votes = published(shop, f"SELECT votes FROM intent.vote_pattern JOIN intent.entity_pattern USING (pattern_id) WHERE entity_id = {key}")[0][0]
    assert votes["scored"] == "delivery ~0.85" and votes["not_refund"] == "!refund"
    row = published(shop, "SELECT scored, not_refund, says_delivery FROM intent.label_matrix WHERE entity_id = " + str(key))[0]
    assert row == ("delivery", "!refund", "delivery")


def test_statistics_know_what_is_right_and_what_is_in_conflict(tmp_path):
    """A class ruled out is right wherever gold is another one, and in conflict with a vote for it alone."""
    more = 'gold = { from = "ticket", key = "ticket_id", label = "truth" }'
    lfs = "-- lf: a -> refund\nFROM score JOIN ticket USING (ticket_id) WHERE u < 0.5;\n-- lf: b -> !refund\nFROM score JOIN ticket USING (ticket_id) WHERE w < 0.5;\n-- lf: c -> !delivery\nFROM score JOIN ticket USING (ticket_id) WHERE v < 0.5;\n"
    folder = built(tmp_path / "shop", lfs, more)
    rows = published(folder, "SELECT lf, n_correct, n_incorrect FROM intent.lf_summary ORDER BY lf")
    by_hand = {
        "a": ("truth = 'refund'", "u < 0.5"), "b": ("truth <> 'refund'", "w < 0.5"), "c": ("truth <> 'delivery'", "v < 0.5"),
    }  # fmt: skip
    import duckdb

    with duckdb.connect() as connection:
        for statement in WAREHOUSE.split(";")[:2]:
            if statement.strip():
                connection.execute(statement)
        for lf, right, wrong in rows:
            correct, fires = by_hand[lf]
            expected = connection.execute(f"SELECT count(*) FILTER ({correct}), count(*) FILTER (NOT ({correct})) FROM ticket WHERE {fires}").fetchone()
            assert (right, wrong) == expected, lf
        both = connection.execute("SELECT count(*) FROM ticket WHERE u < 0.5 AND w < 0.5").fetchone()[0]
    pairs = {(a, b): (n, c) for a, b, n, c in published(folder, "SELECT lf_a, lf_b, n_both, n_conflict FROM intent.lf_pair")}
    assert pairs["a", "b"] == (both, both) and pairs["a", "c"][1] == 0 and pairs["b", "c"][1] == 0
    conflicts = published(folder, "SELECT CAST(sum(n_conflicting) AS BIGINT) FROM intent.coverage")[0][0]
    assert conflicts == both == published(folder, "SELECT count(*) FROM intent.conflicts_between('a', 'b')")[0][0]
    gold = "JOIN intent.gold_label AS g USING (entity_id) JOIN intent.entity AS e USING (entity_id)"
    wrong = published(folder, f"SELECT count(*) FROM intent.excluded_vote AS x {gold} WHERE e.split = 'dev' AND x.lf = 'b' AND g.label = 'refund'")
    assert published(folder, "SELECT count(*) FROM intent.false_positives('b')") == wrong and wrong[0][0] > 10


def accuracy(folder) -> float:
    """Of the labels, ties at half credit, on rows with a vote."""
    return published(folder, "SELECT avg(CASE WHEN t.label IS NULL THEN 0.5 ELSE CAST(t.label = e.truth AS INTEGER) END) FROM intent.training_set AS t JOIN intent.entity AS e USING (entity_id)")[0][0]


@pytest.mark.parametrize("method", ["auto", "dawid_skene", "multinomial", "majority", "majority_soft", "weighted", "factor_graph"])
def test_every_model_uses_them(tmp_path, method):
    more = f'label_model = {{ method = "{method}" }}'
    whole = built(tmp_path / "whole", more=more)
    plain = built(tmp_path / "plain", LFS.split("-- lf: says_refund")[1].join(["-- lf: says_refund", ""]), more)
    assert published(whole, "SELECT count(*) FROM intent.training_set")[0][0] == 3000
    assert accuracy(whole) > 0.8
    p = published(whole, "SELECT sum(p), min(p), count(*) FROM intent.probabilistic_labels GROUP BY entity_id")
    assert all(abs(total - 1) < 1e-9 and least >= 0 and n == 3 for total, least, n in p)
    covered = published(plain, "SELECT count(*) FROM intent.training_set")[0][0]
    assert covered < 2500


def test_explanations_sum_to_the_log_odds_of_what_was_said(shop):
    for key in (0, 1, 2, 4, 7):
        rows = published(shop, f"SELECT source, vote, evidence FROM intent.explain_label({key})")
        p = sorted((p for (p,) in published(shop, f"SELECT p FROM intent.probabilistic_labels WHERE entity_id = {key}")), reverse=True)
        assert "scored" in {source for source, *_ in rows}
        assert sum(e for *_, e in rows) == pytest.approx(np.log(p[0] / p[1]), abs=1e-6)


def test_a_score_that_is_wrong_is_not_believed(tmp_path):
    """A score of .95 for the wrong class on two rows of three: three good LFs show what it is worth."""
    lfs = """-- lf: liar
SELECT ticket_id, ['delivery', 'other', 'refund'][1 + ticket_id % 3] AS label, 0.95 AS p FROM ticket WHERE u < 0.99;
""" + LFS.split("-- lf: not_refund")[0].replace("scored", "good_a").replace("FROM score", "FROM score") + "-- lf: not_refund" + LFS.split("-- lf: not_refund")[1]
    assert accuracy(built(tmp_path / "shop", lfs)) > 0.8


def test_one_lf_changed_keeps_the_soft_votes_of_the_others(tmp_path):
    folder = built(tmp_path / "shop")
    before = published(folder, "SELECT * FROM intent.soft_vote ORDER BY ALL")
    (folder / "lfs" / "more.sql").write_text("-- lf: late\nSELECT ticket_id, 'refund' AS label, v AS p FROM ticket WHERE u < 0.1;\n")
    with workspace(folder) as ws:
        result = ws.run()
    assert {e.lf.name: e.reason for e in result.evaluations if e.reason != "unchanged"} == {"late": "new"}
    assert published(folder, "SELECT * FROM intent.soft_vote WHERE lf = 'scored' ORDER BY ALL") == before
    assert published(folder, "SELECT count(*), count(*) FILTER (s.p = t.v) FROM intent.soft_vote AS s JOIN intent.entity AS t USING (entity_id) WHERE lf = 'late'") == [(300, 300)]
    (folder / "lfs" / "more.sql").unlink()
    with workspace(folder) as ws:
        ws.run()
    assert published(folder, "SELECT * FROM intent.soft_vote ORDER BY ALL") == before


@pytest.mark.parametrize(("lf", "code", "words"), [
    ("SELECT ticket_id, 'refund' AS label, 1.2 AS p FROM ticket", "LF119", "1.2"),
    ("SELECT ticket_id, 'refund' AS label, CAST('nan' AS DOUBLE) AS p FROM ticket", "LF119", "nan"),
    ("SELECT ticket_id, 'refund' AS label, -0.1 AS p FROM ticket", "LF119", "-0.1"),
    ("SELECT ticket_id, label, 0.5 AS p FROM score", "LF119", "sum to 1.5"),
    ("SELECT ticket_id, 'refund' AS label, u AS p FROM ticket UNION ALL SELECT ticket_id, 'refund', 0.0 FROM ticket", "LF111", "two probabilities"),
    ("SELECT ticket_id, 'refnd' AS label, 0.5 AS p FROM ticket", "LF108", "refund"),
])  # fmt: skip
def test_soft_votes_that_cannot_be(tmp_path, lf, code, words):
    folder = project(tmp_path / "shop", f"-- lf: bad\n{lf};\n{LFS}", sql=WAREHOUSE, config=CONFIG.format(more=""))
    answer = verb(folder, "run", "--keep-going")
    assert answer.code == 1 and f"error[{code}]" in answer.err and words in answer.err
    assert published(folder, "SELECT status FROM intent.lf WHERE lf = 'bad'") == [("error",)]
    assert published(folder, "SELECT count(*) FROM intent.soft_vote WHERE lf = 'scored'") == [(9000,)]


def test_null_probabilities_and_labels_abstain(tmp_path):
    lfs = LFS + "-- lf: some\nSELECT ticket_id, CASE WHEN u < 0.5 THEN 'refund' END AS label, CASE WHEN v < 0.5 THEN 0.7 END AS p FROM ticket;\n"
    folder = built(tmp_path / "shop", lfs)
    n = published(folder, "SELECT count(*) FROM intent.entity WHERE u < 0.5 AND v < 0.5")[0][0]
    assert published(folder, "SELECT n_votes FROM intent.lf_summary WHERE lf = 'some'") == [(n,)] and n > 500


def test_a_probability_for_the_class_in_the_header(tmp_path):
    """With two classes p = .1 of one is .9 of the other."""
    lfs = "-- lf: likely -> refund\nSELECT ticket_id, u AS p FROM ticket;\n-- lf: other -> delivery\nFROM ticket WHERE v < 0.3;\n"
    config = CONFIG.format(more="").replace(', "other"]', "]")
    folder = project(tmp_path / "shop", lfs, sql=WAREHOUSE, config=config)
    with workspace(folder) as ws:
        ws.run()
    assert published(folder, "SELECT count(*) FROM intent.soft_vote WHERE label = 'refund'") == [(3000,)]
    row = published(folder, "SELECT likely FROM intent.label_matrix JOIN intent.entity USING (entity_id) WHERE u < 0.05 GROUP BY 1")
    assert row == [("delivery",)]


def test_a_class_that_does_not_exist_cannot_be_ruled_out(tmp_path):
    folder = project(tmp_path / "shop", "-- lf: bad -> !refnd\nFROM ticket;\n", sql=WAREHOUSE, config=CONFIG.format(more=""))
    assert "LF108" in [d.code for d in diagnosed(folder, "LF108")]


def test_ruling_out_in_python(tmp_path):
    files = {"lfs/rules.py": "import groundswell as gs\n@gs.lf('!refund')\ndef not_refund(t):\n    return t.truth != 'refund'\n"}
    folder = project(tmp_path / "shop", LFS.split("-- lf: not_refund")[0], sql=WAREHOUSE, config=CONFIG.format(more=""), files=files)
    with workspace(folder) as ws:
        ws.lf("no_delivery", "!delivery", "truth <> 'delivery'")
        ws.run()
    assert published(folder, "SELECT lf, label, count(*) FROM intent.excluded_vote GROUP BY ALL ORDER BY 1") == [("no_delivery", "delivery", 2000), ("not_refund", "refund", 2000)]
