"""Questions to people: which entity comes next, where the answer goes, and what it does to the labels."""

import csv

import numpy as np
import pytest
from support import project, published, shell, verb, workspace

from groundswell.errors import ConfigError
from groundswell.label_models import answer_divergence

WAREHOUSE = """
CREATE TABLE ticket AS
SELECT i AS ticket_id, ['refund please', 'refund parcel', 'parcel late', 'late refund', 'hello', 'parcel'][1 + i % 6] AS body,
       ['train', 'train', 'train', 'dev', 'test'][1 + (i * 7) % 5] AS part
FROM range(300) AS t(i);
"""
LFS = """-- lf: refund -> refund
FROM ticket WHERE body LIKE '%refund%';
-- lf: parcel -> delivery
FROM ticket WHERE body LIKE '%parcel%';
-- lf: late -> delivery
FROM ticket WHERE body LIKE '%late%';
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
classes = ["refund", "delivery"]
split = { column = "part" }
"""


@pytest.fixture
def shop(tmp_path):
    folder = project(tmp_path / "shop", LFS, sql=WAREHOUSE, config=CONFIG)
    workspace(folder).run()
    return folder


def answers(folder) -> list[dict]:
    with (folder / "gold" / "review.csv").open() as file:
        return list(csv.DictReader(file))


def test_divergence_of_the_worked_example():
    """Four buckets of the published method: A and D without answers, B with two zeros, C with one."""
    p, before = (np.array([[1 - x, x] for x in values]) for values in ([0.9, 0.6, 0.2, 0.45], [0.9, 0.7, 0.2, 0.45]))
    told = np.array([[0, 0], [2, 0], [1, 0], [0, 0]], float)
    np.testing.assert_allclose(answer_divergence(p, before, told), [0.144479, 2.507984, 0.428672, 1.389715], atol=1e-6)


def test_sql_and_session_ask_the_same(shop):
    listed = published(shop, "SELECT entity_id, pattern_id, score FROM intent.next_to_review(4)")
    with workspace(shop) as ws:
        first = next(ws.review().questions())
    assert (first.entity_id, first.pattern_id) == listed[0][:2] and first.score == pytest.approx(listed[0][2])
    assert len({pattern for _, pattern, _ in listed}) == 4 and [s for *_, s in listed] == sorted((s for *_, s in listed), reverse=True)
    splits = published(shop, "SELECT DISTINCT split FROM intent.entity WHERE entity_id IN (SELECT entity_id FROM intent.next_to_review(50))")
    assert splits == [("train",)]


def test_every_row_is_listed_when_enough_are_asked_for(shop):
    n = published(shop, "SELECT count(*) FROM intent.training_set WHERE split = 'train'")[0][0]
    assert len(set(published(shop, "SELECT entity_id FROM intent.next_to_review(1000)"))) == n


def test_answers_are_on_disk_and_bend_the_labels(shop):
    """Everybody says that a parcel with a refund is a refund: the label model must follow."""
    query = "SELECT DISTINCT p FROM intent.probabilistic_labels JOIN intent.entity USING (entity_id) WHERE label = 'refund' AND body = 'refund parcel'"
    ((before,),) = published(shop, query)
    with workspace(shop) as ws:
        session = ws.review("conflicts", annotator="ann")
        for question, _ in zip(session.questions(), range(8)):
            assert set(question.votes.values()) == {"refund", "delivery"}
            session.answer(question, "refund")
            assert answers(shop)[-1] | {"annotated_at": ""} == {
                "key": str(question.entity_id), "label": "refund", "annotator": "ann", "annotated_at": "", "note": "", "task": "intent",
            }  # fmt: skip
        ws.run()
    ((after,),) = published(shop, query)
    assert len(answers(shop)) == 8 and after > before and after > 0.5
    asked = {int(a["key"]) for a in answers(shop)}
    assert not asked & {key for (key,) in published(shop, "SELECT entity_id FROM intent.next_to_review(1000)")}
    assert published(shop, "SELECT sum(n) FROM intent.pattern_answer") == [(8,)]


