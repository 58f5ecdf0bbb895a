"""Random label models and random votes: the SQL gives numpy's posterior."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from groundswell.export_sql.model import Model, finite, posterior_ctes
from groundswell.label_models import Evidence, hard_labels
from groundswell.label_models.evidence import RULES, Interaction

N_ROWS = 200


def random_model(seed: int) -> tuple[Model, Evidence, np.ndarray, list[str]]:
    """A model as the store holds it, the same as arrays, random votes (n, m) with -1 = abstain, and the names of all votes."""
    r = np.random.default_rng(seed)
    k, m = int(r.integers(2, 6)), int(r.integers(1, 8)) + 130 * (seed == 0)
    classes, lfs = tuple(f"c'{i}" for i in range(k)), tuple(sorted(f"lf {i}" for i in range(m)))
    names = [*classes, *(f"!{c}" for c in classes[: int(r.integers(0, 3))])]
    hard = [*range(k), *([1 if k == 2 and i == 0 else 0 if k == 2 else -1 for i in range(len(names) - k)])]
    rule = ("softmax", "largest", "share")[seed % 3]
    weight = r.normal(0, r.choice([0.1, 3, 300]), (m, len(names) + 1, k))
    if rule != "softmax":
        weight = r.integers(0, 3, weight.shape).astype(float)
    prior = np.log(r.dirichlet(np.ones(k))) if rule == "softmax" else np.zeros(k)
    groups = [tuple(sorted(r.choice(lfs, size=int(r.integers(2, 4)), replace=False))) for _ in range(seed % 4)] if m > 3 and rule == "softmax" else []
    joint = tuple(Interaction(g, r.normal(0, 1, (k + 1,) * len(g) + (k,)) * (r.random((k + 1,) * len(g) + (1,)) < 0.4)) for g in groups)
    evidence = Evidence(lfs, classes, prior, weight, rule=rule, interactions=joint, hard=tuple(hard) if len(names) > k else ())
    said = [*names, None]
    model = Model(
        1, "random", classes, dict(zip(classes, prior)),
        {lf: {v: dict(zip(classes, weight[j, i])) for i, v in enumerate(said)} for j, lf in enumerate(lfs)},
        merged(joint, classes), {v: classes[h] if h >= 0 else None for v, h in zip(names, hard)}, rule, dict(zip(classes, r.dirichlet(np.ones(k)))),
    )  # fmt: skip
    votes = r.integers(-1, len(names), (N_ROWS, m))
    votes[:20] = -1
    return model, evidence, votes, names


def merged(joint: tuple[Interaction, ...], classes: tuple[str, ...]) -> dict:
    """Interactions as the store's rows group them: the same LFs twice add up."""
    found: dict = {}
    for each in joint:
        cells = found.setdefault(each.lfs, {})
        for *said, label in np.argwhere(each.log_weight):
            key = tuple([*classes, None][s] for s in said)
            own = cells.setdefault(key, {})
            own[classes[label]] = own.get(classes[label], 0.0) + float(each.log_weight[(*said, label)])
    return found


def by_sql(model: Model, votes: np.ndarray, names: list[str]) -> tuple[np.ndarray, list]:
    """(probabilities, labels) by the view's steps in DuckDB."""
    columns = {lf: f"v_{j}" for j, lf in enumerate(model.weight)}
    said = np.array([*names, None], dtype=object)
    table = pa.table({"row": range(len(votes))} | {columns[lf]: pa.array(said[votes[:, j]], pa.string()) for j, lf in enumerate(model.weight)})
    steps = posterior_ctes(model, columns, dict.fromkeys(model.weight, names), ["row"], "given", "duckdb")
    text = ", ".join(f'"{name}" AS ({query.sql("duckdb")})' for name, query in steps)
    with duckdb.connect() as connection:
        connection.register("given", table)
        found = connection.execute(f"WITH {text} SELECT * FROM best ORDER BY row").to_arrow_table()
    return np.stack([found[f"p_{k}"].to_numpy() for k in range(len(model.classes))], axis=1), found["label"].to_pylist()


@pytest.mark.parametrize("seed", range(36))
def test_the_steps_give_the_posterior(seed):
    model, evidence, votes, names = random_model(seed)
    found, labels = by_sql(model, votes, names)
    covered = (votes >= 0).any(axis=1)
    expected = evidence.posterior(votes)
    expected[~covered] = [model.uncovered[c] for c in model.classes]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    best = np.where(covered, hard_labels(expected), -1)
    assert labels == [model.classes[b] if b >= 0 else None for b in best]


def test_weights_that_are_no_numbers_are_noticed():
    model = random_model(3)[0]
    assert finite(model) and not finite(replace(model, prior=dict.fromkeys(model.classes, float("-inf"))))


def test_the_random_models_are_of_every_kind():
    models = [random_model(seed)[0] for seed in range(36)]
    assert {m.rule for m in models} == set(RULES) and max(len(m.weight) for m in models) > 100
    assert any(m.interactions for m in models) and any(len(m.hard) > len(m.classes) and m.interactions for m in models)
