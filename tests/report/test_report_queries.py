"""Every query of the report against counting by hand."""

from __future__ import annotations

from collections import Counter
from math import sqrt

import pytest
from small_store import World, random_world, store_of

from groundswell.report import build_report
from groundswell.report.ask import Questions


def wilson(right: int, n: int) -> tuple[float, float]:
    z, p = 1.959963984540054, right / n
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def shares(lf: str, world: World) -> dict[str, float]:
    return {c: sum(v.get(lf) == c for v in world.votes.values()) / len(world.votes) for c in world.classes}


def test_totals(questions, world):
    (row,) = questions.ask("report_totals").rows
    assert row["n_entities"] == len(world.votes) and row["n_gold"] == len(world.gold) and row["n_lfs"] == 5 and row["n_broken"] == 0
    assert row["n_covered"] == sum(bool(v) for v in world.votes.values())
    assert row["n_conflicting"] == sum(len(set(v.values())) > 1 for v in world.votes.values())
    assert row["n_patterns"] == len({tuple(sorted(v.items())) for v in world.votes.values()})


@pytest.mark.parametrize("right, n, low, high", [(4, 5, 0.3755, 0.9638), (3, 4, 0.3006, 0.9544), (0, 3, 0.0, 0.5615), (3, 3, 0.4385, 1.0)])
def test_wilson_intervals_known_by_hand(right, n, low, high):
    world = World({e: {"a": "spam"} for e in range(n)}, gold={e: "spam" if e < right else "ham" for e in range(n)})
    (row,) = Questions(store_of(world), world.task).ask("report_lf").rows
    assert (row["low"], row["high"]) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_labeling_functions(questions, world):
    for row in questions.ask("report_lf").rows:
        judged = [(v[row["lf"]], world.gold[e]) for e, v in world.votes.items() if row["lf"] in v and e in world.gold]
        right = sum(a == b for a, b in judged)
        assert row["empirical_accuracy"] == pytest.approx(right / len(judged))
        assert (row["low"], row["high"]) == pytest.approx(wilson(right, len(judged)))
        assert row["n_votes"] == sum(row["lf"] in v for v in world.votes.values())


def test_agreement_and_conflict_beyond_chance(questions, world):
    found = questions.ask("report_pairs").rows
    assert len(found) == 10
    for row in found:
        a, b = row["lf_a"], row["lf_b"]
        both = [(v[a], v[b]) for v in world.votes.values() if a in v and b in v]
        x, y, n = shares(a, world), shares(b, world), len(world.votes)
        least = min(sum(x.values()), sum(y.values())) * n
        agree = sum(p == q for p, q in both) - n * sum(x[c] * y[c] for c in world.classes)
        conflict = sum(p != q for p, q in both) - n * sum(x[c] * y[d] for c in world.classes for d in world.classes if c != d)
        assert row["agreement_excess"] == pytest.approx(agree / least, abs=1e-5)
        assert row["conflict_excess"] == pytest.approx(conflict / least, abs=1e-5)


def test_a_copy_agrees_by_one_minus_its_coverage():
    world = World({e: {"a": "spam", "b": "spam"} if e < 3 else {"c": "ham"} if e < 5 else {} for e in range(10)})
    found = {(r["lf_a"], r["lf_b"]): r for r in Questions(store_of(world), world.task).ask("report_pairs").rows}
    assert found["a", "b"]["agreement_excess"] == pytest.approx(0.7)
    assert found["a", "c"]["agreement_excess"] == 0 and found["a", "c"]["conflict_excess"] == pytest.approx(-0.3)


def test_patterns_are_the_most_frequent_ones(questions, world):
    counts = Counter(tuple(sorted(v.items())) for v in world.votes.values() if v)
    found = questions.ask("report_patterns", n=7).rows
    assert [r["n_entities"] for r in found] == sorted(counts.values(), reverse=True)[:7]
    for row in found:
        members = [e for e, v in world.votes.items() if tuple(sorted(v.items())) == tuple(row["votes"])]
        judged = [e for e in members if e in world.gold and world.split(e) != "test"]
        assert row["n_entities"] == len(members) and row["n_votes"] == len(row["votes"]) and row["label"] == world.label(members[0])
        assert (row["n_gold"], row["n_correct"]) == (len(judged), sum(world.gold[e] == row["label"] for e in judged))


def test_votes_per_entity(questions, world):
    expected = Counter(len(v) for v in world.votes.values())
    conflicting = Counter(len(v) for v in world.votes.values() if len(set(v.values())) > 1)
    assert [tuple(r.values()) for r in questions.ask("report_votes_per_entity").rows] == [(n, expected[n], conflicting[n]) for n in sorted(expected)]


