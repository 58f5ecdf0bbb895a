"""What is installed, what is locked, whether the sandbox holds and the label models are sane."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np

from .errors import GroundswellError
from .label_models import VotePatterns, label_model
from .project.config import load_project
from .state import REPORTED_PACKAGES
from .store import looking, reading


@dataclass(frozen=True)
class Finding:
    """One check: ok is None where there is nothing to judge."""

    what: str
    found: str
    ok: bool | None = None


def examine(folder: Path) -> list[Finding]:
    """All findings, for a project folder or none."""
    found = [Finding("python", platform.python_version()), Finding("groundswell", version("groundswell"))]
    found += [Finding(package, version(package)) for package in REPORTED_PACKAGES]
    found += [Finding("accelerator", _accelerator()), _label_models()]
    try:
        project = load_project(folder)
    except GroundswellError as error:
        return [*found, Finding("project", str(error).splitlines()[0], None if error.code == "CFG101" else False)]
    return [*found, Finding("project", project.name, True), _warehouse(project), *_published(project)]


def _accelerator() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none: the CPU is used"


def _label_models() -> Finding:
    """Three good labeling functions out of three: the model must find the label in all patterns."""
    votes = np.array([[0, 0, 0], [0, 0, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.int8)
    patterns = VotePatterns(votes, np.array([40, 8, 40, 8, 6, 6]), ("a", "b", "c"), ("no", "yes"))
    posterior = label_model("dawid_skene").fit(patterns).predict(patterns)
    right = bool((posterior.argmax(axis=1) == (votes.sum(axis=1) > 1)).all())
    return Finding("label model", "recovers a known answer" if right else "gives a wrong answer on known votes", right)


def _warehouse(project) -> Finding:
    try:
        with looking(project) as store:
            try:
                store.connection.execute("SELECT count(*) FROM read_csv('/etc/hostname')")
            except duckdb.PermissionException:
                return Finding("warehouse and sandbox", f"{project.warehouse} is readable; files outside are closed to LFs", True)
            return Finding("warehouse and sandbox", "LFs could read files", False)
    except GroundswellError as error:
        return Finding("warehouse", str(error).splitlines()[0], False)


def _published(project) -> list[Finding]:
    try:
        store = reading(project)
    except GroundswellError as error:
        return [Finding("store", str(error).splitlines()[0], None if error.code == "ST104" else False)]
    try:
        run_id, status, at = store.rows("SELECT run_id, status, CAST(started_at AS VARCHAR) FROM gs.run ORDER BY run_id DESC LIMIT 1")[0]
        return [Finding("store", f"last run {run_id}: {status}, {at}", status in ("ok", "errors"))]
    finally:
        store.close()
