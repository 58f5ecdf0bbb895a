"""What mined labeling functions are worth: on labelled entities held out of mining, and on each modality nobody labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..intervals import wilson_lower
from ..store import Store
from ..store.names import literal, quoted, table_name
from .items import Itemset, MinedFeature
from .selection import MinedLF

JUDGED = 1_000_000
"""Entities of each kind (held out; of a modality) on which predicates are judged, by hash, where there are more."""
SAMPLED = 250_000
"""Mined entities of a class on which itemsets are chosen: what one adds to others, what all reach."""
COMPARED = 50_000
"""Entities on which mined functions are compared with those that exist."""


@dataclass(frozen=True)
class Judged:
    """One labeling function on held-out gold and on all entities.

    n_dev         held-out entities on which it votes
    coverage      share of entities of the labelled modalities; new_coverage: of the others, NaN where there are none
    """

    n_dev: int
    precision: float
    wilson_lower: float
    recall: float
    lift: float
    coverage: float
    new_coverage: float


def sample_mined(store: Store, schema: str, features: Sequence[MinedFeature]) -> None:
    """TEMP table `mining_sample`: __y and these features of mined entities, all of a class or SAMPLED of it, for `cover` and `reach`."""
    counts = store.rows("SELECT y, count(*) FROM mining_row WHERE mined GROUP BY ALL")
    chosen = " OR ".join(f"(y = {y} AND shuffle < {_thousandths(n, SAMPLED)})" for y, n in counts)
    columns = ", ".join(f"e.{quoted(feature.name)}" for feature in features)
    store.execute(
        f"""CREATE OR REPLACE TEMP TABLE mining_sample AS SELECT __y, {columns} FROM {table_name(schema, 'entity')} AS e
        JOIN (SELECT row, y AS __y FROM mining_row WHERE mined AND ({chosen})) AS m ON m.row = e.rowid"""
    )


def cover(store: Store, feature: MinedFeature, itemsets: Sequence[Itemset], y: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the itemsets hold together: bool (G, I) per distinct group of sampled entities of class y, and int (G,) entities."""
    items = sorted({item for each in itemsets for item in each})
    found = store.arrow(
        f"""SELECT list_sort(list_distinct(held)) AS held, count(*) AS n
        FROM (SELECT list_filter({feature.texts}, lambda item: item IN ({', '.join(map(literal, items))})) AS held FROM mining_sample AS e WHERE __y = $y) GROUP BY ALL""", {"y": y},
    )  # fmt: skip
    held = found["held"].combine_chunks()
    has = np.zeros((len(held), len(items)), bool)
    has[np.repeat(np.arange(len(held)), np.diff(held.offsets.to_numpy())), pc.index_in(held.flatten(), pa.array(items, pa.string())).to_numpy()] = True
    position = {item: i for i, item in enumerate(items)}
    holds = np.stack([has[:, [position[item] for item in each]].all(axis=1) for each in itemsets], axis=1)
    return holds, found["n"].to_numpy().astype(np.int64)


def judge(store: Store, schema: str, lfs: Sequence[MinedLF], n_classes: int, modalities: Sequence[str]) -> list[Judged]:
    """Each LF on held-out gold of `modalities` and on the other entities; one scan."""
    if not lfs:
        return []
    _sample(store, schema)
    votes = ", ".join(f"count(*) FILTER ({lf.predicate}) AS v{i}" for i, lf in enumerate(lfs))
    found = store.arrow(
        f"SELECT __kind AS kind, e.modality, __y AS y, count(*) AS n, {votes} FROM {table_name(schema, 'entity')} AS e JOIN mining_judged ON __row = e.rowid GROUP BY ALL"
    ).to_pylist()
    store.execute("DROP TABLE mining_judged")
    held = np.zeros((len(lfs) + 1, n_classes), np.int64)
    old, new = np.zeros(len(lfs) + 1), np.zeros(len(lfs) + 1)
    for row in found:
        counts = np.array([row["n"], *(row[f"v{i}"] for i in range(len(lfs)))])
        if row["kind"] == "held":
            held[:, row["y"]] += counts
        elif row["modality"] in modalities:
            old += counts
        else:
            new += counts
    return [_judged(lf, held[0], held[i], old[[0, i]], new[[0, i]]) for i, lf in enumerate(lfs, start=1)]


