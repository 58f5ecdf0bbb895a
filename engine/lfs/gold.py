"""Views and macros of the warehouse through which gold labels could reach an LF."""

from __future__ import annotations

from typing import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ..store import Store
from .guard import GoldRelation

DEFINITIONS = """
SELECT schema_name, view_name, sql FROM duckdb_views() WHERE database_name = 'warehouse' AND NOT internal
UNION ALL
SELECT schema_name, function_name, macro_definition FROM duckdb_functions() WHERE database_name = 'warehouse' AND macro_definition IS NOT NULL
"""


def hand_gold_on(store: Store, gold: Sequence[GoldRelation]) -> frozenset[tuple[str, str]]:
    """(schema, name), lower case, of views and macros that read a gold relation, directly or through one another.

    Where gold is a column of a modality's relation, only those count that mention the column or take all columns. A definition
    that cannot be parsed counts when it contains the relation's name.
    """
    if not gold:
        return frozenset()
    definitions = {(schema.casefold(), name.casefold()): text or "" for schema, name, text in store.rows(DEFINITIONS)}
    trees = {key: _parsed(text) for key, text in definitions.items()}
    return frozenset().union(*(_hand_on(trees, definitions, each) for each in gold))


def _hand_on(trees: Mapping[tuple[str, str], exp.Expression | None], definitions: Mapping[tuple[str, str], str], gold: GoldRelation) -> frozenset[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    names = {gold.name.casefold()}
    while True:
        new = {key for key, tree in trees.items() if key not in found and _reads(tree, definitions[key], names, gold if not found else None)}
        if not new:
            return frozenset(found)
        found |= new
        names = {name for _, name in new}


def _parsed(text: str) -> exp.Expression | None:
    try:
        return sqlglot.parse_one(text, read="duckdb")
    except SqlglotError:
        return None


def _reads(tree: exp.Expression | None, text: str, names: set[str], gold: GoldRelation | None) -> bool:
    """Does a definition read one of the relations or call one of the macros called `names`?"""
    if tree is None or isinstance(tree, exp.Command):
        return any(name in text.casefold() for name in names)
    used = {t.name.casefold() for t in tree.find_all(exp.Table)} | {f.name.casefold() for f in tree.find_all(exp.Anonymous)}
    if not used & names:
        return False
    if gold is None or not gold.with_rows:
        return True
    return tree.find(exp.Star) is not None or any(gold.seals(c.name) for c in tree.find_all(exp.Column))
