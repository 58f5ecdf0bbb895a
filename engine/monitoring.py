"""Monitoring: rows drawn for review with known probabilities, and what the answers say of the end model on all rows.

Rows are those of the test split: answers about others bend the labels that the next model learns from. A draw stands in
gold/draws/<task>.csv, its answers in gold/review.csv with all others. Source: Suri et al. 2020, section 7.4.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from .end_models import load_end_model
from .end_models.live import Reviewed, answered_probability, estimates, inclusion_probabilities
from .errors import ConfigError, Diagnostic, EndModelError, Location, did_you_mean
from .features import given_answers
from .fusing import labelled_modalities
from .reviewing import Question, answer_path, append_answer
from .state import recorded
from .store import Store, publish, writing
from .store.names import quoted
from .types import Event, Listener, Project, Task, silent

AGAINST = ("label", "previous")
"""Whom the end model is compared with to find disagreements: the label model, or the end model before it."""
COLUMNS = ("drawn_at", "key", "probability", "known", "model_id", "against")
LIVE_TABLE = """CREATE OR REPLACE TABLE {schema}.live_metric (
    reviewed_at TIMESTAMPTZ, metric VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, n_reviewed BIGINT)"""


@dataclass(frozen=True)
class Monitored:
    """The entities that are watched, in the order of a hash of their key: (N,) each, p and label_model (N, K).

    gold   class position people gave, -1 = unknown; known: asked already, with an answer or without
    """

    keys: list[Any]
    modality: np.ndarray
    predicted: np.ndarray
    p: np.ndarray
    label_model: np.ndarray
    gold: np.ndarray
    known: np.ndarray


def monitored(store: Store, task: Task) -> Monitored:
    """The entities of the test split, of the modalities nobody labelled for training where there are such, with what is known of them.

    Raises EndModelError EM119 without predictions, EM130 where no entity is watched.
    """
    if not store.has_table(task.name, "predictions"):
        raise EndModelError("EM119", f"task {task.name} has no trained end model", hint="run `groundswell train` first")
    new = [m for m in task.modalities if m not in labelled_modalities(store, task)] or list(task.modalities)
    rows = store.file("monitored_entity", task.name, classes=list(task.classes), modalities=new)
    if not rows.num_rows:
        raise EndModelError("EM130", f"no row of {', '.join(new)} is in the test split: answers about other rows would bend the model they judge", hint="split = { before = ... } makes later rows test")
    return Monitored(
        rows["entity_id"].to_pylist(), np.array(rows["modality"].to_pylist()), rows["predicted"].to_numpy().astype(int), _matrix(rows["end_model"], len(task.classes)),
        _matrix(rows["label_model"], len(task.classes)), rows["gold"].fill_null(-1).to_numpy().astype(int), rows["known"].to_numpy(),
    )  # fmt: skip


def _matrix(column: pa.ChunkedArray, k: int) -> np.ndarray:
    """float (N, K), NaN where NULL."""
    found = np.full((len(column), k), np.nan)
    there = column.is_valid().to_numpy()
    found[there] = np.asarray(column.drop_null().combine_chunks().flatten(), dtype=float).reshape(-1, k)
    return found


# -- asking -------------------------------------------------------------------------------------------------------------


class MonitorReview:
    """A session of questions about rows drawn to judge the end model; n of them on average. Neither votes nor probabilities are shown.

    The draw is on disk before the first question, every answer before the next. Questions come in random order, so that those
    answered before an early end are a random part of the draw; rows that somebody answered already are drawn, not asked again.

    Raises EndModelError EM119, EM130; ConfigError CFG126 for an unknown `against`.
    """

    next_step = "groundswell monitor, which estimates live metrics from all reviews"

    def __init__(self, store: Store, project: Project, task: Task, n: int = 20, annotator: str = "me", against: str = "label"):
        if against not in AGAINST:
            raise ConfigError("CFG126", f'the end model is not compared with "{against}"', hint=did_you_mean(against, AGAINST) or f"one of {', '.join(AGAINST)}")
        self.store, self.project, self.task, self.annotator = store, project, task, annotator
        rows = monitored(store, task)
        answered = newest_answers(store, project, task)
        known = rows.known | np.array([str(key) in answered for key in rows.keys])
        earlier = len({d["drawn_at"] for d in drawn_rows(project, task)})
        random = np.random.default_rng((task.end_model.get("seed", 0), earlier))
        probability = inclusion_probabilities(n, rows.p, rows.label_model if against == "label" else _previous(store, project, task, rows.keys))
        at = random.permutation(np.flatnonzero(random.random(len(probability)) < probability))
        self.n_drawn, self.n_answers, self._asked = len(at), 0, [rows.keys[i] for i in at if not known[i]]
        _write_draw(project, task, against, _model_ids(store, task)[0], [(rows.keys[i], probability[i], known[i]) for i in at])

    @property
    def path(self) -> Path:
        """The file answers are appended to."""
        return answer_path(self.project)

    @property
    def n_questions(self) -> int:
        """How many rows nobody has answered about."""
        return len(self._asked)

    def questions(self) -> Iterator[Question]:
        """One drawn row after another."""
        for key in self._asked:
            entity = self.store.arrow(f"SELECT * FROM {quoted(self.task.name)}.entity WHERE entity_id = $id", {"id": key}).to_pylist()[0]
            yield Question(key, -1, entity, {}, {}, 0.0)

    def answer(self, question: Question, label: str | None) -> None:
        """Write down what a person said of an entity; None = nobody can tell."""
        append_answer(self.project, self.task, self.annotator, question.entity_id, label)
        self.n_answers += 1


def _previous(store: Store, project: Project, task: Task, keys: Sequence[Any]) -> np.ndarray:
    """float (N, K): what the end model before the newest says of the watched entities, in their order."""
    ids = _model_ids(store, task)
    if len(ids) < 2:
        raise EndModelError("EM119", f"task {task.name} has no end model before model {ids[0]}", hint="--against label compares with the label model")
    artefact, sha256 = store.rows(f"SELECT artefact, sha256 FROM {quoted(task.name)}.end_model WHERE model_id = $id", {"id": ids[1]})[0]
    model, found = load_end_model(project.root / artefact, sha256), {}
    for batch in store.stream(f"SELECT * FROM {quoted(task.name)}.entity WHERE split = 'test'"):
        found.update(zip(batch.column("entity_id").to_pylist(), model.predict(batch)))
    return np.array([found[key] for key in keys])


def _model_ids(store: Store, task: Task) -> list[int]:
    """End models, the newest first."""
    return [i for (i,) in store.rows(f"SELECT model_id FROM {quoted(task.name)}.end_model ORDER BY model_id DESC")]


# -- what stands in files -----------------------------------------------------------------------------------------------


def draws_path(project: Project, task: Task) -> Path:
    """The file of a task's draws: one line per drawn row."""
    return project.root / "gold" / "draws" / f"{task.name}.csv"


