"""The whole of curation in one verb: mine LFs, accept them, propagate, label, and say what each part added (Suri et al. 2020, section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from . import pipeline
from .errors import Diagnostic, MiningError, PropagationError
from .evaluation import write_study
from .fusing import labelled_modalities
from .labelling import FitInput, fit_input
from .intervals import wilson
from .mining import MiningOptions
from .propagating import propagate
from .propagation.options import PropagationOptions
from .state import recorded
from .store import Store, publish, writing
from .store.names import literal, table_name
from .suggesting import accept, suggest
from .types import Event, Listener, Project, Task, silent

STUDY = "curated labels"
PROPAGATED = "propagated"
PROPAGATED_SQL = """-- lf: propagated
-- tags: propagated, description: gold labels of train spread to similar rows; see `groundswell propagate`
SELECT entity_id, label FROM propagation_label;
"""


@dataclass(frozen=True)
class CurationOptions:
    """How a training set is curated. propagation: None leaves it out."""

    mining: MiningOptions = MiningOptions()
    propagation: PropagationOptions | None = PropagationOptions()


@dataclass
class Curation:
    """What curation did.

    accepted   rows of `lf_suggestion` that became LFs, with their names
    arms       one dict per arm and metric: arm, seed, metric, value, low, high, n_rows; also in `study`
    judged_on  which gold judged the arms, "" when there was none
    """

    accepted: list[dict] = field(default_factory=list)
    arms: list[dict[str, Any]] = field(default_factory=list)
    judged_on: str = ""
    run: pipeline.RunResult = field(default_factory=pipeline.RunResult)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def curate(project: Project, task: Task, options: CurationOptions = CurationOptions(), listen: Listener = silent) -> Curation:
    """Mine and accept labeling functions, propagate gold, run, and compare label models with and without each part.

    Every stage publishes what it made, so that a killed curation begins where it was. Raises MiningError (MN106: no LF at all), LFError.
    """
    done = Curation()
    done.diagnostics += suggest(project, task, options.mining, listen).diagnostics
    done.accepted = accept(project, task, None)
    if options.propagation:
        done.diagnostics += _propagated(project, task, options.propagation, listen)
    done.run = pipeline.run(project, task, listen=listen)
    if not done.run.evaluations:
        raise MiningError("MN106", "nothing was mined and there is no labeling function: there is nothing to label by", hint="add features, or write LFs by hand")
    done.diagnostics += done.run.diagnostics
    with writing(project, "curate") as store:
        with recorded(store, "curate", task.name):
            listen(Event("study", "measuring what each part added"))
            done.judged_on, done.arms = measure(store, task)
            if done.arms:
                write_study(store, task, STUDY, done.arms)
        publish(store, project.published)
    return done


def _propagated(project: Project, task: Task, options: PropagationOptions, listen: Listener) -> Sequence[Diagnostic]:
    """Propagate, and see that an LF reads the result; a task that cannot be propagated is told so and curated without."""
    try:
        found = propagate(project, task, options, listen)
    except PropagationError as error:
        return [replace(d, severity="warning") for d in error.diagnostics]
    path = propagated_path(project, task)
    if not any("propagation_" in p.read_text(encoding="utf-8") for p in path.parent.glob("*.sql")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROPAGATED_SQL, encoding="utf-8")
    return found.diagnostics


def propagated_path(project: Project, task: Task) -> Path:
    """The file with the LF that reads propagation's result."""
    return project.root / "lfs" / (task.name if len(project.tasks) > 1 else "") / "propagated.sql"


# -- what each part added -----------------------------------------------------------------------------------------------


def measure(store: Store, task: Task) -> tuple[str, list[dict[str, Any]]]:
    """(gold that judged, rows of `study`) of label models fitted on each part's votes: the shape of Table 3 of the paper.

    Judged on gold of the test split, of modalities without gold in train where there are any; else on dev. That gold takes no
    part in any fit. Rows on which an arm is silent count as missed. Intervals: 95 %, Wilson for shares, bootstrap for the rest.
    """
    where, at, gold = _judged_rows(store, task)
    if not len(gold):
        return "", []
    given, parts = fit_input(store, task), _parts(store, task)
    rows = []
    for arm, lfs in parts.items():
        part = _only(given, lfs)
        p = part.fitted(task.label_model["seed"]).predict(part.everywhere)
        covered = (part.matrix.votes >= 0).any(axis=1)
        rows += [{"arm": arm, "seed": task.label_model["seed"], **metric} for metric in _metrics(gold, p[at], covered[at], task.label_model["seed"])]
    return where, rows


def part_labels(store: Store, task: Task) -> dict[str, np.ndarray]:
    """Arm -> what a label model fitted on its LFs says of every pattern, float (P, K); NaN where they are silent."""
    given, found = fit_input(store, task), {}
    for arm, lfs in _parts(store, task).items():
        part = _only(given, lfs)
        p = part.fitted(task.label_model["seed"]).predict(part.everywhere)
        found[arm] = np.where((part.matrix.votes >= 0).any(axis=1)[:, None], p, np.nan)
    return found


