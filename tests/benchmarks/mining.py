"""Itemset mining: against the textbook query, against mlxtend, and at the size of the paper.

    python -m tests.benchmarks.mining                 5 M rows, orders 1 and 2, the textbook query beside it; mlxtend at 50 k
    python -m tests.benchmarks.mining --rows 25e6     order 1 and the whole of `suggest`'s work, time and memory

Rows have 15 multivalued features of 0 to 4 items, vocabularies of 20 to 4,000, 3 % positives (the shape of CT 1 to 5 in Suri et al. 2020).
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np

from groundswell.mining import MiningOptions, count_features, cover, judge, mark_rows, minable, reach, sample_mined, select
from groundswell.mining.bounds import bounds_of
from groundswell.store import Store

VOCABULARY = (20, 50, 100, 200, 400, 800, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4000, 4000)
FEATURES = minable({f"f{j}": "VARCHAR[]" for j in range(len(VOCABULARY))})
CLASSES = ("no", "yes")
LARGE_MEMORY, DRAWN = "4GB", 5_000_000
"""At the size of the paper: what DuckDB may use, and rows that are drawn before they repeat."""


def generate(connection: duckdb.DuckDBPyConnection, rows: int) -> None:
    """t.entity and t.gold_label with `rows` rows; positives draw a quarter of their items from the head of each vocabulary."""
    def item(j: int, size: int, slot: int) -> str:
        power = f"hash(i * 31 + {j * 7 + slot}) / 1.8446744073709552e19 * CASE WHEN y AND hash(i * 17 + {j * 5 + slot}) % 4 = 0 THEN 0.5 ELSE 1 END"
        return f"'f{j}_' || CAST(floor(pow({size}, {power})) AS INTEGER)"

    lists = ", ".join(f"list_distinct([{', '.join(item(j, size, slot) for slot in range(4))}][1 : CAST(hash(i * 13 + {j}) % 5 AS INTEGER)]) AS f{j}" for j, size in enumerate(VOCABULARY))
    connection.execute("CREATE SCHEMA t")
    connection.execute(
        f"CREATE TABLE t.entity AS SELECT i AS entity_id, CASE WHEN i % 10 < 8 THEN 'text' ELSE 'image' END AS modality, 'train' AS split, {lists} "
        f"FROM (SELECT range AS i, hash(range * 7) % 100 < 3 AS y FROM range({rows}))"
    )
    connection.execute(f"CREATE TABLE t.gold_label AS SELECT range AS entity_id, CASE WHEN hash(range * 7) % 100 < 3 THEN 'yes' ELSE 'no' END AS label FROM range({rows})")


def repeat(connection: duckdb.DuckDBPyConnection, rows: int) -> None:
    """The same rows again under new keys, until there are `rows`."""
    drawn = connection.execute("SELECT count(*) FROM t.entity").fetchone()[0]
    for start in range(drawn, rows, drawn):
        for table in ("entity", "gold_label"):
            connection.execute(f"INSERT INTO t.{table} SELECT * REPLACE (entity_id + {start} AS entity_id) FROM t.{table} WHERE entity_id < {min(drawn, rows - start)}")


def textbook(connection: duckdb.DuckDBPyConnection) -> int:
    """Items of the mined rows that reach support and recall in a class, unnested and joined: how many."""
    items = " UNION ALL ".join(f"SELECT DISTINCT m.row AS id, m.y, 'f{j}' AS f, unnest(e.f{j}) AS tok FROM t.entity AS e JOIN mining_row AS m ON m.row = e.rowid WHERE m.mined" for j in range(len(VOCABULARY)))
    return connection.execute(f"""
        WITH item AS ({items}), np AS (SELECT count(*) FILTER (y = 1) AS p, count(*) FILTER (y = 0) AS q FROM mining_row WHERE mined),
        cand AS (SELECT f, tok, count(*) AS tp FROM item WHERE y = 1 GROUP BY f, tok HAVING count(*) >= greatest(30, 0.01 * (SELECT p FROM np))),
        stat AS (SELECT c.f, c.tok, c.tp, count(i.id) AS fp FROM cand AS c LEFT JOIN item AS i ON i.y = 0 AND i.f = c.f AND i.tok = c.tok GROUP BY ALL)
        SELECT count(*) FROM stat
    """).fetchone()[0]  # fmt: skip


def counted(store: Store, order: int, frequent: np.ndarray) -> list:
    return list(count_features(store, "t", FEATURES, 2, order, frequent))


def timed(work) -> tuple[float, object]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def connected(folder: str, memory: str = "8GB") -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(f"{folder}/mining.duckdb")
    connection.execute(f"SET memory_limit = '{memory}'; SET preserve_insertion_order = false; SET enable_progress_bar = false")
    connection.execute(f"SET temp_directory = '{folder}/spill'")
    return connection


def opened(folder: str, rows: int) -> Store:
    connection = connected(folder)
    generate(connection, rows)
    return Store(connection, None)


def written(folder: str, rows: int) -> Store:
    """The same by another process, so that this one's peak memory is that of mining."""
    writer = get_context("spawn").Process(target=write, args=(folder, rows))
    writer.start()
    writer.join()
    if writer.exitcode:
        raise SystemExit(f"generating ended with {writer.exitcode}")
    return Store(connected(folder, LARGE_MEMORY), None)


def write(folder: str, rows: int) -> None:
    connection = connected(folder, LARGE_MEMORY)
    generate(connection, min(rows, DRAWN))
    repeat(connection, rows)
    connection.close()


