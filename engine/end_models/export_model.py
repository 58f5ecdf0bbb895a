"""A fitted end model as a file that needs no groundswell: TorchScript, ONNX, SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

from ..errors import ConfigError, EndModelError, did_you_mean

FORMATS = {"torchscript": ".pt", "onnx": ".onnx", "sql": ".sql"}
"""Format -> the suffix such files have."""

HEADER = """\
-- {title}, as one SELECT ({dialect}).
-- Reads       {table}: entity_id and {features}; to score other rows, name their relation in the CTE "entity"
-- Output      one row per row read: predicted_label, confidence, and a probability p_<class> for each of {classes}
-- Source      trained on {rows:,} rows, seed {seed}; keep it by CREATE VIEW name AS ...
-- Invariants  probabilities sum to 1; NULL and NaN count as missing; an infinite number gives NULL; instants are read as UTC
"""


def write_model(model: Any, path: Path, form: str, *, title: str, table: Sequence[str], dialect: str = "duckdb") -> None:
    """Write a fitted end model in one of FORMATS; its scores agree with `predict` within 1e-5.

    title, table, dialect  for SQL: its first words, the (schema, name) it reads, and whose SQL it is

    Raises EndModelError EM107 for an unknown format or dialect, EM110 before fit, EM120 for what the format cannot say, EM121
    where a package is missing; ConfigError CFG123 where the file cannot be written.
    """
    if form not in FORMATS:
        hint = did_you_mean(form, FORMATS) or f"the formats are {', '.join(FORMATS)}"
        raise EndModelError("EM107", f'end models are not written as "{form}"', hint=hint)
    model.require_fitted()
    base = next(iter(model.parts.values())) if hasattr(model, "parts") else model
    if not hasattr(base, "network_"):
        raise EndModelError("EM120", f"{base.method} cannot be written as {form}", hint="train logistic or mlp: groundswell train --method logistic")
    content = sql_text(model, title, table, dialect).encode() if form == "sql" else _binary(model, form)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError("CFG123", f"cannot write {path}: {error.strerror}", hint="name another file with -o") from error


def _binary(model: Any, form: str) -> bytes:
    if form == "onnx":
        from .export_onnx import onnx_bytes

        return onnx_bytes(model)
    from .export_torch import torchscript_bytes

    return torchscript_bytes(model)


def sql_text(model: Any, title: str, table: Sequence[str], dialect: str = "duckdb") -> str:
    """The SELECT of `model_sql` under a header that says what it reads and gives."""
    from .export_sql import model_sql
    from .linear_parts import linear_parts

    query = model_sql(model, table, dialect)
    listed = {"features": ", ".join(dict.fromkeys(c.feature.name for part in linear_parts(model) for c in part.columns)), "classes": ", ".join(model.classes), "table": ".".join(table)}
    words = {name: " ".join(text.split()) for name, text in {**listed, "title": title}.items()}
    return HEADER.format(**words, dialect=dialect, rows=model.rows_, seed=model.seed_) + query
