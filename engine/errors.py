"""One tree of errors with stable codes, positions and next steps.

Every problem a person can cause is a `Diagnostic`: a code, one sentence, where it is, and what to do next. Errors that stop
the work carry one or several diagnostics; warnings are the same objects with severity "warning".
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Iterable

CODES: dict[str, str] = {
    # configuration and usage
    "CFG101": "there is no groundswell.toml here",
    "CFG102": "groundswell.toml is not valid TOML",
    "CFG103": "groundswell.toml has a key nobody knows: a typing error, mostly",
    "CFG104": "a value in groundswell.toml is of the wrong type",
    "CFG105": "groundswell.toml lacks a block or a key that is needed",
    "CFG106": "a value in groundswell.toml cannot be",
    "CFG107": "this kind of warehouse cannot be read yet",
    "CFG108": "the warehouse has no relation of that name",
    "CFG109": "a relation lacks a column the configuration names",
    "CFG110": "some rows have no key",
    "CFG111": "a key stands on several rows",
    "CFG112": "the split column holds something other than train, dev and test",
    "CFG113": "a gold label is not one of the classes",
    "CFG114": "an entity has two gold labels",
    "CFG115": "a file of answers in gold/ cannot be read",
    "CFG116": "there is no labeling function of that name",
    "CFG117": "fit_on or gold of the label model names a split or kind of gold that does not exist",
    "CFG118": "a frame or connection needs to be told what to label",
    "CFG119": "say which task is meant",
    "CFG120": "no entity has that key",
    "CFG121": "the folder is in use already: nothing is overwritten",
    "CFG122": "a new project needs to know its classes",
    "CFG123": "a file cannot be read or written in that format",
    "CFG124": "there is no review strategy of this name",
    "CFG125": "there is no SQL dialect of this name for label models",
    "CFG201": "some gold labels are for keys that no modality has",
    # labeling functions: 1xx errors, 2xx warnings
    "LF101": "syntax error",
    "LF102": "a column does not exist",
    "LF103": "an LF is one SELECT; this is something else",
    "LF104": "no statement under a header, or several",
    "LF105": "the warehouse has no such relation, and LFs read nothing else",
    "LF106": "LFs may not read files, settings or the environment",
    "LF107": "LFs may not read gold labels: they are judged by them",
    "LF108": "an LF votes for something that is not a class",
    "LF109": "a header is missing, incomplete or used twice",
    "LF110": "the result of an LF lacks its key or label, or has the key twice",
    "LF111": "an LF gives one key two labels",
    "LF113": "DuckDB cannot make sense of the statement",
    "LF114": "an aggregate stands where a condition on one row is meant",
    "LF115": "the LF would give other votes each time it runs",
    "LF116": "an LF fails on some row",
    "LF117": "an LF ran longer than lf_timeout and was interrupted",
    "LF118": "a function does not exist",
    "LF119": "probabilities of a soft vote are outside [0, 1], or sum to more than one",
    "LF120": "a file is not UTF-8",
    "LF121": "a Python file in lfs/ does not import or compile",
    "LF122": "the name cannot be used for an LF",
    "LF123": "a row test failed, or cannot be read",
    "LF124": "a predicate given in Python is not exactly one condition",
    "LF125": "the dialect is unknown, or cannot say this in DuckDB",
    "LF126": "a row function in Python has no form in SQL",
    "LF127": "another warehouse would read an LF differently",
    "LF201": "an LF votes on every row, which tells rows apart no more than silence",
    "LF202": "an LF never votes",
    "LF203": "an LF was translated from another dialect: compare its votes",
    "LF204": "an LF reads the clock, so it is evaluated on every run",
    "LF205": "an LF votes on keys that are no entity",
    "LF206": "an LF votes on rows without a key",
    "LF208": "two LFs say the same and count as evidence twice",
    "LF209": "a header option nobody knows is ignored",
    "LF211": "the condition of an LF reads no column",
    "LF212": "an ELSE makes an LF vote on every row",
    "LF213": "LIMIT without ORDER BY may keep other rows each time",
    # store and warehouse
    "ST101": "another process is writing the store",
    "ST102": "the warehouse is locked by its owner",
    "ST103": "the store or the warehouse is missing or unreadable",
    "ST104": "what was asked for is not published yet",
    "ST105": "the store is of another version, or not a groundswell store",
    "ST106": "the disk is full",
    "ST107": "out of memory",
    # label models: 1xx errors, 2xx warnings
    "LM101": "vote patterns have the wrong shape or type",
    "LM102": "a vote is not the index of a class",
    "LM103": "a pattern's count is below 1",
    "LM104": "an LF or class name stands twice",
    "LM105": "unknown label model",
    "LM106": "unknown option of a label model",
    "LM107": "a label model's option has a value it cannot have",
    "LM108": "class balance does not fit the classes",
    "LM109": "the label model is not fitted",
    "LM110": "prediction with other LFs or classes than in the fit",
    "LM111": "gold does not fit the votes",
    "LM112": "fewer than two classes",
    "LM113": "a task graph, or what labels it, contradicts itself",
    "LM121": "the votes are not a table a label model can read",
    "LM122": "a key of the votes is NULL",
    "LM123": "a key stands twice in a wide vote table",
    "LM124": "an LF votes two labels for one key",
    "LM125": "a label is not one of the classes",
    "LM126": "-1 in an integer vote table without saying abstain=-1",
    "LM127": "vote columns of different types",
    "LM128": "LFs or classes are not those the label model was fitted on",
    "LM129": "a label model has weights that SQL cannot hold",
    "LM201": "fewer than three LFs vote",
    "LM202": "no two LFs vote on the same entity",
    "LM203": "an LF is estimated worse than chance",
    "LM204": "no LF votes for a class",
    "LM205": "no LF votes at all",
    "LM206": "many labels differ from majority vote",
    "LM207": "the label model lost a class",
    "LM208": "near-duplicate LFs",
    "LM209": "few votes to learn an LF from",
    "LM210": "the fit did not converge",
    "LM211": "an LF never votes",
    "LM212": "gold was given to a label model that does not use it",
    "LM213": "another label model stands in",
    "LM214": "LFs that repeat each other count less",
    "LM215": "LFs that repeat each other count in full",
    "LM216": "a dependency that no entity shows is left out",
    "LM217": "a weight reached its limit",
    "LM218": "the class balance is assumed, not estimated",
    "LM219": "weights come from sampling, with the Monte-Carlo error shown",
    "LM220": "second moments do not identify three classes and more",
    "LM221": "accuracies were kept at chance or better",
    "LM222": "the covariance of the votes is singular",
    "LM223": "a model for two classes was used one class against the rest",
    "LM224": "an LF has no usable triplet",
    "LM225": "a dependency is judged from few common votes",
    "LM226": "no pair of LFs stands out as dependent",
    "LM227": "votes that contradict the task graph count as abstentions",
    "LM228": "no LF speaks for a combination of labels",
    # affinity coding: 1xx errors, 2xx warnings
    "AF101": "torchvision is not installed",
    "AF102": "there is no network of that name",
    "AF103": "a layer does not exist or gives no spatial map",
    "AF104": "the weights of a network cannot be read or do not fit",
    "AF105": "what affinities are to be computed from is not there",
    "AF106": "fewer rows than classes, or no class to tell apart",
    "AF107": "all rows look the same",
    "AF108": "no such inference method, or an option it does not take",
    "AF109": "there is no affinity function of that name",
    "AF110": "vectors are missing, of different lengths or not numbers",
    "AF111": "gold/affinity_map.csv cannot be read or does not fit",
    "AF112": "affinities are not computed yet",
    "AF113": "the method needs gold labels",
    "AF201": "images that cannot be decoded get no label",
    "AF202": "a network has random weights",
    "AF203": "rows whose vectors hold NaN or infinity get no label",
    "AF204": "images are tiny, grey or repeated",
    "AF205": "clusters have no class names yet",
    "AF206": "few gold labels say which cluster is which class",
    "AF207": "a cluster is empty, or almost",
    "AF208": "class inference did not converge",
    "AF209": "other seeds give other clusters",
    "AF210": "affinities lie outside [0, 1]",
    "AF211": "prototypes are a sample",
    "AF212": "the confidence of a method is not calibrated",
    # label propagation: 1xx errors, 2xx warnings
    "PR101": "no gold label in the train split: nothing to propagate",
    "PR102": "all seeds are of one class",
    "PR103": "rows have no feature in common that says how alike they are",
    "PR104": "no such option of propagation, or a value it cannot have",
    "PR105": "an edge has a negative weight, or none",
    "PR106": "fewer than two rows",
    "PR201": "fewer of the true nearest neighbours were found than aimed at",
    "PR202": "the threshold of a class misses the target precision",
    "PR203": "vectors or numbers that cannot be compared count as missing",
    "PR204": "features with one value only are left out",
    "PR205": "rows that no seed reaches get no label",
    "PR206": "parts of the graph have seeds of one class only",
    "PR207": "propagation ended before scores stood still",
    "PR208": "columns that are no features of propagation",
    "PR209": "a class has too few seeds to start from, or to tune its threshold on",
    "PR210": "a modality has no feature in common with another",
    # studies: 1xx errors, 2xx warnings
    "SY101": "there is no study of this name",
    "SY102": "a study needs labels first",
    "SY103": "a study needs a labelled modality, one nobody labelled, and features both have",
    "SY104": "no test row of the new modality has a known class",
    "SY201": "no hand labels for a supervised model: nothing is relative to one",
    # mined labeling functions: 1xx errors, 2xx warnings
    "MN101": "an option of mining does not exist, or has a value it cannot have",
    "MN102": "there is no gold to mine, or of one class only",
    "MN103": "no column of entity holds items to mine",
    "MN104": "there is no suggestion of that number",
    "MN105": "nothing was suggested yet",
    "MN106": "curation found nothing to label by",
    "MN201": "no value tells a class apart",
    "MN202": "a feature tells a class almost without error: it may hold the label",
    "MN203": "a mined LF fires far more often in one modality than in another",
    "MN204": "bounds were relaxed for a class",
    "MN207": "dev is mined too, because train has little gold",
    # features: 1xx errors, 2xx warnings
    "FT101": "the header of a feature is wrong",
    "FT102": "the result of a feature lacks its key, or has it twice",
    "FT103": "the result of a feature has no column of its name",
    "FT104": "two features, or a feature and a column, have one name",
    "FT105": "a feature has several rows for one entity",
    "FT106": "a feature reads entity, which is made of features",
    "FT107": "a file in resources/ does not import",
    "FT108": "a service cannot be as it is declared",
    "FT109": "a service is called with other arguments than it takes",
    "FT110": "a service returned something else than one value of its type per row",
    "FT111": "a service is called where its arguments cannot be collected",
    "FT112": "a service gives other answers for the same rows",
    "FT113": "a service cannot be fitted",
    "FT114": "a service fails on everything",
    "FT115": "a labeling function calls a service",
    "FT201": "a service has no answer for some contents",
    "FT202": "rows of a feature have no key",
    "FT203": "rows of a feature are for keys that are no entity",
    "FT204": "a feature has no value in a modality",
    "FT205": "vectors with NaN or infinity are NULL",
    # end models: 1xx errors, 2xx warnings
    "LM230": "LFs that repeat each other are read together",
    "EM101": "the training or dev batches hold no rows",
    "EM102": "all probability lies on one class, so there is nothing to learn",
    "EM103": "p is not a distribution over the classes",
    "EM104": "a numeric feature is infinite",
    "EM105": "a feature column is missing from the data",
    "EM106": "no end model has this name",
    "EM107": "an end-model option is unknown or out of range",
    "EM108": "an end-model artefact was changed after it was saved",
    "EM109": "an end-model artefact belongs to other features or classes",
    "EM110": "the end model is not fitted yet",
    "EM111": "the training data changed between two passes",
    "EM112": "a categorical feature has too many distinct values",
    "EM113": "a column's type does not suit its feature kind",
    "EM114": "training diverged: the loss is not a finite number",
    "EM115": "a row weight is missing, negative or infinite",
    "EM116": "an end-model artefact is missing or unreadable",
    "EM117": "no usable feature",
    "EM118": "there are no labels to train on yet",
    "EM119": "no end model is trained yet",
    "EM120": "an end model cannot be written in that format",
    "EM121": "a package that writes that format is not installed",
    "EM122": "the device has no memory for a single row",
    "EM123": "an end model was asked to read a feature that is not servable",
    "EM124": "modalities cannot be fused like this",
    "EM201": "a feature has one value only and carries no information",
    "EM202": "a column is not used as a feature",
    "EM203": "no dev batches: early stopping is off",
    "EM204": "a checkpoint of another run was not used",
    "EM205": "training stopped at the epoch limit while the dev loss was still falling",
    "EM206": "the device ran out of memory: the batch was halved",
    "EM207": "boosted trees read a part of the training rows",
    "EM208": "a modality has no labelled row: fusion goes without it",
    "EM209": "the views of two modalities say the same: early fusion stands in for late",
}
"""Stable code -> what it means, in one line; printed by `groundswell doctor --codes`."""


@dataclass(frozen=True)
class Location:
    """A place in a user's file. line and column count from 1; length is the number of characters under the caret."""

    path: str
    line: int
    column: int = 1
    length: int = 1
    source: str | None = None
    """The text of that line, shown above the caret; read from the file when absent."""


