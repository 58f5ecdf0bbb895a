"""Questions to people, one at a time: which entity to show next, and where the answer goes."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from .errors import ConfigError, did_you_mean
from .features import ANSWER_COLUMNS
from .label_models import answer_divergence
from .labelling import FitInput, fit_input
from .store import Store
from .types import Project, Task

STRATEGIES = ("maxkl", "conflicts", "uncovered", "entropy", "random")
MONITOR = "monitor"
"""The strategy of `monitoring`: rows drawn to estimate live metrics."""
PER_PATTERN = 200
"""Entities of one pattern that are kept ready to be asked about in one session."""
PATTERNS_AT_ONCE = 64

CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Question:
    """An entity to be judged: its columns, the votes on it (LF -> class), and what the label model thinks (class -> p); both empty
    where the answer is to judge models, and must not be led by them."""

    entity_id: Any
    pattern_id: int
    entity: dict[str, Any]
    votes: dict[str, str]
    p: dict[str, float]
    score: float


class Review:
    """A session of questions about one task. Every answer is on disk before the next question, and bends the next fit.

    strategy  maxkl: the pattern on which label model and answers differ most (Biegel et al. 2021); conflicts: most uncertain
              among patterns whose votes differ; entropy: most uncertain of all; uncovered: no votes; random: any pattern
    Entities of the train split only; of a pattern, the one with the smallest hash of its key.
    """

    def __init__(self, store: Store, project: Project, task: Task, strategy: str = "maxkl", annotator: str = "me", seed: int = 0):
        if strategy not in STRATEGIES:
            raise ConfigError("CFG124", f'there is no strategy "{strategy}"', hint=did_you_mean(strategy, (*STRATEGIES, MONITOR)) or f"one of {', '.join((*STRATEGIES, MONITOR))}")
        self.store, self.project, self.task, self.strategy, self.annotator = store, project, task, strategy, annotator
        self.seed = task.label_model.get("seed", 0)
        self._random = np.random.default_rng(seed)
        self._given: FitInput = fit_input(store, task)
        self._posterior = self._given.fitted(self.seed).predict(self._given.everywhere)
        self._before = self._given.before(self.seed).predict(self._given.everywhere) if self._given.answers.any() else self._posterior
        self._ready: dict[int, list[Any]] = {}
        self._empty: set[int] = set()
        self.n_answers = 0

    next_step = "groundswell run, which lets them bend the label model"

    @property
    def path(self) -> Path:
        """The file answers are appended to."""
        return answer_path(self.project)

    def questions(self) -> Iterator[Question]:
        """One question after another, each chosen after the answer to the one before; ends when no entity is left."""
        while (found := self._next()) is not None:
            yield found

    def answer(self, question: Question, label: str | None) -> None:
        """Write down what a person said of an entity; None = nobody can tell. The label model is fitted again."""
        append_answer(self.project, self.task, self.annotator, question.entity_id, label)
        self.n_answers += 1
        if label is not None:
            self._given.answers[question.pattern_id, self.task.classes.index(label)] += 1
            self._posterior = self._given.fitted(self.seed).predict(self._given.everywhere)

    # -- which one ------------------------------------------------------------------------------------------------------

    def _next(self) -> Question | None:
        order = self._order()
        for start in range(0, len(order), PATTERNS_AT_ONCE):
            wanted = [int(p) for p in order[start : start + PATTERNS_AT_ONCE] if int(p) not in self._empty]
            self._fetch([p for p in wanted if p not in self._ready])
            for pattern in wanted:
                if self._ready.get(pattern):
                    return self._question(pattern, self._ready[pattern].pop(0))
                self._empty.add(pattern)
        return None

    def _fetch(self, patterns: list[int]) -> None:
        if not patterns:
            return
        found = self.store.file("review_candidate", self.task.name, patterns=patterns, n=PER_PATTERN)
        self._ready |= {p: [] for p in patterns}
        for entity, pattern in zip(found["entity_id"].to_pylist(), found["pattern_id"].to_pylist()):
            self._ready[pattern].append(entity)

    def _order(self) -> np.ndarray:
        """Pattern ids, the one to ask about first in front."""
        votes = self._given.matrix.votes
        covered = (votes >= 0).any(axis=1)
        if self.strategy == "uncovered":
            return np.flatnonzero(~covered)
        score = self._scores()
        wanted = covered & (_in_conflict(votes) if self.strategy == "conflicts" else True)
        order = np.argsort(-score, kind="stable")
        return order[wanted[order]]

    def _scores(self) -> np.ndarray:
        if self.strategy == "maxkl":
            return answer_divergence(self._posterior, self._before, self._given.answers)
        if self.strategy == "random":
            return self._random.random(len(self._posterior))
        p = np.clip(self._posterior, 1e-12, 1)
        return -(p * np.log(p)).sum(axis=1)

    def _question(self, pattern: int, entity_id: Any) -> Question:
        schema = f'"{self.task.name}"'
        entity = self.store.arrow(f"SELECT * FROM {schema}.entity WHERE entity_id = $id", {"id": entity_id}).to_pylist()[0]
        votes = dict(self.store.rows(f"SELECT lf, symbol FROM {schema}.pattern_vote WHERE pattern_id = $p ORDER BY lf", {"p": pattern}))
        p = dict(zip(self.task.classes, map(float, self._posterior[pattern])))
        return Question(entity_id, pattern, entity, votes, p, float(self._scores()[pattern]) if self.strategy == "maxkl" else 0.0)


# -- where it goes ------------------------------------------------------------------------------------------------------


def answer_path(project: Project) -> Path:
    """The file answers are appended to."""
    return project.root / "gold" / "review.csv"


def append_answer(project: Project, task: Task, annotator: str, entity_id: Any, label: str | None) -> None:
    """Write down what a person said of an entity; None = nobody can tell. One line, on disk before this returns."""
    path, columns = answer_path(project), (*ANSWER_COLUMNS, "task")
    path.parent.mkdir(exist_ok=True)
    row = {
        "key": entity_id, "label": label or "", "annotator": annotator, "annotated_at": datetime.now(timezone.utc).isoformat(), "note": "" if label else CANNOT_TELL, "task": task.name,
    }  # fmt: skip
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def _in_conflict(votes: np.ndarray) -> np.ndarray:
    """bool (P,): two LFs say different things."""
    least = np.where(votes >= 0, votes, np.iinfo(votes.dtype).max).min(axis=1)
    return votes.max(axis=1) > least
