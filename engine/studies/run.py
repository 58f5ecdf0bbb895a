"""A study from the store to rows of `study`: arms in parallel, finished ones kept, the same test rows for all (Suri et al. 2020, section 6)."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from .. import __version__
from ..curating import part_labels
from ..end_models import FeatureSpec, infer_features
from ..end_models.settings import model_options
from ..errors import ConfigError, Diagnostic, StudyError, did_you_mean
from ..evaluation import STUDY_TABLE
from ..features import entity_layout, gold_query
from ..fusing import labelled_modalities, modality_views
from ..pipeline import refresh
from ..state import digest, fingerprint_of, recorded, remember
from ..store import Store, publish, writing
from ..store.names import quoted, table_name
from ..types import RESERVED_COLUMNS, Event, Listener, Project, Task, silent
from .arms import BASELINE, Arm, FeatureSets, crossover_arms, curation_arms, end_to_end_arms, factor_arms, fusion_arms, lesion_arms
from .results import ALL_FEATURES, OPTIMUM, StudyResult, StudyRows
from .rows import RowFiles, pattern_labels, write_labels, write_rows
from .work import Work, done, done_alone, test_rows

SAMPLE_ROWS = 20_000
SETTINGS = ("servable", "all", "both")
STUDIES = ("end-to-end", "crossover", "factors", "lesion", "fusion", "curation")
REST = "other"


@dataclass(frozen=True)
class StudyOptions:
    """How a study is run.

    seeds     of every arm
    features  servable: the end model reads what a deployed one may; all: everything; both: one after the other
    method    the end model (default: the task's)
    points    of the learning curve
    workers   processes (default: one per core, at most four; one on an accelerator)
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    features: str = "servable"
    method: str | None = None
    points: int = 8
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.features not in SETTINGS:
            raise ConfigError("CFG106", f'features cannot be "{self.features}"', hint=f"one of {', '.join(SETTINGS)}")
        if not self.seeds or self.points < 2 or (self.workers is not None and self.workers < 1):
            raise ConfigError("CFG106", "a study needs a seed, two points and a worker", hint="seeds = (0, 1, 2), points = 8, workers = 2")


def study(project: Project, task: Task, name: str, options: StudyOptions = StudyOptions(), listen: Listener = silent) -> StudyResult:
    """Run a study and publish it in `study`. Arms finished by an earlier run on the same data are kept.

    Raises StudyError: SY101 no such study, SY102 no labels yet, SY103 no labelled and unlabelled modality, SY104 nothing to judge by.
    """
    if name not in STUDIES:
        raise StudyError("SY101", f'there is no study "{name}"', hint=did_you_mean(name, STUDIES) or f"one of {', '.join(STUDIES)}")
    with writing(project, "study") as store:
        with recorded(store, "study", task.name) as record:
            refresh(store, project, task, record, listen)
            if not store.has_table(task.name, "pattern_label"):
                raise StudyError("SY102", "there are no labels to train on yet", hint="groundswell run, or groundswell curate")
            result = _Study(store, project, task, name, options, listen).run()
        publish(store, project.published)
        return result


class _Study:
    """The steps of one study."""

    def __init__(self, store: Store, project: Project, task: Task, name: str, options: StudyOptions, listen: Listener):
        self.store, self.project, self.task, self.name, self.options, self.listen = store, project, task, name, options, listen
        self.result, self.rows = StudyResult(name), StudyRows(store, task.name, name)
        self.folder = project.state_dir / "study" / task.name
        self.settings = dict(task.end_model) | ({"method": options.method} if options.method else {})

    def run(self) -> StudyResult:
        self.old, self.new = self._modalities()
        self._told()
        spec = self._spec()
        rmtree(self.folder, ignore_errors=True)
        self.listen(Event("study", "writing the rows every arm reads"))
        write_rows(self.store, self.task, spec.names, self.folder)
        write_labels(self.folder, "current", pattern_labels(self.store, self.task))
        self.files = RowFiles(self.folder, len(self.task.classes))
        if not any(True for _ in test_rows(self.files, self.new)):
            raise StudyError("SY104", f"no row of {self.new} in the test split has a known class", hint="gold for it, or study = { from = ..., key = ..., label = ... }")
        self.store.connection.execute(STUDY_TABLE.format(schema=quoted(self.task.name)))
        fingerprint = self._fingerprint()
        work = [(each, digest(fingerprint, repr(each.arm), str(each.seed))) for each in self._work(spec)]
        self.order = list(dict.fromkeys(each.arm.name for each, _ in work))
        self.rows.forget_others(self.order, self.options.seeds)
        self._run([(each, mark) for each, mark in work if not self._known(each, mark)])
        self._conclude()
        rmtree(self.folder, ignore_errors=True)
        return self.result

    # -- what there is --------------------------------------------------------------------------------------------------

    def _modalities(self) -> tuple[str, str]:
        """(the labelled modality, the one nobody labelled in train). Raises StudyError SY103."""
        counts = dict(self.store.rows(f"SELECT e.modality, count(*) FROM {self._table('entity')} AS e JOIN {self._table('gold_label')} USING (entity_id) WHERE split = 'train' GROUP BY 1"))
        labelled = labelled_modalities(self.store, self.task)
        new = [m for m in self.task.modalities if m not in labelled]
        if not counts or not new:
            raise StudyError("SY103", f"studies compare a modality with gold in train and one without; with gold: {', '.join(counts) or 'none'}", hint="a second [modality.NAME] nobody labelled")
        return max(counts, key=counts.get), new[0]

    def _told(self) -> None:
        """TEMP table study_told: labels that only studies see."""
        source, layout = self.task.study, entity_layout(self.store, self.project, self.task)
        if source is None:
            self.store.execute(f"CREATE OR REPLACE TEMP TABLE study_told AS SELECT entity_id, NULL::VARCHAR AS label, NULL::DOUBLE AS optimum, NULL::DOUBLE AS optimum_all FROM {self._table('entity')} LIMIT 0")
            self.result.diagnostics.append(Diagnostic("SY201", f"no hand labels of {self.new} to train a supervised model on: nothing is relative to one", hint="study = { from = ..., key = ..., label = ... } in groundswell.toml"))
            return

        def column(name: str | None) -> str:
            return gold_query(self.store, replace(self.task, gold=replace(source, label=name)), layout).sql("duckdb") if name else "SELECT NULL AS entity_id, NULL AS label LIMIT 0"

        self.store.execute(
            f"""CREATE OR REPLACE TEMP TABLE study_told AS
            SELECT t.entity_id, t.label, CAST(o.label AS DOUBLE) AS optimum, CAST(a.label AS DOUBLE) AS optimum_all
            FROM ({column(source.label)}) AS t LEFT JOIN ({column(source.optimum)}) AS o ON o.entity_id = t.entity_id LEFT JOIN ({column(source.optimum_all)}) AS a ON a.entity_id = t.entity_id"""
        )

    def _spec(self) -> FeatureSpec:
        """Every feature an end model can read, servable or not."""
        sample = self.store.arrow(f"SELECT * FROM {self._table('entity')} ORDER BY md5(CAST(entity_id AS VARCHAR)) LIMIT {SAMPLE_ROWS}")
        wanted = self.settings.get("features")
        closed = self._closed()
        exclude = [c for c in sample.column_names if c in RESERVED_COLUMNS or (wanted is not None and c not in wanted and c not in closed)]
        return infer_features(sample.schema, sample, kinds=self.settings.get("kinds"), exclude=exclude)[0]

    def _closed(self) -> set[str]:
        return {f for (f,) in self.store.rows("SELECT feature FROM gs.feature WHERE NOT servable")} if self.store.has_table("gs", "feature") else set()

    def _sets(self, spec: FeatureSpec, everything: bool) -> FeatureSets:
        """Features by set and modality."""
        has = {modality: set(features) for modality, features in modality_views(self.store, self.task, spec.names).items()}
        open_ = {f.name for f in spec.features} - (set() if everything else self._closed())
        named = dict(self.store.rows("SELECT feature, feature_set FROM gs.feature")) if self.store.has_table("gs", "feature") else {}
        shared = [f.name for f in spec.features if f.name in open_ and f.name in has[self.old] & has[self.new]]
        groups = sorted({named.get(f) or REST for f in shared}, key=lambda g: (g == REST, g))
        own = tuple(f.name for f in spec.features if f.name in open_ and f.name in has[self.new] - has[self.old])
        vectors = tuple(f.name for f in spec.features if f.kind == "embedding" and f.name in own)
        return FeatureSets(
            self.old, self.new, {g: tuple(f for f in shared if (named.get(f) or REST) == g) for g in groups}, own, vectors,
            tuple(f.name for f in spec.features if f.name in open_ and f.name in has[self.old] - has[self.new]),
        )  # fmt: skip

    # -- arms -----------------------------------------------------------------------------------------------------------

    def _work(self, spec: FeatureSpec) -> Iterator[Work]:
        settings = {"servable": (False,), "all": (True,), "both": (False, True)}[self.options.features]
        for everything in settings:
            sets = self._sets(spec, everything)
            if not sets.shared:
                raise StudyError("SY103", f"{self.old} and {self.new} share no {'feature' if everything else 'servable feature'}", hint="add features/*.sql that hold for both")
            for arm in self._arms(sets):
                if any(source.labels == "told" for source in arm.sources) and self.task.study is None:
                    continue
                named = replace(arm, name=arm.name + (ALL_FEATURES if everything and arm.name != BASELINE else ""))
                for seed in self.options.seeds if not (everything and arm.name == BASELINE and len(settings) > 1) else ():
                    yield Work(self.folder, named, seed, tuple(self.task.classes), spec, self.settings["method"], model_options(self.settings), self.new, self.old)

    def _arms(self, sets: FeatureSets) -> Sequence[Arm]:
        if self.name == "crossover":
            return crossover_arms(sets, self.files.pool("train", self.new, "told"), self.options.points)
        if self.name == "curation":
            labels = part_labels(self.store, self.task)
            for part, p in labels.items():
                write_labels(self.folder, part, p)
            return curation_arms(sets, list(labels))
        makers: dict[str, Callable[[FeatureSets], list[Arm]]] = {"end-to-end": end_to_end_arms, "factors": factor_arms, "lesion": lesion_arms, "fusion": fusion_arms}
        return makers[self.name](sets)

    # -- running --------------------------------------------------------------------------------------------------------

    def _fingerprint(self) -> str:
        parts = [str(fingerprint_of(self.store, self.task.name, output)) for output in ("entity", "gold_label", "label_model")]
        told = str(self.store.rows("SELECT count(*), CAST(sum(hash(entity_id, label)) AS VARCHAR) FROM study_told"))
        return digest(*parts, told, repr(sorted(map(str, self.settings.items()))), repr(asdict(self.options)["method"]), __version__)

    def _known(self, work: Work, mark: str) -> bool:
        known = fingerprint_of(self.store, self.task.name, self._output(work)) == mark
        self.result.kept += known
        return known

    def _output(self, work: Work) -> str:
        return f"study {self.name} / {work.arm.name} / {work.seed}"

    def _run(self, work: list[tuple[Work, str]]) -> None:
        finished = 0
        for each, mark, rows in _results(work, self._workers(len(work))):
            self.listen(Event("study", f"{each.arm.name}, seed {each.seed}", finished, len(work)))
            finished += 1
            if isinstance(rows, Diagnostic):
                self.result.diagnostics.append(Diagnostic("SY202", f"{each.arm.name}, seed {each.seed}, was left out: {rows.message}", hint=rows.hint))
                continue
            with self.store.transaction():
                self.rows.write(each.arm.name, each.seed, rows)
                remember(self.store, self.task.name, self._output(each), mark)

    def _workers(self, n: int) -> int:
        if self.options.workers is not None:
            return min(self.options.workers, max(n, 1))
        import torch

        return 1 if torch.cuda.is_available() else max(1, min(os.cpu_count() or 1, 4, n))

    def _conclude(self) -> None:
        """Figures relative to the baseline, the crossing, the optimum; then all rows of the study."""
        self.rows.write_relative()
        if self.name == "crossover":
            self.rows.write_crossings()
        self._optima()
        self.result.rows = self.rows.all(self.order)

    def _optima(self) -> None:
        """Average precision of the scores that the study's labels come with, where they do."""
        found = {OPTIMUM: "optimum"} if self.options.features != "all" else {}
        for arm, name in (found | ({OPTIMUM + ALL_FEATURES: "optimum_all"} if self.options.features != "servable" else {})).items():
            if self.task.study is not None and getattr(self.task.study, name):
                self.rows.write(arm, self.options.seeds[0], self._judged(name))

    def _judged(self, name: str) -> list[dict[str, Any]]:
        """Average precision of a column of scores on the test rows whose class is known."""
        from ..end_models.metrics import judged

        batches = list(test_rows(self.files, self.new))
        score = np.concatenate([b.column(name).to_numpy(zero_copy_only=False) for b in batches]).astype(float)
        gold = np.concatenate([b.column("told").fill_null(-1).to_numpy().astype(int) for b in batches])
        known = ~np.isnan(score) & (gold >= 0)
        if not known.any() or len(self.task.classes) != 2:
            return []
        found = judged(gold[known], np.stack([1 - score[known], score[known]], axis=1))
        return [{"metric": m.name, "value": m.value, "low": m.low, "high": m.high, "n_rows": m.n} for m in found if m.name == "average_precision"]

    def _table(self, name: str) -> str:
        return table_name(self.task.name, name)


def _results(work: list[tuple[Work, str]], workers: int) -> Iterator[tuple[Work, str, list[dict[str, Any]] | Diagnostic]]:
    """Every piece of work with what came of it, as it is finished."""
    if workers <= 1:
        yield from ((each, mark, done(each)) for each, mark in work)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {pool.submit(done_alone, each): (each, mark) for each, mark in work}
        try:
            for future in as_completed(pending):
                yield (*pending[future], future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
