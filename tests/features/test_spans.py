"""`entity` built in spans of its keys is the `entity` that one join builds, whatever the type of the key."""

import pytest
from groundswell.errors import ConfigError
from groundswell.features import spans
from support import project, published, workspace

KEYS = {"BIGINT": "i", "VARCHAR": "'post ' || i % 37 || '/' || i", "UUID": "CAST(md5(CAST(i AS VARCHAR)) AS UUID)", "DATE": "DATE '1990-01-01' + CAST(i AS INTEGER)", "DOUBLE": "i / 7"}
WAREHOUSE = """
CREATE TABLE post AS SELECT {key} AS post_id, ['alpha', 'beta', 'gamma'][1 + i % 3] AS body FROM range(500) AS t(i);
CREATE TABLE topic AS SELECT {key} AS post_id, CASE WHEN i % 5 = 0 THEN [] ELSE ['t' || i % 4] END AS topics FROM range(40, 460) AS t(i);
CREATE TABLE score AS SELECT {key} AS post_id, i / 3 AS score FROM range(100, 700) AS t(i);
"""
FEATURES = """-- feature: topics   kind: service
SELECT post_id, topics FROM topic;
-- feature: score   kind: aggregate
SELECT post_id, score FROM score;
"""
CONFIG = """
[project]
name = "posts"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "post"
key = "post_id"
[task.spam]
classes = ["no", "yes"]
"""
LFS = "-- lf: beta -> yes\nFROM entity WHERE body = 'beta';\n-- lf: low -> no\nFROM entity WHERE score < 60;\n-- lf: t1 -> no\nFROM entity WHERE list_contains(topics, 't1');\n"


def built(folder, warehouse, lfs=LFS):
    folder = project(folder, lfs, sql=warehouse, config=CONFIG, files={"features/all.sql": FEATURES})
    with workspace(folder) as ws:
        ws.run()
    return folder


def cut(monkeypatch, n):
    """`entity` is to be built in n spans; their bounds, as they are made."""
    bounds, within = [], spans._within
    monkeypatch.setattr(spans, "n_spans", lambda store, layout: n)
    monkeypatch.setattr(spans, "_within", lambda *given: bounds.append(given[1:3]) or within(*given))
    return bounds


@pytest.mark.parametrize("kind", KEYS)
def test_spans_give_the_rows_of_one_join(tmp_path, monkeypatch, kind):
    warehouse = WAREHOUSE.format(key=KEYS[kind])
    whole = published(built(tmp_path / "whole", warehouse), "FROM spam.entity ORDER BY ALL")
    bounds = cut(monkeypatch, 7)
    assert published(built(tmp_path / "parts", warehouse), "FROM spam.entity ORDER BY ALL") == whole
    assert len(whole) == 500 and len(bounds) == 7


def test_spans_hold_about_the_same_number_of_rows(tmp_path, monkeypatch):
    bounds = cut(monkeypatch, 5)
    built(tmp_path / "parts", WAREHOUSE.format(key="i"))
    assert [(low and int(low), high and int(high)) for low, high in bounds] == [(None, 99), (99, 199), (199, 299), (299, 399), (399, None)]


def test_a_row_without_a_key_is_found_in_spans_too(tmp_path, monkeypatch):
    cut(monkeypatch, 4)
    with pytest.raises(ConfigError, match="1 of 501 rows have no key") as raised:
        built(tmp_path / "parts", WAREHOUSE.format(key="i") + "INSERT INTO post VALUES (NULL, 'beta');")
    assert raised.value.code == "CFG110"


def test_a_key_that_stands_twice_is_found_in_spans_too(tmp_path, monkeypatch):
    cut(monkeypatch, 4)
    with pytest.raises(ConfigError, match=r"200 \(2 rows\)"):
        built(tmp_path / "parts", WAREHOUSE.format(key="i") + "INSERT INTO post VALUES (200, 'beta');")


def test_vectors_count_with_their_length():
    assert [spans.value_bytes(kind) - spans.VALUE_BYTES for kind in ("DOUBLE", "VARCHAR[]", "FLOAT[512]", "DOUBLE[3]")] == [0, 0, 2048, 24]


def test_a_vector_needs_more_spans_than_a_number(tmp_path, monkeypatch):
    monkeypatch.setattr(spans, "VALUE_BYTES", 0)
    monkeypatch.setattr(spans, "MEMORY_SHARE", 1e-5)  # of 2 GB: some 19 kB
    bounds, within = [], spans._within
    monkeypatch.setattr(spans, "_within", lambda *given: bounds.append(given[1:3]) or within(*given))
    built(tmp_path / "parts", WAREHOUSE.format(key="i") + "CREATE OR REPLACE TABLE score AS SELECT i AS post_id, [i / 3, 1, 2, 3, 4, 5, 6, 7]::DOUBLE[8] AS score FROM range(100, 700) AS t(i);", LFS.replace("score < 60", "body = 'alpha'"))
    assert len(bounds) == 2  # 600 values of 64 bytes


def test_as_many_spans_as_keep_all_values_within_their_share_of_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(spans, "VALUE_BYTES", 1024**2)  # 420 topics and 600 scores: 1,020 MiB of 40 % of 2 GB
    bounds, within = [], spans._within
    monkeypatch.setattr(spans, "_within", lambda *given: bounds.append(given[1:3]) or within(*given))
    built(tmp_path / "parts", WAREHOUSE.format(key="i"))
    assert len(bounds) == 2
