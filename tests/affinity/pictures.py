"""Small drawn images for tests: discs and stripes of many colours and places, as encoded bytes."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def drawing(kind: str, seed: int, size: int = 64) -> bytes:
    """A disc, or diagonal stripes, with noise."""
    random = np.random.default_rng((seed, kind == "disc"))
    image = Image.new("RGB", (size, size), tuple(random.integers(0, 60, 3).tolist()))
    draw, colour = ImageDraw.Draw(image), tuple(random.integers(120, 255, 3).tolist())
    if kind == "disc":
        x, y, r = random.integers(20, size - 20, 2).tolist() + [int(random.integers(10, 18))]
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    else:
        for offset in range(int(random.integers(0, 8)), 2 * size, 8):
            draw.line((offset, 0, offset - size, size), fill=colour, width=3)
    return encoded(image)
