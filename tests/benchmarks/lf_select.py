"""Twenty LFs over N comments, from a table on disk to vote patterns: hand-written SQL, our select, our rewritten select, Snorkel.

python -m tests.benchmarks.lf_select --rows 10000000       a child process per arm (peak memory is its VmHWM), median of 3 runs;
on a busy machine compare CPU seconds

Comments are two runs of words cut from the YouTube comments each, mean length about 100 characters, 11 % of them with
characters outside ASCII; a built-in word list where the shared data set is absent. Snorkel's PandasLFApplier runs on 20,000
rows and its matrix is compared with ours.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import sqlglot
from rich.console import Console
from rich.table import Table

from groundswell.types import EntityLayout, LabelingFunction
from groundswell.votes.select import local_votes
from groundswell.votes.slots import Slot, assign_slots
from tests.shared_data import ROOT

CLASSES = ("ham", "spam")
LFS = {  # name: (label, condition): twelve keyword LFs, four regular expressions, four on numbers, lengths and categories
    "asks_subscribe": ("spam", "content ILIKE '%subscribe%'"),
    "my_channel": ("spam", "content ILIKE '%my channel%' OR content ILIKE '%my video%' OR content ILIKE '%my page%'"),
    "check_out": ("spam", r"regexp_matches(content, '(?i)\bcheck(ing)?\s+(this\s+|me\s+|my\s+)?out\b')"),
    "link": ("spam", r"regexp_matches(content, '(?i)https?://|www\.')"),
    "begs": ("spam", "content ILIKE '%please%' OR content ILIKE '%plz%' OR content ILIKE '%help me%'"),
    "money": ("spam", "content ILIKE '%money%' OR content ILIKE '%dollar%' OR content ILIKE '%paypal%' OR content ILIKE '%income%'"),
    "prize": ("spam", "content ILIKE '%giveaway%' OR content ILIKE '%gift card%' OR content ILIKE '%prize%' OR content ILIKE '%for free%'"),
    "social": ("spam", "content ILIKE '%facebook%' OR content ILIKE '%twitter%' OR content ILIKE '%instagram%'"),
    "visit": ("spam", r"regexp_matches(content, '(?i)\b(visit|website|web site|home page)\b')"),
    "follow": ("spam", "content ILIKE '%follow me%' OR content ILIKE '%add me%'"),
    "long_text": ("spam", "length(content) > 170"),
    "bot_account": ("spam", "author_kind = 'bot'"),
    "short_text": ("ham", "length(content) < 40"),
    "liked": ("ham", "likes > 250"),
    "song": ("ham", "content ILIKE '%song%'"),
    "praise": ("ham", "content ILIKE '%awesome%' OR content ILIKE '%amazing%' OR content ILIKE '%beautiful%' OR content ILIKE '%lovely%'"),
    "artist": ("ham", "content ILIKE '%katy perry%' OR content ILIKE '%shakira%' OR content ILIKE '%eminem%' OR content ILIKE '%gangnam%'"),
    "views": ("ham", r"regexp_matches(content, '(?i)\b(million|billion|[0-9]+) views\b')"),
    "memories": ("ham", "content ILIKE '%remember%' OR content ILIKE '%childhood%' OR content ILIKE '%nostalgi%'"),
    "dances": ("ham", "content ILIKE '%dance%' OR content ILIKE '%world cup%'"),
}
COLUMNS = {"entity_id": "BIGINT", "content": "VARCHAR", "likes": "INTEGER", "author_kind": "VARCHAR"}
ARMS = {"plain": "hand-written: a TINYINT column per LF", "packed": "ours, packed", "rewritten": "ours, packed and rewritten"}
WORDS = """check out my channel please subscribe to this video guys http://example.com I love song so much best ever million views
katy perry shakira eminem remember when was a child free gift card money follow me on facebook twitter awesome amazing beautiful
dance world cup 2014 who is still watching in 2015 lol omg the and of is it you that he was for on are with as his they at be
ｗｏｗ très bien ﻿ 😀 ñ über""".split()
SAMPLE = 20_000
MEMORY_LIMIT = "2GB"


def vocabulary() -> list[str]:
    """The words of the YouTube comments in order, or a built-in list."""
    path = ROOT.parent / "shared" / "data" / "youtube_spam" / "data.parquet"
    if not path.is_file():
        return WORDS
    text = duckdb.sql(f"SELECT string_agg(replace(CONTENT, chr(65279), ''), ' ' ORDER BY COMMENT_ID, CONTENT) FROM '{path}'").fetchone()[0]
    return text.split()


def write_comments(database: Path, rows: int, table: str = "entity") -> float:
    """Build a table of `rows` comments; returns seconds."""
    connection = duckdb.connect(str(database))
    connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
    connection.execute("CREATE TEMP TABLE word AS SELECT $words AS words", {"words": vocabulary()})
    start = time.perf_counter()
    connection.execute(
        f"""CREATE TABLE {table} AS
        WITH drawn AS (
            SELECT i, words, len(words) - 40 AS n, CAST(hash(i, 2) % 16 AS INTEGER) AS first, CAST(hash(i, 3) % 18 AS INTEGER) AS second
            FROM range({rows}) AS r(i), word
        ), placed AS (SELECT *, CAST(hash(i) % n AS INTEGER) AS a, CAST(hash(i, 1) % n AS INTEGER) AS b FROM drawn)
        SELECT
            i AS entity_id,
            array_to_string(
                list_transform(range(1 + first + second), lambda k: words[CASE WHEN k < first THEN 1 + a + k ELSE 1 + b + k END]), ' '
            ) AS content,
            CAST(hash(i, 4) % 280 AS INTEGER) AS likes,
            ['new', 'old', 'bot', 'vip', 'fan', 'old', 'old', 'old'][1 + CAST(hash(i, 5) % 8 AS INTEGER)] AS author_kind
        FROM placed"""
    )
    connection.execute("CHECKPOINT")
    connection.close()
    return time.perf_counter() - start


# -- the arms -----------------------------------------------------------------------------------------------------------


def labeling_functions() -> list[LabelingFunction]:
    """LFS as loaded ones."""
    return [
        LabelingFunction(name, "predicate", label, text, expression=sqlglot.parse_one(text, read="duckdb"))
        for name, (label, text) in LFS.items()
    ]


def slots() -> list[Slot]:
    return assign_slots({name: "" for name in LFS}, len(CLASSES))


def votes_query(arm: str) -> tuple[str, str]:
    """(SELECT of the votes, names of the columns that make a pattern)."""
    if arm == "plain":
        cases = (f"CAST(CASE WHEN {text} THEN {CLASSES.index(label)} ELSE -1 END AS TINYINT) AS {name}" for name, (label, text) in LFS.items())
        return f"SELECT entity_id, {', '.join(cases)} FROM entity", ", ".join(LFS)
    layout = EntityLayout("BIGINT", COLUMNS, (), None)
    query = local_votes(labeling_functions(), slots(), CLASSES, layout, "entity", ("entity_id",), rewritten=arm == "rewritten")
    return query.sql("duckdb"), "w0"


def run_arm(arm: str, database: Path, repeats: int) -> dict:
    """Seconds of votes and patterns (medians), number of patterns, peak memory: run in a process of its own."""
    connection = duckdb.connect(str(database))
    connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
    query, names = votes_query(arm)
    timings = []
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        connection.execute(f"CREATE OR REPLACE TABLE vote_{arm} AS {query}")
        between = time.perf_counter()
        connection.execute(f"CREATE OR REPLACE TABLE pattern_{arm} AS SELECT {names}, count(*) AS n FROM vote_{arm} GROUP BY ALL")
        end = time.perf_counter()
        timings.append((between - start, end - between, end - start, time.process_time() - cpu))
    votes, patterns, total, cpu = (statistics.median(column) for column in zip(*timings))
    return {
        "votes": votes, "patterns": patterns, "total": total, "cpu": cpu, "peak": peak_mb(),
        "n_patterns": connection.execute(f"SELECT count(*) FROM pattern_{arm}").fetchone()[0],
    }  # fmt: skip


def peak_mb() -> float:
    """The most memory this process held (VmHWM)."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


