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
