"""What the colours of a photo say, without a network."""

import io

import groundswell as gs
import numpy as np
import pyarrow as pa
from PIL import Image


@gs.udf(inputs=["BLOB", "DOUBLE", "DOUBLE"], returns="DOUBLE", version=1)
def hue_share(images, low, high):
    """The share of the pixels in the middle of each photo that are vivid and of a hue from low to high, in degrees."""
    return pa.array([share(data, a, b) for data, a, b in zip(images.to_pylist(), low.to_pylist(), high.to_pylist())], pa.float64())


def share(data: bytes, low: float, high: float) -> float:
    with Image.open(io.BytesIO(data)) as opened:
        pixels = np.asarray(opened.convert("RGB").resize((64, 64)).convert("HSV"), float)[16:48, 16:48]
    hue, saturation, value = pixels[:, :, 0] * 360 / 256, pixels[:, :, 1] / 255, pixels[:, :, 2] / 255
    return float(((hue >= low) & (hue < high) & (saturation > 0.3) & (value > 0.25)).mean())