def same_votes(database: Path) -> bool:
    """Do all arms give every row the same votes?"""
    connection = duckdb.connect(str(database))
    codes = " | ".join(f"((({s.lf} + 1)::UBIGINT) << {s.shift})" for s in slots())
    differing = f"""SELECT count(*) FROM vote_plain p JOIN vote_packed a USING (entity_id) JOIN vote_rewritten b USING (entity_id)
        WHERE ({codes}) <> a.w0 OR a.w0 <> b.w0"""
    return connection.execute(differing).fetchone()[0] == 0


# -- Snorkel ------------------------------------------------------------------------------------------------------------


def snorkel_arm(database: Path) -> dict:
    """Seconds of PandasLFApplier on SAMPLE rows, and whether its matrix is ours."""
    from snorkel.labeling import PandasLFApplier
    from snorkel.labeling.lf.core import LabelingFunction as SnorkelLF

    connection = duckdb.connect(str(database), read_only=True)
    frame = connection.execute(f"SELECT * FROM entity WHERE entity_id < {SAMPLE} ORDER BY entity_id").df()
    frame["lowered"] = frame.content.str.lower()
    functions = [SnorkelLF(name, _python(text, CLASSES.index(label))) for name, (label, text) in sorted(LFS.items())]
    start = time.perf_counter()
    matrix = PandasLFApplier(functions).apply(frame, progress_bar=False)
    seconds = time.perf_counter() - start
    names = ", ".join(sorted(LFS))
    ours = connection.execute(f"SELECT {names} FROM vote_plain WHERE entity_id < {SAMPLE} ORDER BY entity_id").fetchnumpy()
    return {"seconds": seconds, "identical": bool((matrix == np.stack([ours[n] for n in sorted(LFS)], axis=1)).all())}


