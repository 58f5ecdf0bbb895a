"""The report of a large task: seconds in all, seconds of every query, bytes of the file.

python -m tests.benchmarks.report_scale --rows 10000000 --lfs 50

The store is written directly as its tables: rows share `--patterns` vote patterns, some much more often than others; every row
has a text, an end model's prediction and one in a hundred has gold. Targets at 10 million rows and 50 LFs: under 30 s, under
5 MB, with the memory limit of a project (2 GB).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from groundswell.project.config import load_project
from groundswell.report import build_report
from groundswell.report.ask import Questions
from groundswell.store import Store, reading
from groundswell.store.schema import STORAGE_VERSION, TABLES

CONFIG = """[project]
name = "large"

[warehouse]
from = "groundswell.duckdb"

[modality.text]
from = "t"
key = "entity_id"

[task.large]
classes = ["a", "b", "c"]
"""
CLASS = "list_extract(['a', 'b', 'c'], 1 + CAST({0} % 3 AS INTEGER))"
BUILD = """
CREATE SCHEMA large;
USE store.large;
CREATE TABLE class AS SELECT unnest(['a', 'b', 'c']) AS label, unnest([0, 1, 2]) AS position, 1 / 3 AS prior;
CREATE TABLE lf AS SELECT printf('rule_%02d', i) AS lf, 'predicate' AS kind, NULL::VARCHAR AS label, 'FROM t WHERE body ILIKE ''%word' || i || '%''' AS sql, 'lfs/rules.sql' AS path,
    i::INTEGER AS line, 'me' AS owner, ['text'] AS tags, 'ok' AS status, NULL::VARCHAR AS error FROM range({lfs}) AS r(i);
CREATE TABLE pattern_vote AS SELECT *, label AS said, NULL::VARCHAR AS ruled_out, label AS symbol, 'vote' AS ballot FROM (SELECT p::UBIGINT AS pattern_id, lf, {voted} AS label FROM range({patterns}) AS r(p), lf WHERE hash(p, lf) % 100 < 6);
CREATE TABLE vote_code AS SELECT i AS entity_id, 'text' AS modality, list_extract(['train', 'train', 'dev', 'test'], 1 + (i % 4)) AS split,
    hash(p) AS w0, hash(p, 1) AS w1 FROM (SELECT i, CAST({patterns} * power(hash(i) % 1000000 / 1e6, 3) AS BIGINT) AS p FROM range({rows}) AS r(i));
CREATE TABLE entity AS SELECT entity_id, modality, split, NULL::TIMESTAMPTZ AS event_time, repeat(md5(entity_id::VARCHAR) || ' ', 4) AS body FROM vote_code;
CREATE TABLE pattern_code AS SELECT p::UBIGINT AS pattern_id, w0, w1, n_entities FROM (SELECT w0, w1, count(*) AS n_entities FROM vote_code GROUP BY ALL)
    JOIN (SELECT p, hash(p) AS w0 FROM range({patterns}) AS r(p)) USING (w0);
CREATE TABLE pattern_split AS SELECT c.modality, c.split, p.pattern_id, count(*) AS n_entities FROM vote_code AS c JOIN pattern_code AS p USING (w0, w1) GROUP BY ALL;
CREATE VIEW entity_vote AS SELECT v.entity_id, v.modality, v.split, p.pattern_id FROM large.vote_code AS v JOIN large.pattern_code AS p USING (w0, w1);
CREATE TABLE gold_label AS SELECT entity_id, {gold} AS label FROM vote_code WHERE hash(entity_id) % 100 = 0;
CREATE TABLE predictions AS SELECT 1 AS model_id, entity_id, {gold} AS predicted_label, 0.4 + (hash(entity_id, 2) % 1000000) / 2e6 AS confidence,
    map(['a', 'b', 'c'], [(hash(entity_id, 3) % 1000000) / 1e6, (hash(entity_id, 4) % 1000000) / 1e6, 0.1]) AS p FROM vote_code;
