"""Entities as parts, layer by layer: from images through a network, or from columns as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from ..errors import AffinityError, Diagnostic
from ..store import Store
from ..types import EntityLayout, Project
from ..vision.images import Oddities
from ..vision.networks import Network, network
from .cache import MapCache
from .parts import Parts, pooled, selected, usable
from .sources import column_parts, image_source, row_parts, text_parts


@dataclass(frozen=True)
class EncodingOptions:
    """What is encoded, and how. One of images, vectors, text and rows; none of them: images from the only BLOB column.

    images        a column of image bytes or paths, or a folder of files named like the keys
    vectors       a column FLOAT[] or FLOAT[][]
    text          a text column: a vector per sentence
    rows          the numbers and categories of the row itself
    network, layers, weights, convention, size: see `networks.network`
    grid          at most grid x grid evenly spaced positions of a filter map are read: faster, and less accurate; None: all
    """

    images: str | None = None
    vectors: str | None = None
    text: str | None = None
    rows: bool = False
    network: str = "vgg16"
    layers: tuple[str, ...] = ()
    weights: str | Path | Mapping[str, Any] | None = "DEFAULT"
    convention: str = "torchvision"
    size: int | None = None
    grid: int | None = None

    @property
    def kind(self) -> str:
        """What is encoded. Raises AffinityError AF105 when several things are asked for."""
        asked = [kind for kind in ("images", "vectors", "text", "rows") if getattr(self, kind)]
        if len(asked) > 1:
            raise AffinityError("AF105", f"{' and '.join(asked)} cannot be encoded in one go", hint="one affinity coding each")
        return asked[0] if asked else "images"


@dataclass(frozen=True)
class Encoded:
    """N entities, encoded.

    keys      N keys, sorted
    layers    (name, parts) of each layer
    features  float32 (N, C): pooled vectors of the first layer
    """

    keys: list[Any]
    layers: list[tuple[str, Parts]]
    features: np.ndarray
    diagnostics: list[Diagnostic] = field(default_factory=list)


def encode(store: Store, project: Project, layout: EntityLayout, options: EncodingOptions, seed: int = 0, on_batch: Callable[[int], None] | None = None) -> Encoded:
    """All entities that can be encoded; warnings AF201, AF202, AF203, AF204. Raises AffinityError AF101 to AF105, AF110."""
    if options.kind == "images":
        return _images(store, project, layout, options, seed, on_batch)
    if options.kind == "vectors":
        keys, parts = column_parts(store, layout, options.vectors)
    elif options.kind == "text":
        keys, parts = text_parts(store, layout, options.text, seed)
    else:
        keys, parts = row_parts(store, layout)
    return _finite(keys, [("", parts)], parts, [])


def load_network(options: EncodingOptions, root: Path, seed: int = 0) -> Network:
    """The network of the options; a file of weights is looked for in the project first."""
    weights = options.weights
    if isinstance(weights, (str, Path)) and weights != "DEFAULT":
        weights = root / weights
    return network(options.network, options.layers, weights=weights, convention=options.convention, size=options.size, seed=seed)


def map_cache(project: Project, net: Network) -> MapCache:
    """The filter maps of a network in the project's state folder."""
    return MapCache(project.state_dir / "filter_maps", net)


def _images(store: Store, project: Project, layout: EntityLayout, options: EncodingOptions, seed: int, on_batch) -> Encoded:
    source = image_source(layout, project, options.images)
    net = load_network(options, project.root, seed)
    cache, oddities = map_cache(project, net), Oddities()
    hashes = cache.fill(source.images(store), oddities, on_batch)
    if not hashes:
        hint = oddities.diagnostics()[0].message if oddities.found else "is the column filled, do files bear the names of keys?"
        raise AffinityError("AF105", "there is not one image", hint=hint)
    keys = sorted(hashes)
    order = [hashes[key] for key in keys]
    layers = [(name, cache.parts(order, i, options.grid)) for i, name in enumerate(net.layers)]
    return _finite(keys, layers, cache.parts(order, 0, None), [*net.diagnostics, *oddities.diagnostics()])


def _finite(keys: Sequence[Any], layers: list[tuple[str, Parts]], whole: Parts, diagnostics: list[Diagnostic]) -> Encoded:
    keep = np.logical_and.reduce([usable(parts) for _, parts in layers])
    if not keep.all():
        dropped = np.flatnonzero(~keep)
        diagnostics = [*diagnostics, Diagnostic("AF203", f"{len(dropped):,} rows have no vector, NaN or infinity and get no label, e.g. {keys[dropped[0]]}")]
    if not keep.any():
        raise AffinityError("AF110", "not one row has finite vectors", hint="look at the column for NaN")
    return Encoded([k for k, kept in zip(keys, keep) if kept], [(name, selected(parts, keep)) for name, parts in layers], pooled(selected(whole, keep)), diagnostics)