def test_the_first_fit_stays_the_reference(shop):
    """q of a pattern without answers is what the model said before any answer, not what it says now."""
    with workspace(shop) as ws:
        session = ws.review()
        start = session._before.copy()
        for question, _ in zip(session.questions(), range(5)):
            session.answer(question, "refund")
        np.testing.assert_array_equal(session._before, start)
        assert not np.array_equal(session._posterior, start)
        ws.run()
        again = ws.review()
        np.testing.assert_array_equal(again._before, start)
        np.testing.assert_array_equal(again._posterior, session._posterior)


def test_cannot_tell_is_kept_and_not_asked_again(shop):
    with workspace(shop) as ws:
        session = ws.review()
        question = next(session.questions())
        session.answer(question, None)
        ws.run()
        assert answers(shop)[0]["label"] == "" and answers(shop)[0]["note"] == "cannot tell"
        assert question.entity_id not in [q.entity_id for q, _ in zip(ws.review().questions(), range(400))]
    assert published(shop, "SELECT count(*) FROM intent.gold_label") == [(0,)]


def test_every_strategy_asks_what_it_promises(shop):
    with workspace(shop) as ws:
        asked = {s: [q for q, _ in zip(ws.review(s).questions(), range(30))] for s in ("maxkl", "conflicts", "uncovered", "entropy", "random")}
    assert all(len(q) == 30 for q in asked.values())
    assert not any(q.votes for q in asked["uncovered"]) and all(len(set(q.votes.values())) == 2 for q in asked["conflicts"])
    uncertain = [max(q.p.values()) for q in asked["entropy"]]
    assert uncertain == sorted(uncertain)
    assert len({q.pattern_id for q in asked["random"]}) > 2


def test_an_unknown_strategy_is_refused(shop):
    with workspace(shop) as ws, pytest.raises(ConfigError) as error:
        ws.review("entropi")
    assert error.value.code == "CFG124" and "entropy" in str(error.value)


def test_the_verb_in_a_terminal(shop):
    done = shell(shop, "review", "-n", "3", "--annotator", "bob", input="1\nnonsense\ndelivery\ns\n")
    assert done.returncode == 0, done.stderr
    assert "1 of at most 3" in done.stdout and "[1] refund" in done.stdout and "not one of" in done.stdout and "next: groundswell run" in done.stdout
    assert [a["label"] for a in answers(shop)] == ["refund", "delivery", ""] and {a["annotator"] for a in answers(shop)} == {"bob"}


def test_the_end_of_the_input_ends_the_session(shop):
    done = shell(shop, "review", input="2\n")
    assert done.returncode == 0 and len(answers(shop)) == 1


def test_gold_of_the_warehouse_bends_the_fit_only_where_it_is_said(tmp_path):
    sql = WAREHOUSE + "CREATE TABLE told AS SELECT ticket_id, CASE WHEN body LIKE '%refund%' THEN 'refund' ELSE 'delivery' END AS label FROM ticket;"
    gold = CONFIG + 'gold = { from = "told", key = "ticket_id", label = "label" }\n'
    query = "SELECT DISTINCT p FROM intent.probabilistic_labels JOIN intent.entity USING (entity_id) WHERE label = 'refund' AND body = 'late refund'"
    found = {}
    for name, setting in (("none", ""), ("train", 'label_model = { gold = "train" }\n')):
        folder = project(tmp_path / name, LFS, sql=sql, config=gold + setting)
        workspace(folder).run()
        ((found[name],),) = published(folder, query)
    assert found["train"] > 0.9 > found["none"]
    answer = verb(project(tmp_path / "bad", LFS, sql=sql, config=gold + 'label_model = { gold = "trian" }\n'), "run")
    assert answer.code == 2 and "CFG117" in answer.err and "train" in answer.err
