"""The pairs and triples of classes on which class inference is judged, with a real ImageNet network (SqueezeNet)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from groundswell.affinity import Evidence, affinity_matrix, pooled, prototypes
from groundswell.affinity.cache import MapCache
from groundswell.vision.images import Oddities
from groundswell.vision.networks import Network, network
from tests.shared_data import shared

LAYERS = ("features.12", "features.10")
"""The last fire module and the last but two: the first at its resolution."""
PER_CLASS = 150
SEED = 0


@dataclass(frozen=True)
class LabelledImages:
    """Images of one task: keys, encoded bytes, and the class index of each."""

    name: str
    classes: tuple[str, ...]
    images: list[tuple[str, bytes]]
    gold: np.ndarray


def squeezenet(layers: tuple[str, ...] = LAYERS) -> Network:
    """SqueezeNet 1.0 with the weights of ../shared/data, which were trained on caffe's input convention."""
    weights = shared("cnn_weights_squeezenet") / "squeezenet_v1.0_deepcompressed.npz"
    return network("squeezenet1_0", layers, weights=weights, convention="caffe")


def drawn_tasks(seed: int = SEED) -> list[tuple[str, tuple[str, ...]]]:
    """(data set, classes) of 23 tasks: both sets of two classes whole, 10 pairs and 3 triples of CIFAR-10, 6 pairs and 2 triples
    of COIL-20, drawn once."""
    random = np.random.default_rng(seed)
    tasks = [("cub_goggles", ("Green_Jay", "Whip_Poor_Will")), ("dogs_cats", ("cat", "dog"))]
    for name, sizes in (("cifar10_20k", [2] * 10 + [3] * 3), ("coil20", [2] * 6 + [3] * 2)):
        classes = labels_of(name)
        for size in sizes:
            task = (name, tuple(sorted(random.choice(classes, size, replace=False).tolist())))
            while task in tasks:
                task = (name, tuple(sorted(random.choice(classes, size, replace=False).tolist())))
            tasks.append(task)
    return tasks


def labels_of(name: str) -> list[str]:
    """The classes of a set, as text."""
    column = pq.read_table(shared(name) / "images.parquet", columns=["label"])["label"]
    return sorted({str(v) for v in column.to_pylist()})


def labelled_images(name: str, classes: tuple[str, ...], per_class: int | None = PER_CLASS, seed: int = SEED) -> LabelledImages:
    """At most `per_class` images of each class, drawn by `seed`, the same in every task."""
    table = pq.read_table(shared(name) / "images.parquet", columns=["path", "label", "image"])
    label = np.array([str(v) for v in table["label"].to_pylist()])
    known, chosen = sorted(set(label)), []
    for each in classes:
        rows, random = np.flatnonzero(label == each), np.random.default_rng((seed, known.index(each)))
        chosen.append(np.sort(random.choice(rows, min(per_class or len(rows), len(rows)), replace=False)))
    at = np.concatenate(chosen)
    rows = table.take(at)
    paths = [f"{i}:{p}" for i, p in zip(at, rows["path"].to_pylist())]
    return LabelledImages(name, classes, list(zip(paths, pc.cast(rows["image"], "binary").to_pylist())), np.array([classes.index(v) for v in label[at]]))


def evidence_of(task: LabelledImages, folder: Path, k: int = 5, layers: tuple[str, ...] = LAYERS, grid: int | None = None) -> Evidence:
    """Affinities of a task's images to their own prototypes, layer after layer, and pooled features of the first layer."""
    cache = MapCache(folder, squeezenet(layers))
    hashes = cache.fill(task.images, Oddities())
    keys = [hashes[key] for key, _ in task.images]
    parts = [cache.parts(keys, layer, grid) for layer in range(len(layers))]
    found = [prototypes(p, k) for p in parts]
    return Evidence(
        np.concatenate([affinity_matrix(p, f.vectors) for p, f in zip(parts, found)], axis=1), np.concatenate([f.entity for f in found]),
        np.concatenate([f.rank + k * i for i, f in enumerate(found)]), np.concatenate([np.full(len(f), i) for i, f in enumerate(found)]), pooled(cache.parts(keys, 0, None)),
    )  # fmt: skip
