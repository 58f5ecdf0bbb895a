"""Class inference on 23 pairs and triples of real classes, without gold (best mapping) and with five gold labels a class.

    python -m tests.benchmarks.affinity_inference [--cache DIR] [--study]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from groundswell.affinity import Evidence, infer, inference
from groundswell.intervals import wilson
from groundswell.affinity.inference import agree
from groundswell.coding_study import judged_arms, study_arms
from tests.benchmarks.affinity_tasks import LAYERS, LabelledImages, drawn_tasks, evidence_of, labelled_images

GOLD_PER_CLASS = 5
GOLD_DRAWS = 5

ARMS = {
    "pooled k-means": (inference("kmeans", features=True), 1), "pooled k-means, L2": (inference("kmeans", features=True, l2=True), 1), "AF+KM": (inference("kmeans"), 1),
    "AF+EM": (inference("em"), 1), "AF+EM, sampled": (inference("em", mstep="sample"), 1), "hierarchical": (inference("hierarchical"), 1),
    "co-clustering": (inference("coclustering"), 1), "default": (inference("spectral"), 1), "default, 2 layers": (inference("spectral"), 2),
}  # fmt: skip
"""Arm -> (method, layers whose affinities it reads)."""


def of_layers(evidence: Evidence, n: int) -> Evidence:
    """The evidence of the first n layers."""
    kept = evidence.layer < n
    return replace(evidence, affinity=evidence.affinity[:, kept], source=evidence.source[kept], family=evidence.family[kept], layer=evidence.layer[kept])


def with_gold(evidence: Evidence, gold: np.ndarray, n_classes: int, seed: int) -> tuple[Evidence, np.ndarray]:
    """(evidence that knows GOLD_PER_CLASS labels of each class, bool (N,): the others)."""
    random = np.random.default_rng(seed)
    known = np.concatenate([random.choice(np.flatnonzero(gold == k), GOLD_PER_CLASS, replace=False) for k in range(n_classes)])
    told = np.full(len(gold), -1)
    told[known] = gold[known]
    return replace(of_layers(evidence, 1), gold=told), told < 0


def judged(task: LabelledImages, evidence: Evidence) -> dict[str, float]:
    """Arm -> accuracy under the best mapping; propagation: mean accuracy on the rows without gold over GOLD_DRAWS draws."""
    k = len(task.classes)
    found = {arm: agree(infer(method, of_layers(evidence, n), k).labels, task.gold, k) for arm, (method, n) in ARMS.items()}
    shares = []
    for seed in range(GOLD_DRAWS):
        known, others = with_gold(evidence, task.gold, k, seed)
        shares.append((infer(inference("propagation"), known, k).labels == task.gold)[others].mean())
    return found | {f"propagation, {GOLD_PER_CLASS} gold a class": float(np.mean(shares))}


def main() -> None:
    """Print the table: one row per task, then means with and without COIL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", help="Where filter maps are kept (default: a temporary folder).")
    parser.add_argument("--study", action="store_true", help="Also the paper's arms (AF+PGM, AF+KM, AF+EM random and k-means start).")
    arguments = parser.parse_args()
    print(f"columns: {', '.join([*ARMS, f'propagation, {GOLD_PER_CLASS} gold a class'])}")
    with tempfile.TemporaryDirectory() as folder:
        rows, images, studies, started = [], [], [], time.perf_counter()
        for name, classes in drawn_tasks():
            task = labelled_images(name, classes)
            evidence = evidence_of(task, Path(arguments.cache or folder), layers=LAYERS)
            rows.append(judged(task, evidence))
            images.append((name, len(task.gold)))
            shown = ", ".join(f"{value:.3f}" for value in rows[-1].values())
            low, high = wilson(round(rows[-1]["default"] * len(task.gold)), len(task.gold))
            print(f"{name:12} {'/'.join(classes):24} {len(task.gold):4}  {shown}  default in [{low:.3f}, {high:.3f}]", flush=True)
            if arguments.study:
                one = of_layers(evidence, 1)
                studies.append({r["arm"]: r["value"] for r in judged_arms(study_arms(one, len(classes), None), task.gold, len(classes), (0,))})
    for title, kept in (("all tasks", [True] * len(rows)), ("without COIL", [name != "coil20" for name, _ in images])):
        means(title, [r for r, k in zip(rows, kept) if k], [n for (_, n), k in zip(images, kept) if k])
        if studies:
            means(f"{title}: the paper's arms", [r for r, k in zip(studies, kept) if k], [n for (_, n), k in zip(images, kept) if k])
    worst = min((r["default"] - r["pooled k-means"], i) for i, r in enumerate(rows))
    print(f"default against pooled k-means: worst task {worst[0]:+.3f} (task {worst[1] + 1}), better on {sum(r['default'] > r['pooled k-means'] for r in rows)} of {len(rows)}")
    print(f"{time.perf_counter() - started:.0f} s")


def means(title: str, rows: list[dict[str, float]], sizes: list[int]) -> None:
    """Mean accuracy of each arm over tasks, and the Wilson interval of all images together."""
    print(f"\n{title} ({len(rows)})")
    for arm in rows[0]:
        right = sum(round(r[arm] * n) for r, n in zip(rows, sizes))
        low, high = wilson(right, sum(sizes))
        print(f"  {arm:28} mean {np.mean([r[arm] for r in rows]):.3f}   all images {right / sum(sizes):.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