@dataclass(frozen=True)
class Diagnostic:
    """One problem: stable code, one sentence, where, and the next step."""

    code: str
    message: str
    location: Location | None = None
    hint: str | None = None
    lf: str | None = None

    @property
    def severity(self) -> str:
        """"warning" for the 2xx range of a code family, "error" otherwise."""
        return "warning" if self.code.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ").startswith("2") else "error"

    def as_row(self) -> dict[str, object]:
        """The object that `check --format json` prints: code, severity, file, line, column, lf, message, hint."""
        at = self.location
        return {
            "code": self.code,
            "severity": self.severity,
            "file": at and at.path,
            "line": at and at.line,
            "column": at and at.column,
            "lf": self.lf,
            "message": self.message,
            "hint": self.hint,
        }

    def __str__(self) -> str:
        lines = [f"{self.severity}[{self.code}]: {self.message}"]
        if self.location:
            lines += _pointed(self.location, self.hint)
        elif self.hint:
            lines.append(f"  = {self.hint}")
        return "\n".join(lines)


def _pointed(at: Location, hint: str | None) -> list[str]:
    source = at.source if at.source is not None else _line_of(at)
    gutter = " " * len(str(at.line))
    lines = [f"{gutter} --> {at.path}:{at.line}:{at.column}"]
    if source is None:
        return lines + ([f"{gutter}  = {hint}"] if hint else [])
    pad = "".join("\t" if c == "\t" else " " for c in source[: at.column - 1])
    carets = "^" * max(1, min(at.length, len(source) - at.column + 1))
    return lines + [
        f"{gutter} |",
        f"{at.line} | {source}",
        f"{gutter} | {pad}{carets}" + (f" {hint}" if hint else ""),
    ]