def _python(text: str, code: int):
    """A condition of LFS as a Python function over a row, as one would write it for Snorkel: keywords on lower-case text."""
    words = re.findall(r"ILIKE '%([^']*)%'", text)
    if words:
        return lambda x: code if any(w in x.lowered for w in words) else -1
    if found := re.match(r"regexp_matches\(content, '(.*)'\)$", text):
        pattern = re.compile(found[1], re.ASCII)
        return lambda x: code if pattern.search(x.content) else -1
    return eval(f"lambda x: {code} if {_comparison(text)} else -1")  # noqa: S307: our own texts above


def _comparison(text: str) -> str:
    return re.sub(r"\b(content|likes|author_kind)\b", r"x.\1", text.replace(" = ", " == ").replace("length", "len"))


# -- the report ---------------------------------------------------------------------------------------------------------


def in_child(arm: str, database: Path, repeats: int) -> dict:
    """The result of one arm from a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.lf_select", "--arm", arm, "--database", str(database), "--repeats", str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def report(rows: int, repeats: int, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix="groundswell-benchmark-") as folder:
        database = Path(folder) / "comments.duckdb"
        built = write_comments(database, rows)
        results = {arm: in_child(arm, database, repeats) for arm in ARMS}
        console.print(_table(rows, repeats, built, results))
        console.print(f"all arms give the same votes: {same_votes(database)}")
        if find_spec("snorkel") is None:
            console.print("Snorkel PandasLFApplier: not installed")
            return
        peer = in_child("snorkel", database, 1)
        per_row = peer["seconds"] / min(SAMPLE, rows)
        console.print(
            f"Snorkel PandasLFApplier: {1 / per_row:,.0f} rows/s on {min(SAMPLE, rows):,} rows, same matrix: {peer['identical']}; per row "
            + ", ".join(f"{arm} {per_row * rows / r['total']:.0f}x faster" for arm, r in results.items())
        )


def _table(rows: int, repeats: int, built: float, results: dict[str, dict]) -> Table:
    title = f"{len(LFS)} LFs over {rows:,} comments, median of {repeats} (building entity: {built:.1f} s)"
    table = Table(title=title)
    for column in ("arm", "votes s", "patterns s", "total s", "rows/s", "plain / arm", "CPU s", "plain / arm", "patterns", "peak MB"):
        table.add_column(column)
    for arm, r in results.items():
        table.add_row(
            ARMS[arm], f"{r['votes']:.2f}", f"{r['patterns']:.2f}", f"{r['total']:.2f}", f"{rows / r['total']:,.0f}",
            f"{results['plain']['total'] / r['total']:.2f}x",
            f"{r['cpu']:.2f}", f"{results['plain']['cpu'] / r['cpu']:.2f}x", f"{r['n_patterns']:,}", f"{r['peak']:,.0f}",
        )  # fmt: skip
    return table


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--arm", choices=[*ARMS, "snorkel"])
    parser.add_argument("--database", type=Path)
    options = parser.parse_args(arguments)
    if options.arm == "snorkel":
        print(json.dumps(snorkel_arm(options.database)))
    elif options.arm:
        print(json.dumps(run_arm(options.arm, options.database, options.repeats)))
    else:
        report(options.rows, options.repeats, Console(width=160))


if __name__ == "__main__":
    main(sys.argv[1:])
