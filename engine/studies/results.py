"""What came of a study: rows of the table `study`, and what they say together (Suri et al. 2020, section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Sequence

import numpy as np
import pyarrow as pa

from ..errors import Diagnostic
from ..store import Store
from ..store.names import table_name
from .arms import BASELINE, CROSS_MODAL
from .crossing import crossing

ALL_FEATURES = " (all features)"
"""Behind the name of an arm whose model also reads features that are not servable."""
OPTIMUM = "optimum"
KINDS = {"metric": pa.string(), "value": pa.float64(), "low": pa.float64(), "high": pa.float64(), "n_rows": pa.int64()}


@dataclass
class StudyResult:
    """Rows of `study` (arm, seed, metric, value, low, high, n_rows), how many arms were kept from before, what a person should know."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    kept: int = 0
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def summary(self) -> list[dict[str, Any]]:
        """One dict per arm: mean over seeds of each metric, with its 95 % t-interval for average precision."""
        arms = dict.fromkeys(row["arm"] for row in self.rows)
        return [_summarised(arm, [row for row in self.rows if row["arm"] == arm]) for arm in arms]


class StudyRows:
    """The rows of one study in the task's table `study`."""

    def __init__(self, store: Store, task: str, study: str):
        self.store, self.task, self.study, self.table = store, task, study, table_name(task, "study")

    def write(self, arm: str, seed: int, rows: Sequence[dict[str, Any]]) -> None:
        """Replace the metrics of one arm and seed; rows hold metric and value, and optionally low, high, n_rows."""
        asked = {"s": self.study, "a": arm, "d": seed, "m": [row["metric"] for row in rows]}
        self.store.execute(f"DELETE FROM {self.table} WHERE study = $s AND arm = $a AND seed = $d AND list_contains($m, metric)", asked)
        named = {"study": [self.study] * len(rows), "arm": [arm] * len(rows), "seed": pa.array([seed] * len(rows), pa.int64())}
        self.store.append_arrow(self.task, "study", pa.table(named | {k: pa.array([row.get(k) for row in rows], kind) for k, kind in KINDS.items()}))

    def forget_others(self, arms: Iterable[str], seeds: Sequence[int]) -> None:
        """Delete what belongs to other arms or seeds."""
        kept = {"s": self.study, "arms": sorted(arms), "seeds": list(seeds)}
        self.store.execute(f"DELETE FROM {self.table} WHERE study = $s AND NOT (list_contains($arms, arm) AND list_contains($seeds, seed))", kept)

    def average_precision(self) -> dict[tuple[str, int], float | None]:
        """(arm, seed) -> value."""
        rows = self.store.rows(f"SELECT arm, seed, value FROM {self.table} WHERE study = $s AND metric = 'average_precision'", {"s": self.study})
        return {(arm, seed): value for arm, seed, value in rows}

    def write_relative(self) -> None:
        """relative_average_precision: every arm against the supervised baseline of the same seed, where there is one."""
        found = self.average_precision()
        for (arm, seed), value in found.items():
            base = found.get((BASELINE, seed))
            if base:
                self.write(arm, seed, [{"metric": "relative_average_precision", "value": value / base if value is not None else None}])

    def write_crossings(self) -> None:
        """crossover: the hand labels at which each seed's learning curve reaches the cross-modal model (Figure 5)."""
        found = self.average_precision()
        for arm, seed in [key for key in found if key[0].removesuffix(ALL_FEATURES) == CROSS_MODAL and found[key] is not None]:
            suffix = arm.removeprefix(CROSS_MODAL)
            curve = sorted((int(a.split()[1]), v) for (a, s), v in found.items() if s == seed and a.startswith("supervised ") and a == f"supervised {a.split()[1]}{suffix}")
            if len(curve) > 1:
                crossed = crossing(*zip(*curve), found[arm, seed])
                self.write(arm, seed, [{"metric": "crossover", "value": crossed.n, "n_rows": crossed.most}])

    def all(self, order: Sequence[str]) -> list[dict[str, Any]]:
        """arm, seed, metric, value, low, high, n_rows: optima first, then arms in this order."""
        rows = self.store.arrow(f"SELECT arm, seed, metric, value, low, high, n_rows FROM {self.table} WHERE study = $s ORDER BY ALL", {"s": self.study}).to_pylist()
        place = {arm: i for i, arm in enumerate([OPTIMUM, OPTIMUM + ALL_FEATURES, *order])}
        return sorted(rows, key=lambda row: place[row["arm"]])


def _summarised(arm: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = {m: [r["value"] for r in rows if r["metric"] == m and r["value"] is not None] for m in dict.fromkeys(r["metric"] for r in rows)}
    found: dict[str, Any] = {"arm": arm, "seeds": len({r["seed"] for r in rows})}
    low, high = t_interval(values.get("average_precision", []))
    for metric, each in values.items():
        found[metric] = float(np.mean(each)) if each else None
        if metric == "average_precision":
            found |= {"low": low, "high": high}
    return found


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float | None, float | None]:
    """The interval of a mean over seeds, by Student's t; None for fewer than two."""
    from scipy.stats import t

    if len(values) < 2:
        return None, None
    half = t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)
