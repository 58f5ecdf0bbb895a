"""The contract of all label models, and the registry that finds them by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, Sequence

import numpy as np

import groundswell.label_models
from groundswell.errors import LabelModelError, did_you_mean
from groundswell.label_models.evidence import Evidence
from groundswell.label_models.partial import with_partial_votes
from groundswell.label_models.patterns import VotePatterns, canonical

ClassBalance = Mapping[str, float] | Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Fit:
    """Everything a fit finds, LFs in the order of evidence.lfs.

    evidence       Evidence             makes the predictions
    class_balance  float (K,)           P(Y = y)
    params         float (m, K, K+1)    P(vote_j = v | Y = y), abstain last; NaN where the model does not define it
    uncovered      float (K,)           the posterior of a pattern without votes
    objective      float                what the fit maximised; NaN if it maximises nothing
    chosen         str                  the model that made this fit, where another one may stand in; "" = the model itself
    reason         str                  why that one
    weight         float (m,) or None   exponent of each LF's likelihood where LFs that repeat each other are discounted
    """

    evidence: Evidence
    class_balance: np.ndarray
    params: np.ndarray
    uncovered: np.ndarray
    n_iterations: int = 0
    converged: bool = True
    objective: float = float("nan")
    warnings: tuple[str, ...] = ()
    chosen: str = ""
    reason: str = ""
    weight: np.ndarray | None = None

    def lf_weight(self, j: int) -> float:
        """By how much the votes of LF j count: less than 1 where other LFs repeat it."""
        return 1.0 if self.weight is None else float(self.weight[j])

    def posterior(self, patterns: VotePatterns) -> np.ndarray:
        """P(Y | votes), float (P, K); the patterns' LFs may stand in any order."""
        posterior = self.evidence.posterior_of(patterns)
        posterior[~patterns.covered] = self.uncovered
        return posterior

    def warned(self, *warnings: str) -> Fit:
        """The same fit with more warnings."""
        return replace(self, warnings=self.warnings + warnings)


@dataclass(frozen=True)
class Task:
    """What a fit is given, in canonical form: LFs by name, patterns distinct and sorted.

    patterns       VotePatterns
    class_balance  float (K,) or None      None = estimate it
    gold           float (P, K) or None    entities of each pattern whose class is known, and the share of the others that
                                           answers speak for; included in patterns.counts
    seed           int
    answers        float (P, K) or None    answers of people to questions about each pattern
    """

    patterns: VotePatterns
    class_balance: np.ndarray | None
    gold: np.ndarray | None
    seed: int
    answers: np.ndarray | None = None

    @property
    def anchored(self) -> bool:
        """Does gold alone tell the classes apart? A few answers do not: they only bend what votes tell."""
        return self.gold is not None and self.answers is None


@dataclass
class LabelModel:
    """A label model: `fit` on vote patterns, then `predict` P(Y | votes). Options are the fields of the subclass.

    Fitted state (LFs in the order given to `fit`): class_balance_ float (K,); params_ float (m, K, K+1) =
    P(vote_j = v | Y = y), abstain last, NaN where the model does not define it; n_iterations_ int; converged_ bool;
    objective_ float, NaN if nothing is maximised; warnings_ list of 'LM2xx: sentence'; chosen_ and reason_: the name of the
    model that made the fit, and why, where it is not this one.

    Same votes, options and seed give the same bits under any order of LFs, rows and patterns. A subclass implements
    `_fit(task) -> Fit`.
    """

    name: ClassVar[str] = ""
    _result: Fit | None = field(default=None, init=False, repr=False, compare=False)

    def fit(
        self,
        patterns: VotePatterns,
        *,
        seed: int = 0,
        class_balance: ClassBalance | None = None,
        gold: np.ndarray | None = None,
        answers: np.ndarray | None = None,
    ) -> LabelModel:
        """This model, fitted; a second fit starts from nothing.

        seed           of whatever a model draws at random; a model that draws nothing gives the same for every seed
        class_balance  mapping class -> p, or K numbers in the order of the classes; sums to 1; None = estimated
        gold           integers (P, K) or None: of counts[p] entities with pattern p, gold[p, k] are known to be classes[k]
        answers        the same, for the few entities people were asked about because of their pattern: n answers speak for
                       n / (n + 1) of the entities with that pattern, where gold speaks for its own entities alone

        Raises LabelModelError: LM107 (option value), LM108 (class balance), LM111 (gold).
        """
        balance = checked_balance(class_balance, patterns.classes)
        known, told = checked_gold(gold, patterns), checked_gold(answers, patterns)
        merged, *human = canonical(patterns.hardened(), known, told)
        result = self._fit(Task(merged, balance, with_answers(merged, *human), seed, human[1]))
        if len(patterns.partial):
            whole, *human = canonical(patterns, known, told)
            result = with_partial_votes(in_order(result, whole.lfs), whole, with_answers(whole, *human))
        self._result = in_order(result, patterns.lfs)
        return self

    def predict(self, patterns: VotePatterns) -> np.ndarray:
        """P(Y | votes) of each pattern, float (P, K); rows sum to 1 within 1e-12, never NaN.

        A pattern without votes gets the class balance (majority vote: uniform). Columns are matched by LF name.
        Raises LabelModelError: LM109 (not fitted), LM110 (other LFs or classes than in the fit).
        """
        result = self._fitted()
        if len(patterns.partial) != max(0, len(result.evidence.hard) - len(patterns.classes)):
            raise LabelModelError("LM110", "the label model was fitted with other partial votes than these", hint="fit again on these patterns")
        if patterns.classes != result.evidence.classes:
            raise LabelModelError(
                "LM110", f"the label model was fitted on classes {list(result.evidence.classes)}, got {list(patterns.classes)}"
            )
        return result.posterior(patterns)

    def evidence(self) -> Evidence:
        """What each vote adds for each class; its sum, put through its rule, is `predict` on covered patterns."""
        return self._fitted().evidence

    def _fit(self, task: Task) -> Fit:
        raise NotImplementedError

    def _fitted(self) -> Fit:
        if self._result is None:
            raise LabelModelError("LM109", f'the label model "{self.name}" is not fitted', hint="call fit(patterns) first")
        return self._result

    @property
    def class_balance_(self) -> np.ndarray:
        return self._fitted().class_balance

    @property
    def params_(self) -> np.ndarray:
        return self._fitted().params

    @property
    def n_iterations_(self) -> int:
        return self._fitted().n_iterations

    @property
    def converged_(self) -> bool:
        return self._fitted().converged

    @property
    def objective_(self) -> float:
        return self._fitted().objective

    @property
    def warnings_(self) -> list[str]:
        return list(self._fitted().warnings)

    @property
    def chosen_(self) -> str:
        return self._fitted().chosen or self.name

    @property
    def reason_(self) -> str:
        return self._fitted().reason


