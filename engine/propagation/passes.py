"""The neighbours of every row, pass by pass: windows of several orders first, neighbours of neighbours until a sample says it is enough."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Sequence

import numpy as np

from .features import Column, Numbers, Rows
from .neighbours import Nearest, exact, recall, refine, search
from .orders import cluster_order, joined_sets, number_order, sketch, token_order
from .similarity import Similarity

SAMPLE = 500
"""Rows whose true neighbours are found by comparing them with all others."""
REFINED = 256
"""Neighbours of neighbours that a row is compared with in a round."""
FEW = 6000
"""Of so many rows all pairs are compared."""
LEAST_GAIN, MARGIN = 0.004, 0.01
"""A round of neighbours of neighbours that adds less recall is the last; the search goes on until a sample is so far above the aim."""


@dataclass(frozen=True)
class Search:
    """How neighbours are looked for.

    k           neighbours of a row
    cross       neighbours of another modality that it has at least
    candidates  rows that the orders let a row be compared with, all orders together; of FEW rows all pairs are compared
    hub         share of rows above which a token joins nothing
    least       weight below which a neighbour does not count
    aim         recall on a sample at which the search ends
    rounds      of neighbours of neighbours, at most
    """

    k: int = 20
    cross: int = 10
    candidates: int = 500
    hub: float = 0.05
    least: float = 0.1
    aim: float = 0.95
    rounds: int = 16
    seed: int = 0


@dataclass
class Found:
    """Neighbours of any modality and of others (None with one modality), and how many of the true ones they are."""

    near: Nearest
    cross: Nearest | None
    recall: float = float("nan")
    cross_recall: float = float("nan")
    passes: int = 0


@dataclass
class _Sample:
    """Rows with their true neighbours."""

    rows: np.ndarray
    near: Nearest
    cross: list[tuple[np.ndarray, Nearest]] = field(default_factory=list)


def find_neighbours(similar: Similarity, how: Search, folder: Path | None = None, report: Callable[[str], None] = lambda message: None) -> Found:
    """Neighbours of every row; passes that lie in `folder` are not made again.

    Ends when both recalls on a sample reach the aim, after `rounds` of neighbours of neighbours, or when one brings next to nothing.
    """
    work = _Work(similar, how, folder, report)
    found = work.start()
    plan = work.blocking()
    for number, step in enumerate(plan):
        work.once(found, number, lambda step=step, found=found: work.windows(found, *step(), len(plan)))
    sample = work.sample()
    work.judge(found, sample)
    for turn in range(how.rounds):
        before = min_known(found)
        if before >= min(how.aim + MARGIN, 1) or work.few:
            break
        work.once(found, len(plan) + turn, lambda turn=turn: work.refined(found, turn))
        work.judge(found, sample)
        if min_known(found) - before < LEAST_GAIN:
            break
    work.judge(found, work.sample(other=1))
    return found


def min_known(found: Found) -> float:
    """The lower of the recalls that are known; 1 when none is."""
    return float(np.nanmin([found.recall, found.cross_recall, 1.0]))


class _Work:
    """One search: its rows, orders and checkpoints."""

    def __init__(self, similar: Similarity, how: Search, folder: Path | None, report: Callable[[str], None]):
        self.similar, self.how, self.folder, self.report = similar, how, folder, report
        self.rows: Rows = similar.rows
        self.n = len(self.rows)
        self.few = self.n <= max(FEW, how.candidates)
        self.base: np.ndarray | None = None

    def start(self) -> Found:
        several = self.rows.n_modalities > 1 and self.how.cross > 0
        found = Found(Nearest.none(self.n, min(self.how.k, self.n - 1)), Nearest.none(self.n, min(self.how.cross, self.n - 1)) if several else None)
        self.load(found)
        return found

    # -- checkpoints ----------------------------------------------------------------------------------------------------

    def load(self, found: Found) -> None:
        path = self.folder / "neighbours.npz" if self.folder else None
        if path and path.is_file():
            with np.load(path) as kept:
                found.near = Nearest(kept["near_index"], kept["near_weight"])
                found.cross = Nearest(kept["cross_index"], kept["cross_weight"]) if found.cross is not None else None
                found.passes = int(kept["passes"])
            self.report(f"continuing after pass {found.passes} of an earlier run")

    def once(self, found: Found, number: int, work: Callable[[], None]) -> None:
        if number < found.passes:
            return
        self.report(f"neighbours of {self.n:,} rows: pass {number + 1}")
        work()
        found.passes = number + 1
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            cross = found.cross or Nearest.none(0, 0)
            fresh = self.folder / f".{os.getpid()}.npz"
            np.savez(fresh, near_index=found.near.index, near_weight=found.near.weight, cross_index=cross.index, cross_weight=cross.weight, passes=found.passes)
            os.replace(fresh, self.folder / "neighbours.npz")

    # -- passes ---------------------------------------------------------------------------------------------------------

    def blocking(self) -> list[Callable[[], tuple[np.ndarray, bool]]]:
        """Orders still to be made: (order of rows, do other modalities take part?)."""
        common, every = self.rows.common, np.arange(self.n)
        plan: list[Callable[[], tuple[np.ndarray, bool]]] = []
        if self.few:
            return [lambda: (every, True)]
        if common:
            plan = [lambda: (self.clusters(common, every, 0), True), lambda: (self.tokens(common), True), lambda: (self.clusters(common, every, 1), True)]
        if common and all(isinstance(c, Numbers) for c in common):
            plan += [lambda c=c: (number_order(c, self.clusters(common, every, 0)), True) for c in common]
        for m in range(self.rows.n_modalities):
            own = self.rows.of_modality(m)
            if any(c not in common for c in own):
                plan.append(lambda m=m, own=own: (self.clusters(own, np.flatnonzero(self.rows.modality == m), 2), False))
        return plan

    def clusters(self, columns: Sequence[Column], rows: np.ndarray, turn: int) -> np.ndarray:
        """int64 (len(rows),): these rows in clusters."""
        if turn == 0 and self.base is not None:
            return self.base
        seed = 1000 * self.how.seed + turn
        order = rows[cluster_order(sketch(columns, rows, seed), seed)]
        self.base = order if turn == 0 else self.base
        return order

    def tokens(self, common: Sequence[Column]) -> np.ndarray:
        """Rows with a rare token in common together; clusters anew where no token joins any."""
        joined = joined_sets(common)
        order = None if joined is None else token_order(joined, self.clusters(common, np.arange(self.n), 0), self.how.hub)
        return self.clusters(common, np.arange(self.n), 3) if order is None else order

    def windows(self, found: Found, order: np.ndarray, mixed: bool, n_passes: int) -> None:
        inside = np.zeros(self.n, bool)
        inside[order] = True
        width = self.n if self.few else max(self.how.candidates // n_passes, found.near.index.shape[1] + 1)
        if found.cross is None or not mixed:
            search(self.similar, found.near, order, inside, inside, width)
            return
        third = width if self.few else max(width // 3, found.cross.index.shape[1] + 1)
        search(self.similar, found.near, order, inside, inside, max(2 * third, width - third))
        for own in self.modalities():
            search(self.similar, found.cross, order, own, ~own, third)

    def modalities(self) -> list[np.ndarray]:
        return [self.rows.modality == m for m in range(self.rows.n_modalities)]

    def refined(self, found: Found, turn: int) -> None:
        """A round of neighbours of neighbours, of what is not yet at its aim."""
        every, goal = np.ones(self.n, bool), min(self.how.aim + MARGIN, 1)
        order = self.clusters(self.rows.common or self.rows.columns, np.arange(self.n), 4 + turn)
        if not found.recall >= goal:
            refine(self.similar, found.near, found.near.index.copy(), order, every, REFINED)
        if found.cross is not None and not found.cross_recall >= goal:
            pool = np.hstack([found.cross.index, found.near.index])
            for own in self.modalities():
                refine(self.similar, found.cross, pool, order[own[order]], ~own, REFINED)

    # -- judging --------------------------------------------------------------------------------------------------------

    def sample(self, other: int = 0) -> _Sample:
        """SAMPLE rows, and as many of each modality, with their true neighbours."""
        rng = np.random.default_rng([self.how.seed, other])
        every = np.ones(self.n, bool)
        rows = np.sort(rng.choice(self.n, min(SAMPLE, self.n), replace=False))
        found = _Sample(rows, exact(self.similar, rows, every, min(self.how.k, self.n - 1)))
        if self.rows.n_modalities > 1 and self.how.cross > 0:
            for own in self.modalities():
                some = np.flatnonzero(own)
                some = np.sort(rng.choice(some, min(SAMPLE // self.rows.n_modalities, len(some)), replace=False))
                found.cross.append((some, exact(self.similar, some, ~own, min(self.how.cross, self.n - 1))))
        return found

    def judge(self, found: Found, sample: _Sample) -> None:
        found.recall = recall(found.near, sample.rows, sample.near, self.how.least)
        if found.cross is not None:
            found.cross_recall = float(np.nanmean([np.nan, *(recall(found.cross, rows, truth, self.how.least) for rows, truth in sample.cross)])) if _any(sample, self.how.least) else float("nan")
        self.report(f"recall on a sample: {found.recall:.3f}" + (f", of other modalities {found.cross_recall:.3f}" if found.cross is not None else ""))


def _any(sample: _Sample, least: float) -> bool:
    """Has any row of the sample a true neighbour of another modality?"""
    return any((truth.weight >= least).any() for _, truth in sample.cross)
