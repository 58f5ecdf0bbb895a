"""Rows drawn to judge the end model, answers with known probabilities, live metrics."""

import csv
import io
import shutil

import numpy as np
import pytest
from support import change, published, rows_of, shell, verb, workspace
from two_modalities import harm

from groundswell import monitoring
from groundswell.errors import ConfigError, EndModelError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = harm(tmp_path_factory.mktemp("live") / "harm", 'fusion = "early"')
    with workspace(folder) as ws:
        ws.train()
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "harm")
    return tmp_path / "harm"


def truth(folder) -> dict[str, str]:
    import duckdb

    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        return dict(connection.execute("SELECT picture_id, label FROM truth").fetchall())


def reviewed(folder, n: int, answers: dict[str, str], most: int | None = None, **options):
    """A session answered by the truth; the drawn rows it added."""
    with workspace(folder) as ws:
        session = ws.review("monitor", "ann", n=n, **options)
        for i, question in enumerate(session.questions()):
            if most is not None and i == most:
                break
            assert question.votes == {} and question.p == {}
            session.answer(question, answers[question.entity_id])
    return [row for row in lines(folder) if row["drawn_at"] == lines(folder)[-1]["drawn_at"]]


def lines(folder) -> list[dict]:
    with (folder / "gold" / "draws" / "harm.csv").open() as file:
        return list(csv.DictReader(file))


def live(folder) -> list[tuple]:
    return published(folder, "SELECT epoch_ms(reviewed_at), metric, value, low, high, n_reviewed FROM harm.live_metric")


def test_rows_of_the_new_modality_in_test_are_drawn_and_answers_stand_with_the_others(folder):
    answers = truth(folder)
    drawn = reviewed(folder, 80, answers)
    assert 50 <= len(drawn) <= 115 and len({row["key"] for row in drawn}) == len(drawn)
    population = {key for (key,) in published(folder, "SELECT entity_id FROM harm.entity WHERE modality = 'image' AND split = 'test'")}
    assert {row["key"] for row in drawn} <= population and all(0 < float(row["probability"]) <= 1 and row["known"] == "0" for row in drawn)
    with (folder / "gold" / "review.csv").open() as file:
        given = list(csv.DictReader(file))
    assert {a["key"]: a["label"] for a in given} == {row["key"]: answers[row["key"]] for row in drawn} and {a["annotator"] for a in given} == {"ann"}
    with workspace(folder) as ws:
        ws.run()  # answers are gold like any others
    assert published(folder, "SELECT count(*) FROM harm.gold_label JOIN harm.entity USING (entity_id) WHERE modality = 'image'") == [(len(drawn),)]


def test_live_metrics_are_ratios_of_weighted_answers(folder):
    """By hand from the two files and the predictions."""
    answers = truth(folder)
    drawn = reviewed(folder, 120, answers)
    with workspace(folder) as ws:
        found = ws.monitor()
    predicted = dict(published(folder, "SELECT entity_id, predicted_label FROM harm.predictions"))
    d = np.array([1 / float(row["probability"]) for row in drawn])
    y, c = (np.array([of[row["key"]] == "bad" for row in drawn]) for of in (answers, predicted))
    expected = {
        "accuracy": (d * (y == c)).sum() / d.sum(), "precision": (d * (y & c)).sum() / (d * c).sum(), "recall": (d * (y & c)).sum() / (d * y).sum(),
        "f1": 2 * (d * (y & c)).sum() / ((d * c).sum() + (d * y).sum()), "positive_rate": (d * y).sum() / d.sum(),
    }  # fmt: skip
    stored = live(folder)
    assert {metric: value for _, metric, value, *_ in stored} == pytest.approx(expected)
    assert all(low <= value <= high and n == len(drawn) for _, _, value, low, high, n in stored) and len({at for at, *_ in stored}) == 1
    assert found.model_id == 1 and found.n_rows == published(folder, "SELECT count(*) FROM harm.entity WHERE modality = 'image' AND split = 'test'")[0][0]


