"""The Bayes-optimal score of a post, and how well it ranks: the ceiling for any model that reads the same features.

Scene z = (s, l) and author level are hidden; given them the services err independently, so
    P(violates | features) = sum_z P(violates | z) P(z) prod_f P(f | z) / sum_z P(z) prod_f P(f | z),
with every factor taken from `parameters`. A service sees the scene itself with probability h, else a scene drawn as
regular authors post them, and all slots of its answer come from what it saw. NULL has the same probability in every scene, and noise words the same distribution:
neither says anything.

    python -m groundswell.examples.moderation.bayes WAREHOUSE.duckdb [--task scam]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from .parameters import SCALES, Parameters, Slot, parameters, rows
from .tables import service_rows

if TYPE_CHECKING:
    from groundswell.end_models.metrics import Metric

OWN = ("embedding", "mean_colour")
"""Features of images alone that are vectors, in set I with detected_objects."""
SETS = ("A", "B", "C", "D", "I")


def feature_names(sets: Iterable[str] = SETS, servable: bool = False, modality: str = "image") -> tuple[str, ...]:
    """The features of these sets that the modality has; servable: only those a deployed model may read."""
    found = [
        r["feature"] for r in rows("service")
        if r["feature_set"] in sets and r[f"{modality}_fidelity"] and (r["servable"] == "true" or not servable)
    ]  # fmt: skip
    return (*found, *(OWN if "I" in sets and modality == "image" else ()))


def read_posts(connection: duckdb.DuckDBPyConnection, features: Sequence[str], task: str, modality: str = "image", split: str | None = "test") -> pa.Table:
    """The features of posts and `gold` (True = violates, by people), in order of the key; split None takes all posts that people labelled."""
    columns = ", ".join(f'p."{name}"' for name in features)
    where = "" if split is None else f"WHERE p.split = '{split}'"
    query = f"SELECT {columns}, h.\"{task}\" = 'violates' AS gold FROM {modality}_post_features AS p JOIN human_label AS h USING (post_id) {where} ORDER BY post_id"
    found = connection.execute(query).arrow()
    return found.read_all() if isinstance(found, pa.RecordBatchReader) else found


@dataclass(frozen=True)
class Observer:
    """Someone who knows the parameters and sees some features of one modality."""

    features: tuple[str, ...]
    modality: str
    world: Parameters
    fidelity: dict[str, float]

    @classmethod
    def of(cls, features: Sequence[str], modality: str = "image", world: Parameters | None = None) -> Observer:
        """An observer of the shipped world, or of another one with the same services."""
        fidelity = {r["feature"]: r["fidelity"] for r in service_rows() if r["modality"] == modality and r["fidelity"] is not None}
        return cls(tuple(features), modality, world or parameters(), fidelity)

    def score(self, posts: pa.Table, task: str) -> np.ndarray:
        """P(violates | features), float (n,)."""
        return (self.posterior(posts) * self.world.risk[task].reshape(-1)).sum(axis=1)

    def posterior(self, posts: pa.Table) -> np.ndarray:
        """P(scene, level | features), float (n, S * L), scene-major; rows sum to 1."""
        by_scene, by_level = self.log_likelihood(posts)
        with np.errstate(divide="ignore"):
            total = np.log(self.world.prior(self.modality))[None] + by_scene[:, :, None] + by_level[:, None, :]
        total = total.reshape(len(total), -1)
        p = np.exp(total - total.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def log_likelihood(self, posts: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """log P(features | scene) and log P(features | level) up to a constant per row: float (n, S) and (n, L)."""
        n = posts.num_rows
        by_scene, by_level = np.zeros((n, len(self.world.scenes))), np.zeros((n, len(self.world.level)))
        for feature in self.features:
            if feature in self.world.centres:
                by_scene += _log_logistic(_vectors(posts[feature]), self.world.centres[feature], SCALES[feature])
                continue
            scene_slots, level_slots = ([s for s in self.world.slots if s.feature == feature and s.reads == r] for r in ("scene", "level"))
            if scene_slots:
                by_scene += self._of_answer(posts[feature], scene_slots, mistaken=True)
            if level_slots:
                by_level += self._of_answer(posts[feature], level_slots, mistaken=False)
        return by_scene, by_level

    def _of_answer(self, column: pa.ChunkedArray, slots: Sequence[Slot], mistaken: bool) -> np.ndarray:
        """log P(answer | state), float (n, states), computed once per distinct answer; 0 where the answer is NULL."""
        codes = np.stack([_codes(column, slot) for slot in slots], axis=1)
        distinct, row = np.unique(codes, axis=0, return_inverse=True)
        p = np.prod([slot.p[:, distinct[:, k]].T for k, slot in enumerate(slots)], axis=0)
        if mistaken:
            h = self.fidelity[slots[0].feature]
            p = h * p + (1 - h) * p @ self.world.scene[self.modality][0][:, None]
        p[(distinct < 0).any(axis=1)] = 1
        with np.errstate(divide="ignore"):
            return np.log(p)[row.reshape(-1)]


def _codes(column: pa.ChunkedArray, slot: Slot) -> np.ndarray:
    """Index of the slot's token in each answer, int (n,): len(tokens) = nothing found, -1 = NULL. Words of other slots are passed over."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    index = {token: v for v, token in enumerate(slot.tokens)}
    null = column.is_null().to_numpy(zero_copy_only=False)
    found = np.full(len(column), len(slot.tokens))
    if not pa.types.is_list(column.type):
        found = np.array([index.get(str(v), len(slot.tokens)) for v in column.to_pylist()])
    else:
        words = column.flatten().dictionary_encode()
        code = np.array([index.get(w, -1) for w in words.dictionary.to_pylist()], dtype=int)[words.indices.to_numpy(zero_copy_only=False)] if len(words) else np.empty(0, int)
        owner = np.repeat(np.arange(len(column)), np.where(null, 0, column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)))
        found[owner[code >= 0]] = code[code >= 0]
    return np.where(null, -1, found)


