"""From `vote_pattern` to labels: fit the task's label model on the patterns and write what it found as tables."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Mapping, Sequence

import numpy as np
import pyarrow as pa

from .errors import ConfigError, did_you_mean
from .label_models import (
    LabelModel, Verdict, VotePatterns, read_votes, answer_divergence, expected_accuracy, hard_labels, label_model, learned_accuracy, majority_disagreement, verdict,
)  # fmt: skip
from .store import Store
from .store.held_out import LEAST_GOLD, held_out
from .store.names import quoted
from .types import SPLITS, Task
from .votes import PatternMatrix, pattern_matrix, write_classes

SETTINGS = ("method", "seed", "class_balance", "fit_on", "gold")

GOLD = ("answers", "train", "held", "none")
"""Which human labels of the train split bend the fit: the answers in gold/*.csv; the warehouse's gold as well; of that gold only
what is held out, because LFs were learned from the rest; or none. The default: held where an LF was learned from gold (tag mined,
or one that reads propagation_label) and train has LEAST_GOLD of it, else answers."""

MODEL_TABLES = """
CREATE TABLE IF NOT EXISTS {schema}.label_model (
    model_id BIGINT, method VARCHAR, options JSON, seed BIGINT, n_iterations INTEGER, converged BOOLEAN, objective DOUBLE,
    majority_disagreement DOUBLE, expected_accuracy DOUBLE, warnings VARCHAR[], is_current BOOLEAN, created_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS {schema}.label_model_param (model_id BIGINT, lf VARCHAR, given VARCHAR, vote VARCHAR, p DOUBLE);
CREATE TABLE IF NOT EXISTS {schema}.label_evidence (lf VARCHAR, vote VARCHAR, label VARCHAR, weight DOUBLE);
CREATE TABLE IF NOT EXISTS {schema}.label_interaction (lfs VARCHAR[], votes VARCHAR[], label VARCHAR, weight DOUBLE);
CREATE TABLE IF NOT EXISTS {schema}.pattern_label (pattern_id UBIGINT, label VARCHAR, p DOUBLE);
"""


@dataclass(frozen=True)
class Labelling:
    """What a fit says about itself."""

    method: str
    chosen: str
    reason: str
    majority_disagreement: float
    expected_accuracy: float
    warnings: tuple[str, ...]
    verdict: Verdict


@dataclass(frozen=True)
class FitInput:
    """What a label model of a task is fitted on.

    matrix    PatternMatrix             all patterns, in order of pattern_id
    at        int64 (P',)               positions of the patterns the fit may see
    counts    int64 (P',)               their entities in the splits it may see
    gold      float (P, K)              entities of the train split with the warehouse's gold, where the fit may use them
    answers   float (P, K)              answers of people, likewise
    """

    task: Task
    matrix: PatternMatrix
    at: np.ndarray
    counts: np.ndarray
    gold: np.ndarray
    answers: np.ndarray

    @property
    def everywhere(self) -> VotePatterns:
        """All patterns with all their entities."""
        return self._patterns(self.matrix.votes, self.matrix.counts)

    def _patterns(self, votes: np.ndarray, counts: np.ndarray) -> VotePatterns:
        return VotePatterns(votes, counts, self.matrix.lfs, self.task.classes, self.matrix.meaning[len(self.task.classes) :])

    def fitted(self, seed: int) -> LabelModel:
        """The task's label model. Raises LabelModelError for options and votes it cannot use."""
        settings = self.task.label_model
        model = label_model(settings["method"], **{k: v for k, v in settings.items() if k not in SETTINGS})
        seen = self._patterns(self.matrix.votes[self.at], self.counts)
        return model.fit(seen, seed=seed, class_balance=settings.get("class_balance"), gold=self.gold[self.at], answers=self.answers[self.at])

    def rule(self, model: LabelModel) -> dict[str, Any]:
        """How scores become probabilities, and the probabilities of entities without votes: what evidence alone does not say."""
        silent = self._patterns(np.full((1, len(self.matrix.lfs)), -1), np.ones(1, np.int64))
        return {"rule": model.evidence().rule, "uncovered": dict(zip(self.task.classes, model.predict(silent)[0].tolist()))}

    def before(self, seed: int) -> LabelModel:
        """The same without any answer."""
        return replace(self, answers=np.zeros_like(self.answers)).fitted(seed)


def weigh_workers(answers: pa.Table, classes: Sequence[str]) -> pa.Table:
    """(entity_id, label, p): what workers say together, by `auto` with every worker as an LF.

    answers  (entity_id, lf = the worker, label), one row per entity and worker
    """
    if not answers.num_rows:
        return pa.table({"entity_id": answers["entity_id"], "label": answers["label"], "p": pa.array([], pa.float64())})
    votes = read_votes(answers, key="entity_id", classes=classes, abstain=None, also=None)
    patterns, inverse = VotePatterns.from_matrix(votes.matrix, votes.lfs, votes.classes)
    p = label_model("auto").fit(patterns, seed=0).predict(patterns)[inverse]
    k = len(classes)
    return pa.table({
        "entity_id": votes.keys.take(pa.array(np.repeat(np.arange(len(p)), k))), "label": pa.array(np.tile(np.array(classes, object), len(p)), pa.string()), "p": pa.array(p.ravel()),
    })  # fmt: skip


def fit_labels(store: Store, task: Task, seed: int | None = None) -> Labelling:
    """Fit and write `label_model`, `label_model_param`, `label_evidence`, `pattern_label`, `pattern_summary`, `class`, `review_score`.

    Raises LabelModelError for options and votes the model cannot use, ConfigError CFG117 for an unknown split in fit_on or
    an unknown kind of gold.
    """
    settings = dict(task.label_model)
    seed = settings["seed"] if seed is None else seed
    given = fit_input(store, task)
    model = given.fitted(seed)
    everywhere, matrix = given.everywhere, given.matrix
    posterior = model.predict(everywhere)
    before = given.before(seed).predict(everywhere) if given.answers.any() else posterior
    labelling = Labelling(
        settings["method"], model.chosen_, model.reason_,
        majority_disagreement(everywhere.hardened(), posterior), expected_accuracy(everywhere, posterior), tuple(model.warnings_),
        verdict(everywhere, posterior, known_labels(store, task, matrix, "dev")),
    )  # fmt: skip
    with store.transaction():
        _write_model(store, task, model, labelling, settings | {"seed": seed} | given.rule(model), matrix.symbols)
        _write_pattern_labels(store, task, matrix, posterior)
        _write_pattern_summary(store, task, matrix, posterior)
        _write_learned_accuracy(store, task, everywhere.hardened(), posterior)
        _write_review_scores(store, task, matrix, answer_divergence(posterior, before, given.answers))
        write_classes(store, task, [float(p) for p in model.class_balance_])
    return labelling


def fit_input(store: Store, task: Task) -> FitInput:
    """What the task's label model is fitted on, from the store. Raises ConfigError CFG117."""
    splits, which = task.label_model.get("fit_on"), task.label_model.get("gold") or _default_gold(store, task)
    if which not in GOLD:
        hint = did_you_mean(str(which), GOLD) or f"one of {', '.join(GOLD)}"
        raise ConfigError("CFG117", f'label_model: gold = "{which}" is unknown', hint=hint)
    matrix = pattern_matrix(store, task)
    at, counts = _seen(store, task, matrix, splits)
    sees_train = splits is None or "train" in splits
    answers = known_labels(store, task, matrix, "answers") * (sees_train and which != "none")
    if which == "held" and sees_train:
        return _held_out(store, FitInput(task, matrix, at, counts, np.zeros_like(answers), answers))
    return FitInput(task, matrix, at, counts, known_labels(store, task, matrix, "warehouse") * (sees_train and which == "train"), answers)


def _default_gold(store: Store, task: Task) -> str:
    schema = quoted(task.name)
    learned = store.value(f"SELECT count(*) FROM {schema}.lf WHERE list_contains(tags, 'mined') OR list_has_any(reads, ['propagation_label', 'propagation_probability'])")
    n_gold = store.value(f"SELECT count(*) FROM {schema}.gold_label JOIN {schema}.entity USING (entity_id) WHERE split = 'train' AND source = 'warehouse'")
    return "held" if learned and n_gold >= LEAST_GOLD and "train" in (task.label_model.get("fit_on") or SPLITS) else "answers"


def _held_out(store: Store, given: FitInput) -> FitInput:
    """The same with the gold that mining held out, and without the entities that were mined: votes of mined LFs flatter those.

    Held-out gold counts at least as much as all other entities together. The rates at which LFs vote in each class are known
    from it; where the new modality has far more entities, EM would otherwise drift from them. Raises ConfigError CFG117 without it.
    """
    matrix = given.matrix
    gold, mined = (known_labels(store, given.task, matrix, source) for source in ("held", "mined"))
    if not gold.any():
        raise ConfigError("CFG117", 'label_model: gold = "held" needs gold in the train split', hint='gold = "answers" uses what people answered in gold/*.csv only')
    others = given.counts - (gold + mined).sum(axis=1)[given.at]
    times = max(1, round(others.sum() / gold.sum()))
    counts = np.round(others + times * gold.sum(axis=1)[given.at]).astype(np.int64)
    seen = counts > 0
    return replace(given, at=given.at[seen], counts=counts[seen], gold=gold * times)


ROWS = {"dev": "e.split = 'dev'", "warehouse": "g.source = 'warehouse' AND e.split = 'train'"}
ROWS |= {"held": f"{ROWS['warehouse']} AND {held_out('e.entity_id')}", "mined": f"{ROWS['warehouse']} AND NOT {held_out('e.entity_id')}"}


def known_labels(store: Store, task: Task, matrix: PatternMatrix, source: str) -> np.ndarray:
    """float (P, K): entities with a human label per pattern and class.

    source  warehouse: of train; held, mined: the parts of it that mining held out, and saw; answers: of people; dev
    """
    known = np.zeros((len(matrix.pattern_ids), len(task.classes)))
    schema = quoted(task.name)
    found = f"{schema}.pattern_answer"
    if source != "answers":
        joined = f"{schema}.gold_label AS g JOIN {schema}.entity_vote AS e USING (entity_id)"
        found = f"(SELECT e.pattern_id, g.label, count(*) AS n FROM {joined} WHERE {ROWS[source]} GROUP BY ALL)"
    for pattern, position, n in store.rows(f"SELECT f.pattern_id, c.position, f.n FROM {found} AS f JOIN {schema}.class AS c USING (label)"):
        known[pattern, position] = n
    return known


def _seen(store: Store, task: Task, matrix: PatternMatrix, splits: list[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """(positions, counts) of the patterns the fit may see (default: all)."""
    if splits is None:
        return np.arange(len(matrix.counts)), matrix.counts
    for split in splits:
        if split not in SPLITS:
            raise ConfigError("CFG117", f'fit_on: there is no split "{split}"', hint=did_you_mean(str(split), SPLITS) or f"splits: {', '.join(SPLITS)}")
    found = store.arrow(
        f"SELECT pattern_id, CAST(sum(n_entities) AS BIGINT) AS n FROM {quoted(task.name)}.pattern_split WHERE list_contains($splits, split) GROUP BY 1 ORDER BY 1",
        {"splits": list(splits)},
    )
    return found["pattern_id"].to_numpy().astype(np.int64), found["n"].to_numpy()


def _write_model(
    store: Store, task: Task, model: LabelModel, labelling: Labelling, settings: Mapping[str, Any], symbols: tuple[str, ...]
) -> None:
    store.connection.execute(MODEL_TABLES.format(schema=quoted(task.name)))
    model_id = store.value(f"SELECT coalesce(max(model_id), 0) + 1 FROM {quoted(task.name)}.label_model")
    store.execute(f"UPDATE {quoted(task.name)}.label_model SET is_current = false WHERE is_current")
    options = {k: v for k, v in settings.items() if k not in ("method", "seed")} | {
        "chosen": labelling.chosen, "reason": labelling.reason, "verdict": labelling.verdict.words,
    }  # fmt: skip
    store.execute(
        f"INSERT INTO {quoted(task.name)}.label_model VALUES ($model_id, $method, $options, $seed, $n_iterations, $converged, $objective, "
        "$majority_disagreement, $expected_accuracy, $warnings, true, $created_at)",
        {
            "model_id": model_id, "method": settings["method"], "options": json.dumps(options, sort_keys=True), "seed": settings["seed"],
            "n_iterations": model.n_iterations_, "converged": bool(model.converged_), "objective": _finite(model.objective_),
            "majority_disagreement": _finite(labelling.majority_disagreement), "expected_accuracy": _finite(labelling.expected_accuracy),
            "warnings": list(labelling.warnings), "created_at": datetime.now(timezone.utc).isoformat(),
        },
    )  # fmt: skip
    store.append_arrow(task.name, "label_model_param", _params(model, task, model_id, symbols))
    store.create_from_arrow(task.name, "label_evidence", _evidence(model, task, symbols))
    store.create_from_arrow(task.name, "label_interaction", _interactions(model, task))


def _params(model: LabelModel, task: Task, model_id: int, symbols: tuple[str, ...]) -> pa.Table:
    """Long rows of params_ (m, K, S+1), without the entries the model does not define."""
    lf, given, vote = np.nonzero(np.isfinite(model.params_))
    names, votes = np.array([*model.evidence().lfs], dtype=object), np.array([*symbols, None], dtype=object)
    return pa.table({
        "model_id": pa.array(np.full(len(lf), model_id), pa.int64()), "lf": pa.array(names[lf], pa.string()),
        "given": pa.array(np.array(task.classes, dtype=object)[given], pa.string()), "vote": pa.array(votes[vote], pa.string()),
        "p": pa.array(model.params_[lf, given, vote], pa.float64()),
    })  # fmt: skip


def _evidence(model: LabelModel, task: Task, symbols: tuple[str, ...]) -> pa.Table:
    """Long rows of the additive evidence; lf NULL is the class balance."""
    evidence = model.evidence()
    lf, vote, label = np.nonzero(np.ones_like(evidence.log_weight, dtype=bool))
    names, votes, classes = (np.array([*each], dtype=object) for each in (evidence.lfs, (*symbols, None), task.classes))
    return pa.table({
        "lf": pa.array([None] * len(task.classes) + list(names[lf]), pa.string()),
        "vote": pa.array([None] * len(task.classes) + list(votes[vote]), pa.string()),
        "label": pa.array([*task.classes, *classes[label]], pa.string()),
        "weight": pa.array(np.concatenate([evidence.log_prior, evidence.log_weight[lf, vote, label]]), pa.float64()),
    })  # fmt: skip


def _interactions(model: LabelModel, task: Task) -> pa.Table:
    """Long rows of what the joint votes of several LFs add: lfs, votes (NULL = abstain), label, weight; zeros left out."""
    names, classes, found = (*task.classes, None), task.classes, {"lfs": [], "votes": [], "label": [], "weight": []}
    for interaction in model.evidence().interactions:
        for *votes, label in np.argwhere(interaction.log_weight):
            found["lfs"].append(interaction.lfs)
            found["votes"].append([names[v] for v in votes])
            found["label"].append(classes[label])
            found["weight"].append(float(interaction.log_weight[(*votes, label)]))
    kinds = {"lfs": pa.list_(pa.string()), "votes": pa.list_(pa.string()), "label": pa.string(), "weight": pa.float64()}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in found.items()})


def _write_pattern_labels(store: Store, task: Task, matrix: PatternMatrix, posterior: np.ndarray) -> None:
    """`pattern_label`: one row per covered pattern and class."""
    covered = np.flatnonzero((matrix.votes >= 0).any(axis=1))
    labels = np.array(task.classes, dtype=object)
    k = len(labels)
    rows = pa.table({
        "pattern_id": pa.array(np.repeat(matrix.pattern_ids[covered], k), pa.uint64()),
        "label": pa.array(np.tile(labels, len(covered)), pa.string()),
        "p": pa.array(posterior[covered].ravel(), pa.float64()),
    })  # fmt: skip
    store.create_from_arrow(task.name, "pattern_label", rows)


def _write_pattern_summary(store: Store, task: Task, matrix: PatternMatrix, posterior: np.ndarray) -> None:
    """`pattern_summary`: label (NULL on a tie), confidence, entropy (nats) and number of votes per covered pattern.

    Written from arrays, not by SQL: a sum of floats in SQL depends on how threads share the rows.
    """
    covered = (matrix.votes >= 0).any(axis=1)
    p = posterior[covered]
    entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(axis=1)
    best = hard_labels(p)
    rows = pa.table({
        "pattern_id": pa.array(matrix.pattern_ids[covered], pa.uint64()),
        "label": pa.array([task.classes[b] if b >= 0 else None for b in best], pa.string()),
        "confidence": pa.array(p.max(axis=1, initial=0.0), pa.float64()), "entropy": pa.array(np.maximum(entropy, 0.0), pa.float64()),
        "n_votes": pa.array((matrix.votes[covered] >= 0).sum(axis=1), pa.int32()),
    })  # fmt: skip
    store.create_from_arrow(task.name, "pattern_summary", rows)


def _write_review_scores(store: Store, task: Task, matrix: PatternMatrix, score: np.ndarray) -> None:
    """`review_score`: how far the label model is from what people said of each covered pattern; see `next_to_review`."""
    covered = (matrix.votes >= 0).any(axis=1)
    rows = pa.table({"pattern_id": pa.array(matrix.pattern_ids[covered], pa.uint64()), "score": pa.array(score[covered], pa.float64())})
    store.create_from_arrow(task.name, "review_score", rows)


def _write_learned_accuracy(store: Store, task: Task, patterns: VotePatterns, posterior: np.ndarray) -> None:
    accuracy = [_finite(a) for a in learned_accuracy(patterns, posterior)]
    rows = pa.table({"lf": pa.array(patterns.lfs, pa.string()), "learned_accuracy": pa.array(accuracy, pa.float64())})
    store.create_from_arrow(task.name, "lf_learned", rows)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
