"""Filter maps on disk, found again by the content of the image: a killed run goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Iterator

import numpy as np

from ..vision.images import Oddities, content_hash, decoded
from ..vision.networks import Network
from .kept import replace_file
from .parts import ShardParts, grid_positions

BATCH = 32


class MapCache:
    """Filter maps of one network in a folder: shards of BATCH images, one float32 (b, C, H, W) file per layer, and their hashes."""

    def __init__(self, folder: Path, network: Network):
        self.network = network
        self.folder = folder / network.fingerprint()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.places: dict[str, tuple[int, int]] = {}
        self.shards: list[str] = []
        self.odd: dict[str, str] = {}
        for path in sorted(self.folder.glob("*.hashes")):
            lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
            self._know(path.stem, [line[0] for line in lines], {line[0]: line[1] for line in lines if len(line) > 1})

    def _know(self, shard: str, hashes: Iterable[str], odd: dict[str, str]) -> None:
        self.places |= {each: (len(self.shards), row) for row, each in enumerate(hashes)}
        self.shards.append(shard)
        self.odd |= odd

    def fill(self, images: Iterable[tuple[object, bytes | None]], oddities: Oddities, on_batch=None) -> dict[object, str]:
        """Key -> content hash of every image that can be decoded; those not known yet go through the network, in batches.

        A shard appears only when it is complete. on_batch(n): called with the number of images encoded so far.
        """
        known, coming, faults, n = {}, set(), Oddities(), 0

        def fresh() -> Iterator[tuple[str, bytes | None]]:
            for key, data in images:
                known[key] = each = content_hash(data)
                oddities.note("repeated" if each in coming and data else None, key)
                if each not in coming and each not in self.places:
                    yield each, data
                coming.add(each)

        for hashes, pixels in decoded(fresh(), self.network.size, BATCH, faults):
            self._write(hashes, pixels, {each: kind for kind, each in faults.found if each in set(hashes)})
            n += len(hashes)
            if on_batch:
                on_batch(n)
        odd = self.odd | {each: kind for kind, each in faults.found}
        for key, each in known.items():
            oddities.note(odd.get(each), key)
        return {key: each for key, each in known.items() if each in self.places}

    def _write(self, hashes: list[str], pixels: np.ndarray, odd: dict[str, str]) -> None:
        shard = hashes[0]
        for i, maps in enumerate(self.network.maps(pixels)):
            replace_file(self.folder / f"{shard}.{i}.npy", lambda file, m=maps: np.save(file, m.float().cpu().numpy()))
        lines = [f"{each} {odd.get(each, '')}".strip() for each in hashes]
        replace_file(self.folder / f"{shard}.hashes", lambda file: file.write("\n".join(lines).encode()))
        self._know(shard, hashes, odd)

    def parts(self, hashes: Iterable[str], layer: int = 0, grid: int | None = None) -> ShardParts:
        """The filter maps of one layer for these images, in their order, at all positions or on a grid of them; memory-mapped."""
        shards = [np.load(self.folder / f"{shard}.{layer}.npy", mmap_mode="r") for shard in self.shards]
        positions, shape = grid_positions(*shards[0].shape[2:], grid)
        content = tuple(hashes)
        places = np.array([self.places[h] for h in content], dtype=int).reshape(-1, 2)
        return ShardParts(shards, places, positions, shape, content, f"{self.folder.name}/{layer}")
