"""Every number of the analysis tables against the eight-row example and against brute force over the matrix itself."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

import groundswell as gs

ABSTAIN = None


def run(matrix: list[list[str | None]], classes: list[str], gold: list[str | None] | None = None, splits: list[str] | None = None, method: str = "majority", lfs=None):
    """A workspace after a run in which LF j votes matrix[i][j] on row i."""
    m = len(matrix[0]) if matrix else 2
    names = lfs or [f"L{j + 1}" for j in range(m)]
    columns = {"id": pa.array(range(len(matrix)), pa.int64())} | {f"v{j}": pa.array([row[j] for row in matrix], pa.string()) for j in range(m)}
    columns |= {"truth": pa.array(gold or [None] * len(matrix), pa.string()), "part": pa.array(splits or ["train"] * len(matrix), pa.string())}
    ws = gs.open(pa.table(columns), key="id", classes=classes, gold="truth" if gold else None, split={"column": "part"}, label_model={"method": method})
    for j, name in enumerate(names):
        if j % 2:
            ws.lf_relation(name, f"SELECT id, v{j} AS label FROM rows JOIN (SELECT 1) ON true WHERE v{j} IS NOT NULL")
        else:
            ws.lf_relation(name, f"SELECT id, CASE v{j} {' '.join(f'''WHEN '{c}' THEN '{c}' ''' for c in classes)} END AS label FROM rows")
    ws.run()
    return ws


def rows(ws, table: str) -> list[dict]:
    return ws.store.arrow(f'FROM "task"."{table}"').to_pylist()


# -- the example of eight rows -------------------------------------------------------------------------------------------

EIGHT = ["11.", "1..", "...", "01.", "000", ".00", "1.0", "..0"]
GOLD = ["1", "0", "1", "0", "0", "0", "1", None]


@pytest.fixture(scope="module")
def eight():
    with run([[None if c == "." else c for c in row] for row in EIGHT], ["0", "1"], GOLD) as ws:
        yield ws


@pytest.mark.parametrize(("column", "wanted"), [
    ("polarity", [["0", "1"], ["0", "1"], ["0"]]),
    ("n_votes", [5, 4, 4]),
    ("coverage", [0.625, 0.5, 0.5]),
    ("overlaps", [0.5, 0.5, 0.375]),
    ("conflicts", [0.25, 0.125, 0.125]),
    ("n_correct", [4, 3, 2]),
    ("n_incorrect", [1, 1, 1]),
    ("empirical_accuracy", [0.8, 0.75, 2 / 3]),
])  # fmt: skip
def test_lf_summary_of_the_example(eight, column, wanted):
    assert [row["lf"] for row in rows(eight, "lf_summary")] == ["L1", "L2", "L3"]
    assert [row[column] for row in rows(eight, "lf_summary")] == wanted


def test_row_level_statistics_of_the_example(eight):
    (row,) = rows(eight, "coverage")
    assert (row["n_entities"], row["n_covered"], row["n_overlapping"], row["n_conflicting"]) == (8, 7, 5, 2)
    assert row["mean_votes"] == 13 / 8
    assert len(rows(eight, "vote_pattern")) == 8


def test_recall_of_the_example(eight):
    confusion = {(r["lf"], r["gold"], r["vote"]): r["n"] for r in rows(eight, "lf_confusion")}
    assert [confusion.get((lf, "1", "1"), 0) for lf in ("L1", "L2", "L3")] == [2, 1, 0]  # of 3 gold rows


# -- brute force ----------------------------------------------------------------------------------------------------------


def summary(matrix, lfs, gold):
    n = len(matrix)
    for j, lf in enumerate(lfs):
        mine = [(i, row) for i, row in enumerate(matrix) if row[j] is not None]
        others = [[v for k, v in enumerate(row) if v is not None and k != j] for _, row in mine]
        judged = [row[j] == gold[i] for i, row in mine if gold[i] is not None] if gold else []
        known = bool(gold) and any(g is not None for g in gold)
        yield {
            "lf": lf, "polarity": sorted({row[j] for _, row in mine}), "n_votes": len(mine), "coverage": len(mine) / n,
            "overlaps": sum(bool(o) for o in others) / n,
            "conflicts": sum(len({v for v in row if v is not None}) > 1 for _, row in mine) / n,
            "n_correct": sum(judged) if known else None, "n_incorrect": len(judged) - sum(judged) if known else None,
            "empirical_accuracy": sum(judged) / len(judged) if judged else None,
        }  # fmt: skip


def pairs(matrix, lfs):
    fires = np.array([[v is not None for v in row] for row in matrix], float)
    for (a, x), (b, y) in combinations(sorted((lf, j) for j, lf in enumerate(lfs)), 2):
        both = [(row[x], row[y]) for row in matrix if row[x] is not None and row[y] is not None]
        agree = sum(p == q for p, q in both)
        constant = fires[:, x].std() == 0 or fires[:, y].std() == 0
        correlation = None if constant else float(np.corrcoef(fires[:, x], fires[:, y])[0, 1])
        yield {"lf_a": a, "lf_b": b, "n_both": len(both), "n_agree": agree, "n_conflict": len(both) - agree, "agreement": agree / len(both) if both else None, "correlation": correlation}


def coverage(matrix, splits):
    for split in sorted(set(splits)):
        seen = [[v for v in row if v is not None] for row, s in zip(matrix, splits) if s == split]
        yield {
            "split": split, "modality": "rows", "n_entities": len(seen), "n_covered": sum(map(bool, seen)), "n_overlapping": sum(len(v) > 1 for v in seen),
            "n_conflicting": sum(len(set(v)) > 1 for v in seen), "mean_votes": sum(map(len, seen)) / len(seen),
        }  # fmt: skip


def patterns(matrix, lfs):
    count = Counter(tuple(row) for row in matrix)
    return sorted((sorted((lf, v) for lf, v in zip(lfs, row) if v is not None), n) for row, n in count.items())


def random_case(seed: int):
    rng = np.random.default_rng(seed)
    k, m, n = [(2, 3, 40), (3, 5, 60), (7, 4, 80), (8, 20, 50), (2, 70, 30), (15, 6, 60), (16, 9, 40), (3, 1, 12), (2, 33, 25), (4, 12, 1)][seed % 10]
    classes = [f"c{i}" for i in rng.permutation(k)]
    silent = rng.random(m) < 0.15
    rate = rng.uniform(0.05, 1.0, m) * ~silent
    matrix = [[classes[rng.integers(k)] if rng.random() < rate[j] else None for j in range(m)] for _ in range(n)]
    gold = [classes[rng.integers(k)] if rng.random() < 0.6 else None for _ in range(n)] if seed % 3 else None
    splits = [str(s) for s in rng.choice(["train", "dev", "test"], n)]
    lfs = [f"{'zyxw'[j % 4]}{j}" for j in range(m)]
    return matrix, classes, gold, splits, lfs


def close(found: list[dict], wanted: list[dict]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        for name, value in b.items():
            assert a[name] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value), (name, a, b)


@pytest.mark.parametrize("seed", range(12))
def test_every_statistic_equals_brute_force(seed):
    matrix, classes, gold, splits, lfs = random_case(seed)
    with run(matrix, classes, gold, splits, lfs=lfs) as ws:
        close(rows(ws, "lf_summary"), sorted(summary(matrix, lfs, gold), key=lambda r: r["lf"]))
        close(rows(ws, "lf_pair"), list(pairs(matrix, lfs)))
        close(rows(ws, "coverage"), list(coverage(matrix, splits)))
        votes = {(i, lf, v) for i, row in enumerate(matrix) for lf, v in zip(lfs, row) if v is not None}
        assert {(r["entity_id"], r["lf"], r["label"]) for r in rows(ws, "votes")} == votes and len(rows(ws, "votes")) == len(votes)
        assert {r["entity_id"]: [r[lf] for lf in lfs] for r in rows(ws, "label_matrix")} == dict(enumerate(matrix))
        assert sorted((sorted(r["votes"]), r["n_entities"]) for r in rows(ws, "vote_pattern")) == patterns(matrix, lfs)
        assert all(r["n_votes"] == len(r["votes"]) for r in rows(ws, "vote_pattern"))
        by_pattern = {r["pattern_id"]: dict(r["votes"]) for r in rows(ws, "vote_pattern")}
        assert {r["entity_id"]: by_pattern[r["pattern_id"]] for r in rows(ws, "entity_pattern")} == {i: {lf: v for lf, v in zip(lfs, row) if v is not None} for i, row in enumerate(matrix)}
        confusion = Counter((lf, gold[i], v) for i, lf, v in votes if gold and gold[i] is not None)
        assert {(r["lf"], r["gold"], r["vote"]): r["n"] for r in rows(ws, "lf_confusion")} == confusion
        for row in rows(ws, "lf_summary"):
            assert 0 <= row["conflicts"] <= row["overlaps"] <= row["coverage"] <= 1


@pytest.mark.parametrize(("seed", "method"), [(0, "majority"), (1, "dawid_skene"), (3, "auto"), (8, "majority"), (9, "auto")])
def test_labels_are_distributions_over_covered_entities(seed, method):
    matrix, classes, gold, splits, lfs = random_case(seed)
    covered = {i for i, row in enumerate(matrix) if any(row)}
    with run(matrix, classes, gold, splits, method, lfs) as ws:
        p: dict[int, dict[str, float]] = {}
        for row in rows(ws, "probabilistic_labels"):
            assert 0 <= row["p"] <= 1
            p.setdefault(row["entity_id"], {})[row["label"]] = row["p"]
        assert set(p) == covered
        training = {row["entity_id"]: row for row in rows(ws, "training_set")}
        assert set(training) == covered
        for i, each in p.items():
            assert set(each) == set(classes) and sum(each.values()) == pytest.approx(1, abs=1e-9)
            best = [label for label, value in each.items() if value >= max(each.values()) - 1e-9]
            row = training[i]
            assert row["label"] == (best[0] if len(best) == 1 else None)
            assert row["confidence"] == pytest.approx(max(each.values()))
            assert row["entropy"] == pytest.approx(-sum(v * np.log(v) for v in each.values() if v > 0), abs=1e-9)
            assert (row["split"], row["modality"], row["n_votes"]) == (splits[i], "rows", sum(v is not None for v in matrix[i]))


def test_majority_vote_by_hand():
    with run([["a", "a", "b"], ["a", "b", None], [None, None, None], ["b", None, None]], ["a", "b"]) as ws:
        assert {r["entity_id"]: r["label"] for r in rows(ws, "training_set")} == {0: "a", 1: None, 3: "b"}


def test_no_gold_means_null_not_zero():
    with run([["a"], ["b"]], ["a", "b"]) as ws:
        (row,) = rows(ws, "lf_summary")
        assert (row["n_correct"], row["n_incorrect"], row["empirical_accuracy"]) == (None, None, None)


def test_an_lf_that_never_votes_stays_in_the_table_and_changes_nothing_else():
    matrix, classes, gold, splits, lfs = random_case(1)
    with run(matrix, classes, gold, splits, lfs=lfs) as ws, run([[*row, None] for row in matrix], classes, gold, splits, lfs=[*lfs, "silent"]) as more:
        before, after = rows(ws, "lf_summary"), rows(more, "lf_summary")
        silent = next(r for r in after if r["lf"] == "silent")
        assert (silent["polarity"], silent["n_votes"], silent["coverage"], silent["empirical_accuracy"]) == ([], 0, 0, None)
        close([r for r in after if r["lf"] != "silent"], before)
        assert len(rows(more, "vote_pattern")) == len(rows(ws, "vote_pattern"))


@pytest.mark.parametrize("n", [0, 3])
def test_all_abstain(n):
    with run([[None, None]] * n, ["a", "b"]) as ws:
        assert [(r["n_votes"], r["coverage"], r["polarity"]) for r in rows(ws, "lf_summary")] == [(0, 0.0, [])] * 2
        assert [(r["n_entities"], r["n_votes"], r["votes"]) for r in rows(ws, "vote_pattern")] == ([(3, 0, [])] if n else [])
        assert rows(ws, "votes") == rows(ws, "training_set") == rows(ws, "probabilistic_labels") == []
        assert len(rows(ws, "label_matrix")) == n
        assert [r["label"] for r in rows(ws, "class")] == ["a", "b"]


def test_permuted_rows_and_lfs_give_the_same_numbers():
    matrix, classes, gold, splits, lfs = random_case(4)
    order, places = np.random.default_rng(0).permutation(len(matrix)), np.random.default_rng(1).permutation(len(lfs))
    shuffled = [[matrix[i][j] for j in places] for i in order]
    with run(matrix, classes, gold, splits, "auto", lfs) as ws, run(shuffled, classes, [gold[i] for i in order], [splits[i] for i in order], "auto", [lfs[j] for j in places]) as other:
        for table in ("lf_summary", "lf_pair", "lf_confusion", "coverage", "vote_pattern", "class"):
            assert rows(ws, table) == rows(other, table)
        labels = lambda w, back: {back(r["entity_id"]): (r["label"], r["confidence"]) for r in rows(w, "training_set")}  # noqa: E731
        assert labels(ws, int) == labels(other, lambda i: int(order[i]))
