"""The SQL surface in words: grain, keys and columns of every relation a published store may hold. Data for exports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping


@dataclass(frozen=True)
class Relation:
    """What one relation holds. grain: one row per what; key: the columns that name a row."""

    grain: str
    key: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    """Words about columns that mean something else here than in COLUMNS."""
    nullable: tuple[str, ...] = ()
    """Columns of the key that may be NULL."""
    others: str = ""
    """What every column is but the key and `known`: features of `entity`, LFs of `label_matrix`."""
    known: tuple[str, ...] = ()


SHARED = {
    "run": Relation("One row per call of a verb that writes.", ("run_id",), {"task": "The task it worked on.", "seconds": "How long it took; NULL while it runs."}),
    "lf_run": Relation("One row per run and labeling function evaluated or kept in it.", ("run_id", "task", "lf")),
    "lineage": Relation("One row per run, output built in it, and input it was built from.", ("run_id", "output", "input")),
    "feature": Relation("One row per common feature.", ("feature",), {"kind": "service, aggregate, rule, or column of a modality."}),
    "feature_quality": Relation("One row per common feature and modality.", ("feature", "modality")),
    "feature_service": Relation("One row per common feature: the services it calls.", ("feature",), {"versions": "Versions of those services."}),
    "feature_divergence": Relation("One row per common feature and modality.", ("feature", "modality")),
}
"""Relations of schema gs."""

TASK = {
    "entity": Relation(
        "One row per entity in the task's scope, materialised, with the common features.", ("entity_id",),
        others="A column of the source, as labeling functions see it.", known=("modality", "split", "event_time"),
    ),
    "class": Relation("One row per class of the task.", ("label",)),
    "gold_label": Relation(
        "One row per entity that people labelled; labeling functions never see it.",
        ("entity_id",), {"label": "What people say this entity is."},
    ),
    "lf": Relation(
        "One row per labeling function, broken ones included.",
        ("lf",), {"label": "The class it votes for; NULL when it computes classes, or is broken."},
    ),
    "votes": Relation("One row per vote; no row means abstain.", ("entity_id", "lf"), {"label": "The class voted for."}),
    "soft_vote": Relation("One row per vote of a labeling function that gives probabilities.", ("entity_id", "lf", "label")),
    "excluded_vote": Relation("One row per entity, labeling function and class it rules out.", ("entity_id", "lf", "label")),
    "label_matrix": Relation(
        "One row per entity in scope, covered or not: the votes side by side, one column per labeling function.", ("entity_id",),
        others="The vote of this labeling function; NULL = abstain.",
    ),
    "entity_pattern": Relation("One row per entity in scope: which distinct row of the label matrix it has.", ("entity_id",)),
    "vote_pattern": Relation("One row per distinct row of the label matrix, the one without votes included, if any.", ("pattern_id",)),
    "lf_summary": Relation(
        "One row per healthy labeling function, silent ones included.",
        ("lf",), {"n_votes": "Entities it votes on.", "coverage": "Share of all entities it votes on; in [0, 1]."},
    ),
    "lf_pair": Relation("One row per pair of labeling functions, lf_a < lf_b.", ("lf_a", "lf_b")),
    "lf_confusion": Relation(
        "One row per labeling function, gold label and vote, over entities with gold.",
        ("lf", "gold", "vote"), {"vote": "The class it votes for."},
    ),
    "coverage": Relation("One row per split and modality.", ("split", "modality")),
    "label_model": Relation("One row per fit of a label model.", ("model_id",), {"method": "The label model asked for; what was chosen stands in options."}),
    "label_model_param": Relation(
        "One row per parameter P(vote | given) of a fitted label model.",
        ("model_id", "lf", "given", "vote"), {"p": "P(vote | given); in [0, 1]."}, nullable=("given", "vote"),
    ),
    "probabilistic_labels": Relation(
        "One row per covered entity and class, from the current label model; p sums to 1.",
        ("entity_id", "label"), {"p": "P(class | votes); in [0, 1]."},
    ),
    "training_set": Relation(
        "One row per covered entity: the most probable class.",
        ("entity_id",), {"label": "The most probable class; NULL on a tie.", "n_votes": "Votes on this entity; 1 or more."},
    ),
    "end_model": Relation("One row per trained end model.", ("model_id",), {"method": "Which end model."}),
    "predictions": Relation("One row per entity: what the newest end model says.", ("entity_id",), {"p": "Class -> probability."}),
    "itemset": Relation("One row per mined itemset.", ("itemset_id",)),
    "lf_suggestion": Relation("One row per suggested labeling function.", ("suggestion_id",)),
    "edge": Relation("One row per edge of the similarity graph.", ("src", "dst")),
    "propagation_score": Relation("One row per entity that propagation reached, and class.", ("entity_id", "label")),
    "prototype": Relation("One row per prototype of an affinity function.", ("affinity_function", "prototype_id")),
    "affinity": Relation("One row per affinity function, entity and block: a row of the affinity matrix.", ("affinity_function", "entity_id", "block")),
    "confident_joint": Relation("One row per given and estimated true class.", ("given", "true_label")),
    "label_issue": Relation("One row per label that is probably wrong.", ("entity_id",)),
    "study": Relation("One row per study, arm, seed and metric.", ("study", "arm", "seed", "metric")),
    "trial": Relation("One row per trial of the last search for options of an end model.", ("trial_id",), {"seconds": "How long it took.", "value": "Its value; NULL where training diverged."}),
    "live_metric": Relation("One row per review and metric, and one per metric for all reviews together.", ("reviewed_at", "metric"), nullable=("reviewed_at",)),
    "slice_metric": Relation("One row per slice and end model.", ("slice", "model_id")),
}
"""Relations of a task's schema. Those of a capability exist from the day the capability exists."""