def compare(rows: int, repeats: int) -> None:
    with TemporaryDirectory() as folder:
        store = opened(folder, rows)
        labelled = mark_rows(store, "t", CLASSES, ["train"], ["text", "image"])
        frequent = _frequent(labelled.mined)
        ours, theirs, pairs = [], [], []
        for _ in range(repeats):
            seconds, found = timed(lambda: counted(store, 1, frequent))
            ours.append(seconds)
            seconds, n = timed(lambda: textbook(store.connection))
            theirs.append(seconds)
            seconds, larger = timed(lambda: counted(store, 2, frequent))
            pairs.append(seconds)
        kept = sum(int((c.n[:, 1] >= max(30, 0.01 * labelled.mined[1])).sum()) for c in found)
        if kept != n:
            raise SystemExit(f"the textbook query finds {n} items, ours {kept}")
        n_pairs = sum(sum(len(items) == 2 for items in c.itemsets) for c in larger)
        a, b, c = (statistics.median(each) for each in (ours, theirs, pairs))
        print(f"\n{rows:,} rows x {len(VOCABULARY)} features, {labelled.mined.sum():,} mined; median of {repeats}")
        print(f"{'order 1, both classes, one GROUP BY per feature':52} {a:7.2f} s")
        print(f"{'textbook: unnest and join, positives only':52} {b:7.2f} s   {b / a:.1f}x, same {n} items")
        print(f"{f'orders 1 and 2, {n_pairs} pairs':52} {c:7.2f} s")


def _frequent(mined: np.ndarray) -> np.ndarray:
    bounds = [bounds_of(MiningOptions(), n / mined.sum()) for n in mined]
    return np.array([max(b.support, int(np.ceil(b.recall * n))) for b, n in zip(bounds, mined)])


def whole(rows: int) -> None:
    """Everything `suggest` does after the entities are there."""
    with TemporaryDirectory() as folder:
        store = written(folder, rows)
        print(f"\n{rows:,} rows x {len(VOCABULARY)} features; generated, {Path(folder, 'mining.duckdb').stat().st_size / 1e9:.1f} GB on disk")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        marking, labelled = timed(lambda: mark_rows(store, "t", CLASSES, ["train"], ["text", "image"]))
        counting, counts = timed(lambda: counted(store, 1, _frequent(labelled.mined)))
        options = MiningOptions()
        sampling, _ = timed(lambda: sample_mined(store, "t", FEATURES))
        selecting, found = timed(lambda: select(counts, labelled, options, lambda *g: cover(store, *g), lambda lfs, y: reach(store, lfs, y)))
        lfs = [lf for tried in found for lf in tried[-1].lfs]
        judging, _ = timed(lambda: judge(store, "t", lfs, 2, ["text"]))
        for name, seconds in (("mark rows", marking), ("count items", counting), ("sample", sampling), ("select", selecting), ("judge", judging), ("together", marking + counting + sampling + selecting + judging)):
            print(f"{name:20} {seconds:8.1f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{labelled.mined.sum():,} mined, {len(lfs)} labeling functions; peak memory {peak / 1e6:.2f} GB ({before / 1e6:.2f} GB before)")


def against_mlxtend(rows: int, repeats: int) -> None:
    """Itemsets of up to two items of one feature with 1 % support: the same sets, and how long."""
    try:
        from mlxtend.frequent_patterns import apriori, fpgrowth
        from mlxtend.preprocessing import TransactionEncoder
    except ImportError:
        print("\nmlxtend is not installed: pip install mlxtend")
        return
    with TemporaryDirectory() as folder:
        store = opened(folder, rows)
        store.execute("CREATE TEMP TABLE mining_row AS SELECT rowid AS row, CAST(0 AS UTINYINT) AS y, true AS mined, CAST(0 AS SMALLINT) AS shuffle FROM t.entity")
        least, features = int(np.ceil(0.01 * rows)), minable({f"f{j}": "VARCHAR[]" for j in range(4)})
        ours = lambda: {frozenset(items): int(n[0]) for c in count_features(store, "t", features, 1, 2, np.array([least])) for items, n in zip(c.itemsets, c.n) if n[0] >= least}  # noqa: E731

        def theirs(method, **options):
            found = {}
            for f in features:
                lists = store.arrow(f"SELECT {f.name} FROM t.entity")[f.name].to_pylist()
                encoder = TransactionEncoder()
                import pandas as pd

                frame = pd.DataFrame.sparse.from_spmatrix(encoder.fit(lists).transform(lists, sparse=True), columns=encoder.columns_) if options.pop("sparse", False) else pd.DataFrame(encoder.fit(lists).transform(lists), columns=encoder.columns_)
                sets = method(frame, min_support=least / rows, use_colnames=True, max_len=2, **options)
                found |= {frozenset(s): round(p * rows) for s, p in zip(sets["itemsets"], sets["support"])}
            return found

        arms = {"ours": ours, "mlxtend fpgrowth": lambda: theirs(fpgrowth), "mlxtend apriori": lambda: theirs(apriori), "mlxtend apriori, low memory": lambda: theirs(apriori, low_memory=True)}
        print(f"\n{rows:,} rows x {len(features)} features, itemsets to order 2 with 1 % support; median of {repeats}")
        results, base = {}, None
        for name, work in arms.items():
            runs = [timed(work) for _ in range(repeats)]
            seconds, results[name] = statistics.median(s for s, _ in runs), runs[-1][1]
            base = base or seconds
            same = "" if name == "ours" else f"   {seconds / base:.1f}x" + (", same sets" if results[name] == results["ours"] else ", OTHER SETS")
            print(f"{name:30} {seconds:7.2f} s   {len(results[name])} sets{same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=5e6)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if given.rows > 5e6:
        whole(int(given.rows))
        return
    compare(int(given.rows), given.repeats)
    against_mlxtend(50_000, given.repeats)


if __name__ == "__main__":
    main()
