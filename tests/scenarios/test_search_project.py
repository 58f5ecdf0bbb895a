"""`train --search`: which settings win, what judges them, what is kept of a killed one."""

import json
import shutil

import duckdb
import pytest
from support import published, verb, workspace
from two_modalities import WORLD, harm

from groundswell import searching
from groundswell.end_models import load_end_model, search
from groundswell.end_models.search import one_of
from groundswell.errors import EndModelError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return harm(tmp_path_factory.mktemp("searched") / "harm", "")


@pytest.fixture
def copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "harm")
    return tmp_path / "harm"


def trials(folder) -> list:
    return [(i, json.loads(options), metric, value) for i, options, metric, value in published(folder, "SELECT trial_id, options, metric, value FROM harm.trial ORDER BY 1")]


def test_the_better_of_settings_whose_order_is_known_is_found(tmp_path, monkeypatch):
    """People's labels of the texts are turned round: the less they weigh, the better the model of the pictures."""
    turned = WORLD.replace("CASE WHEN bad THEN 'bad' ELSE 'ok' END AS label FROM described WHERE i < 1500", "CASE WHEN bad THEN 'ok' ELSE 'bad' END AS label FROM described WHERE i < 1500")
    assert turned != WORLD
    monkeypatch.setitem(search.SPACES, "logistic", {})
    monkeypatch.setattr(search, "WEIGHTS", one_of(3.0, 0.0))
    folder = harm(tmp_path / "harm", 'fusion = "early", gold = true', turned)
    with workspace(folder) as ws:
        found = ws.train(search=3).searched
    assert found.options == {"source_weight": {"text": 0.0}}
    values = {json.dumps(o.get("source_weight")): v for _, o, _, v in trials(folder) if o["max_epochs"] == 3}
    assert values['{"text": 0.0}'] < values["null"] < values['{"text": 3.0}']


def test_a_rate_that_cannot_learn_loses(tmp_path, monkeypatch):
    copy = harm(tmp_path / "harm", 'fusion = "early", source_weight = { text = 1.0 }')
    monkeypatch.setitem(search.SPACES, "logistic", {"learning_rate": one_of(1e-7, 0.05)})
    with workspace(copy) as ws:
        found = ws.train(search=3).searched
    assert found.options.get("learning_rate", 0.03) >= 0.03
    assert max(t.value for t in found.trials if t.options.get("learning_rate") == 1e-7) > min(t.value for t in found.trials) + 0.05


def test_gold_judges_nothing_and_the_seed_decides(copy, tmp_path):
    """Every gold label turned round after the run: the same trials, to the last bit."""
    answer = verb(copy, "train", "--search", "5")
    assert answer.code == 0 and "search: 7 trials; chosen: " in answer.out, answer.err
    first = trials(copy)
    assert len(first) == 7 and {metric for _, _, metric, _ in first} == {"log_loss"} and "  search: log loss" in answer.err and "(7 of 7)" in answer.err
    with duckdb.connect(str(copy / ".groundswell" / "work.duckdb")) as connection:
        connection.execute("UPDATE harm.gold_label SET label = CASE label WHEN 'ok' THEN 'bad' ELSE 'ok' END")
    assert verb(copy, "train", "--search", "5").code == 0
    assert trials(copy) == first
    assert verb(copy, "train", "--search", "5", "--seed", "1").code == 0 and trials(copy) != first


def test_only_train_and_weakly_labelled_dev_rows_are_read(copy, monkeypatch):
    asked, real = set(), searching._Ground.rows
    monkeypatch.setattr(searching._Ground, "rows", lambda self, split, settings: asked.add((split, bool(settings.get("gold")))) or real(self, split, settings))
    with workspace(copy) as ws:
        ws.train(fusion="early", search=2)
    assert asked == {("train", False), ("dev", False)}


def test_trials_are_judged_on_the_modality_nobody_labelled(copy):
    """The value of a trial by hand: its model, the labels of the label model on pictures of dev."""
    from groundswell.store import looking

    with workspace(copy) as ws:
        found = ws.train(search=2)
        with looking(ws.project) as store:
            settings = dict(ws.task.end_model)
            ground = searching._Ground(store, ws.task, settings, found.features)
            modalities = {m for batch in ground.judged()() for m in batch.column("modality").to_pylist()}
            assert ground.new == ["image"] and modalities == {"image"}
            chosen = found.searched.options
            last = found.searched.trials[-1]
            again = searching._Ground(store, ws.task, settings, found.features).loss({**chosen, "max_epochs": 8})
        values = {json.dumps({k: v for k, v in t.options.items() if k != "max_epochs"}, sort_keys=True): t.value for t in found.searched.trials}
        assert again == pytest.approx(values[json.dumps(chosen, sort_keys=True)], abs=1e-9) and last.options["max_epochs"] == 8


def test_the_model_has_the_options_that_won(copy):
    with workspace(copy) as ws:
        found = ws.train(search=6)
        model = load_end_model(found.artefact)
    options = {k: v for k, v in found.searched.options.items() if k not in ("fusion", "source_weight")}
    assert options.items() <= model.options().items()
    assert (model.method == "fusion" and model.scheme == found.searched.options["fusion"]) or found.searched.options.get("fusion", "early") == "early"


def test_a_killed_search_goes_on_where_it_was(copy, monkeypatch):
    calls, real = [], searching._Ground.loss

    def dies(self, options):
        calls.append(options)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, options)

    monkeypatch.setattr(searching._Ground, "loss", dies)
    with workspace(copy) as ws, pytest.raises(KeyboardInterrupt):
        ws.train(search=6)
    assert published(copy, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'trial'") == [(0,)]
    with workspace(copy) as ws:
        found = ws.train(search=6).searched
    assert found.kept == 3 and len(calls) == 4 + len(found.trials) - 3
    assert not list((copy / ".groundswell" / "search").glob("*.jsonl"))
    resumed = trials(copy)
    with workspace(copy) as ws:
        assert ws.train(search=6).searched.kept == 0
    assert trials(copy) == resumed


def test_searches_that_cannot_be(copy, tmp_path):
    with workspace(copy) as ws:
        with pytest.raises(EndModelError, match="EM125"):
            ws.train(search=1)
        with pytest.raises(EndModelError, match="EM106"):
            ws.train("logistik", search=3)
        assert ws.train(search=0).searched is None
    toml = copy / "groundswell.toml"
    toml.write_text(toml.read_text().replace("max_epochs = 8", 'max_epochs = 8, search = "many"'))
    answer = verb(copy, "train")
    assert answer.code == 2 and "EM125" in answer.err and "search = 12" in answer.err
    undeveloped = harm(tmp_path / "no_dev", "search = 2", WORLD.replace("'dev'", "'train'"))
    answer = verb(undeveloped, "train")
    assert answer.code == 2 and "EM127" in answer.err
