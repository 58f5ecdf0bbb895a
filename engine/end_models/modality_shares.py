"""What each modality's features contribute to an end model, measured without labels."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np
import pyarrow as pa

from .leave_out import added_by


def feature_groups(views: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Features by the modalities that have them: "text + image" what both have, "image only" what nothing else has.

    views  modality -> its features
    """
    found: dict[str, list[str]] = {}
    for feature in dict.fromkeys(f for features in views.values() for f in features):
        owners = [m for m in views if feature in views[m]]
        found.setdefault(" + ".join(owners) if len(owners) > 1 else f"{owners[0]} only", []).append(feature)
    return found


def modality_shares(model: Any, rows: Mapping[str, pa.RecordBatch], views: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Dicts of rows (a modality), features (a group), value, low, high, n_rows.

    value  mean over the rows of how far (absolute) the log-odds of the best class against the second move when all features of the
           group are left out, the others staying; in nats, after temperature. A row keeps going through the parts it went through.
    low, high  95 % interval of that mean (normal approximation)
    rows   modality -> rows of it that have the model's inputs
    """
    groups, found = feature_groups(views), []
    for modality, batch in rows.items():
        mine = {name: features for name, features in groups.items() if set(features) & set(views[modality])}
        for name, moved in added_by(model, batch, mine).items() if batch.num_rows else ():
            moved = np.abs(moved)
            value, margin = float(moved.mean()), 1.96 * float(moved.std()) / len(moved) ** 0.5
            found.append({"rows": modality, "features": name, "value": value, "low": max(0.0, value - margin), "high": value + margin, "n_rows": len(moved)})
    return found


def in_words(shares: Sequence[Mapping[str, Any]], modality: str) -> str:
    """One line: what moves the predictions of a modality's rows, the strongest first."""
    mine = sorted((s for s in shares if s["rows"] == modality), key=lambda s: (-s["value"], s["features"]))
    return f"on {modality} rows the log-odds move by " + ", ".join(f"{s['value']:.2f} through {s['features']} features" for s in mine)
