"""A faster select with the same votes: shared lower(), prefilters by the words an LF cannot do without, shared predicates.

A row that holds none of the words any LF of a group needs gets no vote from that group, so that nothing else is looked at:

    CASE WHEN regexp_matches(body, '(?i)refund|money back|parcel|...') THEN <votes of the group> ELSE 0 END

This is safe because a vote needs a condition that is true (NULL abstains), and `needed` names words that stand in every text
for which it is true. Conditions that hold without any word (NOT, IS NULL, lengths) are evaluated on every row as before.
Row functions in Python are left as they are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Callable, Iterable, Sequence

from sqlglot import exp

from ..types import EntityLayout, LabelingFunction
from .rewrite_text import Need, gate, needed, simplified, text_column

GROUP = 4
"""LFs behind one prefilter: more share its cost, fewer let less rows through."""

FEW_WORDS = 1
"""Searches for so few words cost less than a share in a prefilter."""

WORTH_A_GATE = 3
"""Text predicates on a column from which a prefilter pays."""

SHAREABLE = (exp.RegexpLike, exp.RegexpFullMatch, exp.Like, exp.ILike, exp.Contains)

Code = Callable[[LabelingFunction], exp.Expression]


@dataclass
class Rewritten:
    """What replaces the words of a plain select.

    words    one expression per word over `columns` and the columns of the source
    columns  computed once per row in a sub-query: aliased expressions over the source; empty: no sub-query is needed
    """

    words: list[exp.Expression | None]
    columns: list[exp.Expression] = field(default_factory=list)


@dataclass(frozen=True)
class _Gated:
    """An LF that votes only where its need is met."""

    lf: LabelingFunction
    need: Need


def rewrite(lfs: Sequence[LabelingFunction], word_of: dict[str, int], n_words: int, code: Code, layout: EntityLayout) -> Rewritten | None:
    """The votes of `lfs` in a form that costs less; None where there is nothing to gain.

    word_of  LF -> position of its word
    code     the packed vote of one LF as an expression
    """
    texts = frozenset(name.casefold() for name, kind in layout.columns.items() if kind == "VARCHAR")
    cheaper = [replace(lf, expression=simplified(lf.expression, texts)) if lf.kind == "predicate" else lf for lf in lfs]
    if sum(_text_predicates(lf, texts) for lf in cheaper) < 2:
        return None
    return _Rewriting(cheaper, word_of, n_words, code, layout, texts).result()


def _text_predicates(lf: LabelingFunction, texts: frozenset[str]) -> int:
    if lf.kind != "predicate":
        return 0
    kinds = (*SHAREABLE, exp.StartsWith, exp.EndsWith)
    return sum(1 for node in lf.expression.find_all(*kinds) if text_column(node.this, texts) is not None)


class _Rewriting:
    """One select: which LFs stand behind prefilters, and which values are computed once."""

    def __init__(self, lfs: list[LabelingFunction], word_of: dict[str, int], n_words: int, code: Code, layout: EntityLayout, texts: frozenset[str]):
        self.word_of, self.code, self.layout, self.texts = word_of, code, layout, texts
        self.names = {name.casefold(): name for name in layout.columns}
        self.gated = self._gated(lfs)
        behind = {g.lf.name for gated in self.gated.values() for g in gated}
        self.open = [lf for lf in lfs if lf.name not in behind]
        self.everywhere = self._lowered(self.open).union(*(self._lowered(g.lf for g in found) - {c} for c, found in self.gated.items()))
        self.out = Rewritten([None] * n_words)

    def _gated(self, lfs: list[LabelingFunction]) -> dict[str, list[_Gated]]:
        """Text column -> the LFs that need words in it, where a prefilter pays."""
        found: dict[str, list[_Gated]] = {}
        for lf in lfs:
            need = needed(lf.expression, self.texts) if lf.kind == "predicate" else None
            if need:
                found.setdefault(self.names[need.column.casefold()], []).append(_Gated(lf, need))
        return {c: g for c, g in found.items() if sum(_text_predicates(each.lf, self.texts) for each in g) >= WORTH_A_GATE}

    def result(self) -> Rewritten:
        """The words, and the columns they need; lower(column) of every row only where votes outside its prefilter read it."""
        lowered = {c: self._lower_column(c) for c in sorted(self.everywhere)}
        for column in self.gated:
            if column not in lowered and column in self._lowered(g.lf for g in self.gated[column]):
                lowered[column] = self._lower_column(column, gate(column, _all_literals(self.gated[column])))
        for lf in self._shared(self.open):
            self._add(lf.name, self.code(self._with_lower(lf, lowered)))
        for column, gated in self.gated.items():
            self._add_gated(column, gated, lowered)
        return self.out

    # -- computed once --------------------------------------------------------------------------------------------------

    def _lowered(self, lfs: Iterable[LabelingFunction]) -> set[str]:
        """Text columns of which `lfs` use lower()."""
        lowers = (node for lf in lfs if lf.kind == "predicate" for node in lf.expression.find_all(exp.Lower))
        return {self.names[c.name.casefold()] for c in (text_column(node, self.texts) for node in lowers) if c is not None}

    def _lower_column(self, column: str, condition: exp.Expression | None = None) -> str:
        """The name of a new column with lower(column), or NULL where the condition fails."""
        value: exp.Expression = exp.Lower(this=exp.column(column, quoted=True))
        if condition is not None:
            value = exp.case().when(condition, value)
        return self._computed(value, f"lower {column}")

    def _computed(self, value: exp.Expression, name: str) -> str:
        taken = {*self.names, *(c.alias.casefold() for c in self.out.columns)}
        while name.casefold() in taken:
            name += "_"
        self.out.columns.append(exp.alias_(value, name, quoted=True))
        return name

    def _with_lower(self, lf: LabelingFunction, lowered: dict[str, str]) -> LabelingFunction:
        """`lf` reading lower(column) from its new column."""

        def read(node: exp.Expression) -> exp.Expression:
            column = text_column(node, self.texts) if isinstance(node, exp.Lower) and isinstance(node.this.unnest(), exp.Column) else None
            return exp.column(lowered[self.names[column.name.casefold()]], quoted=True) if column is not None else node

        return lf if lf.kind != "predicate" else replace(lf, expression=exp.Paren(this=lf.expression.copy()).transform(read).this)

    def _shared(self, lfs: list[LabelingFunction]) -> list[LabelingFunction]:
        """`lfs` reading text predicates that several of them test from new columns; such predicates never raise."""
        count = Counter(text for lf in lfs for text in {n.sql("duckdb") for n in self._shareable(lf)})
        names = {text: "" for text, n in count.items() if n > 1}

        def read(node: exp.Expression) -> exp.Expression:
            text = node.sql("duckdb") if isinstance(node, SHAREABLE) and not isinstance(node.parent, exp.Escape) else None
            if text not in names:
                return node
            names[text] = names[text] or self._computed(node.copy(), "shared 1")
            return exp.column(names[text], quoted=True)

        return [replace(lf, expression=exp.Paren(this=lf.expression.copy()).transform(read).this) if lf.kind == "predicate" else lf for lf in lfs]

    def _shareable(self, lf: LabelingFunction) -> list[exp.Expression]:
        if lf.kind != "predicate":
            return []
        found = lf.expression.find_all(*SHAREABLE)
        return [n for n in found if text_column(n.this, self.texts) is not None and isinstance(n.expression, exp.Literal) and not isinstance(n.parent, exp.Escape)]

    # -- words ----------------------------------------------------------------------------------------------------------

    def _add(self, lf: str, code: exp.Expression) -> None:
        self._merge(self.word_of[lf], code)

    def _merge(self, word: int, code: exp.Expression) -> None:
        present = self.out.words[word]
        self.out.words[word] = code if present is None else exp.BitwiseOr(this=present, expression=code)

    def _add_gated(self, column: str, gated: list[_Gated], lowered: dict[str, str]) -> None:
        """Groups behind their prefilters, all behind one of the whole where lower(column) is computed only there."""
        lazy = column in lowered and column not in self.everywhere
        for word in sorted({self.word_of[g.lf.name] for g in gated}):
            mine = [g for g in gated if self.word_of[g.lf.name] == word]
            few = [g for g in mine if lazy and self._only_few_words(g.lf)]
            groups = _grouped([g for g in mine if g not in few])
            behind = [_behind(gate(column, _all_literals(group)), self._codes(group, lowered)) for group in groups]
            code = _or([self._codes([g], lowered) for g in few] + behind)
            if lazy:
                touched = exp.Not(this=exp.Is(this=exp.column(lowered[column], quoted=True), expression=exp.null()))
                code = _behind(touched, code)
            self._merge(word, code)

    def _only_few_words(self, lf: LabelingFunction) -> bool:
        """Is the condition nothing but a search for one or two words?"""
        return lf.label is not None and lf.expression.find(exp.RegexpLike, exp.RegexpFullMatch, exp.Like) is None and _text_predicates(lf, self.texts) <= FEW_WORDS

    def _codes(self, group: list[_Gated], lowered: dict[str, str]) -> exp.Expression:
        return _or([self.code(self._with_lower(g.lf, lowered)) for g in group])


def _grouped(gated: list[_Gated]) -> list[list[_Gated]]:
    """Groups of at most GROUP LFs; those with short words, which occur everywhere, sit together."""
    ordered = sorted(gated, key=lambda g: (-min(map(len, g.need.literals)), g.lf.name))
    return [ordered[i : i + GROUP] for i in range(0, len(ordered), GROUP)]


def _all_literals(gated: Iterable[_Gated]) -> frozenset[str]:
    return frozenset().union(*(g.need.literals for g in gated))


def _behind(condition: exp.Expression, code: exp.Expression) -> exp.Expression:
    """CASE WHEN condition THEN code ELSE 0 END."""
    return exp.case().when(condition, code).else_(exp.cast(exp.Literal.number(0), exp.DataType.Type.UBIGINT))


def _or(codes: list[exp.Expression]) -> exp.Expression:
    """code | code | ..."""
    merged = codes[0]
    for code in codes[1:]:
        merged = exp.BitwiseOr(this=merged, expression=code)
    return merged
