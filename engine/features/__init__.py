"""Entities and their common features."""

from .catalogue import CATALOGUE_VERSION, write_catalogue
from .entity import build_entities, with_resources, entity_changes, entity_layout, relations, source_fingerprint, warehouse_columns
from .gold import ANSWER_COLUMNS, answer_files, build_gold, given_answers, gold_fingerprint, gold_query
from .materialise import FeatureTables, stale_line

__all__ = ["ANSWER_COLUMNS", "CATALOGUE_VERSION", "FeatureTables", "answer_files", "build_entities", "build_gold", "entity_changes", "entity_layout", "given_answers", "gold_fingerprint", "gold_query", "relations", "source_fingerprint", "stale_line", "warehouse_columns", "with_resources", "write_catalogue"]
