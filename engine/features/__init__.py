"""Entities and their common features."""

from .entity import build_entities, entity_layout, relations
from .gold import build_gold

__all__ = ["build_entities", "build_gold", "entity_layout", "relations"]
