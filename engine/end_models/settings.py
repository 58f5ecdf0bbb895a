"""The block `end_model` of a task: options of the model, and which labels and columns it learns from."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ..errors import EndModelError, did_you_mean

NOT_OF_THE_MODEL = ("method", "seed", "features", "kinds", "gold", "source_weight", "fusion", "search")
"""Which columns it reads (and as what), whether human labels come before the label model's, a weight for every modality, how
modalities are fused, and how many draws a search has."""


def model_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are options of the model itself."""
    return {k: v for k, v in settings.items() if k not in NOT_OF_THE_MODEL}


def label_settings(known: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of labelled_entity (gold, modalities, weights). known: the task's modalities. Raises EndModelError EM107."""
    gold, weight = settings.get("gold", False), settings.get("source_weight", {})
    if not isinstance(gold, bool):
        raise EndModelError("EM107", f"gold = {gold!r} is neither true nor false", hint="gold = true: human labels come before the label model's")
    if not isinstance(weight, Mapping) or not all(isinstance(w, (int, float)) and 0 <= w < float("inf") for w in weight.values()):
        raise EndModelError("EM107", f"source_weight = {weight!r} is not a weight >= 0 for modalities", hint=f"source_weight = {{ {known[0]} = 1.0 }}")
    for name in weight:
        if name not in known:
            hint = did_you_mean(name, known) or f"modalities: {', '.join(known)}"
            raise EndModelError("EM107", f'source_weight names no modality of the task: "{name}"', hint=hint)
    return {"gold": gold, "modalities": list(weight), "weights": [float(w) for w in weight.values()]}