def _vectors(column: pa.ChunkedArray) -> np.ndarray:
    """float (n, d)."""
    return np.array(column.to_pylist(), dtype=float)


def _log_logistic(x: np.ndarray, centre: np.ndarray, scale: float) -> np.ndarray:
    """Sum over dimensions of the logistic log-density around each centre, up to a constant: x (n, d), centre (S, d) -> (n, S)."""
    found = np.empty((len(x), len(centre)))
    for s, c in enumerate(centre):
        z = np.abs(x - c) / scale
        found[:, s] = -(z + 2 * np.log1p(np.exp(-z))).sum(axis=1)
    return found


def ceiling(connection: duckdb.DuckDBPyConnection, task: str, sets: Iterable[str] = SETS, servable: bool = False, modality: str = "image") -> Metric:
    """The Bayes-optimal average precision, with a bootstrap interval, on the labelled images (text: the dev posts) of a warehouse.

    What people get wrong in text depends on the truth alone, so that the best order is the same for their labels.
    """
    from groundswell.end_models.metrics import judged

    features = feature_names(sets, servable, modality)
    posts = read_posts(connection, features, task, modality, "test" if modality == "image" else "dev")
    score = Observer.of(features, modality).score(posts, task)
    return next(m for m in judged(np.asarray(posts["gold"]).astype(int), np.column_stack([1 - score, score])) if m.name == "average_precision")


def main(arguments: list[str] | None = None) -> None:
    """The command line: a table of ceilings, one row per choice of features."""
    parser = argparse.ArgumentParser(prog="python -m groundswell.examples.moderation.bayes", description=__doc__.splitlines()[0])
    parser.add_argument("warehouse", type=Path)
    parser.add_argument("--task", default="scam", choices=[t["name"] for t in rows("task")])
    given = parser.parse_args(arguments)
    with duckdb.connect(str(given.warehouse), read_only=True) as connection:
        print(f"Bayes-optimal average precision of {given.task} on the labelled images")
        for sets, servable in (("A", False), ("AB", False), ("ABC", False), ("ABCD", False), ("ABCDI", False), ("ABCDI", True)):
            found = ceiling(connection, given.task, sets, servable)
            print(f"  {sets:<6} {'servable' if servable else 'all':<9} {found.value:.3f}   95 % {found.low:.3f} to {found.high:.3f}")


if __name__ == "__main__":
    main()