def test_thresholds_say_how_many_labels_stay_and_how_often_they_are_right(questions, world):
    found = questions.ask("report_confidence").rows
    labelled = [e for e in world.votes if world.label(e)]
    for cut in (0.34, 0.5, 0.66, 0.8):
        kept = [e for e in labelled if max(world.p(e).values()) >= cut]
        judged = [e for e in kept if e in world.gold and world.split(e) != "train"]
        bins = [r for r in found if r["threshold"] >= cut - 1e-9]
        assert [sum(r[k] for r in bins) for k in ("n_labels", "n_gold", "n_correct")] == [
            len(kept),
            len(judged),
            sum(world.gold[e] == world.label(e) for e in judged),
        ]


def test_a_confidence_on_the_edge_belongs_to_the_bin_it_begins():
    p = {e: {"ham": c, "spam": 1 - c} for e, c in enumerate((0.57, 0.58, 0.9, 1.0))}
    world = World({e: {f"lf{e}": "ham"} for e in p}, posterior=p)
    assert [r["threshold"] for r in Questions(store_of(world), world.task).ask("report_confidence").rows] == [0.57, 0.58, 0.9, 0.99]


@pytest.mark.parametrize("model", ["labels", "end_model"])
def test_calibration_bins(questions, world, model):
    answer = (
        {e: (world.label(e), max(world.p(e).values())) for e in world.votes if world.label(e)}
        if model == "labels"
        else {e: (max(p, key=p.get), max(p.values())) for e, p in world.predicted.items()}
    )
    judged = [(c, label == world.gold[e]) for e, (label, c) in answer.items() if e in world.gold and world.split(e) != "train"]
    found = questions.ask(f"report_calibration_{model}").rows
    assert sum(r["n"] for r in found) == len(judged)
    for row in found:
        inside = [(c, right) for c, right in judged if row["bin"] <= c < row["bin"] + 0.1]
        right = sum(r for _, r in inside)
        assert row["n"] == len(inside) and row["mean_confidence"] == pytest.approx(sum(c for c, _ in inside) / len(inside))
        assert row["accuracy"] == pytest.approx(right / len(inside)) and (row["low"], row["high"]) == pytest.approx(wilson(right, len(inside)))


def test_class_balance(questions, world):
    for row in questions.ask("report_balance").rows:
        c = row["label"]
        assert row["n_votes"] == sum(list(v.values()).count(c) for v in world.votes.values())
        assert row["n_labels"] == sum(world.label(e) == c for e in world.votes) and row["n_gold"] == list(world.gold.values()).count(c)
    predicted = Counter(max(p, key=p.get) for p in world.predicted.values())
    assert {r["label"]: r["n_predictions"] for r in questions.ask("report_balance_predictions").rows} == predicted


# -- three models side by side ------------------------------------------------------------------------------------------


def average_precision(scored: list[tuple[float, bool]]) -> float:
    positives, found = sum(hit for _, hit in scored), 0.0
    for cut in {s for s, _ in scored}:
        above = [hit for s, hit in scored if s >= cut]
        found += sum(hit for s, hit in scored if s == cut) * sum(above) / len(above)
    return found / positives


def judged_by_hand(world: World, split: str, scores) -> tuple[float, float, float]:
    """accuracy on covered rows, accuracy on all, mean average precision; scores(entity) -> {class: score}"""
    gold = {e: g for e, g in world.gold.items() if world.split(e) == split}
    covered = [e for e in gold if world.votes[e]]
    credit = 0.0
    for e in covered:
        best = [c for c, s in scores(e).items() if s >= max(scores(e).values()) - 1e-5]
        credit += (gold[e] in best) / len(best)
    counted = world.classes if len(world.classes) > 2 else world.classes[-1:]
    each = [average_precision([(round(scores(e)[c], 12), gold[e] == c) for e in covered]) for c in counted if c in {gold[e] for e in covered}]
    return credit / len(covered), credit / len(gold), sum(each) / len(each)


@pytest.mark.parametrize("classes", [3, 2])
def test_baselines(classes):
    world = random_world(3)
    if classes == 2:
        world = _two(world)
    questions = Questions(store_of(world), world.task)
    found = {
        (r["split"], r["model"]): r
        for name in ("label", "end_model")
        for r in questions.ask(f"report_{name}_accuracy", positive=world.classes[-1]).rows
    }
    majority = {e: {c: list(v.values()).count(c) / max(1, len(v)) for c in world.classes} for e, v in world.votes.items()}
    for split in ("dev", "test"):
        for model, scores in (("majority vote", majority.__getitem__), ("label model", world.p)):
            row = found[split, model]
            assert (row["accuracy"], row["accuracy_all"], row["average_precision"]) == pytest.approx(judged_by_hand(world, split, scores), abs=1e-8)
            n = row["n_covered"]
            assert (row["low"], row["high"]) == pytest.approx(wilson(row["accuracy"] * n, n), abs=1e-8)
        row = found[split, "end model"]
        accuracy, _, precision = judged_by_hand(world, split, world.predicted.__getitem__)
        gold = {e: g for e, g in world.gold.items() if world.split(e) == split}
        everywhere = sum(max(world.predicted[e], key=world.predicted[e].get) == g for e, g in gold.items()) / len(gold)
        assert (row["accuracy"], row["accuracy_all"], row["average_precision"]) == pytest.approx((accuracy, everywhere, precision), abs=1e-8)


