"""Text and lists: patterns, regular expressions, words, lengths, members."""

from __future__ import annotations

from typing import Callable, Sequence

from sqlglot import exp

from .kinds import BOOL, INT, TEXT, is_list, literal_kind
from .portable import Conditions, Refused, Typed, shown
from .regex import SPECIAL_FOLDS, Untranslatable, translated


class Texts(Conditions):
    """What `Conditions` translates, and predicates on text and lists."""

    def __init__(self, dialect: str):
        super().__init__(dialect)
        self.rules |= {
            exp.Like: self.like, exp.ILike: self.like, exp.Escape: self.escaped_like, exp.RegexpLike: self.regexp, exp.RegexpFullMatch: self.regexp,
            exp.Contains: self.contains, exp.ArrayContains: self.contains, exp.StartsWith: self.starts, exp.EndsWith: self.ends,
            exp.ArrayOverlaps: self.overlaps, exp.ArrayContainsAll: self.overlaps, exp.Length: self.length, exp.ArraySize: self.length,
            exp.Lower: self.lower, exp.StrPosition: self.position, exp.Substring: self.substring, exp.Left: self.edge, exp.Right: self.edge,
            exp.Replace: self.replace, exp.DPipe: self.concatenation, exp.Anonymous: self.anonymous,
        }  # fmt: skip

    def constant(self, node: exp.Expression | None, what: str) -> str:
        """A text written out. Raises Refused for one that is computed."""
        if not isinstance(node, exp.Literal) or not node.is_string:
            raise Refused(node, f"{what} that is not written out", "use a constant")
        return node.name

    def like(self, node: exp.Like | exp.ILike, escape: str | None = None) -> Typed:
        pattern = self.constant(node.expression, "a pattern")
        text = self.of(node.this, TEXT)
        if isinstance(node, exp.ILike):
            if SPECIAL_FOLDS & set(pattern):
                raise Refused(node.expression, f'engines fold some letters of "{pattern}" to different ones')
            pattern, text = pattern.lower(), self.lowered(text, pattern.isascii())
        if escape is None and "\\" in pattern:
            pattern = pattern.replace("\\", "\\\\") if self.dialect != "snowflake" else pattern
        found = exp.Like(this=text, expression=exp.Literal.string(pattern))
        return Typed(exp.Escape(this=found, expression=exp.Literal.string(escape)) if escape else found, BOOL)

    def escaped_like(self, node: exp.Escape) -> Typed:
        escape = self.constant(node.expression, "an escape")
        if self.dialect == "bigquery" or escape == "\\" or not isinstance(node.this, exp.Like):
            raise Refused(node, f"ESCAPE '{escape}' has no exact form in {self.dialect}", "use contains() or a regular expression")
        found = self.like(node.this, escape)
        return Typed(exp.Not(this=exp.paren(found.node)), BOOL) if node.this.args.get("negate") else found

    def lowered(self, text: exp.Expression, ascii_only: bool) -> exp.Expression:
        """lower(text); PostgreSQL's depends on the locale unless a collation is named: "C" knows A to Z only, ICU's all letters."""
        return exp.Lower(this=self.collated(text, "C" if ascii_only else "und-x-icu") if self.dialect == "postgres" else text)

    def lower(self, node: exp.Lower) -> Typed:
        return Typed(self.lowered(self.of(node.this, TEXT), False), TEXT)

    def regexp(self, node: exp.RegexpLike | exp.RegexpFullMatch) -> Typed:
        pattern = self.constant(node.expression, "a regular expression")
        flags = node.args.get("flag") or node.args.get("options")
        try:
            words = translated(pattern, self.constant(flags, "a flag") if flags else "", self.dialect, isinstance(node, exp.RegexpFullMatch))
        except Untranslatable as error:
            raise Refused(node.expression, f"regular expression '{pattern}': {error} has no exact form in {self.dialect}") from error
        text, literal = self.of(node.this, TEXT), exp.Literal.string(words)
        if self.dialect == "snowflake":  # its REGEXP_LIKE wants the whole text to match
            return Typed(exp.GT(this=exp.Anonymous(this="REGEXP_INSTR", expressions=[text, literal]), expression=exp.Literal.number(0)), BOOL)
        return Typed(exp.RegexpLike(this=self.collated(text, "C") if self.dialect == "postgres" else text, expression=literal), BOOL)

    def found_at(self, text: exp.Expression, word: exp.Expression) -> exp.Expression:
        """The position of a word from 1, 0 where it is not."""
        name, swapped = {"postgres": ("STRPOS", False), "bigquery": ("STRPOS", False), "spark": ("INSTR", False), "snowflake": ("CHARINDEX", True)}[self.dialect]
        return exp.Anonymous(this=name, expressions=[word, text] if swapped else [text, word])

    def contains(self, node: exp.Contains | exp.ArrayContains) -> Typed:
        if is_list(self(node.this).kind):
            return self.has(node, node.this, [node.expression], exp.or_)
        found = self.found_at(self.of(node.this, TEXT), exp.Literal.string(self.constant(node.expression, "a word")))
        return Typed(exp.GT(this=found, expression=exp.Literal.number(0)), BOOL)

    def starts(self, node: exp.Expression) -> Typed:
        return self.affix(node.this, node.expression, "LEFT")

    def ends(self, node: exp.Expression) -> Typed:
        return self.affix(node.this, node.expression, "RIGHT")

    def affix(self, text: exp.Expression, word: exp.Expression, side: str) -> Typed:
        """LEFT(text, n) = word; true for the empty word."""
        affix = self.constant(word, "a word")
        cut = exp.Anonymous(this=side, expressions=[self.of(text, TEXT), exp.Literal.number(len(affix))])
        return Typed(exp.EQ(this=cut, expression=exp.Literal.string(affix)), BOOL)

    def position(self, node: exp.StrPosition) -> Typed:
        word = self.constant(node.args["substr"], "a word")
        if node.args.get("position") or not word:
            raise Refused(node, f"{shown(node)} has no exact form in {self.dialect}")
        return Typed(self.found_at(self.of(node.this, TEXT), exp.Literal.string(word)), INT)

    def count(self, node: exp.Expression | None, least: int) -> exp.Expression:
        if not isinstance(node, exp.Literal) or literal_kind(node) != INT or int(node.this) < least:
            raise Refused(node, f"a place that is not a number from {least}", "engines count from the end in different ways")
        return node.copy()

    def substring(self, node: exp.Substring) -> Typed:
        length = node.args.get("length")
        start = self.count(node.args["start"], 1)
        return Typed(exp.Substring(this=self.of(node.this, TEXT), start=start, length=length and self.count(length, 0)), TEXT)

    def edge(self, node: exp.Left | exp.Right) -> Typed:
        return Typed(exp.Anonymous(this=node.key.upper(), expressions=[self.of(node.this, TEXT), self.count(node.expression, 0)]), TEXT)

    def replace(self, node: exp.Replace) -> Typed:
        if not self.constant(node.expression, "a word"):
            raise Refused(node.expression, "an empty word to replace")
        parts = [self.of(p, TEXT) for p in (node.this, node.expression, node.args["replacement"])]
        return Typed(exp.Anonymous(this="REPLACE", expressions=parts), TEXT)

    def concatenation(self, node: exp.DPipe) -> Typed:
        return Typed(exp.DPipe(this=self.of(node.this, TEXT), expression=self.of(node.expression, TEXT)), TEXT)

    # -- lists ----------------------------------------------------------------------------------------------------------

    def has(self, node: exp.Expression, values: exp.Expression, wanted: Sequence[exp.Expression], together: Callable) -> Typed:
        """Are the wanted values in a list? NULL for no list, false rather than NULL where the list holds NULLs."""
        found = self(values)
        kind = found.kind.removeprefix("list:")
        if kind not in (TEXT, INT) or any(not isinstance(w, exp.Literal) or literal_kind(w) != kind for w in wanted):
            raise Refused(node, f"{shown(node)}: only constants in lists of text or integers have an exact form in {self.dialect}")
        each = [exp.func("coalesce", self.native_has(found.node, kind, w), exp.false()) for w in wanted]
        return Typed(exp.case().when(exp.Not(this=exp.Is(this=found.node.copy(), expression=exp.null())), exp.paren(together(*each))), BOOL)

    def native_has(self, values: exp.Expression, kind: str, wanted: exp.Expression) -> exp.Expression:
        values, wanted = values.copy(), wanted.copy()
        if self.dialect == "postgres":
            return exp.EQ(this=wanted, expression=exp.Any(this=exp.paren(values)))
        if self.dialect == "spark":
            return exp.Anonymous(this="ARRAY_CONTAINS", expressions=[values, wanted])
        if self.dialect == "snowflake":
            return exp.Anonymous(this="ARRAY_CONTAINS", expressions=[exp.cast(wanted, "variant"), values])
        return exp.In(this=wanted, unnest=exp.Unnest(expressions=[values]))

    def comparison(self, node: exp.Binary) -> Typed:
        """As for single values; a list = [] by its length."""
        empty = isinstance(node.expression, exp.Array) and not node.expression.expressions
        if empty and isinstance(node, (exp.EQ, exp.NEQ)) and is_list(self(node.this).kind):
            return Typed(type(node)(this=self.length(exp.ArraySize(this=node.this.copy())).node, expression=exp.Literal.number(0)), BOOL)
        return super().comparison(node)

    def overlaps(self, node: exp.Expression) -> Typed:
        return self.several(node, node.this, node.expression, exp.and_ if isinstance(node, exp.ArrayContainsAll) else exp.or_)

    def several(self, node: exp.Expression, values: exp.Expression, wanted: exp.Expression, together: Callable) -> Typed:
        if not isinstance(wanted, exp.Array) or not wanted.expressions:
            raise Refused(node, f"{shown(node)}: the second list is not written out")
        return self.has(node, values, wanted.expressions, together)

    def length(self, node: exp.Length | exp.ArraySize) -> Typed:
        found = self(node.this)
        if not is_list(found.kind):
            name = "CHAR_LENGTH" if self.dialect == "bigquery" else "LENGTH"
            return Typed(exp.Anonymous(this=name, expressions=[self.of(node.this, TEXT)]), INT)
        name = {"postgres": "CARDINALITY", "spark": "SIZE", "snowflake": "ARRAY_SIZE", "bigquery": "ARRAY_LENGTH"}[self.dialect]
        size = exp.Anonymous(this=name, expressions=[found.node])
        return Typed(exp.case().when(exp.Not(this=exp.Is(this=found.node.copy(), expression=exp.null())), size), INT)

    def anonymous(self, node: exp.Anonymous) -> Typed:
        name, given = node.name.lower(), node.expressions
        if name in ("prefix", "suffix") and len(given) == 2:
            return self.affix(*given, "LEFT" if name == "prefix" else "RIGHT")
        if name in ("list_has_all", "array_has_all", "list_has_any", "array_has_any") and len(given) == 2:
            return self.several(node, *given, exp.and_ if name.endswith("all") else exp.or_)
        if name in ("list_has", "array_has") and len(given) == 2:
            return self.has(node, given[0], [given[1]], exp.or_)
        if name in ("date_part", "datepart") and len(given) == 2 and isinstance(given[0], exp.Literal):
            return self.extract(node, given[0].name, given[1])
        raise Refused(node, f"{node.name}() has no exact form in {self.dialect}")
