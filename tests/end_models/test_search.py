"""Random draws and successive halving, on functions whose best argument is known."""

import json
import math

import numpy as np
import pytest

from groundswell.end_models import END_MODELS, end_model
from groundswell.end_models.search import FUSIONS, SPACES, Notebook, budgets, draws, identity, log_uniform, one_of, space, successive_halving
from groundswell.errors import EndModelError


def halved(drawn, value, full=27, kept={}, resource="max_epochs"):
    asked, told = [], []

    def judge(options):
        asked.append(options)
        return value(options), 0.5

    best, trials = successive_halving(drawn, full, resource, judge, kept, lambda trial, total: told.append((trial.trial_id, total)))
    return best, trials, asked, told


def test_budgets_grow_threefold_up_to_the_whole():
    assert budgets(27, 12) == [3, 9, 27] and budgets(100, 9) == [12, 34, 100] and budgets(8, 6) == [3, 8] and budgets(5, 2) == [5]
    assert budgets(2, 30) == [1, 2] and budgets(1, 30) == [1]


def test_one_in_three_goes_on_and_the_best_wins():
    drawn = [{"x": x} for x in (5, 1, 4, 0, 3, 2, 8, 7, 6)]
    best, trials, asked, told = halved(drawn, lambda o: (o["x"] - 2) ** 2 + 1 / o["max_epochs"])
    assert best == {"x": 2}
    assert [t.options["max_epochs"] for t in trials] == [3] * 9 + [9] * 3 + [27]
    assert {t.options["x"] for t in trials[9:12]} == {1, 2, 3} and [t.trial_id for t in trials] == list(range(1, 14))
    assert told == [(i, 13) for i in range(1, 14)] and asked == [t.options for t in trials]


def test_a_setting_that_starts_slowly_is_not_judged_by_its_start_alone():
    """b is worse after a third of the epochs but among those that go on."""
    value = lambda o: {"a": 0.5, "b": 0.6 if o["max_epochs"] < 27 else 0.1}.get(o["x"], 0.7)  # noqa: E731
    best, *_ = halved([{"x": x} for x in "cadbef"], value)
    assert best == {"x": "b"}


def test_trials_that_diverge_are_last_and_ties_go_to_the_earlier():
    best, trials, *_ = halved([{"x": 0}, {"x": 1}, {"x": 2}], lambda o: None if o["x"] == 0 else 1.0)
    assert best == {"x": 1} and trials[0].value is None
    with pytest.raises(EndModelError, match="EM126"):
        halved([{"x": 0}, {"x": 1}], lambda o: None)


def test_kept_trials_are_not_run_again():
    drawn = [{"x": x} for x in (3, 1, 2)]
    value = lambda o: float(o["x"])  # noqa: E731
    _, whole, *_ = halved(drawn, value)
    kept = {identity(t.options): (t.value, t.seconds) for t in whole[:2]}
    best, trials, asked, _ = halved(drawn, value, kept=kept)
    assert best == {"x": 1} and trials == whole and len(asked) == len(whole) - 2


def test_trees_of_a_draw_are_the_budget_it_grows_to():
    _, trials, *_ = halved([{"trees": 400}, {}, {"trees": 100}], lambda o: 1 / o["trees"], full=200, resource="trees")
    assert [t.options["trees"] for t in trials] == [134, 67, 34, 400]


def test_draws_are_those_of_the_seed_and_differ_and_begin_with_the_defaults():
    choices = space("mlp", {})
    assert draws(choices, 20, 3) == draws(choices, 20, 3) != draws(choices, 20, 4)
    assert draws(choices, 20, 3)[:5] == draws(choices, 5, 3)
    found = draws(choices, 20, 0)
    assert found[0] == {} and len({identity(d) for d in found}) == 20
    assert draws({"x": one_of(1, 2)}, 10, 0) in ([{}, {"x": 1}, {"x": 2}], [{}, {"x": 2}, {"x": 1}])


def test_drawn_numbers_spread_over_their_logarithms():
    r = np.random.default_rng(0)
    drawn = np.log([log_uniform(1e-4, 1e-2)(r) for _ in range(4000)])
    assert math.log(1e-4) <= drawn.min() and drawn.max() <= math.log(1e-2)
    assert drawn.mean() == pytest.approx(math.log(1e-3), abs=0.06) and drawn.std() == pytest.approx(math.log(100) / 12**0.5, rel=0.03)


@pytest.mark.parametrize("method", SPACES)
def test_every_draw_is_an_end_model(method):
    assert set(SPACES) == set(END_MODELS) - {"fusion"} == set(FUSIONS)
    for drawn in draws(space(method, {}), 30, 0):
        end_model(method, **drawn)


def test_what_is_given_is_not_searched():
    assert set(space("logistic", {"learning_rate": 0.1}, ["text"], ["early", "late"])) == {"weight_decay", "source_weight", "fusion"}
    assert "fusion" not in space("logistic", {}, ["text"], ["early"]) and "source_weight" not in space("logistic", {})
    assert {space("boosted_trees", {}, [], FUSIONS["mlp"])["fusion"](np.random.default_rng(i)) for i in range(30)} == {"early", "late"}
    for n, choices in ((1, space("logistic", {})), (5, {})):
        with pytest.raises(EndModelError, match="EM125"):
            draws(choices, n, 0)


def test_a_notebook_keeps_finished_trials(tmp_path):
    book = Notebook(tmp_path / "search", "of_this")
    assert book.trials() == {}
    book.add({"b": 1, "a": [2, 3]}, 0.25, 1.5)
    book.add({"x": 1}, None, 2.0)
    assert Notebook(tmp_path / "search", "of_this").trials() == {identity({"a": [2, 3], "b": 1}): (0.25, 1.5), identity({"x": 1}): (None, 2.0)}
    assert Notebook(tmp_path / "search", "of_that").trials() == {} and len([json.loads(line) for line in book.path.read_text().splitlines()]) == 2
    book.forget()
    assert book.trials() == {}
