"""Labeling functions in Python: Ibis predicates, and row functions as a last resort."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import textwrap
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

from sqlglot import exp

from ..errors import Diagnostic, Location, did_you_mean
from ..store import Store
from ..types import EntityLayout, LabelingFunction, RowFunction, SourceLayout
from .header import Statement, named_class
from .parse import LFProblem


@dataclass(frozen=True)
class PythonLF:
    """A function marked with `@lf`; `columns` makes it a row function, otherwise it gets an Ibis table."""

    function: Callable[..., Any]
    name: str
    label: str | None
    modality: str | None
    columns: tuple[str, ...] | None
    owner: str | None
    tags: tuple[str, ...]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def lf(
    label: str | None = None,
    *,
    name: str | None = None,
    modality: str | None = None,
    columns: tuple[str, ...] | list[str] | None = None,
    owner: str | None = None,
    tags: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], PythonLF]:
    """Mark a Python function in lfs/*.py as a labeling function.

    Without `columns` the function gets the modality's relation as an Ibis table and returns a boolean expression (with
    `label`) or a string expression of class names, NULL to abstain. With `columns` it gets the values of those columns of
    one row (None for NULL) and returns True or False (with `label`), or a class name or None: slow, and trusted code.
    """

    def mark(function: Callable[..., Any]) -> PythonLF:
        return PythonLF(function, name or function.__name__, label, modality, tuple(columns) if columns else None, owner, tuple(tags))

    return mark


def read_python(path: Path, shown: str) -> tuple[list[PythonLF], list[Diagnostic]]:
    """The marked functions of one file; LF121 when it cannot be imported."""
    module = ModuleType(f"_groundswell_lfs_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickling inside user code look their module up
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))  # never from __pycache__: an edit counts at once
    except (Exception, SystemExit) as error:
        return [], [python_problem(error, Location(shown, 1), path, None)]
    finally:
        sys.modules.pop(module.__name__, None)
    return [value for value in vars(module).values() if isinstance(value, PythonLF)], []


def python_problem(error: BaseException, at: Location, path: Path, lf_name: str | None) -> Diagnostic:
    """LF121: user code raised; the place is its innermost line in the user's file, else `at`."""
    if isinstance(error, SyntaxError):
        lines = [error.lineno or 1]
    else:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    message = (str(error).splitlines() or [""])[0]
    at = Location(at.path, lines[-1] or 1) if lines else at
    return Diagnostic("LF121", f"{type(error).__name__}: {message}", at, "Python LFs must import and compile cleanly", lf_name)


def source_of(marked: PythonLF, layout: EntityLayout, shown: str) -> SourceLayout | None:
    """The modality's source a Python LF looks at; None for all of `entity`. Raises LFProblem LF105."""
    names = {s.modality.name: s for s in layout.sources}
    if marked.modality is None:
        return layout.sources[0] if len(layout.sources) == 1 else None
    if marked.modality not in names:
        at = location(marked, shown)
        hint = did_you_mean(marked.modality, names) or f"modalities are: {', '.join(names)}"
        raise LFProblem(Diagnostic("LF105", f'there is no modality "{marked.modality}"', at, hint, marked.name))
    return names[marked.modality]


def location(marked: PythonLF, shown: str) -> Location:
    """Where the function stands."""
    return Location(shown, marked.function.__code__.co_firstlineno)


def ibis_statement(marked: PythonLF, store: Store, layout: EntityLayout, shown: str, path: Path) -> Statement:
    """The SQL an Ibis LF compiles to, as a statement like any other. Raises LFProblem LF121."""
    import ibis
    from ibis.backends.sql.datatypes import DuckDBType

    source = source_of(marked, layout, shown)
    columns = source.columns if source else layout.columns
    keys = list(source.modality.key if source else ("entity_id",))
    table = ibis.table({c: DuckDBType.from_string(kind) for c, kind in columns.items()}, name=source.relation if source else "entity")
    try:
        vote = marked.function(table)
        if not isinstance(vote, ibis.Value):
            raise TypeError(f"returns {type(vote).__name__}, not a column expression")
        query = table.filter(vote).select(keys) if marked.label is not None else table.select(*keys, label=vote)
        text = store.ibis.compiler.to_sqlglot(query).sql("duckdb", pretty=True)
    except Exception as error:
        raise LFProblem(python_problem(error, location(marked, shown), path, marked.name)) from error
    options = {"tags": " ".join(marked.tags)} | ({"owner": marked.owner} if marked.owner else {})
    label, excludes = named_class(marked.label)
    return Statement(marked.name, label, text, shown, marked.function.__code__.co_firstlineno, options, excludes)


def row_function(marked: PythonLF, layout: EntityLayout, shown: str) -> LabelingFunction:
    """The LabelingFunction of a row function: an Arrow UDF over columns of `entity`. Raises LFProblem LF102."""
    source = source_of(marked, layout, shown)
    carried = source.carried if source else {c.casefold(): exp.column(c, quoted=True) for c in layout.columns}
    at = location(marked, shown)
    for column in marked.columns:
        if column.casefold() not in carried:
            raise LFProblem(Diagnostic("LF102", f'column "{column}" does not exist', at, did_you_mean(column, carried), marked.name))
    code = inspect.getsource(marked.function)
    version = hashlib.sha256(f"{marked.name}\n{_written(marked)}".encode()).hexdigest()[:16]
    udf = RowFunction(f"gs_row_{version}", marked.function, marked.columns, version)
    arguments = [carried[c.casefold()].copy() for c in marked.columns]
    expression = exp.Anonymous(this=udf.name, expressions=arguments)
    label, excludes = named_class(marked.label)
    return LabelingFunction(
        name=marked.name, kind="python", label=label, ballot="exclude" if excludes else "vote", sql=code, path=shown, line=at.line, owner=marked.owner, tags=marked.tags,
        reads=(source.relation if source else "entity",), columns=tuple(sorted({("entity", c.name) for a in arguments for c in a.find_all(exp.Column)})),
        modality=source.modality.name if source else None, labels=(label,) if label else None, expression=expression, functions={udf.name: udf},
        meaning=f"python:{version}:{marked.columns}", location=at,
    )  # fmt: skip


def _written(marked: PythonLF) -> str:
    """The code a row function depends on: its whole file, constants and helpers too, without comments and white space."""
    path = Path(marked.function.__code__.co_filename)
    text = path.read_text(encoding="utf-8") if path.is_file() else textwrap.dedent(inspect.getsource(marked.function))
    return ast.dump(ast.parse(text))


def register_row_functions(store: Store, lfs: list[LabelingFunction], layout: EntityLayout) -> None:
    """Make row functions callable from SQL: Arrow in, Arrow out, values of one row at a time in between."""
    import pyarrow as pa

    from groundswell.udfs.score import with_arity

    for each in lfs:
        for udf in each.functions.values():
            returns_label = each.label is None

            def call(*columns: pa.Array, function=udf.function, returns_label=returns_label) -> pa.Array:
                rows = zip(*(c.to_pylist() for c in columns))
                votes = [function(*row) for row in rows]
                return pa.array(votes, pa.string()) if returns_label else pa.array([bool(v) for v in votes], pa.bool_())

            store.connection.create_function(
                udf.name, with_arity(call, len(udf.columns)), _types(each, layout), "VARCHAR" if returns_label else "BOOLEAN",
                type="arrow", null_handling="special",
            )  # fmt: skip


def _types(each: LabelingFunction, layout: EntityLayout) -> list[str]:
    by_fold = {c.casefold(): kind for c, kind in layout.columns.items()}
    return [a.args["to"].sql("duckdb") if isinstance(a, exp.Cast) else by_fold[a.name.casefold()] for a in each.expression.expressions]
