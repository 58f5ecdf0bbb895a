"""All row-local LFs of a task as one SELECT over `entity`: one scan, votes packed into words."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from sqlglot import exp

from ..types import EntityLayout, LabelingFunction
from .rewrite import Rewritten, rewrite
from .slots import Slot, n_words


def vote_words(lfs: Sequence[LabelingFunction], slots: Sequence[Slot], classes: Sequence[str], n: int | None = None) -> list[exp.Expression]:
    """One expression per word: the packed votes of `lfs` for a row of `entity`.

    A word is the bitwise OR of CASE WHEN vote THEN code << shift ELSE 0 END over its LFs.
    """
    place = {s.lf: s for s in slots}
    words: list[exp.Expression | None] = [None] * (n or n_words(list(slots)))
    for lf in lfs:
        slot = place[lf.name]
        code = vote_code(lf, slot, classes)
        words[slot.word] = code if words[slot.word] is None else exp.BitwiseOr(this=words[slot.word], expression=code)
    return [w if w is not None else ubigint(0) for w in words]


def vote_code(lf: LabelingFunction, slot: Slot, classes: Sequence[str]) -> exp.Expression:
    """The shifted code of one LF's vote: 0 where it abstains."""
    codes = {label: (position + 1) << slot.shift for position, label in enumerate(classes)}
    node = only_this_modality(lf)
    if lf.label is not None:
        return exp.case().when(node, ubigint(codes[lf.label])).else_(ubigint(0))
    cases = exp.Case(this=node, ifs=[])
    for label, code in codes.items():
        cases = cases.when(exp.Literal.string(label), ubigint(code))
    return cases.else_(ubigint(0))


def only_this_modality(lf: LabelingFunction) -> exp.Expression:
    """The LF's expression, abstaining on rows of other modalities."""
    node = lf.expression.copy()
    if lf.modality is None:
        return exp.paren(node) if isinstance(node, exp.Connector) else node
    mine = exp.EQ(this=exp.column("modality", quoted=True), expression=exp.Literal.string(lf.modality))
    if lf.label is not None:
        return exp.and_(mine, node)
    return exp.case().when(mine, node)


def ubigint(value: int) -> exp.Expression:
    """value::UBIGINT."""
    return exp.cast(exp.Literal.number(value), exp.DataType.Type.UBIGINT)


def over_one_modality(lfs: Sequence[LabelingFunction], modalities: Sequence[str]) -> list[LabelingFunction]:
    """`lfs` without the modality test where `entity` holds one modality only."""
    return list(lfs) if len(modalities) > 1 else [replace(lf, modality=None) for lf in lfs]


def local_votes(
    lfs: Sequence[LabelingFunction], slots: Sequence[Slot], classes: Sequence[str], layout: EntityLayout, source: str, keep: Sequence[str],
    rewritten: bool = True,
) -> exp.Select:
    """SELECT keep..., w0, w1, ... FROM source: the packed votes of `lfs` for every row.

    rewritten  in a form that is evaluated faster and gives the same votes (see `rewrite`); False: as the LFs are written
    """  # fmt: skip
    found = rewritten_votes(lfs, slots, classes, layout) if rewritten else None
    words = vote_words(lfs, slots, classes) if found is None else [w if w is not None else ubigint(0) for w in found.words]
    named = [exp.alias_(word, f"w{i}", quoted=True) for i, word in enumerate(words)]
    relation = exp.maybe_parse(source, into=exp.From, prefix="FROM", dialect="duckdb").this
    if found and found.columns:
        relation = exp.select(exp.Star(), *found.columns).from_(relation).subquery("e")
    return exp.select(*(exp.column(k, quoted=True) for k in keep), *named).from_(relation)


def rewritten_votes(lfs: Sequence[LabelingFunction], slots: Sequence[Slot], classes: Sequence[str], layout: EntityLayout) -> Rewritten | None:
    """The words of `lfs` in their faster form; None where there is none."""
    place = {s.lf: s for s in slots}
    word_of = {lf.name: place[lf.name].word for lf in lfs}
    return rewrite(lfs, word_of, n_words(list(slots)), lambda lf: vote_code(lf, place[lf.name], classes), layout)
