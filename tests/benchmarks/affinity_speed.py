"""Affinities of the size of the paper's Figure 5 (1,635 images, 4,938 prototypes), the EM on them, 10,000 images in bounded memory.

    python -m tests.benchmarks.affinity_speed [--images 1635] [--large 10000]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Callable

import numpy as np

from groundswell.affinity import ArrayParts, Evidence, affinities, affinity_matrix, infer, inference, prototypes, sampled
from groundswell.affinity.parts import ShardParts

CHANNELS, SIDE = 512, 7
PROTOTYPES = 4938


def maps(n: int, seed: int, side: int = SIDE) -> np.ndarray:
    """float32 (n, side^2, CHANNELS): as a ReLU leaves them, two kinds of images."""
    random = np.random.default_rng(seed)
    found = np.maximum(random.standard_normal((n, side * side, CHANNELS), dtype=np.float32), 0)
    found[: n // 2, :9, :40] += 2
    found[n // 2 :, :9, 40:80] += 2
    return found


def best_of(n: int, work: Callable[[], object]) -> float:
    """Seconds of the quickest of n runs."""
    seconds = []
    for _ in range(n):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def bare(vectors: np.ndarray, q: np.ndarray, rows: int) -> None:
    """The products and maxima alone, on vectors that are normalised already, in blocks of the same size."""
    import torch

    x, q_t = torch.from_numpy(vectors), torch.from_numpy(q.T.copy())
    n, p, c = x.shape
    with torch.inference_mode():
        for start in range(0, n, rows):
            block = x[start : start + rows]
            torch.matmul(block.reshape(-1, c), q_t).view(len(block), p, -1).amax(dim=1)


def loop(vectors: np.ndarray, n_prototypes: int) -> float:
    """Seconds per image of one cosine at a time: prototype by prototype and position by position, on 2 images."""
    import torch

    x = torch.from_numpy(vectors[:32])
    started = time.perf_counter()
    for i in range(2):
        for j in range(150):
            prototype = x[j % 32, j % 49]
            max(float(torch.nn.functional.cosine_similarity(prototype, v, dim=0)) for v in x[i])
    return (time.perf_counter() - started) / 2 * n_prototypes / 150


def main() -> None:
    """Print the timings; ours and the bare product take turns, so that a busy machine slows both."""
    from groundswell.affinity.scores import block_rows

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1635)
    parser.add_argument("--large", type=int, default=10_000)
    arguments = parser.parse_args()
    x = maps(arguments.images, 0)
    parts = ArrayParts(x)
    started = time.perf_counter()
    found = sampled(prototypes(parts, 5), PROTOTYPES, 0)
    print(f"prototypes of {arguments.images:,} images: {time.perf_counter() - started:.2f} s, {len(found):,} kept")
    s = affinity_matrix(parts, found.vectors)
    unit, q = x / np.linalg.norm(x, axis=2, keepdims=True), found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    turns = [(best_of(1, lambda: [None for _ in affinities(parts, found.vectors)]), best_of(1, lambda: bare(unit, q, block_rows(SIDE**2, len(found))))) for _ in range(4)]
    ours, alone = (min(seconds) for seconds in zip(*turns))
    print(f"affinities {s.shape[0]:,} x {s.shape[1]:,}: {ours:.2f} s; torch.matmul and max alone: {alone:.2f} s; ratio {ours / alone:.2f}")
    per_image = loop(x, len(found))
    print(f"one cosine at a time: {per_image:.1f} s an image (from a sample); {per_image * len(s) / ours:,.0f}x slower")
    evidence = Evidence(s, found.entity, found.rank, np.zeros(len(found), int), x.mean(axis=1))
    for name in ("em", "spectral", "kmeans"):
        started = time.perf_counter()
        clusters = infer(inference(name), evidence, 2, restarts=1)
        print(f"{name}: {time.perf_counter() - started:.2f} s, {len(clusters.trace)} iterations")
    extraction()
    large(arguments.large)


def extraction(n: int = 128) -> None:
    """Images a second from encoded bytes to filter maps on disk, and of the network alone on tensors that are ready."""
    from groundswell.affinity.cache import BATCH, MapCache
    from groundswell.vision.images import Oddities, decode
    from groundswell.vision.networks import normalised, outputs
    from tests.benchmarks.affinity_tasks import labelled_images, squeezenet

    import torch

    images = labelled_images("dogs_cats", ("cat", "dog"), n // 2).images
    net = squeezenet(("features.12",))
    ready = normalised(np.stack([decode(data, net.size)[0] for _, data in images]), net.convention)

    def alone() -> None:
        with torch.inference_mode():
            for start in range(0, n, BATCH):
                outputs(net.module, ready[start : start + BATCH], net.layers)

    def cached() -> None:
        with tempfile.TemporaryDirectory() as folder:
            MapCache(Path(folder), net).fill(images, Oddities())

    alone()
    turns = [(best_of(1, cached), best_of(1, alone)) for _ in range(3)]
    ours, bare_seconds = (min(seconds) for seconds in zip(*turns))
    print(f"filter maps of {n} photos: {n / ours:.1f} images/s; SqueezeNet alone {n / bare_seconds:.1f}")


def large(n: int) -> None:
    """Images whose maps lie on disk: what memory their affinities take."""
    with tempfile.TemporaryDirectory() as folder:
        shards = []
        for i in range(0, n, 500):
            path = Path(folder) / f"{i}.npy"
            np.save(path, maps(min(500, n - i), i).transpose(0, 2, 1).reshape(-1, CHANNELS, SIDE, SIDE))
            shards.append(np.load(path, mmap_mode="r"))
        parts = ShardParts(shards, np.array([(i // 500, i % 500) for i in range(n)]), np.arange(SIDE**2), (SIDE, SIDE), tuple(map(str, range(n))), "random")
        before = anonymous_memory()
        started = time.perf_counter()
        found = sampled(prototypes(parts, 5), 5000, 0)
        s = affinity_matrix(parts, found.vectors)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{n:,} images from disk: {seconds:.1f} s for prototypes and {s.shape[0]:,} x {s.shape[1]:,} affinities ({s.nbytes / 2**20:.0f} MB)")
        print(f"memory of the process beside mapped files: {anonymous_memory() - before:.0f} MB more than before; peak with mapped files {peak:.0f} MB")


def anonymous_memory() -> float:
    """MB that no file stands behind (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 2**10
    return float("nan")


if __name__ == "__main__":
    main()
