"""What an end model learns from: the label model's labels, people's labels first, modalities of different weight."""

import pytest
from support import project, workspace

from groundswell.errors import EndModelError

WAREHOUSE = """
CREATE TABLE post AS SELECT i AS post_id, ['buy cheap now', 'a fine day', 'cheap pills', 'see my garden'][1 + i % 4] || ' ' || (i * 7919 % 53) AS body FROM range(400) AS t(i);
CREATE TABLE picture AS SELECT 1000 + i AS picture_id, ['cheap offer', 'a garden'][1 + i % 2] || ' ' || (i * 7919 % 53) AS body FROM range(200) AS t(i);
CREATE TABLE told AS SELECT post_id, CASE WHEN post_id % 4 IN (0, 2) THEN 'no' ELSE 'yes' END AS label FROM post;
"""
LFS = """-- lf: cheap -> yes
FROM entity WHERE body LIKE '%cheap%';
-- lf: garden -> no
FROM entity WHERE body LIKE '%garden%';
-- lf: fine -> no
FROM entity WHERE body LIKE '%fine day%';
"""
CONFIG = """
[project]
name = "posts"
[warehouse]
from = "warehouse.duckdb"
[modality.text]
from = "post"
key = "post_id"
[modality.image]
from = "picture"
key = "picture_id"
[task.spam]
classes = ["no", "yes"]
gold = {{ from = "told", key = "post_id", label = "label" }}
end_model = {{ method = "logistic", max_epochs = 5, text_buckets = 1024{more} }}
"""


def trained(folder, more: str) -> tuple[float, list[dict]]:
    """P(yes) of a cheap offer, and the metrics. People say the contrary of what the labeling functions say: it shows whom one believed."""
    folder = project(folder, LFS, sql=WAREHOUSE, config=CONFIG.format(more=more))
    with workspace(folder) as ws:
        ws.run()
        metrics = ws.train().metrics
        return ws.sql("SELECT predict_spam('cheap pills')['yes'] AS p").to_pylist()[0]["p"], metrics


def test_without_gold_the_label_model_is_believed(tmp_path):
    p, metrics = trained(tmp_path / "p", "")
    assert p > 0.8 and {r["split"] for r in metrics if r["arm"] == "end_model"} == {"train", "dev", "test"}


def test_with_gold_people_come_first_and_the_train_split_is_not_judged(tmp_path):
    p, metrics = trained(tmp_path / "p", ", gold = true, source_weight = { image = 0.01 }")
    assert p < 0.2 and {r["split"] for r in metrics if r["arm"] == "end_model"} == {"dev", "test"}


def test_a_heavy_modality_outvotes_a_light_one(tmp_path):
    """Text is labelled by people, pictures by the label model: the weights decide."""
    assert trained(tmp_path / "p", ", gold = true, source_weight = { text = 0.01 }")[0] > 0.8


@pytest.mark.parametrize(
    ("more", "named"), [(", gold = 1", "gold"), (", source_weight = { imag = 1.0 }", "image"), (", source_weight = { image = -1 }", "source_weight")]
)
def test_impossible_settings_are_refused(tmp_path, more, named):
    with pytest.raises(EndModelError) as error:
        trained(tmp_path / "p", more)
    assert error.value.code == "EM107" and named in str(error.value)
