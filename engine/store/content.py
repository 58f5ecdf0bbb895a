"""What a relation holds, as a hash that does not depend on the order of its rows."""

from __future__ import annotations

from typing import Collection

from .connection import Store
from .names import quoted


def content_of(store: Store, source: str, wanted: Collection[str] = ("*",)) -> str:
    """Number of rows and the sum of their hashes, over the wanted columns of a FROM clause (names in lower case; "*": all).

    A sum, because the hashes of two equal rows would cancel each other in an exclusive or.
    """
    names = [c for c in store.columns(f"FROM {source}") if "*" in wanted or c.casefold() in wanted]
    hashed = f"sum(hash({', '.join(quoted(n) for n in names)}))" if names else "0"
    n, content = store.rows(f"SELECT count(*), CAST({hashed} AS VARCHAR) FROM {source}")[0]
    return f"{n}:{content}"
