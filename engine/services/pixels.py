"""Statistics computed from pixels: names of colours, and what a texture is like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

import numpy as np
import pyarrow as pa

from .base import Answering, Preparation
from .pictures import of_pixels

if TYPE_CHECKING:
    import torch

SIDE = 64
"""Pixels per side from which statistics are taken."""

COLOURS = {
    "black": (20, 20, 20), "white": (245, 245, 245), "grey": (128, 128, 128), "red": (205, 35, 35), "orange": (245, 135, 30), "yellow": (240, 220, 50), "green": (45, 140, 60),
    "blue": (40, 80, 190), "purple": (120, 50, 150), "pink": (245, 150, 185), "brown": (115, 75, 40),
}  # fmt: skip
"""The eleven basic colour terms (Berlin & Kay 1969) and a typical sRGB value of each."""

GREY_AXIS = 6.0
"""Pixels of a smaller chroma than this (CIELAB) are black, grey or white."""


def colours(settings: Mapping[str, Any], _: Preparation) -> Answering:
    """Names of the colours that fill at least `least` of an image, the largest first, at most `most`."""
    names = list(COLOURS)

    def compute(pixels: np.ndarray) -> list[list[str]]:
        shares = colour_shares(pixels).numpy()
        order = np.argsort(-shares, axis=1, kind="stable")[:, : settings["most"]]
        return [[names[k] for k in row if share[k] >= settings["least"]] for row, share in zip(order, shares)]

    return of_pixels(compute, SIDE, pa.list_(pa.string()))


def colour_shares(pixels: np.ndarray) -> torch.Tensor:
    """float32 (b, 11): the share of pixels uint8 (b, 3, s, s) that is nearest to each of COLOURS in CIELAB; rows sum to 1."""
    import torch

    lab = to_lab(torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255)
    typical = to_lab(torch.tensor(list(COLOURS.values())).float().T[None, :, :, None] / 255)[0, :, :, 0].T
    flat = lab.flatten(2).transpose(1, 2)
    distance = torch.cdist(flat, typical[None].expand(len(flat), -1, -1))
    distance[:, :, 3:] += (flat[:, :, 1:].norm(dim=2) < GREY_AXIS)[:, :, None] * 1e3
    nearest = distance.argmin(dim=2)
    return torch.stack([(nearest == k).float().mean(dim=1) for k in range(len(typical))], dim=1)


def to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """CIELAB (b, 3, ...) under D65 of sRGB (b, 3, ...) in [0, 1]. Source: IEC 61966-2-1; CIE 15."""
    import torch

    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
    xyz = torch.einsum("ij,bj...->bi...", matrix, linear) / torch.tensor([0.95047, 1.0, 1.08883]).view(1, 3, *[1] * (rgb.ndim - 2))
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[:, 0], f[:, 1], f[:, 2]
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


TEXTURE = (
    "brightness", "contrast", "saturation", "colourfulness", "edge strength", "edge density", "symmetry", "entropy", *(f"edges at {22.5 * k:g} degrees" for k in range(8)),
)  # fmt: skip
"""What the numbers of `image_texture` are."""


def texture(_: Mapping[str, Any], __: Preparation) -> Answering:
    """FLOAT[16]: the statistics of TEXTURE, each in [0, 1] or a little beyond."""
    return of_pixels(lambda pixels: list(texture_statistics(pixels).numpy()), SIDE, pa.list_(pa.float32(), len(TEXTURE)))


def texture_statistics(pixels: np.ndarray) -> torch.Tensor:
    """float32 (b, 16) of pixels uint8 (b, 3, s, s).

    colourfulness after Hasler & Suesstrunk 2003, divided by 150; orientations: shares of gradient magnitude, summing to 1 (0 without
    any edge); entropy of 32 grey levels, divided by log 32; symmetry: 1 - mean difference from the mirrored image.
    """
    import torch

    rgb = torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255
    grey = (rgb * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1)
    dx, dy = (torch.gradient(grey, dim=d)[0] for d in (2, 1))
    strength = (dx**2 + dy**2).sqrt()
    angle = torch.remainder(torch.atan2(dy, dx) + torch.pi / 16, torch.pi)
    sector = (angle / (torch.pi / 8)).long().clamp(max=7)
    total = strength.sum(dim=(1, 2)).clamp(min=1e-12)
    orientations = [(strength * (sector == k)).sum(dim=(1, 2)) / total for k in range(8)]
    return torch.stack([
        grey.mean(dim=(1, 2)), grey.std(dim=(1, 2)), (rgb.amax(dim=1) - rgb.amin(dim=1)).mean(dim=(1, 2)), _colourfulness(rgb), strength.mean(dim=(1, 2)),
        (strength > 0.1).float().mean(dim=(1, 2)), 1 - (grey - grey.flip(2)).abs().mean(dim=(1, 2)), _entropy(grey), *orientations,
    ], dim=1)  # fmt: skip


def _colourfulness(rgb: torch.Tensor) -> torch.Tensor:
    red, green, blue = (255 * rgb[:, k].flatten(1) for k in range(3))
    rg, yb = red - green, (red + green) / 2 - blue
    return ((rg.var(1) + yb.var(1)).sqrt() + 0.3 * (rg.mean(1) ** 2 + yb.mean(1) ** 2).sqrt()) / 150


def _entropy(grey: torch.Tensor, levels: int = 32) -> torch.Tensor:
    import torch

    level = (grey.flatten(1) * levels).long().clamp(max=levels - 1)
    p = torch.nn.functional.one_hot(level, levels).float().mean(dim=1)
    return -(p * p.clamp(min=1e-12).log()).sum(dim=1) / np.log(levels)
