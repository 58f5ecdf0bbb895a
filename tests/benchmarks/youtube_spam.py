"""YouTube spam, judged on Shakira: majority vote, our label models and Snorkel's on the same votes; the end model on all rows.

    python -m tests.benchmarks.youtube_spam FOLDER_WITH_THE_FIVE_CSV_FILES
"""

from __future__ import annotations

import runpy
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import duckdb
import numpy as np
from rich.console import Console
from rich.table import Table

import groundswell as gs

EXAMPLE = Path(__file__).parents[2] / "examples" / "youtube_spam"
SEEDS = range(5)


def label_matrix(store: duckdb.DuckDBPyConnection) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Votes (n, m) with -1 = abstain, gold (n,), is test (n,), end model's prediction (n,); 0 ham, 1 spam."""
    table = store.execute(
        "SELECT m.*, g.label AS gold_, e.split AS split_, p.predicted_label AS predicted_ FROM spam.label_matrix AS m JOIN spam.gold_label AS g "
        "USING (entity_id) JOIN spam.entity AS e USING (entity_id) JOIN spam.predictions AS p USING (entity_id) ORDER BY entity_id"
    ).to_arrow_table()
    lfs = [c for c in table.column_names if c not in ("entity_id", "gold_", "split_", "predicted_")]
    code = {"ham": 0, "spam": 1, None: -1}
    votes = np.array([[code[v] for v in table[c].to_pylist()] for c in lfs]).T
    gold, predicted = (np.array([code[v] for v in table[c].to_pylist()]) for c in ("gold_", "predicted_"))
    return votes, gold, np.array(table["split_"].to_pylist()) == "test", predicted


def credit(p: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """1 for right, 0 for wrong, .5 for a tie; p (n, 2)."""
    tied = np.abs(p[:, 0] - p[:, 1]) <= 1e-5
    return np.where(tied, 0.5, p.argmax(axis=1) == gold)


def snorkel_posteriors(fit: np.ndarray, seen: np.ndarray, epochs: int) -> list[np.ndarray] | None:
    try:
        from snorkel.labeling.model import LabelModel
    except ImportError:
        return None
    found = []
    for seed in SEEDS:
        model = LabelModel(cardinality=2, verbose=False)
        model.fit(fit, n_epochs=epochs, seed=seed, progress_bar=False)
        found.append(model.predict_proba(seen))
    return found


def main() -> None:
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "youtube_spam"
        shutil.copytree(EXAMPLE, home, ignore=shutil.ignore_patterns("*.duckdb", ".groundswell"))
        runpy.run_path(str(home / "build.py"))["build"](sys.argv[1] if len(sys.argv) > 1 else None, home / "warehouse.duckdb")
        with gs.open(home) as workspace:
            workspace.run()
            workspace.train()
            with duckdb.connect(str(workspace.project.published), read_only=True) as store:
                votes, gold, test, predicted = label_matrix(store)
    _print(votes, gold, test, predicted)


def _print(votes: np.ndarray, gold: np.ndarray, test: np.ndarray, predicted: np.ndarray) -> None:
    names = [f"lf_{j:02d}" for j in range(votes.shape[1])]
    fit, _ = gs.VotePatterns.from_matrix(votes[~test], names, ("ham", "spam"))
    seen, inverse = gs.VotePatterns.from_matrix(votes[test], names, ("ham", "spam"))
    covered = (votes[test] >= 0).any(axis=1)
    table = Table(title=f"Shakira: {test.sum()} comments, {covered.sum()} covered; fitted on the other four videos")
    for column in ("model", "accuracy, covered rows", "accuracy, all rows (no vote = half)"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name in ("majority", "dawid_skene", "multinomial", "auto"):
        p = gs.label_model(name).fit(fit).predict(seen)[inverse]
        right = credit(np.where(covered[:, None], p, 0.5), gold[test])
        table.add_row(name, f"{right[covered].mean():.4f}", f"{right.mean():.4f}")
    for epochs in (100, 500):
        found = snorkel_posteriors(votes[~test], votes[test], epochs)
        rows = [credit(np.where(covered[:, None], p, 0.5), gold[test]) for p in found or []]
        cells = (f"{np.mean([r[covered].mean() for r in rows]):.4f}", f"{np.mean([r.mean() for r in rows]):.4f}") if rows else ("not installed", "")
        table.add_row(f"Snorkel, {epochs} epochs, mean of {len(SEEDS)} seeds", *cells)
    right = predicted[test] == gold[test]
    table.add_row("end model (logistic, on auto's labels)", f"{right[covered].mean():.4f}", f"{right.mean():.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
