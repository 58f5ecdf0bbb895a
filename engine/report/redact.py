"""What may be shown of the user's rows: everything, or only how long it is and a hash to find it again."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

LONGEST = 320
MOST_COLUMNS = 6
OURS = ("entity_id", "modality", "split", "event_time")


@dataclass(frozen=True)
class Discretion:
    """Turns entities into what a report may print.

    redact  every value of the user's columns, and keys that are text, are replaced
    """

    redact: bool = False

    def key(self, entity: dict[str, Any]) -> str:
        """The key of an entity, or what stands for it."""
        key = entity["entity_id"]
        return hidden(key) if self.redact and not isinstance(key, int) else str(key)

    def columns(self, entity: dict[str, Any]) -> list[tuple[str, str]]:
        """(column, value) of an entity: its texts first, numbers after, vectors and NULLs left out, long texts cut."""
        found = [(name, value) for name, value in entity.items() if name not in OURS and _readable(value)]
        found.sort(key=lambda pair: -len(pair[1]) if isinstance(pair[1], str) else 1)
        shown = found[:MOST_COLUMNS]
        return [(name, hidden(value) if self.redact else short(str(value))) for name, value in shown]

    def message(self, text: str | None) -> str | None:
        """An error's text; redacted only its code, because databases quote values in their complaints."""
        if text is None or not self.redact:
            return text
        code = re.match(r"(error|warning)\[[A-Z]+\d+\]", text)
        return f"{code[0] if code else 'error'}: the message may quote data and is left out"


def _readable(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and value != "" and value == value


def hidden(value: Any) -> str:
    """Length and hash of a text, the kind of anything else. Short texts can be guessed from their hash."""
    if isinstance(value, str):
        return f"{len(value)} characters, #{hashlib.sha256(value.encode(errors='replace')).hexdigest()[:8]}"
    return f"a {type(value).__name__}, left out"


def short(text: str) -> str:
    """At most LONGEST characters."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
