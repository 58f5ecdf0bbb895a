"""The causal model of world/*.csv in numbers: what the SQL draws from and what the Bayes-optimal score is computed from.

Probabilities are multiples of 1/TOKEN_BINS (what a service finds in a scene) and 1/PRIOR_BINS (scenes, levels), so that a draw is a
look-up in a list and the list is the distribution.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

WORLD = Path(__file__).parent / "world"
TOKEN_BINS, PRIOR_BINS = 1024, 4096
DIMENSIONS = 32
EMBEDDING_SCALE, COLOUR_SCALE = 1.6, 0.06
"""Scales of the logistic noise around the centre of a scene."""
RISK_STEP, LEVEL_STEP = 2.3, 0.6
"""Log-odds of a violation per grade of the scene (0 to 3 in scene.csv) and per level of the author."""

ADJECTIVES = (
    "amber ancient autumn bitter bold brave bright broken calm clever cold common copper crisp curious deep distant dusty early empty faded fair famous fancy "
    "fast final fresh gentle giant golden grand green grey happy hidden hollow humble icy idle inner jolly kind large late little lonely loud lucky misty modern "
    "narrow noble northern open pale plain proud quiet rapid round royal rusty silent silver"
).split()
NOUNS = (
    "acorn anchor apple arrow atlas barn basket beacon bell birch bridge brook button cabin candle canyon castle cedar circle cliff cloud comet corner cotton "
    "cradle crown dawn delta dune eagle echo ember falcon feather fern field flame forest fountain garden glacier grove harbour hazel heron hill island ivy "
    "jasmine jewel kettle lagoon lantern leaf lemon lily linen lotus maple marble meadow mirror moon mountain"
).split()
LANGUAGES = "en es pt fr de id hi ar ru ja it tr pl nl ko vi th uk sv cs".split()


def rows(name: str) -> list[dict[str, str]]:
    """The lines of world/NAME.csv."""
    with open(WORLD / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def binned(p: np.ndarray, n: int) -> np.ndarray:
    """Counts, int (..., V), proportional to p and summing to n in the last axis: largest remainders, the first of equals."""
    exact = p / p.sum(axis=-1, keepdims=True) * n
    counts = np.floor(exact).astype(int)
    for index in np.ndindex(p.shape[:-1]):
        missing = n - counts[index].sum()
        counts[index][np.argsort(-(exact - counts)[index], kind="stable")[:missing]] += 1
    return counts


@dataclass(frozen=True)
class Slot:
    """One place in the list a feature gives: at most one token, drawn by scene (as the service takes it) or by level.

    tokens  V - 1 names; the last state of V is "nothing"
    counts  int (states, V), rows sum to TOKEN_BINS
    """

    name: str
    feature: str
    reads: str
    tokens: tuple[str, ...]
    counts: np.ndarray

    @property
    def p(self) -> np.ndarray:
        """P(token | state), float (states, V)."""
        return self.counts / TOKEN_BINS

    def bins(self) -> list[list[str | None]]:
        """Per state the TOKEN_BINS tokens a draw picks from."""
        names = [*self.tokens, None]
        return [[names[v] for v, n in enumerate(row) for _ in range(n)] for row in self.counts]


@dataclass(frozen=True)
class NoiseSlot:
    """A place whose token says nothing about the post: Zipf over `size` words, nothing with probability `nothing`."""

    name: str
    feature: str
    size: int
    nothing: float


@dataclass(frozen=True)
class Parameters:
    """S scenes, L levels, T tasks, slots and services.

    level   float (L,)          P(level)
    scene   modality -> float (L, S)   P(scene | level, modality)
    risk    task -> float (S, L)       P(violates | scene, level)
    centres space -> float (S, d)
    """

    scenes: tuple[str, ...]
    level: np.ndarray
    scene: dict[str, np.ndarray]
    risk: dict[str, np.ndarray]
    slots: tuple[Slot, ...]
    noise_slots: tuple[NoiseSlot, ...]
    centres: dict[str, np.ndarray]

    def prior(self, modality: str) -> np.ndarray:
        """P(scene, level | modality), float (S, L)."""
        return (self.level[:, None] * self.scene[modality]).T

    def rate(self, task: str, modality: str) -> float:
        """P(violates | modality)."""
        return float((self.prior(modality) * self.risk[task]).sum())


SCALES = {"embedding": EMBEDDING_SCALE, "mean_colour": COLOUR_SCALE}


@cache
def parameters() -> Parameters:
    """The world as its files describe it."""
    scenes, levels = rows("scene"), rows("level")
    level = binned(_column(levels, "share"), PRIOR_BINS) / PRIOR_BINS
    tilt = np.exp(np.arange(len(levels))[:, None] * _column(scenes, "tilt"))
    scene = {m: binned(_column(scenes, f"{m}_weight") * tilt, PRIOR_BINS) / PRIOR_BINS for m in ("text", "image")}
    prior = (level[:, None] * scene["image"]).T
    risk = {t["name"]: _risk(_column(scenes, t["name"]), prior, float(t["positive_rate"])) for t in rows("task")}
    slots = tuple(_slot(s, scenes) for s in rows("slot") if s["reads"] != "noise")
    noise = tuple(NoiseSlot(s["slot"], s["feature"], int(s["tokens"]), float(s["nothing"])) for s in rows("slot") if s["reads"] == "noise")
    return Parameters(tuple(s["scene"] for s in scenes), level, scene, risk, slots, noise, _centres(scenes))


def _column(found: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(r[name]) for r in found])


def _risk(grade: np.ndarray, prior: np.ndarray, rate: float) -> np.ndarray:
    """P(violates | scene, level), float (S, L): log-odds grow with grade and level; the constant makes the mean over images `rate`."""
    slope = RISK_STEP * grade[:, None] + LEVEL_STEP * np.arange(prior.shape[1])
    low, high = -40.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if (prior * _sigmoid(middle + slope)).sum() > rate else (middle, high)
    return _sigmoid(low + slope)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _slot(row: dict[str, str], scenes: list[dict[str, str]]) -> Slot:
    """Tokens of a state in the order written, weights 1 / rank."""
    if row["reads"] == "level":
        found = [r for r in rows("level_token") if r["slot"] == row["slot"]]
        found.sort(key=lambda r: r["token"] == "")
        tokens = tuple(r["token"] for r in found if r["token"])
        weight = np.array([[float(r[level["name"]]) for r in found] for level in rows("level")])
        weight = weight if len(found) > len(tokens) else np.hstack([weight, np.zeros((len(weight), 1))])
        return Slot(row["slot"], row["feature"], "level", tokens, binned(weight, TOKEN_BINS))
    lists = [_tokens(row["tokens"], scene) for scene in scenes]
    tokens = tuple(dict.fromkeys(t for each in lists for t in each))
    weight = np.zeros((len(scenes), len(tokens) + 1))
    for s, each in enumerate(lists):
        for rank, token in enumerate(each, start=1):
            weight[s, tokens.index(token)] = 1 / rank
    nothing = float(row["nothing"])
    weight *= (1 - nothing) / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    weight[:, -1] = 1 - weight.sum(axis=1)
    return Slot(row["slot"], row["feature"], "scene", tokens, binned(weight, TOKEN_BINS))


def _tokens(source: str, scene: dict[str, str]) -> list[str]:
    """`column`: its words; `column n`: n numbered variants of each; `a b`: pairs of two columns."""
    first, _, second = source.partition(" ")
    words = [w for w in scene[first].split("|") if w]
    if second.isdigit():
        return [f"{w} {k:02d}" for k, w in product(range(int(second)), words)]
    return [f"{a} / {b}" for a in words for b in scene[second].split("|")] if second else words


def _centres(scenes: list[dict[str, str]]) -> dict[str, np.ndarray]:
    colour = {r["setting"]: [float(r[c]) for c in ("red", "green", "blue")] for r in rows("setting")}
    return {
        "embedding": np.random.default_rng(0).normal(size=(len(scenes), DIMENSIONS)),
        "mean_colour": np.array([colour[s["setting"]] for s in scenes]),
    }  # fmt: skip
