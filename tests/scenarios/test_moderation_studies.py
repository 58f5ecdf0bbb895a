"""The studies on the generated world: what they are told, and the optimum beside every arm."""

import shutil
from pathlib import Path

import duckdb
import pytest
from moderation_world import ask, world
from support import checked, workspace, write

import groundswell.examples
from groundswell.examples.moderation.bayes import ceiling
from groundswell.examples.moderation.told import tell

EXAMPLE = Path(groundswell.examples.__path__[0]) / "moderation"


@pytest.fixture(scope="module")
def told():
    folder = world(3_000, 2_000, 1_500, seed=5, with_text=True)
    assert tell(folder / "truth", folder / "warehouse.duckdb") == 3_500
    return folder


@pytest.fixture(scope="module")
def folder(told, tmp_path_factory):
    home = tmp_path_factory.mktemp("moderation")
    for part in ("features", "lfs"):
        shutil.copytree(EXAMPLE / part, home / part)
    shutil.copy(EXAMPLE / "groundswell.toml", home)
    shutil.copy(told / "warehouse.duckdb", home)
    return home


def test_studies_are_told_the_truth_and_people_say_the_same_of_test_images(told):
    wrong = "SELECT count(*) FROM image_told JOIN truth USING (post_id) WHERE image_told.{t} <> CASE WHEN truth.{t} THEN 'violates' ELSE 'ok' END"
    assert [ask(told, wrong.format(t=t)) for t in ("scam", "spam", "weapon_sale")] == [[(0,)]] * 3
    assert ask(told, "SELECT count(*) FROM image_told JOIN human_label USING (post_id) WHERE image_told.scam <> human_label.scam") == [(0,)]
    assert ask(told, "SELECT split, count(*), count(scam_optimum), count(scam_optimum_all) FROM image_told JOIN image_post USING (post_id) GROUP BY 1 ORDER BY 3") [-1] == ("test", 1500, 1500, 1500)


def test_the_optimum_stands_beside_every_arm_and_above_it(told, folder):
    ws = workspace(folder)
    ws.run()
    found = ws.study("end-to-end", seeds=(0,), features="both", workers=1)
    value = {r["arm"]: r["value"] for r in found.rows if r["metric"] == "average_precision"}
    with duckdb.connect(str(told / "warehouse.duckdb"), read_only=True) as connection:
        assert value["optimum"] == pytest.approx(ceiling(connection, "scam", servable=True).value)
        assert value["optimum (all features)"] == pytest.approx(ceiling(connection, "scam").value)
    arms = {arm for arm in value if not arm.startswith("optimum")}
    assert {"text", "image (weak)", "cross-modal", "all features, supervised", "text (all features)"} <= arms
    assert max(value[arm] for arm in arms) < value["optimum (all features)"]


def test_no_rule_reads_what_studies_are_told(folder):
    write(folder, {"lfs/cheat.sql": "-- lf: cheat -> violates\nSELECT post_id FROM image_told WHERE scam = 'violates'"})
    code, found = checked(folder)
    assert code == 1 and found[0]["code"] == "LF107"
