"""A killed coding goes on where it was, and what it has found by then is what it would have found alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from groundswell.affinity import ArrayParts, Evidence, affinities, infer, inference, prototypes
from groundswell.affinity.kept import KeptCodings, replace_file
from groundswell.affinity.parts import selected
from tests.support import published, workspace

from .test_affinity_udfs import points

SLOW = """
import time
import groundswell as gs

@gs.affinity_function("slow")
def slow(vectors, prototypes):
    with open("calls.txt", "a") as file:
        file.write(f"{len(vectors)}\\n")
    time.sleep(0.05)
    return vectors @ prototypes
"""
CODE = """
import sys
import groundswell as gs
from groundswell.affinity import scores
scores.BLOCK_BYTES = 4 * 60 * 4  # four entities a block
with gs.open(sys.argv[1]) as ws:
    ws.affinity(vectors="v", function="slow", method=sys.argv[2], listen=lambda event: print(event.message, flush=True))
"""
RESULTS = ("prototype", "affinity", "affinity_cluster", "affinity_label")


def started(folder, method: str = "em") -> subprocess.Popen:
    """A coding of 60 points in 15 blocks, in a process of its own that says what it does."""
    return subprocess.Popen([sys.executable, "-c", CODE, str(folder), method], cwd=folder, stdout=subprocess.PIPE, text=True)


def killed_at(folder, said: str, method: str = "em") -> None:
    """Start a coding and kill it when it has said something."""
    run = started(folder, method)
    try:
        assert any(said in line for line in run.stdout)
        os.kill(run.pid, signal.SIGKILL)
    finally:
        run.kill()
        run.communicate()


def finish(folder) -> None:
    """A coding that nobody disturbs."""
    run = started(folder)
    run.communicate(timeout=120)
    assert run.returncode == 0


def calls(folder) -> int:
    """How often the affinity function was called."""
    return len((folder / "calls.txt").read_text().splitlines())


def contents(folder) -> dict:
    return {t: published(folder, f"SELECT * FROM side.{t} ORDER BY ALL") for t in RESULTS}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    folder = points(tmp_path_factory.mktemp("undisturbed"), SLOW)
    finish(folder)
    assert calls(folder) == 15
    return contents(folder)


def test_a_killed_coding_computes_only_the_blocks_it_lacks(tmp_path, undisturbed):
    folder = points(tmp_path, SLOW)
    killed_at(folder, "affinities of 24 of 60 rows")
    before = calls(folder)
    assert 6 <= before < 15
    assert not (folder / "groundswell.duckdb").exists()
    finish(folder)
    assert 15 <= calls(folder) <= 16, "the block that was being computed is computed again, no other"
    assert contents(folder) == undisturbed
    finish(folder)
    assert calls(folder) <= 16, "a coding of the same rows computes nothing"


def test_another_method_reads_the_same_affinities(tmp_path, undisturbed):
    folder = points(tmp_path, SLOW)
    killed_at(folder, "class inference", "hierarchical")
    assert calls(folder) == 15
    finish(folder)
    assert calls(folder) == 15 and contents(folder) == undisturbed


def test_changed_rows_are_computed_again(tmp_path):
    import duckdb

    folder = points(tmp_path, SLOW)
    finish(folder)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("UPDATE point SET v = [0.5, 0.5] WHERE id = 17")
    finish(folder)
    assert calls(folder) == 30
    assert len(list((folder / ".groundswell" / "affinities").iterdir())) == 2, "affinities and answers of the last coding; older ones are forgotten"


def evidence(seed: int = 0) -> Evidence:
    random = np.random.default_rng(seed)
    return Evidence(random.random((30, 12)).astype(np.float32), np.arange(12), np.zeros(12, int), np.zeros(12, int))


@pytest.mark.parametrize("method", ["em", "kmeans"])
def test_answers_are_found_again(tmp_path, monkeypatch, method):
    asked = []
    kind = type(inference(method))
    clusters = kind.clusters
    monkeypatch.setattr(kind, "clusters", lambda self, e, k, seed: asked.append(seed) or clusters(self, e, k, seed))
    alone = infer(inference(method), evidence(), 3)
    first = infer(inference(method), evidence(), 3, restarts=2, kept=KeptCodings(tmp_path))
    assert asked == [0, 1, 2, 0, 1]
    second = infer(inference(method), evidence(), 3, restarts=3, kept=KeptCodings(tmp_path))
    assert asked[5:] == [2], "the seeds that have answered are not asked again"
    assert np.array_equal(second.p, alone.p) and second.trace == alone.trace and second.stability == alone.stability
    assert second.converged == alone.converged and np.array_equal(second.log_odds, alone.log_odds)
    infer(inference(method), evidence(1), 3, kept=KeptCodings(tmp_path))
    infer(inference(method), evidence(), 2, kept=KeptCodings(tmp_path))
    assert len(asked) == 12 and len(first.p) == 30, "other affinities or another number of classes are another question"


def test_a_damaged_file_counts_as_missing(tmp_path):
    x = ArrayParts(np.random.default_rng(0).random((20, 3, 4)).astype(np.float32))
    q = prototypes(x, 2).vectors
    blocks = [list(affinities(x, q, kept=KeptCodings(tmp_path))) for _ in range(2)]
    (file,) = tmp_path.rglob("*.npz")
    for damaged in (b"", file.read_bytes()[:-40]):
        file.write_bytes(damaged)
        blocks.append(list(affinities(x, q, kept=KeptCodings(tmp_path))))
    assert all(np.array_equal(b[0], blocks[0][0]) for b in blocks)


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    def failing(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "x", failing)
    assert not (tmp_path / "x").exists()


def test_equal_vectors_have_one_fingerprint():
    x = np.random.default_rng(0).random((5, 2, 3)).astype(np.float32)
    keep = np.array([True, True, False, True, True])
    present = np.ones((5, 2), bool)
    found = [ArrayParts(x), ArrayParts(x.copy()), ArrayParts(x[::-1]), ArrayParts(x, present), selected(ArrayParts(x), keep), ArrayParts(x[keep])]
    a, same, turned, bags, chosen, made = [p.fingerprint() for p in found]
    assert a == same and chosen == made and len({a, turned, bags, chosen}) == 4