def _write_draw(project: Project, task: Task, against: str, model_id: int, drawn: Sequence[tuple[Any, float, bool]]) -> None:
    """Append a draw, on disk before this returns."""
    path, now = draws_path(project, task), datetime.now(timezone.utc).isoformat()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS] if new else [])
        writer.writerows((now, key, repr(float(probability)), int(known), model_id, against) for key, probability, known in drawn)
        file.flush()
        os.fsync(file.fileno())


def drawn_rows(project: Project, task: Task) -> list[dict[str, Any]]:
    """drawn_at, key (text), probability and known of every drawn row, in file order. Raises ConfigError CFG115 at the line that cannot be."""
    path = draws_path(project, task)
    if not path.exists():
        return []
    shown, found = str(path.relative_to(project.root)), []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        for row in reader:
            try:
                at, probability = datetime.fromisoformat(row["drawn_at"]), float(row["probability"])
                valid = 0 < probability <= 1
            except (KeyError, TypeError, ValueError):
                valid = False
            if not valid:
                raise ConfigError("CFG115", f"{shown}: not a line of a draw", location=Location(str(path), reader.line_num), hint=f"the columns are {', '.join(COLUMNS)}")
            found.append({"drawn_at": at, "key": row["key"], "probability": probability, "known": row["known"] == "1"})
    return found


def newest_answers(store: Store, project: Project, task: Task) -> dict[str, str | None]:
    """Key (text) -> the newest answer in gold/*.csv; None = nobody can tell. Raises ConfigError CFG115."""
    key_type = store.columns(f"{quoted(task.name)}.entity")["entity_id"]
    rows = given_answers(store, project, task, key_type).to_pylist()
    oldest = datetime.min.replace(tzinfo=timezone.utc)
    return {row["key"]: row["label"] for row in sorted(rows, key=lambda row: (row["annotated_at"] or oldest, row["turn"]))}


# -- estimating ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Monitoring:
    """The rows of `live_metric`, the model they judge, and what to know of them. reviewed_at None: all reviews together."""

    rows: list[dict[str, Any]]
    model_id: int
    n_rows: int
    diagnostics: tuple[Diagnostic, ...]


