"""Object detection: which things an image shows."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np
import pyarrow as pa

from ..errors import AffinityError, Diagnostic, did_you_mean
from ..vision.networks import read_weights
from ..vision.operators import detectors, torchvision
from .base import Answering, Preparation
from .networks import names_of, weights_of
from .pictures import of_pixels

SIDE = 320
NOT_A_THING = ("__background__", "N/A")


def objects(settings: Mapping[str, Any], preparation: Preparation) -> Answering:
    """VARCHAR[]: names of the things found with a score of at least `least`, the surest first, each once."""
    import torch

    module = detector(settings, preparation).eval().requires_grad_(False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = module.to(device)
    names = names_of(settings, preparation.root, torchvision().models)

    def compute(pixels: np.ndarray) -> list[list[str]]:
        with torch.inference_mode():
            found = module([each for each in torch.from_numpy(np.ascontiguousarray(pixels)).float().to(device) / 255])
        return [named(f["labels"].cpu().tolist(), f["scores"].cpu().tolist(), names, settings["least"]) for f in found]

    return of_pixels(compute, SIDE, pa.list_(pa.string()))


def named(labels: list[int], scores: list[float], names: list[str], least: float) -> list[str]:
    """Names of the labels with a score of at least `least`, in their order, each once."""
    found = (names[label] for label, score in zip(labels, scores) if score >= least and label < len(names))
    return list(dict.fromkeys(name for name in found if name not in NOT_A_THING))


def detector(settings: Mapping[str, Any], preparation: Preparation):
    """A torchvision detector with its weights; warning AF202 where they are random. Raises AffinityError AF101, AF102, AF104."""
    import torch

    name, models = settings["network"], torchvision().models
    known = models.list_models(module=detectors())
    if name not in known:
        raise AffinityError("AF102", f'there is no detector "{name}"', hint=did_you_mean(name, known) or f"e.g. {', '.join(known[:4])}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = models.get_model(name, weights=None, weights_backbone=None)
    weights = weights_of(settings, preparation.root)
    if weights is None:
        preparation.notes.append(Diagnostic("AF202", f"{name} has random weights: the things it names are noise", hint='name a file: weights="detector.pth"'))
        return module
    try:
        state = models.get_model_weights(name).DEFAULT.get_state_dict(progress=False, check_hash=True) if weights == "DEFAULT" else read_weights(weights)
        module.load_state_dict(state)
    except (OSError, RuntimeError) as error:
        what = str(error).splitlines()[-1].strip()
        raise AffinityError("AF104", f"the weights of {name} cannot be had: {what}", hint='name a file: weights="detector.pth", or weights=None for a trial') from error
    return module
