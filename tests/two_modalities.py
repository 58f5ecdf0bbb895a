"""A small world of two modalities: posts that people labelled, pictures that nobody did, features both have and own ones."""

from __future__ import annotations

from pathlib import Path

from support import project, workspace

WORLD = """
CREATE TABLE drawn AS SELECT i, hash(i * 11 + 1) % 100 < 30 AS bad, hash(i * 11 + 2) % 1000 / 1000.0 AS a, hash(i * 11 + 3) % 1000 / 1000.0 AS b, hash(i * 11 + 4) % 1000 / 1000.0 AS c,
    hash(i * 11 + 5) % 1000 / 1000.0 AS d, hash(i * 11 + 6) % 10 AS part FROM range(3000) AS r(i);
CREATE TABLE described AS SELECT i, bad, part, a, CASE WHEN a < (CASE WHEN bad THEN 0.7 ELSE 0.2 END) THEN 'pills' ELSE 'cats' END AS topic,
    b + CASE WHEN bad THEN 0.35 ELSE 0 END AS links, CASE WHEN c < (CASE WHEN bad THEN 0.6 ELSE 0.1 END) THEN ['loud', 'rude'] ELSE ['calm'] END AS tone,
    d + CASE WHEN bad THEN 0.4 ELSE 0 END AS glow FROM drawn;
CREATE TABLE post AS SELECT 't' || i AS post_id, topic, links, tone, length(topic) + glow AS words, glow < 0.5 AS plain,
    CASE WHEN part = 0 THEN 'dev' WHEN part = 1 THEN 'test' ELSE 'train' END AS split FROM described WHERE i < 1500;
CREATE TABLE picture AS SELECT 'i' || i AS picture_id, topic, links, tone, [glow, a]::FLOAT[2] AS pixels, glow AS light, CASE WHEN glow > 0.8 THEN 'red' WHEN glow > 0.4 THEN 'grey' END AS colour,
    CASE WHEN part < 3 THEN 'test' WHEN part = 3 THEN 'dev' ELSE 'train' END AS split FROM described WHERE i >= 1500;
CREATE TABLE human AS SELECT 't' || i AS post_id, CASE WHEN bad THEN 'bad' ELSE 'ok' END AS label FROM described WHERE i < 1500;
CREATE TABLE truth AS SELECT 'i' || i AS picture_id, CASE WHEN bad THEN 'bad' ELSE 'ok' END AS label FROM described WHERE i >= 1500;
"""
CONFIG = """
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "post"
key = "post_id"
[modality.image]
from = "picture"
key = "picture_id"
[task.harm]
classes = ["ok", "bad"]
gold = { from = "human", key = "post_id", label = "label" }
split = { column = "split" }
end_model = { method = "logistic", seed = 0, max_epochs = 8, MORE }
"""
LFS = """-- lf: pills -> bad
FROM entity WHERE topic = 'pills';
-- lf: linked -> bad
FROM entity WHERE links > 1;
-- lf: plain_cats -> ok
FROM entity WHERE topic = 'cats' AND links < 0.6;
-- lf: calm -> ok
FROM entity WHERE list_contains(tone, 'calm');
"""
SHARED, TEXT, IMAGE = {"topic", "links", "tone"}, {"words", "plain"}, {"pixels", "light", "colour"}


def harm(folder: Path, more: str = 'fusion = "late"', sql: str = WORLD) -> Path:
    """The project, run once. more: further options of end_model."""
    made = project(folder, LFS, sql=sql, config=CONFIG.replace(", MORE", f", {more}" if more else ""))
    workspace(made).run()
    return made