def _parts(store: Store, task: Task) -> dict[str, list[str]]:
    """Arm -> its LFs: hand-written, mined, both, and with what was propagated; arms that would be alike once."""
    kinds: dict[str, list[str]] = {"hand-written": [], "mined": [], PROPAGATED: []}
    for lf, tags, reads in store.rows(f"SELECT lf, tags, reads FROM {table_name(task.name, 'lf')} WHERE status = 'ok' ORDER BY lf"):
        kind = PROPAGATED if any(r.startswith("propagation_") for r in reads or ()) else "mined" if "mined" in (tags or ()) else "hand-written"
        kinds[kind].append(lf)
    arms = {name: lfs for name, lfs in kinds.items() if lfs}
    if kinds["hand-written"] and kinds["mined"]:
        arms["hand-written + mined"] = kinds["hand-written"] + kinds["mined"]
    if kinds[PROPAGATED] and kinds["mined"]:
        arms["mined + propagated"] = kinds["mined"] + kinds[PROPAGATED]
    if all(kinds.values()):
        arms["all"] = sum(kinds.values(), [])
    return arms


def _only(given: FitInput, lfs: Sequence[str]) -> FitInput:
    """The same task with all other LFs silent."""
    votes = given.matrix.votes.copy()
    votes[:, [j for j, lf in enumerate(given.matrix.lfs) if lf not in set(lfs)]] = -1
    return replace(given, matrix=replace(given.matrix, votes=votes))


def _judged_rows(store: Store, task: Task) -> tuple[str, np.ndarray, np.ndarray]:
    """(which gold, position of each judged entity's pattern int (n,), its class int (n,))."""
    joined = f"{table_name(task.name, 'entity')} AS e JOIN {table_name(task.name, 'gold_label')} AS g USING (entity_id)"
    counts = {(m, s): n for m, s, n in store.rows(f"SELECT e.modality, e.split, count(*) FROM {joined} GROUP BY ALL")}
    labelled = labelled_modalities(store, task)
    new = [m for m in task.modalities if (m, "test") in counts and m not in labelled]
    split = "test" if any(s == "test" for _, s in counts) else "dev"
    chosen = new or [m for m in task.modalities if (m, split) in counts]
    if not chosen:
        return "", np.zeros(0, int), np.zeros(0, int)
    found = store.arrow(
        f"SELECT v.pattern_id, c.position FROM {joined} JOIN {table_name(task.name, 'entity_vote')} AS v USING (entity_id) JOIN {table_name(task.name, 'class')} AS c USING (label) "
        f"WHERE e.split = '{split}' AND e.modality IN ({', '.join(map(literal, chosen))})"
    )
    return f"{split} split of {', '.join(chosen)}", found["pattern_id"].to_numpy().astype(np.int64), found["position"].to_numpy().astype(int)


def _metrics(gold: np.ndarray, p: np.ndarray, covered: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """Rows (metric, value, low, high, n_rows): coverage, precision, recall and F1 (two classes: of the rarer one; more: means), average precision."""
    from .end_models.metrics import judged

    k = p.shape[1]
    said = np.where(covered, p.argmax(axis=1), -1)
    positive = [int(np.bincount(gold, minlength=k).argmin())] if k == 2 else list(np.unique(gold))
    tp, n_said, n_gold = _counts(said, gold, positive)
    rows = [_share("coverage", int(covered.sum()), len(gold)), _mean_share("precision", tp, n_said), _mean_share("recall", tp, n_gold), _f1(tp, n_said, n_gold)]
    flipped = p[:, ::-1] if positive == [0] and k == 2 else p
    average = next(m for m in judged(1 - gold if positive == [0] and k == 2 else gold, flipped, None, seed) if m.name == "average_precision")
    return [*rows, {"metric": "average_precision", "value": average.value, "low": average.low, "high": average.high, "n_rows": average.n}]


def _counts(said: np.ndarray, gold: np.ndarray, classes: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """(right, said, there are) of each class."""
    right = [int(((said == c) & (gold == c)).sum()) for c in classes]
    return right, [int((said == c).sum()) for c in classes], [int((gold == c).sum()) for c in classes]


def _share(name: str, k: int, n: int) -> dict[str, Any]:
    if not n:
        return {"metric": name, "value": None, "low": None, "high": None, "n_rows": 0}
    return {"metric": name, "value": k / n, "low": float(wilson(k, n)[0]), "high": float(wilson(k, n)[1]), "n_rows": n}


def _mean_share(name: str, right: Sequence[int], of: Sequence[int]) -> dict[str, Any]:
    """One class: a share with its interval; several: the mean of those that are defined."""
    if len(right) == 1:
        return _share(name, right[0], of[0])
    values = [k / n for k, n in zip(right, of) if n]
    return {"metric": name, "value": float(np.mean(values)) if values else None, "low": None, "high": None, "n_rows": int(sum(of))}


def _f1(right: Sequence[int], said: Sequence[int], there: Sequence[int]) -> dict[str, Any]:
    values = [2 * k / (a + b) for k, a, b in zip(right, said, there) if a + b]
    return {"metric": "f1", "value": float(np.mean(values)) if values else None, "low": None, "high": None, "n_rows": int(sum(there))}