def monitor(project: Project, task: Task, listen: Listener = silent) -> Monitoring:
    """Estimate live metrics of the newest end model from every review, and from all together; replaces `live_metric`, publishes.

    Raises EndModelError EM119 without a model, EM128 where nothing is reviewed, EM129 where all answers are one class, EM130.
    """
    with writing(project, "monitor") as store:
        rows = monitored(store, task)
        reviews = _reviews(rows, drawn_rows(project, task), newest_answers(store, project, task), task)
        found = [line for at, review in reviews.items() for line in _lines(at, [review], task)]
        found += _lines(None, list(reviews.values()), task) if len(reviews) > 1 else []
        with recorded(store, "monitor", task.name), store.transaction():
            _write(store, task, found)
        listen(Event("publish", f"publishing {project.published.name}"))
        publish(store, project.published)
        return Monitoring(found, _model_ids(store, task)[0], len(rows.keys), tuple(_unseen(rows, reviews.values(), task)))


@dataclass(frozen=True)
class _Review:
    """The answered rows of one draw: their places among the watched entities, classes, and probabilities of being drawn and answered."""

    at: np.ndarray
    gold: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray


def _reviews(rows: Monitored, drawn: Sequence[Mapping[str, Any]], answers: Mapping[str, str | None], task: Task) -> dict[datetime, _Review]:
    """When drawn -> its answered rows; draws without an answer, and rows that are gone, are left out."""
    place = {str(key): i for i, key in enumerate(rows.keys)}
    by_draw: dict[datetime, list[tuple[int, float, bool, int]]] = {}
    for row in drawn:
        if (i := place.get(row["key"])) is not None:
            said = answers.get(row["key"], task.classes[rows.gold[i]] if rows.gold[i] >= 0 else None)
            by_draw.setdefault(row["drawn_at"], []).append((i, row["probability"], row["known"], -1 if said is None else task.classes.index(said)))
    found = {at: _review(rows, *(np.array(column) for column in zip(*each))) for at, each in sorted(by_draw.items())}
    found = {at: review for at, review in found.items() if len(review.at)}
    if not found:
        raise EndModelError("EM128", "nothing is reviewed yet: no answer about a row drawn to monitor", hint="groundswell review --strategy monitor")
    if len({k for review in found.values() for k in review.gold.tolist()}) < 2:
        (k,) = {k for review in found.values() for k in review.gold.tolist()}
        raise EndModelError("EM129", f"all answers are {task.classes[k]}: precision and recall cannot be told", hint="groundswell review --strategy monitor -n 50 draws more")
    return found


def _review(rows: Monitored, at: np.ndarray, probability: np.ndarray, known: np.ndarray, gold: np.ndarray) -> _Review:
    answered = gold >= 0
    known = known & answered
    chance = answered_probability(probability, known, answered)
    return _Review(at[answered], gold[answered], rows.predicted[at[answered]], chance[answered])


def _lines(at: datetime | None, reviews: Sequence[_Review], task: Task) -> list[dict[str, Any]]:
    """Rows of `live_metric` for some reviews together, each weighing as much as it has answers."""
    sizes = [len(r.at) for r in reviews]
    weight = np.concatenate([np.full(n, n / sum(sizes)) for n in sizes])
    joined = Reviewed(*(np.concatenate([getattr(r, name) for r in reviews]) for name in ("gold", "predicted", "probability")), weight)
    return [{"reviewed_at": at, "metric": e.metric, "value": e.value, "low": e.low, "high": e.high, "n_reviewed": sum(sizes)} for e in estimates(joined, task.classes)]


def _unseen(rows: Monitored, reviews: Sequence[_Review], task: Task) -> Iterator[Diagnostic]:
    """EM210 for every modality and predicted class that has rows, but no reviewed one."""
    reviewed = np.concatenate([r.at for r in reviews])
    seen = set(zip(rows.modality[reviewed].tolist(), rows.predicted[reviewed].tolist()))
    for (modality, k), n in sorted(Counter(zip(rows.modality.tolist(), rows.predicted.tolist())).items()):
        if (modality, k) not in seen:
            yield Diagnostic("EM210", f"no reviewed row stands for the {n:,} rows of {modality} that are predicted {task.classes[k]}", hint="groundswell review --strategy monitor")


def _write(store: Store, task: Task, found: Sequence[Mapping[str, Any]]) -> None:
    store.execute(LIVE_TABLE.format(schema=quoted(task.name)))
    kinds = {"reviewed_at": pa.timestamp("us", "UTC"), "metric": pa.string(), "value": pa.float64(), "low": pa.float64(), "high": pa.float64(), "n_reviewed": pa.int64()}
    store.append_arrow(task.name, "live_metric", pa.table({name: pa.array([row[name] for row in found], kind) for name, kind in kinds.items()}))
