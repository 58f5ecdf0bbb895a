"""The page of an affinity coding: each cluster's most typical images, and the patches that carried it; one offline HTML file."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Sequence

import numpy as np

from .affinity.cache import MapCache
from .affinity.declared import named_function
from .affinity.encoding import EncodingOptions, load_network, map_cache
from .vision.images import content_hash
from .affinity.parts import grid_positions
from .affinity.receptive_field import in_original, receptive_fields
from .affinity.scores import nearest_part
from .affinity.sources import ImageSource, image_source
from .coding import BLOCK_WIDTH
from .coding_map import newest, typical
from .features import entity_layout
from .report.html import Html, safe, tag
from .report.page import asset, policy
from .store import Store, looking
from .store.names import quoted
from .types import Project, Task

TYPICAL, CARRIERS, ATTRACTED = 12, 4, 5
THUMBNAIL = 160
STYLE = """
.thumbs { display: flex; flex-wrap: wrap; gap: 10px; margin: 8px 0 16px; } .thumbs figure { margin: 0; padding: 0; border: 0; background: none; max-width: 170px; }
.thumbs svg { display: block; height: 130px; max-width: 100%; } .thumbs rect { fill: none; stroke: #ffd400; stroke-width: 2; vector-effect: non-scaling-stroke; }
.thumbs figcaption { font-size: 12px; margin: 2px 0 0; } .from { border-right: 1px solid var(--line); padding-right: 10px !important; }
"""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URI, and the size of its original in pixels."""

    uri: str
    width: int
    height: int


def build_page(project: Project, task: Task, name: str | None = None) -> str:
    """The page of a coding (default: the newest) as one HTML text without scripts. Raises AffinityError AF112 before the first."""
    with looking(project) as store:
        page = _Page(store, project, task, name or newest(store, task))
        return page.text()


class _Page:
    def __init__(self, store: Store, project: Project, task: Task, name: str):
        self.store, self.project, self.task, self.name = store, project, task, name
        self.typical = typical(store, task, name, TYPICAL).to_pylist()
        self.options, self.model = self._model()

    def _model(self) -> tuple[EncodingOptions, dict[str, Any]]:
        query = f"SELECT * FROM {quoted(self.task.name)}.affinity_model WHERE affinity_function = $n"
        model = self.store.arrow(query, {"n": self.name}).to_pylist()[0]
        known = {f.name for f in fields(EncodingOptions)}
        given = {key: value for key, value in json.loads(model["options"]).items() if key in known}
        return EncodingOptions(**given | {"layers": tuple(given["layers"])}), model

    # -- what is shown --------------------------------------------------------------------------------------------------

    @cached_property
    def carriers(self) -> list[dict[str, Any]]:
        """The prototypes that carried each cluster; empty where affinities were not kept."""
        return self.store.file("affinity_carrier", self.task.name, coding=self.name, n=CARRIERS, width=BLOCK_WIDTH).to_pylist()

    def attracted(self, carrier: dict[str, Any]) -> list[dict[str, Any]]:
        """The entities a prototype attracts most."""
        given = {"coding": carrier["affinity_function"], "prototype": carrier["prototype_id"], "n": ATTRACTED, "width": BLOCK_WIDTH}
        return self.store.file("affinity_attracted", self.task.name, **given).to_pylist()

    @cached_property
    def source(self) -> ImageSource | None:
        """Where the images come from; None for codings of something else."""
        return image_source(entity_layout(self.store, self.project, self.task), self.project, self.options.images) if self.options.kind == "images" else None

    @cached_property
    def bytes_of(self) -> dict[Any, bytes]:
        """Key -> encoded image, of every entity on the page."""
        keys = {row["entity_id"] for row in (*self.typical, *self.carriers)} | {row["entity_id"] for c in self.carriers for row in self.attracted(c)}
        return {} if self.source is None else {key: data for key, data in self.source.images(self.store, sorted(keys)) if data}

    @cached_property
    def cache(self) -> MapCache:
        """The filter maps of the images, as they were encoded."""
        return map_cache(self.project, load_network(self.options, self.project.root, self.model["seed"]))

    def patches(self, carrier: dict[str, Any], keys: Sequence[Any]) -> list[Box | None]:
        """For each entity, the patch nearest to a prototype: (left, top, right, bottom) in pixels of its image."""
        if self.source is None or self.options.weights == "a state dict" or not all(key in self.bytes_of for key in keys):
            return [None] * len(keys)
        layer = carrier["affinity_function"].removeprefix(f"{self.name}:")
        fields_of = self._fields(layer)
        hashes = [content_hash(self.bytes_of[key]) for key in keys]
        parts = self.cache.parts(hashes, self.cache.network.layers.index(layer), self.options.grid)
        query = f"SELECT vector FROM {quoted(self.task.name)}.prototype WHERE affinity_function = $n AND prototype_id = $p"
        prototype = np.array(self.store.value(query, {"n": carrier["affinity_function"], "p": carrier["prototype_id"]}), np.float32)
        found = nearest_part(*parts.block(0, len(keys)), prototype, named_function(self.project, json.loads(self.model["options"])["function"]))
        places = grid_positions(*fields_of.shape[:2], self.options.grid)[0][found]
        sizes = [picture(self.bytes_of[key]) for key in keys]
        return [in_original(fields_of.reshape(-1, 4)[at], self.cache.network.size, s.width, s.height) for at, s in zip(places, sizes)]

    def _fields(self, layer: str) -> np.ndarray:
        found = self.__dict__.setdefault("_found_fields", {})
        if layer not in found:
            found[layer] = receptive_fields(self.cache.network, layer)
        return found[layer]

    # -- as HTML --------------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The whole page."""
        clusters = sorted({row["cluster"] for row in self.typical})
        head = [
            tag("meta", charset="utf-8"), tag("meta", name="viewport", content="width=device-width, initial-scale=1"), tag("meta", name="color-scheme", content="light dark"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy([])), tag("title", f"{self.task.name}: clusters of {self.name}"), Html(f"<style>{asset('page.css')}{STYLE}</style>"),
        ]  # fmt: skip
        m = self.model
        top = tag(
            "header", tag("p", "groundswell affinity coding", class_="mark"), tag("h1", tag("bdi", self.task.name)),
            tag("p", f"{m['n_entities']:,} entities, {m['n_prototypes']:,} prototypes, method {m['method']}. Another seed or scale agrees on {m['stability']:.0%} of the entities.", class_="note"),
            tag("p", f"Expected accuracy {m['expected_accuracy']:.3f}. {_needed(m['gold_needed'])}", class_="note"),
            [tag("p", w, class_="warning") for w in m["warnings"]],
        )  # fmt: skip
        foot = tag("footer", tag("p", "Name clusters with ", tag("code", "groundswell affinity map CLUSTER=CLASS ..."), " or in ", tag("code", "gold/affinity_map.csv"), "."))
        body = tag("body", top, tag("main", [self._section(c) for c in clusters]), foot)
        return f'<!DOCTYPE html>\n<html lang="en">{tag("head", head)}{body}</html>\n'

    def _section(self, cluster: int) -> Html:
        rows = [row for row in self.typical if row["cluster"] == cluster]
        title = tag("h2", f"Cluster {cluster}: ", tag("bdi", rows[0]["label"] or "no name yet"))
        lead = tag("p", f"{rows[0]['size']:,} entities. The most typical of them first.", class_="lead")
        shown = tag("div", [self._figure(row["entity_id"], f"p {row['p']:.2f}") for row in rows], class_="thumbs")
        carried = [self._carrier(c) for c in self.carriers if c["cluster"] == cluster]
        return tag("section", title, lead, shown, tag("h3", "Prototypes that carried it") if carried else None, carried, id_=f"cluster-{cluster}")

    def _carrier(self, carrier: dict[str, Any]) -> Html:
        near = self.attracted(carrier)
        keys = [carrier["entity_id"], *(row["entity_id"] for row in near)]
        boxes = self.patches(carrier, keys)
        said = f"mean affinity {carrier['inside']:.2f} in its cluster, {carrier['outside']:.2f} outside"
        figures = [self._figure(keys[0], "comes from here", boxes[0], "from")] + [self._figure(k, f"affinity {row['s']:.2f}", box) for k, row, box in zip(keys[1:], near, boxes[1:])]
        return tag("div", tag("p", f"{carrier['affinity_function']}, prototype {carrier['prototype_id']}: {said}", class_="note"), tag("div", figures, class_="thumbs"))

    def _figure(self, key: Any, said: str, box: Box | None = None, kind: str | None = None) -> Html:
        caption = tag("figcaption", tag("bdi", str(key)), Html("<br>"), said)
        return tag("figure", drawn(self.bytes_of[key], box, str(key)) if key in self.bytes_of else None, caption, class_=kind)


def _needed(n: int | None) -> Html:
    if n is None:
        return safe("At this accuracy no number of gold labels names the clusters safely.")
    return safe(f"{n} gold label{'s' if n > 1 else ''} a class name the clusters rightly with a probability of 99 %.")


def picture(data: bytes) -> Picture:
    """A thumbnail of an encoded image, as it stands upright."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    width, height = image.size
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", width, height)


def drawn(data: bytes, box: Box | None, name: str) -> Html:
    """The image, with a rectangle around a patch."""
    shown = picture(data)
    whole = tag("image", href=shown.uri, width=shown.width, height=shown.height, preserveAspectRatio="none")
    patch = tag("rect", x=box[0], y=box[1], width=box[2] - box[0], height=box[3] - box[1]) if box else None
    return tag("svg", whole, patch, viewBox=f"0 0 {shown.width} {shown.height}", role="img", aria_label=name)