def _sample(store: Store, schema: str) -> None:
    """TEMP table `mining_judged` (__row, __kind, __y): held-out gold as `held`, and entities of every modality as `all`."""
    entity = table_name(schema, "entity")
    n_held = store.value("SELECT count(*) FROM mining_row WHERE NOT mined") or 0
    parts = [f"SELECT row AS __row, 'held' AS __kind, y AS __y FROM mining_row WHERE NOT mined AND shuffle < {_thousandths(n_held)}"]
    for modality, n in store.rows(f"SELECT modality, count(*) FROM {entity} GROUP BY 1 ORDER BY 1"):
        chosen = f"hash(entity_id) % 1000 < {_thousandths(n)}"
        parts.append(f"SELECT rowid, 'all', NULL FROM {entity} WHERE modality = {literal(modality)} AND {chosen}")
    store.execute(f"CREATE OR REPLACE TEMP TABLE mining_judged AS {' UNION ALL '.join(parts)}")


def _thousandths(n: int, most: int = JUDGED) -> int:
    return 1000 if n <= most else max(1, 1000 * most // n)


def _judged(lf: MinedLF, of_class: np.ndarray, fired: np.ndarray, old: np.ndarray, new: np.ndarray) -> Judged:
    tp, n, n_class, total = int(fired[lf.label]), int(fired.sum()), int(of_class[lf.label]), int(of_class.sum())
    others = (n - tp) / max(total - n_class, 1)
    return Judged(
        n_dev=n, precision=tp / n if n else float("nan"), wilson_lower=float(wilson_lower(tp, n)), recall=tp / n_class if n_class else float("nan"),
        lift=float("nan") if not n or not n_class else (tp / n_class) / others if others else float("inf"),
        coverage=old[1] / old[0] if old[0] else float("nan"), new_coverage=new[1] / new[0] if new[0] else float("nan"),
    )  # fmt: skip


def reach(store: Store, lfs: Sequence[MinedLF], y: int) -> float:
    """Share of the sampled entities of class y on which any LF votes, in [0, 1]."""
    if not lfs:
        return 0.0
    any_votes = " OR ".join(f"({lf.predicate})" for lf in lfs)
    return store.value(f"SELECT avg(CAST(coalesce({any_votes}, false) AS INTEGER)) FROM mining_sample WHERE __y = $y", {"y": y})


def nearest_lfs(store: Store, schema: str, lfs: Sequence[MinedLF], classes: Sequence[str]) -> list[str | None]:
    """For each mined LF the existing one whose votes for its class share most entities with it (Jaccard, on a sample); None where none does."""
    names = [name for name in store.columns(table_name(schema, "label_matrix")) if name != "entity_id"] if store.has_table(schema, "label_matrix") else []
    if not lfs or not names:
        return [None] * len(lfs)
    fires = ", ".join(f"CAST(coalesce({lf.predicate}, false) AS UTINYINT) AS p{i}" for i, lf in enumerate(lfs))
    votes = ", ".join(f"CAST(coalesce(list_position({list(classes)}, {quoted(name)}), 0) AS UTINYINT) AS v{j}" for j, name in enumerate(names))
    found = store.arrow(
        f"""FROM (SELECT entity_id, {fires} FROM (FROM {table_name(schema, 'entity')} ORDER BY md5(CAST(entity_id AS VARCHAR)) LIMIT {COMPARED}))
        JOIN (SELECT entity_id, {votes} FROM {table_name(schema, 'label_matrix')}) USING (entity_id)"""
    )
    fired, voted = (np.stack([found[f"{kind}{i}"].to_numpy() for i in range(n)], axis=1) for kind, n in (("p", len(lfs)), ("v", len(names))))
    return [_nearest(fired[:, i] == 1, voted == lf.label + 1, names) for i, lf in enumerate(lfs)]


def _nearest(fired: np.ndarray, voted: np.ndarray, names: Sequence[str]) -> str | None:
    """The name whose votes, a column of bool (n, L), have most in common with fired, bool (n,)."""
    shared = (fired[:, None] & voted).sum(axis=0)
    jaccard = shared / np.maximum(fired.sum() + voted.sum(axis=0) - shared, 1)
    return names[int(jaccard.argmax())] if jaccard.max() > 0 else None
