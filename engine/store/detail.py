"""What DuckDB says about an error, as data."""

from __future__ import annotations

import json
import re


def error_detail(error: Exception) -> dict[str, str]:
    """DuckDB's structured error (errors_as_json), or its text under the same keys: exception_message, position, candidates, ..."""
    text = str(error)
    start = text.find("{")
    if start >= 0:
        try:
            return json.loads(text[start:])
        except json.JSONDecodeError:
            pass
    return {"exception_message": re.sub(r"^[A-Za-z ]+ Error: ", "", text)}


def is_full(error: Exception) -> bool:
    """Does DuckDB complain that it cannot write any more?"""
    return bool(re.search(r"No space left|disk full|File too large|Disk quota|database has been invalidated.*[Ww]rite", str(error), re.IGNORECASE))


def lock_holder(error: Exception) -> str:
    """Who has a file open, as DuckDB says it."""
    found = re.search(r"PID (\d+)", str(error))
    return f"process {found[1]}" if found else "another process"
