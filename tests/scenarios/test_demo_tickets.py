"""examples/tickets runs as its README says."""

import shutil
from pathlib import Path

import duckdb

import groundswell as gs

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets"


def test_the_support_shop_labels_its_mail(tmp_path):
    home = tmp_path / "tickets"
    shutil.copytree(EXAMPLE, home, ignore=shutil.ignore_patterns("*.duckdb", ".groundswell", "__pycache__"))
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute((home / "warehouse.sql").read_text())
    with gs.open(home) as workspace:
        loaded = workspace.check()
        assert (loaded.diagnostics, loaded.n_tests_passed) == ([], 3)
        assert workspace.run().errors == []
        right = workspace.store.value(
            "SELECT avg(CAST(t.label = g.label AS INTEGER)) FROM intent.training_set AS t JOIN intent.gold_label AS g USING (entity_id) WHERE t.label IS NOT NULL"
        )
        assert workspace.store.value("SELECT sum(n_covered) / sum(n_entities) FROM intent.coverage") > 0.8 and right > 0.8
