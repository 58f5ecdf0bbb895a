"""What people hold in their hands: a project opened in Python, with the verbs of the command line."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Sequence

import pyarrow as pa

from . import pipeline
from .errors import ConfigError, did_you_mean
from .lfs import LoadedLFs, PythonLF
from .lfs.statement import predicate_statement, relation_statement
from .project.config import load_project
from .store import Store, reading
from .store.arrow import as_table
from .types import GoldSource, Listener, Modality, Project, SplitRule, Task, silent

if TYPE_CHECKING:
    import ibis

    from .coding import Coding
    from .curating import Curation
    from .monitoring import Monitoring, MonitorReview
    from .propagating import Propagation
    from .reviewing import Review
    from .studies import StudyResult
    from .suggesting import Suggestions
    from .training import Training


def open_workspace(
    source: Any = ".",
    *,
    key: str | Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    gold: str | None = None,
    table: str | None = None,
    task: str | None = None,
    split: Mapping[str, Any] | None = None,
    label_model: Mapping[str, Any] | None = None,
) -> Workspace:
    """A workspace on a project folder, or on a data frame, Arrow table or DuckDB connection with `key` and `classes`.

    gold    the column that holds gold labels, where there is one
    table   for a connection: the table whose rows are labelled (default: its only one)
    task    for a project with several tasks: which one

    Work on a frame lives in a temporary folder for as long as the workspace does. Raises ConfigError.
    """
    if isinstance(source, (str, Path)) and key is None:
        project = load_project(source)
        return Workspace(project, pick_task(project, task))
    if key is None or classes is None:
        raise ConfigError("CFG118", "a frame needs key and classes", hint='gs.open(frame, key="id", classes=["no", "yes"])')
    frames, relation = _frames(source, table)
    home = tempfile.TemporaryDirectory(prefix="groundswell-")
    key_columns = (key,) if isinstance(key, str) else tuple(key)
    modality = Modality("rows", relation, key_columns)
    the_task = Task(
        task or "task", tuple(classes), ("rows",), GoldSource(relation, key_columns, gold) if gold else None,
        SplitRule(**(split or {})), {"method": "auto", "seed": 0} | dict(label_model or {}),
    )  # fmt: skip
    project = Project(Path(home.name), "frame", None, {"rows": modality}, {the_task.name: the_task}, frames=frames)
    workspace = Workspace(project, the_task)
    workspace._home = home
    return workspace


def _frames(source: Any, table: str | None) -> tuple[dict[str, Any], str]:
    """Relations to attach (name -> Arrow-readable frame), and which one holds the rows to label."""
    import duckdb

    if not isinstance(source, duckdb.DuckDBPyConnection):
        return {"rows": source.to_pyarrow() if hasattr(source, "to_pyarrow") else source}, "rows"
    names = [row[0] for row in source.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()]
    if table is None and len(names) != 1:
        raise ConfigError("CFG118", f"the connection has {len(names)} tables: say which one to label", hint=f"table=... one of {', '.join(names)}")
    if table is not None and table not in names:
        raise ConfigError("CFG108", f'there is no table "{table}" in the connection', hint=did_you_mean(table, names))
    return {name: as_table(source.table(name)) for name in names}, table or names[0]


def pick_task(project: Project, name: str | None) -> Task:
    """The task called `name`, or the only one. Raises ConfigError CFG119."""
    if name is None and len(project.tasks) == 1:
        return next(iter(project.tasks.values()))
    if name not in project.tasks:
        hint = did_you_mean(name, project.tasks) if name else None
        message = f'there is no task "{name}"' if name else "the project has several tasks"
        raise ConfigError("CFG119", message, hint=hint or f"--task {' or '.join(project.tasks)}")
    return project.tasks[name]


class Workspace:
    """One task of a project. Relations come back as Ibis tables on the published store."""

    def __init__(self, project: Project, task: Task):
        self.project, self.task = project, task
        self._home: tempfile.TemporaryDirectory | None = None
        self._declared: dict[str, Any] = {}
        self._reader: Store | None = None
        self._scoring = False

    # -- labeling functions ---------------------------------------------------------------------------------------------

    def lf(self, name: str, label: str, predicate: str, modality: str | None = None) -> None:
        """Declare an LF: rows for which the SQL condition holds get the label. Raises LFError for anything but one condition."""
        modality = modality or self.task.modalities[0]
        self._declared[name] = predicate_statement(name, label, predicate, self.project.modalities[modality].relation)

    def lf_relation(self, name: str, query: str, label: str | None = None) -> None:
        """Declare an LF by a SELECT that returns the key, and a column "label" unless `label` is given."""
        self._declared[name] = relation_statement(name, label, query)

    def add(self, function: PythonLF) -> None:
        """Declare an LF marked with `@gs.lf` in Python."""
        self._declared[function.name] = function

    # -- doing ----------------------------------------------------------------------------------------------------------

    def check(self) -> LoadedLFs:
        """Parse, bind and lint every LF; reads no data."""
        return pipeline.check(self.project, self.task, self._declared.values())

    def plan(self, *, select: Sequence[str] = (), full: bool = False) -> pipeline.RunResult:
        """What `run` would do and why; changes nothing."""
        return pipeline.plan(self.project, self.task, self._options(select, full))

    def run(
        self, *, select: Sequence[str] = (), full: bool = False, keep_going: bool = False, seed: int | None = None, listen: Listener = silent
    ) -> pipeline.RunResult:
        """Evaluate what changed, label, publish. Raises LFError when LFs are wrong, unless keep_going."""
        result = pipeline.run(self.project, self.task, self._options(select, full, keep_going, seed), listen)
        self._reader, self._scoring = None, False
        return result

    def _options(self, select: Sequence[str], full: bool, keep_going: bool = False, seed: int | None = None) -> pipeline.RunOptions:
        return pipeline.RunOptions(tuple(select), full, keep_going, seed, tuple(self._declared.values()))

    def train(
        self, method: str | None = None, *, fusion: str | None = None, seed: int | None = None, search: int | None = None, listen: Listener = silent
    ) -> Training:
        """Train an end model on the labels and predict every entity; search: so many draws of its options before."""
        from .training import train

        trained = train(self.project, self.task, method, seed, listen, fusion, search)
        self._reader, self._scoring = None, False
        return trained

    def affinity(self, *, listen: Listener = silent, **options: Any) -> Coding:
        """Affinity coding: labels without LFs, from images, vectors, texts or rows.

        options  those of `coding.CodingOptions` and `affinity.encoding.EncodingOptions`. Raises AffinityError.
        """
        from .coding import affinity, coding_options

        found = affinity(self.project, self.task, coding_options(options), listen)
        self._reader, self._scoring = None, False
        return found

    def suggest(self, *, listen: Listener = silent, **options: Any) -> Suggestions:
        """Mine labeling functions from gold; see `mining.MiningOptions`. Nothing votes before it is accepted."""
        from .mining import mining_options
        from .suggesting import suggest

        found = suggest(self.project, self.task, mining_options(options), listen)
        self._reader, self._scoring = None, False
        return found

    def accept(self, ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Write suggestions to lfs/suggested.sql: those numbers, or all that are open. The accepted rows, with the LF's name."""
        from .suggesting import accept

        named = accept(self.project, self.task, ids)
        self._reader, self._scoring = None, False
        return named

    def curate(self, *, propagation: Mapping[str, Any] | None = {}, listen: Listener = silent, **options: Any) -> Curation:
        """Mine, accept, propagate, run, and measure what each part added; options of `suggest`, and of `propagate` (None: without it)."""
        from .curating import CurationOptions, curate
        from .mining import mining_options
        from .propagation.options import propagation_options

        spread = None if propagation is None else propagation_options(propagation)
        done = curate(self.project, self.task, CurationOptions(mining_options(options), spread), listen)
        self._reader, self._scoring = None, False
        return done

    @property
    def suggested_path(self) -> Path:
        """The file accepted suggestions are written to."""
        from .suggesting import suggested_path

        return suggested_path(self.project, self.task)

    def propagate(self, *, listen: Listener = silent, **options: Any) -> Propagation:
        """Label propagation: gold labels of train spread to rows like them.

        options  those of `propagation.options.PropagationOptions`. Raises PropagationError.
        """
        from .propagating import propagate
        from .propagation.options import propagation_options

        found = propagate(self.project, self.task, propagation_options(options), listen)
        self._reader, self._scoring = None, False
        return found

    def affinity_study(self, seeds: Sequence[int] = (0, 1, 2), *, listen: Listener = silent, **options: Any) -> pa.Table:
        """The table of the affinity paper for this task: rules and affinities, each with either kind of model; see `coding_study`."""
        from .coding import coding_options
        from .coding_study import affinity_study

        rows = affinity_study(self.project, self.task, coding_options(options), seeds, listen)
        self._reader, self._scoring = None, False
        return pa.Table.from_pylist(rows)

    def study(self, name: str, *, listen: Listener = silent, **options: Any) -> StudyResult:
        """One of the paper's studies: end-to-end, crossover, factors, lesion, fusion, curation; see `studies.StudyOptions`."""
        from .studies import StudyOptions, study

        found = study(self.project, self.task, name, StudyOptions(**options), listen)
        self._reader, self._scoring = None, False
        return found

    def clusters(self, name: str) -> pa.Table:
        """The clusters of an affinity coding: cluster, label, size, the most typical entities."""
        from .coding_map import cluster_sizes

        with closing(reading(self.project)) as store:
            return cluster_sizes(store, self.task, name)

    def review(self, strategy: str = "maxkl", annotator: str = "me", seed: int = 0, *, n: int = 20, against: str = "label") -> Review | MonitorReview:
        """A session of questions to people; see `reviewing.Review`. Raises ConfigError CFG124.

        strategy "monitor" draws about n rows to judge the end model by; see `monitoring.MonitorReview`.
        """
        from .monitoring import MonitorReview
        from .reviewing import MONITOR, Review

        if strategy == MONITOR:
            return MonitorReview(self.store, self.project, self.task, n, annotator, against)
        return Review(self.store, self.project, self.task, strategy, annotator, seed)

    def monitor(self, *, listen: Listener = silent) -> Monitoring:
        """Live metrics of the end model from the rows that were drawn and reviewed; see `monitoring.monitor`."""
        from .monitoring import monitor

        found = monitor(self.project, self.task, listen)
        self._reader, self._scoring = None, False
        return found

    # -- looking --------------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The published store, read-only."""
        if self._reader is None:
            self._reader = reading(self.project)
            self.require("lf_summary")
        return self._reader

    def require(self, name: str) -> None:
        """Raise StoreError ST104 unless the task has this relation in the published store."""
        pipeline.require_published(self._reader, self.task, name)

    def table(self, name: str) -> ibis.Table:
        """A relation of the task as an Ibis table."""
        store = self.store
        self.require(name)
        return store.ibis.table(name, database=("store", self.task.name))

    def sql(self, query: str) -> pa.Table:
        """The result of a query on the published store, in which the end model is predict_<task>(features...), and every affinity
        function is affinity_<name>(vector, vectors)."""
        if not self._scoring:
            from .training import register_prediction

            register_prediction(self.store, self.project, self.task)
            self._scoring = True
        if "affinity_" in query.casefold():
            from .affinity.declared import register_affinities

            register_affinities(self.store, self.project)
        return self.store.arrow(query)

    def summary(self) -> ibis.Table:
        """`lf_summary`: one row per LF."""
        return self.table("lf_summary")

    def pairs(self) -> ibis.Table:
        """`lf_pair`: one row per pair of LFs."""
        return self.table("lf_pair")

    def coverage(self) -> ibis.Table:
        """`coverage`: one row per split and modality."""
        return self.table("coverage")

    def votes(self) -> ibis.Table:
        """`votes`: one row per vote."""
        return self.table("votes")

    def predictions(self) -> ibis.Table:
        """`predictions` of the newest end model."""
        return self.table("predictions")

    def labels(self) -> ibis.Table:
        """`training_set` with p, the confidence of the label: one row per covered entity."""
        training_set = self.table("training_set")
        return training_set.mutate(p=training_set.confidence)

    def features(self) -> pa.Table:
        """The feature catalogue: one row per feature and modality, declared features first."""
        return self.store.file("feature_catalogue", "gs")

    def show(self, lf: str, *, wrong: bool = False, right: bool = False, conflicts: str | None = None, uncovered: bool = False, n: int = 10) -> pa.Table:
        """Entities an LF votes on (all, wrong or right by gold, in conflict with another), or that nobody covers; deterministic."""
        if uncovered:
            return self.store.file("show_uncovered", self.task.name, n=n)
        for name in (lf, *([conflicts] if conflicts else [])):
            self._require_lf(name)
        if conflicts:
            return self.store.file("show_conflicts", self.task.name, a=lf, b=conflicts, n=n)
        which = "wrong" if wrong else "right" if right else "all"
        return self.store.file("show_lf", self.task.name, lf=lf, which=which, n=n)

    def _require_lf(self, name: str) -> None:
        known = [lf for (lf,) in self.store.rows(f'SELECT lf FROM "{self.task.name}".lf ORDER BY lf')]
        if name not in known:
            raise ConfigError("CFG116", f'there is no LF "{name}"', hint=did_you_mean(name, known) or f"known: {', '.join(known[:12])}")

    def explain(self, key: Any) -> pa.Table:
        """Evidence for the label of one entity: source, vote, evidence, largest first. Raises ConfigError CFG120."""
        entity = self.entity(key)
        return self.store.arrow(f'FROM "{self.task.name}".explain_label($id)', {"id": entity["entity_id"]})

    def entity(self, key: Any) -> dict[str, Any]:
        """Everything known about one entity. Raises ConfigError CFG120 when there is none with this key."""
        found = self.store.file("explained_entity", self.task.name, key=str(key)).to_pylist()
        if not found:
            raise ConfigError("CFG120", f'no entity has the key "{key}"', hint=f'keys look like {self._example_key()}')
        return found[0]

    def _example_key(self) -> str:
        return str(self.store.value(f'SELECT entity_id FROM "{self.task.name}".entity ORDER BY 1 LIMIT 1'))

    def report(self, path: str | Path = "report.html", redact: bool = False) -> Path:
        """Write the offline HTML report; redact hides the texts of entities."""
        from .report import build_report

        target = Path(path)
        target.write_text(build_report(self.store, self.task, redact), encoding="utf-8")
        return target

    def label_sql(self, dialect: str = "duckdb") -> str:
        """The fitted label model as the body of a view that labels new rows in the warehouse; see `export_sql.label_sql`."""
        from .export_sql import label_sql

        return label_sql(self.project, self.task, dialect, self._declared.values())

    def close(self) -> None:
        """Close the reader and forget temporary files."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._home is not None:
            self._home.cleanup()
            self._home = None

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