COLUMNS = {
    "entity_id": "The user's key.",
    "modality": "The modality the entity comes from.",
    "split": "train, dev or test.",
    "event_time": "When it happened, where the modality says so.",
    "label": "A class of the task.",
    "position": "The class's place in the order of all arrays, from 0.",
    "prior": "The class balance the label model found; NULL before its first fit.",
    "source": "Where the answer comes from.",
    "annotated_at": "When the answer was given, where that is known.",
    "lf": "A labeling function.",
    "lf_a": "The one whose name comes first.",
    "lf_b": "The other one.",
    "kind": "predicate, relation or python.",
    "sql": "Its text as written.",
    "path": "The file it stands in.",
    "line": "The line its text begins on.",
    "owner": "Who answers for it.",
    "tags": "Words of its owner.",
    "reads": "The relations it reads.",
    "servable": "Whether it can be computed when a prediction is wanted.",
    "fingerprint": "What it computes, as a hash; unchanged by white space, comments and case.",
    "status": "How it ended.",
    "error": "What was wrong, in words.",
    "pattern_id": "A distinct row of the label matrix.",
    "n_entities": "Entities.",
    "n_votes": "Votes.",
    "votes": "Labeling function -> class, without the abstaining ones.",
    "polarity": "The classes it votes for.",
    "coverage": "Share of entities with a vote; in [0, 1].",
    "overlaps": "Share of all entities on which it and another one vote; at most coverage.",
    "conflicts": "Share of all entities on which another one votes otherwise; at most overlaps.",
    "n_correct": "Votes that agree with gold; NULL without gold.",
    "n_incorrect": "Votes that gold contradicts; NULL without gold.",
    "empirical_accuracy": "n_correct among votes on entities with gold; NULL where there are none.",
    "learned_accuracy": "P(vote is right) as the label model sees it.",
    "n_both": "Entities on which both vote.",
    "n_agree": "Entities on which both vote for the same class.",
    "n_conflict": "Entities on which they vote for different classes.",
    "agreement": "n_agree / n_both; NULL where they never meet.",
    "correlation": "Correlation of the two; NULL where it is not defined.",
    "gold": "What people say.",
    "vote": "The vote; NULL = abstain.",
    "given": "The class it is conditioned on.",
    "n": "How many.",
    "n_covered": "Entities with a vote.",
    "n_overlapping": "Entities with two votes or more.",
    "n_conflicting": "Entities with votes for different classes.",
    "mean_votes": "Votes per entity.",
    "model_id": "Number of the model, from 1; the newest is the largest.",
    "method": "Which method.",
    "options": "Its options.",
    "seed": "The seed of everything random in it.",
    "n_iterations": "Iterations of the fit.",
    "converged": "Whether the fit came to rest.",
    "objective": "What the fit maximised, where it ended.",
    "majority_disagreement": "Share of covered entities whose label differs from majority vote.",
    "expected_accuracy": "How accurate the model expects its labels to be.",
    "warnings": "Why it should not be trusted, where that is so.",
    "is_current": "Whether labels come from this one.",
    "created_at": "When it was fitted.",
    "p": "A probability; in [0, 1].",
    "confidence": "Probability of the most probable class; from 1 / classes to 1.",
    "entropy": "Uncertainty in nats.",
    "features": "The columns it reads.",
    "metrics": "Metrics per split, against gold.",
    "artefact": "The folder it is saved in, below the project's.",
    "sha256": "Hash of that folder's content.",
    "label_model_id": "The label model whose labels it was trained on.",
    "predicted_label": "The most probable class.",
    "run_id": "Number of the run, from 1.",
    "verb": "What was asked for.",
    "task": "A task of the project.",
    "started_at": "When it began.",
    "seconds": "How long it took.",
    "versions": "Versions of groundswell and what it stands on.",
    "reason": "Why it was evaluated, or kept.",
    "output": "The relation that was built.",
    "input": "What it was built from.",
    "input_hash": "The content of that input, as a hash.",
    "feature": "A common feature.",
    "feature_set": "The set the feature belongs to.",
    "type": "Its type.",
    "modalities": "The modalities that have it.",
    "distinct_values": "How many distinct values.",
    "drift": "How far its distribution is from that of the other modalities.",
    "jensen_shannon": "Jensen-Shannon divergence from the other modalities, in bits.",
    "services": "The services its query calls.",
    "cost_ms": "Milliseconds its services take for a content.",
    "failures": "Contents its services have no answer for.",
    "auprc_alone": "Area under the precision-recall curve of this feature alone.",
    "leak": "Whether it gives the label away.",
    "itemset_id": "Number of the itemset.",
    "items": "The values that must hold together.",
    "tp": "Entities it is right about, on the dev split.",
    "fp": "Entities it is wrong about, on the dev split.",
    "precision": "Share of its entities that are of the class.",
    "recall": "Share of the class's entities it finds.",
    "lift": "Precision over the share of the class.",
    "wilson_lower": "Lower end of the Wilson interval of the precision.",
    "suggestion_id": "Number of the suggestion.",
    "predicate": "The condition, in SQL.",
    "n_dev": "Entities of the dev split it holds for.",
    "new_coverage": "Share of entities it would be the first to cover.",
    "nearest_lf": "The labeling function it resembles most.",
    "src": "One end of the edge.",
    "dst": "The other end.",
    "weight": "How similar the two are.",
    "score": "How much of the class reached the entity.",
    "n_hops": "Edges from the nearest labelled entity.",
    "affinity_function": "An affinity function.",
    "prototype_id": "Number of the prototype.",
    "row": "Row in the image it was taken from.",
    "col": "Column in the image it was taken from.",
    "vector": "The prototype's vector.",
    "block": "Which block of prototypes.",
    "s": "Affinities to the prototypes of the block.",
    "true_label": "The class it seems to be.",
    "suggested": "The class it seems to be.",
    "self_confidence": "Probability of the given class.",
    "normalized_margin": "Probability of the given class less that of the best other class.",
    "rank": "Place in the order of suspicion, from 1.",
    "study": "Which study.",
    "arm": "What was left in or out.",
    "metric": "Which metric.",
    "value": "Its value.",
    "low": "Lower end of its interval.",
    "high": "Upper end of its interval.",
    "n_rows": "Rows it was computed on.",
    "trial_id": "Number of the trial.",
    "reviewed_at": "When the answers were given.",
    "n_reviewed": "Answers it rests on.",
    "slice": "A slicing function.",
    "accuracy": "Share of right predictions.",
    "f1": "Harmonic mean of precision and recall.",
    "auprc": "Area under the precision-recall curve.",
}
"""What columns mean wherever they stand."""

CLASS_COLUMNS = {"label", "predicted_label", "gold", "vote", "given", "suggested", "true_label"}
"""Columns that hold a class of the task or NULL."""

POINTS_TO = {
    "entity_id": ("entity", "entity_id"), "src": ("entity", "entity_id"), "dst": ("entity", "entity_id"), "lf": ("lf", "lf"),
    "lf_a": ("lf", "lf"), "lf_b": ("lf", "lf"), "pattern_id": ("vote_pattern", "pattern_id"), "label_model_id": ("label_model", "model_id"),
}  # fmt: skip
"""Column of a task's relation -> (relation, column) in which each of its values stands."""

MODELS_OF = {"label_model_param": "label_model", "predictions": "end_model"}
"""Relation -> the one its model_id points to."""

HISTORY = {"label_model_param"}
"""Relations whose rows outlive the labeling functions and classes they name."""

STALE = {"predictions"}
"""Relations that may be older than `entity`: a broken promise there is a warning, as training again mends it."""

VALUES = {
    ("run", "status"): ("running", "ok", "errors", "failed", "killed"), ("lf", "status"): ("ok", "error"),
    ("lf", "kind"): ("predicate", "relation", "python"),
}  # fmt: skip
"""(relation, column) -> all values it may have."""
