"""Which votes carry a label, and which words made rules fire: against brute force and by hand."""

from itertools import combinations

import numpy as np
import pytest
from support import project, published, workspace

from groundswell.explanation import Mark, flip, marks
from groundswell.label_models import VotePatterns, label_model

LFS = r"""-- lf: a -> refund
FROM ticket WHERE body ILIKE '%refund%';
-- lf: b -> refund
FROM ticket WHERE regexp_matches(body, '(?i)\bmoney\b|want');
-- lf: c -> delivery
FROM ticket WHERE lower(body) LIKE '%par_el%' AND NOT contains(body, 'hello');
-- lf: d -> delivery
FROM ticket WHERE contains(body, 'late') OR (regexp_matches(body, 'WHERE', 'i') AND NOT contains(body, 'me'));
-- lf: e
SELECT ticket_id, CASE queue WHEN 'billing' THEN 'refund' WHEN 'logistics' THEN 'delivery' END AS label FROM ticket;
"""


@pytest.fixture(scope="module", params=["majority", "dawid_skene", "multinomial"])
def ws(tmp_path_factory, request):
    task = f'label_model = {{ method = "{request.param}", seed = 0 }}'
    workspace_ = workspace(project(tmp_path_factory.mktemp("explained") / "shop", LFS, task=task))
    workspace_.run()
    return workspace_


def test_a_flip_is_true_and_one_vote_less_is_not_enough(ws):
    """Taking the named votes away changes the label the model gives; no single vote does when two are named."""
    matrix = ws.table("label_matrix").order_by("entity_id").to_pyarrow().to_pydict()
    keys, code = matrix.pop("entity_id"), {c: i for i, c in enumerate(ws.task.classes)}
    lfs, votes = list(matrix), np.array([[code.get(v, -1) for v in column] for column in matrix.values()]).T
    patterns, _ = VotePatterns.from_matrix(votes, lfs, ws.task.classes)
    model = label_model(ws.task.label_model["method"]).fit(patterns)

    def labelled(row) -> str | None:
        if (np.array(row) < 0).all():
            return "none"
        seen, _ = VotePatterns.from_matrix(np.array([row]), lfs, ws.task.classes)
        p = model.predict(seen)[0]
        top = np.flatnonzero(p >= p.max() - 1e-6)
        return ws.task.classes[top[0]] if len(top) == 1 else None

    found = 0
    for row, key in zip(votes, keys):
        label, how = labelled(row), flip(ws.store, ws.task, int(key))
        if how is None:
            continue
        found += 1
        without = [-1 if lf in how.lfs else v for lf, v in zip(lfs, row)]
        assert labelled(without) == how.label != label
        for fewer in combinations(how.lfs, len(how.lfs) - 1):
            if len(fewer) and len(how.lfs) == 2:
                assert labelled([-1 if lf in fewer else v for lf, v in zip(lfs, row)]) == label
    assert found


def test_words_that_made_rules_fire(ws):
    at = {key: [(m.column, m.lf, ws.entity(key)[m.column][m.start : m.end]) for m in marks(ws.store, ws.task, ws.entity(key))] for key in (1, 2, 3, 4, 5, 6)}
    assert at[1] == [("body", "b", "want"), ("body", "a", "refund")]
    assert at[2] == [("body", "d", "where"), ("body", "c", "parcel")]
    assert at[3] == [("body", "a", "Refund"), ("body", "b", "money")]
    assert at[4] == [("body", "c", "parcel"), ("body", "d", "late"), ("body", "a", "refund")]
    assert at[5] == at[6] == []


def test_marks_are_shown_once(ws):
    from groundswell.cli.analysis import marked

    found = [Mark("body", 0, 4, "a"), Mark("body", 2, 6, "b"), Mark("body", 8, 9, "a")]
    plain = marked("abcdefghij", found).replace("\x1b[1m", "").replace("\x1b[4m", "").replace("\x1b[0m", "")
    assert plain == "abcdefghij" and marked("abcdefghij", found).count("\x1b[0m") == 3
    assert marked("abc", []) == "abc"