def _two(world: World) -> World:
    """The same world with `other` read as `ham`."""
    as_two = {"other": "ham"}
    votes = {e: {lf: as_two.get(c, c) for lf, c in v.items()} for e, v in world.votes.items()}
    gold = {e: as_two.get(c, c) for e, c in world.gold.items()}
    predicted = {e: {"ham": p["ham"] + p["other"], "spam": p["spam"]} for e, p in world.predicted.items()}
    return World(votes, ("ham", "spam"), world.splits, gold, predicted=predicted)


# -- rows ---------------------------------------------------------------------------------------------------------------


def test_examples_are_right_where_gold_says_so_and_never_from_the_test_split(questions, world):
    found = questions.ask("report_examples", n=3, pool=1000).rows
    assert {r["verdict"] for r in found} == {"right", "wrong", "unjudged"}
    assert max(Counter((r["lf"], r["verdict"]) for r in found).values()) == 3
    for row in found:
        e = row["entity"]["entity_id"]
        assert world.split(e) != "test" and world.votes[e][row["lf"]] == row["voted"] and world.gold.get(e) == row["gold"]
        assert row["verdict"] == ("unjudged" if e not in world.gold else "right" if world.gold[e] == row["voted"] else "wrong")


def test_explained_entities(questions, world):
    found = questions.ask("report_explained", n=2).rows
    assert [r["kind"] for r in found] == ["most certain"] * 2 + ["least certain"] * 2 + ["wrong"] * 2
    shown = [r["entity"]["entity_id"] for r in found]
    assert all(world.split(e) != "test" for e in shown)
    seen = [max(world.p(e).values()) for e in world.votes if world.votes[e] and world.split(e) != "test"]
    assert found[0]["confidence"] == pytest.approx(max(seen)) and found[2]["confidence"] == pytest.approx(min(seen))
    for row, e in zip(found, shown):
        votes = {p["source"]: p["evidence"] for p in row["evidence"] if p["vote"]}
        assert votes == {lf: float(c == row["best"]) - float(c == row["runner_up"]) for lf, c in world.votes[e].items()}
        assert row["gold"] == world.gold.get(e) and (row["kind"] != "wrong" or row["gold"] != row["label"])


# -- runs ---------------------------------------------------------------------------------------------------------------


def test_changes_since_the_last_run(questions):
    found = {r["lf"]: (r["n_before"], r["n_after"]) for r in questions.ask("report_change", task="spam").rows}
    assert found == {"a": (10, None), "b": (10, 20), "c": (10, 20), "d": (10, 20), "z": (10, 20)}


def test_runs_lineage_versions(questions):
    assert [(r["run_id"], r["started_at"]) for r in questions.ask("report_runs", task="spam").rows] == [
        (2, "2026-01-02 10:00:00"),
        (1, "2026-01-01 10:00:00"),
    ]
    assert [(r["output"], r["input"], r["n_inputs"], r["run_id"]) for r in questions.ask("report_lineage", task="spam").rows] == [
        ("spam.entity", "warehouse.t", 1, 2),
        ("spam.votes", "labeling functions", 2, 2),
    ]
    assert questions.ask("report_versions", task="spam").rows == [{"package": "duckdb", "version": "1.4"}]


def test_label_models(questions):
    (row,) = questions.ask("report_label_models").rows
    assert (row["method"], row["chosen"], row["reason"]) == ("auto", "dawid_skene", "votes overlap")


def test_columns_of_any_type_come_through():
    world = World({1: {"a": "spam"}})
    store = store_of(world)
    odd = "SELECT uuid '00000000-0000-0000-0000-000000000001' AS entity_id, 'text' AS modality, 'train' AS split, TIMESTAMP 'infinity' AS at, 'nan'::DOUBLE AS x, '\\xFF'::BLOB AS b, [1.5]::FLOAT[1] AS v"
    store.create("spam", "entity", odd)
    store.create("spam", "entity_vote", "SELECT entity_id, 'text' AS modality, 'train' AS split, 0::UBIGINT AS pattern_id FROM spam.entity")
    store.create("spam", "gold_label", "SELECT entity_id, 'spam' AS label FROM spam.entity")
    (row,) = Questions(store, world.task).ask("report_examples", n=1, pool=9).rows
    assert (
        row["verdict"] == "right" and row["entity"]["entity_id"].endswith("1") and row["entity"]["at"] == "infinity" and row["entity"]["v"] == [1.5]
    )
    assert "infinity" in build_report(store, world.task)
