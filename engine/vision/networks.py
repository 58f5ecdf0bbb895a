"""Convolutional networks by name, with weights by name, by file or at random, and the filter maps of their layers."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Sequence

import numpy as np

from ..errors import AffinityError, Diagnostic, did_you_mean
from .operators import torchvision

if TYPE_CHECKING:
    import torch

CONVENTIONS = {
    "torchvision": (1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False, 224),
    "caffe": (1.0, (104.0, 117.0, 123.0), (1.0, 1.0, 1.0), True, 227),
}
"""How a network was trained to read pixels: factor, mean, deviation (in the order of the channels it reads), BGR?, side in pixels."""

NOT_A_MAP = ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d")


@dataclass
class Network:
    """A network in evaluation mode and the layers whose filter maps are read, deepest first.

    module      torch.nn.Module; input float32 (b, 3, size, size), normalised as `convention` says
    layers      module names
    """

    name: str
    module: torch.nn.Module
    layers: tuple[str, ...]
    convention: str
    size: int
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.module.parameters()).device

    def fingerprint(self) -> str:
        """A hash of everything the filter maps depend on, beside the image."""
        parts = hashlib.sha256("|".join((self.name, self.convention, str(self.size), *self.layers)).encode())
        for name, value in self.module.state_dict().items():
            parts.update(name.encode())
            parts.update(value.detach().cpu().contiguous().numpy().tobytes())
        return parts.hexdigest()[:32]

    def maps(self, pixels: np.ndarray) -> list[torch.Tensor]:
        """Filter maps, float32 (b, C, H, W) per layer, of images uint8 (b, 3, size, size) RGB."""
        import torch

        with torch.inference_mode():
            return outputs(self.module, normalised(pixels, self.convention).to(self.device), self.layers)


def normalised(pixels: np.ndarray, convention: str) -> torch.Tensor:
    """float32 (b, 3, s, s): RGB bytes as a network of this convention reads them."""
    import torch

    factor, mean, deviation, bgr, _ = CONVENTIONS[convention]
    images = torch.from_numpy(np.ascontiguousarray(pixels)).float() * factor
    images = images.flip(1) if bgr else images
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)


def outputs(module: torch.nn.Module, images: torch.Tensor, layers: Sequence[str]) -> list[Any]:
    """What the named layers give, in the order of `layers`; the rest of the network after the last of them is not run."""
    found: dict[str, Any] = {}

    def catch(name: str):
        def hook(_module, _inputs, output):
            found[name] = output.clone() if hasattr(output, "clone") else output  # a ReLU after it may write in place
            if len(found) == len(layers):
                raise _Enough

        return hook

    modules = dict(module.named_modules())
    handles = [modules[name].register_forward_hook(catch(name)) for name in layers]
    try:
        module(images)
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return [found.get(name) for name in layers]


class _Enough(Exception):
    """All layers asked for have spoken."""


def network(
    name: str = "vgg16", layers: Sequence[str] = (), *, weights: str | Path | Mapping[str, Any] | None = "DEFAULT", convention: str = "torchvision", size: int | None = None,
    seed: int = 0, device: str | None = None,
) -> Network:
    """A torchvision network ready to give filter maps.

    layers      names of modules; default: the last one with a spatial map (VGG-16: its last max-pool; SqueezeNet: its last fire module)
    weights     "DEFAULT": downloaded by torchvision; a .npz, .pt or .pth file, or a state dict; None: random, with warning AF202
    convention  "torchvision" (RGB in [0, 1], normalised) or "caffe" (BGR in [0, 255] minus a mean)
    size        side of the square input in pixels (default: 224, or 227 with caffe)
    device      default: the accelerator where there is one

    Raises AffinityError AF101 (no torchvision), AF102 (name), AF103 (layer), AF104 (weights).
    """
    import torch

    if convention not in CONVENTIONS:
        raise AffinityError("AF104", f'there is no input convention "{convention}"', hint=f"one of {', '.join(CONVENTIONS)}")
    module, doubts = weighted(name, weights, seed)
    size = size or CONVENTIONS[convention][-1]
    module = module.eval().requires_grad_(False)
    spatial = spatial_layers(module, size)
    chosen = tuple(layers) or (default_layer(module, spatial),)
    for layer in chosen:
        _require_layer(name, layer, spatial)
    target = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return Network(name, module.to(target), chosen, convention, size, doubts)


def weighted(name: str, weights: Any, seed: int) -> tuple[torch.nn.Module, list[Diagnostic]]:
    """A torchvision classification network with its weights, and warning AF202 where they are random. Raises AffinityError AF101, AF102, AF104."""
    import torch

    models = torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        raise AffinityError("AF102", f'there is no network "{name}"', hint=did_you_mean(name, known) or f"e.g. {', '.join(n for n in known if n.startswith(('vgg16', 'resnet', 'squeeze')))}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = models.get_model(name, weights=None, **({"init_weights": True} if name in ("googlenet", "inception_v3") else {}))
    if weights is None:
        return module, [Diagnostic("AF202", f"{name} has random weights: its filter maps mean little", hint="name a file of weights")]
    state = _downloaded(models, name) if isinstance(weights, str) and weights == "DEFAULT" else weights if isinstance(weights, Mapping) else read_weights(Path(weights))
    _load(module, name, state)
    return module, []


def _downloaded(models, name: str) -> Mapping[str, Any]:
    try:
        return models.get_model_weights(name).DEFAULT.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise AffinityError("AF104", f"the weights of {name} cannot be downloaded: {error}", hint="name a file: --weights FILE.pth or FILE.npz") from error


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Parameter name -> tensor of a .npz, .pt or .pth file. Raises AffinityError AF104."""
    import torch

    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as found:
                return {name: torch.from_numpy(found[name]) for name in found.files}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle's protocol: what cannot be read is an error anyhow
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are something else fail in as many ways as there are bytes
        raise AffinityError("AF104", f"{path} holds no weights: {str(error).partition(chr(10))[0] or type(error).__name__}", hint="a .npz, .pt or .pth file of named arrays") from error
    if not isinstance(found, Mapping):
        raise AffinityError("AF104", f"{path} holds a {type(found).__name__}, not a state dict", hint="save module.state_dict()")
    return dict(found.get("state_dict", found))


