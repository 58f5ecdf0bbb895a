"""Hyper-parameter search: random draws and successive halving. Knows nothing of data: a trial is judged by whoever asks.

Source: Bergstra & Bengio 2012 (random search), Jamieson & Talwalkar 2016 (successive halving).
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from ..errors import EndModelError

FEWEST, KEPT = 2, 3
"""Draws a search needs; of each rung one in so many goes on, with so many times the budget."""

Choice = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Trial:
    """One model fitted and judged. options: what was drawn, and the budget it had; value: log loss, None where it diverged."""

    trial_id: int
    options: dict[str, Any]
    value: float | None
    seconds: float


def log_uniform(low: float, high: float) -> Choice:
    """Numbers whose logarithm is uniform, to three digits."""
    return lambda random: float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.3g}")


def one_of(*values: Any) -> Choice:
    """One of some values."""
    return lambda random: values[int(random.integers(len(values)))]


SPACES: dict[str, dict[str, Choice]] = {
    "logistic": {"learning_rate": log_uniform(0.003, 0.3), "weight_decay": one_of(0.0, 1e-4, 1e-3, 1e-2, 1e-1)},
    "mlp": {
        "learning_rate": log_uniform(1e-4, 1e-2), "weight_decay": one_of(0.0, 1e-4, 1e-3, 1e-2, 1e-1), "dropout": one_of(0.0, 0.1, 0.3),
        "hidden": one_of([64], [128, 32], [256, 64], [512, 128]),
    },
    "boosted_trees": {"shrinkage": log_uniform(0.03, 0.3), "leaves": one_of(7, 15, 31, 63), "trees": one_of(100, 200, 400)},
}  # fmt: skip
"""Method -> option -> what it may be."""
BUDGETS = {"boosted_trees": "trees"}
"""What a larger budget has more of: max_epochs, unless said here."""
WEIGHTS = log_uniform(0.1, 3.0)
"""Of the rows of a modality that people labelled; those of the others count 1."""
FUSIONS = {"logistic": ("early", "intermediate", "devise", "late"), "mlp": ("early", "intermediate", "devise", "late"), "boosted_trees": ("early", "late")}


def space(method: str, given: Mapping[str, Any], old: Sequence[str] = (), fusions: Sequence[str] = ()) -> dict[str, Choice]:
    """Option -> choice. What is given stays as it is; old: labelled modalities to weigh; fusions: schemes that this task allows."""
    found = dict(SPACES[method])
    if old:
        found["source_weight"] = lambda random: {m: WEIGHTS(random) for m in old}
    allowed = [f for f in FUSIONS[method] if f in fusions]
    if len(allowed) > 1:
        found["fusion"] = one_of(*allowed)
    return {name: choice for name, choice in found.items() if name not in given}


def draws(choices: Mapping[str, Choice], n: int, seed: int) -> list[dict[str, Any]]:
    """n different sets of options: the first is empty, the defaults; fewer where there are not so many.

    Raises EndModelError EM125 for n below 2, or where everything is given already.
    """
    if n < FEWEST:
        raise EndModelError("EM125", f"a search of {n} is none", hint="--search 12, or leave it out")
    if not choices:
        raise EndModelError("EM125", "every option a search could vary is given already", hint="leave some out of end_model in groundswell.toml")
    random, found = np.random.default_rng(seed), [{}]
    for _ in range(20 * n):
        drawn = {name: choice(random) for name, choice in choices.items()}
        if drawn not in found and len(found) < n:
            found.append(drawn)
    return found


def budgets(full: int, n: int) -> list[int]:
    """Budgets of the rungs for n draws, the last one the full budget; at least 1, each larger than the one before."""
    rungs = 1 + int(math.log(n, KEPT) + 1e-9) if n >= KEPT else 1
    return sorted({max(1, math.ceil(full / KEPT**i)) for i in range(rungs)})


def successive_halving(
    drawn: Sequence[dict[str, Any]], full: int, resource: str, judge: Callable[[dict[str, Any]], tuple[float | None, float]],
    kept: Mapping[str, tuple[float | None, float]], tell: Callable[[Trial, int], None],
) -> tuple[dict[str, Any], list[Trial]]:
    """(the best of the draws that had the full budget, every trial in order). Ties go to the earlier draw.

    judge  options with their budget -> (log loss or None, seconds); called once per trial that is not `kept`
    kept   identity of options -> what an earlier search of the same data found
    tell   receives each trial, and how many there will be in all

    Raises EndModelError EM126 where no draw of the last rung could be fitted.
    """
    rungs, alive, trials = budgets(full, len(drawn)), list(range(len(drawn))), []
    sizes = [math.ceil(len(drawn) / KEPT**i) for i in range(len(rungs))]
    for size, budget in zip(sizes, rungs):
        alive, values = sorted(alive[:size]), {}
        for i in alive:
            own = drawn[i].get(resource, full)
            options = {**drawn[i], resource: max(1, round(own * budget / full))}
            value, seconds = kept[identity(options)] if identity(options) in kept else judge(options)
            trials.append(Trial(len(trials) + 1, options, value, seconds))
            tell(trials[-1], sum(sizes))
            values[i] = math.inf if value is None else value
        alive.sort(key=lambda i: (values[i], i))
    if math.isinf(values[alive[0]]):
        raise EndModelError("EM126", "no trial of the search could be fitted", hint="groundswell train without --search says why")
    return drawn[alive[0]], trials


def identity(options: Mapping[str, Any]) -> str:
    """The options as one text, whatever their order."""
    return json.dumps(options, sort_keys=True)


class Notebook:
    """Finished trials in a file, one line each, written before the next one starts. name: what they are trials of."""

    def __init__(self, folder: Path, name: str):
        self.path = folder / f"{name}.jsonl"

    def trials(self) -> dict[str, tuple[float | None, float]]:
        """identity of options -> (value, seconds)."""
        rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()] if self.path.exists() else []
        return {identity(row["options"]): (row["value"], row["seconds"]) for row in rows}

    def add(self, options: Mapping[str, Any], value: float | None, seconds: float) -> None:
        """One line more; the file is replaced in one step, so a kill leaves what was there before."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half, before = self.path.with_suffix(".half"), self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        half.write_text(before + json.dumps({"options": options, "value": value, "seconds": seconds}) + "\n", encoding="utf-8")
        os.replace(half, self.path)

    def forget(self) -> None:
        """The search is over."""
        self.path.unlink(missing_ok=True)