_MODELS: dict[str, type[LabelModel]] = {}


def register(model: type[LabelModel]) -> type[LabelModel]:
    """The class itself, found from now on under its `name`."""
    _MODELS[model.name] = model
    return model


def label_models() -> dict[str, type[LabelModel]]:
    """Name -> class of every label model, sorted by name; each is one file of this package."""
    for module in iter_modules(groundswell.label_models.__path__):
        import_module(f"groundswell.label_models.{module.name}")
    return dict(sorted(_MODELS.items()))


def label_model(name: str, **options: Any) -> LabelModel:
    """The label model called `name`, unfitted.

    Raises LabelModelError: LM105 (unknown name), LM106 (unknown option), each with the nearest candidate.
    """
    known = label_models()
    if name not in known:
        hint = did_you_mean(str(name), known) or f"known: {', '.join(known)}"
        raise LabelModelError("LM105", f'there is no label model "{name}"', hint=hint)
    accepted = [f.name for f in fields(known[name]) if f.init]
    for option in options:
        if option not in accepted:
            hint = did_you_mean(option, accepted) or f"options: {', '.join(accepted) or 'none'}"
            raise LabelModelError("LM106", f'label model "{name}" has no option "{option}"', hint=hint)
    return known[name](**options)


def checked_balance(balance: ClassBalance | None, classes: tuple[str, ...]) -> np.ndarray | None:
    """The class balance as float (K,), exactly normalised, or None; raises LM108."""
    if balance is None:
        return None
    if isinstance(balance, Mapping):
        _check_balance_names(balance, classes)
        balance = [balance[c] for c in classes]
    p = np.asarray(balance, dtype=float)
    if p.shape != (len(classes),) or not (p > 0).all() or abs(p.sum() - 1) > 1e-6:
        raise LabelModelError("LM108", f"class_balance must be {len(classes)} positive numbers that sum to 1, got {p.tolist()}")
    return p / p.sum()


def _check_balance_names(balance: Mapping[str, float], classes: tuple[str, ...]) -> None:
    for name in balance:
        if name not in classes:
            hint = did_you_mean(str(name), classes) or f"classes: {', '.join(classes)}"
            raise LabelModelError("LM108", f'class_balance names the unknown class "{name}"', hint=hint)
    absent = [c for c in classes if c not in balance]
    if absent:
        raise LabelModelError("LM108", f"class_balance lacks {', '.join(absent)}")


def checked_gold(gold: np.ndarray | None, patterns: VotePatterns) -> np.ndarray | None:
    """Gold counts as float (P, K), or None where there are none; raises LM111."""
    if gold is None:
        return None
    known = np.asarray(gold, dtype=float)
    shape = (len(patterns.counts), len(patterns.classes))
    if known.shape != shape or not (known >= 0).all() or (known.sum(axis=1) > patterns.counts).any():
        raise LabelModelError("LM111", f"gold must be counts {shape}, at most counts[p] in row p, got shape {known.shape}")
    return known if known.any() else None


def with_answers(patterns: VotePatterns, gold: np.ndarray | None, answers: np.ndarray | None) -> np.ndarray | None:
    """Gold (P, K) and what answers say about entities without gold: n answers speak for n / (n + 1) of them."""
    if answers is None:
        return gold
    gold = np.zeros(answers.shape) if gold is None else gold
    n = answers.sum(axis=1)
    spoken_for = (patterns.counts - gold.sum(axis=1)) / (n + 1)
    return gold + spoken_for[:, None] * answers


def in_order(fit: Fit, lfs: tuple[str, ...]) -> Fit:
    """The same fit with LFs in the order of `lfs`."""
    at = {lf: j for j, lf in enumerate(fit.evidence.lfs)}
    order = [at[lf] for lf in lfs]
    weight = None if fit.weight is None else fit.weight[order]
    return replace(fit, evidence=fit.evidence.reordered(lfs), params=fit.params[order], weight=weight)


def undefined_params(patterns: VotePatterns) -> np.ndarray:
    """NaN (m, K, K+1): a model without conditional vote tables."""
    n_classes = len(patterns.classes)
    return np.full((len(patterns.lfs), n_classes, n_classes + 1), np.nan)


def uniform(n_classes: int) -> np.ndarray:
    """1/K for each class, float (K,)."""
    return np.full(n_classes, 1.0 / n_classes)
