"""The nouns all rooms share: a project as configured, and a labeling function as loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Literal, Mapping

if TYPE_CHECKING:
    from sqlglot import exp

    from .errors import Location

RESERVED_COLUMNS = ("entity_id", "modality", "split", "event_time")
"""Columns of `entity` that groundswell writes; a source column of that name is carried as `<name>_`."""

RESOURCES = {"affinity_label": "affinity", "propagation_label": "propagate", "propagation_probability": "propagate"}
"""Relations of a task that LFs may read: entity_id, label and, where they are probabilities, p -> the verb that builds them."""

SPLITS = ("train", "dev", "test")

NUMBER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
"""What DuckDB's types of numbers begin with."""


@dataclass(frozen=True)
class Modality:
    """One kind of input: a warehouse relation and the column(s) that identify its rows."""

    name: str
    relation: str
    key: tuple[str, ...]
    event_time: str | None = None


@dataclass(frozen=True)
class GoldSource:
    """Where human labels come from: a warehouse relation, its key column(s) and its label column."""

    relation: str
    key: tuple[str, ...]
    label: str

    @property
    def sealed(self) -> tuple[str, ...]:
        """Columns that no LF, feature or model may read."""
        return (self.label,)


@dataclass(frozen=True)
class StudySource(GoldSource):
    """Labels that only studies see: to train supervised models on, and to judge by.

    optimum      a column with the best score there is, given servable features
    optimum_all  the same given all features
    """

    optimum: str | None = None
    optimum_all: str | None = None

    @property
    def sealed(self) -> tuple[str, ...]:
        return tuple(c for c in (self.label, self.optimum, self.optimum_all) if c)


@dataclass(frozen=True)
class SplitRule:
    """How rows are divided into train, dev and test.

    column   the source column that says so
    hash     percentages (train, dev, test) applied to a hash of the key; sum to 100
    before   earlier rows hash to train/dev 90:10, later ones are test
    """

    column: str | None = None
    hash: tuple[int, int, int] = (80, 10, 10)
    before: datetime | None = None


@dataclass(frozen=True)
class Task:
    """One prediction task: classes, gold, split, modalities and the two models."""

    name: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    gold: GoldSource | None = None
    split: SplitRule = SplitRule()
    label_model: Mapping[str, Any] = field(default_factory=lambda: {"method": "auto", "seed": 0})
    end_model: Mapping[str, Any] = field(default_factory=lambda: {"method": "logistic", "seed": 0})
    study: StudySource | None = None

    @property
    def answers(self) -> tuple[GoldSource, ...]:
        """Where the warehouse says the truth: nothing that makes labels may look there."""
        return tuple(source for source in (self.gold, self.study) if source)


@dataclass(frozen=True)
class Project:
    """A folder with groundswell.toml, validated."""

    root: Path
    name: str
    warehouse: str | None
    modalities: Mapping[str, Modality]
    tasks: Mapping[str, Task]
    timezone: str = "UTC"
    memory_limit: str = "2GB"
    lf_timeout: float = 600.0
    frames: Mapping[str, Any] = field(default_factory=dict)
    """Relations given in Python instead of a warehouse: name -> Arrow table, data frame or DuckDB/Ibis relation."""

    @property
    def published(self) -> Path:
        """The store readers open."""
        return self.root / "groundswell.duckdb"

    @property
    def state_dir(self) -> Path:
        """Working store, caches, artefacts, lock."""
        return self.root / ".groundswell"

    @property
    def work(self) -> Path:
        """The store a run writes."""
        return self.state_dir / "work.duckdb"


@dataclass(frozen=True)
class SourceLayout:
    """How the rows of one modality's relation stand in `entity`.

    columns  source column -> DuckDB type
    carried  source column, lower case -> its value as an expression over `entity`
    """

    modality: Modality
    schema: str
    relation: str
    columns: Mapping[str, str]
    carried: Mapping[str, exp.Expression]


@dataclass(frozen=True)
class Resource:
    """An organizational resource as a feature of entities.

    kind         service, aggregate or rule
    feature_set  the group it belongs to in ablations; None = none
    servable     may a deployed model read it?
    query        the SELECT as written: the key, and a column called like the feature
    type         DuckDB type of that column
    modalities   those it is declared for; None = nothing is said
    meaning      canonical text of what it computes: unchanged by white space, comments and case
    reads        (relation, column) pairs of the warehouse it may read; "*" = every column
    services     names of the services it calls
    volatile     reads the clock: always stale
    """

    name: str
    kind: str
    feature_set: str | None
    servable: bool
    query: str
    key: tuple[str, ...]
    type: str
    path: str
    line: int
    modalities: tuple[str, ...] | None = None
    meaning: str = ""
    reads: tuple[tuple[str, str], ...] = ()
    services: tuple[str, ...] = ()
    volatile: bool = False


@dataclass(frozen=True)
class BuiltFeature:
    """What is known of a feature that was built.

    content   a hash of its values
    versions  of the services it calls, in their order
    cost_ms   milliseconds a content takes, all its services together: measured, or else as declared; None = nobody knows
    failures  contents its services have no answer for
    """

    content: str
    versions: tuple[int, ...] = ()
    cost_ms: float | None = None
    failures: int = 0


@dataclass(frozen=True)
class EntityLayout:
    """The columns of `entity` and where they come from; known before `entity` is built.

    columns    column of `entity` -> DuckDB type
    query      the SELECT over the warehouse that builds it
    resources  features that are joined to the modalities' own columns
    built      feature -> what is known of it since it was built
    """

    key_type: str
    columns: Mapping[str, str]
    sources: tuple[SourceLayout, ...]
    query: exp.Expression
    resources: tuple[Resource, ...] = ()
    built: Mapping[str, BuiltFeature] = field(default_factory=dict)


LFKind = Literal["predicate", "relation", "python"]
Ballot = Literal["vote", "exclude", "soft"]


@dataclass(frozen=True)
class LabelingFunction:
    """A labeling function, parsed and checked, ready to be evaluated.

    kind        predicate: a row-local expression over one modality or `entity`; python: the same with a row function inside;
                relation: a query that returns keys (and labels)
    label       the class it votes for, or rules out; None when the query returns a column "label"
    ballot      vote: a class; exclude: a class that is ruled out ("-> !class"); soft: a class with a probability (column "p")
    expression  predicate, python: the boolean condition (label given) or the label expression; columns are those of `entity`
    query       relation: the SELECT as written
    modality    the modality whose rows a predicate sees; None: all rows of `entity`
    """

    name: str
    kind: LFKind
    label: str | None
    sql: str
    path: str | None = None
    line: int | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    """(relation, column) pairs it reads: what its content fingerprint covers."""
    labels: tuple[str, ...] | None = None
    """The classes it can vote for; None when it computes them."""
    modality: str | None = None
    expression: exp.Expression | None = None
    query: str | None = None
    key: tuple[str, ...] = ()
    functions: Mapping[str, RowFunction] = field(default_factory=dict)
    meaning: str = ""
    """Canonical text of what it computes: unchanged by white space, comments and case."""
    ballot: Ballot = "vote"
    crowd: bool = False
    """The query has a column "worker": answers of many people, weighed into one soft vote."""
    volatile: bool = False
    """Reads the clock: always stale."""
    location: Location | None = None


@dataclass(frozen=True)
class RowFunction:
    """A Python function over column values, called through an Arrow UDF: the last resort for an LF."""

    name: str
    function: Callable[..., Any]
    columns: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Event:
    """Progress: what is being done, how far it is, and a line for people."""

    step: str
    message: str
    done: int | None = None
    total: int | None = None


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener that shows nothing."""
