"""What each output was built from, runs and their lineage: the schema `gs`."""

from __future__ import annotations

import hashlib
import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Iterator

from .errors import LFError
from .store import Store

REPORTED_PACKAGES = ("duckdb", "ibis-framework", "sqlglot", "pyarrow", "numpy", "torch")


def digest(*parts: str) -> str:
    """A short hash of some texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def fingerprint_of(store: Store, task: str, output: str) -> str | None:
    """What `output` was last built from; None when it never was."""
    if not store.has_table("gs", "state"):
        return None
    return store.value("SELECT fingerprint FROM gs.state WHERE task = $t AND output = $o", {"t": task, "o": output})


def remember(store: Store, task: str, output: str, fingerprint: str) -> None:
    """Note what `output` was built from."""
    store.execute("DELETE FROM gs.state WHERE task = $t AND output = $o", {"t": task, "o": output})
    store.execute("INSERT INTO gs.state VALUES ($t, $o, $f)", {"t": task, "o": output, "f": fingerprint})


@dataclass(frozen=True)
class RunRecord:
    """One row of gs.run, while it lasts."""

    store: Store
    run_id: int
    task: str

    def lineage(self, output: str, inputs: dict[str, str]) -> None:
        """Note that `output` was built in this run from inputs (name -> hash)."""
        for name, content in inputs.items():
            self.store.execute("INSERT INTO gs.lineage VALUES ($r, $o, $i, $h)", {"r": self.run_id, "o": output, "i": name, "h": digest(content)})

    def lf(self, lf: str, fingerprint: str, reason: str, n_votes: int | None, seconds: float, error: str | None) -> None:
        """Note what became of a labeling function in this run."""
        self.store.execute(
            "INSERT INTO gs.lf_run VALUES ($r, $t, $lf, $f, $reason, $n, $s, $e)",
            {"r": self.run_id, "t": self.task, "lf": lf, "f": fingerprint, "reason": reason, "n": n_votes, "s": seconds, "e": error},
        )


@contextmanager
def recorded(store: Store, verb: str, task: str) -> Iterator[RunRecord]:
    """A row in gs.run around some work: status running, then ok, errors (in LFs) or failed; earlier rows still "running" were killed."""
    run_id = store.value("SELECT coalesce(max(run_id), 0) + 1 FROM gs.run")
    store.execute("UPDATE gs.run SET status = 'killed' WHERE status = 'running'")
    packages = {"groundswell": version("groundswell"), "python": platform.python_version()} | {p: version(p) for p in REPORTED_PACKAGES}
    store.execute(
        "INSERT INTO gs.run VALUES ($r, $v, $t, now(), NULL, 'running', map($names, $versions))",
        {"r": run_id, "v": verb, "t": task, "names": list(packages), "versions": list(packages.values())},
    )
    started = time.perf_counter()
    status = "failed"
    try:
        yield RunRecord(store, run_id, task)
        status = "ok"
    except LFError:
        status = "errors"
        raise
    finally:
        store.execute("UPDATE gs.run SET status = $s, seconds = $t WHERE run_id = $r", {"s": status, "t": time.perf_counter() - started, "r": run_id})
