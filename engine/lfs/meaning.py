"""What a statement means to DuckDB: its own syntax tree without places, comments, case and synonyms.

Two uses: a fingerprint that white space cannot change, and the proof that a predicate written anew from our syntax tree is
the one the analyst wrote. Where that proof fails, the text is run as it stands.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

import duckdb

from ..store import Store

DROPPED = {"query_location", "alias", "schema_error_context"}
FOLDED = {"function_name", "table_name", "schema_name", "catalog_name", "schema", "catalog"}
OPERATORS = {"&&": "list_has_any", "@>": "list_has_all"}
"""Operators that are another way to write a function."""
DATE_PARTS = {"date_diff", "date_sub", "date_trunc", "date_part", "datediff", "datesub", "datepart", "datetrunc"}


def function_synonyms(store: Store) -> dict[str, str]:
    """Function name -> the name it is a synonym of, from DuckDB's own catalogue."""
    found = store.rows("SELECT DISTINCT function_name, alias_of FROM duckdb_functions() WHERE alias_of IS NOT NULL AND alias_of <> function_name")
    return {name.casefold(): target.casefold() for name, target in sorted(found)}


def warehouse_macros(store: Store) -> dict[str, str]:
    """Macro of the warehouse, lower case -> its definition: part of the meaning of what calls it."""
    found = store.rows("SELECT lower(function_name), macro_definition FROM duckdb_functions() WHERE database_name = 'warehouse' AND macro_definition IS NOT NULL")
    return dict(sorted(found))


def meaning(store: Store, text: str, synonyms: Mapping[str, str]) -> str | None:
    """The canonical text of a SELECT's meaning; None when DuckDB cannot serialise it."""
    try:
        raw = store.connection.execute("SELECT json_serialize_sql($q)", {"q": text}).fetchone()[0]
    except duckdb.Error:
        return None
    tree = json.loads(raw)
    if tree.get("error"):
        return None
    return json.dumps([_canonical(s["node"], synonyms) for s in tree["statements"]], sort_keys=True, separators=(",", ":"))


def _canonical(node: Any, synonyms: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_canonical(each, synonyms) for each in node]
    if not isinstance(node, dict):
        return node
    out = {k: _canonical(v, synonyms) for k, v in node.items() if k not in DROPPED or (k == "alias" and v and node.get("class") is None)}
    for key in FOLDED & out.keys():
        out[key] = str(out[key]).casefold()
    if "column_names" in out:
        out["column_names"] = [str(c).casefold() for c in out["column_names"]]
    if alias := node.get("alias"):
        out["alias"] = alias.casefold()
    return _folded(out, synonyms)


def _folded(node: dict, synonyms: Mapping[str, str]) -> dict:
    kind = node.get("class")
    if kind == "FUNCTION":
        return _function(node, synonyms)
    if node.get("type") == "OPERATOR_NOT" and len(node["children"]) == 1 and node["children"][0].get("type") == "OPERATOR_IS_NULL":
        return node["children"][0] | {"type": "OPERATOR_IS_NOT_NULL"}
    if kind == "CONSTANT":
        return _constant(node)
    if kind == "CAST" and node["child"].get("class") == "CONSTANT" and node["cast_type"]["id"] == "DOUBLE":
        return node | {"child": str(node["child"].get("value"))}
    return node


def _function(node: dict, synonyms: Mapping[str, str]) -> dict:
    name = OPERATORS.get(node["function_name"], node["function_name"])
    for _ in range(3):
        name = synonyms.get(name, name)
    if name in DATE_PARTS and node["children"] and isinstance(node["children"][0].get("value"), str):
        first = node["children"][0] | {"value": node["children"][0]["value"].casefold()}
        node = node | {"children": [first, *node["children"][1:]]}
    return node | {"function_name": name, "is_operator": node.get("is_operator") and name not in OPERATORS.values()}


def _constant(node: dict) -> dict:
    value = node["value"]
    kind = value["type"]["id"]
    if kind == "DECIMAL" and not value["is_null"]:
        return {"class": "CONSTANT", "value": f"{int(value['value'])}e-{value['type']['type_info']['scale']}"}
    return {"class": "CONSTANT", "kind": kind, "value": value.get("value"), "is_null": value["is_null"]}