DELETE FROM pattern_vote WHERE pattern_id NOT IN (SELECT pattern_id FROM pattern_code);
CREATE TABLE pattern_label AS WITH s AS (SELECT p.pattern_id, c.label, exp(1.7 * count(v.lf)) AS s FROM (SELECT DISTINCT pattern_id FROM pattern_vote) AS p CROSS JOIN class AS c
    LEFT JOIN pattern_vote AS v ON v.pattern_id = p.pattern_id AND v.label = c.label GROUP BY ALL) SELECT pattern_id, label, s / sum(s) OVER (PARTITION BY pattern_id) AS p FROM s;
CREATE TABLE pattern_summary AS SELECT pattern_id, CASE WHEN count(*) FILTER (WHERE p > 0.4) = 1 THEN arg_max(label, p) END AS label, max(p) AS confidence, 0.5 AS entropy, 2::INTEGER AS n_votes FROM pattern_label GROUP BY 1;
CREATE TABLE label_evidence AS SELECT lf.lf, v.label AS vote, c.label, CASE WHEN v.label = c.label THEN 1.7 ELSE 0.0 END AS weight FROM lf, (SELECT label FROM class UNION ALL SELECT NULL) AS v, class AS c;
CREATE TABLE label_interaction (lfs VARCHAR[], votes VARCHAR[], label VARCHAR, weight DOUBLE);
CREATE TABLE vote_symbol AS SELECT label AS symbol, label AS hard FROM class;
CREATE TABLE lf_learned AS SELECT lf, 0.8 AS learned_accuracy FROM lf;
CREATE TABLE label_model AS SELECT 1 AS model_id, 'auto' AS method, '{{"chosen": "dawid_skene"}}'::JSON AS options, 0.1 AS majority_disagreement, 0.8 AS expected_accuracy,
    []::VARCHAR[] AS warnings, TRUE AS is_current, now() AS created_at;
USE store;
"""
FILES = ("vote_pattern", "pattern_gold", "lf_summary", "lf_pair", "lf_confusion", "coverage")


def build_store(path: Path, rows: int, lfs: int, patterns: int) -> None:
    """A published store as the pipeline leaves it."""
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{path}' AS store (STORAGE_VERSION '{STORAGE_VERSION}')")
    connection.execute("USE store")
    connection.execute(TABLES + "INSERT INTO gs.schema_version VALUES (1);")
    voted = CLASS.format("((hash(lf) % 3 + CASE WHEN hash(p, lf, 1) % 5 = 0 THEN 1 ELSE 0 END))")
    connection.execute(BUILD.format(rows=rows, lfs=lfs, patterns=patterns, voted=voted, gold=CLASS.format("hash(entity_id, 9)")))
    store = Store(connection, path)
    connection.execute("CREATE VIEW large.entity_pattern AS SELECT entity_id, pattern_id FROM large.entity_vote")
    for name in FILES:
        store.create_from_file("large", name)
    connection.execute("INSERT INTO gs.run VALUES (1, 'run', 'large', now(), 1.0, 'ok', map(['duckdb'], ['1.4']))")
    connection.close()


class Timed(Questions):
    """Questions that keep the time each took."""

    seconds: dict[str, float] = {}

    def ask(self, name: str, **parameters):
        """The answer, and its seconds noted."""
        start = time.perf_counter()
        answer = super().ask(name, **parameters)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return answer


def main() -> None:
    """Build, report, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--lfs", type=int, default=50)
    parser.add_argument("--patterns", type=int, default=50_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "groundswell.toml").write_text(CONFIG)
        start = time.perf_counter()
        build_store(root / "groundswell.duckdb", options.rows, options.lfs, options.patterns)
        built = time.perf_counter() - start
        project = load_project(root)
        from groundswell.report import page

        page.Questions = Timed
        store = reading(project)
        start = time.perf_counter()
        text = build_report(store, project.tasks["large"])
        seconds = time.perf_counter() - start
        store.close()
    table = Table(
        "query", "seconds", title=f"{options.rows:,} rows, {options.lfs} LFs, at most {options.patterns:,} patterns (store built in {built:.0f} s)"
    )
    for name, each in sorted(Timed.seconds.items(), key=lambda pair: -pair[1]):
        table.add_row(name, f"{each:.2f}")
    table.add_section()
    table.add_row("the report", f"{seconds:.1f} (target 30)")
    table.add_row("MB of the file", f"{len(text.encode()) / 1e6:.2f} (target 5)")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