def _line_of(at: Location) -> str | None:
    try:
        lines = Path(at.path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return lines[at.line - 1] if 0 < at.line <= len(lines) else None


class GroundswellError(Exception):
    """Base of all errors a user can cause or must act on. `exit_code` is what the command line returns."""

    exit_code = 2

    def __init__(self, code: str, message: str, *, hint: str | None = None, location: Location | None = None):
        self.diagnostics: list[Diagnostic] = [Diagnostic(code, message, location, hint)]
        super().__init__(message)

    @property
    def code(self) -> str:
        return self.diagnostics[0].code

    def __str__(self) -> str:
        return "\n\n".join(str(d) for d in self.diagnostics)


class ConfigError(GroundswellError):
    """groundswell.toml, flags or arguments are wrong (codes CFG...)."""


class StoreError(GroundswellError):
    """The store or the warehouse is locked, missing, full, or of another version (codes ST...)."""

    exit_code = 3


class LFError(GroundswellError):
    """Labeling functions are wrong (codes LF1xx); carries all diagnostics of the run."""

    exit_code = 1

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        found = list(diagnostics)
        Exception.__init__(self, found[0].message)
        self.diagnostics = found


class LabelModelError(GroundswellError):
    """Votes or options a label model cannot use (codes LM...)."""


class EndModelError(GroundswellError):
    """Data, options or artefacts an end model cannot use (codes EM...)."""


class AffinityError(GroundswellError):
    """Images, vectors, networks or options that affinity coding or an image service cannot use (codes AF...)."""


class MiningError(GroundswellError):
    """Gold, features or options that labeling functions cannot be mined from (codes MN...)."""


class PropagationError(GroundswellError):
    """Seeds, features, weights or options that label propagation cannot use (codes PR...)."""


class StudyError(GroundswellError):
    """A study that the task has not the labels, modalities or features for (codes SY...)."""


class GroundswellWarning(UserWarning):
    """A warning with a code, raised through `warnings` where there is no console to print a diagnostic to."""


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """'did you mean "x"?' for the nearest candidate, None when nothing is near."""
    by_fold = {c.casefold(): c for c in candidates}
    near = get_close_matches(word.casefold(), list(by_fold), n=1, cutoff=0.6)
    return f'did you mean "{by_fold[near[0]]}"?' if near else None
