"""Services of classification networks: embeddings, and the categories they were trained to tell apart."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import pyarrow as pa

from ..errors import AffinityError
from ..vision.networks import CONVENTIONS, default_layer, network, normalised, spatial_layers, weighted
from ..vision.operators import torchvision
from .base import Answering, Preparation
from .pictures import of_pixels


def embedding(settings: Mapping[str, Any], preparation: Preparation) -> Answering:
    """FLOAT[C]: the mean over all positions of the network's last filter map, or of that of `layer`."""
    layers = (settings["layer"],) if settings["layer"] else ()
    found = network(settings["network"], layers, weights=weights_of(settings, preparation.root), convention=settings["convention"], size=settings["size"])
    preparation.notes += found.diagnostics

    def compute(pixels: np.ndarray) -> list[np.ndarray]:
        return list(found.maps(pixels)[0].mean(dim=(2, 3)).float().cpu().numpy())

    return of_pixels(compute, found.size, pa.list_(pa.float32(), width(settings)))


def width(settings: Mapping[str, Any]) -> int:
    """Length of the embedding: channels of the layer. Nothing is loaded. Raises AffinityError AF101, AF102, AF103."""
    return _width(settings["network"], settings["layer"], settings["size"] or CONVENTIONS[settings["convention"]][-1])


@cache
def _width(name: str, layer: str | None, size: int) -> int:
    import torch

    with torch.device("meta"):
        module = weighted(name, None, 0)[0].eval()
    shapes: dict[str, int] = {}
    chosen = layer or default_layer(module, spatial_layers(module, size))
    if chosen not in dict(module.named_modules()):
        raise AffinityError("AF103", f'layer "{chosen}" of {name} does not exist', hint="leave it out for the last one with a map")
    handle = dict(module.named_modules())[chosen].register_forward_hook(lambda _module, _inputs, output: shapes.update(c=output.shape[1]))
    with torch.inference_mode():
        module(torch.zeros(1, 3, size, size, device="meta"))
    handle.remove()
    return shapes["c"]


def categories(settings: Mapping[str, Any], preparation: Preparation) -> Answering:
    """VARCHAR[]: the categories to which the network gives a probability of at least `least`, the likeliest first, at most `most`."""
    import torch

    name, convention = settings["network"], settings["convention"]
    module, doubts = weighted(name, weights_of(settings, preparation.root), 0)
    preparation.notes += doubts
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = module.eval().requires_grad_(False).to(device)
    names = np.array(names_of(settings, preparation.root, torchvision().models))
    size = settings["size"] or CONVENTIONS[convention][-1]

    def compute(pixels: np.ndarray) -> list[list[str]]:
        with torch.inference_mode():
            p = torch.softmax(module(normalised(pixels, convention).to(device)).float(), dim=1)
        best = p.topk(min(settings["most"], p.shape[1]), dim=1)
        rows = zip(best.values.cpu().numpy(), best.indices.cpu().numpy())
        return [names[index[value >= settings["least"]]].tolist() for value, index in rows]

    return of_pixels(compute, size, pa.list_(pa.string()))


def weights_of(settings: Mapping[str, Any], root: Path) -> Any:
    """The weights of a setting: by name, a file relative to the project, or none."""
    weights = settings["weights"]
    return root / weights if isinstance(weights, str) and weights != "DEFAULT" else weights


def names_of(settings: Mapping[str, Any], root: Path, models: Any) -> list[str]:
    """What a network's outputs are called: those of its published weights, or the lines of a file. Raises AffinityError AF104."""
    if settings["categories"]:
        try:
            return (root / settings["categories"]).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise AffinityError("AF104", f"{settings['categories']} cannot be read: {error.strerror}", hint="a text file, one category a line") from error
    return list(models.get_model_weights(settings["network"]).DEFAULT.meta["categories"])
