"""Images from bytes: decoded, counted by what is odd about them, resized to what a network reads."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Iterable, Iterator, Sequence

import numpy as np

from ..errors import Diagnostic

TINY = 16
"""Images with a side below this many pixels are blurs by the time they reach a network."""
HUGE = 89_478_485
"""Images of more pixels are not decoded: a small file can ask for all memory there is. Pillow warns above the same number."""
DECODERS = 2

ODDITIES = {
    "unreadable": ("AF201", "cannot be decoded and get no label", "open one of them in a viewer; mend or remove them"),
    "empty": ("AF201", "are empty and get no label", "NULL, or a file of no bytes"),
    "huge": ("AF201", f"have more than {HUGE:,} pixels and get no label", "scale them down first"),
    "tiny": ("AF204", f"have a side below {TINY} pixels", "they are labelled, but hardly by what they show"),
    "grey": ("AF204", "are grey", "the network was trained on colours: keep grey and coloured images apart if clusters follow that"),
    "repeated": ("AF204", "repeat the bytes of another one", "they are encoded once, and labelled alike"),
}
"""What can be odd about an image -> code, sentence, next step."""


def content_hash(data: bytes | None) -> str:
    """What an image is known by: 32 hex digits of its bytes."""
    return hashlib.sha256(data or b"").hexdigest()[:32]


def decode(data: bytes | None, size: int) -> tuple[np.ndarray | None, str | None]:
    """(uint8 (3, size, size) RGB or None, what is odd about it or None).

    The whole image is squeezed into the square, so that every pixel of it can carry a prototype; EXIF orientation is applied.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        return None, "empty"
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > HUGE:
                return None, "huge"
            oddity = "tiny" if min(opened.size) < TINY else "grey" if opened.mode in ("1", "L", "LA", "I", "I;16", "F") else None
            opened.draft("RGB", (2 * size, 2 * size))
            image = ImageOps.exif_transpose(_eight_bits(opened)).convert("RGB").resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None, "huge"
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        return None, "unreadable"
    return np.asarray(image).transpose(2, 0, 1), oddity


def _eight_bits(image):
    """Sixteen-bit and float grey scaled to what RGB holds; palettes with transparency as they look on white."""
    from PIL import Image

    if image.mode in ("I", "I;16", "F"):
        values = np.asarray(image, dtype=np.float64)
        span = np.ptp(values) or 1.0
        return Image.fromarray(((values - values.min()) * (255 / span)).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return image


@dataclass
class Oddities:
    """What is odd about which images: (kind, key), in the order in which they were met."""

    found: list[tuple[str, object]] = field(default_factory=list)

    def note(self, kind: str | None, key: object) -> None:
        """Remember one image, unless nothing is odd about it."""
        if kind:
            self.found.append((kind, key))

    @property
    def counts(self) -> Counter:
        """Kind -> how many."""
        return Counter(kind for kind, _ in self.found)

    def diagnostics(self) -> list[Diagnostic]:
        """One warning per kind that occurred."""
        counts, first = self.counts, {kind: key for kind, key in reversed(self.found)}
        found = ((kind, *ODDITIES[kind]) for kind in ODDITIES if counts[kind])
        return [Diagnostic(code, f"{counts[kind]:,} images {says}, e.g. {first[kind]}", hint=hint) for kind, code, says, hint in found]


def decoded(images: Iterable[tuple[object, bytes]], size: int, batch_size: int, oddities: Oddities) -> Iterator[tuple[list[object], np.ndarray]]:
    """(keys, uint8 (b, 3, size, size)) of those that can be decoded; the next batch is decoded while the caller works on this one."""
    with ThreadPoolExecutor(DECODERS) as pool:
        waiting: list | None = None
        for batch in _batches(images, batch_size):
            coming = [(key, pool.submit(decode, data, size)) for key, data in batch]
            if waiting is not None:
                yield from _finished(waiting, oddities)
            waiting = coming
        yield from _finished(waiting or [], oddities)


def _finished(waiting: Sequence, oddities: Oddities) -> Iterator[tuple[list[object], np.ndarray]]:
    keys, pixels = [], []
    for key, future in waiting:
        image, oddity = future.result()
        oddities.note(oddity, key)
        if image is not None:
            keys.append(key)
            pixels.append(image)
    if keys:
        yield keys, np.stack(pixels)


def _batches(items: Iterable, n: int) -> Iterator[list]:
    batch: list = []
    for item in items:
        batch.append(item)
        if len(batch) == n:
            yield batch
            batch = []
    if batch:
        yield batch
