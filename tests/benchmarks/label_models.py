"""Label models on real and simulated votes, against majority vote and peers. No gold in any fit.

python -m tests.benchmarks.label_models [--speed] [--peers]      prints tables; --speed adds fitting times, --peers runs
Snorkel on the copied votes too (minutes)

Accuracy on covered rows, ties at equal credit; F1 of class 1 on all rows, likewise. Fitted on the train split, `auto (all rows)` on
the votes of train and test together, scored on test (tennis: dev). A peer that is not installed is shown as such. Numbers of other peers, measured elsewhere, are in PUBLISHED.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from groundswell.label_models import VotePatterns, label_model
from tests.label_models.simulated import copied, names
from tests.shared_data import shared

SETS = ("wrench_youtube", "regdp_tubespam", "wrench_sms", "wrench_census", "cage_sms", "flyingsquid_tennis")
OURS = {"majority": {}, "weighted": {}, "dawid_skene": {}, "factor_graph": {}, "metal": {}, "flying_squid": {}, "anchored": {}, "auto": {}}
PUBLISHED = {  # set: (metric, FlyingSquid, data programming, HyperLM which sees the test votes), mean of 5 seeds
    "wrench_youtube": ("accuracy", 0.810, 0.833, 0.879),
    "regdp_tubespam": ("accuracy", 0.854, 0.800, 0.917),
    "wrench_sms": ("F1", 0.311, 0.315, 0.329),
    "wrench_census": ("F1", 0.179, 0.129, 0.557),
    "cage_sms": ("F1", 0.340, 0.000, 0.356),
    "flyingsquid_tennis": ("accuracy", 0.889, 0.893, 0.889),
}


def votes_of(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(train votes (n, m), test votes (n', m), test gold (n',)) of a shared data set."""
    folder = shared(name)
    if name == "cage_sms":
        train, test = (pq.read_table(folder / f"{split}.parquet").to_pandas() for split in ("train", "test"))
    else:
        frame = pq.read_table(folder / "data.parquet").to_pandas()
        train, test = frame[frame.split == "train"], frame[frame.split == ("dev" if "tennis" in name else "test")]
    lfs = [c for c in test.columns if c.startswith("lf_") and not c.endswith("score")]
    return train[lfs].to_numpy(int), test[lfs].to_numpy(int), test.label.to_numpy(int)


def accuracy(p: np.ndarray, gold: np.ndarray, covered: np.ndarray) -> float:
    return float(_credit(p)[np.arange(len(gold)), gold][covered].mean())


def f1(p: np.ndarray, gold: np.ndarray) -> float:
    said = _credit(p)[:, 1]
    return float(2 * said[gold == 1].sum() / (said.sum() + (gold == 1).sum()))


def _credit(p: np.ndarray) -> np.ndarray:
    top = p >= p.max(axis=1, keepdims=True) - 1e-5
    return top / top.sum(axis=1, keepdims=True)


def ours(name: str, options: dict, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, str]:
    """(posterior of the test rows, model that was chosen)."""
    lfs = names(train.shape[1])
    patterns, _ = VotePatterns.from_matrix(train, lfs, ("0", "1"))
    seen, inverse = VotePatterns.from_matrix(test, lfs, ("0", "1"))
    model = label_model(name, **options).fit(patterns)
    return model.predict(seen)[inverse], model.chosen_


