"""What is encoded: images, vectors, texts or columns of the warehouse, by entity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np
import pyarrow as pa

from ..errors import AffinityError, did_you_mean
from ..store import Store
from ..store.names import quoted
from ..types import RESERVED_COLUMNS, EntityLayout, Project
from .parts import ArrayParts, bags

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
READ_AT_ONCE = 64
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN", "HUGEINT")
MOST_CATEGORIES = 50
TEXT_DIMENSIONS = 64


@dataclass(frozen=True)
class ImageSource:
    """Encoded images by entity: a BLOB column, a column of paths, or a folder of files named like the keys.

    column  of `entity`; None: files of `folder` whose name, or name without suffix, is the key
    """

    layout: EntityLayout
    root: Path
    column: str | None
    folder: Path | None = None

    def images(self, store: Store, keys: Sequence[Any] | None = None) -> Iterator[tuple[Any, bytes | None]]:
        """(key, bytes or None where there is no file) of all entities that have an image, or of some."""
        wanted = "" if keys is None else "WHERE list_contains($keys, entity_id)"
        parameters = None if keys is None else {"keys": list(keys)}
        column = "NULL" if self.column is None else quoted(self.column)
        has_one = f"{'AND' if wanted else 'WHERE'} {column} IS NOT NULL" if self.column else ""
        query = f"SELECT entity_id, {column} AS image FROM ({self.layout.query.sql('duckdb')}) {wanted} {has_one}"
        files = _by_key(self.folder) if self.folder else {}
        for batch in store.stream(query, parameters, READ_AT_ONCE):
            for key, value in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist()):
                if self.folder is None:
                    yield key, value if isinstance(value, bytes) else _file(self.root / value)
                elif str(key) in files:
                    yield key, _file(files[str(key)])


def _file(path: Path) -> bytes | None:
    """The bytes of a file; None for what is no file (a device would never end) or cannot be read."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None


