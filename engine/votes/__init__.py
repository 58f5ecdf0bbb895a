"""Votes of all LFs, packed; their patterns; their statistics."""

from .build import build_votes
from .patterns import PatternMatrix, build_patterns, build_statistics, pattern_matrix, registry_rows, write_classes, write_registry
from .plan import UNCHANGED, Evaluation, VotePlan, plan_votes

__all__ = [
    "UNCHANGED", "Evaluation", "PatternMatrix", "VotePlan", "build_patterns", "build_statistics", "build_votes",
    "pattern_matrix", "plan_votes", "registry_rows", "write_classes", "write_registry",
]  # fmt: skip