def snorkel(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    from snorkel.labeling.model import LabelModel

    model = LabelModel(cardinality=2, verbose=False)
    model.fit(train, n_epochs=500, seed=seed, progress_bar=False)
    return model.predict_proba(test)


def real_votes(console: Console) -> None:
    table = Table(title="real votes: accuracy on covered rows / F1 of class 1", header_style="bold")
    columns = ("set", *OURS, "auto (all rows)", "auto chose", "snorkel (5 seeds)", "FlyingSquid", "data programming", "HyperLM")
    for column in columns:
        table.add_column(column)
    for name in SETS:
        train, test, gold = votes_of(name)
        covered = (test != -1).any(axis=1)

        def shown(p: np.ndarray) -> str:
            return f"{accuracy(p, gold, covered):.3f} / {f1(p, gold):.3f}"

        results = [ours(model, options, train, test) for model, options in OURS.items()]
        metric, *peers = PUBLISHED[name]
        table.add_row(
            name, *[shown(p) for p, _ in results], shown(ours("auto", {}, np.concatenate([train, test]), test)[0]), results[-1][1], _snorkel_cell(train, test, gold, covered),
            *[f"{metric} {x:.3f}" for x in peers],
        )  # fmt: skip
    console.print(table)


def _snorkel_cell(train: np.ndarray, test: np.ndarray, gold: np.ndarray, covered: np.ndarray) -> str:
    if find_spec("snorkel") is None:
        return "not installed"
    runs = [snorkel(train, test, seed) for seed in range(5)]
    return f"{np.mean([accuracy(p, gold, covered) for p in runs]):.3f} / {np.mean([f1(p, gold) for p in runs]):.3f}"


def copied_votes(console: Console, with_peers: bool, seeds: int = 6) -> None:
    peers = ["snorkel"] if with_peers and find_spec("snorkel") else []
    absent = "not installed" if with_peers else "not run"
    table = Table(title=f"five LFs copy a sixth with probability rho: accuracy, mean of {seeds} seeds, 20,000 rows")
    for column in ("rho", *OURS, "worst auto - majority", "snorkel"):
        table.add_column(column)
    for rho in (0.0, 0.3, 0.5, 0.8):
        scores: dict[str, list[float]] = {name: [] for name in [*OURS, *peers]}
        for seed in range(seeds):
            gold, votes = copied(20_000, rho, seed)
            covered = (votes != -1).any(axis=1)
            for name, options in OURS.items():
                scores[name].append(accuracy(ours(name, options, votes, votes)[0], gold, covered))
            for name in peers:
                scores[name].append(accuracy(snorkel(votes, votes, seed), gold, covered))
        worst = min(a - b for a, b in zip(scores["auto"], scores["majority"]))
        cells = [f"{np.mean(scores[name]):.3f}" for name in OURS]
        table.add_row(f"{rho}", *cells, f"{worst:+.3f}", f"{np.mean(scores['snorkel']):.3f}" if peers else absent)
    console.print(table)


def speed(console: Console) -> None:
    table = Table(title="fit on simulated patterns, 20 LFs, 2 classes: seconds")
    for column in ("patterns", "votes per pattern", *OURS, "100 EM iterations"):
        table.add_column(column)
    for n_patterns, coverage in ((32_000, 0.2), (60_000, 0.2), (60_000, 0.6)):
        patterns = _dense_patterns(n_patterns, coverage)
        cells = [_seconds(label_model(name, **options), patterns) for name, options in OURS.items()]
        hundred = _seconds(label_model("dawid_skene", tolerance=0.0, max_iterations=100), patterns)
        table.add_row(f"{len(patterns.counts):,}", f"{coverage * 20:.0f}", *[f"{c:.2f}" for c in cells], f"{hundred:.2f}")
    console.print(table)


def _dense_patterns(n_patterns: int, coverage: float) -> VotePatterns:
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 2 * n_patterns)
    quality = rng.uniform(0.6, 0.9, 20)
    votes = np.where(rng.random((len(gold), 20)) < quality, gold[:, None], 1 - gold[:, None])
    votes = np.where(rng.random(votes.shape) < coverage, votes, -1)
    patterns, _ = VotePatterns.from_matrix(votes, names(20), ("0", "1"))
    kept = np.sort(rng.permutation(len(patterns.counts))[:n_patterns])
    return VotePatterns(patterns.votes[kept], patterns.counts[kept] * 50, patterns.lfs, patterns.classes)


def _seconds(model, patterns: VotePatterns) -> float:
    start = time.perf_counter()
    model.fit(patterns)
    return time.perf_counter() - start


def main(arguments: list[str]) -> None:
    console = Console(width=200)
    if "--speed" in arguments:
        speed(console)
    copied_votes(console, "--peers" in arguments)
    real_votes(console)


if __name__ == "__main__":
    main(sys.argv[1:])