def test_on_average_over_sessions_live_metrics_are_those_of_all_rows(trained, tmp_path):
    """Forty draws, the truth of all rows known: means within their error, intervals that mostly hold it. Answers come from the file of
    somebody who answers about a draw at once."""
    answers = truth(trained)
    predicted = dict(published(trained, "SELECT entity_id, predicted_label FROM harm.predictions JOIN harm.entity USING (entity_id) WHERE modality = 'image' AND split = 'test'"))
    y, c = (np.array([of[key] == "bad" for key in predicted]) for of in (answers, predicted))
    true = {"accuracy": (y == c).mean(), "precision": (y & c).sum() / c.sum(), "recall": (y & c).sum() / y.sum(), "positive_rate": y.mean()}
    folder = shutil.copytree(trained, tmp_path / "harm")
    told = folder / "gold" / "told.csv"
    with workspace(folder) as ws:
        for _ in range(40):
            keys = [question.entity_id for question in ws.review("monitor", n=60).questions()]
            told.write_text((told.read_text() if told.exists() else "key,label\n") + "".join(f"{key},{answers[key]}\n" for key in keys))
        rows = ws.monitor().rows
    for metric, value in true.items():
        each = [r for r in rows if r["metric"] == metric and r["reviewed_at"]]
        values = np.array([r["value"] for r in each])
        assert len(each) == 40 and abs(values.mean() - value) < 4 * values.std() / 40**0.5, metric
        assert sum(r["low"] <= value <= r["high"] for r in each) >= 33, metric
        (together,) = [r for r in rows if r["metric"] == metric and r["reviewed_at"] is None]
        assert together["low"] <= value <= together["high"] and together["high"] - together["low"] < 0.4 * np.mean([r["high"] - r["low"] for r in each])
        assert together["n_reviewed"] == sum(r["n_reviewed"] for r in each)


def test_rows_that_were_answered_before_are_drawn_and_not_asked_again(folder):
    answers = truth(folder)
    first = {row["key"] for row in reviewed(folder, 250, answers)}
    with workspace(folder) as ws:
        session = ws.review("monitor", n=250)
        asked = {question.entity_id for question in session.questions()}
    second = [row for row in lines(folder) if row["drawn_at"] == lines(folder)[-1]["drawn_at"]]
    known = {row["key"] for row in second if row["known"] == "1"}
    assert len(known) > 20 and known <= first and asked == {row["key"] for row in second} - known and session.n_drawn == len(second)
    with workspace(folder) as ws:  # nobody answered the second draw: what was known before counts there
        assert {r["n_reviewed"] for r in ws.monitor().rows} == {len(first), len(known), len(first) + len(known)}


def test_an_early_end_and_rows_nobody_can_tell_leave_the_weights_right(folder):
    answers = truth(folder)
    drawn = reviewed(folder, 200, answers, most=60)
    with workspace(folder) as ws:
        rows = {r["metric"]: r for r in ws.monitor().rows}
    with (folder / "gold" / "review.csv").open() as file:
        told = [a["key"] for a in csv.DictReader(file)]
    weight = {row["key"]: 1 / float(row["probability"]) for row in drawn}
    d, y = np.array([weight[k] for k in told]), np.array([answers[k] == "bad" for k in told])
    assert len(told) == 60 and rows["positive_rate"]["value"] == pytest.approx((d * y).sum() / d.sum()) and rows["positive_rate"]["n_reviewed"] == 60


def test_the_newest_answer_counts(folder):
    answers = truth(folder)
    drawn = reviewed(folder, 60, answers)
    with workspace(folder) as ws:
        before = {r["metric"]: r["value"] for r in ws.monitor().rows}
    right = [row["key"] for row in drawn if answers[row["key"]] == "ok"]
    with (folder / "gold" / "review.csv").open("a") as file:
        file.writelines(f"{key},bad,boss,2099-01-01T00:00:00+00:00,,harm\n" for key in right[:10])
    with workspace(folder) as ws:
        assert {r["metric"]: r["value"] for r in ws.monitor().rows}["positive_rate"] > before["positive_rate"]


