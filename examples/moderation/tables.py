"""The parameters as tables, for the SQL in world/."""

from __future__ import annotations

from typing import Any, Iterator

import numpy as np
import pyarrow as pa

from .parameters import ADJECTIVES, LANGUAGES, NOUNS, PRIOR_BINS, SCALES, TOKEN_BINS, Parameters, rows


def tables(world: Parameters) -> dict[str, pa.Table]:
    """Table name -> rows: everything world/parameters.sql turns into variables, and the two tables that describe the world."""
    found = {
        "modality": rows("modality"),
        "service": [r for r in service_rows() if r["fidelity"] is not None],
        "noise_slot": [{"slot": s.name, "size": s.size, "nothing": s.nothing} for s in world.noise_slots],
        "noise_word": [{"rank": r, "word": w} for r, w in enumerate(noise_words(), start=1)],
        "language": [{"rank": r, "word": w} for r, w in enumerate(LANGUAGES, start=1)],
        "level_bin": [{"bin": b, "level": v} for b, v in enumerate(_drawn(world.level))],
        "scene_bin": list(_scene_bins(world)),
        "risk": [{"task": t, "scene": s, "level": v, "p": float(p[s, v])} for t, p in world.risk.items() for s, v in np.ndindex(p.shape)],
        "centre": [{"space": n, "scene": s, "dimension": d, "value": float(c[s, d])} for n, c in world.centres.items() for s, d in np.ndindex(c.shape)],
        "space": [{"space": name, "scale": scale} for name, scale in SCALES.items()],
        "organizational_resource": resource_rows(),
        "task": [{k: _typed(v) for k, v in r.items()} for r in rows("task")],
    }
    found["modality"] = [{k: _typed(v) for k, v in r.items()} for r in found["modality"]]
    return {name: pa.Table.from_pylist(each) for name, each in found.items()} | {"slot_bin": _slot_bins(world)}


def noise_words() -> list[str]:
    """4,096 pairs of words that mean nothing to any task."""
    n = len(ADJECTIVES)
    return [f"{ADJECTIVES[(k + k // n) % n]} {NOUNS[k % len(NOUNS)]}" for k in range(n * len(NOUNS))]


def service_rows() -> list[dict[str, Any]]:
    """One row per feature and modality: fidelity (NULL where the service does not apply) and failure rate."""
    return [
        {"feature": r["feature"], "modality": m, "fidelity": _typed(r[f"{m}_fidelity"]), "failure": _typed(r[f"{m}_failure"])}
        for r in rows("service") for m in ("text", "image")
    ]  # fmt: skip


def resource_rows() -> list[dict[str, Any]]:
    """The registry: feature, kind, feature_set, servable, modalities, description."""
    return [
        {
            "feature": r["feature"], "kind": r["kind"], "feature_set": r["feature_set"], "servable": r["servable"] == "true",
            "modalities": [m for m in ("text", "image") if r[f"{m}_fidelity"]], "description": r["description"],
        }
        for r in rows("service")
    ]  # fmt: skip


def _typed(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def _drawn(p: np.ndarray) -> list[int]:
    """The state of each of PRIOR_BINS bins."""
    return np.repeat(np.arange(len(p)), np.rint(p * PRIOR_BINS).astype(int)).tolist()


def _scene_bins(world: Parameters) -> Iterator[dict[str, Any]]:
    for modality, p in world.scene.items():
        for level, row in enumerate(p):
            for b, scene in enumerate(_drawn(row)):
                yield {"modality": modality, "level": level, "bin": b, "scene": scene}


def _slot_bins(world: Parameters) -> pa.Table:
    parts = []
    for slot in world.slots:
        bins = slot.bins()
        n = len(bins)
        parts.append(pa.table({
            "slot": pa.array([slot.name] * (n * TOKEN_BINS)), "state": pa.array(np.repeat(np.arange(n), TOKEN_BINS)),
            "bin": pa.array(np.tile(np.arange(TOKEN_BINS), n)), "token": pa.array([t for row in bins for t in row], pa.string()),
        }))  # fmt: skip
    return pa.concat_tables(parts)
