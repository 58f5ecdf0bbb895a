"""A search for the options of an end model, judged on the weakly labelled dev split: gold judges nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from time import perf_counter
from typing import Any, Mapping, Sequence

import numpy as np
import pyarrow as pa

from .end_models import Batches, FeatureSpec
from .end_models.batches import soft_labels
from .end_models.search import BUDGETS, SPACES, Notebook, Trial, draws, identity, space, successive_halving
from .end_models.settings import label_settings
from .end_models.views import Views, has_rows, only
from .errors import EndModelError, did_you_mean
from .fusing import fused_model, labelled_modalities, modality_views
from .store import Store
from .store.names import quoted
from .store.queries import qualified
from .types import Event, Listener, Project, Task, silent

TRIAL_TABLE = "CREATE OR REPLACE TABLE {schema}.trial (trial_id BIGINT, options JSON, metric VARCHAR, value DOUBLE, seconds DOUBLE)"
METRIC = "log_loss"
DIVERGED = "EM114"


@dataclass(frozen=True)
class Searched:
    """What a search found: the best options, every trial, how many were there already, and where they are written down."""

    options: dict[str, Any]
    trials: list[Trial]
    kept: int
    notebook: Notebook


def search(store: Store, project: Project, task: Task, settings: Mapping[str, Any], spec: FeatureSpec, n: int, listen: Listener = silent) -> Searched:
    """The best of n draws by successive halving over epochs (trees); also the table `trial`.

    Every trial learns from the rows `train` would, and is judged by the cross-entropy of its probabilities to the label model's on
    dev rows of the modalities nobody labelled (all modalities where there is no such one). Options that `settings` gives are not
    searched. The first draw has the defaults. Finished trials of a killed search of the same data are not run again.

    Raises EndModelError EM125, EM126, EM127 (no dev row to judge by).
    """
    ground = _Ground(store, task, dict(settings), spec)
    method = settings["method"]
    if method not in SPACES:
        raise EndModelError("EM106", f'there is no end model "{method}" to search for', hint=did_you_mean(method, SPACES) or f"one of {', '.join(SPACES)}")
    resource = BUDGETS.get(method, "max_epochs")
    drawn = draws(space(method, settings, ground.old if ground.new else (), ground.fusions()), _whole(n), settings["seed"])
    full = fused_model(store, task, {**settings, "fusion": "early"}, spec).options()[resource]
    notebook = Notebook(project.state_dir / "search", f"{task.name}-{ground.fingerprint()}")
    kept = notebook.trials()

    def judge(options: dict[str, Any]) -> tuple[float | None, float]:
        started = perf_counter()
        value = ground.loss(options)
        notebook.add(options, value, perf_counter() - started)
        return value, perf_counter() - started

    def tell(trial: Trial, total: int) -> None:
        said = "diverged" if trial.value is None else f"log loss {trial.value:.4f}"
        listen(Event("search", f"search: {said} with {in_words(trial.options)}", trial.trial_id - 1, total))

    best, trials = successive_halving(drawn, full, resource, judge, kept, tell)
    _write(store, task, trials)
    return Searched(best, trials, sum(identity(t.options) in kept for t in trials), notebook)


@dataclass
class _Ground:
    """What all trials share: the rows, and which modalities people labelled."""

    store: Store
    task: Task
    settings: dict[str, Any]
    spec: FeatureSpec
    old: list[str] = field(init=False)
    new: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.views = modality_views(self.store, self.task, self.spec.names, "train")
        self.old = labelled_modalities(self.store, self.task)
        self.new = [m for m in self.views if m not in self.old] if self.old else []
        if not has_rows(self.judged()):
            raise EndModelError("EM127", "no row of the dev split has a label of the label model: nothing to judge a search by", hint="labeling functions that cover dev; groundswell coverage")

    def fusions(self) -> Sequence[str]:
        """The schemes these modalities allow."""
        if not self.new:
            return ()
        views = Views({m: tuple(f) for m, f in self.views.items()}, tuple(self.old))
        late = ("late",) if views.shared and all(views.own(m) for m in views.new) else ()
        return ("early", "intermediate", "devise", *late)

    def rows(self, split: str, settings: Mapping[str, Any]) -> Batches:
        query = qualified("labelled_entity", self.task.name)
        parameters = {"split": split, "classes": list(self.task.classes), **label_settings(self.task.modalities, settings)}
        return lambda: (batch for batch in self.store.stream(query, parameters) if batch.num_rows)

    def weak(self) -> Batches:
        """Dev rows with the labels of the label model, all of weight 1."""
        return self.rows("dev", {})

    def judged(self) -> Batches:
        """Those of the modalities nobody labelled; all where none of these has one."""
        mine = only(self.weak(), self.new) if self.new else self.weak()
        return mine if has_rows(mine) else self.weak()

    def loss(self, options: Mapping[str, Any]) -> float | None:
        """Mean cross-entropy (nats) of a model with these options to the judged rows' labels; None where it diverged."""
        settings = {**self.settings, **options}
        model = fused_model(self.store, self.task, settings, self.spec)
        try:
            model.fit(self.rows("train", settings), self.spec, self.task.classes, dev=self.weak(), seed=settings["seed"])
        except EndModelError as error:
            if error.code != DIVERGED:
                raise
            return None
        losses = [self._cross_entropy(model.predict(batch), batch) for batch in self.judged()()]
        return float(np.concatenate(losses).mean())

    def _cross_entropy(self, q: np.ndarray, batch: pa.RecordBatch) -> np.ndarray:
        return -(soft_labels(batch, len(self.task.classes)) * np.log(np.maximum(q, 1e-15))).sum(axis=1)

    def fingerprint(self) -> str:
        """Of everything that decides a trial beside its options: rows, labels, settings, features, seed."""
        content = [self._content("train", self.settings), self._content("dev", {})]
        settings = {name: value for name, value in self.settings.items() if name != "search"}
        what = [content, settings, self.spec.as_json(), list(self.task.classes), self.old]
        return sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def _content(self, split: str, settings: Mapping[str, Any]) -> str:
        parameters = {"split": split, "classes": list(self.task.classes), **label_settings(self.task.modalities, settings)}
        labelled = qualified("labelled_entity", self.task.name).sql("duckdb")
        return str(self.store.rows(f"SELECT count(*), CAST(sum(hash(labelled)) AS VARCHAR) FROM ({labelled}) AS labelled", parameters))


def in_words(options: Mapping[str, Any]) -> str:
    """option = value, one after the other."""
    return ", ".join(f"{name} = {value}" for name, value in options.items())


def _whole(n: Any) -> int:
    if type(n) is not int:
        raise EndModelError("EM125", f"search = {n!r} is not a number of draws", hint="search = 12")
    return n


def _write(store: Store, task: Task, trials: Sequence[Trial]) -> None:
    """Replace `trial`."""
    store.execute(TRIAL_TABLE.format(schema=quoted(task.name)))
    store.append_arrow(task.name, "trial", pa.table({
        "trial_id": pa.array([t.trial_id for t in trials], pa.int64()), "options": pa.array([json.dumps(t.options) for t in trials]), "metric": pa.array([METRIC] * len(trials)),
        "value": pa.array([t.value for t in trials], pa.float64()), "seconds": pa.array([t.seconds for t in trials], pa.float64()),
    }))  # fmt: skip
