"""Related tasks: the worked example, consistency of margins, equality with the single-task model, and what cannot be."""

import doctest

import numpy as np
import pytest

from groundswell.errors import LabelModelError
from groundswell.label_models import VotePatterns, label_model, task_graph
from groundswell.label_models.action_em import Actions, fit_actions
from groundswell.label_models.task_graph import TaskGraph

from .simulated import random_votes

TASKS = {"entity": ["Person", "Location"], "person": ["Doctor", "Lawyer"], "location": ["Hospital", "Bank"]}
EDGES = [("entity", "Person", "person"), ("entity", "Location", "location")]
LEAVES = [{"person": "Doctor"}, {"person": "Lawyer"}, {"location": "Hospital"}, {"location": "Bank"}]
COARSE = [{"entity": "Person"}, {"entity": "Location"}]


def hierarchy():
    return TaskGraph(TASKS, EDGES)


def simulated(n=6000, seed=0):
    """(leaf (n,), votes): two coarse LFs (.9, .8) and three fine ones (.75, .7, .65), coverage .6."""
    rng = np.random.default_rng(seed)
    leaf = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])

    def given(truth, accuracy, k, named):
        said = np.where(rng.random(n) < accuracy, truth, (truth + rng.integers(1, k, n)) % k)
        return [named[s] if fires else None for s, fires in zip(said, rng.random(n) < 0.6)]

    votes = {f"coarse_{a}": given(leaf // 2, a, 2, COARSE) for a in (0.9, 0.8)}
    return leaf, votes | {f"fine_{a}": given(leaf, a, 4, LEAVES) for a in (0.75, 0.7, 0.65)}


def test_the_documentation_is_right():
    assert doctest.testmod(task_graph).failed == 0


def test_the_worked_example():
    labels = hierarchy().label(
        {"coarse": [COARSE[0]], "doctor": [LEAVES[0]], "hospital": [LEAVES[2]]},
        actions={"coarse": COARSE, "doctor": LEAVES, "hospital": LEAVES},
        accuracies={"coarse": 0.9, "doctor": 0.7, "hospital": 0.6}, max_iterations=0,
    )  # fmt: skip
    assert labels.p["entity"][0] == pytest.approx([0.9290, 0.0710], abs=5e-5)
    assert labels.p["person"][0] == pytest.approx([0.8129, 0.1161, 0.0710], abs=5e-5)
    assert labels.p["location"][0] == pytest.approx([0.0581, 0.0129, 0.9290], abs=5e-5)
    assert labels.classes == {"entity": ("Person", "Location"), "person": ("Doctor", "Lawyer", None), "location": ("Hospital", "Bank", None)}
    assert labels.warnings == []


def test_feasible_vectors_are_leaves():
    assert hierarchy().feasible(("entity", "person", "location")) == [
        {"entity": "Person", "person": "Doctor", "location": None},
        {"entity": "Person", "person": "Lawyer", "location": None},
        {"entity": "Location", "person": None, "location": "Hospital"},
        {"entity": "Location", "person": None, "location": "Bank"},
    ]


def test_two_finer_tasks_of_one_class_are_a_product():
    graph = TaskGraph({"a": ["x", "y"], "b": ["1", "2"], "c": ["3", "4", "5"]}, [("a", "x", "b"), ("a", "x", "c")])
    vectors = graph.feasible(("a", "b", "c"))
    assert len(vectors) == 2 * 3 + 1 and vectors[-1] == {"a": "y", "b": None, "c": None}


def test_margins_are_consistent_and_fine_labels_profit_from_coarse_votes():
    leaf, votes = simulated()
    labels = hierarchy().label(votes)
    for p in labels.p.values():
        assert p.sum(axis=1) == pytest.approx(np.ones(len(leaf)), abs=1e-12) and (p >= 0).all()
    assert labels.p["person"][:, 2] == pytest.approx(labels.p["entity"][:, 1], abs=1e-12)
    assert labels.p["location"][:, 2] == pytest.approx(labels.p["entity"][:, 0], abs=1e-12)
    fine_only = hierarchy().label({lf: v for lf, v in votes.items() if lf.startswith("fine")})

    def right(found):
        leaves = np.column_stack([found.p["person"][:, :2], found.p["location"][:, :2]])
        return (leaves.argmax(axis=1) == leaf).mean()

    assert right(labels) > right(fine_only) + 0.03


def test_coarse_votes_do_not_prefer_a_leaf_over_its_sibling():
    _, votes = simulated(500)
    labels = hierarchy().label({lf: v for lf, v in votes.items() if lf.startswith("coarse")})
    for task in ("person", "location"):
        assert labels.p[task][:, 0] == pytest.approx(labels.p[task][:, 1], abs=1e-9)


def test_renaming_classes_permutes_results():
    _, votes = simulated(800)
    other = TaskGraph(TASKS | {"person": ["Lawyer", "Doctor"]}, EDGES).label(votes).p
    mine = hierarchy().label(votes).p
    assert other["person"][:, [1, 0, 2]] == pytest.approx(mine["person"], abs=1e-6)
    assert other["location"] == pytest.approx(mine["location"], abs=1e-6)


def test_one_task_is_dawid_skene():
    gold, votes = random_votes(np.random.default_rng(0), 2000, 5, 3)
    classes = ("a", "b", "c")
    given = {f"lf_{j}": [None if v < 0 else {"t": classes[v]} for v in votes[:, j]] for j in range(5)}
    labels = TaskGraph({"t": classes}).label(given, tolerance=1e-12)
    patterns, inverse = VotePatterns.from_matrix(votes, sorted(given), classes)
    expected = label_model("dawid_skene", tolerance=1e-12).fit(patterns).predict(patterns)[inverse]
    assert labels.p["t"] == pytest.approx(expected, abs=1e-5)


def test_one_sided_lfs_say_something_by_abstaining():
    rng = np.random.default_rng(1)
    gold = (rng.random(4000) < 0.3).astype(int)
    given = {}
    for j, (side, right, wrong) in enumerate([(1, 0.6, 0.05), (1, 0.5, 0.04), (0, 0.6, 0.05), (0, 0.5, 0.1), (1, 0.4, 0.02)]):
        fires = rng.random(4000) < np.where(gold == side, right, wrong)
        given[f"lf_{j}"] = [{"t": "yes" if side else "no"} if f else None for f in fires]
    p = TaskGraph({"t": ["no", "yes"]}).label(given).p["t"][:, 1]
    assert (((p > 0.5) == gold).mean() > 0.9) and p.mean() == pytest.approx(0.3, abs=0.05)


def test_components_are_fitted_apart():
    leaf, votes = simulated(600)
    rng = np.random.default_rng(2)
    mood = {f"mood_{j}": [{"mood": "good"} if v else {"mood": "bad"} for v in rng.random(600) < 0.5] for j in range(3)}
    graph = TaskGraph(TASKS | {"mood": ["good", "bad"]}, EDGES)
    assert graph.components() == [("entity", "person", "location"), ("mood",)]
    together, alone = graph.label(votes | mood), hierarchy().label(votes)
    assert all(np.array_equal(together.p[t], alone.p[t]) for t in TASKS)


def test_an_lf_that_speaks_of_two_tasks_joins_them():
    graph = TaskGraph({"a": ["x", "y"], "b": ["1", "2"]})
    assert graph.components([("a", "b")]) == [("a", "b")]
    both = [{"a": "x", "b": "1"}, {"a": "y", "b": "2"}] * 50
    found = graph.label({"both": both, "one": [{"a": "x"}, {"a": "y"}] * 50, "two": [{"b": "1"}, {"b": "2"}] * 50})
    assert found.p["a"][0, 0] > 0.9 and found.p["b"][1, 1] > 0.9
    assert any(w.startswith("LM228") for w in found.warnings) is False


def test_constraints_rule_combinations_out():
    graph = TaskGraph({"a": ["x", "y"], "b": ["1", "2"]}, constraints=[(("a", "b"), lambda a, b: not (a == "x" and b == "1"))])
    assert len(graph.feasible(("a", "b"))) == 3 and graph.components() == [("a", "b")]
    labels = graph.label({"p": [{"a": "x"}], "q": [{"b": "2"}]}, actions={"p": [{"a": "y"}], "q": [{"b": "1"}]}, accuracies={"p": 0.9, "q": 0.6}, max_iterations=0)
    weights = {("x", "2"): 0.9 * 0.6, ("y", "1"): 0.1 * 0.4, ("y", "2"): 0.1 * 0.6}
    assert labels.p["a"][0, 0] == pytest.approx(weights["x", "2"] / sum(weights.values()))


def test_votes_that_contradict_the_graph_are_counted():
    wrong = {"person": "Doctor", "location": "Bank"}
    _, votes = simulated(300)
    plain = hierarchy().label(votes)
    votes["odd"] = [wrong, None, {"entity": "Person"}] * 100
    labels = hierarchy().label(votes)
    assert any(w.startswith("LM227: 100 votes of odd") for w in labels.warnings) and plain.warnings == []


def test_label_vectors_nobody_speaks_for_are_named():
    labels = hierarchy().label({"d": [LEAVES[0], None], "h": [LEAVES[2], None], "l": [None, LEAVES[1]]})
    assert any(w.startswith("LM228") and "Bank" in w and "Doctor" not in w for w in labels.warnings)


def test_no_votes_at_all():
    labels = hierarchy().label({"lf": [None, None]})
    assert labels.p["entity"].tolist() == [[0.5, 0.5]] * 2
    assert hierarchy().label({}).p["person"].shape == (0, 3)


def test_em_against_loops():
    """Two rounds of EM written out, one Python sum per number."""
    rng = np.random.default_rng(3)
    compatible = (np.array([[1, 1, 0], [0, 0, 1]], bool), np.eye(3, dtype=bool), np.eye(3, dtype=bool))
    chosen = np.column_stack([rng.integers(-1, 2, 60), rng.integers(-1, 3, 60), rng.integers(-1, 3, 60)])
    chosen = chosen[(chosen >= 0).any(axis=1)]
    support = np.array([sum(compatible[j][v].astype(float) for j, v in enumerate(row) if v >= 0) for row in chosen])
    r = (support == support.max(axis=1, keepdims=True)) / (support == support.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
    for _ in range(3):
        pi = (1 + r.sum(axis=0)) / (3 + len(r))
        theta = []
        for j in range(3):
            table = np.where(compatible[j], 2.0, 1.0)
            for i, row in enumerate(chosen):
                if row[j] >= 0:
                    table[row[j]] += r[i]
            theta.append(table / table.sum(axis=0))
        joint = np.array([pi * np.prod([theta[j][v] for j, v in enumerate(row) if v >= 0], axis=0) for row in chosen])
        r = joint / joint.sum(axis=1, keepdims=True)
    found, settled = fit_actions(Actions(chosen, compatible, 3), accuracies=None, max_iterations=2, tolerance=0.0)
    assert found == pytest.approx(r, abs=1e-12) and not settled


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda: TaskGraph({"a": ["x", "x"]}), "LM113", "each once"),
        (lambda: TaskGraph({"a": []}), "LM113", "needs classes"),
        (lambda: TaskGraph(TASKS, [("entity", "Persn", "person")]), "LM113", 'did you mean "Person"'),
        (lambda: TaskGraph(TASKS, [("entity", "Person", "persn")]), "LM113", 'did you mean "person"'),
        (lambda: TaskGraph(TASKS, [*EDGES, ("location", "Bank", "person")]), "LM113", "refines both"),
        (lambda: TaskGraph(TASKS, [("person", "Doctor", "location"), ("location", "Bank", "person")]), "LM113", "circle"),
        (lambda: TaskGraph(TASKS, constraints=[(("nothing",), bool)]), "LM113", "no task"),
        (lambda: TaskGraph({"a": ["x"]}, constraints=[(("a",), lambda a: False)]).label({"lf": [{"a": "x"}]}), "LM113", "no combination"),
        (lambda: TaskGraph({f"t{i}": list("abcdefgh") for i in range(6)}).label({"lf": [{f"t{i}": "a" for i in range(6)}]}), "LM113", "262,144 combinations"),
        (lambda: hierarchy().label({"lf": [{"person": "Docter"}]}), "LM125", 'did you mean "Doctor"'),
        (lambda: hierarchy().label({"lf": [{"persons": "Doctor"}]}), "LM125", 'did you mean "person"'),
        (lambda: hierarchy().label({"a": [None], "b": []}), "LM113", "one entry per entity"),
        (lambda: hierarchy().label({"a": COARSE}, accuracies={"b": 0.9}), "LM113", "every LF"),
    ],
)
def test_what_cannot_be_is_refused(make, code, says):
    with pytest.raises(LabelModelError) as caught:
        make()
    assert caught.value.code == code and says in str(caught.value)
