"""Labeling functions mined from labelled rows: suggested as tables, written to lfs/ when accepted (Suri et al. 2020, section 4.3)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

import pyarrow as pa

from .errors import Diagnostic, LFError, MiningError
from .lfs.header import read_statements
from .mining import Judged, MinedFeature, MinedLF, MiningOptions, Selection, count_features, cover, judge, mark_rows, minable, nearest_lfs, reach, sample_mined, select
from .mining.bounds import bounds_of
from .pipeline import refresh
from .state import recorded
from .store import Store, publish, writing
from .store.held_out import LEAST_GOLD
from .store.names import quoted, table_name
from .types import EntityLayout, Event, Listener, Project, Task, silent

DRIFT = 3.0
"""Ratio of coverage between modalities beyond which a mined LF is warned of."""
FREE_TEXT = 0.5
"""Share of distinct values from which a column is text, not a category."""
OPEN, WEAK, LEAK, ACCEPTED = "open", "weak", "leak", "accepted"


@dataclass
class Suggestions:
    """What mining found: rows of `lf_suggestion`, how bounds were used per class, and what a person should know."""

    rows: list[dict] = field(default_factory=list)
    selections: list[list[Selection]] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def suggest(project: Project, task: Task, options: MiningOptions = MiningOptions(), listen: Listener = silent) -> Suggestions:
    """Mine labeling functions from gold of the labelled modalities, judge them, publish `itemset`, `lf_suggestion` and `mining_trace`.

    Nothing votes before it is accepted. Raises MiningError: MN102 no gold to mine, MN103 nothing to mine in.
    """
    with writing(project, "suggest") as store:
        with recorded(store, "suggest", task.name) as record:
            layout, problems = refresh(store, project, task, record, listen)
            found = _Miner(store, project, task, options, listen).run(layout)
            found.diagnostics += [p for p in problems if p.code.startswith("FT")]
            record.lineage(f"{task.name}.lf_suggestion", {f"{task.name}.entity": str(layout.columns), f"{task.name}.gold_label": str(options)})
        publish(store, project.published)
        return found


class _Miner:
    """The steps of one search for labeling functions."""

    def __init__(self, store: Store, project: Project, task: Task, options: MiningOptions, listen: Listener):
        self.store, self.project, self.task, self.options, self.listen = store, project, task, options, listen
        self.found = Suggestions()

    def run(self, layout: EntityLayout) -> Suggestions:
        splits, modalities = self._labelled()
        features = self._features(layout, modalities)
        labelled = mark_rows(self.store, self.task.name, self.task.classes, splits, modalities)
        if (labelled.mined > 0).sum() < 2:
            raise MiningError("MN102", f"the {int(labelled.mined.sum())} labelled entities of {', '.join(modalities)} are of one class", hint="mining needs gold of two classes")
        counts = []
        frequent = _frequent(self.options, labelled.mined)
        for i, counted in enumerate(count_features(self.store, self.task.name, features, len(self.task.classes), self.options.order, frequent)):
            self.listen(Event("mine", f"counted the items of {counted.feature.name}", i, len(features)))
            counts.append(counted)
        self.listen(Event("mine", "choosing itemsets"))
        sample_mined(self.store, self.task.name, features)
        self.found.selections = select(
            counts, labelled, self.options,
            lambda feature, itemsets, y: cover(self.store, feature, itemsets, y), lambda lfs, y: reach(self.store, lfs, y),
        )  # fmt: skip
        self._judge(modalities)
        return self.found

    def _labelled(self) -> tuple[list[str], list[str]]:
        """The splits that are mined, and the modalities that have gold there. Raises MiningError MN102."""
        rows = self.store.rows(
            f"SELECT e.modality, e.split, count(*) FROM {table_name(self.task.name, 'entity')} AS e JOIN {table_name(self.task.name, 'gold_label')} USING (entity_id) "
            "WHERE e.split <> 'test' GROUP BY ALL ORDER BY ALL"
        )
        train = sum(n for _, split, n in rows if split == "train")
        splits = ["train"] if train >= LEAST_GOLD or all(split == "train" for _, split, _ in rows) else ["train", "dev"]
        per_modality = {m: sum(n for name, split, n in rows if name == m and split in splits) for m, _, _ in rows}
        modalities = [m for m, n in per_modality.items() if n >= max(per_modality.values()) / 10]
        if not modalities:
            raise MiningError("MN102", f'task "{self.task.name}" has no gold labels outside the test split', hint="name them in groundswell.toml: gold = { from = ..., key = ..., label = ... }")
        if "dev" in splits:
            self._warn("MN207", f"only {train} gold labels are in the train split: dev is mined too, so that it no longer judges mined LFs", "`suggest` itself holds out three of ten")
        return splits, modalities

    def _features(self, layout: EntityLayout, modalities: Sequence[str]) -> list[MinedFeature]:
        """Columns with items that the labelled modalities and another one have. Raises MiningError MN103."""
        wanted = [f for f in minable(layout.columns) if (not self.options.features or f.name in self.options.features) and f.name not in self.options.exclude]
        for name in (*self.options.features, *self.options.exclude):
            if name not in {f.name for f in minable(layout.columns)}:
                raise MiningError("MN103", f'"{name}" is not a column of entity that holds items', hint=f"known: {', '.join(f.name for f in minable(layout.columns))}")
        filled = self._filled(wanted)
        others = [m for m in self.task.modalities if m not in modalities]
        usable = [f for f in wanted if any(filled[m][f.name] for m in modalities) and (not others or any(filled.get(m, {}).get(f.name) for m in others))]
        texts = self._free_text(usable)
        if usable := [f for f in usable if f.name not in texts]:
            return usable
        reason = "no column holds items" if not wanted else f"no column that holds items has values in {', '.join(modalities)}" + (f" and in {', '.join(others)}" if others else "")
        raise MiningError("MN103", reason, hint="add features/*.sql that hold for every modality; columns of free text are not mined")

    def _filled(self, features: Sequence[MinedFeature]) -> dict[str, dict[str, bool]]:
        """modality -> feature -> has it any value?"""
        if not features:
            return {}
        asked = ", ".join(f"bool_or({quoted(f.name)} IS NOT NULL)" for f in features)
        rows = self.store.rows(f"SELECT modality, {asked} FROM {table_name(self.task.name, 'entity')} GROUP BY 1")
        return {modality: dict(zip((f.name for f in features), has)) for modality, *has in rows}

    def _free_text(self, features: Sequence[MinedFeature]) -> set[str]:
        """Categories of which at least half of the values in a sample are distinct."""
        categories = [f for f in features if f.kind == "category"]
        if not categories:
            return set()
        asked = ", ".join(f"count(DISTINCT {quoted(f.name)}) >= {FREE_TEXT} * count({quoted(f.name)}) AND count({quoted(f.name)}) >= 100" for f in categories)
        found = self.store.rows(f"SELECT {asked} FROM (FROM {table_name(self.task.name, 'entity')} USING SAMPLE reservoir(20000 ROWS) REPEATABLE (0))")[0]
        return {f.name for f, text in zip(categories, found) if text}

    def _judge(self, modalities: Sequence[str]) -> None:
        lfs = [lf for tried in self.found.selections for lf in tried[-1].lfs]
        self.listen(Event("judge", f"judging {len(lfs)} mined labeling functions on held-out gold"))
        judged = judge(self.store, self.task.name, lfs, len(self.task.classes), modalities)
        nearest = nearest_lfs(self.store, self.task.name, lfs, self.task.classes)
        path = suggested_path(self.project, self.task)
        written = path.read_text(encoding="utf-8") if path.is_file() else ""
        for i, (lf, each, near) in enumerate(zip(lfs, judged, nearest), start=1):
            self.found.rows.append(self._row(i, lf, each, near, written))
        for tried in self.found.selections:
            self._tell(tried)
        with self.store.transaction():
            self.store.create_from_arrow(self.task.name, "itemset", _itemset_table(lfs, self.task.classes))
            self.store.create_from_arrow(self.task.name, "lf_suggestion", pa.Table.from_pylist(self.found.rows, SUGGESTION))
            self.store.create_from_arrow(self.task.name, "mining_trace", _trace_table(self.found.selections, self.task.classes))

    def _row(self, number: int, lf: MinedLF, judged: Judged, nearest: str | None, written: str) -> dict:
        label = self.task.classes[lf.label]
        weak = not judged.lift > 1
        status = ACCEPTED if _query(lf.predicate) in written else LEAK if lf.leaks else WEAK if weak else OPEN
        if lf.leaks:
            self._warn("MN202", f"{lf.feature.name} tells {label} almost without error", "does it hold the label itself? leave it out with --exclude, or accept it by its number")
        ratio = judged.new_coverage / judged.coverage if judged.coverage else math.nan
        if ratio > DRIFT or ratio < 1 / DRIFT:
            self._warn("MN203", f"{lf.feature.name} -> {label} fires on {judged.coverage:.1%} of the labelled modality and {judged.new_coverage:.1%} of the others", "compare the feature in `groundswell features`")
        return {
            "suggestion_id": number, "label": label, "predicate": lf.predicate, "n_dev": judged.n_dev, "precision": _real(judged.precision),
            "wilson_lower": judged.wilson_lower, "recall": _real(judged.recall), "lift": _real(judged.lift), "coverage": _real(judged.coverage),
            "new_coverage": _real(judged.new_coverage), "nearest_lf": nearest, "status": status,
        }  # fmt: skip

    def _tell(self, tried: Sequence[Selection]) -> None:
        """What gave way for a class, and what to do where nothing was found."""
        last, label = tried[-1], self.task.classes[tried[-1].label]
        cut = ", ".join(f"{name} {n:,}" for name, n in tried[0].cut.items() if n)
        if not last.lfs:
            self._warn("MN201", f"no value of {last.candidates:,} tells {label} apart, even with relaxed bounds ({cut or 'nothing was counted'})", "add features, or write LFs for this class by hand")
        elif last.bounds.relaxed:
            self._warn("MN204", f"{label}: bounds were relaxed to {last.bounds.relaxed}, {last.reach:.0%} of the class is reached; the first ones cut {cut}", "set --min-precision, --min-recall or --min-support to keep a bound")

    def _warn(self, code: str, message: str, hint: str) -> None:
        self.found.diagnostics.append(Diagnostic(code, message, hint=hint))


SUGGESTION = pa.schema([
    ("suggestion_id", pa.int64()), ("label", pa.string()), ("predicate", pa.string()), ("n_dev", pa.int64()), ("precision", pa.float64()), ("wilson_lower", pa.float64()),
    ("recall", pa.float64()), ("lift", pa.float64()), ("coverage", pa.float64()), ("new_coverage", pa.float64()), ("nearest_lf", pa.string()), ("status", pa.string()),
])  # fmt: skip
ITEMSET = pa.schema([
    ("itemset_id", pa.int64()), ("label", pa.string()), ("feature", pa.string()), ("items", pa.list_(pa.string())), ("tp", pa.int64()), ("fp", pa.int64()),
    ("precision", pa.float64()), ("recall", pa.float64()), ("lift", pa.float64()), ("wilson_lower", pa.float64()),
])  # fmt: skip
TRACE = pa.schema([
    ("label", pa.string()), ("attempt", pa.int32()), ("min_support", pa.int64()), ("min_recall", pa.float64()), ("min_precision", pa.float64()), ("n_itemsets", pa.int64()),
    ("cut_by_support", pa.int64()), ("cut_by_recall", pa.int64()), ("cut_by_lift", pa.int64()), ("cut_by_precision", pa.int64()), ("n_lfs", pa.int64()), ("reach", pa.float64()),
])  # fmt: skip


def _real(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _itemset_table(lfs: Sequence[MinedLF], classes: Sequence[str]) -> pa.Table:
    found = [each for lf in lfs for each in lf.itemsets]
    return pa.Table.from_pylist([
        {
            "itemset_id": i, "label": classes[f.label], "feature": f.feature.name, "items": list(f.items), "tp": f.tp, "fp": f.fp, "precision": f.precision,
            "recall": f.recall, "lift": _real(f.lift), "wilson_lower": f.wilson_lower,
        }
        for i, f in enumerate(found, start=1)
    ], ITEMSET)  # fmt: skip


def _trace_table(selections: Sequence[Sequence[Selection]], classes: Sequence[str]) -> pa.Table:
    return pa.Table.from_pylist([
        {
            "label": classes[each.label], "attempt": i, "min_support": each.bounds.support, "min_recall": each.bounds.recall, "min_precision": each.bounds.precision,
            "n_itemsets": each.candidates, **{f"cut_by_{name}": n for name, n in each.cut.items()}, "n_lfs": len(each.lfs), "reach": each.reach,
        }
        for tried in selections for i, each in enumerate(tried, start=1)
    ], TRACE)  # fmt: skip


def _frequent(options: MiningOptions, mined) -> object:
    """Entities of each class in which an itemset must occur to be part of a larger one: its first bounds, int (K,)."""
    import numpy as np

    bounds = [bounds_of(options, n / max(mined.sum(), 1)) for n in mined]
    return np.array([max(b.support, math.ceil(b.recall * n), 1) for b, n in zip(bounds, mined)])


# -- accepting ----------------------------------------------------------------------------------------------------------


def suggested_path(project: Project, task: Task) -> Path:
    """The file accepted suggestions are written to."""
    folder = project.root / "lfs" / (task.name if len(project.tasks) > 1 else "")
    return folder / "suggested.sql"


def accept(project: Project, task: Task, ids: Sequence[int] | None) -> list[dict]:
    """Write suggestions as labeling functions to lfs/suggested.sql; None: all that are open. The rows accepted, with the LF's name.

    An LF of the same name in that file is replaced, every other line of it stays. Raises MiningError: MN104 no such suggestion,
    MN105 nothing was suggested yet.
    """
    with writing(project, "suggest") as store:
        if not store.has_table(task.name, "lf_suggestion"):
            raise MiningError("MN105", "nothing was suggested yet", hint="run `groundswell suggest` first")
        table = table_name(task.name, "lf_suggestion")
        rows = store.arrow(f"FROM {table} ORDER BY suggestion_id").to_pylist()
        known = {row["suggestion_id"] for row in rows}
        for number in ids or ():
            if number not in known:
                raise MiningError("MN104", f"there is no suggestion {number}", hint=f"numbers from 1 to {len(known)}: see `groundswell suggest`" if known else "nothing was found to suggest")
        chosen = [row for row in rows if (row["status"] == OPEN if ids is None else row["suggestion_id"] in ids)]
        named = _named(store, task, chosen)
        _write(suggested_path(project, task), project, named)
        if chosen:
            store.execute(f"UPDATE {table} SET status = '{ACCEPTED}' WHERE suggestion_id IN ({', '.join(str(row['suggestion_id']) for row in chosen)})")
        publish(store, project.published)
        return named


def _named(store: Store, task: Task, chosen: Sequence[dict]) -> list[dict]:
    """The rows with the name each LF gets: mined_<feature>_<label>, numbered where several would be alike."""
    features = store.rows(f"SELECT DISTINCT label, feature FROM {table_name(task.name, 'itemset')}")
    named, seen = [], {}
    for row in chosen:
        feature = max((f for label, f in features if label == row["label"] and _reads(row["predicate"], f)), key=len)
        base = re.sub(r"\W+", "_", f"mined_{feature}_{row['label']}").strip("_").lower()
        seen[base] = seen.get(base, 0) + 1
        named.append(row | {"lf": base if seen[base] == 1 else f"{base}_{seen[base]}"})
    return named


def _reads(predicate: str, feature: str) -> bool:
    from sqlglot import exp, parse_one

    return any(column.name == feature for column in parse_one(predicate, read="duckdb").find_all(exp.Column))


def _write(path: Path, project: Project, named: Sequence[dict]) -> None:
    if not named:
        return
    kept: list[str] = []
    if path.is_file():
        statements, wrong = read_statements(path, str(path.relative_to(project.root)))
        if wrong:
            raise LFError(wrong)
        kept = [s.text.rstrip() for s in statements if s.name not in {row["lf"] for row in named}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([*kept, *(_as_lf(row) for row in named)]) + "\n", encoding="utf-8")


def _as_lf(row: dict) -> str:
    measured = f"precision {row['precision']:.3f} (at least {row['wilson_lower']:.3f}) and recall {row['recall']:.3f} on held-out gold" if row["precision"] is not None else "never fired on held-out gold"
    return f"-- lf: {row['lf']} -> {row['label']}\n-- tags: mined, description: {measured}\n{_query(row['predicate'])}"


def _query(predicate: str) -> str:
    return f"FROM entity WHERE {predicate};"
