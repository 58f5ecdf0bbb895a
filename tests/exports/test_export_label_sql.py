"""The label model as a view: the same votes and probabilities as the store, in DuckDB, PostgreSQL and Spark."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from support import GOLD, project, published, workspace

from .engines import ENGINES
from .label_world import CONFIG, LFS, world

MODELS = {
    "dawid_skene": 'method = "dawid_skene"',
    "multinomial": 'method = "multinomial"',
    "majority": 'method = "majority"',
    "majority_soft": 'method = "majority_soft"',
    "factor_graph": 'method = "factor_graph", dependencies = [["reinforcing", "says_refund", "queue_prior"], ["exclusive", "has_parcel", "no_parcel"]]',
    "auto": 'method = "auto"',
    "balance": 'method = "dawid_skene", class_balance = { refund = 0.6, delivery = 0.3, "it\'s other" = 0.1 }',
}
"""Name -> the label_model of the task."""


@pytest.fixture(scope="module", params=MODELS)
def shop(request, tmp_path_factory) -> Path:
    """A project that was run with each label model; tests only look at it."""
    config = CONFIG.format(gold=GOLD, model=MODELS[request.param])
    folder = project(tmp_path_factory.mktemp("label_sql") / request.param, LFS, sql=world(), config=config)
    workspace(folder).run()
    return folder


@pytest.fixture(scope="session", params=ENGINES)
def engine(request):
    """A running engine, with its name."""
    with closing(ENGINES[request.param]()) as found:
        yield request.param, found


def stored(folder: Path) -> dict[int, dict]:
    """What the store says of every entity, in the words of the view: votes, probabilities, label, covered."""
    (options,) = published(folder, "SELECT options FROM intent.label_model WHERE is_current")[0]
    nothing = {"covered": False, "label": None} | {f"p_{c}": p for c, p in json.loads(options)["uncovered"].items()}
    shown = {lf: "vote_label" if lf == "label" else lf for (lf,) in published(folder, "SELECT lf FROM intent.lf_summary")}
    rows = {key: dict.fromkeys(shown.values()) | nothing for (key,) in published(folder, "SELECT entity_id FROM intent.entity")}
    said = "SELECT e.entity_id, v.lf, v.symbol FROM intent.entity_pattern AS e JOIN intent.pattern_vote AS v USING (pattern_id)"
    for key, lf, vote in published(folder, said):
        rows[key][shown[lf]] = vote
    for key, label, p in published(folder, "SELECT entity_id, label, p FROM intent.probabilistic_labels"):
        rows[key][f"p_{label}"] = p
    for key, label in published(folder, "SELECT entity_id, label FROM intent.training_set"):
        rows[key] |= {"label": label, "covered": True}
    return rows


def in_duckdb(folder: Path, query: str) -> list[dict]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row)) for row in found.fetchall()]


def require_same(found: list[dict], expected: dict[int, dict]) -> None:
    """Every vote equal, every probability within 1e-9, every label and flag the same, on every row."""
    assert sorted(int(row["ticket_id"]) for row in found) == sorted(expected)
    fired: Counter[str] = Counter()
    for row in found:
        for name, value in expected[int(row["ticket_id"])].items():
            if name.startswith("p_"):
                assert math.isclose(float(row[name]), value, rel_tol=0, abs_tol=1e-9), (name, row)
            elif name == "covered":
                assert row[name] in ((True, "t") if value else (False, "f")), row
            else:
                assert row[name] == value, (name, value, row)
                fired[name] += value is not None
    assert min(fired.values()) > 1, fired


def test_duckdb_says_what_the_store_says(shop):
    found = in_duckdb(shop, workspace(shop).label_sql())
    require_same(found, stored(shop))
    assert 5 <= sum(not row["covered"] for row in found) < 20
    assert bool(published(shop, "SELECT count(*) FROM intent.label_interaction")[0][0]) == (shop.name == "factor_graph")


def test_other_engines_say_what_the_store_says(shop, engine):
    name, running = engine
    running.load(shop / "warehouse.duckdb", shop.name)
    require_same(running.rows(workspace(shop).label_sql(name), shop.name), stored(shop))