def _load(module: torch.nn.Module, name: str, state: Mapping[str, Any]) -> None:
    import torch

    try:
        wrong = module.load_state_dict({key: torch.as_tensor(value) for key, value in state.items()}, strict=False)
    except RuntimeError as error:
        raise AffinityError("AF104", f"the weights do not fit {name}: {str(error).splitlines()[-1].strip()}", hint="are they of another network?") from error
    if wrong.missing_keys or wrong.unexpected_keys:
        lacks = f"{len(wrong.missing_keys)} parameters are missing" + (f", e.g. {wrong.missing_keys[0]}" if wrong.missing_keys else "")
        extra = f"{len(wrong.unexpected_keys)} belong to nothing" + (f", e.g. {wrong.unexpected_keys[0]}" if wrong.unexpected_keys else "")
        raise AffinityError("AF104", f"the weights do not fit {name}: {lacks}; {extra}", hint="are they of another network?")


def spatial_layers(module: torch.nn.Module, size: int) -> dict[str, bool]:
    """Module name -> does it give a map (1, C, H, W) with H W > 1? In the order in which they finish."""
    import torch

    found: dict[str, bool] = {}

    def watch(name: str):
        def hook(each, _inputs, output):
            is_map = isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1
            found[name] = is_map and type(each).__name__ not in NOT_A_MAP

        return hook

    handles = [each.register_forward_hook(watch(name)) for name, each in module.named_modules() if name]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, 3, size, size, device=next(module.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return found


def default_layer(module: torch.nn.Module, spatial: Mapping[str, bool]) -> str:
    """The last child of `features`, or of the network, that gives a spatial map."""
    inside = "features." if hasattr(module, "features") else ""
    children = [name for name in spatial if name.startswith(inside) and name.count(".") == inside.count(".")]
    return next(name for name in reversed(children) if spatial[name])


def _require_layer(name: str, layer: str, spatial: Mapping[str, bool]) -> None:
    if spatial.get(layer):
        return
    what = "has no spatial map" if layer in spatial else "does not exist"
    maps = [n for n, is_map in spatial.items() if is_map]
    hint = did_you_mean(layer, maps) or f"layers with a map end in: {', '.join(maps[-8:])}"
    raise AffinityError("AF103", f'layer "{layer}" of {name} {what}', hint=hint)
