"""SQL in colours: sqlglot's own tokens, every text escaped."""

from __future__ import annotations

import sqlglot
from sqlglot.errors import TokenError
from sqlglot.tokens import TokenType

from .html import Html, safe, tag

STRINGS = {TokenType.STRING, TokenType.RAW_STRING, TokenType.NATIONAL_STRING, TokenType.HEREDOC_STRING}
PLAIN = {TokenType.VAR, TokenType.IDENTIFIER}


def highlighted(sql: str) -> Html:
    """A <code> element; text that is no SQL stays plain."""
    try:
        tokens = sqlglot.tokenize(sql, read="duckdb")
    except TokenError:
        return tag("code", sql)
    parts, at = [], 0
    for token in tokens:
        parts += [_gap(sql[at : token.start]), _token(token, sql[token.start : token.end + 1])]
        at = token.end + 1
    return tag("code", parts, _gap(sql[at:]))


def _gap(text: str) -> Html:
    """What stands between tokens: white space and comments."""
    return tag("i", text) if text.strip() else safe(text)


def _token(token, text: str) -> Html:
    if token.token_type in STRINGS:
        return tag("q", text)
    if token.token_type == TokenType.NUMBER:
        return tag("em", text)
    if token.token_type not in PLAIN and text[:1].isalpha():
        return tag("b", text)
    return safe(text)
