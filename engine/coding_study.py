"""The paper's table: which weak signals (labeling functions, affinities), and which model over them (Das et al. 2019, Table 1)."""

from __future__ import annotations

from typing import Any, Callable, Iterable

import numpy as np
import pyarrow as pa

from .affinity import Evidence, infer, inference
from .affinity.declared import named_function
from .affinity.encoding import encode
from .affinity.inference import agree
from .affinity.votes import affinity_votes, vote_evidence
from .coding import CodingOptions, build_evidence
from .evaluation import write_study
from .features import build_entities, build_gold, entity_layout
from .intervals import wilson
from .label_models import VotePatterns, label_model
from .state import recorded
from .store import Store, publish, writing
from .store.names import quoted
from .types import Event, Listener, Project, Task, silent

STUDY = "affinity"
PGM = "metal"
"""The label model that stands for the paper's: Snorkel's, without a dependency structure."""
MOST_LFS = 600
"""Prototypes that become LFs in AF+PGM, evenly spaced: its cost grows with the square."""

Arm = Callable[[int], tuple[np.ndarray, bool]]
"""seed -> (labels int (N,), do they name classes? False: they are clusters, judged under their best mapping)."""


def study_arms(evidence: Evidence, n_classes: int, votes: np.ndarray | None) -> dict[str, Arm]:
    """Name -> arm: AF+PGM, AF+KM, AF+EM from k-means and from random labels, the default; with votes int (N, m) also LF+PGM, LF+EM."""

    def clusters(name: str, **options: Any) -> Arm:
        return lambda seed: (infer(inference(name, **options), evidence, n_classes, seed, restarts=1).labels, False)

    step = max(1, -(-evidence.affinity.shape[1] // MOST_LFS))
    arms: dict[str, Arm] = {
        "AF+PGM": lambda seed: (label_model_labels(affinity_votes(evidence.affinity[:, ::step], n_classes, seed), n_classes, seed), False),
        "AF+KM": clusters("kmeans"), "AF+EM (random)": clusters("em", start="random", mstep="sample"), "AF+EM": clusters("em"), "default": clusters("spectral"),
    }  # fmt: skip
    if votes is None:
        return arms
    return {
        "LF+PGM": lambda seed: (label_model_labels(votes, n_classes, seed), True),
        "LF+EM": lambda seed: (inference("em").clusters(vote_evidence(votes, n_classes), n_classes, seed).labels, True), **arms,
    }  # fmt: skip


def label_model_labels(votes: np.ndarray, n_classes: int, seed: int) -> np.ndarray:
    """int (N,): what the label model PGM makes of votes (N, m), -1 = abstain."""
    patterns, inverse = VotePatterns.from_matrix(votes, [f"lf_{j}" for j in range(votes.shape[1])], [str(k) for k in range(n_classes)])
    return label_model(PGM).fit(patterns, seed=seed).predict(patterns).argmax(axis=1)[inverse]


def judged_arms(arms: dict[str, Arm], gold: np.ndarray, n_classes: int, seeds: Iterable[int], listen: Listener = silent) -> list[dict[str, Any]]:
    """Rows of `study`: accuracy of every arm and seed on the entities with gold (int (N,), -1 = unknown), with Wilson intervals.

    Clusters are judged under the mapping that suits gold best, as the paper does: the metric says so, for such a mapping is not free.
    """
    known, rows = gold >= 0, []
    for name, arm in arms.items():
        for seed in seeds:
            listen(Event("study", f"{name}, seed {seed}"))
            labels, named = arm(seed)
            share = float((labels[known] == gold[known]).mean()) if named else agree(labels[known], gold[known], n_classes)
            low, high = map(float, wilson(round(share * known.sum()), int(known.sum())))
            metric = "accuracy" if named else "accuracy under the best mapping"
            rows.append({"arm": name, "seed": seed, "metric": metric, "value": share, "low": low, "high": high, "n_rows": int(known.sum())})
    return rows


def affinity_study(project: Project, task: Task, options: CodingOptions = CodingOptions(), seeds: Iterable[int] = (0, 1, 2), listen: Listener = silent) -> list[dict[str, Any]]:
    """The paper's table for a task, also written to `study` and published; the LF arms need the votes of an earlier run.

    Raises AffinityError (AF1xx) as `coding.affinity` does.
    """
    with writing(project, "study") as store:
        with recorded(store, "study", task.name):
            layout = entity_layout(store, project, task)
            if not store.has_table(task.name, "entity"):
                build_entities(store, task, layout)
            build_gold(store, project, task, layout)
            encoded = encode(store, project, layout, options.encoding, options.seed)
            gold = _gold(store, task, encoded.keys)
            evidence = build_evidence(encoded, options, named_function(project, options.function), listen=listen)
            rows = judged_arms(study_arms(evidence, len(task.classes), _votes(store, task, encoded.keys)), gold, len(task.classes), tuple(seeds), listen)
            write_study(store, task, STUDY, rows)
        publish(store, project.published)
        return rows


def _gold(store: Store, task: Task, keys: list[Any]) -> np.ndarray:
    known = dict(store.rows(f"SELECT entity_id, label FROM {quoted(task.name)}.gold_label"))
    return np.array([task.classes.index(known[key]) if key in known else -1 for key in keys], int)


def _votes(store: Store, task: Task, keys: list[Any]) -> np.ndarray | None:
    """int8 (N, m) of the LFs that vote, sorted by name; None where there are none."""
    rows = store.rows(f"SELECT entity_id, lf, label FROM {quoted(task.name)}.votes") if store.has_table(task.name, "votes") else []
    place, lfs = {key: i for i, key in enumerate(keys)}, sorted({lf for _, lf, _ in rows})
    if not lfs:
        return None
    votes = np.full((len(keys), len(lfs)), -1, np.int8)
    for key, lf, label in rows:
        if key in place:
            votes[place[key], lfs.index(lf)] = task.classes.index(label)
    return votes
