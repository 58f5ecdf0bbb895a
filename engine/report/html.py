"""HTML that is safe by construction: every text is escaped unless it was made here."""

from __future__ import annotations

import html
import re
from typing import Any, Iterable

VOID = {"br", "hr", "input", "meta"}
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Html(str):
    """Markup: already escaped."""


def safe(value: Any) -> Html:
    """A value as markup: Html as it is, lists one after the other, NULL as nothing, everything else escaped."""
    if value is None or value is False:
        return Html("")
    if isinstance(value, Html):
        return value
    if isinstance(value, (list, tuple)) or (isinstance(value, Iterable) and not isinstance(value, (str, bytes))):
        return Html("".join(safe(each) for each in value))
    return Html(html.escape(UNPRINTABLE.sub("\ufffd", str(value)), quote=True))


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """An element. Attribute names: a trailing _ is dropped, _ becomes -; None and False leave it out, True has no value."""
    parts = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        parts.append(f" {key}" if value is True else f' {key}="{safe(str(value))}"')
    head = f"<{name}{''.join(parts)}>"
    return Html(head) if name in VOID else Html(f"{head}{safe(children)}</{name}>")


def embedded(text: str) -> str:
    """JSON text that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
