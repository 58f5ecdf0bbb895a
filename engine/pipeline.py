"""The main job: entity -> votes -> patterns -> label model -> statistics, each step only when its inputs changed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import Callable, Iterable, Mapping

from . import __version__
from .errors import ConfigError, Diagnostic, LFError, StoreError, did_you_mean
from .features import (
    CATALOGUE_VERSION, FeatureTables, answer_files, build_entities, build_gold, entity_changes, entity_layout, gold_fingerprint, relations, source_fingerprint, stale_line,
    with_resources, write_catalogue,
)  # fmt: skip
from .labelling import Labelling, fit_labels, weigh_workers
from .lfs import LoadedLFs, LoadedResources, lf_scope, load_lfs, load_resources, register_row_functions, run_row_tests, show_entity
from .state import RunRecord, digest, fingerprint_of, recorded, remember
from .store import Store, looking, publish, writing
from .types import EntityLayout, Event, Listener, Project, Task, silent
from .votes import UNCHANGED, Evaluation, build_patterns, build_statistics, build_votes, plan_votes, registry_rows, write_classes, write_registry

MACROS = {
    "conflicts_between": ("a", "b"), "false_positives": ("lf",), "uncovered": ("n",), "explain_label": ("id",), "pattern_examples": ("pattern",),
    "next_to_review": ("n",),
}  # fmt: skip
LABEL_VIEWS = ("probabilistic_labels", "training_set")


@dataclass(frozen=True)
class Step:
    """One step of a run or plan: what, whether it had to be done, why."""

    output: str
    done: bool
    reason: str
    seconds: float = 0.0


@dataclass
class RunResult:
    """What a run did. `diagnostics` holds the errors and warnings of all LFs."""

    run_id: int = 0
    steps: list[Step] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    labelling: Labelling | None = None

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]


@dataclass(frozen=True)
class RunOptions:
    """How a run was asked for. select: names of LFs ("NAME" or "NAME+"); others keep their votes."""

    select: tuple[str, ...] = ()
    full: bool = False
    keep_going: bool = False
    seed: int | None = None
    extra: tuple = ()


def check(project: Project, task: Task, extra: Iterable = ()) -> LoadedLFs:
    """Parse, bind and lint every LF and run tests/*.yaml; reads no data and writes nothing."""
    with looking(project) as store:
        layout, loaded, _ = _loaded(store, project, task, extra)
        types = {"entity": layout.columns} | {
            name if schema == "main" else f"{schema}.{name}": store.columns(f'warehouse."{schema}"."{name}"') for schema, name in relations(store).values()
        }
        loaded.n_tests_passed, problems = run_row_tests(project, task, loaded.lfs, layout, types)
        loaded.diagnostics += problems
        return loaded


def _loaded(store: Store, project: Project, task: Task, extra: Iterable) -> tuple[EntityLayout, LoadedLFs, FeatureInputs]:
    own = entity_layout(store, project, task)
    scope = lf_scope(store, task, own, relations(store))
    features = load_resources(store, project, own, scope)
    layout = with_resources(own, features.resources)
    loaded = load_lfs(store, project, task, layout, replace(scope, services=features.services.names), extra)
    loaded.diagnostics += features.diagnostics
    return layout, loaded, FeatureInputs(own, features)


@dataclass(frozen=True)
class FeatureInputs:
    """What features are made from: the layout of the modalities alone, and what features/ and resources/ declare."""

    own: EntityLayout
    loaded: LoadedResources

    def tables(self, store: Store, project: Project, task: Task, listen: Listener = silent) -> FeatureTables:
        """The features as tables."""
        return FeatureTables(store, project, task, self.own, self.loaded.resources, self.loaded.services, listen)


def _selected(options: RunOptions, loaded: LoadedLFs) -> set[str] | None:
    """The LFs asked for by name; None when all are meant. Raises ConfigError CFG116."""
    if not options.select:
        return None
    names = {lf.name for lf in loaded.lfs}
    wanted = {name.removesuffix("+").strip() for name in options.select}
    for name in sorted(wanted - names):
        raise ConfigError("CFG116", f'there is no healthy LF "{name}"', hint=did_you_mean(name, names) or "see `groundswell check`")
    return wanted


# -- planning -----------------------------------------------------------------------------------------------------------


def plan(project: Project, task: Task, options: RunOptions = RunOptions()) -> RunResult:
    """What a run would do and why; changes nothing."""
    with looking(project) as store:
        layout, loaded, features = _loaded(store, project, task, options.extra)
        result = RunResult(diagnostics=loaded.diagnostics)
        if layout.resources:
            layout, stale = features.tables(store, project, task).planned()
            result.steps.append(features_step(stale, layout))
        fingerprints = Fingerprints(store, project, task, layout, options)
        rebuilt = fingerprints.step("entity")
        result.steps += [rebuilt, fingerprints.step("gold_label")]
        show_entity(store, layout, task.name)
        coming = entity_changes(store, task, layout) if rebuilt.done else 0
        entity = f"({layout.query.sql('duckdb')})"
        votes = plan_votes(store, task, loaded.lfs, _selected(options, loaded), options.full, coming, entity)
        result.evaluations = votes.evaluations
        result.steps.append(Step("votes", not votes.nothing_to_do, votes.reason))
        remade = any(s.done for s in result.steps if s.output in ("entity", "gold_label"))
        result.steps.append(Step("feature", True, REASONS["feature"]) if remade else fingerprints.step("feature"))
        upstream = remade or not votes.nothing_to_do
        for output in ("vote_pattern", "label_model", "lf_summary"):
            result.steps.append(Step(output, True, REASONS[output]) if upstream else fingerprints.step(output))
            upstream = upstream or result.steps[-1].done
        return result


def features_step(stale: Mapping[str, str], layout: EntityLayout, seconds: float = 0.0) -> Step:
    """The step that builds features: which and why."""
    return Step("features", bool(stale), stale_line(stale, len(layout.resources)) if stale else UNCHANGED, seconds)


class Fingerprints:
    """What each output is built from now, to compare with what it was built from."""

    def __init__(self, store: Store, project: Project, task: Task, layout: EntityLayout, options: RunOptions):
        self.store, self.project, self.task, self.layout, self.options = store, project, task, layout, options
        self._source: str | None = None

    def now(self, output: str) -> str:
        """The fingerprint of an output's inputs as they are now."""
        return digest(*getattr(self, f"_{output}")())

    def step(self, output: str) -> Step:
        """Must it be built, and why?"""
        known = fingerprint_of(self.store, self.task.name, output)
        if known is None:
            return Step(output, True, "never built")
        if known != self.now(output):
            return Step(output, True, REASONS[output])
        return Step(output, True, "asked for") if self.options.full else Step(output, False, UNCHANGED)

    def _entity(self) -> list[str]:
        self._source = self._source or source_fingerprint(self.store, self.layout, self.task)
        return [self._source, self.project.timezone]

    def _gold_label(self) -> list[str]:
        return [gold_fingerprint(self.store, self.project, self.task, self.layout), *self.task.classes, self.now("entity")]

    def _feature(self) -> list[str]:
        return [str(fingerprint_of(self.store, self.task.name, output)) for output in ("entity", "gold_label")] + [CATALOGUE_VERSION] + [
            repr((r.name, r.kind, r.feature_set, r.servable, r.services, self.layout.built[r.name].versions, self.layout.built[r.name].failures)) for r in self.layout.resources
        ]

    def _vote_pattern(self) -> list[str]:
        return [str(fingerprint_of(self.store, self.task.name, output)) for output in BUILT_FROM["vote_pattern"]]

    def _label_model(self) -> list[str]:
        settings = json.dumps(dict(self.task.label_model), sort_keys=True, default=str)
        return [str(fingerprint_of(self.store, self.task.name, "vote_pattern")), settings, str(self.options.seed), __version__]

    def _lf_summary(self) -> list[str]:
        return [str(fingerprint_of(self.store, self.task.name, "label_model"))]


BUILT_FROM = {"feature": ("entity", "gold_label"), "vote_pattern": ("votes", "gold_label"), "label_model": ("vote_pattern",), "lf_summary": ("label_model",)}

REASONS = {
    "entity": "the source changed",
    "gold_label": "gold, classes or entities changed",
    "feature": "entities, gold or features changed",
    "vote_pattern": "votes or gold changed",
    "label_model": "patterns or options changed",
    "lf_summary": "the label model changed",
}


# -- running ------------------------------------------------------------------------------------------------------------


def run(project: Project, task: Task, options: RunOptions = RunOptions(), listen: Listener = silent) -> RunResult:
    """Do what `plan` says and publish.

    Raises LFError when LFs are wrong and keep_going is not asked for: nothing is published then, healthy votes are kept.
    """
    with writing(project, "run") as store:
        with recorded(store, "run", task.name) as record:
            job = _Job(store, project, task, options, listen, record)
            job.run()
        listen(Event("publish", f"publishing {project.published.name}"))
        publish(store, project.published)
        return job.result


def refresh(store: Store, project: Project, task: Task, record: RunRecord, listen: Listener = silent) -> tuple[EntityLayout, list[Diagnostic]]:
    """Entities and gold as a run would have them, for verbs beside it; what is wrong with features and LFs stops nothing."""
    job = _Job(store, project, task, RunOptions(keep_going=True), listen, record)
    layout, _ = job.entities()
    return layout, job.result.diagnostics


class _Job:
    """The steps of one run, in order; each is one transaction and notes what it was built from."""

    def __init__(self, store: Store, project: Project, task: Task, options: RunOptions, listen: Listener, record: RunRecord):
        self.store, self.project, self.task, self.options, self.listen, self.record = store, project, task, options, listen, record
        self.result = RunResult(record.run_id)

    def run(self) -> None:
        layout, loaded = self.entities()
        self._votes(layout, loaded)
        self._step("feature", lambda: write_catalogue(self.store, self.task, layout))
        self._step("vote_pattern", lambda: build_patterns(self.store, self.task))
        self._step("label_model", self._label_model)
        self._step("lf_summary", lambda: build_statistics(self.store, self.task))
        self._warn_about_votes()
        self._record_lfs()

    def entities(self) -> tuple[EntityLayout, LoadedLFs]:
        """The first steps: entities with their features, and gold."""
        layout, loaded, features = _loaded(self.store, self.project, self.task, self.options.extra)
        self.result.diagnostics += loaded.diagnostics
        self._stop_on_errors()
        if layout.resources:
            layout = self._features(features)
        self.prints = Fingerprints(self.store, self.project, self.task, layout, self.options)
        self._step("entity", lambda: build_entities(self.store, self.task, layout))
        self._step("gold_label", lambda: self._gold(layout))
        return layout, loaded

    def _step(self, output: str, build: Callable[[], object]) -> None:
        step = self.prints.step(output)
        started = time.perf_counter()
        if step.done:
            self.listen(Event(output, f"building {output}"))
            fingerprint = self.prints.now(output)
            build()
            remember(self.store, self.task.name, output, fingerprint)
            self._lineage(output)
        self.result.steps.append(replace(step, seconds=time.perf_counter() - started))

    def _stop_on_errors(self) -> None:
        if self.result.errors and not self.options.keep_going:
            raise LFError(self.result.diagnostics)

    def _features(self, features: FeatureInputs) -> EntityLayout:
        started = time.perf_counter()
        layout, stale, doubts = features.tables(self.store, self.project, self.task, self.listen).build(self.options.full)
        self.result.diagnostics += doubts
        self.result.steps.append(features_step(stale, layout, time.perf_counter() - started))
        return layout

    def _gold(self, layout: EntityLayout) -> None:
        self.result.diagnostics += build_gold(self.store, self.project, self.task, layout)

    def _votes(self, layout: EntityLayout, loaded: LoadedLFs) -> None:
        started = time.perf_counter()
        show_entity(self.store, layout, self.task.name)
        register_row_functions(self.store, loaded.lfs, layout)
        votes = plan_votes(self.store, self.task, loaded.lfs, _selected(self.options, loaded), self.options.full)
        self.result.evaluations = votes.evaluations
        if not votes.nothing_to_do:
            remember(self.store, self.task.name, "votes", digest(str(self.record.run_id)))  # first: a run killed below must not keep old patterns
            build_votes(self.store, self.task, layout, votes, self.project.lf_timeout, weigh_workers, self.listen)
            write_classes(self.store, self.task)
            for evaluation in votes.evaluations:
                self.result.diagnostics += [*([evaluation.error] if evaluation.error else []), *evaluation.warnings]
            self._lineage("votes")
        self.result.steps.append(Step("votes", not votes.nothing_to_do, votes.reason, time.perf_counter() - started))
        write_registry(self.store, self.task, registry_rows(votes.evaluations, loaded.errors))
        self._stop_on_errors()

    def _label_model(self) -> None:
        self.result.labelling = fit_labels(self.store, self.task, self.options.seed)
        for view in LABEL_VIEWS:
            self.store.create_view_from_file(self.task.name, view)
        for macro, arguments in MACROS.items():
            self.store.create_macro_from_file(self.task.name, macro, arguments)

    def _warn_about_votes(self) -> None:
        """LF201 an LF that votes on everything for one class, LF202 one that never votes."""
        schema = self.task.name
        for lf, coverage in self.store.rows(f'SELECT lf, coverage FROM "{schema}".lf_summary WHERE coverage = 0 OR coverage >= 1 AND len(polarity) < 2'):
            each = next(e.lf for e in self.result.evaluations if e.lf.name == lf)
            if coverage:
                problem = Diagnostic("LF201", "votes on every row", each.location, "a rule that always votes says nothing about a single row", lf)
            else:
                problem = Diagnostic("LF202", "never votes", each.location, "try its condition in a DuckDB shell: do its words occur?", lf)
            self.result.diagnostics.append(problem)

    def _record_lfs(self) -> None:
        counts = dict(self.store.rows(f'SELECT lf, n_votes FROM "{self.task.name}".lf_summary'))
        with self.store.transaction():
            for e in self.result.evaluations:
                self.record.lf(e.lf.name, e.fingerprint, e.reason, counts.get(e.lf.name), e.seconds, str(e.error) if e.error else None)

    def _lineage(self, output: str) -> None:
        """Note what an output was just built from."""
        self.record.lineage(f"{self.task.name}.{output}", self._inputs(output))
        for view in LABEL_VIEWS if output == "label_model" else ():
            self.record.lineage(f"{self.task.name}.{view}", self._inputs("lf_summary"))

    def _inputs(self, output: str) -> dict[str, str]:
        """Input -> what its content is known by."""
        name = self.task.name
        if output == "entity":
            return {f"warehouse.{self.project.modalities[m].relation}": self.prints.now("entity") for m in self.task.modalities}
        if output == "gold_label":
            source = {f"warehouse.{self.task.gold.relation}": self.prints.now("gold_label")} if self.task.gold else {}
            return source | {f"gold/{path.name}": self.prints.now("gold_label") for path in answer_files(self.project)}
        if output == "votes":
            lfs = {f"lf:{e.lf.name}": e.fingerprint for e in self.result.evaluations if not e.error}
            return lfs | {f"{name}.entity": self.prints.now("entity")}
        return {f"{name}.{source}": str(fingerprint_of(self.store, name, source)) for source in BUILT_FROM[output]}


def require_published(store: Store, task: Task, name: str) -> None:
    """Raise StoreError ST104 unless the published store has this relation of the task."""
    if not store.has_table(task.name, name):
        verb = "train" if name in ("predictions", "end_model") else "run"
        raise StoreError("ST104", f"the published store has no {task.name}.{name} yet", hint=f"run `groundswell {verb}` first")
