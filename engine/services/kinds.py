"""The built-in services: what each takes, gives and can be told. Nothing heavy is imported until one is made ready."""

from __future__ import annotations

from .base import Kind

IMAGE = (("BLOB", "VARCHAR"),)
TEXT = (("VARCHAR",),)
VECTOR = (("FLOAT[]",),)

KINDS: dict[str, Kind] = {
    "image_colours": Kind(IMAGE, lambda s: "VARCHAR[]", "pixels:colours", {"least": 0.1, "most": 4}, reads_files=True),
    "image_texture": Kind(IMAGE, lambda s: "FLOAT[16]", "pixels:texture", {}, reads_files=True),
    "image_embedding": Kind(
        IMAGE, lambda s: f"FLOAT[{_width(s)}]", "networks:embedding",
        {"network": "resnet18", "weights": "DEFAULT", "convention": "torchvision", "layer": None, "size": None}, batch=64, reads_files=True, files=("weights",),
    ),
    "image_categories": Kind(
        IMAGE, lambda s: "VARCHAR[]", "networks:categories",
        {"network": "resnet18", "weights": "DEFAULT", "convention": "torchvision", "size": None, "least": 0.1, "most": 5, "categories": None}, batch=64, reads_files=True, files=("weights", "categories"),
    ),
    "image_objects": Kind(
        IMAGE, lambda s: "VARCHAR[]", "detection:objects",
        {"network": "ssdlite320_mobilenet_v3_large", "weights": "DEFAULT", "least": 0.5, "categories": None}, batch=16, reads_files=True, files=("weights", "categories"),
    ),
    "text_embedding": Kind(
        TEXT, lambda s: f"FLOAT[{s['dimensions']}]", "texts:embedding",
        {"dimensions": 64, "buckets": 65_536, "most_rows": 50_000, "seed": 0, "model": None}, fits=True, files=("model",),
    ),
    "text_topics": Kind(
        TEXT, lambda s: "VARCHAR[]", "topics:topics",
        {"n_topics": 20, "least": 0.25, "most": 3, "most_words": 20_000, "most_rows": 20_000, "seed": 0}, fits=True,
    ),
    "nearest_labels": Kind(
        VECTOR, lambda s: "VARCHAR[]", "neighbours:nearest", {"k": 5, "least": -1.0}, fits=True, follows_fit=True, needs_fit=True,
    ),
}  # fmt: skip


def _width(settings) -> int:
    from .networks import width

    return width(settings)