def _by_key(folder: Path) -> dict[str, Path]:
    """Name, and name without suffix, relative to the folder -> file."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    return {str(p.relative_to(folder).with_suffix("")): p for p in files} | {str(p.relative_to(folder)): p for p in files}


def image_source(layout: EntityLayout, project: Project, named: str | None) -> ImageSource:
    """Where the images are: a column of the modality or a folder, or the only BLOB column. Raises AffinityError AF105."""
    columns = {n: kind for n, kind in layout.columns.items() if n not in RESERVED_COLUMNS}
    if named is None:
        blobs = [n for n, kind in columns.items() if kind == "BLOB"]
        if len(blobs) != 1:
            raise AffinityError("AF105", f"there are {len(blobs)} BLOB columns", hint=f"say where the images are: --images FOLDER, or a column: {', '.join(blobs or columns)}")
        return ImageSource(layout, project.root, blobs[0])
    found = next((n for n in columns if n.casefold() == named.casefold()), None)
    if found is not None:
        if columns[found] not in ("BLOB", "VARCHAR"):
            raise AffinityError("AF105", f'column "{found}" is {columns[found]}: neither images nor paths', hint="a BLOB column, or paths as text; vectors: --vectors")
        return ImageSource(layout, project.root, found)
    folder = project.root / named
    if not folder.is_dir():
        raise AffinityError("AF105", f'"{named}" is neither a column nor a folder', hint=did_you_mean(named, columns) or f"columns: {', '.join(columns)}")
    return ImageSource(layout, project.root, None, folder)


def column_parts(store: Store, layout: EntityLayout, column: str) -> tuple[list[Any], ArrayParts]:
    """(keys, parts) of a column of vectors (FLOAT[], FLOAT[d]) or of bags of vectors (FLOAT[][]); NULL: no entity.

    Raises AffinityError AF105 for an unknown column, AF110 for one that holds no vectors or of different lengths.
    """
    name = _require(layout, column)
    if "[" not in layout.columns[name] or not layout.columns[name].startswith(NUMBERS):
        raise AffinityError("AF110", f'column "{name}" is {layout.columns[name]}, not vectors of numbers', hint="a column FLOAT[] (one vector a row) or FLOAT[][] (several)")
    keys, values = _read(store, layout, [name])
    return keys, bags(values[0].to_pylist())


def text_parts(store: Store, layout: EntityLayout, column: str, seed: int) -> tuple[list[Any], ArrayParts]:
    """(keys, parts) of a text column: a latent semantic vector of each sentence (tf-idf of words, truncated SVD)."""
    keys, values = _read(store, layout, [_require(layout, column)])
    return keys, sentence_parts(values[0].to_pylist(), seed)


def sentence_parts(texts: Sequence[str | None], seed: int = 0) -> ArrayParts:
    """Parts (N, sentences, at most TEXT_DIMENSIONS); raises AffinityError AF110 where no text has a word."""
    import re

    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    sentences = [[s for s in re.split(r"(?<=[.!?;])\s+|\n+", text or "") if re.search(r"\w\w", s)] for text in texts]
    flat = [s for each in sentences for s in each]
    if not flat:
        raise AffinityError("AF110", "no text has a word of two letters", hint="another column?")
    words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w\w+").fit_transform(flat)
    most = min(TEXT_DIMENSIONS, words.shape[1] - 1, len(flat) - 1)
    vectors = TruncatedSVD(most, random_state=seed).fit_transform(words) if most >= 2 else words.toarray()
    ends = np.cumsum([len(each) for each in sentences])
    return bags([vectors[stop - len(each) : stop] for each, stop in zip(sentences, ends)])


def row_parts(store: Store, layout: EntityLayout) -> tuple[list[Any], ArrayParts]:
    """(keys, parts) of tabular rows: numbers standardised (missing: the mean), categories of at most MOST_CATEGORIES values one-hot."""
    names = [n for n, kind in layout.columns.items() if n not in RESERVED_COLUMNS and "[" not in kind and (kind.startswith(NUMBERS) or kind == "VARCHAR")]
    keys, values = _read(store, layout, names, any_null=True)
    encoded = [e for n, v in zip(names, values) for e in ([_standardised(v)] if layout.columns[n].startswith(NUMBERS) else _indicators(v))]
    encoded = [e for e in encoded if np.ptp(e) > 0]
    if not encoded:
        raise AffinityError("AF110", "no column tells rows apart", hint=f"columns: {', '.join(names) or 'none'}")
    return keys, ArrayParts(np.stack(encoded, axis=1).astype(np.float32)[:, None])


def _standardised(values: pa.Array) -> np.ndarray:
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = np.isfinite(numbers)
    mean, sd = (numbers[known].mean(), numbers[known].std()) if known.any() else (0.0, 0.0)
    return np.where(known, (numbers - mean) / (sd or 1.0), 0.0)


def _indicators(values: pa.Array) -> list[np.ndarray]:
    texts = np.array([v if v is not None else "" for v in values.to_pylist()])
    levels = sorted(set(texts) - {""})
    return [((texts == level) - (texts == level).mean()) for level in levels] if len(levels) <= MOST_CATEGORIES else []


def _require(layout: EntityLayout, column: str) -> str:
    columns = [n for n in layout.columns if n not in RESERVED_COLUMNS]
    found = next((n for n in columns if n.casefold() == column.casefold()), None)
    if found is None:
        raise AffinityError("AF105", f'there is no column "{column}"', hint=did_you_mean(column, columns) or f"columns: {', '.join(columns)}")
    return found


def _read(store: Store, layout: EntityLayout, columns: Sequence[str], any_null: bool = False) -> tuple[list[Any], list[pa.Array]]:
    """(keys, one array per column) of the entities in the order of their keys; without those that are NULL unless any_null."""
    chosen = ", ".join(quoted(c) for c in columns)
    where = "" if any_null else f"WHERE {quoted(columns[0])} IS NOT NULL"
    table = store.arrow(f"SELECT entity_id{', ' if chosen else ''}{chosen} FROM ({layout.query.sql('duckdb')}) {where} ORDER BY entity_id")
    if not table.num_rows:
        raise AffinityError("AF105", "there is not one row to encode", hint="is the column filled?")
    return table.column(0).to_pylist(), [table.column(i + 1).combine_chunks() for i in range(len(columns))]
