"""What a person can ask of label propagation, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Mapping

from ..errors import PropagationError, did_you_mean
from .passes import Search

METHODS = {"harmonic": 50, "expander": 10}
"""Methods and their rounds."""


@dataclass(frozen=True)
class PropagationOptions:
    """How labels are propagated.

    method        harmonic (clamped), or expander
    exclude       columns of `entity` that say nothing about likeness; weights: column -> weight in the mean (default 1)
    both_only     compare two rows over the features both have, at least two, instead of those that either has
    k, cross      neighbours of a row; at least so many of another modality (default: half of k)
    candidates    rows it is compared with, all orders together; hub: share of rows above which a token joins nothing
    least_weight  of an edge
    aim           recall of the true neighbours on a sample at which the search ends; refine: rounds of neighbours of neighbours, at most
    rounds        of propagation (default: 50, expander 10), until no score changes by tolerance
    mu1, mu2, mu3, top_labels   of expander: weight of seeds, of edges, of the uniform distribution; labels a row keeps
    precision     target: thresholds are the lowest whose precision on held-out seeds is that, with 97.5 % confidence
    held_out      share of the seeds of a class that tune its threshold, and are not clamped, where there are few; with 200 seeds
                  and more, the three of ten that judge everything learned from gold
    all_seeds     clamp the held-out seeds too for the scores that are published. Thresholds were tuned with fewer: their precision is then a guess
    """

    method: str = "harmonic"
    exclude: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    both_only: bool = False
    k: int = 20
    cross: int | None = None
    candidates: int = 500
    hub: float = 0.05
    least_weight: float = 0.1
    aim: float = 0.95
    refine: int = 16
    rounds: int | None = None
    tolerance: float = 1e-4
    mu1: float = 1.0
    mu2: float = 0.01
    mu3: float = 0.01
    top_labels: int | None = None
    precision: float = 0.9
    held_out: float = 0.2
    all_seeds: bool = False
    seed: int = 0

    def search(self) -> Search:
        """The part that decides the graph."""
        return Search(self.k, self.k // 2 if self.cross is None else self.cross, self.candidates, self.hub, self.least_weight, self.aim, self.refine, self.seed)


RANGES = {
    "k": (1, 1000), "cross": (0, 1000), "candidates": (1, 1_000_000), "hub": (0, 1), "least_weight": (0, 1), "aim": (0, 1), "refine": (0, 100), "rounds": (1, 100_000),
    "tolerance": (0, 1), "mu1": (1e-9, 1e9), "mu2": (1e-9, 1e9), "mu3": (1e-9, 1e9), "top_labels": (1, 1_000_000), "precision": (0, 1), "held_out": (0.01, 0.9),
}  # fmt: skip


def propagation_options(given: Mapping[str, Any]) -> PropagationOptions:
    """Options by name. Raises PropagationError PR104 for names and values that cannot be."""
    known = {f.name for f in fields(PropagationOptions)}
    for name in given:
        if name not in known:
            raise PropagationError("PR104", f'propagate has no option "{name}"', hint=did_you_mean(name, known) or f"options: {', '.join(sorted(known))}")
    found = PropagationOptions(**given)
    if found.method not in METHODS:
        raise PropagationError("PR104", f'there is no method "{found.method}"', hint=did_you_mean(found.method, METHODS) or f"one of {', '.join(METHODS)}")
    for name, (low, high) in RANGES.items():
        _require_range(name, getattr(found, name), low, high)
    for name, weight in found.weights.items():
        _require_range(f"weight of {name}", weight, 1e-9, 1e9)
    return found


def _require_range(name: str, value: Any, low: float, high: float) -> None:
    if value is not None and not (isinstance(value, (int, float)) and low <= value <= high):
        raise PropagationError("PR104", f"{name} cannot be {value}", hint=f"{low:g} to {high:g}")