def test_the_end_model_before_can_be_the_other_model(folder, monkeypatch):
    """Its probabilities are those it was published with, and rows on which the two differ are drawn more often."""
    seen = {}
    before = dict(published(folder, "SELECT entity_id, p['bad'] FROM harm.predictions"))
    real = monitoring.inclusion_probabilities
    monkeypatch.setattr(monitoring, "inclusion_probabilities", lambda n, p, other: seen.update(p=p, other=other, found=real(n, p, other)) or seen["found"])
    with workspace(folder) as ws:
        ws.train("mlp", fusion="early")
        ws.review("monitor", n=100, against="previous")
        keys = monitoring.monitored(ws.store, ws.task).keys
    after = dict(published(folder, "SELECT entity_id, p['bad'] FROM harm.predictions"))
    assert seen["other"][:, 1].tolist() == pytest.approx([before[k] for k in keys], abs=1e-9) and seen["p"][:, 1].tolist() == pytest.approx([after[k] for k in keys])
    apart = np.abs(seen["p"] - seen["other"]).sum(1)
    far = apart > np.quantile(apart, 0.9)
    assert seen["found"][far].mean() > 1.5 * seen["found"][~far].mean()
    assert {row["against"] for row in lines(folder)} == {"previous"} and {row["model_id"] for row in lines(folder)} == {"2"}


def test_what_has_no_review_is_said(folder):
    answers = truth(folder)
    with workspace(folder) as ws:
        session, done = ws.review("monitor", n=150), {"ok": 0, "bad": 0}
        predicted = dict(published(folder, "SELECT entity_id, predicted_label FROM harm.predictions"))
        for question in session.questions():  # somebody answers for rows predicted ok alone
            if predicted[question.entity_id] == "ok":
                session.answer(question, answers[question.entity_id])
                done[answers[question.entity_id]] += 1
        assert min(done.values()) > 0
        found = ws.monitor()
    assert [d.code for d in found.diagnostics] == ["EM210"] and "predicted bad" in found.diagnostics[0].message
    values = {r["metric"]: r["value"] for r in found.rows}
    assert values["precision"] is None and values["recall"] == 0 and values["accuracy"] > 0.5


def test_nothing_to_estimate_from_is_a_clear_error(folder, tmp_path):
    answer = verb(folder, "monitor")
    assert answer.code == 2 and "EM128" in answer.err and "groundswell review --strategy monitor" in answer.err
    with workspace(folder) as ws:
        session = ws.review("monitor", n=40)
        for question in session.questions():
            session.answer(question, "ok")
        with pytest.raises(EndModelError, match="EM129.*ok"):
            ws.monitor()
        with pytest.raises(ConfigError, match="CFG126"):
            ws.review("monitor", against="lable")
        with pytest.raises(EndModelError, match="EM119"):
            ws.review("monitor", against="previous")
        with pytest.raises(ConfigError, match='(?s)CFG124.*"monitor"'):
            ws.review("moniter")
    untrained = harm(tmp_path / "untrained", "")
    for arguments in (("monitor",), ("review", "--strategy", "monitor")):
        answer = verb(untrained, *arguments)
        assert answer.code == 2 and "EM119" in answer.err and "groundswell train" in answer.err
    change(folder, "UPDATE picture SET split = 'train'")
    with workspace(folder) as ws:
        ws.run()
    assert "EM130" in verb(folder, "monitor").err


def test_a_broken_file_of_draws_is_named_with_its_line(folder):
    reviewed(folder, 30, truth(folder))
    path = folder / "gold" / "draws" / "harm.csv"
    path.write_text(path.read_text() + "yesterday,i1600,0.5,0,1,label\n")
    answer = verb(folder, "monitor")
    assert answer.code == 2 and "CFG115" in answer.err and f"harm.csv:{len(path.read_text().splitlines())}" in answer.err


def test_from_the_terminal(folder):
    answer = shell(folder, "review", "--strategy", "monitor", "-n", "30", "--annotator", "ann", input="1\n2\n" * 10 + "s\nq\n")
    assert answer.returncode == 0 and "rows drawn" in answer.stdout and "the label model thinks" not in answer.stdout and "votes" not in answer.stdout
    assert "next: groundswell monitor" in answer.stdout
    shown = verb(folder, "monitor")
    assert shown.code == 0 and "positive_rate" in shown.out and "95 % intervals; harm.live_metric in groundswell.duckdb" in shown.out
    rows = rows_of(verb(folder, "monitor", "--format", "json").out)
    assert {r["metric"] for r in rows} == {"accuracy", "precision", "recall", "f1", "positive_rate"} and {r["n_reviewed"] for r in rows} == {20}
    table = list(csv.reader(io.StringIO(verb(folder, "monitor", "--format", "csv").out)))
    assert table[0] == ["reviewed_at", "metric", "value", "low", "high", "n_reviewed"] and len(table) == 6
