"""Labels of several related tasks: one latent label vector per entity, so that coarse votes inform fine labels and back.

Source: Ratner et al. 2019 (multi-task weak supervision); each LF's own alphabet of assertions in place of one indicator per
feasible vector, which would count a coarse vote once per leaf below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from groundswell.errors import LabelModelError, did_you_mean
from groundswell.label_models.action_em import Actions, fit_actions
from groundswell.label_models.trust import listed

Assertion = Mapping[str, str]
Constraint = tuple[Sequence[str], Callable[..., bool]]
NOT_APPLICABLE = None
MOST_VECTORS = 10_000
"""Combinations of labels that one component may have before constraints."""


class TaskGraph:
    """Tasks, which task refines which class of another, and what else rules a combination of labels out.

    tasks        name -> classes
    edges        (task, class, finer task): the finer task applies to entities of that class only, elsewhere it is None
    constraints  (tasks, predicate): predicate(label of the first task, ...) is false for combinations that cannot be

    >>> graph = TaskGraph(
    ...     {"entity": ["Person", "Location"], "person": ["Doctor", "Lawyer"], "location": ["Hospital", "Bank"]},
    ...     edges=[("entity", "Person", "person"), ("entity", "Location", "location")],
    ... )
    >>> votes = {"coarse": [{"entity": "Person"}], "doctor": [{"person": "Doctor"}], "hospital": [{"location": "Hospital"}]}
    >>> leaves = [{"person": "Doctor"}, {"person": "Lawyer"}, {"location": "Hospital"}, {"location": "Bank"}]
    >>> labels = graph.label(
    ...     votes, accuracies={"coarse": 0.9, "doctor": 0.7, "hospital": 0.6}, max_iterations=0,
    ...     actions={"coarse": [{"entity": "Person"}, {"entity": "Location"}], "doctor": leaves, "hospital": leaves},
    ... )
    >>> labels.classes["person"], labels.p["person"].round(4).tolist()
    (('Doctor', 'Lawyer', None), [[0.8129, 0.1161, 0.071]])

    Raises LabelModelError LM113: an unknown task or class, a name twice, a task refined from two places or from itself.
    """

    def __init__(self, tasks: Mapping[str, Sequence[str]], edges: Sequence[tuple[str, str, str]] = (), constraints: Sequence[Constraint] = ()):
        self.tasks = {task: tuple(classes) for task, classes in tasks.items()}
        self.edges, self.constraints = tuple(edges), tuple(constraints)
        for task, classes in self.tasks.items():
            if not classes or len(set(classes)) < len(classes):
                raise LabelModelError("LM113", f'task "{task}" needs classes, each once, got {list(classes)}')
        self.parent: dict[str, tuple[str, str]] = {}
        for parent, branch, child in self.edges:
            self._check(parent, branch), self._check(child)
            if child in self.parent:
                raise LabelModelError("LM113", f'task "{child}" refines both {self.parent[child]} and {(parent, branch)}')
            self.parent[child] = (parent, branch)
        for task in self.tasks:
            self._root(task)
        for named, _ in self.constraints:
            for task in named:
                self._check(task)

    def components(self, together: Sequence[Sequence[str]] = ()) -> list[tuple[str, ...]]:
        """Tasks that share a label vector, in order: joined by edges, by constraints, or by `together` (tasks one LF speaks of at once)."""
        group = {task: self._root(task) for task in self.tasks}
        for joined in [*(named for named, _ in self.constraints), *together]:
            roots = {group[task] for task in joined}
            group = {task: min(roots) if root in roots else root for task, root in group.items()}
        return [tuple(t for t in self.tasks if group[t] == root) for root in dict.fromkeys(group.values())]

    def feasible(self, component: Sequence[str]) -> list[dict[str, str | None]]:
        """The label vectors of a component, task -> class or None where it does not apply; raises LM113 if none is left."""
        roots = [self._below(task) for task in component if task not in self.parent]
        if prod(map(len, roots)) > MOST_VECTORS:
            raise LabelModelError("LM113", f"{', '.join(component)} have {prod(map(len, roots)):,} combinations of labels, more than {MOST_VECTORS:,}")
        whole = [{task: label for part in parts for task, label in part.items()} for parts in product(*roots)]
        ruled = [(named, allows) for named, allows in self.constraints if set(named) <= set(component)]
        off = dict.fromkeys(component, NOT_APPLICABLE)
        kept = [v for v in ({**off, **v} for v in whole) if all(allows(*(v[task] for task in named)) for named, allows in ruled)]
        if not kept:
            raise LabelModelError("LM113", f"the constraints allow no combination of labels of {', '.join(component)}")
        return kept

    def label(
        self,
        votes: Mapping[str, Sequence[Assertion | None]],
        *,
        actions: Mapping[str, Sequence[Assertion]] | None = None,
        accuracies: Mapping[str, float] | None = None,
        max_iterations: int = 1000,
        tolerance: float = 1e-8,
    ) -> TaskLabels:
        """Labels of n entities for every task.

        votes       LF -> n assertions: task -> class, or None where the LF abstains; tasks left out are not spoken of
        actions     LF -> further assertions it could make
        accuracies  LF -> P(compatible | it votes): where EM starts, with errors spread evenly; else from the label vectors most
                    votes are compatible with. max_iterations=0 keeps to it

        EM learns P(assertion | label vector, the LF votes); an LF of a single assertion also says something by abstaining.
        Components are fitted apart. Raises LabelModelError: LM113 (an accuracy outside 0..1, lists of unequal length),
        LM125 (an unknown task or class in a vote).
        """
        n = _length(votes)
        known = {lf: _alphabet(votes[lf], (actions or {}).get(lf, ())) for lf in sorted(votes)}
        for lf, alphabet in known.items():
            for assertion in alphabet:
                self._check_vote(lf, assertion)
        together = [sorted({task for assertion in alphabet for task in assertion}) for alphabet in known.values()]
        labels = TaskLabels({}, {}, [])
        for component in self.components([tasks for tasks in together if tasks]):
            part = _Component(component, self.feasible(component), known, votes)
            told = None if accuracies is None else np.array([_accuracy(accuracies, lf) for lf in part.usable])
            posterior, settled = fit_actions(part.actions(n), accuracies=told, max_iterations=max_iterations, tolerance=tolerance)
            labels.warnings.extend(part.warnings())
            if not settled and max_iterations:
                labels.warnings.append(f"LM210: EM did not settle in {max_iterations} iterations on {', '.join(component)}")
            for task in component:
                labels.classes[task], labels.p[task] = self._marginal(task, part.vectors, posterior)
        return labels

    def _marginal(self, task: str, vectors: Sequence[Mapping[str, str | None]], posterior: np.ndarray) -> tuple[tuple[str | None, ...], np.ndarray]:
        """(classes, None last where the task may not apply; their probabilities (n, classes))."""
        classes = (*self.tasks[task], *([NOT_APPLICABLE] if any(v[task] is None for v in vectors) else []))
        return classes, np.stack([posterior[:, [v[task] == c for v in vectors]].sum(axis=1) for c in classes], axis=1)

    def _below(self, task: str) -> list[dict[str, str | None]]:
        found = []
        for branch in self.tasks[task]:
            finer = [self._below(child) for parent, of, child in self.edges if (parent, of) == (task, branch)]
            found += [{task: branch, **{t: c for part in parts for t, c in part.items()}} for parts in product(*finer)]
        return found

    def _root(self, task: str) -> str:
        seen = [task]
        while seen[-1] in self.parent:
            above = self.parent[seen[-1]][0]
            if above in seen:
                raise LabelModelError("LM113", f"tasks refine each other in a circle: {' -> '.join([*seen, above])}")
            seen.append(above)
        return seen[-1]

    def _check(self, task: str, branch: str | None = None) -> None:
        if task not in self.tasks:
            raise LabelModelError("LM113", f'there is no task "{task}"', hint=did_you_mean(str(task), self.tasks) or f"tasks: {', '.join(self.tasks)}")
        if branch is not None and branch not in self.tasks[task]:
            raise LabelModelError("LM113", f'task "{task}" has no class "{branch}"', hint=did_you_mean(str(branch), self.tasks[task]))

    def _check_vote(self, lf: str, assertion: Assertion) -> None:
        for task, label in assertion.items():
            if task not in self.tasks or label not in self.tasks[task]:
                known = self.tasks if task not in self.tasks else self.tasks[task]
                word = task if task not in self.tasks else label
                raise LabelModelError("LM125", f'LF "{lf}" votes {label} for {task}, which is not a class of a task', hint=did_you_mean(str(word), known))


@dataclass(frozen=True)
class TaskLabels:
    """classes: task -> its classes, None last where the task may not apply; p: task -> float (n, classes), rows sum to 1; warnings."""

    classes: dict[str, tuple[str | None, ...]]
    p: dict[str, np.ndarray]
    warnings: list[str]


class _Component:
    """One component: its label vectors, and which assertions of which LFs (by name) tell them apart.

    usable  LF -> [(assertion, bool (k,) of vectors it agrees with), ...], without those that agree with none or with all
    """

    def __init__(self, tasks: Sequence[str], vectors: list[dict[str, str | None]], known: Mapping[str, list[Assertion]], votes: Mapping[str, Sequence[Assertion | None]]):
        self.vectors, self.votes = vectors, votes
        agreeing = {lf: [(a, np.array([_agrees(a, y) for y in vectors])) for a in alphabet if set(a) & set(tasks)] for lf, alphabet in known.items()}
        self.impossible = {lf: lost for lf, pairs in agreeing.items() if (lost := [a for a, c in pairs if not c.any()])}
        usable = {lf: [(a, c) for a, c in pairs if c.any() and not c.all()] for lf, pairs in agreeing.items()}
        self.usable = {lf: pairs for lf, pairs in usable.items() if pairs}

    def actions(self, n: int) -> Actions:
        """The assertions of n entities as numbers."""
        chosen = np.full((n, len(self.usable)), -1)
        for j, (lf, pairs) in enumerate(self.usable.items()):
            at = {_key(assertion): i for i, (assertion, _) in enumerate(pairs)}
            chosen[:, j] = [-1 if vote is None else at.get(_key(vote), -1) for vote in self.votes[lf]]
        return Actions(chosen, tuple(np.array([c for _, c in pairs]) for pairs in self.usable.values()), len(self.vectors))

    def warnings(self) -> list[str]:
        """LM227 for each LF that contradicts the graph, LM228 for vectors no LF speaks for."""
        found = []
        for lf, lost in self.impossible.items():
            count = sum(vote is not None and dict(vote) in [dict(a) for a in lost] for vote in self.votes[lf])
            found.append(f"LM227: {count} votes of {lf} contradict the task graph and count as abstentions: {listed([str(dict(a)) for a in lost])}")
        spoken = np.any([c for pairs in self.usable.values() for _, c in pairs], axis=0) if self.usable else np.zeros(len(self.vectors), bool)
        silent = [str({task: label for task, label in v.items() if label is not None}) for v, s in zip(self.vectors, spoken) if not s]
        if silent and len(self.vectors) > 1:
            found.append(f"LM228: no LF speaks for {listed(silent)}: nothing but the class balance does")
        return found


def _agrees(assertion: Assertion, vector: Mapping[str, str | None]) -> bool:
    return all(vector[task] == label for task, label in assertion.items() if task in vector)


def _key(assertion: Assertion) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(assertion.items()))


def _alphabet(given: Sequence[Assertion | None], further: Sequence[Assertion]) -> list[Assertion]:
    """The distinct assertions, sorted; an empty one says nothing."""
    found = {_key(a): a for a in [*given, *further] if a}
    return [found[key] for key in sorted(found)]


def _length(votes: Mapping[str, Sequence[Assertion | None]]) -> int:
    lengths = {lf: len(given) for lf, given in votes.items()}
    if len(set(lengths.values())) > 1:
        raise LabelModelError("LM113", f"every LF needs one entry per entity, got {lengths}")
    return next(iter(lengths.values()), 0)


def _accuracy(accuracies: Mapping[str, float], lf: str) -> float:
    a = accuracies.get(lf, np.nan)
    if not 0 <= a <= 1:
        raise LabelModelError("LM113", f"accuracies must name every LF with a number in [0, 1]; {lf}: {a}")
    return float(a)