JOINT = """
CREATE TABLE ticket AS
SELECT i AS ticket_id, ['yes', 'no'][CAST(1 + hash(i) % 2 AS BIGINT)] AS truth,
       [CASE WHEN hash(i, 1) % 100 < 75 THEN ['yes', 'no'][CAST(1 + hash(i) % 2 AS BIGINT)] ELSE ['no', 'yes'][CAST(1 + hash(i) % 2 AS BIGINT)] END,
        CASE WHEN hash(i, 2) % 100 < 80 THEN ['yes', 'no'][CAST(1 + hash(i) % 2 AS BIGINT)] ELSE ['no', 'yes'][CAST(1 + hash(i) % 2 AS BIGINT)] END,
        CASE WHEN hash(i, 3) % 100 < 70 THEN ['yes', 'no'][CAST(1 + hash(i) % 2 AS BIGINT)] ELSE ['no', 'yes'][CAST(1 + hash(i) % 2 AS BIGINT)] END,
        CASE WHEN hash(i, 4) % 100 < 60 THEN ['yes', 'no'][CAST(1 + hash(i) % 2 AS BIGINT)] ELSE ['no', 'yes'][CAST(1 + hash(i) % 2 AS BIGINT)] END] AS said,
       hash(i, 5) % 10 AS a, hash(i, 6) % 10 AS b, hash(i, 7) % 10 AS c, hash(i, 8) % 10 AS d, hash(i, 9) % 10 AS e, hash(i, 10) % 10 AS f
FROM range(6000) AS t(i);
"""
JOINT_LFS = """-- lf: a
SELECT ticket_id, CASE WHEN a < 5 THEN said[1] END AS label FROM ticket;
-- lf: b
SELECT ticket_id, CASE WHEN b < 5 THEN said[2] END AS label FROM ticket;
-- lf: c
SELECT ticket_id, CASE WHEN c < 5 THEN said[3] END AS label FROM ticket;
-- lf: d
SELECT ticket_id, CASE WHEN d < 5 THEN said[4] END AS label FROM ticket;
-- lf: d_again
SELECT ticket_id, CASE WHEN d < 5 AND e < 8 THEN said[4] END AS label FROM ticket;
-- lf: d_too
SELECT ticket_id, CASE WHEN d < 5 AND f < 8 THEN said[4] END AS label FROM ticket;
"""
JOINT_CONFIG = """
[project]
name = "shop"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "ticket"
key = "ticket_id"
[task.intent]
classes = ["yes", "no"]
"""


def test_evidence_of_lfs_that_are_read_together_sums_to_the_log_odds(tmp_path):
    folder = project(tmp_path / "shop", JOINT_LFS, sql=JOINT, config=JOINT_CONFIG)
    with workspace(folder) as ws:
        ws.run()
    (warnings,) = published(folder, "SELECT warnings FROM intent.label_model WHERE is_current")[0]
    assert any(w.startswith("LM230") for w in warnings)
    n_joint = 0
    for (key,) in published(folder, "SELECT entity_id FROM intent.training_set ORDER BY entity_id LIMIT 60"):
        rows = published(folder, f"FROM intent.explain_label({key})")
        best, second = sorted((p for (p,) in published(folder, f"SELECT p FROM intent.probabilistic_labels WHERE entity_id = {key}")), reverse=True)
        assert sum(e for *_, e in rows) == pytest.approx(np.log(best / second), abs=1e-9)
        n_joint += any(source == "d with d_again with d_too" for source, *_ in rows)
    assert n_joint > 20


def test_taking_votes_away_counts_what_lfs_say_together(tmp_path):
    """The label without the named votes, computed by the label model itself on the votes that are left."""
    from groundswell.explanation import flip

    folder = project(tmp_path / "shop", JOINT_LFS, sql=JOINT, config=JOINT_CONFIG)
    with workspace(folder) as ws:
        ws.run()
        n_flipped = 0
        by_votes = {tuple(sorted(dict(votes).items())): label for votes, label in published(folder, "SELECT p.votes, s.label FROM intent.vote_pattern AS p JOIN intent.pattern_summary AS s USING (pattern_id)")}
        for (key,) in published(folder, "SELECT entity_id FROM intent.training_set WHERE n_votes >= 3 ORDER BY entity_id LIMIT 40"):
            found = flip(ws.store, ws.task, key)
            votes = dict(published(folder, f"SELECT lf, label FROM intent.votes WHERE entity_id = {key}"))
            left = tuple(sorted((lf, label) for lf, label in votes.items() if found is None or lf not in found.lfs))
            if found is not None and left in by_votes:
                n_flipped += 1
                assert by_votes[left] == found.label
    assert n_flipped > 10
