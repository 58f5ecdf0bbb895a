"""Label models: from vote patterns to probabilistic labels."""

from groundswell.label_models.base import Fit, LabelModel, label_model, label_models, register
from groundswell.label_models.evidence import Evidence
from groundswell.label_models.frame import label_votes
from groundswell.label_models.patterns import VotePatterns
from groundswell.label_models.review import answer_divergence
from groundswell.label_models.statistics import (
    expected_accuracy,
    hard_labels,
    learned_accuracy,
    majority_disagreement,
    majority_posterior,
)
from groundswell.label_models.verdict import Verdict, verdict
from groundswell.label_models.votes_table import read_votes

__all__ = [
    "Evidence",
    "Fit",
    "LabelModel",
    "Verdict",
    "VotePatterns",
    "answer_divergence",
    "expected_accuracy",
    "hard_labels",
    "label_model",
    "label_models",
    "label_votes",
    "learned_accuracy",
    "majority_disagreement",
    "majority_posterior",
    "read_votes",
    "register",
    "verdict",
]
