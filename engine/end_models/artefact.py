"""A saved end model: a folder of three files and a hash over them. No pickles: arrays, JSON and nothing that executes.

    weights.npz       the network's parameters
    encoder.json      features, options, statistics, vocabularies
    model_card.json   what it is: method, classes, inputs, options, seed, versions, rows, losses
    sha256.txt        the hash of the three
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from ..errors import EndModelError
from .features import FeatureSpec

FILES = ("encoder.json", "model_card.json", "weights.npz")
FORMAT = 1


@dataclass(frozen=True)
class Artefact:
    """weights: parameter name -> array; encoder: `Encoder.state()`; card: the model card."""

    weights: Mapping[str, np.ndarray]
    encoder: dict[str, Any]
    card: dict[str, Any]

    def require(self, spec: FeatureSpec | None, classes: Sequence[str] | None) -> None:
        """None. Raises EndModelError EM109 if the model has other features (name, kind) or classes than given."""
        own = [(f["name"], f["kind"]) for f in self.encoder["features"]]
        if spec is not None and own != [(f.name, f.kind) for f in spec.features]:
            raise _other("features", [name for name, _ in own], spec.names)
        if classes is not None and self.card["classes"] != list(classes):
            raise _other("classes", self.card["classes"], classes)


def _other(what: str, own: Sequence, given: Sequence) -> EndModelError:
    message = f"the end model was trained on other {what}: {', '.join(own)}; not {', '.join(given)}"
    return EndModelError("EM109", message, hint="train it again: groundswell train")


def write_artefact(folder: Path, artefact: Artefact) -> str:
    """The hash (64 hexadecimal digits) of the folder written. The same model gives the same hash."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sha256.txt").unlink(missing_ok=True)
    np.savez(folder / "weights.npz", **artefact.weights)
    _write_json(folder / "encoder.json", artefact.encoder)
    _write_json(folder / "model_card.json", {"format": FORMAT, **artefact.card})
    found = content_hash(folder)
    (folder / "sha256.txt").write_text(found + "\n", encoding="ascii")
    return found


def _write_json(path: Path, what: dict) -> None:
    path.write_text(json.dumps(what, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def content_hash(folder: Path) -> str:
    """SHA-256 over name and SHA-256 of each of the three files, in alphabetical order."""
    lines = (f"{name} {new_sha256((folder / name).read_bytes()).hexdigest()}\n" for name in FILES)
    return new_sha256("".join(lines).encode()).hexdigest()


def read_artefact(folder: Path, sha256: str | None) -> Artefact:
    """The artefact in a folder, verified before anything in it is parsed. Raises EndModelError EM116, EM108."""
    missing = [name for name in (*FILES, "sha256.txt") if not (folder / name).is_file()]
    if missing:
        raise EndModelError("EM116", f"{folder}: no end model here ({', '.join(missing)} missing)", hint="train it: groundswell train")
    found, stored = content_hash(folder), (folder / "sha256.txt").read_text(encoding="ascii", errors="replace").strip()
    for expected in (stored, sha256):
        if expected not in (None, found):
            raise EndModelError("EM108", f"{folder}: the end model was changed after it was saved", hint="train it again: groundswell train")
    return _parsed(folder)


def _parsed(folder: Path) -> Artefact:
    card = json.loads((folder / "model_card.json").read_text(encoding="utf-8"))
    if card["format"] != FORMAT:
        raise EndModelError("EM116", f"{folder}: artefact format {card['format']}, this version reads {FORMAT}")
    with np.load(folder / "weights.npz", allow_pickle=False) as weights:
        arrays = {name: weights[name] for name in weights.files}
    return Artefact(arrays, json.loads((folder / "encoder.json").read_text(encoding="utf-8")), card)
